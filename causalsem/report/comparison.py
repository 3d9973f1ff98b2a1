"""Two graphs side by side: which edges they share, which one of them has alone, and which differ in their ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from causalsem.graph import CausalGraph, Mark
from causalsem.report.layout import Tiers, layout
from causalsem.report.looks import ENDS, edge_looks
from causalsem.report.svg import svg_of

if TYPE_CHECKING:
    import pandas as pd

Ends = tuple[Mark, Mark]


@dataclass(frozen=True, slots=True)
class Difference:
    """One pair of variables that two graphs tell differently: its edge in each, as text ("–" for none)."""

    a: str
    b: str
    first: str
    second: str

    @property
    def kind(self) -> str:
        """Return "added", "dropped" or "turned", as seen from the first graph."""
        return "added" if self.first == "" else "dropped" if self.second == "" else "turned"


def differences(first: CausalGraph, second: CausalGraph) -> list[Difference]:
    """Return every pair of variables whose edges differ, in the order of the first graph's edges; a missing edge is ""."""
    edges = [_edges(first), _edges(second)]
    pairs = dict.fromkeys([*edges[0], *edges[1]])
    told = [Difference(*sorted(pair), *(_told(sorted(pair), graph.get(pair)) for graph in edges)) for pair in pairs]
    return [one for one in told if one.first != one.second]


def _edges(graph: CausalGraph) -> dict[frozenset[str], dict[Ends, str]]:
    """Return the edges between each pair (two of a bow), by the marks as seen from the source."""
    found: dict[frozenset[str], dict[Ends, str]] = {}
    for source, target, here, there in graph.edges:
        found.setdefault(frozenset((source, target)), {})[here, there] = source
    return found


def _told(pair: list[str], edges: dict[Ends, str] | None) -> str:
    """Return the edges of a pair as text, always from the same end, so that equal edges read equal."""
    a, b = pair
    seen = [ends if source == a else ends[::-1] for ends, source in (edges or {}).items()]
    return ", ".join(sorted(f"{a} {ENDS.get(ends, '–')} {b}" for ends in seen))


def difference_table(first: CausalGraph, second: CausalGraph) -> pd.DataFrame:
    """Return the differences as a table: columns first, second, kind ("added", "dropped", "turned")."""
    import pandas as pd

    rows = [(one.first, one.second, one.kind) for one in differences(first, second)]
    return pd.DataFrame(rows, columns=["first", "second", "kind"])


def compared_svgs(first: CausalGraph, second: CausalGraph, tiers: Tiers | None = None) -> tuple[Markup, Markup]:
    """Return both graphs as pictures in the same tiers; what differs is orange and thick, what they share is grey."""
    pairs = {frozenset((one.a, one.b)) for one in differences(first, second)}
    return _picture(first, pairs, tiers), _picture(second, pairs, tiers)


def _picture(graph: CausalGraph, differing: set[frozenset[str]], tiers: Tiers | None) -> Markup:
    marked = frozenset(k for k, (a, b, _, _) in enumerate(graph.edges) if frozenset((a, b)) in differing)
    # Written by `svg_of`, which escapes every name.
    return Markup(svg_of(layout(graph, tiers=tiers), edge_looks(graph), marked=marked))
