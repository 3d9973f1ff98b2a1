"""How much of a correction to believe: the weights' power, chosen where the log itself can judge it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from causalsem._values import FloatArray, IntArray

# Weights w^s: 0 is the naive loss, 1 the full correction.
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)


def tempered(weights: FloatArray, strength: float) -> FloatArray:
    """Return weights (n, arms) to a power, averaging one over the pairs of each arm that have any."""
    powered = np.where(weights > 0, np.where(weights > 0, weights, 1.0) ** strength, 0.0)
    count, total = (weights > 0).sum(axis=0), powered.sum(axis=0)
    scaled: FloatArray = powered * np.where(total > 0, count / np.where(total > 0, total, 1.0), 1.0)
    return scaled


def pointwise_error(predictor: FloatArray, y: FloatArray, *, binary: bool) -> FloatArray:
    """Return the cross-entropy of logits, else half the squared error: `predictor` (n, arms), `y` (n,) → (n, arms)."""
    if binary:
        return np.asarray(np.logaddexp(0, predictor) - y[:, None] * predictor)
    return np.asarray((predictor - y[:, None]) ** 2 / 2)


def choose_strength(errors: Mapping[float, FloatArray], weights: FloatArray, user: IntArray) -> float:
    """Return the strength of least weighted held-out error, 0 unless it beats 0 by a paired standard error over users.

    `errors` holds each strength's pointwise errors out of fold (n, arms), `weights` (n, arms) are those of the full
    correction: where propensities are right they make the held-out log speak for all pairs, whatever was fitted.
    The rule of one standard error leans to the naive fit, which needs no propensity (Breiman et al. 1984).
    """
    naive = (errors[0.0] * weights).sum(axis=1)
    gains = {s: np.bincount(user, naive - (error * weights).sum(axis=1)) for s, error in errors.items()}
    best = max(gains, key=lambda s: float(gains[s].sum()))
    gain = gains[best][np.bincount(user, weights.sum(axis=1)) > 0]
    error = float(np.sqrt(len(gain)) * gain.std(ddof=1)) if len(gain) > 1 else np.inf
    return best if gain.sum() > error else 0.0
