"""What Jupyter shows of a value: its text, a card in HTML, and a picture where it has one."""

from __future__ import annotations

import dataclasses
import html
from typing import Any

MOST_ROWS, MOST_TEXT = 8, 200  # of a table inside a card, of the text of one field


def mimebundle(value: Any, include: object = None, exclude: object = None) -> dict[str, Any]:
    """Return a value as text, HTML and (where it has `_repr_png_`) PNG; a class takes it as its `_repr_mimebundle_`.

    The HTML is the value's own `_repr_html_`, else a table of its fields; every name and text is escaped.
    """
    own = getattr(value, "_repr_html_", None)
    bundle = {"text/plain": repr(value), "text/html": own() if own else fields_card(value)}
    picture = value._repr_png_() if hasattr(value, "_repr_png_") else None
    return bundle if picture is None else {**bundle, "image/png": picture}


def fields_card(value: Any) -> str:
    """Return a dataclass as a card: its name, its one line, a row per field."""
    title = type(value).__name__
    line = repr(value).split("\n", maxsplit=1)[0]
    # Settings print as Name(a=1, …); the rows say the same.
    said = "" if line.startswith(f"{title}(") and line.count("=") >= len(dataclasses.fields(value)) else f" {html.escape(_cut(line))}"
    told = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if not f.name.startswith("_")}
    rows = "".join(
        f'<tr><th style="text-align:left">{html.escape(name)}</th><td style="text-align:left">{_cell(v)}</td></tr>'
        for name, v in told.items()
    )
    return f"<div><b>{html.escape(title)}</b>{said}<table>{rows}</table></div>"


def _cell(value: Any) -> str:
    """Return one field: small tables as tables, arrays by their shape, all else as text."""
    if hasattr(value, "to_html"):
        return str(value.to_html(max_rows=MOST_ROWS, notebook=True))  # pandas escapes names and values
    if hasattr(value, "shape") and getattr(value, "size", 1) > MOST_ROWS:
        return html.escape(f"array of shape {tuple(value.shape)}")
    return html.escape(_cut(value if isinstance(value, str) else repr(value)))


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= MOST_TEXT else text[: MOST_TEXT - 1] + "…"
