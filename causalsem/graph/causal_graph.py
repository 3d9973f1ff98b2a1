"""CausalGraph: nodes and end marks of a DAG, CPDAG, MPDAG, ADMG, MAG or PAG."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, get_args

import numpy as np
import numpy.typing as npt

from causalsem._cards import mimebundle
from causalsem.errors import CycleError, GraphError, check_names, shown
from causalsem.graph.legal import check_legal
from causalsem.graph.links import Links, closure, members
from causalsem.graph.marks import ARROW, CIRCLE, MARKS, NONE, TAIL, Edge, Kind, Mark, MarkArray
from causalsem.graph.order import causal_order, cycle_in, find_cycle, order_of

__all__ = ["ARROW", "CIRCLE", "MARKS", "NONE", "TAIL", "CausalGraph", "Edge", "Kind", "Mark", "MarkArray", "causal_order", "find_cycle"]

T = TypeVar("T")
MOST_DRAWN = 80  # nodes a card draws; beyond, a picture is no help


@dataclass(frozen=True, slots=True, eq=False, init=False)
class CausalGraph:
    """A causal graph of named nodes and edges with a mark (tail, arrow or circle) at each end.

    Made from `marks`, where marks[i, j] is the mark at node j's end of the edge i – j (codes NONE, CIRCLE, ARROW,
    TAIL): i → j has marks[i, j] = ARROW and marks[j, i] = TAIL. `kind` says which family of graphs it is, `latent`
    which nodes are unobserved, `provenance` how it was made (method, settings, data). `links` holds the edges as one
    list per node, so that graphs of 10,000 nodes stay small. Raises GraphError (CycleError for a directed cycle)
    when the marks are not a graph of that kind.
    """

    nodes: tuple[str, ...]
    links: Links
    kind: Kind
    latent: tuple[str, ...]
    provenance: Mapping[str, Any]
    _derived: dict[str, Any]

    def __init__(
        self,
        nodes: Sequence[str],
        marks: npt.ArrayLike,
        kind: Kind = "DAG",
        latent: Iterable[str] = (),
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        names = _checked_nodes(nodes)
        self._fill(names, _links_of(names, np.asarray(marks)), kind, latent, provenance)

    def _fill(self, nodes: tuple[str, ...], links: Links, kind: Kind, latent: Iterable[str], provenance: Mapping[str, Any] | None) -> None:
        """Check and set every field."""
        if kind not in get_args(Kind):
            raise GraphError(f"unknown kind {kind!r}; use one of {shown(get_args(Kind))}")
        hidden = (latent,) if isinstance(latent, str) else tuple(dict.fromkeys(latent))
        check_names(hidden, set(nodes) if hidden else (), what="latent node", where="the graph")
        check_legal(nodes, links, kind)
        for name, value in (("nodes", nodes), ("links", links), ("kind", kind), ("latent", hidden), ("_derived", {})):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "provenance", MappingProxyType(dict(provenance or {})))

    # -- made from -----------------------------------------------------------------

    @classmethod
    def from_links(
        cls,
        nodes: Sequence[str],
        links: Links,
        kind: Kind = "DAG",
        latent: Iterable[str] = (),
        provenance: Mapping[str, Any] | None = None,
    ) -> CausalGraph:
        """Return the graph of links, which must not be changed afterwards."""
        graph = cls.__new__(cls)
        graph._fill(_checked_nodes(nodes), links.in_order(), kind, latent, provenance)
        return graph

    @classmethod
    def from_edges(
        cls,
        edges: Iterable[tuple[str, str]] | Iterable[Edge],
        nodes: Sequence[str] | None = None,
        *,
        kind: Kind | None = None,
        latent: Iterable[str] = (),
        provenance: Mapping[str, Any] | None = None,
    ) -> CausalGraph:
        """Return the graph of edges: pairs (cause, effect), or (source, target, mark at source, mark at target).

        Only an ADMG may have two edges between nodes, a -> b and a <-> b (a bow).
        """
        full = [_full_edge(edge) for edge in edges]
        names = _checked_nodes(nodes or ())
        place = {name: k for k, name in enumerate(names)}
        for name in (end for edge in full for end in edge[:2]):
            place.setdefault(name, len(place))
        links = Links.empty(len(place))
        seen: dict[tuple[int, int], tuple[int, int]] = {}
        for source, target, at_source, at_target in full:
            i, j, here, there = place[source], place[target], MARKS.index(at_source), MARKS.index(at_target)
            if i > j:
                i, j, here, there = j, i, there, here
            _check_new_edge(seen.get((i, j)), (here, there), source, target)
            seen[i, j] = (here, there)
            links.add(i, j, here, there)
        return cls.from_links(tuple(place), links, kind or inferred_kind(links), latent, provenance)

    @classmethod
    def parse(cls, text: str, kind: Kind | None = None, latent: Iterable[str] = ()) -> CausalGraph:
        """Return the graph that edge text describes: "a -> b; b <-> c; c -- d; x o-> y; u o-o v; alone"."""
        from causalsem.graph.text import parse_graph

        return parse_graph(text, kind=kind, latent=(latent,) if isinstance(latent, str) else tuple(latent))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> CausalGraph:
        """Return the graph that `save` wrote."""
        from causalsem.graph.formats import graph_from_payload, read_graph_payload

        return graph_from_payload(read_graph_payload(path), where=os.fspath(path))

    # -- questions -----------------------------------------------------------------

    @property
    def marks(self) -> MarkArray:
        """The read-only (p, p) end marks; of a bow a → b, a ↔ b they tell the arrow."""
        return self.once("marks", self._marks)

    def _marks(self) -> MarkArray:
        marks = np.zeros((len(self.nodes), len(self.nodes)), dtype=np.int8)
        for i in range(len(self.nodes)):
            # Siblings first, so that the arrow of a bow has the last word.
            for j in self.links.siblings[i]:
                marks[i, j] = ARROW
            for j, _, there in self.links.edges_at(i):
                if not (there == ARROW and marks[i, j]):
                    marks[i, j] = there
        for i, parents in enumerate(self.links.parents):
            marks[i, parents] = TAIL
        marks.setflags(write=False)
        return marks

    @property
    def edges(self) -> Iterator[Edge]:
        """Yield (source, target, mark at source, mark at target); arrows run from source to target.

        An edge is told from its tail or circle to its arrowhead, from its circle to its tail, else in node order.
        """
        for i in range(len(self.nodes)):
            for j, here, there in sorted(edge for edge in self.links.edges_at(i) if edge[0] > i):
                turned = (here == ARROW and there != ARROW) or (here, there) == (TAIL, CIRCLE)
                if turned:
                    yield self.nodes[j], self.nodes[i], MARKS[there], MARKS[here]
                else:
                    yield self.nodes[i], self.nodes[j], MARKS[here], MARKS[there]

    @property
    def bows(self) -> tuple[tuple[str, str], ...]:
        """The pairs (cause, effect) of an ADMG that are joined by -> and by <->."""
        links = self.links
        return tuple((self.nodes[i], self.nodes[j]) for i in range(links.size) for j in links.children[i] if j in links.siblings[i])

    def index(self, node: str) -> int:
        """Return the position of a node, or raise UnknownNameError with the nearest name."""
        place = self.once("place", lambda: {name: k for k, name in enumerate(self.nodes)})
        check_names([node], place, where="the graph")
        return place[node]

    def edge(self, a: str, b: str) -> tuple[Mark, Mark]:
        """Return the marks at a and at b of the edge a – b; (none, none) when there is none."""
        i, j = self.index(a), self.index(b)
        return next(((MARKS[here], MARKS[there]) for other, here, there in self.links.edges_at(i) if other == j), (Mark.NONE, Mark.NONE))

    def parents(self, node: str) -> tuple[str, ...]:
        """Return the nodes with an arrow into `node`."""
        return self._names(self.links.parents[self.index(node)])

    def children(self, node: str) -> tuple[str, ...]:
        """Return the nodes that `node` has an arrow into."""
        return self._names(self.links.children[self.index(node)])

    def siblings(self, node: str) -> tuple[str, ...]:
        """Return the nodes joined to `node` by a bidirected edge."""
        return self._names(self.links.siblings[self.index(node)])

    def neighbours(self, node: str) -> tuple[str, ...]:
        """Return the nodes joined to `node` by an undirected edge."""
        return self._names(self.links.neighbours[self.index(node)])

    def adjacent(self, node: str) -> tuple[str, ...]:
        """Return the nodes that share an edge with `node`."""
        return self._names(sorted(set(self.links.adjacent(self.index(node)))))

    def ancestors(self, nodes: str | Iterable[str]) -> frozenset[str]:
        """Return `nodes` and everything with a directed path into them."""
        return frozenset(self._names(members(closure(self.links.parents, self._numbers(nodes)))))

    def descendants(self, nodes: str | Iterable[str]) -> frozenset[str]:
        """Return `nodes` and everything they have a directed path into."""
        return frozenset(self._names(members(closure(self.links.children, self._numbers(nodes)))))

    def _names(self, numbers: Iterable[int]) -> tuple[str, ...]:
        return tuple(self.nodes[k] for k in numbers)

    def _numbers(self, nodes: str | Iterable[str]) -> list[int]:
        return [self.index(n) for n in ([nodes] if isinstance(nodes, str) else nodes)]

    @property
    def directed(self) -> npt.NDArray[np.bool_]:
        """The arrows: directed[i, j] is True when i → j."""
        return np.asarray((self.marks == ARROW) & (self.marks.T == TAIL))

    def once(self, what: str, make: Callable[[], T]) -> T:
        """Return what `make` derives from the graph, made on first call and kept with it."""
        if what not in self._derived:
            self._derived[what] = make()
        made: T = self._derived[what]
        return made

    @property
    def observed(self) -> tuple[str, ...]:
        """The nodes that are not latent."""
        latent = set(self.latent)
        return tuple(n for n in self.nodes if n not in latent)

    def topological_order(self) -> tuple[str, ...]:
        """Return the nodes, causes first; ties keep node order."""
        return self._names(order_of(self.links.children, self.links.parents, self.nodes))

    def is_acyclic(self) -> bool:
        """Tell whether the arrows make no directed cycle."""
        return cycle_in(self.links.children, self.links.parents) is None

    # -- new values ----------------------------------------------------------------

    def select(self, nodes: Iterable[str]) -> CausalGraph:
        """Return the induced subgraph on `nodes`, in that order."""
        nodes = tuple(nodes)
        keep = set(nodes)
        check_names(nodes, set(self.nodes), where="the graph")
        kind: Kind = "MPDAG" if self.kind == "CPDAG" else self.kind
        edges = [edge for edge in self.edges if edge[0] in keep and edge[1] in keep]
        return CausalGraph.from_edges(edges, nodes, kind=kind, latent=[n for n in self.latent if n in keep], provenance=self.provenance)

    def with_provenance(self, **facts: Any) -> CausalGraph:
        """Return the graph with facts added about how it was made."""
        return CausalGraph.from_links(self.nodes, self.links, self.kind, self.latent, {**self.provenance, **facts})

    # -- out -----------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the graph as JSON."""
        from causalsem.graph.formats import save_graph

        return save_graph(self, path)

    def to_networkx(self) -> Any:
        """Return a networkx DiGraph (MultiDiGraph where an edge is not a plain arrow) with the marks as attributes."""
        from causalsem.graph.formats import to_networkx

        return to_networkx(self)

    def to_dot(self) -> str:
        """Return Graphviz DOT text."""
        from causalsem.graph.formats import to_dot

        return to_dot(self)

    def to_dagitty(self) -> str:
        """Return dagitty text."""
        from causalsem.graph.formats import to_dagitty

        return to_dagitty(self)

    def plot(self, **options: Any) -> Any:
        """Draw the graph in tiers with matplotlib and return its Axes; see `causalsem.report.plot_graph`."""
        import importlib

        return importlib.import_module("causalsem.report").plot_graph(self, **options)

    def __str__(self) -> str:
        from causalsem.graph.text import graph_text

        return graph_text(self)

    def __repr__(self) -> str:
        return f"CausalGraph({self.kind}, {len(self.nodes)} nodes: {self})"

    def _repr_html_(self) -> str:
        import html
        import importlib

        if len(self.nodes) > MOST_DRAWN:
            return f"<p>{html.escape(self.kind)} of {len(self.nodes):,} nodes and {sum(1 for _ in self.edges):,} edges</p>"
        return f"<div>{importlib.import_module('causalsem.report').graph_svg(self)}</div>"

    def _repr_png_(self) -> bytes | None:
        return None if len(self.nodes) > MOST_DRAWN else self.plot()._repr_png_()

    def __eq__(self, other: object) -> bool:
        """Tell whether both have the same kind, nodes, latents and edges, whatever the node order or provenance."""
        if not isinstance(other, CausalGraph):
            return NotImplemented
        if self is other:
            return True
        same = self.kind == other.kind and set(self.nodes) == set(other.nodes) and set(self.latent) == set(other.latent)
        return same and set(map(_sorted_edge, self.edges)) == set(map(_sorted_edge, other.edges))

    def __hash__(self) -> int:
        return hash((self.kind, frozenset(self.nodes), sum(map(len, self.links.children))))

    def __reduce__(self) -> tuple[Any, ...]:
        return CausalGraph.from_links, (self.nodes, self.links, self.kind, self.latent, dict(self.provenance))

    _repr_mimebundle_ = mimebundle


