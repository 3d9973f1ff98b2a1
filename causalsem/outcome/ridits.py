"""Ridits: an ordered outcome on the scale of chances."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from causalsem._values import FloatArray


def ridits(values: npt.ArrayLike) -> FloatArray:
    """Return, for each value, the share of the values that are smaller, ties counted half (Bross 1958): (n,), NaN stays NaN.

    As the outcome of `fit_outcome`, E[ridit | do(T)] is the chance that a pair is liked better than one drawn from the log. It
    asks nothing of the distances between the levels of a rating, so that rare extremes weigh no more than their rank.
    """
    given = np.asarray(values, dtype=np.float64)
    seen = ~np.isnan(given)
    _, level, count = np.unique(given[seen], return_inverse=True, return_counts=True)
    found = np.full(given.shape, np.nan)
    found[seen] = ((np.cumsum(count) - count / 2) / max(1, count.sum()))[level]
    return found
