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
    """Return the cross-entropy of "arm taken and outcome 1" against P(arm) P(outcome | arm), over all pairs: (M,).

    An arm whose outcomes are not observed in this batch, and pairs whose outcome is missing, say nothing.
    """
    import torch
    from torch.nn.functional import logsigmoid

    log_arm = logsigmoid(torch.stack([-heads.propensity, heads.propensity], dim=-1))  # (M, n, arms)
    log_joint = log_arm + logsigmoid(heads.outcome)
    # log(1 − e^x) for x < 0 without cancellation; the clamp keeps its slope finite at x = 0.
    log_other = torch.log(-torch.expm1(log_joint.clamp(max=-1e-6)))
    happened = batch.seen * batch.y
    error = -(happened * log_joint + (1 - happened) * log_other)
    told = (1 - batch.taken + batch.seen) * (batch.seen.sum(dim=1, keepdim=True) > 0)
    return per_member(told * error)


def check_joint(joint: float) -> None:
    """Raise SettingError for a weight of the click-and-buy error that would turn it round."""
    if not joint >= 0:
        raise SettingError(f"joint={joint} would reward a wrong product of click and purchase; choose it at least 0")
