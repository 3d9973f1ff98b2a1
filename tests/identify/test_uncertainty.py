"""Effects over a class, sets under graph uncertainty, and what a graph implies for data."""

from __future__ import annotations

import itertools
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from causalsem.behaviour import Moments
from causalsem.discovery import GES, bootstrap
from causalsem.errors import DataError, SettingError
from causalsem.graph import CausalGraph, Knowledge, m_separated, to_cpdag, with_knowledge
from causalsem.graph.classes import members_of
from causalsem.identify import (
    adjustment_sets,
    class_effects,
    export_adjustment_sets,
    implied_independences,
    is_valid_adjustment,
    set_probabilities,
)
from causalsem.identify.implications import failing


def random_dag(rng, p, share):
    """Return a random DAG whose causal order is random too."""
    names = [f"v{k}" for k in range(p)]
    order = [names[k] for k in rng.permutation(p)]
    return CausalGraph.from_edges([(order[i], order[j]) for i in range(p) for j in range(i + 1, p) if rng.random() < share], names)


def linear_moments(dag, rng, n=1000):
    """Return the population moments of a random linear model on a DAG, and its matrix of path coefficients."""
    p = len(dag.nodes)
    B = np.zeros((p, p))
    for a, b, _, _ in dag.edges:
        B[dag.index(a), dag.index(b)] = rng.uniform(0.3, 1.2) * rng.choice([-1, 1])
    total = np.linalg.inv(np.eye(p) - B)
    return Moments.from_covariance(total.T @ np.diag(rng.uniform(0.5, 2, p)) @ total, n, dag.nodes), B


def member_effect(dag, m, xs, y):
    """Return the joint effects of xs on y in one DAG with the covariance m: path sums that avoid the other treatments."""
    p = len(dag.nodes)
    B = np.zeros((p, p))
    for node in dag.nodes:
        k, above = dag.index(node), [dag.index(v) for v in dag.parents(node)]
        if above:
            B[above, k] = np.linalg.solve(m.covariance[np.ix_(above, above)], m.covariance[above, k])
    held = [dag.index(x) for x in xs]
    out = []
    for x in held:
        cut = B.copy()
        cut[:, [h for h in held if h != x]] = 0
        out.append(np.linalg.inv(np.eye(p) - cut)[x, dag.index(y)])
    return tuple(np.round(out, 8) + 0.0)


@pytest.mark.parametrize("method", ["optimal", "local", "joint"])
def test_class_effects_are_the_effects_in_the_members(method):
    rng = np.random.default_rng(0)
    several = 0
    for _ in range(120):
        dag = random_dag(rng, int(rng.integers(3, 7)), rng.uniform(0.3, 0.8))
        m, _ = linear_moments(dag, rng)
        graph = to_cpdag(dag)
        if rng.random() < 0.4:
            graph = with_knowledge(graph, Knowledge(required=[e[:2] for e in dag.edges if rng.random() < 0.2]))
        y, *rest = (str(v) for v in rng.permutation(dag.nodes))
        xs = rest[:2] if method == "joint" else rest[:1]
        found = class_effects(graph, (xs, y), m, method="local" if method == "local" else "optimal")
        members = [graph] if graph.kind == "DAG" else list(members_of(graph))
        truth = {member_effect(member, m, xs, y) for member in members}
        assert {tuple(np.round(row, 8) + 0.0) for row in found.values} == truth, (graph, xs, y)
        several += len(truth) > 1
    assert several > 20


def test_class_effects_have_bounds_and_limits():
    dag = CausalGraph.parse("x -> y; y -> z; x -> z")
    m, _ = linear_moments(dag, np.random.default_rng(1))
    found = class_effects(to_cpdag(dag), ("x", "z"), m)
    assert found.lower <= found.smallest_size or found.lower <= 0 <= found.upper
    assert str(found).endswith("(optimal IDA)")
    with pytest.raises(SettingError, match="more than 1 parts"):
        class_effects(to_cpdag(dag), ("x", "z"), m, limit=1)
    with pytest.raises(SettingError, match="local IDA takes one treatment"):
        class_effects(dag, (["x", "y"], "z"), m, method="local")


