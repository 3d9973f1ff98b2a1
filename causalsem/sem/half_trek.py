"""The half-trek criterion for linear models with observed variables, cycles and error covariances (Foygel, Draisma & Drton 2012).

`arrows[effect, cause]` and the symmetric `spreads` (error covariances off the diagonal) are Boolean (q, q).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow

from causalsem._values import BoolArray


def half_trek_reach(arrows: BoolArray, spreads: BoolArray) -> BoolArray:
    """Return [v, w] True where a half-trek leads from v to w: v → … → w, or v ↔ x → … → w."""
    down = descendants(arrows)
    return np.asarray(down | (spreads.astype(np.int64) @ (down | np.eye(len(arrows), dtype=bool)) > 0))


def descendants(arrows: BoolArray) -> BoolArray:
    """Return [a, b] True where a directed path of one arrow or more leads from a to b."""
    reach = arrows.T.copy()
    for _ in range(max(len(arrows), 1).bit_length()):
        reach |= reach.astype(np.float64) @ reach > 0
    return reach


def half_trek_solved(arrows: BoolArray, spreads: BoolArray) -> dict[int, tuple[int, ...]]:
    """Return the variables whose equations the criterion identifies, each with the set Y that does it, in the order found.

    Their coefficients are rational functions of the covariance, at almost every parameter (Theorem 1).
    """
    q = len(arrows)
    reach = half_trek_reach(arrows, spreads)
    solved: dict[int, tuple[int, ...]] = {v: () for v in range(q) if not arrows[v].any()}
    found = True
    while found and len(solved) < q:
        found = False
        for v in (v for v in range(q) if v not in solved):
            allowed = [w for w in range(q) if w != v and not spreads[v, w] and (w in solved or not reach[v, w])]
            Y = _half_trek_set(arrows, spreads, v, allowed)
            if Y is not None:
                solved[v] = Y
                found = True
    return solved


def is_infinite_to_one(arrows: BoolArray, spreads: BoolArray) -> bool:
    """Tell whether the criterion shows that infinitely many parameters give almost every covariance (Theorem 2).

    Each pair v, w may serve once: w in the set of v, or v in that of w. One flow asks for all equations at the same time.
    """
    q = len(arrows)
    network = _Network()
    for v in range(q):
        parents = np.flatnonzero(arrows[v])
        if not len(parents):
            continue
        for w in range(q):
            if w == v or spreads[v, w]:
                continue
            network.join("source", ("pair", *sorted((v, w))))
            network.join(("pair", *sorted((v, w))), ("start", v, w))
        _half_treks(network, arrows, spreads, v, [w for w in range(q) if w != v and not spreads[v, w]])
    return network.flow() < int(arrows.sum())


def _half_trek_set(arrows: BoolArray, spreads: BoolArray, v: int, allowed: Iterable[int]) -> tuple[int, ...] | None:
    """Return Y among the allowed with half-treks without sided intersection to all parents of v, or None."""
    network = _Network()
    allowed = list(allowed)
    for w in allowed:
        network.join("source", ("start", v, w))
    _half_treks(network, arrows, spreads, v, allowed)
    if network.flow() < int(arrows[v].sum()):
        return None
    return tuple(w for w in allowed if network.carries("source", ("start", v, w)))


def _half_treks(network: _Network, arrows: BoolArray, spreads: BoolArray, v: int, starts: Iterable[int]) -> None:
    """Add the half-treks from `starts` to the parents of v; each variable is passed once on the right-hand side."""
    for w in starts:
        for x in (w, *np.flatnonzero(spreads[w]).tolist()):
            network.join(("start", v, w), ("in", v, x))
    for x in range(len(arrows)):
        network.join(("in", v, x), ("out", v, x))
        for y in np.flatnonzero(arrows[:, x]).tolist():
            network.join(("out", v, x), ("in", v, y))
    for x in np.flatnonzero(arrows[v]).tolist():
        network.join(("out", v, x), "sink")


class _Network:
    """A flow network of unit capacities, filled arc by arc."""

    def __init__(self) -> None:
        self.number: dict[object, int] = {"source": 0, "sink": 1}
        self.arcs: dict[tuple[int, int], None] = {}
        self.found: csr_array | None = None

    def join(self, a: object, b: object) -> None:
        """Add an arc of capacity 1."""
        i, j = (self.number.setdefault(x, len(self.number)) for x in (a, b))
        self.arcs[i, j] = None

    def flow(self) -> int:
        """Return the value of a maximum flow."""
        if not self.arcs:
            return 0
        rows, columns = np.array(list(self.arcs), dtype=np.int32).T
        size = (len(self.number),) * 2
        result = maximum_flow(csr_array((np.ones(len(rows), dtype=np.int32), (rows, columns)), shape=size), 0, 1)
        self.found = result.flow
        return int(result.flow_value)

    def carries(self, a: object, b: object) -> bool:
        """Tell whether the flow found uses an arc."""
        return self.found is not None and self.found[self.number[a], self.number[b]] > 0
