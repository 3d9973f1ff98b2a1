"""Off-policy estimators that use the weights as they are, one small class each, and what all estimators share."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Protocol, Self

import numpy as np

from causalsem._values import FloatArray, IntArray
from causalsem.effects.estimate import standard_error
from causalsem.errors import SettingError
from causalsem.policy.worst_case import HEAVIEST, shortest_cut, tail_index


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What an estimator sees of each round: reward r, weight w = π(a|x)/p, q(x, a) and Σ_a π(a|x) q(x, a), all (n,).

    `users` (n,) says whose rounds they are, if users are the independent units; mean rewards lie between `low` and `high`.
    """

    r: FloatArray
    w: FloatArray
    q: FloatArray
    q_pi: FloatArray
    users: IntArray | None = None
    low: float = 0.0
    high: float = 1.0

    def se(self, psi: FloatArray) -> float:
        """Return the standard error of a mean with influence function psi (n,)."""
        return standard_error(psi, self.users)


class Estimator(Protocol):
    """The settings of an off-policy estimator.

    `needs_model` says whether it wants a reward model, `least_variance` whether that is bent to the least variance,
    `needs_weights` whether propensities matter at all and `shrinks` whether few rounds are cured by shrinking their weights.
    """

    needs_model: ClassVar[bool]
    least_variance: ClassVar[bool]
    needs_weights: ClassVar[bool]
    shrinks: ClassVar[bool]
    assumes: ClassVar[tuple[str, ...]]

    @property
    def folds(self) -> int:
        """The parts over which the reward model is cross-fitted."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What the estimate should say of the settings."""
        ...

    def settled(self, evidence: Evidence) -> Estimator:
        """Return the settings with what was left open chosen by the evidence."""
        ...

    def weights(self, w: FloatArray) -> FloatArray:
        """Return the weights (n,) that are used in place of w."""
        ...

    def estimate(self, evidence: Evidence) -> tuple[float, FloatArray]:
        """Return the value and its influence function (n,)."""
        ...


SUPPORT = "the logging policy could take every action that the policy takes (support)"
TRUE_PROPENSITY = "the propensities are those the log was made with"


def plain_mean(terms: FloatArray) -> tuple[float, FloatArray]:
    """Return the mean of terms (n,) and its influence function."""
    value = float(terms.mean())
    return value, np.asarray(terms - value)


@dataclass(frozen=True)
class Settings:
    """`clip`: weights above it are cut to it (None: never), at the price of a bias; `folds` of the reward model.

    "auto" cuts where the weights' tail is too heavy for a variance (tail index above ½), at the weight that leaves the shortest
    interval. The interval of cut weights holds their worst bias (`ends_of`).
    """

    clip: float | Literal["auto"] | None = None
    folds: int = 5

    least_variance: ClassVar[bool] = False
    shrinks: ClassVar[bool] = False

    def __post_init__(self) -> None:
        is_weight = isinstance(self.clip, (int, float)) and not isinstance(self.clip, bool) and self.clip > 0
        if not (self.clip is None or self.clip == "auto" or is_weight):
            raise SettingError(f"clip is {self.clip!r}; use a weight above 0, such as 100, 'auto' or None")
        if isinstance(self.clip, int):
            object.__setattr__(self, "clip", float(self.clip))
        if self.folds < 2:
            raise SettingError(f"folds is {self.folds}; use 2 or more")

    @property
    def notes(self) -> tuple[str, ...]:
        """The weight that others are cut to."""
        return () if self.clip is None else (f"weights cut to {self.clip:.3g}",)

    def settled(self, evidence: Evidence) -> Self:
        """Return the settings with the cut chosen by the rounds."""
        if self.clip != "auto":
            return self
        if tail_index(evidence.w) <= HEAVIEST:
            return replace(self, clip=None)
        cut = shortest_cut(evidence.r, evidence.w, evidence.low, evidence.high, evidence.se)
        return replace(self, clip=None if math.isinf(cut) else cut)

    def weights(self, w: FloatArray) -> FloatArray:
        """Return the weights (n,), cut to `clip`."""
        return np.minimum(w, self.clip) if isinstance(self.clip, float) else w


@dataclass(frozen=True)
class InversePropensity(Settings):
    """Inverse propensity weighting, mean(w r) (Horvitz & Thompson 1952; Precup, Sutton & Singh 2000)."""

    needs_model: ClassVar[bool] = False
    needs_weights: ClassVar[bool] = True
    assumes: ClassVar[tuple[str, ...]] = (SUPPORT, TRUE_PROPENSITY)

    def estimate(self, evidence: Evidence) -> tuple[float, FloatArray]:
        """Return the value and its influence function (n,)."""
        return plain_mean(self.weights(evidence.w) * evidence.r)


@dataclass(frozen=True)
class SelfNormalized(Settings):
    """Self-normalised inverse propensity weighting, Σ w r / Σ w (Swaminathan & Joachims 2015)."""

    needs_model: ClassVar[bool] = False
    needs_weights: ClassVar[bool] = True
    assumes: ClassVar[tuple[str, ...]] = (SUPPORT, TRUE_PROPENSITY)

    def estimate(self, evidence: Evidence) -> tuple[float, FloatArray]:
        """Return the value and its influence function (n,), that of a ratio."""
        w = self.weights(evidence.w)
        value = float((w * evidence.r).mean() / w.mean())
        return value, w * (evidence.r - value) / w.mean()


@dataclass(frozen=True)
class DirectMethod(Settings):
    """The reward model's own prediction, mean Σ_a π(a|x) q(x, a); biased where the model is wrong (Beygelzimer & Langford 2009)."""

    needs_model: ClassVar[bool] = True
    needs_weights: ClassVar[bool] = False
    assumes: ClassVar[tuple[str, ...]] = ("the reward model is right; the interval leaves out its own error",)

    def estimate(self, evidence: Evidence) -> tuple[float, FloatArray]:
        """Return the value and the influence function of the average over contexts (n,)."""
        return plain_mean(evidence.q_pi)


@dataclass(frozen=True)
class DoublyRobust(Settings):
    """The model's prediction plus the weighted surprise of what was seen (Dudík, Langford & Li 2011), cross-fitted."""

    needs_model: ClassVar[bool] = True
    needs_weights: ClassVar[bool] = True
    assumes: ClassVar[tuple[str, ...]] = (SUPPORT, TRUE_PROPENSITY)

    def estimate(self, evidence: Evidence) -> tuple[float, FloatArray]:
        """Return the value and its influence function (n,)."""
        return plain_mean(evidence.q_pi + self.weights(evidence.w) * (evidence.r - evidence.q))


@dataclass(frozen=True)
class SelfNormalizedDoublyRobust(Settings):
    """Doubly robust with the surprise weighted by w / mean(w) (Thomas & Brunskill 2016), cross-fitted."""

    needs_model: ClassVar[bool] = True
    needs_weights: ClassVar[bool] = True
    assumes: ClassVar[tuple[str, ...]] = (SUPPORT, TRUE_PROPENSITY)

    def estimate(self, evidence: Evidence) -> tuple[float, FloatArray]:
        """Return the value and its influence function (n,), that of a mean plus a ratio."""
        w = self.weights(evidence.w)
        w = w / w.mean()
        surprise = float((w * (evidence.r - evidence.q)).mean())
        centre, psi = plain_mean(evidence.q_pi)
        return centre + surprise, psi + w * (evidence.r - evidence.q - surprise)
