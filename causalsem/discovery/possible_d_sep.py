"""Separating sets that lie outside of the neighbours: subsets of possible-d-sep sets (Spirtes et al. 2000)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import comb

from causalsem._compiled import compiled
from causalsem._values import BoolArray, IntArray
from causalsem.discovery.budget import out_of_time
from causalsem.discovery.order import reachable
from causalsem.discovery.skeleton import ConditioningSets, weakest_of
from causalsem.discovery.stack import Tests
from causalsem.graph.causal_graph import ARROW, MarkArray

# A pair's possible-d-sep sets are searched up to the size at which one more would exceed this many tests.
MOST_SETS = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class Late:
    """How possible-d-sep sets are searched: pairs `joined` stay, others fall when |z| ≤ threshold, given one of at most
    `most_sets` sets of a size."""

    joined: BoolArray
    threshold: float
    most_sets: int = MOST_SETS


class OwnSets(ConditioningSets):
    """The subsets to condition on where each ordered pair (0, i, j) has candidates of its own, `may` (pairs, p)."""

    def __init__(self, data: Tests, pairs: IntArray, may: BoolArray) -> None:
        self.row = np.zeros((data.p, data.p), dtype=np.int64)
        self.row[pairs[:, 1], pairs[:, 2]] = np.arange(len(pairs))
        self.listed(data, may)

    def owner(self, pairs: IntArray) -> IntArray:
        """Return the row of `may` that belongs to each pair."""
        return np.asarray(self.row[pairs[:, 1], pairs[:, 2]])


def late_separations(data: Tests, most: int, marks: MarkArray, late: Late, never: BoolArray) -> dict[tuple[int, int], tuple[int, ...]]:
    """Return the adjacent pairs that a subset of one end's possible-d-sep set separates, with that set.

    All pairs are tested on the same graph, so column order does not matter.
    """
    pairs = np.argwhere(((marks != 0) & ~late.joined)[None])
    if out_of_time():
        return {}
    tests = OwnSets(data, pairs, possible_d_sep(marks, pairs[:, 1:]) & ~never.T[pairs[:, 1]])
    removed: dict[tuple[int, int], tuple[int, ...]] = {}
    size = 1
    while size <= most and data.n - size - 3 > 0 and not out_of_time():
        choices = tests.choices(pairs)
        pairs = pairs[(choices >= size) & (comb(choices, size) <= late.most_sets)]
        if not len(pairs):
            break
        least, which = weakest_of(tests, pairs, size)
        # Of both ends' tests the weaker dependence is told: it is written last.
        fell = np.flatnonzero(least <= late.threshold)
        for row in fell[np.argsort(-least[fell], kind="stable")]:
            i, j = sorted(pairs[row, 1:].tolist())
            removed[i, j] = tuple(which[row].tolist())
        if len(fell):
            gone = np.array([tuple(sorted(pair)) in removed for pair in pairs[:, 1:].tolist()], dtype=bool)
            pairs = pairs[~gone]
        size += 1
    return removed


def possible_d_sep(marks: MarkArray, pairs: IntArray) -> BoolArray:
    """Return (k, p) which nodes may be in a set that separates each adjacent pair (x, y), as seen from x.

    Those are the v with a path from x, around y, whose nodes may all be ancestors of x or y and whose every inner
    triple is a collider or a triangle: D-SEP(x, y) is among them (Spirtes et al. 2000, p. 134).
    """
    adjacent, into = marks != 0, marks == ARROW
    ancestor = reachable(adjacent & ~into.T) | np.eye(len(marks), dtype=bool)
    may = np.zeros((len(pairs), len(marks)), dtype=np.bool_)
    _collider_reach(adjacent, into, ancestor, pairs, may)
    return may


@compiled
def _collider_reach(adjacent: BoolArray, into: BoolArray, ancestor: BoolArray, pairs: IntArray, may: BoolArray) -> None:
    """Write `possible_d_sep`; into[a, b] is an arrowhead at b, ancestor[a, b] whether a may be an ancestor of b."""
    p = len(adjacent)
    neighbours, count = np.empty((p, p), np.int64), np.zeros(p, np.int64)
    for a in range(p):
        for b in range(p):
            if adjacent[a, b]:
                neighbours[a, count[a]] = b
                count[a] += 1
    # seen[before, here]: the last pair whose walk went that step; a step is never queued twice in a walk.
    seen, queue = np.full((p, p), -1, np.int64), np.empty((int(count.sum()) + 1, 2), np.int64)
    for row in range(len(pairs)):
        x, y = pairs[row, 0], pairs[row, 1]
        queue[0, 0], queue[0, 1] = x, x
        done, end = 0, 1
        while done < end:
            before, here = queue[done, 0], queue[done, 1]
            done += 1
            for t in range(count[here]):
                u = neighbours[here, t]
                if u in (x, y, before) or seen[here, u] == row or not (ancestor[u, x] or ancestor[u, y]):
                    continue
                if here == x or adjacent[before, u] or (into[before, here] and into[u, here]):
                    seen[here, u] = row
                    may[row, u] = True
                    queue[end, 0], queue[end, 1] = here, u
                    end += 1
