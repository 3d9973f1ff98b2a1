"""Two graphs compared."""

from __future__ import annotations

from lxml import html

import causalsem as cs
from causalsem.report import compare_html, difference_table, differences


def test_differences_are_added_dropped_and_turned_edges():
    first, second = cs.CausalGraph.parse("a -> b; b -> c; c -> d"), cs.CausalGraph.parse("a -> b; c -> b; a -> d")
    assert [(d.kind, d.first, d.second) for d in differences(first, second)] == [
        ("turned", "b → c", "b ← c"),
        ("dropped", "c → d", ""),
        ("added", "", "a → d"),
    ]
    assert list(difference_table(first, second)["kind"]) == ["turned", "dropped", "added"]


def test_the_order_of_nodes_makes_no_difference_and_a_bow_has_two_edges():
    assert differences(cs.CausalGraph.parse("a -> b; b -- c"), cs.CausalGraph.parse("c -- b; a -> b", kind="MPDAG")) == []
    bow, arrow = cs.CausalGraph.parse("a -> b; a <-> b"), cs.CausalGraph.parse("a -> b")
    assert [d.first for d in differences(bow, arrow)] == ["a → b, a ↔ b"]


def test_the_page_marks_what_differs_in_both_pictures_and_lists_it():
    first, second = (cs.CausalGraph.from_edges([*pair, ("<b>", "购买")]) for pair in ([("浏览", "购买")], [("购买", "浏览")]))
    root = html.fromstring(compare_html(first, second, names=("PC", "<GES>")))
    drawn = root.xpath('//*[name()="svg"][@role="img"]')
    assert len(drawn) == 2
    assert [len(svg.xpath('.//*[name()="path"][@stroke="#bc4c00"]')) for svg in drawn] == [1, 1]
    assert [cell.text_content() for cell in root.xpath("//td")] == ["浏览 → 购买", "浏览 ← 购买"]
    assert "1 edges are the same" in root.text_content()
    assert cs.compare_graphs(first, second)._repr_html_().startswith("<iframe")
