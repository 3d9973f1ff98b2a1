"""The loss that believes the log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from causalsem._values import FloatArray
from causalsem.outcome.losses.base import Loss, LossBatch, per_arm

if TYPE_CHECKING:
    import torch

    from causalsem.networks.heads import Heads


@dataclass(frozen=True)
class Naive(Loss):
    """The average error of what was observed in each arm, as if exposure had been random: the yardstick of the others."""

    needs_unseen: ClassVar[bool] = False
    name: ClassVar[str] = "naive"
    weighted: ClassVar[bool] = False

    def objective(self, heads: Heads, batch: LossBatch) -> torch.Tensor:
        return per_arm(batch.error(heads.outcome, batch.y), batch.seen)

    def row_weights(self, seen: FloatArray, propensity: FloatArray) -> FloatArray:
        return seen
