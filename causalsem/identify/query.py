"""Query: the effect of which treatment on which outcome."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from causalsem._cards import mimebundle
from causalsem.errors import GraphError, InputError, SettingError, check_kind, check_names, shown
from causalsem.graph import CausalGraph


@dataclass(frozen=True, slots=True, init=False)
class Query:
    """The total effect of one treatment, or of several set together, on an outcome.

    Raises InputError when a treatment is also the outcome.
    """

    treatments: tuple[str, ...]
    outcomes: tuple[str, ...]

    def __init__(self, treatment: str | Iterable[str], outcome: str | Iterable[str]) -> None:
        treatments = _names(treatment)
        outcomes = _names(outcome)
        if not treatments or not outcomes:
            raise InputError("a query needs a treatment and an outcome; name both")
        both = [name for name in treatments if name in outcomes]
        if both:
            raise InputError(f"{shown(both)} is treatment and outcome at once; ask for the effect on another variable")
        object.__setattr__(self, "treatments", treatments)
        object.__setattr__(self, "outcomes", outcomes)

    @property
    def treatment(self) -> str:
        """The treatment, when there is one; raises SettingError for a joint treatment."""
        return _single(self.treatments, "treatments")

    @property
    def outcome(self) -> str:
        """The outcome, when there is one; raises SettingError for several."""
        return _single(self.outcomes, "outcomes")

    def require_in(self, graph: CausalGraph) -> None:
        """Raise UnknownNameError, with the nearest name, when the graph lacks a variable of the query; GraphError if it is no graph."""
        check_kind(graph, CausalGraph, "a graph", "hand in a CausalGraph, or CausalGraph.parse(text)", GraphError)
        check_names((*self.treatments, *self.outcomes), graph.nodes, where="the graph")

    def __str__(self) -> str:
        return f"{_told(self.treatments)} ⇒ {_told(self.outcomes)}"

    _repr_mimebundle_ = mimebundle


def as_query(query: Query | tuple[str | Iterable[str], str | Iterable[str]]) -> Query:
    """Return a Query; a pair (treatment, outcome) stands for one."""
    if isinstance(query, Query):
        return query
    check_kind(query, (tuple, list), "a query", "hand in Query(treatment, outcome), or the pair of names")
    if len(query) != 2:
        raise SettingError(f"a query of {len(query)} names; hand in Query(treatment, outcome), or the pair of names")
    return Query(*query)


def _names(names: str | Iterable[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(dict.fromkeys(str(n) for n in names))


def _single(names: tuple[str, ...], what: str) -> str:
    if len(names) > 1:
        raise SettingError(f"the query has {len(names)} {what}: {shown(names)}; ask for `.{what}`, or query one at a time")
    return names[0]


def _told(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else "{" + ", ".join(names) + "}"
