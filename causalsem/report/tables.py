"""Tables of the report: heads and rows of text, and how a value reads in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup

from causalsem.graph import CausalGraph
from causalsem.report.text import shown_name, significant
from causalsem.report.words import Speaker

MOST_ROWS = 30  # rows of a table before the rest is left to the saved files
Cell = Markup | str


@dataclass(frozen=True, slots=True)
class Table:
    """A table: head, rows, the first column of numbers (they are set right), and how many rows were left out."""

    head: tuple[Cell, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numbers_from: int = 1
    left_out: int = 0

    @classmethod
    def of(cls, head: Iterable[Cell], rows: Iterable[Iterable[Cell]], *, numbers_from: int = 1, most: int = MOST_ROWS) -> Table:
        """Return a table of at most `most` rows."""
        all_rows = tuple(tuple(row) for row in rows)
        return cls(tuple(head), all_rows[:most], numbers_from, max(len(all_rows) - most, 0))


def facts(values: Mapping[str, Any], say: Speaker) -> Table | None:
    """Return settings, versions or other facts as a table of names and values."""
    rows = [(shown_name(k), shown_name(_plain(v))) for k, v in values.items()]
    return Table.of((say("name"), say("value")), rows, numbers_from=9, most=80) if rows else None


def provenance(graph: CausalGraph, say: Speaker) -> Table | None:
    """Return how the graph was made."""
    return facts({k: v for k, v in graph.provenance.items() if len(str(v)) < 2000}, say)


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return significant(value, 6)
    if isinstance(value, Mapping):
        return ", ".join(f"{k} = {_plain(v)}" for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_plain(v) for v in value)
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10_000 else str(value)


def frame_table(frame: pd.DataFrame, text_columns: int) -> Table:
    """Return a frame as a table: text first, numbers with four significant digits."""
    rows = [[cell(v) for v in row] for row in frame.itertuples(index=False, name=None)]
    return Table.of([shown_name(c) if str(c) else "" for c in frame.columns], rows, numbers_from=text_columns)


def cell(value: Any) -> str:
    """Return a value as it stands in a table."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return shown_name(value) if str(value) else ""
    return significant(value, 4) if isinstance(value, float) else f"{value:,}"
