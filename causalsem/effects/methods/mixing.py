"""Mixtures of two cross-fitted predictions, weighed by what neither had seen (van der Laan, Polley & Hubbard 2007)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causalsem._values import BoolArray, FloatArray, IntArray
from causalsem.effects.nuisance import CrossFit, Learner, is_binary, make_folds

WEIGHTS = np.linspace(0.0, 1.0, 21)
SMALLEST_CHANCE = 1e-6
PARTS = 5


def mixed_mean(y: FloatArray, one: FloatArray, other: FloatArray, seen: BoolArray) -> FloatArray:
    """Return the mixture (n,) of two predictions that errs least, squared, on the rows where y was `seen`."""
    return np.asarray(other + share_of_mean(y[seen], one[seen], other[seen]) * (one - other))


def mixed_chance(happened: BoolArray, one: FloatArray, other: FloatArray) -> FloatArray:
    """Return the mixture (n,) of two probabilities under which what happened is likeliest."""
    return np.asarray(other + share_of_chance(happened, one, other) * (one - other))


def share_of_mean(y: FloatArray, one: FloatArray, other: FloatArray) -> float:
    """Return the share of `one` in the mixture of two predictions (n,) that errs least, squared."""
    gap = one - other
    square = float((gap**2).sum())
    return float(np.clip((gap * (y - other)).sum() / square, 0.0, 1.0)) if square > 0 else 1.0


def share_of_chance(happened: BoolArray, one: FloatArray, other: FloatArray) -> float:
    """Return the share of `one` in the mixture of two probabilities (n,) under which what happened is likeliest."""

    def surprise(share: float) -> float:
        p = np.clip(share * one + (1 - share) * other, SMALLEST_CHANCE, 1 - SMALLEST_CHANCE)
        return -float(np.log(np.where(happened, p, 1 - p)).sum())

    return min(WEIGHTS.tolist(), key=surprise)


@dataclass(frozen=True)
class Mixed:
    """The mixture of two learners that did best on rows unseen by both; its share is one number for all folds."""

    one: Learner
    other: Learner

    def on(self, Z: FloatArray) -> CrossFit:
        """Prepare the columns Z (n, k), once for all targets."""
        first, second = self.one.on(Z), self.other.on(Z)

        def cross_fit(y: FloatArray, train: BoolArray, folds: IntArray, seed: int) -> FloatArray:
            one, other = first(y, train, folds, seed), second(y, train, folds, seed)
            share = _share(y, one, other, train)
            if folds.max() == 0:  # nothing was unseen, so the share is that of folds of their own
                parts = make_folds(len(y), PARTS, seed)
                share = _share(y, first(y, train, parts, seed), second(y, train, parts, seed), train)
            return np.asarray(other + share * (one - other))

        return cross_fit


def _share(y: FloatArray, one: FloatArray, other: FloatArray, seen: BoolArray) -> float:
    if is_binary(y[seen]):
        return share_of_chance(y[seen] == 1, one[seen], other[seen])
    return share_of_mean(y[seen], one[seen], other[seen])
