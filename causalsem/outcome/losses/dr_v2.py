"""Doubly robust learning with balancing propensities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from causalsem.outcome.losses.base import Loss, LossBatch, doubly_robust, imbalance, imputation_error, per_arm, propensity_error

if TYPE_CHECKING:
    import torch

    from causalsem.networks.heads import Heads


@dataclass(frozen=True)
class DRV2(Loss):
    """DR-JL with a propensity head that goes on learning to balance the predictions (Li et al. 2023, Propensity Matters).

    `balance` weighs the squared balancing error against the head's cross-entropy; the prediction uses its present opinion.
    """

    balance: float = 1.0
    name: ClassVar[str] = "dr_v2"

    def objective(self, heads: Heads, batch: LossBatch) -> torch.Tensor:
        e = batch.live_propensity(heads)
        unbalanced = imbalance(batch.mean(heads.outcome).detach(), batch, e, batch.live_absence(heads))
        weight = batch.seen / e.detach()
        predicted = doubly_robust(heads, batch, batch.mean(heads.imputed).detach(), weight)
        learnt = per_arm(imputation_error(heads, batch), weight)
        return predicted + learnt + propensity_error(heads, batch) + self.balance * unbalanced
