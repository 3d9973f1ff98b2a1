"""What Jupyter shows: every value that flows has a card of text and HTML, a graph a picture too."""

from __future__ import annotations

import dataclasses
import inspect

import numpy as np
import pandas as pd
import pytest

import causalsem as cs
from causalsem._cards import fields_card


def values() -> list[type]:
    """Return every public dataclass that holds more than settings."""
    public = [getattr(cs, name) for name in cs.__all__]
    return [kind for kind in public if inspect.isclass(kind) and dataclasses.is_dataclass(kind) and not kind.__dataclass_params__.eq]


@pytest.mark.parametrize("kind", values(), ids=lambda kind: kind.__name__)
def test_every_value_has_a_card(kind: type) -> None:
    assert callable(getattr(kind, "_repr_mimebundle_", None)), f"add `_repr_mimebundle_ = mimebundle` to {kind.__name__}"


def test_a_graph_shows_itself_as_text_page_and_picture() -> None:
    bundle = cs.CausalGraph.parse("浏览 -> 购买")._repr_mimebundle_()
    assert bundle["text/plain"].startswith("CausalGraph(DAG, 2 nodes")
    assert bundle["text/html"].startswith("<div><svg")
    assert bundle["image/png"].startswith(b"\x89PNG")


def test_a_graph_too_large_to_draw_says_its_size() -> None:
    large = cs.CausalGraph.from_edges([(f"v{k}", f"v{k + 1}") for k in range(200)])
    assert set(large._repr_mimebundle_()) == {"text/plain", "text/html"}
    assert "201 nodes" in large._repr_html_()


def test_a_card_of_fields_escapes_and_stays_short() -> None:
    known = cs.Knowledge(tiers=[["<script>"], ["b"]])
    assert "<script>" not in fields_card(known)
    assert "&lt;script&gt;" in fields_card(known)
    m = cs.moments(pd.DataFrame(np.random.default_rng(0).normal(size=(50, 12)), columns=list("abcdefghijkl")))
    card = m._repr_mimebundle_()["text/html"]
    assert "array of shape (12, 12)" in card
    assert len(card) < 3000


def test_a_study_shows_its_answer_and_its_graph_to_explore() -> None:
    from causalsem.report.card import Card

    assert 'sandbox="allow-scripts' in Card("<p>x</p>")._repr_html_()
