"""The order inside each column of a layered drawing: a local search for few crossings, on many orders side by side.

Orders are `keys` (K, V): in each of K orders, a column's vertices stand as their keys ascend.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from causalsem._values import FloatArray, IntArray
from causalsem.report.layers import Chains, Columns, Links

SIDE = 32  # orders searched side by side: numpy takes little longer for all than for one
SHARE = 2  # every so many kicks the worst quarter of the orders gives way to the best
AROUND = 0.49  # crossings that going around a vertex is worth: of two such and one crossing, the crossing is avoided


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """A column's n vertices, its arcs as numbers among them, and on its left and its right a neighbour.

    Of a neighbour: its m vertices, and how many links (n, m) join the two.
    """

    vertices: IntArray
    arcs: list[tuple[int, int]]
    sides: tuple[tuple[IntArray, FloatArray] | None, tuple[IntArray, FloatArray] | None]


def ordered(layered: Chains, *, seed: int = 0, side: int = SIDE, kicks: int | None = None) -> tuple[Columns, int]:
    """Return the columns in an order with few crossings, and their number.

    Barycentre sweeps and sifting from random orders, then an iterated local search: kick each order, sift it again, keep
    the better one.
    """
    rng = np.random.default_rng(seed)
    links, columns = layered.links(), _linked(layered)
    best = rng.random((side, len(layered.column)))
    best[0] = np.arange(len(layered.column))
    for forward in (True, False) * 3:
        _by_barycentre(best, columns, forward)
    _sift(best, columns, rng)
    fewest = _cost(best, links, layered)
    for kick in range(kicks_for(len(layered.column)) if kicks is None else kicks):
        if fewest.min() == 0:
            break
        keys = _kicked(best, layered, columns, rng)
        _sift(keys, columns, rng)
        cost = _cost(keys, links, layered)
        kept = cost <= fewest
        best[kept], fewest[kept] = keys[kept], cost[kept]
        if kick % SHARE == SHARE - 1:
            rank, some = fewest.argsort(kind="stable"), side // 4
            best[rank[side - some :]], fewest[rank[side - some :]] = best[rank[:some]], fewest[rank[:some]]
    winner = best[fewest.argmin()]
    order = [column[winner[column].argsort()].tolist() for column in (c.vertices for c in columns)]
    return order, crossings(order, links)


def kicks_for(size: int) -> int:
    """Return how many kicks to give an order of so many vertices: fewer where they cost much."""
    return int(np.clip(1600 // max(size, 1), 3, 24))


def crossings(columns: Columns, links: Sequence[Links]) -> int:
    """Return how many pairs of links cross."""
    place = np.zeros((1, sum(map(len, columns))))
    for column in columns:
        place[0, column] = np.arange(len(column))
    return int(_crossings(place, links)[0])


def _crossings(keys: FloatArray, links: Sequence[Links]) -> FloatArray:
    total = np.zeros(len(keys))
    for pairs in links:
        left, right = keys[:, pairs[:, 0]], keys[:, pairs[:, 1]]
        total += ((left[:, :, None] < left[:, None, :]) & (right[:, :, None] > right[:, None, :])).sum(axis=(1, 2))
    return total


def _cost(keys: FloatArray, links: Sequence[Links], layered: Chains) -> FloatArray:
    """Return crossings, and about half a crossing for every vertex that an edge inside a column has to go around."""
    around = np.zeros(len(keys))
    for a, b in layered.arcs.values():
        around += np.abs(keys[:, a] - keys[:, b]) - 1
    return _crossings(keys, links) + AROUND * around


def _linked(layered: Chains) -> list[Column]:
    vertices = [np.array(column, dtype=np.int64) for column in layered.columns]
    number = {int(v): k for column in vertices for k, v in enumerate(column)}
    ties = [np.zeros((len(a), len(b))) for a, b in pairwise(vertices)]
    for tie, pairs in zip(ties, layered.links(), strict=True):
        for a, b in pairs.tolist():
            tie[number[a], number[b]] += 1
    arcs: list[list[tuple[int, int]]] = [[] for _ in vertices]
    for a, b in layered.arcs.values():
        arcs[layered.column[a]].append((number[a], number[b]))
    left = [None, *((column, tie.T) for column, tie in zip(vertices, ties, strict=False))]
    right = [*((column, tie) for column, tie in zip(vertices[1:], ties, strict=True)), None]
    return [Column(*one) for one in zip(vertices, arcs, zip(left, right, strict=True), strict=True)]


def _by_barycentre(keys: FloatArray, columns: Sequence[Column], forward: bool) -> None:
    """Sort each column by the mean place of its neighbours, in place; vertices without any keep their place."""
    for column in columns if forward else reversed(columns):
        n, side = len(column.vertices), column.sides[0 if forward else 1]
        means = _places(keys[:, column.vertices])
        if side is not None:
            others, ties = side
            count = ties.sum(axis=1)
            means = np.where(count > 0, keys[:, others] @ ties.T / np.maximum(count, 1), means * len(others) / n)
        keys[:, column.vertices] = _places(means)


def _places(keys: FloatArray) -> FloatArray:
    return keys.argsort(axis=1, kind="stable").argsort(axis=1).astype(float)


def _kicked(best: FloatArray, layered: Chains, columns: Sequence[Column], rng: np.random.Generator) -> FloatArray:
    """Return a copy, each order of which has one long edge run at another height, or six vertices elsewhere."""
    keys = best.copy()
    long = [np.array(chain) for chain in layered.chains.values() if len(chain) > 2]
    size = np.array([len(columns[c].vertices) for c in layered.column])
    for order in keys:
        if long and rng.random() < 0.5:
            chain = long[rng.integers(len(long))]
            first, last = (rng.random(2) < 0.5).astype(int)
            which = chain[first : len(chain) - last]
            height = np.full(len(which), 1.4 * rng.random() - 0.2)
        else:
            which = rng.integers(len(size), size=6)
            height = rng.random(6)
        order[which] = height * size[which] - 0.5
    return keys


def _sift(keys: FloatArray, columns: Sequence[Column], rng: np.random.Generator) -> None:
    """Reorder the columns in place, walking to the right and back."""
    for column in _there_and_back(columns):
        if len(column.vertices) > 1:
            keys[:, column.vertices] = _sifted(keys, column, rng)


def _there_and_back(columns: Sequence[Column]) -> Iterator[Column]:
    yield from columns
    yield from reversed(columns)


def _sifted(keys: FloatArray, column: Column, rng: np.random.Generator) -> IntArray:
    """Return a column's places with each vertex moved to its best in turn (Matuszewski, Schönfeld & Molitor 1999).

    One of several best is chosen at random, so that the search wanders where nothing crosses more.
    """
    order = keys[:, column.vertices].argsort(axis=1)  # (K, n)
    gain = _gains(keys, column)
    (side, n), every = order.shape, np.arange(len(order))[:, None]
    cost = np.zeros((side, n + 1))
    for u in range(n):
        at = (order == u).argmax(axis=1)[:, None]
        # cost[:, j] is what it costs to stand below the first j.
        np.cumsum(gain[every, u, order], axis=1, out=cost[:, 1:])
        around = _around(order, column.arcs, u)
        to = (cost + around + 0.5 * rng.random(cost.shape)).argmin(axis=1)[:, None]
        spots = np.broadcast_to(2 * np.arange(n), order.shape).copy()
        spots[every, at] = 2 * to - 1
        order = order[every, spots.argsort(axis=1)]
    return order.argsort(axis=1)


def _gains(keys: FloatArray, column: Column) -> FloatArray:
    """Return [k, u, v]: the crossings saved in order k when u is above v."""
    crossed = np.zeros((len(keys), len(column.vertices), len(column.vertices)))  # of the links of u and of v, u above v
    for others, ties in filter(None, column.sides):
        there = ties[:, keys[:, others].argsort(axis=1)].transpose(1, 0, 2)  # (K, n, m), the others in order
        above = np.cumsum(there, axis=2) - there
        crossed += there @ above.transpose(0, 2, 1)
    return np.ascontiguousarray(crossed.transpose(0, 2, 1) - crossed)


def _around(order: IntArray, arcs: Sequence[tuple[int, int]], u: int) -> FloatArray | float:
    """Return what it costs that u's arcs go around vertices if u stands below the first j, (K, n + 1), less a constant."""
    ends = [a + b - u for a, b in arcs if u in {a, b}]
    if not ends:
        return 0.0
    spot, at = np.arange(order.shape[1] + 1), (order == u).argmax(axis=1)[:, None]
    total = np.zeros((len(order), len(spot)))
    for end in ends:
        other = (order == end).argmax(axis=1)[:, None]
        total += AROUND * np.abs((spot - (spot > at)) - (other - (other > at)) - 0.5)
    return total
