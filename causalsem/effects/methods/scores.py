"""Residuals of treatment and outcome, and the doubly robust term of each row, whose mean is the average effect."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causalsem._values import FloatArray
from causalsem.effects.methods.aipw import check_arms, clipped
from causalsem.effects.methods.regression import check_rank
from causalsem.effects.nuisance import Learner
from causalsem.effects.problem import Fitted, Problem
from causalsem.effects.regressions import with_intercept

# A row's residual variance of treatment is not believed to be below this share of the mean.
LEAST_VARIANCE = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Residuals:
    """Cross-fitted V = T − E[T | Z], U = Y − E[Y | Z] and Var(V | Z), all (n,); for a 0/1 treatment its propensity as well."""

    V: FloatArray
    U: FloatArray
    variance: FloatArray
    raw: FloatArray | None
    clipped: FloatArray | None
    notes: tuple[str, ...]

    @classmethod
    def of(cls, problem: Problem, learner: Learner, clip: float | None) -> Residuals:
        """Return the residuals of a problem with one treatment."""
        T, Y, folds, seed = problem.T[:, 0], problem.Y, problem.folds, problem.seed
        everyone = np.ones(problem.n, dtype=bool)
        mean_of = learner.on(problem.Z)
        treatment = mean_of(T, everyone, folds, seed)
        U = Y - mean_of(Y, everyone, folds, seed + 1)
        if not problem.is_binary:
            check_rank(problem, with_intercept(problem.Z))
            V = T - treatment
            spread = mean_of(V**2, everyone, folds, seed + 2)
            return cls(V, U, np.maximum(spread, LEAST_VARIANCE * (V**2).mean()), None, None, ())
        check_arms(problem)
        e, bound, moved = clipped(treatment, clip)
        notes = (f"{moved:,} of {problem.n:,} propensities moved to within [{bound:.2g}, {1 - bound:.2g}]",) if moved else ()
        return cls(T - e, U, e * (1 - e), treatment, e, notes)

    def average(self, problem: Problem, tau: FloatArray) -> Fitted:
        """Return the mean of τ(z) + V (U − V τ(z)) / Var(V | z) as the average effect (Athey & Wager 2019)."""
        terms = tau + self.V / self.variance * (self.U - self.V * tau)
        value = float(terms.mean())
        weights = None if self.clipped is None else np.where(problem.treated, 1 / self.clipped, 1 / (1 - self.clipped))
        return Fitted(value, terms - value, notes=self.notes, propensity=self.raw, weights=weights, unit_effects=tau, cross_fitted=True)