def inferred_kind(links: Links) -> Kind:
    """Return the plainest kind of these edges: circles make a PAG, <-> an ADMG, undirected edges a CPDAG or MPDAG."""
    if any(links.circles):
        return "PAG"
    if any(links.siblings):
        return "MAG" if any(links.neighbours) else "ADMG"
    if any(links.neighbours):
        from causalsem.graph.members import cpdag_links, extension_links

        dag = extension_links(links)
        is_class = dag is not None and cpdag_links(dag).children == links.in_order().children
        return "CPDAG" if is_class else "MPDAG"
    return "DAG"


def _checked_nodes(nodes: Iterable[str]) -> tuple[str, ...]:
    names = tuple(str(n) for n in nodes)
    if len(set(names)) != len(names):
        counts: dict[str, int] = {}
        for name in names:
            counts[name] = counts.get(name, 0) + 1
        raise GraphError(f"duplicate nodes {shown(n for n, count in counts.items() if count > 1)}; name every node once")
    return names


def _links_of(nodes: tuple[str, ...], marks: npt.NDArray[Any]) -> Links:
    """Return the links of end marks; raises GraphError at marks that are not those of edges."""
    if marks.shape != (len(nodes), len(nodes)):
        raise GraphError(f"{len(nodes)} nodes, but marks of shape {marks.shape}; hand in a square matrix")
    if marks.size and (marks.min() < NONE or marks.max() > TAIL):
        raise GraphError("marks must be 0 (none), 1 (circle), 2 (arrow) or 3 (tail); recode them")
    links = Links.empty(len(nodes))
    for i, j in np.argwhere(marks).tolist():
        here, there = int(marks[j, i]), int(marks[i, j])
        if i == j:
            raise GraphError(f"{nodes[i]!r} has an edge to itself; drop it", edge=(nodes[i], nodes[i]))
        if here == NONE:
            raise GraphError(f"the edge {nodes[i]!r} – {nodes[j]!r} has a mark at one end only; set both", edge=(nodes[i], nodes[j]))
        if i < j:
            links.add(i, j, here, there)
    return links.in_order()


def _check_new_edge(known: tuple[int, int] | None, ends: tuple[int, int], source: str, target: str) -> None:
    """Raise when an edge from a node to itself, or a second edge that makes no bow, is entered."""
    if source == target:
        raise GraphError(f"{source!r} has an edge to itself; drop it", edge=(source, target))
    if known is None:
        return
    if {known, ends} == {(TAIL, ARROW), (ARROW, TAIL)}:
        raise CycleError([target, source])
    if known == ends or (ARROW, ARROW) not in (known, ends) or not {known, ends} & {(TAIL, ARROW), (ARROW, TAIL)}:
        raise GraphError(f"two edges between {source!r} and {target!r}; keep one", edge=(source, target))


def _full_edge(edge: tuple[Any, ...]) -> Edge:
    if len(edge) == 2:
        return str(edge[0]), str(edge[1]), Mark.TAIL, Mark.ARROW
    return str(edge[0]), str(edge[1]), Mark(edge[2]), Mark(edge[3])


def _sorted_edge(edge: Edge) -> Edge:
    a, b, at_a, at_b = edge
    return (a, b, at_a, at_b) if a <= b else (b, a, at_b, at_a)
