"""Scans of conditioning sets in machine code where a variable is a block of columns.

A variable k has the columns W·k … W·k + widths[k] − 1 of the correlations. How much two variables depend is told as
−log p of Wilks' Λ (Bartlett 1938). The Cholesky factor of a set is kept for the members that the next set shares.
"""

from __future__ import annotations

import math

import numpy as np

from causalsem._compiled import compiled
from causalsem._values import FloatArray, IntArray
from causalsem.discovery.scan import LEAST_PIVOT
from causalsem.discovery.subsets import candidates_of, first_subset, next_subset

# From here on erfc is smaller than double precision holds.
FAR = 25.0


@compiled
def weakest_tests(
    R: FloatArray,
    widths: IntArray,
    n: float,
    members: IntArray,
    count: IntArray,
    owner: IntArray,
    pairs: IntArray,
    size: int,
    least: FloatArray,
    which: IntArray,
) -> None:
    """Write, for every pair (b, i, j), the least dependence given `size` of its members, and the set that leaves it.

    Its members are the first `count` of the row `owner` of `members`, j apart.
    """
    place, chosen, candidates = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(members.shape[1], np.int64)
    L, ends = _working_space(R, widths, size)
    for row in range(len(pairs)):
        b, i, j = pairs[row, 0], pairs[row, 1], pairs[row, 2]
        m = candidates_of(members[owner[row]], count[owner[row]], j, candidates)
        least[row] = np.inf
        first, correlations = first_subset(place, size, m), R[b]
        while first >= 0:
            for s in range(first, size):
                chosen[s] = candidates[place[s]]
            value = _dependence(correlations, widths, n, i, j, chosen, first, size, L, ends)
            if value < least[row]:
                least[row] = value
                which[row] = chosen
            first = next_subset(place, size, m)


@compiled
def collider_tests(
    R: FloatArray,
    widths: IntArray,
    n: float,
    members: IntArray,
    count: IntArray,
    triples: IntArray,
    sizes: IntArray,
    threshold: float,
    least: FloatArray,
    separating: IntArray,
) -> None:
    """Write, for triples (b, i, m, j), the least dependence without and with m (t, 2) and how many sets separate so.

    Sets of i's and of j's members of `sizes` (t, 2: first and last) are tried. The empty set counts for both ends.
    Up to `threshold` a set separates.
    """
    p = len(widths)
    most = int(sizes.max()) if len(sizes) else 0
    place, chosen, candidates = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(members.shape[1], np.int64)
    L, ends = _working_space(R, widths, most)
    for row in range(len(triples)):
        b, middle = triples[row, 0], triples[row, 2]
        for size in range(sizes[row, 0], sizes[row, 1] + 1):
            for end in range(2 if size else 1):
                i, j = triples[row, 1 + 2 * end], triples[row, 3 - 2 * end]
                m = candidates_of(members[b * p + i], count[b * p + i], j, candidates)
                first, correlations = first_subset(place, size, m), R[b]
                while first >= 0:
                    for s in range(first, size):
                        chosen[s] = candidates[place[s]]
                    value = _dependence(correlations, widths, n, i, j, chosen, first, size, L, ends)
                    side = 0
                    for s in range(size):
                        if chosen[s] == middle:
                            side = 1
                    least[row, side] = min(least[row, side], value)
                    if value <= threshold:
                        separating[row, side] += 1 if size else 2
                    first = next_subset(place, size, m)


@compiled
def _working_space(R: FloatArray, widths: IntArray, size: int) -> tuple[FloatArray, FloatArray]:
    """Return room for the set's Cholesky factor, and for the rows of the pair's columns below it."""
    W = R.shape[1] // max(len(widths), 1)
    return np.zeros((size * W, size * W)), np.zeros((2 * W, (size + 2) * W))


