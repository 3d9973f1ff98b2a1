"""CausalGraph: marks and edges, what is legal, what its messages say."""

from __future__ import annotations

import pickle
import time

import numpy as np
import pytest

from causalsem.errors import AssumptionWarning, CycleError, GraphError, InputError, UnknownNameError
from causalsem.graph import CausalGraph, Mark
from causalsem.graph.marks import ARROW, TAIL


def test_marks_and_edges_tell_the_same_graph():
    graph = CausalGraph.parse("a -> b; b <-> c; u o-> a; u o-o c; 浏览 -> b; alone")
    again = CausalGraph(graph.nodes, graph.marks, graph.kind)
    assert again == graph
    assert graph.marks[graph.index("a"), graph.index("b")] == ARROW
    assert graph.marks[graph.index("b"), graph.index("a")] == TAIL
    assert graph.edge("u", "a") == (Mark.CIRCLE, Mark.ARROW)
    assert graph.edge("u", "b") == (Mark.NONE, Mark.NONE)
    assert graph.parents("b") == ("a", "浏览")
    assert graph.siblings("b") == ("c",)
    assert graph.adjacent("alone") == ()


def test_the_callers_array_is_neither_kept_nor_changed():
    marks = np.zeros((2, 2), dtype=np.int8)
    marks[0, 1], marks[1, 0] = ARROW, TAIL
    graph = CausalGraph(("a", "b"), marks)
    marks[:] = 0
    assert graph.children("a") == ("b",)
    with pytest.raises(ValueError, match="read-only"):
        graph.marks[0, 1] = 0


def test_a_bow_is_an_arrow_and_a_bidirected_edge():
    graph = CausalGraph.parse("a -> b; a <-> b; b -> c")
    assert graph.kind == "ADMG"
    assert graph.bows == (("a", "b"),)
    assert (graph.parents("b"), graph.siblings("b")) == (("a",), ("a",))
    assert graph.edge("a", "b") == (Mark.TAIL, Mark.ARROW)
    assert CausalGraph.parse(str(graph)) == graph
    assert graph != CausalGraph.parse("a -> b; b -> c", kind="ADMG")


def test_kind_is_inferred_from_the_edges():
    told = {
        "a -> b; b -> c": "DAG",
        "a -> b; b <-> c": "ADMG",
        "a -- b; b -- c": "CPDAG",
        "a -> b; c -> b; b -> d": "DAG",
        "a -> b; c -> b; d -- e": "CPDAG",
        "a -> b; d -- e": "MPDAG",
        "a o-> b": "PAG",
        "a <-> b; c -- d": "MAG",
    }
    for text, kind in told.items():
        assert CausalGraph.parse(text).kind == kind, text


ILLEGAL = [
    ("a -> b; b -> c; c -> a", "DAG", "directed cycle: a -> b -> c -> a; remove or turn one"),
    ("a -> b; b -> a", None, "directed cycle: a -> b -> a"),
    ("a -> b; a -> b", None, "two edges between 'a' and 'b'"),
    ("a -> a", None, "'a' has an edge to itself"),
    ("a <-> b", "DAG", "a DAG has no edge with arrow and arrow: 'a' – 'b'; name another kind"),
    ("a o-> b", "MAG", "a MAG has no edge with circle and arrow: 'a' – 'b'"),
    ("a -> b; a <-> b", "MAG", "two edges between 'a' and 'b' in a MAG"),
    ("a -- b; b -- c; c -- d; d -- a", "CPDAG", "no DAG has these edges"),
    ("a -- b; b -- c; c -- d; d -- a", "MPDAG", "no DAG has these edges"),
    ("a -> b; b -> c; a <-> c", "MAG", "almost directed cycle in the MAG: 'a' <-> 'c', but 'a' is also an ancestor of 'c'"),
    ("a -> b; b -> c; a <-> c", "PAG", "almost directed cycle in the PAG"),
    ("a -> b; b -- c", "MAG", "'b' has an undirected edge and an arrowhead from 'a'"),
    ("a <-> b; b <-> c; c <-> d; b -> d; c -> a", "MAG", "not a MAG: no set separates 'a' and 'd'"),
]


