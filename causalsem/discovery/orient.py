"""From a skeleton and claims about colliders to a class of DAGs that always exists and obeys the knowledge."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from causalsem._values import BoolArray, FloatArray
from causalsem.discovery.found import Conflict, Found, Rules
from causalsem.discovery.order import reachable
from causalsem.graph.causal_graph import ARROW, CIRCLE, NONE, TAIL, Kind, MarkArray, find_cycle
from causalsem.graph.pdag import PDAG, bits, to_masks


@dataclass(frozen=True, slots=True)
class Collider:
    """The claim that a → middle ← b, with the strength that decides between claims."""

    a: int
    middle: int
    b: int
    strength: float


def orient(skeleton: BoolArray, claims: Sequence[Collider], rules: Rules, weight: FloatArray, conflicts: Sequence[Conflict] = ()) -> Found:
    """Return the MPDAG (CPDAG without knowledge) of a skeleton: knowledge first, then colliders, the strongest first.

    A claim that contradicts stronger ones gives way and is reported. Where no DAG has exactly these colliders, a DAG
    with as few others as a greedy elimination finds is taken, and these are reported. `weight` (p, p) breaks ties by
    how strongly pairs depend, so that column order never decides.
    """
    forced = rules.forced & skeleton
    graph = PDAG.from_matrices(forced, skeleton & ~forced & ~forced.T)
    reach = reachable(forced)
    gone = list(conflicts)
    for claim in sorted(claims, key=lambda c: (-c.strength, -weight[c.a, c.middle] - weight[c.middle, c.b])):
        why = _objection(graph, reach, claim)
        if why:
            gone.append(Conflict("collider {0} -> {1} <- {2} not taken", (claim.a, claim.middle, claim.b), why))
            continue
        for end in (claim.a, claim.b):
            if (graph.ne[claim.middle] >> end) & 1:
                graph.orient(end, claim.middle)
                _extend_closure(reach, end, claim.middle)
    dag, made = _any_extension(graph, weight)
    gone += [Conflict("collider {0} -> {1} <- {2} added", made_one, "no graph has this skeleton without it") for made_one in made]
    return class_of(dag, rules, gone)


def class_of(dag: list[int], rules: Rules, conflicts: Sequence[Conflict] = ()) -> Found:
    """Return the class of a DAG that obeys the rules (parent masks): its CPDAG, and the arrows the rules force, closed."""
    graph = PDAG.from_dag(dag)
    if rules.silent:
        return Found(graph.marks(), "CPDAG", tuple(conflicts))
    plain = graph.copy()
    restrict(graph, rules)
    if not any(graph.ne):
        return Found(graph.marks(), "DAG", tuple(conflicts))
    return Found(graph.marks(), "CPDAG" if plain.ne == graph.ne else "MPDAG", tuple(conflicts))


def restrict(graph: PDAG, rules: Rules) -> PDAG:
    """Turn the undirected edges that the rules decide, close under Meek's rules, and return the graph."""
    for a, mask in enumerate(to_masks(rules.forced)):
        for b in bits(mask & graph.ne[a]):
            graph.orient(a, b)
    return graph.close()


def _objection(graph: PDAG, reach: BoolArray, claim: Collider) -> str:
    """Return why a collider cannot be taken over, or an empty text."""
    for k, end in enumerate((claim.a, claim.b)):
        if (graph.ch[claim.middle] >> end) & 1:
            return f"knowledge or a stronger collider has {{1}} -> {{{2 * k}}}"
        if not (graph.pa[claim.middle] >> end) & 1 and reach[claim.middle, end]:
            return "it would close a directed cycle"
    return ""


def _extend_closure(reach: BoolArray, a: int, b: int) -> None:
    before, after = reach[:, a].copy(), reach[b].copy()
    before[a] = after[b] = True
    reach |= np.outer(before, after)


