"""Equivalence classes: CPDAGs, members, knowledge."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from causalsem.errors import GraphError, KnowledgeError
from causalsem.graph import CausalGraph, Knowledge, to_cpdag, to_dag, with_knowledge
from causalsem.graph.classes import members_of, moral_graph


def all_dags(p: int) -> list[CausalGraph]:
    """Return every labelled DAG on p nodes."""
    names = tuple("abcd"[:p])
    pairs = list(itertools.combinations(names, 2))
    found = []
    for ends in itertools.product((None, 1, -1), repeat=len(pairs)):
        edges = [(a, b) if end == 1 else (b, a) for (a, b), end in zip(pairs, ends, strict=True) if end]
        try:
            found.append(CausalGraph.from_edges(edges, names))
        except GraphError:
            continue
    return found


def structure(dag: CausalGraph) -> tuple[frozenset, frozenset]:
    """Return skeleton and v-structures, which tell the class (Verma & Pearl 1990)."""
    skeleton = frozenset(frozenset(edge[:2]) for edge in dag.edges)
    colliders = {
        (frozenset((a, b)), node)
        for node in dag.nodes
        for a, b in itertools.combinations(dag.parents(node), 2)
        if frozenset((a, b)) not in skeleton
    }
    return skeleton, frozenset(colliders)


def test_cpdags_are_the_classes_of_all_four_node_dags():
    """543 DAGs fall into 185 classes; the members of each CPDAG are exactly its DAGs."""
    dags = all_dags(4)
    assert len(dags) == 543
    classes: dict = {}
    for dag in dags:
        classes.setdefault(structure(dag), []).append(dag)
    assert len(classes) == 185
    for members in classes.values():
        cpdags = {str(to_cpdag(dag)): to_cpdag(dag) for dag in members}
        assert len(cpdags) == 1
        (cpdag,) = cpdags.values()
        assert {str(dag) for dag in members_of(cpdag)} == {str(dag) for dag in members}
        assert structure(to_dag(cpdag)) == structure(members[0])
        assert CausalGraph.parse(str(cpdag), kind="CPDAG") is not None


def test_knowledge_leaves_the_members_that_obey_it():
    rng = np.random.default_rng(0)
    dags = all_dags(4)
    for k in rng.integers(0, len(dags), 60):
        dag = dags[k]
        cpdag = to_cpdag(dag)
        known = Knowledge(required=[edge[:2] for edge in dag.edges if rng.random() < 0.3])
        part = with_knowledge(cpdag, known)
        obeying = [m for m in members_of(cpdag) if all(b in m.children(a) for a, b in known.required)]
        assert {str(m) for m in members_of(part)} == {str(m) for m in obeying}


def test_knowledge_against_the_graph_names_the_pair():
    graph = to_cpdag(CausalGraph.parse("a -> c; b -> c"))
    with pytest.raises(KnowledgeError, match="'a' -> 'c', but a is in tier 2"):
        with_knowledge(graph, Knowledge(tiers=[["b", "c"], ["a"]]))


def test_the_moral_graph_marries_parents():
    assert moral_graph(CausalGraph.parse("a -> c; b -> c; c -> d")) == {frozenset(p) for p in ("ac", "bc", "ab", "cd")}


def test_classes_of_other_kinds_are_refused():
    with pytest.raises(GraphError, match="hand in a DAG, CPDAG or MPDAG"):
        to_dag(CausalGraph.parse("a <-> b"))


@pytest.mark.parametrize("tiers", [["age", "buy"], {"age": 0, "buy": 1}, "age"])
def test_a_tier_written_as_a_text_is_refused_rather_than_spelt(tiers):
    with pytest.raises(KnowledgeError, match=r"is a text, not a list of variables; write \['a"):
        Knowledge(tiers=tiers)
