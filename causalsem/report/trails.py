"""Which edges of a graph carry an effect and which carry bias, for any pair of variables, on bit masks."""

from __future__ import annotations

from collections.abc import Iterable

from causalsem.graph import CausalGraph, Mark
from causalsem.graph.pdag import bits

AT_CAUSE, AT_EFFECT = (Mark.TAIL, Mark.CIRCLE), (Mark.ARROW, Mark.CIRCLE)


class Trails:
    """The edges of a graph as steps from cause to effect; an edge whose direction is open may be walked either way.

    An edge that may stand for an unobserved common cause has a vertex of its own for it, beyond the nodes (Pearl 2009,
    the canonical graph). `steps` holds (cause, effect, position of the edge in `graph.edges`).
    """

    def __init__(self, graph: CausalGraph) -> None:
        self.graph = graph
        self.steps: list[tuple[int, int, int]] = []
        size = len(graph.nodes)
        for k, (source, target, here, there) in enumerate(graph.edges):
            a, b = graph.index(source), graph.index(target)
            self.steps += [(c, d, k) for c, d, near, far in ((a, b, here, there), (b, a, there, here)) if _may_cause(near, far)]
            if here in AT_EFFECT and there in AT_EFFECT:
                self.steps += [(size, a, k), (size, b, k)]
                size += 1
        self.above, self.below = [0] * size, [0] * size
        for cause, effect, _ in self.steps:
            self.above[effect] |= 1 << cause
            self.below[cause] |= 1 << effect

    def causal(self, treatment: int, outcome: int) -> frozenset[int]:
        """Return the edges on paths that lead, or may lead, from treatment to outcome."""
        return self._between(1 << treatment, 1 << outcome, ~(1 << outcome), ~(1 << treatment))

    def biasing(self, treatment: int, outcome: int) -> frozenset[int]:
        """Return the edges by which common causes, or the outcome itself, tie the two when nothing is adjusted for."""
        x, y = 1 << treatment, 1 << outcome
        forks = self._forks(treatment, outcome)
        below = _flood(self.below, forks, ~(x | y))
        above = _flood(self.above, x, ~y) | _flood(self.above, y, ~x)
        tied = frozenset(k for a, b, k in self.steps if below >> a & 1 and above >> b & 1)
        return (tied | self._between(y, x, ~x, ~y)) - self.causal(treatment, outcome)

    def _between(self, start: int, goal: int, before_goal: int, after_start: int) -> frozenset[int]:
        below, above = _flood(self.below, start, before_goal), _flood(self.above, goal, after_start)
        return frozenset(k for a, b, k in self.steps if below >> a & 1 and above >> b & 1)

    def _forks(self, treatment: int, outcome: int) -> int:
        """Return the vertices from which paths lead to both ends and share nothing but the vertex.

        By Menger's theorem (1927) they do when no other single vertex stands on every way to either end. `on_all[v]`
        is the set of vertices on all such ways from v, the greatest solution of
        on_all[v] = {v} + the intersection of on_all over the steps from v (as for dominators, Allen 1970).
        """
        ends = 1 << treatment | 1 << outcome
        reach = _flood(self.above, ends, -1)
        on_all = [-1] * len(self.above)
        on_all[treatment], on_all[outcome] = 1 << treatment, 1 << outcome
        inner, changed = bits(reach & ~ends), True
        while changed:
            changed = False
            for v in inner:
                shared = -1
                for child in bits(self.below[v] & reach):
                    shared &= on_all[child]
                shared |= 1 << v
                changed |= shared != on_all[v]
                on_all[v] = shared
        return sum(1 << v for v in inner if on_all[v] == 1 << v)


def _may_cause(near: Mark, far: Mark) -> bool:
    return near in AT_CAUSE and (far in AT_EFFECT or near == far == Mark.TAIL)


def _flood(step: list[int], start: int, keep: int) -> int:
    """Return the mask of `start` and what steps lead to from it, entering vertices of `keep` only."""
    seen = front = start
    while front:
        fresh = 0
        for vertex in bits(front):
            fresh |= step[vertex]
        front = fresh & keep & ~seen
        seen |= front
    return seen


def mask_of(numbers: Iterable[int]) -> int:
    """Return the bit mask of some positions."""
    return sum(1 << k for k in set(numbers))
