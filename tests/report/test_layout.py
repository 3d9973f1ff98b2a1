"""The geometry of drawn graphs."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import isotonic_regression

from causalsem.errors import KnowledgeError, UnknownNameError
from causalsem.graph import CausalGraph
from causalsem.report import layers, layout, ordering
from causalsem.report.routes import sampled

KINDS = {
    "DAG": [("tail", "arrow")],
    "ADMG": [("tail", "arrow"), ("tail", "arrow"), ("arrow", "arrow")],
    "PAG": [("tail", "arrow"), ("circle", "arrow"), ("circle", "circle")],
}


def random_graph(p: int, m: int, seed: int, kind: str = "DAG") -> CausalGraph:
    rng = np.random.default_rng(seed)
    pairs = list(itertools.combinations(range(p), 2))
    chosen = [pairs[k] for k in sorted(rng.choice(len(pairs), size=min(m, len(pairs)), replace=False))]
    edges = [(f"v{a}", f"v{b}", *KINDS[kind][rng.integers(len(KINDS[kind]))]) for a, b in chosen]
    return CausalGraph.from_edges(edges, nodes=[f"v{k}" for k in range(p)], kind=kind)


def tiers_of(graph: CausalGraph, count: int) -> list[list[str]]:
    return [list(part) for part in np.array_split(graph.nodes, count)]


CASES = [
    (random_graph(p, round(p * density), seed, kind), count)
    for seed, (p, density, kind, count) in enumerate(itertools.product((6, 12, 20), (1.5,), KINDS, (None, 4)))
]


@pytest.fixture(scope="module", params=range(len(CASES)))
def drawn(request: pytest.FixtureRequest):
    graph, count = CASES[request.param]
    tiers = None if count is None else tiers_of(graph, count)
    return graph, tiers, layout(graph, tiers=tiers, labels=["−0.27***"] * len(list(graph.edges)))


def test_no_two_boxes_overlap(drawn):
    boxes = [node.box for node in drawn[2].nodes]
    assert not [(a, b) for a, b in itertools.combinations(boxes, 2) if a.overlaps(b)]


def test_no_label_lies_on_a_label_or_a_node(drawn):
    labels = [edge.label_box for edge in drawn[2].edges]
    assert None not in labels
    assert not [(a, b) for a, b in itertools.combinations(labels, 2) if a.overlaps(b)]
    assert not [(a, n.name) for a in labels for n in drawn[2].nodes if a.overlaps(n.box)]


def test_no_arrow_passes_through_a_node(drawn):
    for edge in drawn[2].edges:
        x, y = sampled(edge.curve, 40).T
        for node in drawn[2].nodes:
            box = node.box
            inside = (x > box.x) & (x < box.x + box.width) & (y > box.y) & (y < box.y + box.height)
            assert not inside.any(), (edge.source, edge.target, node.name)


def test_every_edge_touches_the_boxes_of_its_ends(drawn):
    boxes = {node.name: node.box for node in drawn[2].nodes}
    for edge in drawn[2].edges:
        for (x, y), name in zip(edge.tips, (edge.source, edge.target), strict=True):
            box = boxes[name]
            assert min(abs(x - box.x), abs(x - box.x - box.width)) <= 0.11
            assert box.y <= y <= box.y + box.height


def test_everything_lies_inside_the_picture(drawn):
    picture = drawn[2]
    boxes = [n.box for n in picture.nodes] + [e.label_box for e in picture.edges] + [b.box for b in picture.bands]
    points = np.vstack([sampled(e.curve) for e in picture.edges])
    assert all(b.x >= 0 and b.y >= 0 and b.x + b.width <= picture.width and b.y + b.height <= picture.height for b in boxes)
    assert (points >= 0).all()
    assert (points <= (picture.width, picture.height)).all()


def test_arrows_run_to_the_right_and_tiers_lie_in_their_bands(drawn):
    graph, tiers, picture = drawn
    left = {node.name: node.box.x for node in picture.nodes}
    assert all(left[a] < left[b] for a in graph.nodes for b in graph.children(a))
    for tier, band in zip(tiers or (), picture.bands, strict=True):
        assert all(band.box.x <= left[name] < band.box.x + band.box.width for name in tier)


def cost(order, chains: layers.Chains) -> float:
    place = {v: k for column in order for k, v in enumerate(column)}
    around = sum(abs(place[a] - place[b]) - 1 for a, b in chains.arcs.values())
    return ordering.crossings([list(column) for column in order], chains.links()) + around / 2


def test_the_order_has_the_fewest_crossings_on_small_graphs():
    for seed in range(6):
        graph = random_graph(8, 11, seed)
        ends = [(graph.index(a), graph.index(b)) for a, b, _, _ in graph.edges]
        tiers = [[0, 1, 2], [3, 4, 5], [6, 7]]
        chains = layers.with_dummies([next(k for k, t in enumerate(tiers) if n in t) for n in range(8)], ends)
        columns, found = ordering.ordered(chains)
        links = chains.links()
        if max(map(len, chains.columns)) > 5:
            continue
        every = list(itertools.product(*(itertools.permutations(c) for c in chains.columns)))
        inside = sum(abs(columns[0].index(a) - columns[0].index(b)) - 1 for a, b in chains.arcs.values() if a in columns[0])
        fewest = min(ordering.crossings([list(c) for c in order], links) for order in every)
        assert found <= fewest + inside
        # Exactly the best of all orders, going around two vertices inside a column counted like a crossing.
        assert cost(columns, chains) == min(cost(order, chains) for order in every)


def test_the_order_crosses_less_than_the_order_of_the_nodes():
    for seed in range(5):
        graph = random_graph(20, 36, seed)
        ends = [(graph.index(a), graph.index(b)) for a, b, _, _ in graph.edges]
        chains = layers.with_dummies(layers.shortest_columns(graph.directed), ends)
        assert ordering.ordered(chains)[1] < 0.7 * ordering.crossings(chains.columns, chains.links())


def test_crossings_equal_a_count_by_hand():
    # K(3,3) between two columns has 9 crossings in any order.
    links = [np.array([(a, b) for a in range(3) for b in range(3, 6)])]
    assert ordering.crossings([[0, 1, 2], [3, 4, 5]], links) == 9
    assert ordering.crossings([[0, 1], [2, 3]], [np.array([(0, 3), (1, 2)])]) == 1
    assert ordering.crossings([[0, 1], [3, 2]], [np.array([(0, 3), (1, 2)])]) == 0


def test_the_order_crosses_no_more_than_dots_on_graphs_that_dot_has_drawn():
    # The crossings of graphviz 2.43's dot as benchmarks/pictures.py reads them.
    for p, m, seed, dots in [(12, 24, 3, 14), (20, 34, 7, 21), (25, 45, 18, 19), (30, 60, 9, 56)]:
        rng = np.random.default_rng(100 + seed)
        pairs = list(itertools.combinations(range(p), 2))
        edges = [(f"v{pairs[k][0]}", f"v{pairs[k][1]}") for k in sorted(rng.choice(len(pairs), size=m, replace=False))]
        assert layout(CausalGraph.from_edges(edges, nodes=[f"v{k}" for k in range(p)])).crossings <= dots


def test_an_edge_inside_a_column_goes_around_few_nodes():
    # One column of five: the path c - a - e - b - d fits it without going around anybody.
    chains = layers.with_dummies([0] * 5, [(2, 0), (0, 4), (4, 1), (1, 3)])
    order = ordering.ordered(chains)[0][0]
    assert order in ([2, 0, 4, 1, 3], [3, 1, 4, 0, 2])


def test_shortest_columns_are_no_longer_than_longest_paths():
    for seed in range(5):
        before = random_graph(15, 25, seed).directed
        pairs = np.argwhere(before)
        short, long = (np.array(c) for c in (layers.shortest_columns(before), layers.column_numbers(before, [range(15)])))
        span = [(c[pairs[:, 1]] - c[pairs[:, 0]]) for c in (short, long)]
        assert (span[0] >= 1).all()
        assert span[0].sum() <= span[1].sum()


def test_isotonic_heights_equal_scipys():
    rng = np.random.default_rng(3)
    for _ in range(20):
        y, w = rng.normal(size=12), rng.uniform(0.1, 3, 12)
        np.testing.assert_allclose(layers.isotonic(y, w), isotonic_regression(y, weights=w).x, atol=1e-12)


def test_the_same_graph_gives_the_same_bytes_in_another_process():
    code = (
        "from causalsem.graph import CausalGraph\nfrom causalsem.report import layout\n"
        "g = CausalGraph.parse('a -> b; b -> c; a -> d; d -> c; b -> e; a -> e; d -> f; f -> e; c <-> f')\n"
        "print(layout(g, tiers=[['a', 'b'], ['d', 'f'], ['c', 'e']], labels=['0.5'] * 9))"
    )
    root = Path(__file__).parents[2]
    runs = [
        subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, check=True, env={**os.environ, "PYTHONHASHSEED": seed})
        for seed in ("1", "2")
    ]
    assert runs[0].stdout == runs[1].stdout != b""


def test_thirty_nodes_and_sixty_edges_take_a_third_of_a_second():
    graph = random_graph(30, 60, 1)
    labels = ["0.42***"] * 60
    layout(graph, labels=labels)
    times = []
    for _ in range(4):
        start = time.process_time()
        layout(graph, labels=labels)
        times.append(time.process_time() - start)
    # Measured 0.15 s; other processes on the same core slow this down.
    assert min(times) < 0.5


def test_graphs_without_edges_or_nodes_are_drawn():
    assert layout(CausalGraph.from_edges([], nodes=[])).nodes == ()
    alone = layout(CausalGraph.from_edges([], nodes=["a", "b"]))
    assert not alone.nodes[0].box.overlaps(alone.nodes[1].box)


def test_a_node_in_no_tier_joins_its_parents():
    graph = CausalGraph.parse("a -> b; b -> c; a -> new")
    picture = layout(graph, tiers={"first": ["a"], "second": ["b"], "third": ["c"]})
    assert [band.title for band in picture.bands] == ["first", "second", "third"]
    place = {node.name: node.box.x for node in picture.nodes}
    assert place["a"] < place["new"] < place["b"]


def test_an_arrow_against_the_tiers_still_points_at_its_target():
    graph = CausalGraph.parse("late -> early")
    picture = layout(graph, tiers=[["early"], ["late"]])
    edge, boxes = picture.edges[0], {n.name: n.box for n in picture.nodes}
    assert edge.tips[1][0] == pytest.approx(boxes["early"].x + boxes["early"].width, abs=0.11)
    assert edge.curve[-1][0] > edge.tips[1][0]


def test_both_edges_of_a_bow_are_drawn_apart():
    graph = CausalGraph.parse("a -> b; a <-> b; b -> c")
    picture = layout(graph, labels=["0.1", "0.2", "0.3"])
    bow = [edge for edge in picture.edges if {edge.source, edge.target} == {"a", "b"}]
    assert len(bow) == 2
    assert bow[0].curve != bow[1].curve


def test_a_misspelt_tier_suggests_the_name_and_a_double_one_is_named():
    graph = CausalGraph.parse("browse -> buy")
    with pytest.raises(UnknownNameError, match="did you mean 'browse'"):
        layout(graph, tiers=[["brwose"], ["buy"]])
    with pytest.raises(KnowledgeError, match="'buy' is in tier 1 and in tier 2"):
        layout(graph, tiers=[["buy"], ["browse", "buy"]])
