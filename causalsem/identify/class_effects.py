"""The effects an equivalence class allows: IDA (Maathuis et al. 2009), joint IDA (Nandy et al. 2017), optimal IDA (Witte et al. 2020)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from causalsem._cards import mimebundle
from causalsem.errors import GraphError, SettingError, check_names
from causalsem.graph import CausalGraph
from causalsem.graph.members import pdag_links, pdag_of
from causalsem.graph.pdag import bits
from causalsem.identify.criterion import read
from causalsem.identify.optimal import optimal_set
from causalsem.identify.query import Query, as_query

if TYPE_CHECKING:
    from causalsem.behaviour import Moments

Method = Literal["optimal", "local"]


@dataclass(frozen=True, slots=True)
class ClassEffects:
    """The total effects (one row per part of the class, one column per treatment) that the class allows.

    `values[k]` holds the joint linear effects of the treatments on the outcome in part k, `sets[k]` what was
    adjusted for there (None where the effect is zero because no causal path exists, empty for joint effects).
    """

    query: Query
    values: tuple[tuple[float, ...], ...]
    sets: tuple[tuple[str, ...] | None, ...]
    method: str

    @property
    def lower(self) -> float:
        """The smallest effect of the (first) treatment."""
        return min(row[0] for row in self.values)

    @property
    def upper(self) -> float:
        """The largest effect of the (first) treatment."""
        return max(row[0] for row in self.values)

    @property
    def smallest_size(self) -> float:
        """The smallest absolute effect of the (first) treatment, the bound that IDA ranks by."""
        return min(abs(row[0]) for row in self.values)

    def __str__(self) -> str:
        if len(self.values) == 1:
            return f"{self.query}: one possible effect, {self.lower:.4g} ({self.method} IDA)"
        return f"{self.query}: {len(self.values)} possible effects, from {self.lower:.4g} to {self.upper:.4g} ({self.method} IDA)"

    _repr_mimebundle_ = mimebundle


def class_effects(
    graph: CausalGraph, query: Query | tuple[str, str], moments: Moments, *, method: Method = "optimal", limit: int = 4096
) -> ClassEffects:
    """Return every linear total effect that a DAG, CPDAG or MPDAG allows, from a covariance.

    Each way to direct the open edges at the treatments that some member has is one part of the class; in it the effect
    is a regression coefficient, given the optimal set ("optimal") or the parents of the treatment ("local", one
    treatment only). Joint effects are path sums along one member, as every member of a part has the same.
    Raises SettingError when there are more than `limit` parts.
    """
    query = as_query(query)
    query.require_in(graph)
    if graph.kind not in ("DAG", "CPDAG", "MPDAG"):
        raise GraphError(f"effects over a class need a DAG, CPDAG or MPDAG, not a {graph.kind}; hand in one of these")
    if method not in ("optimal", "local"):
        raise SettingError(f"unknown method {method!r} of IDA; use 'optimal' or 'local'")
    if method == "local" and len(query.treatments) > 1:
        raise SettingError("local IDA takes one treatment; use method='optimal' for a joint effect")
    check_names(graph.nodes, moments.names, where="the moments")
    values: list[tuple[float, ...]] = []
    sets: list[tuple[str, ...] | None] = []
    for part in parts(graph, [graph.index(x) for x in query.treatments]):
        if len(values) == limit:
            raise SettingError(f"the class has more than {limit} parts for {query}; raise the limit, or add knowledge that directs edges")
        effect, chosen = _effect(part, query, moments, method)
        values.append(effect)
        sets.append(chosen)
    return ClassEffects(query, tuple(values), tuple(sets), method)


def parts(graph: CausalGraph, xs: list[int]) -> Iterator[CausalGraph]:
    """Yield the class, split by every way to direct the open edges at some nodes, each closed under Meek's rules."""
    waiting = [pdag_of(graph.links).close()]
    while waiting:
        part = waiting.pop()
        edge = next(((x, other) for x in xs for other in bits(part.ne[x])), None)
        if edge is None:
            yield CausalGraph.from_links(graph.nodes, pdag_links(part), "MPDAG", graph.latent, graph.provenance)
            continue
        # After Meek's rules either direction of an open edge has members, and they differ.
        for a, b in (edge[::-1], edge):
            turned = part.copy()
            turned.orient(a, b)
            waiting.append(turned.close())


def _effect(part: CausalGraph, query: Query, moments: Moments, method: Method) -> tuple[tuple[float, ...], tuple[str, ...] | None]:
    reading = read(part, query)
    if not reading.has_effect:
        return (0.0,) * len(query.treatments), None
    if len(query.treatments) > 1:
        dag = CausalGraph.from_links(part.nodes, reading.member, "DAG")
        return tuple(_held_effect(dag, x, query, moments) for x in query.treatments), ()
    best = () if method == "local" else optimal_set(reading) or ()
    chosen = part.parents(query.treatment) if method == "local" else tuple(part.nodes[k] for k in best)
    return _regression(moments, query.treatments, chosen, query.outcome), tuple(sorted(chosen))


def _held_effect(dag: CausalGraph, x: str, query: Query, moments: Moments) -> float:
    """Return the effect of x on the outcome along paths that meet no other treatment.

    The parents of all treatments are the same in every member of the part, hence so is this effect.
    """
    order = dag.topological_order()
    total = {x: 1.0}
    for node in order[order.index(x) + 1 :]:
        above = dag.parents(node)
        if node not in query.treatments and above:
            slopes = _regression(moments, above, (), node)
            total[node] = sum(slope * total.get(p, 0.0) for slope, p in zip(slopes, above, strict=True))
    return total.get(query.outcome, 0.0)


def _regression(moments: Moments, wanted: tuple[str, ...], given: tuple[str, ...], outcome: str) -> tuple[float, ...]:
    """Return the coefficients of `wanted` in the linear regression of the outcome on them and `given`."""
    index = [moments.names.index(name) for name in (*wanted, *given)]
    slopes = np.linalg.solve(moments.covariance[np.ix_(index, index)], moments.covariance[index, moments.names.index(outcome)])
    return tuple(float(b) for b in slopes[: len(wanted)])