def _any_extension(graph: PDAG, weight: FloatArray) -> tuple[list[int], list[tuple[int, int, int]]]:
    """Return parent masks of a DAG with these arrows, and the v-structures it has beyond the graph's.

    Sinks are taken as by Dor & Tarsi (1992); when none is free of new v-structures, the one with the fewest is.
    """
    exact = graph.extension()
    if exact is not None:
        return exact, []
    work, made, strength = graph.copy(), [], weight.sum(axis=0).tolist()
    dag = work.pa.copy()

    def cost(k: int) -> tuple[int, float, float, int]:
        new = _new_colliders(work, k)
        return len(new), sum(float(weight[a, k] + weight[k, b]) for a, _, b in new), strength[k], k

    heap = [cost(k) for k in range(len(dag)) if not work.ch[k]]
    heapq.heapify(heap)
    newest, gone = {entry[3]: entry for entry in heap}, [False] * len(dag)
    while heap:
        entry = heapq.heappop(heap)
        sink = entry[3]
        if gone[sink] or newest[sink] != entry:
            continue
        gone[sink] = True
        made += _new_colliders(work, sink)
        dag[sink] |= work.ne[sink]
        around = bits(work.pa[sink] | work.ne[sink])
        for other in around:
            work.remove(sink, other)
        # Only those around a removed sink have become cheaper.
        for other in around:
            if not work.ch[other]:
                newest[other] = cost(other)
                heapq.heappush(heap, newest[other])
    return dag, made


def _new_colliders(graph: PDAG, k: int) -> list[tuple[int, int, int]]:
    """Return the v-structures that turning every neighbour of k into a parent would make."""
    around = graph.pa[k] | graph.ne[k]
    return [
        (a, k, b)
        for a in bits(graph.ne[k])
        for b in bits(around & ~graph.adjacent(a) & ~(1 << a))
        if not ((graph.ne[k] >> b) & 1 and b < a)
    ]


def consensus_marks(marks: MarkArray, threshold: float, kind: Kind) -> tuple[MarkArray, Kind]:
    """Return the marks of the edges in a share ≥ threshold of the graphs (times, p, p), and the kind of graph they are."""
    present = (marks != NONE).mean(axis=0)
    adjacent = present >= threshold
    if kind in ("PAG", "MAG", "ADMG"):
        return _commonest_marks(marks, adjacent), kind
    forward = ((marks == ARROW) & (marks.transpose(0, 2, 1) == TAIL)).mean(axis=0)
    line = present - forward - forward.T
    graph = PDAG.from_matrices(np.zeros_like(adjacent), adjacent)
    reach = np.zeros_like(adjacent)
    for i, j in sorted(np.argwhere(adjacent & (forward > line) & (forward > forward.T)).tolist(), key=lambda e: -forward[e[0], e[1]]):
        if not reach[j, i]:
            graph.orient(i, j)
            _extend_closure(reach, i, j)
    for a, middle, b in _any_extension(graph, present)[1]:
        # Without this collider no DAG has the edges.
        for end in (a, b):
            if (graph.ne[middle] >> end) & 1:
                graph.orient(end, middle)
    closed = graph.close()
    return closed.marks(), ("MPDAG" if any(closed.ne) else "DAG")


def _commonest_marks(marks: MarkArray, adjacent: BoolArray) -> MarkArray:
    """Return, for the pairs that are adjacent, the pair of marks most graphs with that edge have."""
    result = np.zeros(adjacent.shape, dtype=np.int8)
    for i, j in np.argwhere(np.triu(adjacent)):
        ends = marks[:, [i, j], [j, i]]
        kinds, counts = np.unique(ends[(ends != NONE).any(axis=1)], axis=0, return_counts=True)
        result[i, j], result[j, i] = kinds[np.argmax(counts)]
    cycle = find_cycle((result == ARROW) & (result.T == TAIL))
    while cycle is not None:
        # Nothing certain can be said around a directed cycle.
        for a, b in zip(cycle, [*cycle[1:], cycle[0]], strict=True):
            result[a, b] = result[b, a] = CIRCLE
        cycle = find_cycle((result == ARROW) & (result.T == TAIL))
    return result
