"""Is this a legal graph of its kind? Each check raises an error that names the edge or the cycle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from causalsem.errors import CycleError, GraphError
from causalsem.graph.links import Links, closure, members
from causalsem.graph.marks import ARROW, CIRCLE, MARKS, TAIL, Kind
from causalsem.graph.members import cpdag_links, extension_links
from causalsem.graph.order import cycle_in

Ends = frozenset[int]
Edge = tuple[str, str]
DIRECTED, BIDIRECTED, UNDIRECTED = frozenset({TAIL, ARROW}), frozenset({ARROW}), frozenset({TAIL})
ALLOWED_ENDS: Mapping[Kind, frozenset[Ends]] = {
    "DAG": frozenset({DIRECTED}),
    "CPDAG": frozenset({DIRECTED, UNDIRECTED}),
    "MPDAG": frozenset({DIRECTED, UNDIRECTED}),
    "ADMG": frozenset({DIRECTED, BIDIRECTED}),
    "MAG": frozenset({DIRECTED, BIDIRECTED, UNDIRECTED}),
    "PAG": frozenset({frozenset({a, b}) for a in (CIRCLE, ARROW, TAIL) for b in (CIRCLE, ARROW, TAIL)}),
}


def check_legal(nodes: Sequence[str], links: Links, kind: Kind) -> None:
    """Raise GraphError when the links are no graph of this kind, CycleError at a directed cycle.

    A CPDAG must be that of a DAG, an MPDAG must hold a DAG, a MAG must be ancestral and maximal, a PAG must have no
    (almost) directed cycle.
    """
    _check_ends(nodes, links, kind)
    cycle = cycle_in(links.children, links.parents)
    if cycle is not None:
        raise CycleError([nodes[k] for k in cycle], where=f"the {kind}")
    if kind in ("CPDAG", "MPDAG") and any(links.neighbours) and extension_links(links) is None:
        raise GraphError("no DAG has these edges without a new v-structure or a cycle; drop or turn an arrow")
    if kind == "CPDAG":
        _check_cpdag(nodes, links)
    if kind in ("MAG", "PAG"):
        _check_ancestral(nodes, links, kind)
        if kind == "MAG":
            _check_maximal(nodes, links)


def _check_ends(nodes: Sequence[str], links: Links, kind: Kind) -> None:
    allowed = ALLOWED_ENDS[kind]
    for v in range(links.size):
        for other, here, there in links.edges_at(v):
            if frozenset({here, there}) not in allowed:
                a, b = (v, other) if v < other else (other, v)
                ends = f"{MARKS[here]} and {MARKS[there]}" if a == v else f"{MARKS[there]} and {MARKS[here]}"
                raise GraphError(
                    f"a {kind} has no edge with {ends}: {nodes[a]!r} – {nodes[b]!r}; name another kind", edge=(nodes[a], nodes[b])
                )
        bows = set(links.siblings[v]) & {*links.children[v], *links.parents[v]}
        if bows and kind != "ADMG":
            other = min(bows)
            raise GraphError(
                f"two edges between {nodes[v]!r} and {nodes[other]!r} in a {kind}; keep one, or name the kind ADMG",
                edge=(nodes[v], nodes[other]),
            )


def cpdag_breach(nodes: Sequence[str], links: Links) -> tuple[str, Edge] | None:
    """Return why links that hold a DAG are no CPDAG, with the arrow at fault, or None.

    They differ from the CPDAG of one member at an arrow that is not forced, or at an edge that is.
    """
    dag = extension_links(links)
    true = links if dag is None else cpdag_links(dag)
    for v in range(links.size):
        for child in sorted(set(links.children[v]) ^ set(true.children[v])):
            edge = (nodes[v], nodes[child])
            arrow = f"{edge[0]!r} -> {edge[1]!r}"
            why = f"the arrow {arrow} is not forced" if child in links.children[v] else f"{arrow} is forced by the rest (Meek's rules)"
            return f"not a CPDAG: {why}", edge
    return None


def _check_cpdag(nodes: Sequence[str], links: Links) -> None:
    breach = cpdag_breach(nodes, links)
    if breach is not None:
        why, edge = breach
        raise GraphError(f"{why}; name the kind MPDAG, or hand in to_cpdag of a DAG", edge=edge)


def _check_ancestral(nodes: Sequence[str], links: Links, kind: Kind) -> None:
    """Raise at an almost directed cycle a ↔ b, a → … → b, and in a MAG at an arrowhead into an undirected edge."""
    for v in range(links.size):
        if links.siblings[v]:
            above = closure(links.parents, [v])
            for other in links.siblings[v]:
                if above[other]:
                    raise GraphError(
                        f"almost directed cycle in the {kind}: {nodes[other]!r} <-> {nodes[v]!r}, but {nodes[other]!r} is also an "
                        f"ancestor of {nodes[v]!r}; drop one of these edges",
                        edge=(nodes[other], nodes[v]),
                    )
        if kind == "MAG" and links.neighbours[v] and (links.parents[v] or links.siblings[v]):
            into = (links.parents[v] or links.siblings[v])[0]
            raise GraphError(
                f"{nodes[v]!r} has an undirected edge and an arrowhead from {nodes[into]!r}, which no MAG has; turn one of them",
                edge=(nodes[into], nodes[v]),
            )


def _check_maximal(nodes: Sequence[str], links: Links) -> None:
    """Raise when two nodes without an edge are joined by an inducing path, so that no set separates them."""
    pair = inducing_pair(links)
    if pair is not None:
        a, b = (nodes[k] for k in pair)
        raise GraphError(
            f"not a MAG: no set separates {a!r} and {b!r}, which share no edge; add the edge, or name the kind ADMG", edge=(a, b)
        )


def inducing_pair(links: Links) -> tuple[int, int] | None:
    """Return two non-adjacent nodes with a path of colliders between them, each an ancestor of one of the two, or None."""
    for district in _districts(links):
        ends = sorted({*district, *(p for v in district for p in links.parents[v])})
        above = {v: closure(links.parents, [v]) for v in ends}
        for at, a in enumerate(ends):
            around = set(links.adjacent(a))
            for b in ends[at + 1 :]:
                if b not in around and induced(links, a, b, above[a], above[b]):
                    return a, b
    return None


def induced(links: Links, a: int, b: int, above_a: bytearray, above_b: bytearray) -> bool:
    """Tell whether a and b are joined by a path whose inner nodes are colliders and ancestors of a or b."""

    def inner(v: int) -> bool:
        return v not in (a, b) and bool(above_a[v] or above_b[v])

    front = [v for v in (*links.children[a], *links.siblings[a]) if inner(v)]
    seen = set(front)
    while front:
        here = front.pop()
        if b in links.siblings[here] or b in links.parents[here]:
            return True
        for other in links.siblings[here]:
            if inner(other) and other not in seen:
                seen.add(other)
                front.append(other)
    return False


def _districts(links: Links) -> list[list[int]]:
    """Return the sets of at least two nodes that bidirected edges connect."""
    left = {v for v in range(links.size) if links.siblings[v]}
    found = []
    while left:
        district = members(closure(links.siblings, [min(left)]))
        left -= set(district)
        found.append(district)
    return found
