"""Jupyter cards: a whole page inside a sandboxed frame, so that it can neither reach the notebook nor be reached by it."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

from causalsem.graph import CausalGraph
from causalsem.report.page import compare_html, graph_html


@dataclass(frozen=True, slots=True)
class Card:
    """A page that Jupyter shows in a frame of `height` pixels; `page` is the HTML text."""

    page: str
    height: int = 640
    title: str = "causal graph"

    def _repr_html_(self) -> str:
        return (
            f'<iframe srcdoc="{html.escape(self.page)}" sandbox="allow-scripts allow-downloads" title="{html.escape(self.title)}" '
            f'width="100%" height="{self.height}" style="border:0" loading="lazy"></iframe>'
        )

    def __repr__(self) -> str:
        return f"Card({self.title}, {len(self.page):,} characters of HTML)"


def compare_graphs(first: CausalGraph, second: CausalGraph, **options: Any) -> Card:
    """Return two graphs side by side as a card for Jupyter; options as for `compare_html`."""
    return Card(compare_html(first, second, **options), height=560, title=str(options.get("title") or "two graphs"))


def explore(graph: CausalGraph, **options: Any) -> Card:
    """Return the interactive graph as a card for Jupyter; options as for `graph_html`."""
    title = str(options.get("title") or "causal graph")
    return Card(graph_html(graph, **options), title=title)
