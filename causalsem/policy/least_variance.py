"""MoreRobustDoublyRobust: the reward model bent to the least variance of the value."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from causalsem._values import FloatArray, IntArray
from causalsem.policy.context import standardised
from causalsem.policy.estimators import SUPPORT, TRUE_PROPENSITY, Evidence, Settings, plain_mean
from causalsem.policy.logged_feedback import LoggedFeedback
from causalsem.policy.reward_model import RewardModel

MOST_COLUMNS = 400
# Candidates of the ridge, in shares of the rounds; the last leaves the reward model as it is.
RIDGES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, np.inf)

Rounds = Callable[[], Iterator[tuple[IntArray, FloatArray]]]
Weights = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True)
class MoreRobustDoublyRobust(Settings):
    """MRDR (Farajtabar, Chow & Ghavamzadeh 2018): doubly robust, its reward model bent to make the value's variance least.

    For any correction φ(x, a)ᵀβ of the model the terms' mean stays and c = w φ(x, a) − Σ_a π(a|x) φ(x, a) is taken off
    them β times; β is therefore the regression of the terms on c, cross-fitted, with a ridge chosen on unseen folds.
    """

    needs_model: ClassVar[bool] = True
    least_variance: ClassVar[bool] = True
    needs_weights: ClassVar[bool] = True
    assumes: ClassVar[tuple[str, ...]] = (SUPPORT, TRUE_PROPENSITY)

    def estimate(self, evidence: Evidence) -> tuple[float, FloatArray]:
        """Return the value and its influence function (n,)."""
        return plain_mean(evidence.q_pi + self.weights(evidence.w) * (evidence.r - evidence.q))


@dataclass(frozen=True, slots=True, eq=False)
class Corrections:
    """The columns φ(x, a) a correction is linear in: x, a 0/1 column per action and, where affordable, x times features."""

    X: FloatArray
    F: FloatArray

    @classmethod
    def of(cls, feedback: LoggedFeedback, model: RewardModel) -> Corrections:
        """Return the columns of these rounds."""
        X, F = model.basis(feedback.context), standardised(feedback.features)
        wide = X.shape[1] * F.shape[1] <= MOST_COLUMNS
        return cls(X, F if wide else F[:, :0])

    def mean(self, index: IntArray, chances: FloatArray) -> FloatArray:
        """Return Σ_a chance(a) φ(x, a) (rounds, d) of some rounds; chances (rounds, A), one-hot for φ of one action."""
        x = self.X[index]
        f = chances @ self.F
        return np.column_stack([x, chances, (x[:, :, None] * f[:, None, :]).reshape(len(x), -1)])


def least_variance(feedback: LoggedFeedback, evidence: Evidence, model: RewardModel, rounds: Rounds, weights: Weights) -> Evidence:
    """Return the evidence with the reward model corrected to the least variance of the doubly robust terms.

    `rounds` yields (index, π(a | x)) in parts; each fold's correction is learnt on the others. Least squares of the terms
    without an intercept will do, as c has mean zero by its making.
    """
    columns, n = Corrections.of(feedback, model), len(feedback)
    w = weights(evidence.w)
    terms = evidence.q_pi + w * (evidence.r - evidence.q)
    K = len(model.coefficients)
    gram, moment, square = [0.0] * K, [0.0] * K, np.zeros(K)
    for index, pi in rounds():
        taken, expected = _both(columns, feedback, index, pi)
        c = w[index, None] * taken - expected
        for k in range(K):
            own = model.folds[index] == k
            y = terms[index][own]
            gram[k], moment[k] = gram[k] + c[own].T @ c[own], moment[k] + c[own].T @ y
            square[k] += y @ y
    beta = _cross_fitted(np.stack(gram), np.stack(moment), square, n)
    q, q_pi = evidence.q.copy(), evidence.q_pi.copy()
    for index, pi in rounds():
        own = beta[model.folds[index]]  # (rounds, d)
        taken, expected = _both(columns, feedback, index, pi)
        q[index] += (taken * own).sum(axis=1)
        q_pi[index] += (expected * own).sum(axis=1)
    return replace(evidence, q=q, q_pi=q_pi)


def _both(columns: Corrections, feedback: LoggedFeedback, index: IntArray, pi: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return φ of the action taken and its mean under the policy, (rounds, d) each."""
    taken = (feedback.action[index, None] == np.arange(pi.shape[1])).astype(np.float64)
    return columns.mean(index, taken), columns.mean(index, pi)


def _cross_fitted(gram: FloatArray, moment: FloatArray, square: FloatArray, n: int) -> FloatArray:
    """Return each fold's coefficients (K, d), learnt on the other folds, under the ridge that errs least on the own."""
    scale = np.sqrt(np.maximum(gram.sum(axis=0).diagonal() / n, 1e-300))
    G, b = gram / np.outer(scale, scale), moment / scale
    others = [np.arange(len(G)) != k for k in range(len(G))]
    found, lost = [], []
    for ridge in RIDGES:
        beta = np.stack([_ridge(G[rest].sum(axis=0), b[rest].sum(axis=0), ridge * n) for rest in others])
        found.append(beta)
        lost.append(sum(square[k] - 2 * beta[k] @ b[k] + beta[k] @ G[k] @ beta[k] for k in range(len(G))))
    return np.asarray(found[int(np.argmin(lost))] / scale)


def _ridge(G: FloatArray, b: FloatArray, penalty: float) -> FloatArray:
    return np.zeros_like(b) if np.isinf(penalty) else np.asarray(np.linalg.solve(G + penalty * np.eye(len(G)), b), dtype=np.float64)
