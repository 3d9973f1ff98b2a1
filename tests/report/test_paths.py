"""What directed paths say about a question."""

from __future__ import annotations

from causalsem.graph import CausalGraph
from causalsem.report.paths import shortest_directed, why_in


def test_reasons_tell_common_causes_from_predictors():
    graph = CausalGraph.parse("age -> browse; age -> buy; price -> buy; place -> browse; browse -> buy; u -> w; v -> w")
    keys = {name: why_in(graph, name, ["browse"], ["buy"]).key for name in ("age", "price", "place", "w")}
    assert keys == {"age": "why_common", "price": "why_outcome", "place": "why_treatment", "w": "why_block"}


def test_the_shortest_directed_path_avoids_what_it_must():
    graph = CausalGraph.parse("a -> t; t -> y; a -> m; m -> n; n -> y")
    assert shortest_directed(graph, "a", ["y"]) == ("a", "t", "y")
    assert shortest_directed(graph, "a", ["y"], around=["t"]) == ("a", "m", "n", "y")
    assert shortest_directed(graph, "y", ["a"]) == ()
