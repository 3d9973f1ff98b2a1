"""The ID algorithm (Shpitser & Pearl 2006): P(y | do(x)) from observed probabilities, or the hedge that forbids it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import cast

from causalsem._cards import mimebundle
from causalsem.errors import GraphError, NotIdentifiedError, shown
from causalsem.graph import CausalGraph
from causalsem.graph.links import closure, members
from causalsem.graph.projection import to_admg
from causalsem.identify.expression import Expression, Fraction, Probability, latex, product, summed, text
from causalsem.identify.query import Query, as_query
from causalsem.identify.reasons import assumptions_of

Names = frozenset[str]


@dataclass(frozen=True, slots=True)
class Estimand:
    """P(outcome | do(treatment)) written in probabilities of observed variables."""

    query: Query
    expression: Expression
    assumptions: tuple[str, ...] = field(default=(), compare=False, repr=False)
    graph: CausalGraph | None = field(default=None, compare=False, repr=False)

    @property
    def status(self) -> str:
        """Say "identified"."""
        return "identified"

    @property
    def text(self) -> str:
        """The expression as plain text."""
        return text(self.expression)

    @property
    def latex(self) -> str:
        """The expression as LaTeX."""
        return latex(self.expression)

    def _repr_latex_(self) -> str:
        return f"${self.latex}$"

    def __str__(self) -> str:
        return f"P({', '.join(self.query.outcomes)} | do({', '.join(self.query.treatments)})) = {self.text}"

    _repr_mimebundle_ = mimebundle


def id_expression(graph: CausalGraph, query: Query | tuple[str, str]) -> Estimand:
    """Return the interventional distribution of a query in a DAG (with latent nodes) or ADMG.

    Complete: raises NotIdentifiedError, with the hedge as evidence, exactly when no expression exists.
    """
    query = as_query(query)
    query.require_in(graph)
    if graph.kind not in ("DAG", "ADMG"):
        raise GraphError(f"the ID algorithm reads a DAG or ADMG, not a {graph.kind}; take a member of the class first")
    hidden = [name for name in (*query.treatments, *query.outcomes) if name in graph.latent]
    if hidden:
        raise NotIdentifiedError(f"{shown(hidden)} of {query} is not observed; measure it", query=query, open_path=())
    whole = _Mixed(to_admg(graph))
    try:
        found = _identify(frozenset(query.outcomes), frozenset(query.treatments), None, whole)
    except NotIdentifiedError as error:
        outer, inner = cast("tuple[tuple[str, ...], tuple[str, ...]]", error.evidence["hedge"])
        raise NotIdentifiedError(
            f"the effect {query} is not identified by any expression: {shown(outer)} and {shown(inner)} form a hedge "
            f"(unobserved causes bind them together); measure such a cause, or find an instrument",
            query=query,
            status="not_identified",
            open_path=(),
            hedge=(outer, inner),
        ) from None
    return Estimand(query, found, assumptions_of(graph), graph)


class _Mixed:
    """Subgraphs of an ADMG by the names of their nodes, in one causal order."""

    def __init__(self, graph: CausalGraph, nodes: Names | None = None) -> None:
        self.graph = graph
        self.order = graph.once("topological_order", graph.topological_order)
        self.nodes = frozenset(graph.nodes) if nodes is None else nodes

    def among(self, nodes: Iterable[str]) -> _Mixed:
        return _Mixed(self.graph, frozenset(nodes) & self.nodes)

    def _flags(self, names: Iterable[str]) -> bytearray:
        chosen = {self.graph.index(name) for name in names}
        return bytearray(k in chosen for k in range(len(self.graph.nodes)))

    def _reach(self, step: list[list[int]], names: Iterable[str], within: Iterable[str]) -> Names:
        outside = bytearray(1 - flag for flag in self._flags(within))
        found = closure(step, [self.graph.index(name) for name in names], avoid=outside)
        return frozenset(self.graph.nodes[k] for k in members(found))

    def ancestors(self, names: Names, without_arrows_into: Names = frozenset()) -> Names:
        """Return the ancestors of `names` in the subgraph, arrows into some nodes taken out."""
        parents = self.graph.links.parents
        if without_arrows_into:
            cut = self._flags(without_arrows_into)
            parents = [[] if cut[k] else above for k, above in enumerate(parents)]
        return self._reach(parents, names & self.nodes, self.nodes)

    def districts(self) -> list[Names]:
        """Return the confounded components of the subgraph, the one with the earliest node first."""
        left = [name for name in self.order if name in self.nodes]
        found = []
        while left:
            district = self._reach(self.graph.links.siblings, left[:1], self.nodes)
            found.append(district)
            left = [name for name in left if name not in district]
        return found

    def before(self, name: str) -> tuple[str, ...]:
        """Return the nodes of the subgraph that come earlier in the causal order."""
        return tuple(v for v in self.order[: self.order.index(name)] if v in self.nodes)


def _identify(y: Names, x: Names, p: Expression | None, g: _Mixed) -> Expression:
    """ID(y, x, P, G), lines as in Figure 3 of the paper; `p` None stands for the observed joint of the nodes of g."""
    v = g.nodes
    if not x:  # line 1
        return _marginal(y, p, v)
    above = g.ancestors(y)
    if v - above:  # line 2
        return _identify(y, x & above, _marginal(above, p, v) if p is not None else None, g.among(above))
    idle = (v - x) - g.ancestors(y, without_arrows_into=x)
    if idle:  # line 3
        return _identify(y, x | idle, p, g)
    districts = g.among(v - x).districts()
    if len(districts) > 1:  # line 4
        return summed(v - (y | x), product(_identify(s, v - s, p, g) for s in districts))
    (s,) = districts
    whole = g.districts()
    if len(whole) == 1:  # line 5
        raise NotIdentifiedError("a hedge", hedge=(tuple(sorted(v)), tuple(sorted(s))))
    factors = {name: _conditional(name, g.before(name), p, v) for name in v}
    ordered = [name for name in g.order if name in v]
    if s in whole:  # line 6
        return summed(s - y, product(factors[name] for name in ordered if name in s))
    outer = next(d for d in whole if s < d)  # line 7
    return _identify(y, x & outer, product(factors[name] for name in ordered if name in outer), g.among(outer))


def _marginal(keep: Names, p: Expression | None, v: Names) -> Expression:
    return Probability(tuple(sorted(keep))) if p is None else summed(v - keep, p)


def _conditional(name: str, before: tuple[str, ...], p: Expression | None, v: Names) -> Expression:
    """Return P(name | before) under the distribution p over v."""
    if p is None:
        return Probability((name,), before)
    above, below = summed(v - {name, *before}, p), summed(v - {*before}, p)
    return above if not before else Fraction(above, below)
