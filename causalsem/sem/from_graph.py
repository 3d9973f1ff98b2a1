"""CausalGraph → model: arrows become equations, bidirected edges residual covariances, latent nodes factors."""

from __future__ import annotations

import itertools
import warnings

from causalsem.errors import AssumptionWarning, SettingError, shown
from causalsem.graph import CausalGraph, Mark, to_dag
from causalsem.graph.causal_graph import Edge
from causalsem.sem.expressions import quoted
from causalsem.sem.syntax import Block, Model, Modifier, Statement, parse_model


def member_of_class(graph: CausalGraph) -> tuple[CausalGraph, str]:
    """Return a DAG or ADMG to fit and a note about the choice; warns when the graph stands for a whole class."""
    if graph.kind in ("DAG", "ADMG"):
        return graph, ""
    if graph.kind in ("CPDAG", "MPDAG"):
        loose = [f"{a} -- {b}" for a, b, at_a, at_b in graph.edges if at_a == at_b == Mark.TAIL]
        if not loose:
            return CausalGraph(graph.nodes, graph.marks, "DAG", graph.latent, graph.provenance), ""
        choice = f"the direction of {shown(loose)} is a choice, not a finding"
        note = f"the {graph.kind} stands for several DAGs; one of them was fitted, so {choice}"
        warnings.warn(f"{note}; fit is the same for all members, coefficients are not", AssumptionWarning, stacklevel=4)
        return to_dag(graph), note
    raise SettingError(f"a {graph.kind} is not a structural equation model; choose one of its DAGs or ADMGs and fit that")


def model_of_graph(graph: CausalGraph) -> Model:
    """Return the model of a DAG or ADMG: one equation per node with parents, in topological order of nodes."""
    statements = _equations(graph)
    return Model((Block("", "", (*statements, *_loners(graph, statements))),))


def lavaan_text(graph: CausalGraph) -> str:
    """Return a DAG or ADMG in lavaan's syntax: `b ~ a` per arrow, `a ~~ b` per bidirected edge, `a ~~ a` for a loner.

    `graph_of_text` and `fit_sem` read it back. lavaan itself reads names of letters, digits, dots and underscores; other
    names stand in backticks, which only `fit_sem` knows. Raises SettingError for other kinds of graphs.
    """
    if graph.kind not in ("DAG", "ADMG"):
        raise SettingError(f"a {graph.kind} is not a structural equation model; choose one of its DAGs or ADMGs and export that")
    alone = [Statement(n, "~~", n) for n in graph.nodes if not graph.adjacent(n)]
    return "".join(f"{quoted(s.lhs)} {s.op} {quoted(s.rhs)}\n" for s in (*_equations(graph), *alone))


def graph_of_text(text: str) -> CausalGraph:
    """Return the graph of a model in lavaan's syntax, without fitting it: arrows, bidirected edges, latent nodes."""
    statements = [s for block in parse_model(text).blocks for s in block.statements]
    latent = list(dict.fromkeys(s.lhs for s in statements if s.op == "=~"))
    arrows = [(s.lhs, s.rhs) if s.op == "=~" else (s.rhs, s.lhs) for s in statements if s.op in ("=~", "~")]
    edges: list[Edge] = [(a, b, Mark.TAIL, Mark.ARROW) for a, b in dict.fromkeys(arrows)]
    edges += [(s.lhs, s.rhs, Mark.ARROW, Mark.ARROW) for s in statements if s.op == "~~" and s.lhs != s.rhs]
    names = list(dict.fromkeys(n for s in statements if s.op in ("=~", "~", "~~") for n in (s.lhs, s.rhs)))
    return CausalGraph.from_edges(edges, names, latent=latent)


def _equations(graph: CausalGraph) -> list[Statement]:
    """Return loadings, regressions in topological order, and residual covariances."""
    latent = set(graph.latent)
    order = graph.topological_order()
    statements = [Statement(n, "=~", child) for n in order if n in latent for child in graph.children(n) if child not in latent]
    for node in order:
        causes = [p for p in order if p in set(graph.parents(node)) and not (p in latent and node not in latent)]
        statements += [Statement(node, "~", cause) for cause in causes]
    return statements + [Statement(a, "~~", b) for a, b, at_a, at_b in graph.edges if at_a == at_b == Mark.ARROW]


def _loners(graph: CausalGraph, statements: list[Statement]) -> list[Statement]:
    """Return statements that keep isolated nodes in the model, as fixed causes without an effect.

    `y ~ 0*alone` makes it a fixed cause whose effect is zero, which is what its isolation claims.
    """
    told = set(itertools.chain.from_iterable((s.lhs, s.rhs) for s in statements))
    alone = [n for n in graph.observed if n not in told]
    equation = next((s.lhs for s in statements if s.op == "~" and s.lhs not in graph.latent), None)
    if equation is None:
        return [Statement(n, "~~", n) for n in alone]
    return [Statement(equation, "~", n, (Modifier("fixed", (0.0,)),)) for n in alone]
