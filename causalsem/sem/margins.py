"""First stage of the ordinal moments (Muthén 1984): each variable alone, given the covariates, by ML with casewise scores.

An ordered variable is a probit regression (thresholds, slopes), a numeric one a linear regression (mean, slopes, variance).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from causalsem._values import FloatArray, IntArray
from causalsem.errors import DataError, NotConvergedError
from causalsem.sem.bivariate_normal import FAR

STEPS, CLOSE = 60, 1e-11


@dataclass(frozen=True, slots=True, eq=False)
class Margin:
    """One variable given q covariates X (n, q).

    `level` are its thresholds (or its mean), `slopes` (q,), `variance` 1 where ordered. `codes` count from 0; `upper`
    and `lower` are each row's limits less what the covariates explain. Numeric: `upper` is the standardised residual.
    `scores` (n, parameters) are those of [level, slopes, variance where numeric].
    """

    ordered: bool
    level: FloatArray
    slopes: FloatArray
    variance: float
    upper: FloatArray
    lower: FloatArray
    codes: IntArray
    scores: FloatArray

    @property
    def sd(self) -> float:
        """The residual standard deviation."""
        return float(np.sqrt(self.variance))


def numeric_margin(y: FloatArray, X: FloatArray) -> Margin:
    """Return the linear regression of y (n,) on X (n, q) by ML."""
    n = len(y)
    full = np.hstack([np.ones((n, 1)), X])
    solution, _, rank, _ = np.linalg.lstsq(full, y, rcond=None)
    beta = np.asarray(solution, dtype=np.float64)
    if rank < full.shape[1]:
        raise DataError("the covariates are collinear; drop one of them")
    residual = y - full @ beta
    variance = float(residual @ residual / n)
    z = residual / np.sqrt(variance)
    if len(np.unique(y)) == 2:
        # Mean and variance of two values are one number, and their scores collinear.
        raise DataError("a variable of two values cannot be numeric beside ordered ones; name it in ordered=")
    scores = np.hstack([full * (residual / variance)[:, None], ((z * z - 1.0) / (2.0 * variance))[:, None]])
    none = np.zeros(0, dtype=np.int64)
    return Margin(False, beta[:1], beta[1:], variance, z, z, none, scores)


def ordered_margin(codes: IntArray, levels: int, X: FloatArray) -> Margin:
    """Return the probit regression of codes 0 … levels − 1 (n,) on X (n, q) by ML."""
    counts = np.bincount(codes, minlength=levels)
    tau = ndtri(np.cumsum(counts)[:-1] / len(codes))
    beta = np.zeros(X.shape[1])
    if X.shape[1]:
        tau, beta = _probit(codes, tau, X)
    upper, lower = _limits(codes, tau, X @ beta)
    return Margin(True, tau, beta, 1.0, upper, lower, codes, _probit_scores(codes, tau, upper, lower, X))


def _limits(codes: IntArray, tau: FloatArray, eta: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return upper and lower limit of every row's standard normal error."""
    walls = np.concatenate([[-np.inf], tau, [np.inf]])
    return np.clip(walls[codes + 1] - eta, -FAR, FAR), np.clip(walls[codes] - eta, -FAR, FAR)


def _normal(z: FloatArray) -> FloatArray:
    return np.asarray(np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi))


def _probit_scores(codes: IntArray, tau: FloatArray, upper: FloatArray, lower: FloatArray, X: FloatArray) -> FloatArray:
    """Return ∂logl_i/∂(thresholds, slopes), (n, thresholds + q)."""
    share = np.maximum(ndtr(upper) - ndtr(lower), 1e-300)
    up, down = _normal(upper) / share, _normal(lower) / share
    out = np.zeros((len(codes), len(tau) + X.shape[1]))
    by_limits(out, codes, up, -down, len(tau))
    out[:, len(tau) :] = (down - up)[:, None] * X
    return out


def by_limits(out: FloatArray, codes: IntArray, up: FloatArray, down: FloatArray, thresholds: int) -> None:
    """Put the derivatives by each row's upper and lower limit into the columns of its thresholds."""
    rows = np.arange(len(codes))
    below, above = codes < thresholds, codes > 0
    out[rows[below], codes[below]] = up[below]
    out[rows[above], codes[above] - 1] = down[above]


def _probit(codes: IntArray, tau: FloatArray, X: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return thresholds and slopes of an ordered probit regression by Newton's method."""
    k = len(tau)
    theta = np.concatenate([tau, np.zeros(X.shape[1])])
    value = _probit_loglik(codes, theta[:k], X @ theta[k:])
    for _ in range(STEPS):
        step = _probit_step(codes, theta, k, X)
        share = 1.0
        while True:
            further = theta + share * step
            new = _probit_loglik(codes, further[:k], X @ further[k:])
            # At the optimum rounding decides whether the likelihood still rises.
            if new >= value - 1e-9 * abs(value) or share < 1e-8:
                break
            share /= 2.0
        theta, value = further, new
        if float(np.abs(share * step).max()) < CLOSE:
            return theta[:k], theta[k:]
    raise NotConvergedError("the probit regression of an ordered variable has no optimum: a covariate separates its categories; drop it")


def _probit_loglik(codes: IntArray, tau: FloatArray, eta: FloatArray) -> float:
    if (np.diff(tau) <= 0).any():
        return -np.inf
    upper, lower = _limits(codes, tau, eta)
    return float(np.log(np.maximum(ndtr(upper) - ndtr(lower), 1e-300)).sum())


def _probit_step(codes: IntArray, theta: FloatArray, k: int, X: FloatArray) -> FloatArray:
    """Return the Newton step of an ordered probit regression."""
    upper, lower = _limits(codes, theta[:k], X @ theta[k:])
    share = np.maximum(ndtr(upper) - ndtr(lower), 1e-300)
    up, down = _normal(upper) / share, _normal(lower) / share
    U, L = np.zeros((len(codes), len(theta))), np.zeros((len(codes), len(theta)))
    none = np.zeros(len(codes))
    by_limits(U, codes, np.ones(len(codes)), none, k)
    by_limits(L, codes, none, np.ones(len(codes)), k)
    U[:, k:] = L[:, k:] = -X
    scores = up[:, None] * U - down[:, None] * L
    # −∂² log(Φ(u) − Φ(l)): the squared score plus u φ(u) − l φ(l), all over the probability.
    information = scores.T @ scores + (U * (up * upper)[:, None]).T @ U - (L * (down * lower)[:, None]).T @ L
    return np.asarray(np.linalg.solve(information, scores.sum(axis=0)))
