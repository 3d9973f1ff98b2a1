"""Doubly robust values with smaller weights: some bias for less variance, how much chosen by the rounds."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self, get_args

import numpy as np

from causalsem._values import FloatArray
from causalsem.errors import SettingError, shown
from causalsem.policy.estimators import SUPPORT, TRUE_PROPENSITY, Evidence, plain_mean
from causalsem.policy.tuning import Choice, by_mse, by_slope, levels_of

Kind = Literal["optimistic", "pessimistic"]
TRADED = "where weights are shrunk the reward model is right; the interval takes the worst case instead"


@dataclass(frozen=True)
class _Shrunk(ABC):
    """`level` of shrinking, chosen among candidates by `choose` if None; `folds` of the reward model."""

    level: float | None = None
    choose: Choice = "mse"
    folds: int = 5

    needs_model: ClassVar[bool] = True
    least_variance: ClassVar[bool] = False
    needs_weights: ClassVar[bool] = True
    shrinks: ClassVar[bool] = True
    assumes: ClassVar[tuple[str, ...]] = (SUPPORT, TRUE_PROPENSITY, TRADED)

    def __post_init__(self) -> None:
        if self.level is not None and not self.level >= 0:
            raise SettingError(f"level is {self.level}; use 0 or more, or None to have it chosen")
        if self.choose not in get_args(Choice):
            raise SettingError(f"unknown choice {self.choose!r}; use one of {shown(get_args(Choice))}")
        if self.folds < 2:
            raise SettingError(f"folds is {self.folds}; use 2 or more")

    @property
    def notes(self) -> tuple[str, ...]:
        """The level of shrinking."""
        return () if self.level is None else (f"weights shrunk at level {self.level:.3g}",)

    def settled(self, evidence: Evidence) -> Self:
        """Return the settings with the level chosen: from none, over levels between weights, to the reward model alone."""
        if self.level is not None:
            return self
        candidates = [replace(self, level=level) for level in (math.inf, *self.scale(levels_of(evidence.w)).tolist(), 0.0)]
        found = [candidate.estimate(evidence) for candidate in candidates]
        values, errors = np.array([value for value, _ in found]), np.array([evidence.se(psi) for _, psi in found])
        if self.choose == "slope":
            return candidates[by_slope(values, errors)]
        return candidates[by_mse(values, errors, np.array([evidence.se(psi - found[0][1]) for _, psi in found]))]

    def estimate(self, evidence: Evidence) -> tuple[float, FloatArray]:
        """Return the value and its influence function (n,), the level taken as given."""
        return plain_mean(evidence.q_pi + self.weights(evidence.w) * (evidence.r - evidence.q))

    @abstractmethod
    def weights(self, w: FloatArray) -> FloatArray:
        """Return the weights (n,) shrunk at the level."""

    def scale(self, levels: FloatArray) -> FloatArray:
        """Return the levels that shrink at these weights."""
        return levels


@dataclass(frozen=True)
class SwitchDoublyRobust(_Shrunk):
    """Switch-DR (Wang, Agarwal & Dudík 2017): rounds whose weight is above `level` are left to the reward model.

    Level ∞ is DoublyRobust, 0 the DirectMethod.
    """

    def weights(self, w: FloatArray) -> FloatArray:
        """Return the weights (n,), 0 above the level."""
        return w if self.level is None else np.where(w <= self.level, w, 0.0)


@dataclass(frozen=True)
class ShrunkDoublyRobust(_Shrunk):
    """Doubly robust with shrunk weights (Su, Dimakopoulou, Krishnamurthy & Dudík 2020).

    `kind` "optimistic" (DRos): λw/(w² + λ), best for a reward model that errs by chance; "pessimistic": min(w, λ), best
    against the worst. λ is `level`; ∞ is DoublyRobust, 0 the DirectMethod.
    """

    kind: Kind = "optimistic"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind not in get_args(Kind):
            raise SettingError(f"unknown kind {self.kind!r}; use one of {shown(get_args(Kind))}")

    def weights(self, w: FloatArray) -> FloatArray:
        """Return the weights (n,) shrunk at the level."""
        if self.level is None or math.isinf(self.level):
            return w
        if self.kind == "pessimistic":
            return np.minimum(w, self.level)
        return np.asarray(self.level * w / np.maximum(w**2 + self.level, 1e-300))

    def scale(self, levels: FloatArray) -> FloatArray:
        """Return the levels that halve, or cut, weights of this size."""
        return levels if self.kind == "pessimistic" else levels**2
