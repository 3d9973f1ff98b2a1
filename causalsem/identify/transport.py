"""Transport (Pearl & Bareinboim 2011): does an effect found on one platform hold on another, and with which re-weighting."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from causalsem._cards import mimebundle
from causalsem.errors import GraphError, NotIdentifiedError, check_names
from causalsem.graph import CausalGraph, Mark
from causalsem.graph.links import flagged, members
from causalsem.identify.adjustment import adjustment_sets
from causalsem.identify.criterion import read, uncut
from causalsem.identify.query import Query, as_query
from causalsem.identify.reasons import assumptions_of
from causalsem.identify.separators import BackDoor

Edges = list[tuple[str, str, Mark, Mark]]


@dataclass(frozen=True, slots=True)
class Transport:
    """How an effect carries over: P*(y | do(x)) = Σ_z P(y | do(x), z) P*(z), z the variables to `reweight` by.

    Rows of the source get the weight P*(z) / P(z). With nothing to reweight the effect carries over as it is.
    `adjust_for` (which holds z) identifies P(y | do(x), z) from observations of the source, None where only an
    experiment there would.
    """

    query: Query
    differs: tuple[str, ...]
    reweight: tuple[str, ...]
    adjust_for: tuple[str, ...] | None
    assumptions: tuple[str, ...] = field(default=(), compare=False, repr=False)

    @property
    def status(self) -> str:
        """Say "carries_over" or "reweight"."""
        return "reweight" if self.reweight else "carries_over"

    def __str__(self) -> str:
        how = f"after re-weighting by {{{', '.join(self.reweight)}}}" if self.reweight else "as it is"
        return f"{self.query} carries over {how} (differing: {', '.join(self.differs) or 'nothing'})"

    _repr_mimebundle_ = mimebundle


def transport(
    graph: CausalGraph, query: Query | tuple[str, str], differs: Iterable[str], *, allowed: Iterable[str] | None = None
) -> Transport:
    """Return how the effect of a query carries over to a place where the causes of the variables `differs` differ.

    Draws a selection node into each of them and looks for a smallest set of variables from before the treatment that
    separates these from the outcome once the treatment is set (an S-admissible set). Raises NotIdentifiedError, with
    the open path, when there is none. A DAG or ADMG.
    """
    query = as_query(query)
    if graph.kind not in ("DAG", "ADMG"):
        raise GraphError(f"transport is read off a DAG or ADMG, not a {graph.kind}; take a member of the class first")
    query.require_in(graph)
    different = (differs,) if isinstance(differs, str) else tuple(dict.fromkeys(differs))
    check_names(different, graph.nodes, what="differing variable", where="the graph")
    names = graph.observed if allowed is None else tuple(allowed)
    check_names(names, graph.nodes, what="allowed variable", where="the graph")
    below = graph.descendants(query.treatments)
    free = {n for n in names if n not in below and n not in graph.latent and n not in query.outcomes}
    door = _after_setting(graph, query, different)
    nodes = door.reading.graph.nodes
    may = flagged(len(nodes), (k for k, name in enumerate(nodes) if name in free))
    chosen = door.cheapest(may)
    if chosen is None:
        path = door.open_path(may) or ()
        told = tuple(nodes[k] for k in path[1:])
        raise NotIdentifiedError(
            f"the effect {query} does not carry over: the difference in {told[0] if told else different[0]!r} reaches the outcome whatever "
            f"is re-weighted; repeat the study there, or measure what lies between",
            query=query,
            status="not_transportable",
            open_path=told,
        )
    reweight = tuple(sorted(nodes[k] for k in members(chosen)))
    return Transport(query, different, reweight, _adjustment_with(graph, query, reweight), assumptions_of(graph))


def _after_setting(graph: CausalGraph, query: Query, different: tuple[str, ...]) -> BackDoor:
    """Return the graph without the treatment (it is set and given), with a selection node that causes what differs."""
    selection = "S"
    while selection in graph.nodes:
        selection += "*"
    edges: Edges = [edge for edge in graph.edges if not {edge[0], edge[1]} & set(query.treatments)]
    edges += [(selection, name, Mark.TAIL, Mark.ARROW) for name in different if name not in query.treatments]
    nodes = [name for name in graph.nodes if name not in query.treatments]
    whole = CausalGraph.from_edges(edges, [*nodes, selection], kind="ADMG", latent=[n for n in graph.latent if n in nodes])
    return BackDoor(uncut(whole, Query(selection, query.outcomes)))


def _adjustment_with(graph: CausalGraph, query: Query, reweight: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return a set that holds `reweight` and identifies the effect from observations, or None."""
    reading = read(graph, query)
    may = reading.usable()
    must = flagged(len(may), (graph.index(name) for name in reweight))
    if reading.breach is not None or any(m and not u for m, u in zip(must, may, strict=True)):
        return None
    best = adjustment_sets(graph, query, kind="optimal")
    door = BackDoor(reading)
    if best and door.separates(flagged(len(may), {*(graph.index(n) for n in best[0].variables), *members(must)})):
        return tuple(sorted({*best[0].variables, *reweight}))
    found = door.separator(must, may)
    return None if found is None else tuple(sorted(graph.nodes[k] for k in members(found)))
