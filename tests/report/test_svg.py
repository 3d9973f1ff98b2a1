"""The graph as SVG."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import pandas as pd
from lxml import etree

from causalsem.graph import CausalGraph
from causalsem.report import graph_svg
from causalsem.report.looks import NEGATIVE, POSITIVE, edge_looks
from causalsem.report.text import name_lines, number, p_text, shown_name, significant, stars, text_width

SVG = "{http://www.w3.org/2000/svg}"


def fit_of(*rows):
    """Return what the pictures read of a SEMFit: rows (lhs, op, rhs, std_all, pvalue)."""
    return SimpleNamespace(parameters=pd.DataFrame(rows, columns=["lhs", "op", "rhs", "std_all", "pvalue"]))


def parsed(svg: str) -> etree._Element:
    return etree.fromstring(svg.encode())


def test_every_nasty_name_is_text_and_never_markup(nasty_names):
    graph = CausalGraph.from_edges([(a, "end") for a in nasty_names])
    root = parsed(graph_svg(graph, tiers=[nasty_names, ["end"]], title="<svg onload=x>"))
    titles = Counter(element.text for element in root.iter(f"{SVG}title"))
    for name in nasty_names:
        assert titles[shown_name(name)] >= 1, name
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {"svg", "title", "g", "path", "rect", "polygon", "circle", "text"}


def test_the_picture_loads_nothing_from_outside(make_findings):
    found = make_findings()
    svg = graph_svg(found.graph, tiers=found.tiers, fit=found.fit, stability=found.stability)
    assert svg.count("http") == 1  # the name of the SVG language itself
    assert "href" not in svg
    assert "<script" not in svg
    assert "<style" not in svg


def test_sign_is_in_colour_and_in_the_label():
    graph = CausalGraph.parse("a -> c; b -> c")
    fit = fit_of(("c", "~", "a", 0.5, 1e-6), ("c", "~", "b", -0.25, 0.03))
    first, second = edge_looks(graph, fit)
    assert (first.colour, first.text("coefficient")) == (POSITIVE, "0.50***")
    assert (second.colour, second.text("coefficient")) == (NEGATIVE, "−0.25*")
    assert first.width > second.width
    texts = [element.text for element in parsed(graph_svg(graph, fit=fit)).iter(f"{SVG}text")]
    assert {"0.50***", "−0.25*"} <= set(texts)


def test_width_grows_with_the_size_of_the_effect():
    graph = CausalGraph.parse("a -> d; b -> d; c -> d")
    sizes = [0.1, -0.4, 0.7]
    looks = edge_looks(graph, fit_of(*(("d", "~", cause, size, 0.5) for cause, size in zip("abc", sizes, strict=True))))
    widths = [look.width for look in looks]
    assert widths == sorted(widths)
    assert len(set(widths)) == 3


def test_an_edge_below_seventy_per_cent_is_dashed_and_pale(make_findings):
    found = make_findings()
    looks = {(look.source, look.target): look for look in edge_looks(found.graph, None, found.stability)}
    unsure, sure = looks["age", "buy"], looks["age", "activity"]
    assert (unsure.confidence, unsure.is_unsure, sure.is_unsure) == (0.5, True, False)
    assert unsure.dash
    assert unsure.opacity < 1
    assert sure.dash is None
    assert sure.opacity == 1
    assert unsure.text("confidence") == "50 %"


def test_circles_and_bidirected_edges_have_their_own_ends():
    root = parsed(graph_svg(CausalGraph.parse("a o-> b; c <-> b; c o-o d")))
    assert len(list(root.iter(f"{SVG}circle"))) == 3
    assert len(list(root.iter(f"{SVG}polygon"))) == 3


def test_a_bidirected_edge_shows_the_residual_covariance_either_way_round():
    graph = CausalGraph.parse("a <-> b")
    assert edge_looks(graph, fit_of(("b", "~~", "a", 0.3, 0.2)))[0].coefficient == 0.3


def test_the_same_graph_gives_the_same_bytes(make_findings):
    found = make_findings()
    pictures = {graph_svg(found.graph, tiers=found.tiers, fit=found.fit, stability=found.stability) for _ in range(3)}
    assert len(pictures) == 1


def test_jupyter_shows_a_graph_as_svg():
    card = CausalGraph.parse("浏览 -> 购买")._repr_html_()
    assert parsed(card.removeprefix("<div>").removesuffix("</div>")).tag == f"{SVG}svg"


def test_long_names_take_two_lines_that_fit():
    lines = name_lines("an_unusually_long_name_of_a_variable_that_goes_on_and_on", 14, 140)
    assert len(lines) == 2
    assert lines[1].endswith("…")
    assert all(text_width(line, 14) <= 140 for line in lines)
    assert name_lines("浏览", 14, 140) == ("浏览",)


def test_names_that_steer_or_hide_text_are_made_plain():
    assert shown_name("x\u202egnp.exe") == "x�gnp.exe"
    assert shown_name("a\x00b") == "a�b"
    assert shown_name("line\nbreak\ttab") == "line break tab"
    assert shown_name(" ") == "␣"


def test_numbers_are_written_as_journals_do():
    assert number(-0.274) == "−0.27"
    assert number(float("nan")) == "–"
    assert number(-0.0004) == "0.00"
    assert [significant(v) for v in (0.021349, 12.345, 1234.5, 0, -1.5, 2e-9)] == ["0.0213", "12.3", "1,234", "0", "−1.50", "2.00e−09"]
    assert (p_text(0.0001), p_text(0.0312)) == ("p < .001", "p = .031")
    assert [stars(p) for p in (0.0001, 0.005, 0.03, 0.2)] == ["***", "**", "*", ""]
