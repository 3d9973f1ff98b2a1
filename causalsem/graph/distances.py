"""How far one graph is from another: edges (SHD, precision and recall) and what they say about causes (SID, adjustment)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from causalsem._cards import mimebundle
from causalsem.errors import GraphError, shown
from causalsem.graph.causal_graph import CausalGraph
from causalsem.graph.links import both, closure, flagged, flipped, members
from causalsem.graph.marks import Mark


@dataclass(frozen=True, slots=True)
class Agreement:
    """Precision and recall of edges (`skeleton_`) and of arrowheads (`arrow_`) of a guess against the truth.

    A precision is 1 when nothing was claimed, a recall 1 when there was nothing to find. `shd` counts pairs of nodes
    whose edge is absent in one of the two or has other marks.
    """

    skeleton_precision: float
    skeleton_recall: float
    arrow_precision: float
    arrow_recall: float
    shd: int

    @property
    def skeleton_f1(self) -> float:
        """The harmonic mean of precision and recall of edges."""
        return _harmonic(self.skeleton_precision, self.skeleton_recall)

    @property
    def arrow_f1(self) -> float:
        """The harmonic mean of precision and recall of arrowheads."""
        return _harmonic(self.arrow_precision, self.arrow_recall)

    _repr_mimebundle_ = mimebundle


def agreement(guess: CausalGraph, truth: CausalGraph) -> Agreement:
    """Return how well the edges and arrowheads of a guessed graph agree with the true ones, over the same nodes."""
    _require_same_nodes(guess, truth)
    ours, theirs = _pairs(guess), _pairs(truth)
    heads, true_heads = set(_heads(guess)), set(_heads(truth))
    shared = len(ours.keys() & theirs.keys())
    return Agreement(
        _share(shared, len(ours)),
        _share(shared, len(theirs)),
        _share(len(heads & true_heads), len(heads)),
        _share(len(heads & true_heads), len(true_heads)),
        sum(ours.get(pair) != theirs.get(pair) for pair in ours.keys() | theirs.keys()),
    )


def shd(guess: CausalGraph, truth: CausalGraph) -> int:
    """Return the structural Hamming distance: pairs whose edge is absent in one of the two or has other marks."""
    return agreement(guess, truth).shd


def sid(guess: CausalGraph, truth: CausalGraph) -> int:
    """Return the structural intervention distance of two DAGs (Peters & Bühlmann 2015).

    It counts the ordered pairs (i, j) for which adjusting for the parents of i in `guess` does not give the effect
    of i on j in `truth`.
    """
    _require_same_nodes(guess, truth)
    for graph in (guess, truth):
        if graph.kind != "DAG":
            raise GraphError(f"the structural intervention distance is between DAGs, not a {graph.kind}; take a member of the class first")
    return sum(1 for _ in wrong_parents(guess, truth))


def wrong_parents(guess: CausalGraph, truth: CausalGraph) -> Iterator[tuple[str, str]]:
    """Yield the pairs (i, j) that `sid` counts."""
    links = truth.links
    for name in truth.nodes:
        x = truth.index(name)
        chosen = [truth.index(p) for p in guess.parents(name)]
        stops = flagged(links.size, chosen)
        below = closure(links.children, [x])
        # Children of x from which a chosen node is reached: adjusting for it cuts a causal path or opens a collider.
        above_chosen = closure(links.parents, chosen)
        for other in truth.nodes:
            y = truth.index(other)
            if y == x:
                continue
            if stops[y]:
                # In the guess y causes x, so x has no effect on y: wrong when in truth it has.
                wrong = bool(below[y])
            else:
                causal = both(below, closure(links.parents, [y]))
                causal[x] = 0
                spoilt = any(above_chosen[v] for v in members(causal))
                wrong = spoilt or _open_besides(truth, x, y, stops, causal)
            if wrong:
                yield name, other


def _open_besides(graph: CausalGraph, x: int, y: int, stops: bytearray, causal: bytearray) -> bool:
    """Tell whether a path from x to y other than the causal ones is open given `stops` (DAGs)."""
    links = graph.links
    opens = closure(links.parents, members(stops))
    free = flipped(stops)
    seen = {(x, False), (x, True)}
    stack = [(p, False) for p in links.parents[x]] + [(c, True) for c in links.children[x] if not causal[c]]
    while stack:
        state = stack.pop()
        if state in seen:
            continue
        seen.add(state)
        node, arrowed = state
        if node == y:
            return True
        if free[node]:
            stack += [(child, True) for child in links.children[node]]
        if opens[node] if arrowed else free[node]:
            stack += [(parent, False) for parent in links.parents[node]]
    return False


def _pairs(graph: CausalGraph) -> dict[frozenset[str], frozenset[tuple[str, Mark]]]:
    """Return the marks of every pair that shares an edge."""
    found: dict[frozenset[str], frozenset[tuple[str, Mark]]] = {}
    for a, b, at_a, at_b in graph.edges:
        pair = frozenset((a, b))
        found[pair] = found.get(pair, frozenset()) | {(a, at_a), (b, at_b)}
    return found


def _heads(graph: CausalGraph) -> Iterator[tuple[str, str]]:
    """Yield (other end, end with an arrowhead) for every arrowhead."""
    for a, b, at_a, at_b in graph.edges:
        if at_b == Mark.ARROW:
            yield a, b
        if at_a == Mark.ARROW:
            yield b, a


def _require_same_nodes(guess: CausalGraph, truth: CausalGraph) -> None:
    differ = sorted(set(guess.nodes) ^ set(truth.nodes))
    if differ:
        raise GraphError(f"the graphs differ in nodes: {shown(differ)}; select the same nodes of both first")


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0


def _harmonic(a: float, b: float) -> float:
    return 2 * a * b / (a + b) if a + b else 0.0
