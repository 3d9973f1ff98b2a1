"""RewardModel: E[reward | context, action] by a cross-fitted multilevel linear model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from causalsem._values import FloatArray, IntArray
from causalsem.policy.context import ContextBasis, standardised
from causalsem.policy.logged_feedback import LoggedFeedback

EM_STEPS = 12
MOST_SLOPE_NUMBERS = 20_000_000


@dataclass(frozen=True, slots=True, eq=False)
class RewardModel:
    """Expected rewards, linear in the context's basis with coefficients (p, A) per fold.

    Coefficients of an action are those that all share, those its features bring, and its own deviation, shrunk by
    empirical Bayes (a linear mixed model, Laird & Ware 1982). `folds` (n,): a round is predicted by its own fold's
    coefficients, which never saw the round (nor its user).
    """

    basis: ContextBasis
    coefficients: FloatArray  # (folds, p, A)
    folds: IntArray

    def predict(self, context: FloatArray, fold: int) -> FloatArray:
        """Return q(x, a) of one fold's model, shape (n, A)."""
        return np.asarray(self.basis(context) @ self.coefficients[fold])

    def rows(self, context: FloatArray, index: IntArray) -> FloatArray:
        """Return out-of-fold q(x, a) of the rounds `index`, shape (len(index), A); `context` holds all rounds."""
        X, fold = self.basis(context[index]), self.folds[index]
        out = np.empty((len(index), self.coefficients.shape[2]))
        for k in range(len(self.coefficients)):
            out[fold == k] = X[fold == k] @ self.coefficients[k]
        return out


def fit_reward_model(feedback: LoggedFeedback, reward: FloatArray, *, folds: int, seed: int) -> RewardModel:
    """Return the reward model cross-fitted over `folds` parts of the rounds, users kept whole."""
    basis = ContextBasis.of(feedback.context)
    X = basis(feedback.context)
    F = standardised(feedback.features)
    parts = round_folds(feedback, folds, seed)
    wide = np.column_stack([X, *(X * F[feedback.action][:, [j]] for j in range(F.shape[1]))])  # x, and x times every action feature
    # The sums of each fold, added over the others: the columns are multiplied once, and no round is in its own model.
    grams = np.stack([wide[parts == k].T @ wide[parts == k] for k in range(folds)])
    moments = np.stack([wide[parts == k].T @ reward[parts == k] for k in range(folds)])
    coefficients = []
    for k in range(folds):
        train, others = parts != k, np.arange(folds) != k
        shared = _ridge(grams[others].sum(axis=0), moments[others].sum(axis=0), int(train.sum()))
        coefficients.append(_coefficients(X[train], F, shared, feedback.action[train], reward[train] - wide[train] @ shared))
    return RewardModel(basis, np.stack(coefficients), parts)


def round_folds(feedback: LoggedFeedback, folds: int, seed: int) -> IntArray:
    """Return a fold number (n,) per round; a user's rounds share one."""
    units = np.arange(len(feedback)) if feedback.user is None else feedback.user
    _, codes = np.unique(units, return_inverse=True)
    order = np.random.default_rng(seed).permutation(int(codes.max()) + 1)
    return np.asarray((order % folds)[codes])


def _ridge(gram: FloatArray, moment: FloatArray, n: int) -> FloatArray:
    """Return the coefficients of least squares over n rounds, with a ridge that only makes them unique."""
    return np.asarray(cho_solve(cho_factor(gram + 1e-6 * n * np.eye(len(gram))), moment), dtype=np.float64)


def _coefficients(X: FloatArray, F: FloatArray, shared: FloatArray, action: IntArray, residual: FloatArray) -> FloatArray:
    """Return coefficients (p, A): those `shared` + by features + each action's own, learnt on what the shared leave."""
    A, f, p = len(F), F.shape[1], X.shape[1]
    own = _own_deviations(X if A * p * p <= MOST_SLOPE_NUMBERS else X[:, :1], action, residual, A)
    blocks = shared.reshape(1 + f, p)  # the block of x, then one per feature
    coefficients = blocks[0][:, None] + blocks[1:].T @ F.T
    coefficients[: own.shape[1]] += own.T
    return np.asarray(coefficients)


def _own_deviations(X: FloatArray, action: IntArray, residual: FloatArray, A: int) -> FloatArray:
    """Return each action's own coefficients (A, p) on the residuals: posterior means under N(0, diag τ²), τ and σ by EM."""
    p = X.shape[1]
    gram, moment = np.zeros((A, p, p)), np.zeros((A, p))
    order = np.argsort(action, kind="stable")
    starts = np.searchsorted(action[order], np.arange(A + 1))
    for a in np.unique(action):
        rows = order[starts[a] : starts[a + 1]]
        gram[a], moment[a] = X[rows].T @ X[rows], X[rows].T @ residual[rows]
    noise = max(float(residual.var()), 1e-12)
    spread = np.full(p, 0.1 * noise)
    mean = np.zeros((A, p))
    for _ in range(EM_STEPS):
        covariance = np.linalg.inv(gram / noise + np.diag(1 / spread))  # (A, p, p), small and well conditioned by the prior
        mean = np.einsum("aij,aj->ai", covariance, moment) / noise
        spread = np.maximum((mean**2 + np.einsum("aii->ai", covariance)).mean(axis=0), 1e-9 * noise)
    return mean
