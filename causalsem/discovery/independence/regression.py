"""Likelihood-ratio tests of regressions, each variable by its own kind: logistic, hurdle, quasi-Poisson or linear."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import expit

from causalsem._values import BoolArray, FloatArray
from causalsem.discovery.kinds import VariableKind, kind_of
from causalsem.discovery.stack import log_chi_square_tail

STEPS, CLOSE = 30, 1e-9
# Keeps logistic coefficients finite when the predictors separate the classes.
RIDGE = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class RegressionTest:
    """Likelihood-ratio tests of each variable regressed on the other, the two p-values combined (Tsagris et al. 2018).

    A binary variable has a logistic regression, a zero-inflated one a logistic regression for whether and a linear one
    of its logarithm for how much (a hurdle: Cragg 1971), a count a quasi-Poisson regression, any other a linear one.
    """

    assumes: ClassVar[tuple[str, ...]] = ("additive effects on the scale of each variable's own regression",)


def log_p(rows: FloatArray, test: RegressionTest) -> float:
    """Return log p of independence of columns 0 and 1 given the others: min(2 min(p, q), max(p, q)) of both directions."""
    kinds = [kind_of(column) if len(column) else "continuous" for column in rows.T]
    predictors = [as_predictors(column, kind) for column, kind in zip(rows.T, kinds, strict=True)]
    given = np.hstack([np.ones((len(rows), 1)), *predictors[2:]])
    if len(rows) <= given.shape[1] + max(predictors[0].shape[1], predictors[1].shape[1]) + 1:
        return 0.0
    both = [_one_way(rows[:, k], kinds[k], given, predictors[1 - k]) for k in (0, 1)]
    return float(min(np.log(2) + min(both), max(both), 0.0))


def as_predictors(x: FloatArray, kind: VariableKind) -> FloatArray:
    """Return how a variable enters a regression, (n, 1 or 2), standardised."""
    if kind == "zero-inflated":
        told = np.column_stack([x > 0, np.log(np.where(x > 0, x, 1.0))])
    else:
        told = (np.log1p(x) if kind in ("count", "skewed") else x)[:, None]
    spread = told.std(axis=0)
    return np.asarray((told - told.mean(axis=0)) / np.where(spread > 0, spread, 1.0))


def _one_way(y: FloatArray, kind: VariableKind, given: FloatArray, new: FloatArray) -> float:
    """Return log p that the new predictors add nothing to a regression of y on those given."""
    chi, df = 0.0, 0
    for gain, response, some in _regressions(y, kind):
        # A regression on few rows, or whose response does not vary, says nothing.
        if len(response) > given.shape[1] + new.shape[1] + 1 and np.ptp(response) > 0:
            chi += max(gain(response, given[some], np.hstack([given, new])[some]), 0.0)
            df += new.shape[1]
    return 0.0 if df == 0 else float(log_chi_square_tail(np.array(chi), df))


Gain = Callable[[FloatArray, FloatArray, FloatArray], float]


def _regressions(y: FloatArray, kind: VariableKind) -> list[tuple[Gain, FloatArray, slice | BoolArray]]:
    """Return the regressions of a variable of a kind: the test, its response, and the rows it is on."""
    everyone = slice(None)
    if kind == "binary":
        return [(logistic_gain, (y == y.max()).astype(np.float64), everyone)]
    if kind == "zero-inflated":
        positive = y > 0
        return [(logistic_gain, positive.astype(np.float64), everyone), (linear_gain, np.log(y[positive]), positive)]
    if kind == "count":
        return [(poisson_gain, y, everyone)]
    return [(linear_gain, np.log1p(y) if kind == "skewed" else y, everyone)]


def linear_gain(y: FloatArray, small: FloatArray, large: FloatArray) -> float:
    """Return the χ² statistic of least squares on `large` against `small` predictors (n, k): Bartlett-corrected log ratio."""
    left = [float(((y - X @ np.linalg.lstsq(X, y, rcond=None)[0]) ** 2).sum()) for X in (small, large)]
    factor = len(y) - large.shape[1] - 1 + (large.shape[1] - small.shape[1]) / 2
    return factor * float(np.log(max(left[0], 1e-300) / max(left[1], 1e-300)))


def logistic_gain(y: FloatArray, small: FloatArray, large: FloatArray) -> float:
    """Return twice the gain in log-likelihood of logistic regression on `large` against `small` predictors."""
    return 2 * (_logistic_likelihood(y, large) - _logistic_likelihood(y, small))


def _logistic_likelihood(y: FloatArray, X: FloatArray) -> float:
    eta = X @ _newton(X, y, np.log(y.mean() / (1 - y.mean())), lambda eta: (mu := expit(eta), mu * (1 - mu)))
    return float((y * eta - np.logaddexp(0, eta)).sum())


def poisson_gain(y: FloatArray, small: FloatArray, large: FloatArray) -> float:
    """Return the gain in deviance of Poisson regression, over the dispersion of the larger model (McCullagh & Nelder 1989)."""

    def fit(X: FloatArray) -> FloatArray:
        return np.asarray(np.clip(X @ _newton(X, y, np.log(y.mean()), lambda eta: (np.exp(eta), np.exp(eta))), -30, 30))

    eta, less = fit(large), fit(small)
    gain = 2 * float((y * (eta - less) - np.exp(eta) + np.exp(less)).sum())
    dispersion = float(((y - np.exp(eta)) ** 2 / np.exp(eta)).sum()) / max(len(y) - large.shape[1], 1)
    return gain / max(dispersion, 1e-12)


def _newton(
    X: FloatArray, y: FloatArray, start: float, mean_and_weight: Callable[[FloatArray], tuple[FloatArray, FloatArray]]
) -> FloatArray:
    """Return the coefficients (k,) of a regression with a canonical link; the first column of X (n, k) is the constant."""
    beta = np.zeros(X.shape[1])
    beta[0] = start
    for _ in range(STEPS):
        mu, weight = mean_and_weight(np.clip(X @ beta, -30, 30))
        information = X.T @ (weight[:, None] * X) + RIDGE * np.eye(len(beta))
        step = np.linalg.solve(information, X.T @ (y - mu) - RIDGE * beta)
        # A step beyond 4 on standardised predictors is a sign of near-separation; shorter ones still arrive.
        beta = beta + step * min(1.0, 4.0 / max(float(np.abs(step).max()), 1e-300))
        if float(np.abs(step).max()) < CLOSE:
            break
    return beta
