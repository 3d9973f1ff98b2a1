"""m-separation by reachability over (node, arrived by an arrowhead) states (Richardson 2003), in O(nodes + edges)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from causalsem.errors import GraphError
from causalsem.graph.causal_graph import CausalGraph
from causalsem.graph.links import Links, closure, flagged

State = tuple[int, bool]


def m_separated(graph: CausalGraph, xs: str | Iterable[str], ys: str | Iterable[str], given: Iterable[str] = ()) -> bool:
    """Tell whether `given` m-separates `xs` from `ys` in a DAG, ADMG or MAG."""
    return open_path(graph, xs, ys, given) is None


def open_path(
    graph: CausalGraph, xs: str | Iterable[str], ys: str | Iterable[str], given: str | Iterable[str] = ()
) -> tuple[str, ...] | None:
    """Return one shortest path that `given` leaves open between `xs` and `ys`, or None when they are m-separated.

    Its non-colliders are not given; each collider is given or has a given descendant. Variables of `xs` and `ys`
    that are given count as separated.
    """
    if graph.kind not in ("DAG", "ADMG", "MAG"):
        raise GraphError(f"m-separation is read off a DAG, ADMG or MAG, not a {graph.kind}; take a member of the class first")
    size = len(graph.nodes)
    stops = flagged(size, _numbers(graph, given))
    starts = [k for k in _numbers(graph, xs) if not stops[k]]
    goals = flagged(size, (k for k in _numbers(graph, ys) if not stops[k]))
    path = shortest_open_path(graph.links, starts, goals, stops)
    return None if path is None else tuple(graph.nodes[k] for k in path)


def shortest_open_path(links: Links, starts: Iterable[int], goals: bytearray, stops: bytearray) -> tuple[int, ...] | None:
    """Return a shortest open path by node numbers, or None.

    The first walk found to a state is a path: were a node met twice, it would be a collider with a given descendant
    or no collider at all the first time, and the walk could have left it then.
    """
    opens = closure(links.parents, (k for k, flag in enumerate(stops) if flag))
    came_from: dict[State, State | None] = {(start, False): None for start in starts}
    first = {state[0] for state in came_from}
    queue = deque(came_from)
    while queue:
        state = queue.popleft()
        if goals[state[0]] and state[0] not in first:
            return path_to(came_from, state)
        for step in _steps(links, state, state[0] in first, stops, opens):
            if step not in came_from and step[0] not in first:
                came_from[step] = state
                queue.append(step)
    return None


def reached_openly(links: Links, starts: Iterable[int], stops: bytearray) -> bytearray:
    """Return flags of the nodes outside `stops` that some open path joins to a start, given the flagged nodes."""
    opens = closure(links.parents, (k for k, flag in enumerate(stops) if flag))
    stack: list[State] = [(start, False) for start in starts]
    first = {node for node, _ in stack}
    seen = set(stack)
    reached = bytearray(links.size)
    while stack:
        state = stack.pop()
        reached[state[0]] = not stops[state[0]]
        for step in _steps(links, state, state[0] in first, stops, opens):
            if step not in seen and step[0] not in first:
                seen.add(step)
                stack.append(step)
    return reached


def _steps(links: Links, state: State, first: bool, stops: bytearray, opens: bytearray) -> Iterator[State]:
    """Yield the states one edge further that an open path may enter."""
    node, arrowed = state
    through = first or not stops[node]
    if through:
        yield from ((other, True) for other in links.children[node])
        yield from ((other, False) for other in links.neighbours[node])
    if first or (opens[node] if arrowed else through):
        yield from ((other, False) for other in links.parents[node])
        yield from ((other, True) for other in links.siblings[node])


def path_to(came_from: dict[State, State | None], end: State) -> tuple[int, ...]:
    """Return the nodes from a start to `end` along the steps taken."""
    path: list[int] = []
    state: State | None = end
    while state is not None:
        path.append(state[0])
        state = came_from[state]
    return tuple(path[::-1])


def _numbers(graph: CausalGraph, names: str | Iterable[str]) -> list[int]:
    return [graph.index(n) for n in ([names] if isinstance(names, str) else names)]
