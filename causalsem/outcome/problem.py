"""The numbers of a fit, and the targeting step that makes their average right."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit, logit

from causalsem._values import BoolArray, FloatArray
from causalsem.behaviour import BehaviourTable
from causalsem.errors import DataError, OverlapError
from causalsem.outcome.answer import Scale


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """The numbers of a fit: `treatment` (n,) 0/1, `y` (n,) on the network's scale (0 where unseen), `observed` (n,)."""

    treatment: FloatArray
    y: FloatArray
    observed: BoolArray
    scale: Scale

    @property
    def taken(self) -> FloatArray:
        """1 in the arm that was taken: (n, 2)."""
        return np.column_stack([1 - self.treatment, self.treatment])

    @property
    def seen(self) -> FloatArray:
        """1 where the arm was taken and its outcome observed: (n, 2)."""
        return np.asarray(self.taken * self.observed[:, None])

    @property
    def events(self) -> BoolArray:
        """Where the outcome of each arm happened, or was observed if it is a number: (n, 2)."""
        happened = self.y > 0 if self.scale.binary else self.observed
        return np.asarray((self.seen > 0) & happened[:, None])

    @property
    def arms(self) -> tuple[int, ...]:
        """The treatments with observed outcomes."""
        return tuple(arm for arm in (0, 1) if self.seen[:, arm].any())

    @property
    def base(self) -> FloatArray:
        """The predictor of each arm that knows no more than the arm's average: (2,)."""
        total, count = self.seen.T @ self.y, self.seen.sum(axis=0)
        if not self.scale.binary:
            return np.asarray(total / np.maximum(count, 1))
        return np.asarray(logit((total + 0.5) / (count + 1)))

    @classmethod
    def of(cls, pairs: BehaviourTable, treatment: str, outcome: str) -> Problem:
        """Return the problem of two columns; raises DataError or OverlapError when there is nothing to learn from."""
        t, y = pairs.complete([treatment])[:, 0], pairs.column(outcome)
        if not np.isin(t, (0, 1)).all():
            odd = t[~np.isin(t, (0, 1))][0]
            raise DataError(
                f"treatment {treatment!r} has the value {odd:g}; the outcome model needs 0 and 1: cut it at a threshold",
                columns=[treatment],
            )
        if t.min() == t.max():
            raise OverlapError(
                f"treatment {treatment!r} is {t[0]:g} in all {len(t):,} pairs; hand in treated and untreated pairs "
                "(a log of exposures alone holds no untreated ones)",
                share=1.0,
                stratum=None,
            )
        observed = ~np.isnan(y)
        values = y[observed]
        if values.size == 0 or values.min() == values.max():
            what = f"is {values[0]:g} in every pair where it was observed" if values.size else "was never observed"
            raise DataError(
                f"outcome {outcome!r} {what}; there is nothing to learn: check the column or take a longer window", columns=[outcome]
            )
        binary = bool(np.isin(values, (0, 1)).all())
        scale = Scale(True) if binary else Scale(False, float(values.mean()), float(values.std()))
        standard = np.where(observed, (y - scale.centre) / scale.scale, 0.0)
        return cls(t, standard, observed, scale)


def target(problem: Problem, predictor: FloatArray, weights: FloatArray) -> Scale:
    """Return the scale whose shift makes Σ w (y − mean) zero in each arm: predictor (n, 2), weights (n, 2).

    For a binary outcome this is the logistic fluctuation of targeted learning (van der Laan & Rubin 2006).
    """
    shift = [0.0, 0.0]
    for arm in problem.arms:
        seen = weights[:, arm] > 0
        w, y, x = weights[seen, arm], problem.y[seen], predictor[seen, arm]
        shift[arm] = _fluctuation(x, y, w) if problem.scale.binary else float(w @ (y - x) / w.sum())
    return replace(problem.scale, shift=(shift[0], shift[1]))


def _fluctuation(x: FloatArray, y: FloatArray, w: FloatArray) -> float:
    """Solve Σ w expit(x + s) = Σ w y for s by Newton's method, held within a bracket that always holds it: all (n,)."""
    # Half a pair of average weight keeps the shift finite in an arm where all (or none) bought.
    half = w.mean() / 2
    goal = float(np.clip(w @ y, half, w.sum() - half))
    low, high, shift = -40.0 - x.max(), 40.0 - x.min(), 0.0
    while high - low > 1e-10:
        p = expit(x + shift)
        short = goal - float(w @ p)
        low, high = (shift, high) if short > 0 else (low, shift)
        slope = float(w @ (p * (1 - p)))
        step = short / slope if slope > 0 else np.inf
        if abs(step) < 1e-10:
            break
        inside = low < shift + step < high
        shift = shift + step if inside else (low + high) / 2
    return shift