@compiled
def _dependence(
    R: FloatArray, widths: IntArray, n: float, i: int, j: int, chosen: IntArray, first: int, size: int, L: FloatArray, ends: FloatArray
) -> float:
    """Return how much i and j depend given `chosen`, of which the members before `first` stand in the factor L already."""
    p = len(widths)
    W = R.shape[1] // p
    start = 0
    for s in range(first):
        start += widths[chosen[s]]
    total = start
    for s in range(first, size):
        for t in range(widths[chosen[s]]):
            _add_row(R, widths, W * chosen[s] + t, chosen, W, total, L[total], L)
            total += 1
    return _minus_log_p(R, widths, n, i, j, chosen, W, size, total, L, ends)


@compiled
def _add_row(R: FloatArray, widths: IntArray, column: int, chosen: IntArray, W: int, total: int, row: FloatArray, L: FloatArray) -> None:
    """Write the Cholesky row of a column below the first `total` columns of the chosen blocks, its pivot at [total]."""
    left, e, s, t = 1.0, 0, 0, 0
    while e < total:
        value = R[column, W * chosen[s] + t]
        for f in range(e):
            value -= row[f] * L[e, f]
        value /= L[e, e]
        row[e] = value
        left -= value * value
        e += 1
        t += 1
        if t == widths[chosen[s]]:
            s += 1
            t = 0
    row[total] = math.sqrt(max(left, LEAST_PIVOT))


@compiled
def _minus_log_p(
    R: FloatArray,
    widths: IntArray,
    n: float,
    i: int,
    j: int,
    chosen: IntArray,
    W: int,
    size: int,
    total: int,
    L: FloatArray,
    ends: FloatArray,
) -> float:
    """Return −log p of Wilks' Λ of the blocks i and j given the `total` columns of the set, Λ = det(j | set, i) / det(j | set)."""
    wi, wj = widths[i], widths[j]
    for t in range(wi + wj):
        column = W * i + t if t < wi else W * j + t - wi
        _add_row(R, widths, column, chosen, W, total, ends[t], L)
    log_ratio = _log_det_of_last(R, W, i, j, wi, wj, total, ends, True) - _log_det_of_last(R, W, i, j, wi, wj, total, ends, False)
    df = wi * wj
    factor = max(n - total - 2 - df / 4, 1.0)
    return -_log_chi_square_tail(max(-factor * log_ratio, 0.0), df)


@compiled
def _log_det_of_last(R: FloatArray, W: int, i: int, j: int, wi: int, wj: int, total: int, ends: FloatArray, with_i: bool) -> float:
    """Return log det of what is left of j's columns given the set (and i's columns), by Cholesky of the pair's residuals."""
    skip = 0 if with_i else wi
    q = wi + wj - skip
    C = np.empty((q, q))
    log_det = 0.0
    for s in range(q):
        for t in range(s + 1):
            u, v = s + skip, t + skip
            a = W * i + u if u < wi else W * j + u - wi
            b = W * i + v if v < wi else W * j + v - wi
            value = R[a, b]
            for f in range(total):
                value -= ends[u, f] * ends[v, f]
            for f in range(t):
                value -= C[s, f] * C[t, f]
            C[s, t] = math.sqrt(max(value, LEAST_PIVOT)) if s == t else value / C[t, t]
        if s + skip >= wi:
            log_det += 2 * math.log(C[s, s])
    return log_det


@compiled
def _log_chi_square_tail(x: float, df: int) -> float:
    """Return log P(χ²_df > x) in closed form; far tails stay finite."""
    half = x / 2
    if half == 0.0:
        return 0.0
    # log of Σ halfᵏ / Γ(k + 1) over k = 0, 1 … (even df) or ½, 3/2 … (odd df), each term times exp(−half).
    largest, sum_of = -np.inf, 0.0
    for t in range(df // 2):
        k = t + 0.5 * (df % 2)
        term = k * math.log(half) - math.lgamma(k + 1) - half
        if term > largest:
            sum_of = sum_of * math.exp(largest - term) + 1.0
            largest = term
        else:
            sum_of += math.exp(term - largest)
    if df % 2:
        root = math.sqrt(half)
        term = math.log(math.erfc(root)) if root < FAR else -half - math.log(root * math.sqrt(math.pi))
        if term > largest:
            sum_of = sum_of * math.exp(largest - term) + 1.0
            largest = term
        else:
            sum_of += math.exp(term - largest)
    return min(largest + math.log(sum_of), 0.0)
