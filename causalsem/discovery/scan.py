"""Scans of conditioning sets in machine code: the loops of the skeleton phase over correlation matrices.

Subsets of each node's candidates are met in lexicographic order. What each member explains is swept out of the
covariances of those after it, once for all sets that go on from there, so that a test costs a few multiplications
whatever its size. `skeleton.ConditioningSets` does the same in batched numpy, for machines without numba;
`scan_blocks` for variables that are blocks of columns.
"""

from __future__ import annotations

import math

import numpy as np

from causalsem._compiled import compiled
from causalsem._values import FloatArray, IntArray
from causalsem.discovery.subsets import candidates_of, first_subset, next_subset

# A pivot below this is a variable that the set determines; it then explains nothing more.
LEAST_PIVOT = 1e-14


@compiled
def weakest_correlations(
    R: FloatArray, members: IntArray, count: IntArray, owner: IntArray, pairs: IntArray, size: int, least: FloatArray, which: IntArray
) -> None:
    """Do what `weakest_tests` does for single columns and size ≥ 1: all sets that differ in their last member at a time.

    What each member explains is swept out of the covariances of those after it, once for all sets that go on from
    there, so that a test costs a few multiplications whatever its size.
    """
    head, most = size - 1, members.shape[1]
    place, candidates = np.empty(head, np.int64), np.empty(most, np.int64)
    # After d members: covariances C[d] of the candidates, and V[d] theirs with i, with j and their own variances.
    C, V, pair = np.empty((max(head, 1), most, most)), np.empty((size, 3, most)), np.empty((size, 3))
    top, bottom = np.empty(most), np.empty(most)
    for row in range(len(pairs)):
        b, i, j = pairs[row, 0], pairs[row, 1], pairs[row, 2]
        m = candidates_of(members[owner[row]], count[owner[row]], j, candidates)
        _gather(R[b], i, j, candidates[:m], head > 0, C[0], V[0], pair[0])
        over, under, best = np.inf, 1.0, -1
        first = first_subset(place, head, m - 1)
        while first >= 0:
            for d in range(first, head):
                _sweep(C, V, pair, d, place[d], m, d + 1 < head)
            start = place[head - 1] + 1 if head else 0
            _squared(V[head, :, start:m], pair[head], top, bottom)
            best = -1
            for t in range(m - start):
                if top[t] * under < over * bottom[t]:
                    over, under, best = top[t], bottom[t], start + t
            if best >= 0:
                for d in range(head):
                    which[row, d] = candidates[place[d]]
                which[row, head] = candidates[best]
            first = next_subset(place, head, m - 1)
        least[row] = min(math.sqrt(over / under), 1.0)


@compiled
def collider_correlations(
    R: FloatArray,
    n: float,
    members: IntArray,
    count: IntArray,
    triples: IntArray,
    group: IntArray,
    sizes: IntArray,
    threshold: float,
    least: FloatArray,
    separating: IntArray,
) -> None:
    """Do what `collider_tests` does for single columns, for triples sorted by their ends: group[g] … group[g + 1] share them."""
    p, most = R.shape[1], members.shape[1]
    deepest = max(int(sizes.max()), 1) if len(sizes) else 1
    place, candidates, spot = np.empty(deepest, np.int64), np.empty(most, np.int64), np.empty(len(triples), np.int64)
    C, V, pair = np.empty((deepest, most, most)), np.empty((deepest, 3, most)), np.empty((deepest, 3))
    squared, smallest = np.empty((2, most)), np.empty((len(triples), 2))
    for g in range(len(group) - 1):
        lo, hi = group[g], group[g + 1]
        b = triples[lo, 0]
        if sizes[lo, 0] == 0 <= sizes[lo, 1]:
            value = _z_of_squared(R[b, triples[lo, 1], triples[lo, 3]] ** 2, n)
            for q in range(lo, hi):
                least[q, 0] = min(least[q, 0], value)
                # The empty set is met once for both ends.
                separating[q, 0] += 2 if value <= threshold else 0
        for end in range(2):
            i, j = triples[lo, 1 + 2 * end], triples[lo, 3 - 2 * end]
            m = candidates_of(members[b * p + i], count[b * p + i], j, candidates)
            _find(triples[lo:hi, 2], candidates[:m], spot)
            last = min(sizes[lo, 1], m)
            _gather(R[b], i, j, candidates[:m], last > 1, C[0], V[0], pair[0])
            for size in range(max(sizes[lo, 0], 1), last + 1):
                limit = math.tanh(threshold / math.sqrt(n - size - 3)) ** 2
                _split_by_middle(C, V, pair, m, place[: size - 1], spot[: hi - lo], limit, squared, smallest, separating[lo:hi])
                for q in range(lo, hi):
                    for side in range(2):
                        if smallest[q - lo, side] < np.inf:
                            least[q, side] = min(least[q, side], _z_of_squared(smallest[q - lo, side], n - size))


