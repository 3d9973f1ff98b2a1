"""The direct counterfactual multi-task model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from causalsem.errors import SettingError
from causalsem.outcome.losses.base import Loss, LossBatch, per_arm
from causalsem.outcome.losses.entire_space import joint_error, stage_error

if TYPE_CHECKING:
    import torch

    from causalsem.networks.heads import Heads


@dataclass(frozen=True)
class DCMT(Loss):
    """A twin head for "would not buy", taught by the pairs that were not clicked, ties the outcome head there (Zhu et al. 2023).

    The factual head learns where the arm was taken with weights 1/e, the twin where it was not with weights 1/(1 − e) and
    the opposite label 1, both self-normalised; `prior` weighs |1 − (factual + twin)| over all pairs, `joint` the
    click-and-buy error. The twin sits in the imputation head. It leans on the belief that what was not clicked would not be bought.
    """

    prior: float = 0.1
    joint: float = 1.0
    name: ClassVar[str] = "dcmt"
    needs_binary: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not (self.prior >= 0 and self.joint >= 0):
            raise SettingError(f"prior={self.prior} and joint={self.joint} weigh errors; choose them at least 0")

    def objective(self, heads: Heads, batch: LossBatch) -> torch.Tensor:
        import torch

        e = batch.live_propensity(heads).detach()
        factual = per_arm(batch.error(heads.outcome, batch.y), batch.seen / e)
        twin = per_arm(batch.error(heads.imputed, torch.ones_like(batch.y)), (1 - batch.taken) / batch.live_absence(heads).detach())
        apart = (1 - batch.mean(heads.outcome) - batch.mean(heads.imputed)).abs().mean(dim=(1, 2))
        return factual + twin + self.prior * apart + stage_error(heads, batch) + self.joint * joint_error(heads, batch)
