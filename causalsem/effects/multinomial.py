"""Number-functions for the multinomial logistic regression of several levels; arrays in, numbers out, no checks."""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import log_softmax

from causalsem._values import FloatArray, IntArray

NEWTON_STEPS = 50
NEWTON_TOLERANCE = 1e-9  # of the mean log-likelihood, as for two levels


def multinomial(X: FloatArray, codes: IntArray, ridge: float = 1.0) -> tuple[FloatArray, FloatArray]:
    """Return the chances (n, K) of levels 0 … K − 1 and the influence function (n, K − 1, p) of the coefficients.

    P(level k) ∝ exp(x β_k), β_0 = 0, by damped Newton steps on the penalised likelihood; `ridge` is the prior precision of
    every coefficient but those of the first column, the intercept.
    """
    n, p = X.shape
    seen = (codes[:, None] == np.arange(codes.max() + 1)).astype(np.float64)
    K = seen.shape[1]
    beta = np.zeros((K - 1, p))
    beta[:, 0] = np.log(seen[:, 1:].mean(axis=0) / seen[:, 0].mean())
    prior = np.full(p, ridge)
    prior[0] = 0.0
    loss = _loss(X, seen, beta, prior)
    for _ in range(NEWTON_STEPS):
        chances = np.exp(_log_chances(X, beta))
        gradient = (seen - chances)[:, 1:].T @ X - prior * beta
        factor = cho_factor(_hessian(X, chances, prior))
        step = cho_solve(factor, gradient.ravel()).reshape(K - 1, p)
        size, new = 1.0, _loss(X, seen, beta + step, prior)
        while not new <= loss and size > 1e-6:
            size /= 2
            new = _loss(X, seen, beta + size * step, prior)
        beta, loss = beta + size * step, new
        if float((gradient * step).sum()) < NEWTON_TOLERANCE * n:
            break
    chances = np.exp(_log_chances(X, beta))
    # Each row bears its share of the prior, so the scores sum to zero.
    scores = (seen - chances)[:, 1:, None] * X[:, None, :] - prior * beta / n
    influence = n * cho_solve(cho_factor(_hessian(X, chances, prior)), scores.reshape(n, -1).T).T
    return chances, influence.reshape(n, K - 1, p)


def _log_chances(X: FloatArray, beta: FloatArray) -> FloatArray:
    return np.asarray(log_softmax(np.column_stack([np.zeros(len(X)), X @ beta.T]), axis=1))


def _loss(X: FloatArray, seen: FloatArray, beta: FloatArray, prior: FloatArray) -> float:
    return float(-(_log_chances(X, beta) * seen).sum() + 0.5 * (prior * beta**2).sum())


def _hessian(X: FloatArray, chances: FloatArray, prior: FloatArray) -> FloatArray:
    """Return the Hessian ((K − 1)p, (K − 1)p), with a floor that keeps Cholesky possible under exact collinearity."""
    p = X.shape[1]
    own = chances[:, 1:]  # (n, K − 1)
    spread = own[:, :, None] * (np.eye(own.shape[1]) - own[:, None, :])  # (n, K − 1, K − 1)
    blocks = np.einsum("nab,ni,nj->aibj", spread, X, X, optimize=True).reshape(own.shape[1] * p, -1)
    hessian = blocks + np.diag(np.tile(prior, own.shape[1]))
    return np.asarray(hessian + 1e-10 * (np.trace(hessian) / len(hessian) + 1e-12) * np.eye(len(hessian)))