def test_probabilities_are_the_shares_of_graphs_in_which_a_set_is_valid():
    rng = np.random.default_rng(2)
    for _ in range(30):
        graphs = [to_cpdag(random_dag(rng, 5, 0.5)) for _ in range(12)]
        sampled = SimpleNamespace(nodes=graphs[0].nodes, marks=np.stack([g.marks for g in graphs]))
        found = set_probabilities(sampled, ("v0", "v1"), candidates=[["v2"]])
        assert found.times == 12
        for one, share in zip(found.sets, found.probabilities, strict=True):
            assert share == pytest.approx(np.mean([is_valid_adjustment(g, ("v0", "v1"), one) for g in graphs]))
        some = [bool(adjustment_sets(g, ("v0", "v1"))) for g in graphs]
        assert found.identifiable == pytest.approx(np.mean(some))
        every = [c for k in range(4) for c in itertools.combinations(("v2", "v3", "v4"), k)]
        best = max(np.mean([is_valid_adjustment(g, ("v0", "v1"), one) for g in graphs]) for one in every)
        assert found[found.best] <= best + 1e-12
        assert list(found.probabilities) == sorted(found.probabilities, reverse=True)


def test_probabilities_over_members_count_each_dag_of_a_class():
    """x – y – z: of the three DAGs, nothing needs adjusting in two (x → y → z, y → x and z)."""
    graph = CausalGraph.parse("x -- y; y -- z")
    found = set_probabilities([graph], ("y", "z"), candidates=[["x"]], over="members")
    truth = {one: np.mean([is_valid_adjustment(m, ("y", "z"), one) for m in members_of(graph)]) for one in ((), ("x",))}
    assert {one: found[one] for one in truth} == pytest.approx(truth)
    assert set_probabilities([graph], ("y", "z"))[()] == 0
    path = CausalGraph.from_edges([(f"v{k}", f"v{k + 1}", "tail", "tail") for k in range(90)], kind="CPDAG")
    drawn = set_probabilities([path], ("v0", "v1"), over="members", seed=1)
    assert drawn[()] == set_probabilities([path], ("v0", "v1"), over="members", seed=1)[()]
    assert 0 < drawn[()] < 1
    with pytest.raises(SettingError, match="count over 'graphs'"):
        set_probabilities([path], ("v0", "v1"), over="dags")


def test_a_sampled_graph_without_meaning_counts_as_identifying_nothing():
    good = CausalGraph.parse("a -> b; c -> a; c -> b")
    cyclic = np.array(good.marks)
    cyclic[[0, 1], [1, 0]] = 0
    cyclic[good.index("b"), good.index("c")], cyclic[good.index("c"), good.index("b")] = 2, 3
    cyclic[good.index("a"), good.index("b")], cyclic[good.index("b"), good.index("a")] = 2, 3
    found = set_probabilities(SimpleNamespace(nodes=good.nodes, marks=np.stack([good.marks, cyclic])), ("a", "b"))
    assert (found.illegal, found["c",], found.identifiable) == (1, 0.5, 0.5)
    with pytest.raises(DataError, match="no sampled graphs"):
        set_probabilities([], ("a", "b"))


