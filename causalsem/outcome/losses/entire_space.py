"""What the entire-space losses share: the stage before the outcome, and both together, over every pair."""

from __future__ import annotations

from typing import TYPE_CHECKING

from causalsem.errors import SettingError
from causalsem.outcome.losses.base import LossBatch, per_member, propensity_error

if TYPE_CHECKING:
    import torch

    from causalsem.networks.heads import Heads


def stage_error(heads: Heads, batch: LossBatch) -> torch.Tensor:
    """Return the cross-entropy of the treatment, the stage before the outcome: (M,)."""
    return propensity_error(heads, batch)


def joint_error(heads: Heads, batch: LossBatch) -> torch.Tensor:
    """Return the cross-entropy of "arm taken and stage reached" against P(arm) P(stage | arm), over all pairs and stages: (M,).

    P(stage | arm) is the product of the conditional chances on the way, summed over ways (`chances`). An arm in which a stage
    was not observed in this batch, and pairs in which it is missing, say nothing of it.
    """
    import torch
    from torch.nn.functional import logsigmoid

    from causalsem.outcome.chances import chances, log_not

    log_arm = logsigmoid(torch.stack([-heads.propensity, heads.propensity], dim=-1))  # (M, n, arms)
    log_joint = log_arm[..., None, :] + chances(batch.chain, heads.outcome).stage  # (M, n, K, arms)
    observed = batch.known[..., None] * batch.arm[..., None, :]
    happened = observed * batch.stage[..., None]
    error = -(happened * log_joint + (1 - happened) * log_not(log_joint))
    told = (1 - batch.arm[..., None, :] + observed) * (observed.sum(dim=1, keepdim=True) > 0)
    return per_member((told * error).flatten(-2))


def check_joint(joint: float) -> None:
    """Raise SettingError for a weight of the click-and-buy error that would turn it round."""
    if not joint >= 0:
        raise SettingError(f"joint={joint} would reward a wrong product of click and purchase; choose it at least 0")
