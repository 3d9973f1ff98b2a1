"""A whole study's findings, made from a known linear world, with any names."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from causalsem.behaviour import Moments
from causalsem.discovery.stability import EdgeStability
from causalsem.effects.diagnostics import Balance, Overlap
from causalsem.effects.estimate import Estimate
from causalsem.graph import CausalGraph, Knowledge
from causalsem.identify import Query, identify
from causalsem.report import Check, Findings
from causalsem.sem import fit_sem

TIERS = {
    "traits": ["age", "activity", "price"],
    "exposure": ["exposure"],
    "browse": ["browse", "dwell"],
    "cart": ["cart"],
    "buy": ["buy", "review"],
}
# (cause, effect, coefficient, share of bootstraps that find it)
EDGES = (
    ("age", "activity", 0.3, 0.9),
    ("age", "buy", 0.2, 0.5),
    ("activity", "exposure", 0.5, 1.0),
    ("activity", "browse", 0.4, 1.0),
    ("exposure", "browse", 0.6, 1.0),
    ("exposure", "buy", 0.2, 0.8),
    ("browse", "dwell", 0.5, 1.0),
    ("browse", "cart", 0.5, 0.9),
    ("cart", "buy", 0.6, 1.0),
    ("price", "buy", -0.4, 1.0),
    ("buy", "review", 0.5, 1.0),
)
N = 600


def linear_rows(graph: CausalGraph, weight: Mapping[tuple[str, str], float], rng: np.random.Generator) -> np.ndarray:
    """Return N rows of the linear Gaussian world of a DAG."""
    rows = dict.fromkeys(graph.nodes)
    for node in graph.topological_order():
        rows[node] = rng.normal(size=N) + sum(weight[p, node] * rows[p] for p in graph.parents(node))
    return np.column_stack([rows[node] for node in graph.nodes])


def make_stability(graph: CausalGraph, share: Mapping[tuple[str, str], float], times: int = 40) -> EdgeStability:
    """Return resamples in which each arrow comes back just so often."""
    marks = np.zeros((times, len(graph.nodes), len(graph.nodes)), dtype=np.int8)
    for (a, b), often in share.items():
        i, j = graph.index(a), graph.index(b)
        marks[: round(often * times), i, j], marks[: round(often * times), j, i] = 2, 3
    return EdgeStability(graph.nodes, marks, "CPDAG")


@pytest.fixture(scope="session")
def make_findings() -> Callable[..., Findings]:
    """Return a function (names to put in place of ours, other parts) → Findings."""

    def make(rename: Mapping[str, str] | None = None, **other: Any) -> Findings:
        def name(old: str) -> str:
            return (rename or {}).get(old, old)

        rng = np.random.default_rng(0)
        tiers = {name(title): [name(v) for v in tier] for title, tier in TIERS.items()}
        weight = {(name(a), name(b)): c for a, b, c, _ in EDGES}
        nodes = [v for tier in tiers.values() for v in tier]
        graph = CausalGraph.from_edges(list(weight), nodes=nodes).with_provenance(method="GES")
        moments = Moments.from_rows(linear_rows(graph, weight, rng), nodes)
        query = Query(name("exposure"), name("buy"))
        adjust = identify(graph, query)
        told = {"treatments": query.treatments, "outcome": query.outcome, "rows": "same"}
        psi = rng.normal(size=N)
        estimates = {
            "naive": Estimate(0.62, psi + 0.1 * rng.normal(size=N), method="Regression()", **told),
            "debiased": Estimate(0.39, psi, method="AIPW()", adjustment=adjust.variables, assumptions=adjust.assumptions, **told),
        }
        items = [name("item 0"), *(f"item {k}" for k in range(1, 40))]
        ranking = pd.DataFrame(
            {"item": items, "naive_rank": np.arange(1, 41), "debiased_rank": rng.permutation(40) + 1, "popularity": np.arange(40, 0, -1)}
        )
        balance = pd.DataFrame({"variable": adjust.variables, "before": 0.4, "after": -0.03})
        parts: dict[str, Any] = {
            "title": "Does exposure lead to buying?",
            "tiers": tiers,
            "knowledge": Knowledge(tiers=list(tiers.values())),
            "stability": make_stability(graph, {(name(a), name(b)): share for a, b, _, share in EDGES}),
            "fit": fit_sem(graph, moments),
            "adjustment": adjust,
            "estimates": estimates,
            "truth": {"effect": 0.38, "policy": 0.12},
            "overlap": Overlap(rng.uniform(0.05, 0.95, N), rng.random(N) < 0.5),
            "balance": Balance(balance),
            "sensitivity": (
                Check("placebo", "0.00 ± 0.02", True, "A shuffled exposure has no effect."),
                Check("E-value", "1.72", None, "moderate"),
            ),
            "metrics": pd.DataFrame({"auc": [0.71, 0.69], "gini": [0.7, 0.5]}, index=["popularity", "debiased"]),
            "ranking": ranking,
            "policy_values": {"logging": Estimate(0.10, rng.normal(size=900) * 0.2), "policy": Estimate(0.13, rng.normal(size=900) * 0.2)},
            "log_facts": {"events": 123456},
            "versions": {"causalsem": "0.1.0"},
            "code": "import causalsem as cs\nstudy = cs.run(log, query)\n",
            "settings": {"seed": 0, "method": "GES()"},
        }
        return Findings(query=query, graph=graph, **{**parts, **other})

    return make


@pytest.fixture(scope="session")
def large_findings(make_findings: Callable[..., Findings]) -> Findings:
    """Return full findings about 30 variables and 60 edges."""
    names = [f"variable {k}" for k in range(30)]
    edges = [(names[i], names[j]) for i in range(30) for j in (i + 1, i + 2, i + 7) if j < 30][:60]
    graph = CausalGraph.from_edges(edges, nodes=names)
    rows = linear_rows(graph, dict.fromkeys(edges, 0.3), np.random.default_rng(0))
    query, small = Query(names[2], names[20]), make_findings()
    parts = {part.name: getattr(small, part.name) for part in dataclasses.fields(Findings)}
    parts |= {"graph": graph, "query": query, "tiers": None, "knowledge": None, "fit": fit_sem(graph, Moments.from_rows(rows, names))}
    parts |= {"stability": make_stability(graph, dict.fromkeys(edges, 0.8)), "adjustment": identify(graph, query)}
    return Findings(**parts)