def test_a_bootstrap_states_the_share_of_dags_from_its_posterior_in_which_a_set_is_valid():
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(2, 200))
    data = pd.DataFrame({"a": a, "b": b, "c": 0.4 * a + 0.2 * b + rng.normal(size=200)})
    data["d"] = 0.5 * data.c + 0.2 * a + rng.normal(size=200)
    graphs = bootstrap(data, GES(), times=30, seed=0)
    found = set_probabilities(graphs, ("c", "d"), candidates=[["b"]])
    drawn = graphs.posterior(500, seed=0)
    dags = [CausalGraph(drawn.nodes, one, "DAG") for one in drawn.marks]
    assert (found.over, found.times) == ("posterior", 500)
    for one, share in zip(found.sets, found.probabilities, strict=True):
        assert share == pytest.approx(np.mean([is_valid_adjustment(dag, ("c", "d"), one) for dag in dags]))
    assert found.identifiable == pytest.approx(np.mean([bool(adjustment_sets(to_cpdag(dag), ("c", "d"))) for dag in dags]))
    assert found.no_effect == pytest.approx(np.mean(["d" not in dag.descendants("c") for dag in dags]))
    often = set_probabilities(graphs, ("c", "d"), over="graphs")
    assert (often.over, often.times) == ("graphs", 30)
    with pytest.raises(SettingError, match="carry no posterior"):
        set_probabilities(dags, ("c", "d"), over="posterior")


def test_what_is_known_of_tiers_counts_for_identifiability():
    rng = np.random.default_rng(6)
    a = rng.normal(size=500)
    data = pd.DataFrame({"a": a, "b": 0.8 * a + rng.normal(size=500)})
    unknown = set_probabilities(bootstrap(data, GES(), times=10), ("a", "b"))
    known = set_probabilities(bootstrap(data, GES(), knowledge=Knowledge(tiers=[["a"], ["b"]]), times=10), ("a", "b"))
    assert (unknown.identifiable, known.identifiable) == (0, 1)
    assert unknown[()] == pytest.approx(0.5, abs=0.1)
    assert known[()] == 1


def test_the_export_tells_edge_and_set_probabilities(tmp_path):
    graphs = [CausalGraph.parse("a -> b; c -> a; c -> b"), CausalGraph.parse("c -> a; a -> b; c", kind="DAG").select("abc")]
    graphs[0] = graphs[0].select("abc")
    sampled = SimpleNamespace(nodes=("a", "b", "c"), marks=np.stack([g.marks for g in graphs]))
    path = export_adjustment_sets(graphs[0], [("a", "b")], tmp_path / "sets.json", stability=sampled)
    told = json.loads(path.read_text(encoding="utf-8"))
    assert {(e["from"], e["to"]): e["probability"] for e in told["graph"]["edges"]} == {("a", "b"): 1, ("c", "a"): 1, ("c", "b"): 0.5}
    (effect,) = told["effects"]
    assert effect["probability_identifiable"] == 1
    assert [one["validity_probability"] for one in effect["adjustment_sets"]] == [1, 1, 1]


def test_implied_independences_hold_in_the_graph_and_in_its_data():
    rng = np.random.default_rng(3)
    for _ in range(40):
        dag = random_dag(rng, 6, 0.4)
        m, _ = linear_moments(dag, rng)
        claims = implied_independences(to_cpdag(dag), m)
        pairs = {frozenset((one.x, one.y)) for one in claims}
        assert pairs == {frozenset(p) for p in itertools.combinations(dag.nodes, 2)} - {frozenset(e[:2]) for e in dag.edges}
        for one in claims:
            assert m_separated(dag, one.x, one.y, one.given)
            assert not any(m_separated(dag, one.x, one.y, set(one.given) - {v}) for v in one.given)
            assert one.partial_correlation == pytest.approx(0, abs=1e-9)
            assert one.p_value > 0.99


def test_data_of_another_graph_fail_the_test():
    m, _ = linear_moments(CausalGraph.parse("a -> b; b -> c; a -> c; d"), np.random.default_rng(4))
    claims = implied_independences(CausalGraph.parse("a -> b; b -> c; d"), m)
    assert [str(one).split("  ")[0] for one in failing(claims)] == ["a ⫫ c | b"]
    with pytest.raises(DataError, match="3 rows cannot test"):
        implied_independences(CausalGraph.parse("a -> b; b -> c; d"), Moments(m.names, 3, m.mean, m.covariance))
