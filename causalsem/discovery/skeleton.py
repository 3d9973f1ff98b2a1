"""The skeleton phase of PC, level by level, on one or many data sets (Spirtes & Glymour 1991, Colombo & Maathuis 2014)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass
from functools import cache
from itertools import combinations, pairwise, starmap

import numpy as np
from scipy.special import comb

from causalsem._compiled import COMPILED
from causalsem._values import BoolArray, FloatArray, IntArray
from causalsem.discovery.budget import out_of_time, while_in_time
from causalsem.discovery.scan import weakest_correlations
from causalsem.discovery.scan_blocks import weakest_tests
from causalsem.discovery.stack import Stack, Tests, z_of_log_p, z_statistic

# Tests evaluated together: their working arrays stay in the processor's cache.
CHUNK = 1 << 15
# Tests scanned between two looks at the clock, of single columns and of blocks: a fraction of a second.
TESTS_AT_ONCE, BLOCK_TESTS_AT_ONCE = 1 << 24, 1 << 19


@dataclass(frozen=True, slots=True, eq=False)
class Skeleton:
    """Skeletons of B data sets: `adjacent` (B, p, p), and for every removed pair the test that removed it.

    `level` (B, p, p) is the size of the conditioning sets at which a pair fell (−1: still there, or never tested),
    `weakest` (B, p, p) the smallest |z| at that level, `depth` the largest size tested.
    `fallen` holds, for every size, the pairs (b, i, j) that fell and the conditioning set of their smallest |z|.
    """

    adjacent: BoolArray
    level: IntArray
    weakest: FloatArray
    fallen: tuple[tuple[IntArray, IntArray], ...]
    depth: int

    def sepsets(self, b: int) -> Sepsets:
        """Return, for the pairs i < j of data set b that fell, the set that makes them least dependent."""
        told = Sepsets(self.adjacent.shape[1])
        for pairs, sets in self.fallen:
            own = pairs[:, 0] == b
            # Pairs stand in the order of falling |z|, so the weakest dependence has the last word.
            told.put(pairs[own, 1:], sets[own])
        return told


class Sepsets(MutableMapping[tuple[int, int], tuple[int, ...]]):
    """The set that separates each pair i < j, of those that one is known of."""

    def __init__(self, p: int) -> None:
        self.p = p
        # One number a pair as its key: thousands of pairs would keep the garbage collector busy.
        self.told: dict[int, tuple[int, ...]] = {}

    def put(self, pairs: IntArray, sets: IntArray) -> None:
        """Keep the sets (k, size) of pairs (k, 2), in either order of their ends."""
        keys = (pairs.min(axis=1) * self.p + pairs.max(axis=1)).tolist()
        self.told.update(zip(keys, map(tuple, sets.tolist()), strict=True) if sets.shape[1] else dict.fromkeys(keys, ()))

    def __getitem__(self, pair: tuple[int, int]) -> tuple[int, ...]:
        return self.told[pair[0] * self.p + pair[1]]

    def __setitem__(self, pair: tuple[int, int], separating: tuple[int, ...]) -> None:
        self.told[pair[0] * self.p + pair[1]] = separating

    def __delitem__(self, pair: tuple[int, int]) -> None:
        del self.told[pair[0] * self.p + pair[1]]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return (divmod(key, self.p) for key in self.told)

    def __len__(self) -> int:
        return len(self.told)

    def __contains__(self, pair: object) -> bool:
        return isinstance(pair, tuple) and pair[0] * self.p + pair[1] in self.told


def skeletons(data: Tests, threshold: float, apart: BoolArray, joined: BoolArray, never: BoolArray, most: int) -> Skeleton:
    """Return the stable skeletons of B data sets.

    A pair falls when some |z| ≤ threshold given a subset of one end's neighbours. Pairs `apart` (p, p) have no edge,
    pairs `joined` keep theirs, never[i, j] keeps i out of the sets that separate j. Sets have at most `most` members.
    When time is up, pairs not tested yet keep their edge.
    """
    B, p, n = data.size, data.p, data.n
    adjacent = np.broadcast_to(~apart & ~np.eye(p, dtype=bool), (B, p, p)).copy()
    level = np.full((B, p, p), -1, dtype=np.int64)
    weakest = np.full((B, p, p), np.inf)
    fallen: list[tuple[IntArray, IntArray]] = []
    size = 0
    while size <= most and n - size - 3 > 0 and not out_of_time():
        tests = ConditioningSets(data, adjacent, never)
        pairs = np.argwhere(np.triu(adjacent & ~joined) if size == 0 else adjacent & ~joined)
        if size:
            pairs = pairs[tests.choices(pairs) >= size]
        if not len(pairs):
            break
        least, which = weakest_of(tests, pairs, size)
        fell = least <= threshold
        # Of both ends' tests the weaker dependence counts, so that the order of columns does not: it is written last.
        order = np.flatnonzero(fell)[np.argsort(-least[fell], kind="stable")]
        b, i, k = pairs[order].T
        adjacent[b, i, k] = adjacent[b, k, i] = False
        level[b, i, k] = level[b, k, i] = size
        for one, other in ((i, k), (k, i)):
            weakest[b, one, other] = np.minimum(weakest[b, one, other], least[order])
        fallen.append((pairs[order], which[order]))
        size += 1
    return Skeleton(adjacent, level, weakest, tuple(fallen), max(size - 1, 0))


def weakest_of(tests: ConditioningSets, pairs: IntArray, size: int) -> tuple[FloatArray, IntArray]:
    """Return the smallest |z| of every pair (b, i, j) over its sets of one size, and that set."""
    least = np.full(len(pairs), np.inf)
    which = np.zeros((len(pairs), size), dtype=np.int64)
    if COMPILED and isinstance(tests.data, Stack):
        most = math.comb(int(tests.count.max(initial=0)), size)
        for some in in_time_slices(len(pairs), most, lambda: comb(tests.choices(pairs), size), tests.data, f"tests given {size}"):
            scan(tests, pairs[some], size, least[some], which[some])
        return least, which
    for rows, sets, z in tests.of_size(pairs, size):
        best = np.argmin(z, axis=1)
        value = z[np.arange(len(rows)), best]
        better = value < least[rows]
        least[rows[better]] = value[better]
        which[rows[better]] = sets[better, best[better]]
        if out_of_time():
            break
    return least, which


def in_time_slices(rows: int, most: int, count: Callable[[], FloatArray], data: Stack, what: str) -> Iterator[slice]:
    """Yield slices of rows that end in time to look at the clock in between; `count` tells the tests of each row, at `most` that many."""
    at_once = TESTS_AT_ONCE if data.widths is None else BLOCK_TESTS_AT_ONCE
    if rows * most <= at_once:
        yield slice(0, rows)
        return
    tests = count()
    full = np.flatnonzero(np.diff(np.cumsum(tests) // at_once)) + 1
    yield from while_in_time(list(starmap(slice, pairwise(np.unique([0, *full, rows]).tolist()))), what)


def scan(tests: ConditioningSets, pairs: IntArray, size: int, least: FloatArray, which: IntArray) -> None:
    """Write the smallest |z| of every pair over its sets of one size, and that set, by the machine code."""
    data = tests.data
    assert isinstance(data, Stack)
    if data.widths is None and size == 0:
        least[:] = np.abs(data.R[tuple(pairs.T)])
    elif data.widths is None:
        weakest_correlations(data.R, tests.members, tests.count, tests.owner(pairs), pairs, size, least, which)
    else:
        weakest_tests(data.R, data.columns, data.n, tests.members, tests.count, tests.owner(pairs), pairs, size, least, which)
    met = np.isfinite(least)
    least[met] = z_statistic(least[met], data.n - size) if data.widths is None else z_of_log_p(-least[met])


class ConditioningSets:
    """The subsets of neighbours to condition on, and tests given them, for B graphs at once."""

    def __init__(self, data: Tests, adjacent: BoolArray, never: BoolArray) -> None:
        # may[b, i, k]: k may separate i from others.
        self.listed(data, (adjacent & ~never.T).reshape(data.size * data.p, data.p))

    def listed(self, data: Tests, may: BoolArray) -> None:
        """Keep the candidates of each row of `may` (rows, p), as a list and by rank."""
        self.data, self.may = data, may
        self.count = may.sum(axis=1)
        self.rank = np.cumsum(may, axis=1, dtype=np.int32) - 1
        self.members = np.zeros((len(may), max(int(self.count.max(initial=0)), 1)), dtype=np.int64)
        node, member = np.nonzero(may)
        self.members[node, self.rank[node, member]] = member

    def owner(self, pairs: IntArray) -> IntArray:
        """Return the row of `may` that belongs to each pair (b, i, j): that of i."""
        return np.asarray(pairs[:, 0] * self.data.p + pairs[:, 1])

    def choices(self, pairs: IntArray) -> IntArray:
        """Return, for pairs (b, i, j), how many candidates other than j may be conditioned on."""
        node = self.owner(pairs)
        return np.asarray(self.count[node] - self.may[node, pairs[:, 2]])

    def of_size(self, pairs: IntArray, size: int) -> Iterator[tuple[IntArray, IntArray, FloatArray]]:
        """Yield (rows of `pairs`, sets (g, k, size), |z| (g, k)) over all sets of one size."""
        if size == 0:
            for start in range(0, len(pairs), CHUNK):
                some = np.arange(start, min(start + CHUNK, len(pairs)))
                sets = np.zeros((len(some), 1, 0), dtype=np.int64)
                yield some, sets, self.data.z(pairs[some], sets)
            return
        node, j = self.owner(pairs), pairs[:, 2]
        inside = self.may[node, j]
        count = self.count[node] - inside
        hole = np.where(inside, self.rank[node, j], self.data.p)
        for m in np.unique(count):
            if m < size:
                continue
            rows = np.flatnonzero(count == m)
            table = _combinations(int(m), size)
            for start in range(0, len(table), CHUNK):
                part = table[start : start + CHUNK]
                step = max(CHUNK // len(part), 1)
                for first in range(0, len(rows), step):
                    some = rows[first : first + step]
                    position = part[None] + (part[None] >= hole[some, None, None])
                    sets = self.members[node[some, None, None], position]
                    yield some, sets, self.data.z(pairs[some], sets)


@cache
def _combinations(m: int, size: int) -> IntArray:
    """Return the subsets of range(m) of one size, (k, size)."""
    table = np.array(list(combinations(range(m), size)), dtype=np.int64).reshape(-1, size)
    table.setflags(write=False)
    return table
