"""The entire-space counterfactual model, doubly robust."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from causalsem.outcome.losses.base import Loss, LossBatch, doubly_robust, imputation_error, per_member
from causalsem.outcome.losses.entire_space import check_joint, joint_error, stage_error

if TYPE_CHECKING:
    import torch

    from causalsem.networks.heads import Heads


@dataclass(frozen=True)
class ESCMDR(Loss):
    """ESMM whose outcome head also learns doubly robustly with an imputation head (Wang et al. 2022, ESCM²-DR).

    `joint` weighs the click-and-buy error. The propensity is the click head's present opinion, held still; the
    imputed error is corrected where observed and learns from the squared surprise there.
    """

    joint: float = 1.0
    name: ClassVar[str] = "escm_dr"
    needs_binary: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_joint(self.joint)

    def objective(self, heads: Heads, batch: LossBatch) -> torch.Tensor:
        weight = batch.seen / batch.live_propensity(heads).detach()
        predicted = doubly_robust(heads, batch, batch.mean(heads.imputed).detach(), weight)
        learnt = per_member(weight * imputation_error(heads, batch))
        return predicted + learnt + stage_error(heads, batch) + self.joint * joint_error(heads, batch)
