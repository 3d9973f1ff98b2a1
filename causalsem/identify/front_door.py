"""Front-door sets: mediators that carry the whole effect and that no open back-door path touches (Pearl 1995)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from causalsem._cards import mimebundle
from causalsem.errors import GraphError
from causalsem.graph import CausalGraph
from causalsem.graph.links import Links, both, closure, either, flagged, flipped, members
from causalsem.identify.criterion import latent_nodes
from causalsem.identify.query import Query, as_query
from causalsem.identify.reasons import assumptions_of


@dataclass(frozen=True, slots=True)
class FrontDoor:
    """Mediators that identify an effect by the front-door formula: Σ_m P(m | x) Σ_x' P(y | m, x') P(x')."""

    query: Query
    variables: tuple[str, ...]
    assumptions: tuple[str, ...] = field(default=(), compare=False, repr=False)
    graph: CausalGraph | None = field(default=None, compare=False, repr=False)

    @property
    def status(self) -> str:
        """Say "front_door"."""
        return "front_door"

    def __str__(self) -> str:
        return f"{self.query} by way of {{{', '.join(self.variables)}}}  (front-door)"

    _repr_mimebundle_ = mimebundle


def front_door(graph: CausalGraph, query: Query | tuple[str, str], *, allowed: Iterable[str] | None = None) -> FrontDoor | None:
    """Return a minimal front-door set, or None when there is none, in time linear in the graph.

    After Wienöbst, van der Zander & Liśkiewicz (2024): the widest set, of it what is needed next to the outcome.
    """
    search = _Search(graph, as_query(query), allowed)
    widest = search.widest(flagged(search.size, ()), search.usable)
    return None if widest is None else search.value(search.needed(widest))


def front_door_sets(
    graph: CausalGraph, query: Query | tuple[str, str], *, allowed: Iterable[str] | None = None, limit: int | None = 1000
) -> list[FrontDoor]:
    """Return front-door sets, at most `limit`, with a linear-time search for each (polynomial delay)."""
    search = _Search(graph, as_query(query), allowed)
    found: list[FrontDoor] = []
    for one in search.all_sets():
        found.append(search.value(one))
        if limit is not None and len(found) >= limit:
            break
    return found


def is_front_door(graph: CausalGraph, query: Query | tuple[str, str], names: Iterable[str]) -> bool:
    """Tell whether `names` satisfy the front-door criterion for a query."""
    search = _Search(graph, as_query(query), None)
    chosen = flagged(search.size, (graph.index(name) for name in names))
    return not any(c and not u for c, u in zip(chosen, search.usable, strict=True)) and search.is_front_door(chosen)


class _Search:
    """The three conditions of the criterion, each by reachability."""

    def __init__(self, graph: CausalGraph, query: Query, allowed: Iterable[str] | None) -> None:
        if graph.kind not in ("DAG", "ADMG"):
            raise GraphError(f"front-door sets are read off a DAG or ADMG, not a {graph.kind}; take a member of the class first")
        query.require_in(graph)
        self.graph, self.query = graph, query
        self.links: Links = graph.links
        self.size = self.links.size
        self.xs = [graph.index(name) for name in query.treatments]
        self.ys = [graph.index(name) for name in query.outcomes]
        names = graph.nodes if allowed is None else tuple(allowed)
        self.usable = flagged(self.size, (graph.index(name) for name in names))
        for k in (*self.xs, *self.ys, *latent_nodes(graph)):
            self.usable[k] = 0
        self.treated = flagged(self.size, self.xs)
        self.above_treatment = closure(self.links.parents, self.xs)

    def value(self, chosen: bytearray) -> FrontDoor:
        names = tuple(sorted(self.graph.nodes[k] for k in members(chosen)))
        return FrontDoor(self.query, names, assumptions_of(self.graph), self.graph)

    def is_front_door(self, chosen: bytearray) -> bool:
        """Tell whether the flagged set meets all three conditions as it stands."""
        return self.widest(chosen, chosen) is not None

    def all_sets(self) -> Iterator[bytearray]:
        order = members(self.usable)
        branches = [(0, bytearray(self.size), bytearray(self.usable))]
        while branches:
            at, must, may = branches.pop()
            if self.widest(must, may) is None:
                continue
            if at == len(order):
                yield must
                continue
            with_it, without_it = bytearray(must), bytearray(may)
            with_it[order[at]], without_it[order[at]] = 1, 0
            branches += [(at + 1, with_it, may), (at + 1, must, without_it)]

    def widest(self, must: bytearray, may: bytearray) -> bytearray | None:
        """Return the widest front-door set within `may` if it holds `must`, else None."""
        touched = self._behind_treatment()
        chosen = both(may, flipped(touched))
        self._drop_confounded(chosen)
        if any(m and not c for m, c in zip(must, chosen, strict=True)):
            return None
        carried = closure(self.links.children, self.xs, avoid=chosen)
        return None if any(carried[y] for y in self.ys) else chosen

    def needed(self, widest: bytearray) -> bytearray:
        """Return a minimal front-door set within the widest one."""
        links, size = self.links, self.size
        stops = either(widest, self.treated)
        # Members with a causal path to the outcome that meets no other member and no treatment.
        last = closure(links.parents, self.ys, avoid=stops)
        near = bytearray(size)
        for node in members(widest):
            near[node] = any(last[child] for child in links.children[node])
        # Of these, the first ones on causal paths from the treatment.
        carried = closure(links.children, self.xs, avoid=near)
        first = [node for node in members(near) if any(carried[parent] for parent in links.parents[node])]
        # And those that a back-door path from a chosen one would enter and leave towards the outcome.
        return self._with_blockers(first, near)

    def _with_blockers(self, first: list[int], near: bytearray) -> bytearray:
        links = self.links
        chosen = flagged(self.size, first)
        seen: set[tuple[int, bool]] = set()
        stack = [state for node in first for state in self._behind(node)]
        while stack:
            state = stack.pop()
            node, arrowed = state
            if state in seen:
                continue
            seen.add(state)
            if near[node]:
                if arrowed and not chosen[node]:
                    chosen[node] = 1
                    stack += self._behind(node)
                continue
            blocked = self.treated[node]
            if not blocked:
                stack += [(child, True) for child in links.children[node]]
            if self.above_treatment[node] if arrowed else not blocked:
                stack += self._behind(node)
        return chosen

    def _behind(self, node: int) -> list[tuple[int, bool]]:
        return [(parent, False) for parent in self.links.parents[node]] + [(other, True) for other in self.links.siblings[node]]

    def _behind_treatment(self) -> bytearray:
        """Return what an open path reaches from the treatment by an edge into it, given nothing (condition 2)."""
        links = self.links
        touched = bytearray(self.size)
        # Arrows out of the treatment do not count: no walk goes on from there.
        seen = {(x, arrowed) for x in self.xs for arrowed in (False, True)}
        stack = [state for x in self.xs for state in self._behind(x)]
        while stack:
            node, arrowed = stack.pop()
            if (node, arrowed) in seen:
                continue
            seen.add((node, arrowed))
            touched[node] = 1
            stack += [(child, True) for child in links.children[node]]
            if not arrowed:
                stack += self._behind(node)
        return touched

    def _drop_confounded(self, chosen: bytearray) -> None:
        """Drop from `chosen` every node that a path from the outcome enters by an arrowhead, open given the treatment.

        Arrows out of chosen nodes do not count (condition 3); a node that is dropped gives its own back, so one search
        that wakes them up finds the widest set in linear time.
        """
        links = self.links
        asleep = bytearray(self.size)
        seen: set[tuple[int, bool]] = set()
        stack = [(y, False) for y in self.ys]
        while stack:
            state = stack.pop()
            node, arrowed = state
            if state in seen:
                continue
            if chosen[node]:
                if not arrowed:
                    asleep[node] = 1
                    continue
                chosen[node] = 0
                if asleep[node]:
                    stack.append((node, False))
            seen.add(state)
            blocked = self.treated[node]
            if not blocked:
                stack += [(child, True) for child in links.children[node]]
            if self.above_treatment[node] if arrowed else not blocked:
                stack += self._behind(node)
