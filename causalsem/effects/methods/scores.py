"""Residuals of treatment and outcome, and the doubly robust term of each row, whose mean is the average effect."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causalsem._values import BoolArray, FloatArray
from causalsem.effects.arms import Arms
from causalsem.effects.confounding import scale_of
from causalsem.effects.methods.regression import check_rank
from causalsem.effects.nuisance import Learner
from causalsem.effects.problem import Fitted, Problem
from causalsem.effects.regressions import with_intercept

# A row's residual variance of treatment is not believed to be below this share of the mean.
LEAST_VARIANCE = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Residuals:
    """Cross-fitted V = T − E[T | Z], U = Y − E[Y | Z] and Var(V | Z), all (n,), of the `rows` that tell of the effect.

    With arms these are rows of either arm, T is 1 in the one and the means are among them; else they are all rows.
    """

    Y: FloatArray
    V: FloatArray
    U: FloatArray
    variance: FloatArray
    rows: BoolArray
    arms: Arms | None

    @classmethod
    def of(cls, problem: Problem, learner: Learner, clip: float | None) -> Residuals:
        """Return the residuals of a problem with one treatment."""
        T, Y, folds, seed = problem.T[:, 0], problem.Y, problem.folds, problem.seed
        everyone = np.ones(problem.n, dtype=bool)
        mean_of = learner.on(problem.Z)
        if problem.has_arms:
            arms = Arms.of(problem, mean_of, clip)
            e = arms.share
            return cls(Y, arms.one - e, Y - mean_of(Y, arms.rows, folds, seed + 1), e * (1 - e), arms.rows, arms)
        check_rank(problem, with_intercept(problem.Z))
        V = T - mean_of(T, everyone, folds, seed)
        U = Y - mean_of(Y, everyone, folds, seed + 1)
        spread = mean_of(V**2, everyone, folds, seed + 2)
        return cls(Y, V, U, np.maximum(spread, LEAST_VARIANCE * (V**2).mean()), everyone, None)

    def outcomes(self, tau: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the arms' mean outcomes (n,) each that effects τ(z) and E[Y | Z] stand for."""
        assert self.arms is not None
        mean, e = self.Y - self.U, self.arms.share
        return mean + (1 - e) * tau, mean - e * tau

    def terms(self, tau: FloatArray) -> FloatArray:
        """Return τ(z) + V (U − V τ(z)) / Var(V | z) of each row (n,) (Athey & Wager 2019), with arms their own such terms."""
        if self.arms is None:
            return np.asarray(tau + self.V / self.variance * (self.U - self.V * tau))
        return self.arms.terms(self.Y, *self.outcomes(tau))

    def average(self, tau: FloatArray) -> Fitted:
        """Return the average effect, doubly robust with effects τ(z) (n,)."""
        if self.arms is not None:
            return self.arms.effect(self.Y, *self.outcomes(tau))
        terms = self.terms(tau)
        value = float(terms.mean())
        told = scale_of(self.U - self.V * tau, self.V / self.variance)
        return Fitted(value, terms - value, unit_effects=tau, cross_fitted=True, assumptions=(PER_UNIT,), diagnostics=told)


PER_UNIT = "one unit more has the same effect at every level, though not for everyone"