@pytest.mark.parametrize(
    ("text", "message"),
    [("a -> b", "the arrow 'a' -> 'b' is not forced"), ("a -> b; c -> b; b -- d", "'b' -> 'd' is forced")],
)
def test_what_is_called_a_cpdag_but_is_none_is_read_as_an_mpdag_and_says_why(text, message):
    with pytest.warns(AssumptionWarning, match=f"not a CPDAG: .*{message}"):
        graph = CausalGraph.parse(text, kind="CPDAG")
    assert graph == CausalGraph.parse(text, kind="MPDAG")
    for refused in (
        lambda: CausalGraph.from_links(graph.nodes, graph.links, "CPDAG"),
        lambda: CausalGraph(graph.nodes, graph.marks, "CPDAG"),
    ):
        with pytest.raises(GraphError, match=f"not a CPDAG: .*{message}.*name the kind MPDAG") as caught:
            refused()
        assert " -> ".join(map(repr, caught.value.edge)) in message


@pytest.mark.parametrize(("text", "kind", "message"), ILLEGAL)
def test_an_illegal_graph_is_refused_by_its_edge(text, kind, message):
    with pytest.raises(GraphError) as caught:
        CausalGraph.parse(text, kind=kind)
    assert message in str(caught.value)
    assert getattr(caught.value, "cycle", None) or getattr(caught.value, "edge", None) or "no DAG has these edges" in message


def test_a_cycle_error_carries_the_cycle():
    with pytest.raises(CycleError) as caught:
        CausalGraph.parse("x -> a; a -> b; b -> c; c -> a; c -> y")
    assert caught.value.cycle == ("a", "b", "c")


def test_unknown_names_suggest_the_nearest():
    graph = CausalGraph.parse("browse -> buy")
    with pytest.raises(UnknownNameError, match="did you mean 'browse'"):
        graph.parents("brwose")
    with pytest.raises(UnknownNameError, match="latent node 'byu'"):
        CausalGraph.parse("browse -> buy", latent=["byu"])
    with pytest.raises(InputError, match="unknown kind 'TREE'"):
        CausalGraph.parse("a -> b", kind="TREE")


def test_marks_of_one_end_or_of_another_shape_are_refused():
    with pytest.raises(GraphError, match="'a' – 'b' has a mark at one end only"):
        CausalGraph(("a", "b"), [[0, 2], [0, 0]])
    with pytest.raises(GraphError, match="hand in a square matrix"):
        CausalGraph(("a", "b"), np.zeros((3, 3)))
    with pytest.raises(GraphError, match=r"duplicate nodes \['a'\]"):
        CausalGraph(("a", "a"), np.zeros((2, 2)))


def test_equality_ignores_node_order_and_provenance():
    one = CausalGraph.parse("a -> b; b <-> c; d")
    other = CausalGraph.from_edges(CausalGraph.parse("c <-> b; a -> b").edges, "dcba", kind="ADMG")
    assert one == other.with_provenance(method="by hand")
    assert hash(one) == hash(other)
    assert one != CausalGraph.parse("a -> b; c -> b; d")


def test_a_graph_survives_pickling_for_workers():
    graph = CausalGraph.parse("a -> b; a <-> b; u -> a", kind="ADMG", latent=["u"]).with_provenance(method="by hand")
    again = pickle.loads(pickle.dumps(graph))  # noqa: S301  our own bytes
    assert again == graph
    assert dict(again.provenance) == {"method": "by hand"}


def test_select_keeps_edges_among_the_chosen():
    graph = CausalGraph.parse("a -> b; b -> c; a -> c; u -> a", latent=["u"])
    part = graph.select(["c", "a", "u"])
    assert part == CausalGraph.parse("a -> c; u -> a", latent=["u"])
    assert part.nodes == ("c", "a", "u")


def test_relatives_include_the_nodes_themselves():
    graph = CausalGraph.parse("a -> b; b -> c; d -> c")
    assert graph.ancestors("c") == {"a", "b", "c", "d"}
    assert graph.descendants(["a", "d"]) == {"a", "b", "c", "d"}
    assert graph.topological_order() == ("a", "d", "b", "c")


def test_ten_thousand_nodes_are_no_trouble():
    """No (p, p) array is built: it would take 100 MB."""
    rng = np.random.default_rng(0)
    pairs = {(int(min(a, b)), int(max(a, b))) for a, b in rng.integers(0, 10_000, (50_000, 2)) if a != b}
    start = time.process_time()
    graph = CausalGraph.from_edges([(f"v{a}", f"v{b}") for a, b in sorted(pairs)], [f"v{k}" for k in range(10_000)], kind="DAG")
    assert len(graph.ancestors("v9999")) > 1
    assert sum(1 for _ in graph.edges) == len(pairs)
    assert time.process_time() - start < 10
    assert "marks" not in graph._derived
