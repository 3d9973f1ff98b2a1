"""The entire-space multi-task model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from causalsem.outcome.losses.base import Loss, LossBatch
from causalsem.outcome.losses.entire_space import joint_error, stage_error

if TYPE_CHECKING:
    import torch

    from causalsem.networks.heads import Heads


@dataclass(frozen=True)
class ESMM(Loss):
    """Click and click-and-buy over all pairs, P(T, Y) = P(T) P(Y | T), so that P(Y | T) needs no selected sample (Ma et al. 2018).

    The propensity head is the click, the outcome head the purchase after it. Nothing weighs the selection: the
    outcome among the untreated is whatever the product leaves it to be.
    """

    name: ClassVar[str] = "esmm"
    weighted: ClassVar[bool] = False
    needs_binary: ClassVar[bool] = True

    def objective(self, heads: Heads, batch: LossBatch) -> torch.Tensor:
        return stage_error(heads, batch) + joint_error(heads, batch)
