"""Arms: each row's chance of either compared arm, and the doubly robust contrast of the two.

The one place where two levels of a treatment are compared, be it of two levels or of many: a row of another level is of
neither arm, so it tells nothing of the arms' outcomes, but the average is over it too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causalsem._values import BoolArray, FloatArray
from causalsem.effects.confounding import scale_of
from causalsem.effects.diagnostics import default_clip
from causalsem.effects.nuisance import CrossFit
from causalsem.effects.problem import Fitted, Problem
from causalsem.errors import DataError, SettingError


@dataclass(frozen=True, slots=True, eq=False)
class Arms:
    """Which rows are of the `one` and the `zero` arm, and their propensities `e1`, `e0` (clipped; `raw`: e1 before), all (n,)."""

    one: BoolArray
    zero: BoolArray
    e1: FloatArray
    e0: FloatArray
    raw: FloatArray
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, problem: Problem, chance_of: CrossFit, clip: float | None, *, below: bool = True) -> Arms:
        """Return the arms of a problem, their propensities learnt by cross-fitting, each against all other levels."""
        check_arms(problem)
        everyone = np.ones(problem.n, dtype=bool)
        raw1 = chance_of(problem.treated.astype(np.float64), everyone, problem.folds, problem.seed)
        if not problem.has_others:
            return cls.told(problem, raw1, 1 - raw1, clip, below=below)
        raw0 = chance_of(problem.untreated.astype(np.float64), everyone, problem.folds, problem.seed + 1)
        return cls.told(problem, raw1, raw0, clip, below=below)

    @classmethod
    def told(cls, problem: Problem, raw1: FloatArray, raw0: FloatArray, clip: float | None, *, below: bool = True) -> Arms:
        """Return the arms of a problem whose propensities are known already, clipped; those of arm one `below` as well or not."""
        e1, bound, moved = clipped(raw1, clip, below=below)
        e0, _, more = clipped(raw0, clip) if problem.has_others else (1 - e1, bound, 0)
        return cls(problem.treated, problem.untreated, e1, e0, raw1, clip_notes(moved + more, problem.n, bound))

    @property
    def rows(self) -> BoolArray:
        """Which rows (n,) are of either arm."""
        return self.one | self.zero

    @property
    def share(self) -> FloatArray:
        """The chance (n,) of the `one` arm among rows of either."""
        return self.e1 / (self.e1 + self.e0)

    @property
    def weights(self) -> FloatArray:
        """The inverse propensity (n,) of each row's own arm; 0 for rows of neither."""
        return self.one / self.e1 + self.zero / self.e0

    def terms(self, Y: FloatArray, mu1: FloatArray, mu0: FloatArray) -> FloatArray:
        """Return each row's doubly robust term (n,), whose mean over any kind of row is the effect on that kind."""
        return np.asarray(mu1 - mu0 + self.one / self.e1 * (Y - mu1) - self.zero / self.e0 * (Y - mu0))

    def effect(self, Y: FloatArray, mu1: FloatArray, mu0: FloatArray) -> Fitted:
        """Return the doubly robust contrast with outcome models mu1, mu0 (n,), their difference as unit effects."""
        value, psi, baseline = doubly_robust(Y, self.one, self.zero, self.e1, self.e0, mu1, mu0)
        told = {"mean_untreated": baseline} | scale_of(self.rows * (Y - np.where(self.one, mu1, mu0)), self.weights)
        return Fitted(
            value,
            psi,
            notes=self.notes,
            propensity=self.raw,
            weights=self.weights,
            unit_effects=mu1 - mu0,
            diagnostics=told,
            cross_fitted=True,
        )

    def effect_on_treated(self, Y: FloatArray, mu0: FloatArray) -> Fitted:
        """Return the doubly robust effect on rows of the `one` arm, with a model mu0 (n,) of the `zero` arm's outcome.

        Mercatanti & Li (2014): the treated rows' surprise less that of untreated ones weighted by the odds, as they are then
        alike. Of the propensity only e1/e0 enters, so kinds of row that are never treated may be.
        """
        w = self.zero * self.e1 / self.e0
        own, other = self.one / self.one.mean(), w / w.mean()
        gap = Y - mu0
        one, zero = float((own * gap).mean()), float((other * gap).mean())
        value, psi = one - zero, own * (gap - one) - other * (gap - zero)
        # What the treated rows leave of their own outcome model, had there been one, is at most what is left about their mean.
        told = {"mean_untreated": float((own * Y).mean()) - value} | scale_of(
            np.where(self.rows, gap - self.one * value, 0.0), np.asarray(own + other)
        )
        return Fitted(
            value, psi, notes=(*self.notes, ON_TREATED), propensity=self.raw, weights=self.one + w, diagnostics=told, cross_fitted=True
        )


ON_TREATED = "the effect on the treated, not the average over all rows"


def doubly_robust(
    Y: FloatArray, treated: BoolArray, untreated: BoolArray, e1: FloatArray, e0: FloatArray, mu1: FloatArray, mu0: FloatArray
) -> tuple[float, FloatArray, float]:
    """Return the AIPW contrast, its influence function and the mean outcome had none been treated.

    Weights are normalised (Hájek): mean(mu) + Σw(Y − mu)/Σw per arm, whose influence function carries the ratio's terms.
    """
    arms = []
    for arm, e, mu in ((treated, e1, mu1), (untreated, e0, mu0)):
        w = arm / e
        w = w / w.mean()
        correction = float((w * (Y - mu)).mean())
        centre = float(mu.mean())
        arms.append((centre + correction, (mu - centre) + w * (Y - mu - correction)))
    (one, psi1), (zero, psi0) = arms
    return one - zero, psi1 - psi0, zero


def clipped(e: FloatArray, clip: float | None, *, below: bool = True) -> tuple[FloatArray, float, int]:
    """Return the propensities within [bound, 1 − bound], the bound and how many rows it moved.

    Without `below` small ones stay: where untreated rows weigh by the odds, raising theirs would bring in rows like none treated.
    """
    bound = clip_bound(len(e), clip)
    low = bound if below else 0.0
    moved = int(((e < low) | (e > 1 - bound)).sum())
    return np.clip(e, max(low, 1e-12), 1 - max(bound, 1e-12)), bound, moved


def clip_bound(n: int, clip: float | None) -> float:
    """Return the propensity bound that was asked for, or that of n rows; raises SettingError for one that is none."""
    bound = default_clip(n) if clip is None else clip
    if isinstance(bound, str) or not 0 <= bound < 0.5:
        raise SettingError(f"clip is {bound!r}; use a bound from 0 to below 0.5, such as 0.01")
    return bound


def clip_notes(moved: int, n: int, bound: float) -> tuple[str, ...]:
    """Return what to say of propensities that were moved; nothing when none was."""
    return (f"{moved:,} of {n:,} propensities moved to within [{bound:.2g}, {1 - bound:.2g}]",) if moved else ()


def check_arms(problem: Problem) -> None:
    """Raise DataError unless both arms have rows in every training part."""
    for arm, word in ((problem.treated, "treated"), (problem.untreated, "untreated")):
        if min(int((arm & (problem.folds != fold)).sum()) for fold in np.unique(problem.folds)) < 2:
            raise DataError(f"only {int(arm.sum())} rows are {word} with {problem.label}; bring more rows or use fewer folds", arm=word)
