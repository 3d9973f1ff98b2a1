"""Inverse propensity scoring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from causalsem._values import FloatArray
from causalsem.outcome.losses.base import Loss, LossBatch, per_member

if TYPE_CHECKING:
    import torch

    from causalsem.networks.heads import Heads


@dataclass(frozen=True)
class IPS(Loss):
    """Errors weighted by inverse propensity (Schnabel et al. 2016): unbiased if the propensities are right."""

    needs_unseen: ClassVar[bool] = False
    name: ClassVar[str] = "ips"

    def objective(self, heads: Heads, batch: LossBatch) -> torch.Tensor:
        return per_member(batch.weight * batch.error(heads.outcome, batch.y))

    def row_weights(self, seen: FloatArray, propensity: FloatArray) -> FloatArray:
        return seen / propensity
