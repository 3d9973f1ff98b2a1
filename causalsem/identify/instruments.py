"""Instruments, given nothing or given a set (van der Zander, Textor & Liśkiewicz 2015), for linear models."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from causalsem._cards import mimebundle
from causalsem.errors import GraphError, check_names
from causalsem.graph import CausalGraph
from causalsem.graph.links import both, closure, flagged, flipped
from causalsem.identify.criterion import latent_nodes, read
from causalsem.identify.query import Query, as_query
from causalsem.identify.reasons import assumptions_of
from causalsem.identify.separators import BackDoor


@dataclass(frozen=True, slots=True)
class Instrument:
    """A variable that moves the outcome only by way of the treatment, given a set; it identifies linear effects.

    The effect is cov(z, y | given) / cov(z, x | given); it also assumes linearity (or a constant effect).
    """

    query: Query
    instrument: str
    given: tuple[str, ...]
    assumptions: tuple[str, ...] = field(default=(), compare=False, repr=False)
    graph: CausalGraph | None = field(default=None, compare=False, repr=False)

    @property
    def status(self) -> str:
        """Say "instrument"."""
        return "instrument"

    def __str__(self) -> str:
        given = f" | {{{', '.join(self.given)}}}" if self.given else ""
        return f"{self.query} by the instrument {self.instrument}{given}"

    _repr_mimebundle_ = mimebundle


def instruments(
    graph: CausalGraph, query: Query | tuple[str, str], *, allowed: Iterable[str] | None = None, limit: int = 100
) -> list[Instrument]:
    """Return every instrument of a DAG or ADMG, each given nothing or, where it needs one, every minimal set.

    z is an instrument given W when, without the first arrows of causal paths, W separates z from the outcome but
    not from the treatment, and W holds no descendant of the outcome or of a mediator. At most `limit` sets are tried
    for each variable.
    """
    query = as_query(query)
    if graph.kind not in ("DAG", "ADMG"):
        raise GraphError(f"instruments are read off a DAG or ADMG, not a {graph.kind}; take a member of the class first")
    x, _ = query.treatment, query.outcome
    reading = read(graph, query)
    names = graph.nodes if allowed is None else tuple(allowed)
    check_names(names, graph.nodes, what="allowed variable", where="the graph")
    usable = reading.usable(flagged(len(graph.nodes), (graph.index(n) for n in names)))
    below = closure(graph.links.children, reading.ys)
    usable = both(usable, flipped(below))
    hidden = set(latent_nodes(graph))
    found = []
    for z in range(len(graph.nodes)):
        if z in hidden or z in reading.ys or z == graph.index(x) or reading.forbidden[z]:
            continue
        door = BackDoor(reading, sources=[z])
        may = bytearray(usable)
        may[z] = 0
        for given in _relevant(door, reading.xs[0], may, limit):
            told = tuple(sorted(graph.nodes[k] for k in given))
            found.append(Instrument(query, graph.nodes[z], told, (*assumptions_of(graph), "linearity"), graph))
    return sorted(found, key=lambda one: (len(one.given), one.instrument, one.given))


def _relevant(door: BackDoor, x: int, may: bytearray, limit: int) -> Iterator[tuple[int, ...]]:
    """Yield the minimal sets that separate the source from the outcome and leave it joined to x."""
    for given in itertools.islice(door.all_minimal(may), limit):
        if door.joins(x, flagged(door.size, given)):
            yield given
