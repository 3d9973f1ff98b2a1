"""How much of a correction to believe: the weights' power, chosen where the log itself can judge it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Gain:
    """By how much a choice lowers the weighted error on unseen folds, per unit of weight, and its standard error over users."""

    value: float
    se: float

    @property
    def sure(self) -> float:
        """What is left of the gain after a standard error is taken off."""
        return self.value - self.se

    def clears(self, bar: float = 1.0) -> bool:
        """Say whether it is worth more than `bar` standard errors: else the simpler choice stays (Breiman et al. 1984 ask for one)."""
        return self.value > bar * self.se


def paired_gain(before: FloatArray, after: FloatArray, weights: FloatArray, user: IntArray) -> Gain:
    """Return what `after` gains on `before`, pointwise errors out of fold: all (n, arms), `user` (n,).

    `weights` are those of the full correction: where propensities are right they make the held-out log speak for
    all pairs, whatever was fitted.
    """
    own = np.bincount(user, ((before - after) * weights).sum(axis=1))
    own, total = own[np.bincount(user, weights.sum(axis=1)) > 0], float(weights.sum())
    se = float(np.sqrt(len(own)) * own.std(ddof=1)) if len(own) > 1 else np.inf
    return Gain(float(own.sum()) / total, se / total)


def choose_strength(errors: Mapping[float, FloatArray], weights: FloatArray, user: IntArray) -> float:
    """Return the strength of the surest gain on the naive fit over unseen pairs: the gain less its paired standard error over users.

    It is 0 if no gain exceeds its error. `errors` holds each strength's pointwise errors (see `paired_gain`). The largest gain is
    often that of a large strength, whose weights make it least certain; this rule takes a smaller one rather than none.
    """
    gains = {s: paired_gain(errors[0.0], error, weights, user) for s, error in errors.items()}
    return max(gains, key=lambda s: gains[s].sure if s else 0.0)


def softened(propensity: FloatArray, seen: FloatArray, strength: float) -> FloatArray:
    """Return propensities (n, arms) to a power, scaled so that their inverse weights average one over all pairs.

    At 1 they are left as they are; at 0 they know each arm's share alone.
    """
    if strength == 1:
        return propensity
    powered = propensity**strength
    scaled: FloatArray = powered * (seen / powered).mean(axis=0)
    return np.where(seen.any(axis=0), scaled, propensity)
