"""IPW: inverse propensity weighting with a logistic propensity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np
from scipy.special import expit

from causalsem._values import BoolArray, FloatArray
from causalsem.effects.arms import ON_TREATED, check_arms, clip_bound, clip_notes, clipped
from causalsem.effects.diagnostics import effective_size
from causalsem.effects.methods.balancing import balance_columns, balanced_slope, entropy_balance
from causalsem.effects.methods.regression import check_rank
from causalsem.effects.multinomial import multinomial
from causalsem.effects.problem import Fitted, Problem, need_single
from causalsem.effects.regressions import logistic, logistic_influence, with_intercept
from causalsem.errors import OverlapError, SettingError, shown

Weights = Literal["inverse", "overlap", "treated"]


@dataclass(frozen=True)
class IPW:
    """Normalised (Hájek) inverse propensity weighting with a logistic propensity (Rosenbaum 1987).

    Normalising within arms makes stabilised and plain weights the same.

    `weights`: "inverse" for the average effect; "overlap" for the effect among rows that could go either way
    (Li, Morgan & Zaslavsky 2018), stable without overlap; "treated" for the effect on the treated.
    The error accounts for the estimated propensity (Lunceford & Davidian 2004). `normalise=False`: Horvitz–Thompson.

    Rows of a treatment of more than two values get the weights nearest to equal ones that balance it (entropy balancing,
    Vegetabile et al. 2021), at most 1/clip if a clip is given; the value is the slope of the straight line nearest to the
    dose–response E[Y | do(T = t)], doses as often as they occur.
    """

    weights: Weights = "inverse"
    clip: float | None = None
    normalise: bool = True
    ridge: float = 1.0

    takes: ClassVar[str] = "rows"
    treatment: ClassVar[str] = "any"
    assumes: ClassVar[tuple[str, ...]] = ("overlap: every kind of row could have been treated and untreated",)

    def fit(self, problem: Problem) -> Fitted:
        """Return the weighted difference of means and its influence function."""
        if self.weights not in get_args(Weights):
            raise SettingError(f"unknown weights {self.weights!r}; use one of {shown(get_args(Weights))}")
        need_single(problem, "IPW")
        if not (problem.is_binary or self.weights == "inverse"):
            raise SettingError(f"weights={self.weights!r} are of two arms; use weights='inverse' for a treatment of more values")
        if not problem.has_arms:
            return self._balanced(problem)
        check_arms(problem)
        if not problem.is_binary:
            return self._two_of_many(problem)
        X, T = with_intercept(problem.Z), problem.treated
        target = T.astype(np.float64)
        beta = logistic(X, target, self.ridge)
        raw = expit(X @ beta)
        e, bound, moved = clipped(raw, 0.0 if self.weights == "overlap" else self.clip, below=self.weights != "treated")
        w, slope = _weights(T, e, self.weights)
        slope[raw != e] = 0.0  # a clipped propensity does not move with beta
        value, zero, means, psi = _weighted_difference(problem.Y, T, w, self.normalise)
        # d mean(psi)/d beta, times how each row moves beta.
        gradient = X.T @ (slope * np.where(T, problem.Y - means[0], -(problem.Y - means[1])) / _scale(T, w, self.normalise)) / problem.n
        psi = psi + logistic_influence(X, target, beta, self.ridge) @ gradient
        whom = (WHOM[self.weights],) if self.weights in WHOM else ()
        notes = (*clip_notes(moved, problem.n, bound), *whom)
        return Fitted(value, psi, notes, (LOGISTIC,), propensity=raw, weights=w, diagnostics={"mean_untreated": zero})

    def _balanced(self, problem: Problem) -> Fitted:
        """Return the slope of the marginal structural line under weights that balance the treatment."""
        T, X = problem.T[:, 0], with_intercept(problem.Z)
        check_rank(problem, X)
        largest = np.inf if self.clip is None else 1 / max(clip_bound(problem.n, self.clip), 1e-12)
        columns = balance_columns((T - T.mean()) / T.std(), X[:, 1:])
        found = entropy_balance(columns.C, self.ridge, largest)
        value, psi = balanced_slope(T, problem.Y, columns, found)
        cut = problem.n - int(found.free.sum())
        notes = [f"{cut:,} of {problem.n:,} weights cut to {largest:.3g}"] if cut else []
        if found.remaining > MOST_REMAINING:
            raise OverlapError(f"no overlap: no weights free {problem.label} of {shown(problem.adjustment)}; {LEAN}")
        told = {"effective_rows": effective_size(found.w), "imbalance": found.remaining}
        return Fitted(value, psi, tuple(notes), (TILTED,), weights=found.w, diagnostics=told)

    def _two_of_many(self, problem: Problem) -> Fitted:
        """Return the contrast of two levels among several, propensities by a multinomial logistic regression of all."""
        X, n, Y = with_intercept(problem.Z), problem.n, problem.Y
        chances, influence = multinomial(X, problem.T[:, 0].astype(np.int64), self.ridge)
        means, psi, weights, moved = [], np.zeros(n), np.zeros(n), 0
        for code, arm, sign in ((1, problem.treated, 1.0), (0, problem.untreated, -1.0)):
            e, bound, more = clipped(chances[:, code], self.clip)
            w = arm / e
            scale = float(w.mean()) if self.normalise else 1.0
            mean = float((w * Y).mean()) / scale
            centre = mean if self.normalise else 0.0
            # d log e / d log-odds of level k is 1(k = code) − e_k; a clipped propensity does not move with them.
            slope = (np.arange(1, chances.shape[1]) == code) - chances[:, 1:]
            gradient = (slope * np.where(chances[:, code] == e, -w * (Y - centre), 0.0)[:, None]).T @ X / n / scale  # (K − 1, p)
            own = w * (Y - centre) / scale - (mean - centre) + np.einsum("nkp,kp->n", influence, gradient)
            psi, weights, moved = psi + sign * own, weights + w, moved + more
            means.append(mean)
        notes, told = clip_notes(moved, 2 * n, bound), {"mean_untreated": means[1]}
        return Fitted(means[0] - means[1], psi, notes, (LOGISTIC,), propensity=chances[:, 1], weights=weights, diagnostics=told)


LOGISTIC = "the log-odds of treatment are linear in the adjustment variables"
TILTED = (
    "given the treatment the outcome is linear in the adjustment variables and their squares, or the log-weights that free the treatment "
    "of them are linear in what is balanced, as they are for a normal treatment whose mean is linear in them"
)
# Means that stay this many standard deviations from nought are no longer a price of the small prior on the log-weights.
MOST_REMAINING = 0.1
LEAN = "use AIPW() or Regression(), which lean on the outcome's shape where few rows could have been given another dose"

WHOM = {
    "overlap": "the effect among rows that could go either way (overlap weights), not the average over all rows",
    "treated": ON_TREATED,
}


def _weights(T: BoolArray, e: FloatArray, kind: Weights) -> tuple[FloatArray, FloatArray]:
    """Return each row's weight and its derivative with respect to the row's log-odds of treatment."""
    odds = e / (1 - e)
    if kind == "overlap":
        return np.where(T, 1 - e, e), np.where(T, -e * (1 - e), e * (1 - e))
    if kind == "treated":
        return np.where(T, 1.0, odds), np.where(T, 0.0, odds)
    return np.where(T, 1 / e, 1 / (1 - e)), np.where(T, -(1 - e) / e, odds)


def _scale(T: BoolArray, w: FloatArray, normalise: bool) -> FloatArray:
    """Return for each row the mean over all rows of its arm's weights."""
    return np.where(T, (T * w).mean(), (~T * w).mean()) if normalise else np.ones(len(T))


def _weighted_difference(
    Y: FloatArray, T: BoolArray, w: FloatArray, normalise: bool
) -> tuple[float, float, tuple[float, float], FloatArray]:
    """Return the difference, the untreated mean, what each arm is centred at, and the influence function."""
    scaled = w / _scale(T, w, normalise)
    one, zero = float((T * scaled * Y).mean()), float((~T * scaled * Y).mean())
    if normalise:
        psi = scaled * np.where(T, Y - one, -(Y - zero))
        return one - zero, zero, (one, zero), psi
    return one - zero, zero, (0.0, 0.0), scaled * np.where(T, Y, -Y) - (one - zero)
