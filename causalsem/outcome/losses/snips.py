"""Self-normalised inverse propensity scoring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from causalsem._values import FloatArray
from causalsem.outcome.losses.base import Loss, LossBatch, per_arm

if TYPE_CHECKING:
    import torch

    from causalsem.networks.heads import Heads


@dataclass(frozen=True)
class SNIPS(Loss):
    """IPS divided by the sum of its weights, per arm and batch (Swaminathan & Joachims 2015): less variance, a little bias."""

    needs_unseen: ClassVar[bool] = False
    name: ClassVar[str] = "snips"

    def objective(self, heads: Heads, batch: LossBatch) -> torch.Tensor:
        return per_arm(batch.error(heads.outcome, batch.y), batch.weight)

    def row_weights(self, seen: FloatArray, propensity: FloatArray) -> FloatArray:
        return seen / propensity
