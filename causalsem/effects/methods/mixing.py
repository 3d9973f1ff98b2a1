"""Mixtures of two cross-fitted predictions, weighed by what neither had seen (van der Laan, Polley & Hubbard 2007)."""

from __future__ import annotations

import numpy as np

from causalsem._values import BoolArray, FloatArray

WEIGHTS = np.linspace(0.0, 1.0, 21)
SMALLEST_CHANCE = 1e-6


def mixed_mean(y: FloatArray, one: FloatArray, other: FloatArray, seen: BoolArray) -> FloatArray:
    """Return the mixture (n,) of two predictions that errs least, squared, on the rows where y was `seen`."""
    gap = one - other
    square = float((gap[seen] ** 2).sum())
    share = float((gap[seen] * (y - other)[seen]).sum()) / square if square > 0 else 1.0
    return np.asarray(other + np.clip(share, 0.0, 1.0) * gap)


def mixed_chance(happened: BoolArray, one: FloatArray, other: FloatArray) -> FloatArray:
    """Return the mixture (n,) of two probabilities under which what happened is likeliest."""

    def surprise(share: float) -> float:
        p = np.clip(share * one + (1 - share) * other, SMALLEST_CHANCE, 1 - SMALLEST_CHANCE)
        return -float(np.log(np.where(happened, p, 1 - p)).sum())

    share = min(WEIGHTS.tolist(), key=surprise)
    return np.asarray(share * one + (1 - share) * other)
