"""Layered drawing in numbers: columns before their order is found, heights after (Sugiyama, Tagawa & Toda 1981)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from causalsem._values import BoolArray, FloatArray

Links = npt.NDArray[np.int64]
Columns = list[list[int]]
# Straightness of a link by how many of its ends are dummies (Gansner et al. 1993).
STRAIGHT = (1.0, 2.0, 8.0)
CALM = 0.2  # heights have settled when a round moves none by so many pixels


@dataclass(frozen=True, slots=True, eq=False)
class Chains:
    """A layered graph whose links join neighbouring columns only; vertices from `real` on are dummies.

    `chains` holds, for each edge, its vertices from left to right; `arcs` the edges inside one column.
    """

    real: int
    column: list[int]
    chains: dict[int, tuple[int, ...]]
    arcs: dict[int, tuple[int, int]]

    @property
    def columns(self) -> Columns:
        """The vertices of each column, in number order."""
        columns: Columns = [[] for _ in range(max(self.column, default=-1) + 1)]
        for vertex, column in enumerate(self.column):
            columns[column].append(vertex)
        return columns

    def links(self) -> list[Links]:
        """Return the (m, 2) links between each column and the next."""
        pairs: list[list[tuple[int, int]]] = [[] for _ in range(max(self.column, default=0))]
        for chain in self.chains.values():
            for left, right in pairwise(chain):
                pairs[self.column[left]].append((left, right))
        return [np.array(p, dtype=np.int64).reshape(-1, 2) for p in pairs]


def column_numbers(before: BoolArray, tiers: Sequence[Sequence[int]]) -> list[int]:
    """Return each node's column: its tier, then the longest path of `before` inside the tier."""
    column = [0] * len(before)
    start = 0
    for tier in tiers:
        depth = _longest_paths(before, tier)
        for node in tier:
            column[node] = start + depth[node]
        start += 1 + max(depth.values(), default=-1)
    return column


def _longest_paths(before: BoolArray, tier: Sequence[int]) -> dict[int, int]:
    depth = dict.fromkeys(tier, 0)
    for _ in tier:
        longer = {j: max([depth[j], *(depth[i] + 1 for i in tier if before[i, j])]) for j in tier}
        if longer == depth:
            break
        depth = longer
    return depth


def shortest_columns(before: BoolArray, weights: FloatArray | None = None) -> list[int]:
    """Return columns with every arrow of `before` pointing right and the least total length (Gansner et al. 1993).

    A linear program whose matrix is totally unimodular, so its vertices are whole numbers; `weights` has one positive
    weight per arrow, in the order of np.argwhere.
    """
    from scipy.optimize import linprog

    pairs = np.argwhere(before)
    if not len(pairs):
        return [0] * len(before)
    steps = np.zeros((len(pairs), len(before)))
    steps[np.arange(len(pairs)), pairs[:, 0]] = 1
    steps[np.arange(len(pairs)), pairs[:, 1]] = -1
    longest = column_numbers(before, [range(len(before))])
    solved = linprog(
        -(steps if weights is None else steps * weights[:, None]).sum(axis=0),
        A_ub=steps,
        b_ub=-np.ones(len(pairs)),
        bounds=(0, max(longest)),
        method="highs-ds",
    )
    return [round(column) for column in solved.x] if solved.success else longest


def with_dummies(column: Sequence[int], ends: Sequence[tuple[int, int]]) -> Chains:
    """Return the layered graph of edges (a, b), with a dummy vertex in every column that an edge passes."""
    places = list(column)
    chains: dict[int, tuple[int, ...]] = {}
    arcs: dict[int, tuple[int, int]] = {}
    for edge, (a, b) in enumerate(ends):
        if column[a] == column[b]:
            arcs[edge] = (a, b)
            continue
        left, right = (a, b) if column[a] < column[b] else (b, a)
        between = range(column[left] + 1, column[right])
        chains[edge] = (left, *range(len(places), len(places) + len(between)), right)
        places.extend(between)
    return Chains(len(column), places, chains, arcs)


def heights(columns: Columns, links: Sequence[Links], half: FloatArray, gap: FloatArray, real: int, *, rounds: int = 60) -> FloatArray:
    """Return the height of every vertex: short straight links, columns in order, boxes apart.

    Minimises Σ w (y_u − y_v)² under separation, one column at a time; given its neighbours each column is a weighted
    isotonic regression, so every step is exact and the whole converges. `half` is half a vertex's height, `gap` the
    room it wants around itself.
    """
    y = np.zeros(len(half))
    offsets = [_stack(column, half, gap) for column in columns]
    for column, offset in zip(columns, offsets, strict=True):
        y[column] = offset - (offset[-1] / 2 if len(offset) else 0)
    neighbours = _weighted_neighbours(links, len(half), real)
    for sweep in range(rounds):
        before = y.copy()
        order = range(len(columns)) if sweep % 2 == 0 else range(len(columns) - 1, -1, -1)
        for c in order:
            others, weights = neighbours
            column = columns[c]
            total = np.array([weights[v].sum() for v in column]) + 1e-3
            target = np.array([weights[v] @ y[others[v]] for v in column]) / total
            y[column] = isotonic(target - offsets[c], total) + offsets[c]
        if np.abs(y - before).max(initial=0.0) < CALM:
            break
    return y


def _stack(column: list[int], half: FloatArray, gap: FloatArray) -> FloatArray:
    """Return the least heights of a column's vertices below its first."""
    room = [half[a] + half[b] + min(gap[a], gap[b]) for a, b in pairwise(column)]
    return np.concatenate([[0.0], np.cumsum(room)]) if column else np.zeros(0)


def _weighted_neighbours(links: Sequence[Links], size: int, real: int) -> tuple[list[Links], list[FloatArray]]:
    others: list[list[int]] = [[] for _ in range(size)]
    weights: list[list[float]] = [[] for _ in range(size)]
    for pairs in links:
        for a, b in pairs.tolist():
            weight = STRAIGHT[(a >= real) + (b >= real)]
            others[a].append(b)
            others[b].append(a)
            weights[a].append(weight)
            weights[b].append(weight)
    return [np.array(o, dtype=np.int64) for o in others], [np.array(w) for w in weights]


def isotonic(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the non-decreasing sequence nearest to `values` in weighted squares (pool adjacent violators)."""
    blocks: list[tuple[float, float, int]] = []  # mean, weight, length
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        mean, mass, length = value, weight, 1
        while blocks and blocks[-1][0] >= mean:
            other, more, longer = blocks.pop()
            mean = (mean * mass + other * more) / (mass + more)
            mass, length = mass + more, length + longer
        blocks.append((mean, mass, length))
    return np.repeat([b[0] for b in blocks], [b[2] for b in blocks]) if blocks else np.zeros(0)