@compiled
def _find(wanted: IntArray, candidates: IntArray, spot: IntArray) -> None:
    """Write at which place of the candidates each wanted node stands, −1 for none."""
    for q in range(len(wanted)):
        spot[q] = -1
        for t in range(len(candidates)):
            if candidates[t] == wanted[q]:
                spot[q] = t


@compiled
def _split_by_middle(
    C: FloatArray,
    V: FloatArray,
    pair: FloatArray,
    m: int,
    place: IntArray,
    spot: IntArray,
    limit: float,
    squared: FloatArray,
    smallest: FloatArray,
    separating: IntArray,
) -> None:
    """Write the smallest squared correlation given sets without and with each middle, and add how many are up to the limit.

    Sets have one member more than `place` has room for; `spot` tells the middles' places among the m candidates.
    """
    head = len(place)
    smallest[: len(spot)] = np.inf
    first = first_subset(place, head, m - 1)
    while first >= 0:
        for d in range(first, head):
            _sweep(C, V, pair, d, place[d], m, d + 1 < head)
        start = place[head - 1] + 1 if head else 0
        _squared(V[head, :, start:m], pair[head], squared[0], squared[1])
        for q in range(len(spot)):
            inside = False
            for d in range(head):
                inside |= place[d] == spot[q]
            for t in range(m - start):
                side = 1 if inside or start + t == spot[q] else 0
                value = squared[0, t] / squared[1, t]
                smallest[q, side] = min(smallest[q, side], value)
                separating[q, side] += value <= limit
        first = next_subset(place, head, m - 1)


@compiled
def _gather(R: FloatArray, i: int, j: int, candidates: IntArray, wide: bool, C: FloatArray, V: FloatArray, pair: FloatArray) -> None:
    """Write the correlations of a pair and of its candidates; those among the candidates when the sets are `wide`."""
    pair[0], pair[1], pair[2] = R[i, j], 1.0, 1.0
    m = len(candidates)
    for t in range(m):
        k = candidates[t]
        V[0, t], V[1, t], V[2, t] = R[i, k], R[j, k], 1.0
        if wide:
            for u in range(t + 1, m):
                C[t, u] = R[k, candidates[u]]


@compiled
def _sweep(C: FloatArray, V: FloatArray, pair: FloatArray, d: int, k: int, m: int, wide: bool) -> None:
    """Take what candidate k explains out of the covariances at depth d, of the candidates after k; write them at depth d + 1."""
    of_i, of_j, pivot = V[d, 0, k], V[d, 1, k], max(V[d, 2, k], LEAST_PIVOT)
    pair[d + 1, 0] = pair[d, 0] - of_i * of_j / pivot
    pair[d + 1, 1] = pair[d, 1] - of_i * of_i / pivot
    pair[d + 1, 2] = pair[d, 2] - of_j * of_j / pivot
    own, after, below = C[d, k, k + 1 : m], V[d, :, k + 1 : m], V[d + 1, :, k + 1 : m]
    for t in range(len(own)):
        share = own[t] / pivot
        below[0, t] = after[0, t] - share * of_i
        below[1, t] = after[1, t] - share * of_j
        below[2, t] = after[2, t] - share * own[t]
    if wide:
        for u in range(k + 1, m):
            share = C[d, k, u] / pivot
            source, target, line = C[d, u, u + 1 : m], C[d + 1, u, u + 1 : m], C[d, k, u + 1 : m]
            for t in range(len(line)):
                target[t] = source[t] - share * line[t]


@compiled
def _squared(V: FloatArray, pair: FloatArray, top: FloatArray, bottom: FloatArray) -> None:
    """Write numerator and denominator of the squared partial correlations given one more candidate, of those in V."""
    r, left_i, left_j = pair[0], pair[1], pair[2]
    of_i, of_j, left = V[0], V[1], V[2]
    for t in range(len(left)):
        own = max(left[t], LEAST_PIVOT)
        cross = r * own - of_i[t] * of_j[t]
        least = LEAST_PIVOT * own
        top[t] = cross * cross
        bottom[t] = max(left_i * own - of_i[t] * of_i[t], least) * max(left_j * own - of_j[t] * of_j[t], least)


@compiled
def _z_of_squared(squared: float, rows: float) -> float:
    """Return |z| of a squared correlation of so many rows."""
    return math.sqrt(rows - 3) * math.atanh(min(math.sqrt(squared), 1 - 1e-16))
