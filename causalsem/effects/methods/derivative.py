"""The average derivative of a continuous treatment, doubly robust: what a little more does to each row at its own level."""

from __future__ import annotations

import numpy as np

from causalsem._values import FloatArray
from causalsem.effects.confounding import scale_of
from causalsem.effects.methods.regression import check_rank
from causalsem.effects.methods.scores import LEAST_VARIANCE
from causalsem.effects.nuisance import Learner
from causalsem.effects.problem import Fitted, Problem
from causalsem.effects.regressions import with_intercept

# The outcome model's derivative is a difference over so many standard deviations of treatment to either side.
STEP = 0.1
# The score of the residuals' density is linear plus S-shaped curves at these quantiles.
BENDS = (0.1, 0.3, 0.5, 0.7, 0.9)
SCORE_RIDGE = 5.0


def average_derivative(problem: Problem, treatment: Learner, outcome: Learner) -> Fitted:
    """Return E[∂E[Y | T, Z]/∂T] by μ'(T, Z) − s(T, Z) (Y − μ(T, Z)), s = ∂ log f(T | Z)/∂T, nuisances cross-fitted.

    Powell, Stock & Stoker (1989); Klyne & Shah (2023), whose location–scale density T = m(Z) + σ(Z) ε this takes. Right
    when the outcome model is, or that density.
    """
    check_rank(problem, with_intercept(problem.Z))
    everyone, folds, seed = np.ones(problem.n, dtype=bool), problem.folds, problem.seed
    mean_of = treatment.on(problem.Z)
    V = problem.T[:, 0] - mean_of(problem.T[:, 0], everyone, folds, seed)
    variance = mean_of(V**2, everyone, folds, seed + 2)
    sigma = np.sqrt(np.maximum(variance, LEAST_VARIANCE * (V**2).mean()))
    mean, slope = _outcome_and_slope(problem, outcome)
    weight, residual = -log_density_slope(V / sigma) / sigma, problem.Y - mean
    terms = slope + weight * residual
    value = float(terms.mean())
    told = {"residual_variance": float((V**2).mean())} | scale_of(residual, weight)
    return Fitted(value, terms - value, cross_fitted=True, diagnostics=told, notes=(WHAT,), assumptions=(SHAPE,))


WHAT = "the average derivative: what a little more of the treatment does to each row at its own level"
SHAPE = "the treatment's density shifts and widens with the adjustment variables but keeps its shape, or the outcome model is right"


def log_density_slope(e: FloatArray) -> FloatArray:
    """Return ∂ log f(e)/∂e (n,) at a sample e (n,), estimated by score matching (Cox 1985; Hyvärinen 2005).

    The s that minimises mean(s²/2 + s') over 1, e and S-shaped curves; for a normal sample it tends to −e / Var(e).
    """
    places = np.quantile(e, BENDS)
    S = np.tanh(e[:, None] - places)  # (n, bends)
    basis = np.column_stack([np.ones(len(e)), e - e.mean(), S - S.mean(axis=0)])
    slopes = np.column_stack([np.zeros(len(e)), np.ones(len(e)), 1 - S**2])
    penalty = SCORE_RIDGE / len(e) * np.diag([0.0, 0.0, *[1.0] * len(places)])
    return np.asarray(basis @ np.linalg.solve(basis.T @ basis / len(e) + penalty, -slopes.mean(axis=0)))


def _outcome_and_slope(problem: Problem, outcome: Learner) -> tuple[FloatArray, FloatArray]:
    """Return out-of-fold E[Y | T, Z] and its derivative by T, (n,) each."""
    T, n = problem.T[:, [0]], problem.n
    step = STEP * float(T.std())
    # All three places in one call, so that one fit per fold tells them all.
    columns = np.concatenate([np.column_stack([T + shift, problem.Z]) for shift in (0.0, step, -step)])
    train = np.arange(3 * n) < n
    mean = outcome.on(columns)(np.tile(problem.Y, 3), train, np.tile(problem.folds, 3), problem.seed + 3)
    here, up, down = mean.reshape(3, n)
    return here, (up - down) / (2 * step)
