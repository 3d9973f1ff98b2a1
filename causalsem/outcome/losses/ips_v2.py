"""Inverse propensity scoring with balancing propensities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from causalsem.outcome.losses.base import Loss, LossBatch, imbalance, per_member, propensity_error

if TYPE_CHECKING:
    import torch

    from causalsem.networks.heads import Heads


@dataclass(frozen=True)
class IPSV2(Loss):
    """IPS with a propensity head that goes on learning to balance the predictions (Li et al. 2023, Propensity Matters).

    `balance` weighs the squared balancing error against the head's cross-entropy; the prediction uses its present opinion.
    """

    balance: float = 1.0
    name: ClassVar[str] = "ips_v2"

    def objective(self, heads: Heads, batch: LossBatch) -> torch.Tensor:
        e = batch.live_propensity(heads)
        unbalanced = imbalance(batch.mean(heads.outcome).detach(), batch, e, batch.live_absence(heads))
        predicted = per_member(batch.seen / e.detach() * batch.error(heads.outcome, batch.y))
        return predicted + propensity_error(heads, batch) + self.balance * unbalanced
