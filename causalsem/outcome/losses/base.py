"""What every loss shares: the batch it sees, the error it measures, and the shape of a setting."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from causalsem._values import FloatArray

if TYPE_CHECKING:
    import torch

    from causalsem.networks.heads import Heads
    from causalsem.outcome.chain import Chain


@dataclass(frozen=True, slots=True)
class LossBatch:
    """Tensors of a batch, one column per outcome head. Two stages have a head per arm; a longer chain has one per door and arm.

    `y` (M, n, heads or 1) is what a head is to predict, 0 where unseen; `taken` (M, n, heads) 1 where the pair was in the
    head's arm and at its door; `seen` 1 where its stage was observed too; `propensity` (M, n, heads) of that, cross-fitted,
    calibrated and not under `floor` (heads,); `user` (M, n). `binary` says whether predictors are logits or means.
    Of the `chain` itself: `arm` (M, n, arms) 1 for the arm that was taken, `stage` (M, n, K) what happened at each stage and
    `known` (M, n, K) whether that was observed; `elsewhere` (heads,) is the floor of not being at a head.
    """

    y: torch.Tensor
    taken: torch.Tensor
    seen: torch.Tensor
    propensity: torch.Tensor
    floor: torch.Tensor
    user: torch.Tensor
    binary: bool
    chain: Chain
    arm: torch.Tensor
    stage: torch.Tensor
    known: torch.Tensor
    elsewhere: torch.Tensor

    @property
    def weight(self) -> torch.Tensor:
        """Inverse propensity of what was seen, 0 elsewhere: (M, n, heads)."""
        return self.seen / self.propensity

    def error(self, predictor: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the pointwise error: cross-entropy for logits, else half the squared error.

        The gradient of both is linear in the target, mean(predictor) − target, so that an unbiased target gives an
        unbiased gradient.
        """
        if self.binary:
            from torch.nn.functional import softplus

            return softplus(predictor) - target * predictor
        return (predictor - target) ** 2 / 2

    def mean(self, predictor: torch.Tensor) -> torch.Tensor:
        """Return the expected outcome that a predictor stands for."""
        return predictor.sigmoid() if self.binary else predictor

    def live_propensity(self, heads: Heads) -> torch.Tensor:
        """Return the heads' present opinion of being where each head is, not under the floor: (M, n, heads)."""
        import torch

        return torch.maximum(self._live(heads), self.floor)

    def live_absence(self, heads: Heads) -> torch.Tensor:
        """Return the heads' present opinion of not being there, not under its floor: (M, n, heads)."""
        import torch

        return torch.maximum(1 - self._live(heads), self.elsewhere)

    def _live(self, heads: Heads) -> torch.Tensor:
        import torch

        e = heads.propensity.sigmoid()
        arms = torch.stack([1 - e, e], dim=-1)  # (M, n, arms)
        if len(self.chain.stages) == 1:
            return arms
        from causalsem.outcome.chances import chances

        return (chances(self.chain, heads.outcome).door.exp() * arms[..., None, :]).flatten(-2)


class Loss(ABC):
    """A correction of the logging bias; a loss is a frozen dataclass of its settings.

    `weighted` says whether observed outcomes count by inverse propensity, `needs_unseen` whether pairs without an
    observed outcome teach it anything, `needs_binary` whether the outcome must be 0/1.
    """

    name: ClassVar[str]
    weighted: ClassVar[bool] = True
    needs_unseen: ClassVar[bool] = True
    needs_binary: ClassVar[bool] = False

    @abstractmethod
    def objective(self, heads: Heads, batch: LossBatch) -> torch.Tensor:
        """Return what each member minimises on this batch: (M,)."""

    def row_weights(self, seen: FloatArray, propensity: FloatArray) -> FloatArray | None:
        """Return the weights (n, heads) by which this loss is a weighted likelihood of what was seen, or None if it is not one."""
        return None

    def judge(self, heads: Heads, batch: LossBatch) -> torch.Tensor:
        """Return the prediction error on pairs a member never saw, which decides when to stop: (M,).

        Not the objective itself: its other terms (imputation, propensity) rise and fall for reasons of their own.
        """
        return per_arm(batch.error(heads.outcome, batch.y), batch.weight if self.weighted else batch.seen)


def per_member(pointwise: torch.Tensor) -> torch.Tensor:
    """Sum over heads and average over pairs: (M, n, heads) → (M,)."""
    return pointwise.sum(dim=-1).mean(dim=-1)


def per_arm(pointwise: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Average by weight within each head and sum over heads: (M, n, heads) → (M,); rare arms count as much as others."""
    average = (pointwise * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1e-12)  # (M, heads)
    return average.sum(dim=-1)


def doubly_robust(heads: Heads, batch: LossBatch, imputed: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return the imputed error plus the weighted error of the imputation where observed: `imputed`, `weight` (M, n, heads) → (M,)."""
    guess = batch.error(heads.outcome, imputed)
    return per_member(guess + weight * (batch.error(heads.outcome, batch.y) - guess))


def imputation_error(heads: Heads, batch: LossBatch) -> torch.Tensor:
    """Return (ê − e)² with the prediction held still: how wrong the imputed error is, (M, n, heads)."""
    prediction = heads.outcome.detach()
    return (batch.error(prediction, batch.mean(heads.imputed)) - batch.error(prediction, batch.y)) ** 2


def imbalance(phi: torch.Tensor, batch: LossBatch, e: torch.Tensor, absent: torch.Tensor) -> torch.Tensor:
    """Return the squared mean of (taken/e − (1 − taken)/absent) φ, summed over heads: all but `batch` (M, n, heads) → (M,).

    It is zero in expectation for any φ when e, and `absent` = 1 − e, is right (Li et al. 2023), so it asks e to balance φ.
    """
    return (((batch.taken / e - (1 - batch.taken) / absent) * phi).mean(dim=1) ** 2).sum(dim=-1)


def propensity_error(heads: Heads, batch: LossBatch) -> torch.Tensor:
    """Return the cross-entropy of the propensity head: (M,)."""
    from torch.nn.functional import softplus

    return (softplus(heads.propensity) - batch.arm[..., 1] * heads.propensity).mean(dim=-1)
