"""The entire-space counterfactual model with inverse propensity weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from causalsem.outcome.losses.base import Loss, LossBatch, per_member
from causalsem.outcome.losses.entire_space import check_joint, joint_error, stage_error

if TYPE_CHECKING:
    import torch

    from causalsem.networks.heads import Heads


@dataclass(frozen=True)
class ESCMIPS(Loss):
    """ESMM whose outcome head also learns by IPS with the click head's own propensities (Wang et al. 2022, ESCM²-IPS).

    `joint` weighs the click-and-buy error. The propensity is the click head's present opinion, held still.
    """

    joint: float = 1.0
    name: ClassVar[str] = "escm_ips"
    needs_binary: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_joint(self.joint)

    def objective(self, heads: Heads, batch: LossBatch) -> torch.Tensor:
        weight = batch.seen / batch.live_propensity(heads).detach()
        predicted = per_member(weight * batch.error(heads.outcome, batch.y))
        return predicted + stage_error(heads, batch) + self.joint * joint_error(heads, batch)
