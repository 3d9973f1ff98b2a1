"""Natural direct and indirect effects (Pearl 2001): which covariates make them identifiable, and by which formula."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from causalsem._cards import mimebundle
from causalsem.errors import GraphError, InputError, NotIdentifiedError, SettingError, check_names, shown
from causalsem.graph import CausalGraph
from causalsem.identify.adjustment import adjustment_sets, is_valid_adjustment
from causalsem.identify.query import Query, as_query
from causalsem.identify.reasons import assumptions_of


@dataclass(frozen=True, slots=True)
class Mediation:
    """Covariates that identify the natural direct and indirect effects of a query through `mediators`.

    NDE = Σ_{m,w} [E(y | x=1, m, w) − E(y | x=0, m, w)] P(m | x=0, w) P(w) and
    NIE = Σ_{m,w} E(y | x=0, m, w) [P(m | x=1, w) − P(m | x=0, w)] P(w), with w the `covariates`.
    """

    query: Query
    mediators: tuple[str, ...]
    covariates: tuple[str, ...]
    assumptions: tuple[str, ...] = field(default=(), compare=False, repr=False)
    graph: CausalGraph | None = field(default=None, compare=False, repr=False)

    @property
    def status(self) -> str:
        """Say "mediation"."""
        return "mediation"

    def __str__(self) -> str:
        through = ", ".join(self.mediators)
        return f"{self.query} through {{{through}}} | {{{', '.join(self.covariates)}}}  (natural direct and indirect effect)"

    _repr_mimebundle_ = mimebundle


def mediation(
    graph: CausalGraph,
    query: Query | tuple[str, str],
    mediators: str | Iterable[str] | None = None,
    *,
    allowed: Iterable[str] | None = None,
    limit: int = 200,
) -> Mediation:
    """Return covariates that identify the natural effects through `mediators` (default: all nodes on causal paths).

    They are no descendants of the treatment, form an adjustment set for the joint effect of treatment and mediators
    on the outcome, and one for the effect of the treatment on the mediators (Pearl 2001; one set for all of it). At
    most `limit` minimal sets of each kind, and their unions, are tried, in a DAG or ADMG. Raises NotIdentifiedError.
    """
    query = as_query(query)
    if graph.kind not in ("DAG", "ADMG"):
        raise GraphError(f"natural effects are read off a DAG or ADMG, not a {graph.kind}; take a member of the class first")
    query.require_in(graph)
    x, y = query.treatment, query.outcome
    between = tuple(sorted((graph.descendants(x) & graph.ancestors(y)) - {x, y}))
    if mediators is None:
        chosen = tuple(name for name in between if name not in graph.latent)
    else:
        chosen = (mediators,) if isinstance(mediators, str) else tuple(mediators)
    check_names(chosen, graph.nodes, what="mediator", where="the graph")
    _check_mediators(query, chosen, between)
    names = graph.observed if allowed is None else tuple(allowed)
    free = [name for name in names if name not in graph.descendants(x) and name not in graph.latent]
    onward, first = Query((x, *chosen), y), Query(x, chosen)
    for covariates in _candidates(graph, onward, first, free, limit):
        if is_valid_adjustment(graph, onward, covariates) and is_valid_adjustment(graph, first, covariates):
            return Mediation(query, chosen, tuple(sorted(covariates)), (*assumptions_of(graph), "cross_world_independence"), graph)
    raise NotIdentifiedError(
        f"the natural effects {query} through {shown(chosen)} are not identified: no covariates from before the treatment block every "
        f"path between treatment, mediators and outcome; measure their common causes, or take all mediators together",
        query=query,
        status="not_identified",
        open_path=(),
    )


def _candidates(graph: CausalGraph, onward: Query, first: Query, free: list[str], limit: int) -> Iterator[set[str]]:
    """Yield sets to try: minimal for one of the two queries, then unions of one of each."""
    for_onward = [set(s.variables) for s in itertools.islice(adjustment_sets(graph, onward, allowed=free, limit=limit), limit)]
    for_first = [set(s.variables) for s in itertools.islice(adjustment_sets(graph, first, allowed=free, limit=limit), limit)]
    yield from sorted((*for_onward, *for_first), key=len)
    yield from (a | b for a in for_onward for b in for_first)


def _check_mediators(query: Query, chosen: tuple[str, ...], between: tuple[str, ...]) -> None:
    if not chosen:
        raise InputError(f"no variable lies between the two of {query}; its direct effect is the total effect, ask identify for that")
    beside = [name for name in chosen if name not in between]
    if beside:
        raise SettingError(f"{shown(beside)} lie on no causal path of {query}; mediators are among {shown(between)}")
