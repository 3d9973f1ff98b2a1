"""Number functions of DirectLiNGAM: entropies of residuals, and the variable that depends on its residuals least.

Loaded on first use; with numba these are machine code, without it the same numbers in plain Python.
"""

from __future__ import annotations

import numpy as np

from causalsem._compiled import compiled, compiled_sums, translating
from causalsem._values import BoolArray, FloatArray

# Constants of the maximum-entropy approximation (Hyvärinen 1998).
K1, K2, GAMMA = 79.047, 7.4129, 0.37457
# Terms of a product of numbers below 2 that stays within double precision.
RUN = 512


@compiled_sums
def power(y: float) -> float:
    """Return exp(64 y) for −0.6 ≤ y ≤ 0, in operations that a processor does for several numbers at once.

    Taylor's series to the twelfth term, whose remainder stays below 1e-11 of exp(y); then squares.
    """
    r = 1 / 3628800 + y / 39916800
    r = 1 / 120 + y * (1 / 720 + y * (1 / 5040 + y * (1 / 40320 + y * (1 / 362880 + y * r))))
    r = 1.0 + y * (1.0 + y * (1 / 2 + y * (1 / 6 + y * (1 / 24 + y * r))))
    for _ in range(6):
        r *= r
    return r


if translating():

    @compiled_sums
    def mean_log_cosh_and_odd(x: FloatArray, y: FloatArray, a: float, b: float) -> tuple[float, float]:
        """Return the means of log cosh u and of u·exp(−u²/2) for u = a·x + b·y, arrays (n,)."""
        n = len(x)
        size, logs, odd = 0.0, 0.0, 0.0
        # log cosh u = |u| + log(1 + exp(−2|u|)) − log 2; products replace as many logarithms.
        for start in range(0, n, RUN):
            product = 1.0
            for t in range(start, min(start + RUN, n)):
                u = a * x[t] + b * y[t]
                m = abs(u)
                # Below −0.6 the powers are less than 1e-16.
                flat, steep = -m / 32, -u * u / 128
                flat = flat if flat > -0.6 else -0.6
                steep = steep if steep > -0.6 else -0.6
                size += m
                product *= 1.0 + power(flat)
                odd += u * power(steep)
            logs += np.log(product)
        return (size + logs) / n - np.log(2.0), odd / n

else:

    def mean_log_cosh_and_odd(x: FloatArray, y: FloatArray, a: float, b: float) -> tuple[float, float]:
        """Return the means of log cosh u and of u·exp(−u²/2) for u = a·x + b·y, arrays (n,)."""
        u = a * x + b * y
        size = np.abs(u)
        product = np.multiply.reduceat(1 + np.exp(-2 * size), np.arange(0, len(u), RUN))
        log_cosh = (size.sum() + np.log(product).sum()) / len(u) - np.log(2)
        return float(log_cosh), float((u * np.exp(-(u**2) / 2)).mean())


@compiled
def entropy(x: FloatArray, y: FloatArray, a: float, b: float) -> float:
    """Return the maximum-entropy approximation of the entropy of a·x + b·y, standardised, arrays (n,) (Hyvärinen 1998)."""
    log_cosh, odd = mean_log_cosh_and_odd(x, y, a, b)
    return (1 + np.log(2 * np.pi)) / 2 - K1 * (log_cosh - GAMMA) ** 2 - K2 * odd**2


@compiled
def least_dependent(X: FloatArray, C: FloatArray, free: BoolArray, expected: FloatArray, guess: int) -> tuple[int, FloatArray]:
    """Return the free variable that depends least on its residuals, and lower bounds (k,) of every variable's dependence.

    X (k, n) is standardised, C (k, k) its correlation. `expected[i, j]` says how much j may tell against i; the most
    telling pairs are looked at first, beginning with `guess`, and their sums are written to it.
    """
    k = len(X)
    own, sums, met = np.empty(k), np.zeros(k), np.zeros((k, k), dtype=np.bool_)
    for i in range(k):
        own[i] = entropy(X[i], X[i], 1.0, 0.0)
        met[i, i] = True
    at = guess
    while True:
        j = -1
        for other in range(k):
            if not met[at, other] and (j < 0 or expected[at, other] > expected[at, j]):
                j = other
        if j < 0:
            return at, sums
        c = C[at, j]
        s = 1 / np.sqrt(1 - c * c)
        # The information that `at` and its residual share, less what the reverse regression leaves.
        d = own[j] + entropy(X[at], X[j], s, -c * s) - own[at] - entropy(X[j], X[at], s, -c * s)
        expected[at, j], expected[j, at] = min(0.0, d) ** 2, min(0.0, -d) ** 2
        sums[at] += expected[at, j]
        sums[j] += expected[j, at]
        met[at, j] = met[j, at] = True
        for i in range(k):
            if free[i] and (sums[i] < sums[at] or not free[at]):
                at = i
