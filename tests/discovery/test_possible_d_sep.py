"""Possible-d-sep sets against their definition, path by path."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from causalsem.behaviour import Moments
from causalsem.discovery import FCI, RFCI, discover, skeleton
from causalsem.discovery.possible_d_sep import possible_d_sep
from causalsem.graph import CausalGraph, to_pag
from causalsem.graph.causal_graph import ARROW, CIRCLE, TAIL, MarkArray
from tests.discovery.worlds import ENDLESS, names_of, population_covariance, random_dag


def circles_with_colliders(p: int, rng: np.random.Generator) -> MarkArray:
    """Return a random skeleton with circles, in which some ends have become arrowheads."""
    line = np.triu(rng.random((p, p)) < 0.45, 1)
    line = line | line.T
    return np.where(line, np.where(rng.random((p, p)) < 0.4, ARROW, CIRCLE), 0).astype(np.int8)


def may_lead(marks: MarkArray) -> nx.DiGraph:
    """Return the steps a → b that no arrowhead at a forbids."""
    return nx.from_numpy_array((marks != 0) & (marks.T != ARROW), create_using=nx.DiGraph)


def by_paths(marks: MarkArray, x: int, y: int) -> set[int]:
    """Return the ends of the simple paths from x around y that the definition allows."""
    steps = may_lead(marks)
    ancestors = nx.ancestors(steps, x) | nx.ancestors(steps, y) | {x}
    line = nx.from_numpy_array((marks != 0).astype(int)).subgraph(ancestors - {y})
    ends = set()
    for v in set(line) - {x}:
        for path in nx.all_simple_paths(line, x, v):
            triples = zip(path, path[1:], path[2:], strict=False)
            if all(marks[a, c] or (marks[a, b] == ARROW and marks[c, b] == ARROW) for a, b, c in triples):
                ends.add(v)
    return ends


def test_nodes_on_allowed_paths_are_found_and_all_found_may_be_ancestors() -> None:
    narrower = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        marks = circles_with_colliders(7, rng)
        pairs = np.argwhere(marks != 0)
        found = possible_d_sep(marks, pairs)
        for (x, y), may in zip(pairs.tolist(), found, strict=True):
            among = set(np.flatnonzero(may).tolist())
            steps = may_lead(marks)
            assert by_paths(marks, x, y) <= among
            assert among <= (nx.ancestors(steps, x) | nx.ancestors(steps, y)) - {x, y}
            connected = nx.node_connected_component(nx.from_numpy_array((marks != 0).astype(int)), x)
            narrower += among < connected - {x, y}
    assert narrower > 500


# Worlds in which some pair is separated only by nodes that are next to neither: (observed, edges), hidden causes come last.
FAR_SEPARATED = [
    (8, "02 03 14 23 45 67 81 85 93 94 a0 a4 b2 b5"),
    (6, "02 03 12 13 25 34 63 65 71 74 82 84"),
    (7, "01 03 04 05 06 12 13 16 24 35 73 74 82 85"),
    (8, "05 17 35 46 67 83 87 95 96 a3 a4 b2 b6"),
    (8, "01 03 16 23 34 35 45 47 80 86 90 94 a1 a5"),
    (7, "01 04 12 13 15 25 36 45 72 76 81 82 93 95 a3 a4"),
]


@pytest.mark.parametrize(("p", "edges"), FAR_SEPARATED)
def test_pairs_that_no_neighbours_separate_lose_their_edge_in_fci_alone(p: int, edges: str) -> None:
    arrows = [(int(edge[0], 16), int(edge[1], 16)) for edge in edges.split()]
    nodes = names_of(max(max(arrow) for arrow in arrows) + 1)
    dag = np.zeros((len(nodes), len(nodes)), dtype=bool)
    dag[tuple(np.transpose(arrows))] = True
    truth = to_pag(CausalGraph(nodes, np.where(dag, ARROW, np.where(dag.T, TAIL, 0)).astype(np.int8), "DAG", nodes[p:]))
    S = population_covariance(dag, np.random.default_rng(p))[:p, :p]
    m = Moments.from_covariance(S, ENDLESS, nodes[:p])
    assert (discover(m, RFCI()).marks != 0).sum() > (truth.marks != 0).sum()
    assert discover(m, FCI()) == truth


@pytest.mark.parametrize("seed", range(3))
def test_batched_numpy_removes_the_edges_that_machine_code_removes(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(seed)
    S = population_covariance(random_dag(12, 3, rng), rng)[:9, :9]
    rows = rng.multivariate_normal(np.zeros(9), S, 400)
    fast = discover(Moments.from_rows(rows, names_of(9)), FCI(alpha=0.05))
    monkeypatch.setattr(skeleton, "COMPILED", False)
    assert discover(Moments.from_rows(rows, names_of(9)), FCI(alpha=0.05)) == fast
