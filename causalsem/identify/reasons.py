"""Why a variable may not be adjusted for, and what assumptions a set stands on."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Mapping

from causalsem.graph import CausalGraph
from causalsem.graph.links import members
from causalsem.graph.marks import ARROW, TAIL
from causalsem.graph.text import path_text
from causalsem.identify.criterion import Reading


class Reasons(Mapping[str, str]):
    """The forbidden variables of a query, each with its reason; a reason is put into words when asked for."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        nodes = reading.graph.nodes
        self._number = {nodes[k]: k for k in members(reading.forbidden)}
        self._names = sorted(self._number)

    def __getitem__(self, name: str) -> str:
        return forbidden_reason(self._reading, self._number[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        return repr(dict(self))


def forbidden_reason(reading: Reading, node: int) -> str:
    """Return why `node` is forbidden, with a path as its witness."""
    graph, names = reading.graph, reading.graph.nodes
    if node in reading.ys:
        return "the outcome itself"
    if reading.causal[node]:
        to_node = shortest_path(graph, reading.xs, {node}, reading.causal)
        onward = shortest_path(graph, [node], set(reading.ys), reading.causal)
        path = [*to_node, *onward[1:]]
        return f"mediator: on a {_sure(graph, path)} path {path_text(graph, [names[k] for k in path])}"
    down = shortest_path(graph, members(reading.causal), {node}, reading.forbidden)
    told = path_text(graph, [names[k] for k in down])
    role = "outcome" if down[0] in reading.ys else "mediator"
    sure = "descendant" if _sure(graph, down) == "causal" else "possible descendant"
    return f"{sure} of the {role} {names[down[0]]}: {told}"


def _sure(graph: CausalGraph, path: list[int]) -> str:
    children = graph.links.children
    return "causal" if all(b in children[a] for a, b in itertools.pairwise(path)) else "possibly causal"


def shortest_path(graph: CausalGraph, starts: Iterable[int], goals: set[int], within: bytearray) -> list[int]:
    """Return a shortest possibly directed path from a start to a goal whose later nodes lie `within`."""
    links = graph.links
    came_from: dict[int, int | None] = dict.fromkeys(starts)
    queue = deque(came_from)
    while queue:
        node = queue.popleft()
        if node in goals:
            path = [node]
            while (before := came_from[path[-1]]) is not None:
                path.append(before)
            return path[::-1]
        open_ends = [other for other, here, there in links.circles[node] if here != ARROW and there != TAIL]
        for other in (*links.children[node], *links.neighbours[node], *open_ends):
            if within[other] and other not in came_from:
                came_from[other] = node
                queue.append(other)
    return []


def assumptions_of(graph: CausalGraph) -> tuple[str, ...]:
    """Return what must hold for an effect read off this graph to be the true one."""
    hidden = bool(graph.latent) or graph.kind in ("ADMG", "MAG", "PAG")
    learned = graph.kind in ("CPDAG", "MPDAG", "PAG") or "method" in graph.provenance
    told = ["causal_markov"]
    told += ["faithfulness"] if learned else []
    told += ["no_selection"] if hidden else ["causal_sufficiency"]
    told += ["acyclicity", "consistency", "positivity", "no_interference"]
    told += ["background_knowledge"] if graph.kind == "MPDAG" or graph.provenance.get("background_knowledge") else []
    return tuple(told)
