"""Which edges carry effect and which bias, against an enumeration of every path; and the answers embedded in a page."""

from __future__ import annotations

import itertools
import json
import time
from itertools import pairwise

import networkx as nx
import numpy as np
import pytest

import causalsem as cs
from causalsem.graph import CausalGraph, Mark
from causalsem.report.questions import MOST_NODES, STATUSES, packed, questions
from causalsem.report.trails import Trails, mask_of


def random_graph(seed: int, *, hidden: float = 0.0) -> CausalGraph:
    """Return a random DAG of eight nodes, or an ADMG with some bidirected edges."""
    rng = np.random.default_rng(seed)
    names = list("abcdefgh")
    edges = [(names[i], names[j], Mark.TAIL, Mark.ARROW) for i in range(8) for j in range(i + 1, 8) if rng.random() < 0.3]
    edges += [(a, b, Mark.ARROW, Mark.ARROW) for a, b in itertools.combinations(names, 2) if rng.random() < hidden]
    return CausalGraph.from_edges(edges, nodes=names, kind="ADMG" if hidden else "DAG")


def every_path(graph: CausalGraph, start: str, goal: str):
    """Yield every simple path as its edges (position, mark at the near end, mark at the far end)."""
    at = nx.MultiGraph()
    at.add_nodes_from(graph.nodes)
    marks = {}
    for k, (a, b, here, there) in enumerate(graph.edges):
        at.add_edge(a, b, key=k)
        marks[k, a], marks[k, b] = here, there
    for path in nx.all_simple_edge_paths(at, start, goal):
        yield [(k, marks[k, a], marks[k, b]) for a, b, k in path]


def test_edges_of_all_directed_and_all_open_biasing_paths_are_marked():
    for seed, hidden in itertools.product(range(12), (0.0, 0.08)):
        graph = random_graph(seed, hidden=hidden)
        causal, biasing = set(), set()
        for path in every_path(graph, "c", "g"):
            directed = all(near == Mark.TAIL for _, near, _ in path)
            collides = any(a[2] == Mark.ARROW and b[1] == Mark.ARROW for a, b in pairwise(path))
            if directed:
                causal |= {k for k, _, _ in path}
            elif not collides:
                biasing |= {k for k, _, _ in path}
        trails = Trails(graph)
        x, y = graph.index("c"), graph.index("g")
        assert trails.causal(x, y) == causal, (seed, hidden)
        # What starts a biasing path is found exactly; below it the fast answer may hold a few edges more.
        found = trails.biasing(x, y)
        assert biasing - causal <= found, (seed, hidden)
        assert bool(found) == bool(biasing - causal), (seed, hidden)


def edges_marked(graph: CausalGraph, marked) -> set[str]:
    edges = list(graph.edges)
    return {f"{edges[k][0]}{edges[k][1]}" for k in marked}


def test_a_cause_of_a_common_cause_alone_opens_no_back_door():
    graph = CausalGraph.parse("z -> m; m -> t; m -> y; t -> y; z -> k; k -> y")
    t, y = graph.index("t"), graph.index("y")
    assert edges_marked(graph, Trails(graph).biasing(t, y)) == {"zm", "mt", "my", "zk", "ky"}
    without = CausalGraph.parse("z -> m; m -> t; m -> y; t -> y")
    t, y = without.index("t"), without.index("y")
    assert edges_marked(without, Trails(without).biasing(t, y)) == {"mt", "my"}


def test_an_outcome_that_leads_to_the_treatment_ties_the_two():
    graph = CausalGraph.parse("y -> m; m -> t; t -> z")
    marked = Trails(graph).biasing(graph.index("t"), graph.index("y"))
    assert edges_marked(graph, marked) == {"ym", "mt"}


def test_an_open_edge_may_carry_the_effect():
    graph = CausalGraph.parse("a -- b; b -- c", kind="CPDAG")
    assert edges_marked(graph, Trails(graph).causal(0, 2)) == {"ab", "bc"}
    pag = CausalGraph.parse("a o-> b; c o-> b")
    assert edges_marked(pag, Trails(pag).causal(pag.index("a"), pag.index("b"))) == {"ab"}


@pytest.mark.parametrize("kind", ["DAG", "CPDAG", "ADMG", "PAG"])
def test_the_embedded_answers_are_those_of_identify(kind):
    graph = random_graph(5, hidden=0.1 if kind in {"ADMG", "PAG"} else 0.0)
    graph = {"CPDAG": cs.to_cpdag, "PAG": cs.to_pag}.get(kind, lambda g: g)(graph)
    answers, effects = json.loads(packed(questions(graph))), cs.identify_all(graph)
    assert len(answers) == 8 * 7
    for key, told in answers.items():
        x, y = (graph.nodes[int(k)] for k in key.split(">"))
        status, adjusted, forbidden, *_ = told.split(".")
        found = effects[x, y]
        assert STATUSES[int(status)] == effects.status(x, y)
        if isinstance(found, cs.AdjustmentSet):
            assert int(adjusted or "0", 16) == mask_of(map(graph.index, found.variables))
            assert int(forbidden or "0", 16) == mask_of(graph.index(n) for n in found.forbidden if n not in {x, y})


def test_the_set_of_a_study_has_the_last_word_on_its_own_question():
    graph = CausalGraph.parse("z -> t; z -> y; t -> y; w -> y")
    chosen = cs.identify(graph, cs.Query("t", "y"), kind="minimal")
    told = json.loads(packed(questions(graph, chosen)))
    key = f"{graph.index('t')}>{graph.index('y')}"
    assert int(told[key].split(".")[1], 16) == mask_of([graph.index("z")])
    both = cs.identify(graph, cs.Query(["t", "w"], "y"))
    assert f"{graph.index('t')}+{graph.index('w')}>{graph.index('y')}" in json.loads(packed(questions(graph, both)))


def test_all_questions_about_thirty_variables_are_answered_at_once():
    rng = np.random.default_rng(1)
    pairs = list(itertools.combinations(range(30), 2))
    edges = [(f"v{pairs[k][0]}", f"v{pairs[k][1]}") for k in sorted(rng.choice(len(pairs), 60, replace=False))]
    graph = CausalGraph.from_edges(edges, nodes=[f"v{k}" for k in range(30)])
    start = time.process_time()
    text = packed(questions(graph))
    # Measured 0.06 s and 23 kB.
    assert time.process_time() - start < 0.5
    assert len(text) < 30_000


def test_a_graph_of_many_nodes_answers_its_own_question_only():
    graph = CausalGraph.from_edges([(f"v{k}", f"v{k + 1}") for k in range(MOST_NODES + 1)])
    assert questions(graph) == []
    assert [one.key for one in questions(graph, cs.identify(graph, cs.Query("v0", "v2")))] == ["0>2"]
