"""The adjustment set of least asymptotic variance: with everything observed (Henckel et al. 2022), and without (Runge 2021)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from causalsem.graph import CausalGraph
from causalsem.graph.links import Links, both, closure, either, flagged, flipped, members
from causalsem.graph.possible import closed_links
from causalsem.graph.projection import to_admg
from causalsem.graph.separation import reached_openly
from causalsem.identify.criterion import Reading, read
from causalsem.identify.separators import BackDoor

# So many collider paths are looked at before a set counts as not known to be optimal.
MOST_PATHS = 1000


def optimal_set(reading: Reading) -> list[int] | None:
    """Return the parents of causal nodes that are not forbidden (Henckel et al. 2022), or None with hidden confounding."""
    if reading.graph.kind not in ("DAG", "CPDAG", "MPDAG"):
        return None
    parents = closed_links(reading.graph).parents
    around = {p for v in members(reading.causal) for p in parents[v]}
    return [p for p in around if not reading.forbidden[p] and not reading.treated[p]]


def optimal_with_hidden(reading: Reading, may: bytearray) -> list[int] | None:
    """Return the optimal set within the flagged nodes of a DAG or ADMG, or None where no one set is best in all models.

    For one treatment and one outcome; what is neither usable nor forbidden counts as hidden (Runge 2021, Theorem 3).
    """
    graph = reading.graph
    if graph.kind not in ("DAG", "ADMG") or len(reading.xs) != 1 or len(reading.ys) != 1:
        return None
    open_to_all = either(may, reading.forbidden, flagged(len(may), (*reading.xs, *reading.ys)))
    seen = _projected(graph, [graph.nodes[k] for k in members(flipped(open_to_all))])
    search = _Search.of(read(seen, reading.query))
    best = search.wide_set(())
    if not search.is_valid(best.chosen) or not search.is_best(best):
        return None
    return [graph.index(seen.nodes[k]) for k in members(best.chosen)]


def _projected(graph: CausalGraph, hidden: list[str]) -> CausalGraph:
    """Return the graph without its latent and the further hidden nodes."""
    if set(hidden) <= set(graph.latent):
        return graph.once("projected", lambda: to_admg(graph))
    return to_admg(CausalGraph.from_links(graph.nodes, graph.links, graph.kind, {*graph.latent, *hidden}))


@dataclass(frozen=True, slots=True, eq=False)
class _Wide:
    """O(X, Y, S) of Definition 3: `parents` of causal nodes, `colliders` on valid paths, `chosen` with their parents."""

    parents: bytearray
    colliders: bytearray
    ancestors: bytearray
    chosen: bytearray


@dataclass(frozen=True, slots=True, eq=False)
class _Search:
    """An ADMG and a query; `barred` flags what no set may hold: what is forbidden, and the treatment."""

    reading: Reading
    links: Links
    barred: bytearray

    @classmethod
    def of(cls, reading: Reading) -> _Search:
        return cls(reading, reading.graph.links, either(reading.forbidden, reading.treated))

    def is_valid(self, chosen: bytearray) -> bool:
        return BackDoor(self.reading).separates(chosen)

    def wide_set(self, given: Iterable[int]) -> _Wide:
        """Return O(X, Y, S): all that collider paths from causal nodes reach without opening a path to the treatment."""
        links, reading = self.links, self.reading
        above = closure(links.parents, (*reading.xs, *reading.ys, *given))
        ancestors = both(above, flipped(self.barred))
        joined = reached_openly(links, reading.xs, ancestors)
        closed = either(self.barred, both(flipped(ancestors), joined))
        colliders = both(closure(links.siblings, members(reading.causal), avoid=closed), flipped(self.barred))
        parents = self._above(reading.causal)
        return _Wide(parents, colliders, ancestors, either(parents, colliders, self._above(colliders)))

    def _above(self, nodes: bytearray) -> bytearray:
        found = flagged(len(nodes), (p for v in members(nodes) for p in self.links.parents[v]))
        return both(found, flipped(self.barred))

    def is_best(self, best: _Wide) -> bool:
        """Tell whether the two conditions hold under which no other set is better in any model."""
        left = MOST_PATHS
        for outside in self._just_outside(best):
            for path in self._collider_paths(outside, best.colliders):
                left -= 1
                # (I) Taking in a further cause of the outcome along this path must break validity.
                if left < 0 or self.is_valid(self.wide_set(path).chosen):
                    return False
        return all(self._is_needed(node, best) for node in members(both(best.chosen, flipped(best.parents))))

    def _just_outside(self, best: _Wide) -> list[int]:
        around = either(self.reading.causal, best.colliders)
        beside = flagged(len(around), (v for k in members(around) for v in self.links.siblings[k]))
        return members(both(beside, flipped(either(self.barred, best.chosen))))

    def _collider_paths(self, start: int, within: bytearray) -> Iterator[tuple[int, ...]]:
        """Yield the nodes of each path start ↔ … ↔ a causal node with its inner nodes `within`, without the last."""
        waiting: list[tuple[int, ...]] = [(start,)]
        while waiting:
            path = waiting.pop()
            around = self.links.siblings[path[-1]]
            if any(self.reading.causal[v] for v in around):
                yield path
            waiting += [(*path, v) for v in around if within[v] and v not in path]

    def _is_needed(self, node: int, best: _Wide) -> bool:
        """(II) Tell whether a node that stays joined to the treatment bears on the outcome by a path of ancestors."""
        others = bytearray(best.chosen)
        others[node] = 0
        if not reached_openly(self.links, self.reading.xs, others)[node]:
            return True
        links, causal = self.links, self.reading.causal
        inner = both(best.colliders, best.ancestors)
        last = closure(links.siblings, members(causal), avoid=flipped(either(inner, causal)))
        return any(causal[v] or (last[v] and inner[v]) for v in links.siblings[node]) or any(
            last[v] and inner[v] for v in links.children[node]
        )
