"""How much to shrink weights, chosen by the rounds themselves; number-functions over candidates, least biased first."""

from __future__ import annotations

from typing import Literal

import numpy as np

from causalsem._values import FloatArray

Choice = Literal["slope", "mse"]
Z = 1.959963984540054
# Tucker & Lee (2021): with this factor in place of 1, the bound of SLOPE is smallest.
OTHERS = 6**0.5 - 1


def by_slope(values: FloatArray, errors: FloatArray) -> int:
    """Return the last candidate whose interval still meets those of all before it (Lepski's rule).

    SLOPE (Su, Srinath & Krishnamurthy 2020) with the constant of Tucker & Lee (2021): candidates go from little bias and
    much variance to the reverse; as long as they agree within their errors, the surer one is taken.
    """
    for k in range(1, len(values)):
        if (np.abs(values[k] - values[:k]) > Z * (errors[k] + OTHERS * errors[:k])).any():
            return k - 1
    return len(values) - 1


def by_mse(values: FloatArray, errors: FloatArray, difference_errors: FloatArray) -> int:
    """Return the candidate with the least estimated mean squared error, squared bias + variance.

    The bias is the difference from the first candidate, whose square is too large by the variance of that difference
    (`difference_errors` squared, from influence functions), so that is taken off. Wang, Agarwal & Dudík (2017) and Su et
    al. (2020) trade the same two, by upper bounds of the bias; with a bound nothing was ever shrunk in benchmarks/policy.py.
    """
    squared_bias = np.maximum((values - values[0]) ** 2 - difference_errors**2, 0.0)
    return int(np.argmin(squared_bias + errors**2))


def levels_of(w: FloatArray, count: int = 15) -> FloatArray:
    """Return weights from the largest down to the lower quartile of the positive ones, evenly in logarithms."""
    positive = w[w > 0]
    if not positive.size:
        return np.ones(1)
    return np.geomspace(float(positive.max()), float(np.quantile(positive, 0.25)), count)
