"""Number-functions for linear and logistic regression with a small ridge; arrays in, numbers out, no checks."""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit

from causalsem._values import FloatArray, IntArray

# A row's leverage on a fit is not believed to be above this: its residual counts at most tenfold.
MOST_LEVERAGE = 0.9

NEWTON_STEPS = 50
# A Newton step changes the mean log-likelihood by half its squared decrement; 1e-9 is far below any standard error.
NEWTON_TOLERANCE = 1e-9
# Curvature is taken from so many rows; the gradient, and with it the optimum, from all.
CURVATURE_ROWS = 50_000
GOLDEN = (5**0.5 - 1) / 2


def with_intercept(Z: FloatArray) -> FloatArray:
    """Return the standardised columns of Z, constant ones dropped, after a column of ones: (n, 1 + k)."""
    spread = Z.std(axis=0)
    varying = spread > 1e-12 * np.maximum(1.0, np.abs(Z).max(axis=0, initial=0.0))
    scaled = (Z[:, varying] - Z[:, varying].mean(axis=0)) / spread[varying]
    return np.column_stack([np.ones(len(Z)), scaled])


def linear(X: FloatArray, y: FloatArray, ridge: float = 0.0) -> FloatArray:
    """Return argmin ½‖y − Xβ‖² + ½ ridge ‖β₁…‖², the intercept (first column) unpenalised."""
    gram = X.T @ X
    penalty = _penalty(X.shape[1], ridge)
    return np.asarray(np.linalg.lstsq(gram + penalty, X.T @ y, rcond=None)[0], dtype=np.float64)


def logistic(X: FloatArray, y: FloatArray, ridge: float = 1.0, start: FloatArray | None = None) -> FloatArray:
    """Return the penalised maximum-likelihood coefficients of P(y = 1) = expit(Xβ), by damped Newton steps.

    `ridge` is the prior precision of every coefficient but the intercept; `start` only saves steps. With many rows
    the curvature is that of a part of them (Byrd et al. 2011), which costs some steps more, each far cheaper.
    """
    beta = np.zeros(X.shape[1]) if start is None else start.copy()
    if start is None:
        rate = np.clip(y.mean(), 1e-9, 1 - 1e-9)
        beta[0] = np.log(rate / (1 - rate))
    penalty = _penalty(X.shape[1], ridge)
    loss = _logistic_loss(X, y, beta, penalty)
    some = X[spread_rows(len(X), CURVATURE_ROWS)] if len(X) > 2 * CURVATURE_ROWS else X
    for _ in range(NEWTON_STEPS):
        p = expit(X @ beta)
        gradient = X.T @ (y - p) - penalty @ beta
        q = p if some is X else expit(some @ beta)
        hessian = (some * (q * (1 - q))[:, None]).T @ some * (len(X) / len(some)) + penalty
        step = cho_solve(cho_factor(_lifted(hessian)), gradient)
        scale, new = 1.0, _logistic_loss(X, y, beta + step, penalty)
        while not new <= loss and scale > 1e-6:
            scale /= 2
            new = _logistic_loss(X, y, beta + scale * step, penalty)
        beta, loss = beta + scale * step, new
        if gradient @ step < NEWTON_TOLERANCE * len(y):
            break
    return beta


def spread_rows(n: int, m: int) -> IntArray:
    """Return m row numbers below n, evenly spread, without the rhythm that a fixed stride has in sorted tables."""
    return np.unique((np.arange(m) * GOLDEN % 1.0 * n).astype(np.int64))


def logistic_influence(X: FloatArray, y: FloatArray, beta: FloatArray, ridge: float = 1.0) -> FloatArray:
    """Return the influence function (n, k) of logistic coefficients: H⁻¹ times each row's score."""
    p = expit(X @ beta)
    penalty = _penalty(X.shape[1], ridge)
    hessian = (X * (p * (1 - p))[:, None]).T @ X + penalty
    scores = X * (y - p)[:, None] - penalty @ beta / len(y)  # each row bears its share of the prior, so they sum to zero
    return len(y) * cho_solve(cho_factor(_lifted(hessian)), scores.T).T


def ols_influence(X: FloatArray, y: FloatArray, contrast: FloatArray) -> tuple[float, FloatArray]:
    """Return contrastᵀβ of least squares and its influence function (n,), scaled by √(n/(n − k)) as HC1 is.

    MacKinnon & White (1985); without the scale it is White's (1980) HC0.
    """
    n = len(y)
    gram = X.T @ X
    beta = np.linalg.lstsq(gram, X.T @ y, rcond=None)[0]
    direction = np.linalg.lstsq(gram, contrast, rcond=None)[0]
    rank = np.linalg.matrix_rank(gram, hermitian=True)
    psi = n * (X @ direction) * (y - X @ beta) * np.sqrt(n / max(n - rank, 1))
    return float(contrast @ beta), psi


def _penalty(k: int, ridge: float) -> FloatArray:
    penalty = ridge * np.eye(k)
    penalty[0, 0] = 0.0
    return penalty


def _lifted(hessian: FloatArray) -> FloatArray:
    """Return the Hessian with a floor that keeps Cholesky possible under exact collinearity."""
    return hessian + 1e-10 * (np.trace(hessian) / len(hessian) + 1e-12) * np.eye(len(hessian))


def _logistic_loss(X: FloatArray, y: FloatArray, beta: FloatArray, penalty: FloatArray) -> float:
    eta = X @ beta
    return float(np.logaddexp(0.0, eta).sum() - y @ eta + 0.5 * beta @ penalty @ beta)


def jackknifed(own: FloatArray, leverage: FloatArray) -> FloatArray:
    """Return each row's own part (n,) of an influence function divided by one less its leverage (n,), as in the jackknife (HC3)."""
    return np.asarray(own / (1 - np.minimum(leverage, MOST_LEVERAGE)))
