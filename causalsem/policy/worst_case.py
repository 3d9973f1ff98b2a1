"""Where a policy's value can lie whatever cut weights left out; number-functions: arrays in, numbers out."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from causalsem._values import FloatArray
from causalsem.policy.tuning import Z, levels_of

ErrorOf = Callable[[FloatArray], float]
CUTS = 30
# Above this tail index weights have no variance worth the name, and a normal interval promises too much.
HEAVIEST = 0.5
LEAST_TAIL = 5


class Ends(NamedTuple):
    """The two numbers (2,) that a value lies between, and the influence function of each (2, n)."""

    values: FloatArray
    psi: FloatArray


def ends_of(r: FloatArray, w: FloatArray, used: FloatArray, low: float, high: float) -> Ends:
    """Return the ends of the value E[w r] if of the weights w (n,) only the part `used` ≤ w is trusted to the rounds.

    Mean rewards lie in [low, high], and E[w] = 1: low + E[used (r − low)] ≤ E[w r] ≤ high − E[used (high − r)], the inner
    interval of Bottou et al. (2013, section 4.4). As E[w] is known, only the used weights need to be seen.
    """
    terms = np.stack([low + used * (r - low), high - used * (high - r)])
    values = terms.mean(axis=1)
    order = [0, 1] if values[0] <= values[1] else [1, 0]  # they cross where, by chance, used weights average above 1
    return Ends(values[order], (terms - values[:, None])[order])


def shortest_cut(r: FloatArray, w: FloatArray, low: float, high: float, error_of: ErrorOf) -> float:
    """Return the cut λ whose weights min(w, λ) leave the shortest interval, ends and their errors together; ∞ for none.

    Armstrong & Kolesár (2021): as the worst bias is in the interval, the length may choose how much of it to bear.
    """

    def length(cut: float) -> float:
        found = ends_of(r, w, np.minimum(w, cut), low, high)
        return float(np.ptp(found.values)) + Z * (error_of(found.psi[0]) + error_of(found.psi[1]))

    return min((math.inf, *levels_of(w, CUTS).tolist()), key=length)


def tail_index(w: FloatArray) -> float:
    """Return the shape k of a generalised Pareto tail of the weights (n,): moments from 1/k on do not exist.

    Of the largest min(n/5, 3√n), by Zhang & Stephens (2009) with the prior of Vehtari et al. (2024); −∞ where they are equal.
    """
    largest = np.sort(w[w > 0])
    m = int(min(len(largest) / 5, 3 * math.sqrt(len(largest))))
    if m < LEAST_TAIL:
        return math.inf
    x = largest[-m:] - largest[-m - 1]
    if x[-1] <= 1e-9 * largest[-1]:
        return -math.inf
    x = np.maximum(x, 1e-9 * x[-1])
    count = 30 + int(math.sqrt(m))
    b = 1 / x[-1] + (1 - np.sqrt(count / (np.arange(1, count + 1) - 0.5))) / (3 * x[int(m / 4 + 0.5) - 1])
    k = np.log1p(-b[:, None] * x).mean(axis=1)  # (count,)
    fit = m * (np.log(-b / k) - k - 1)
    share = np.exp(fit - fit.max())
    best = float((b * share).sum() / share.sum())
    return float((m * np.log1p(-best * x).mean() + 0.5 * 10) / (m + 10))
