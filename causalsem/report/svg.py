"""graph_svg: the graph as SVG text, and the small writer that every SVG picture uses."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

from causalsem.graph import CausalGraph, Mark
from causalsem.report.layout import LABEL_SIZE, NODE_SIZE, TITLE_SIZE, EdgeRoute, Layout, NodeBox, Tiers, layout
from causalsem.report.looks import BAND, INK, LOOK, RULE, SOFT, EdgeLook, LabelChoice, Marked, default_labels, edge_looks
from causalsem.report.routes import HEAD, Point
from causalsem.report.text import shown_name

if TYPE_CHECKING:
    from causalsem.discovery import EdgeStability
    from causalsem.sem import SEMFit

FONTS = "'Causalsem CJK',system-ui,-apple-system,'Segoe UI','Noto Sans','DejaVu Sans','Noto Sans CJK SC','Microsoft YaHei',sans-serif"


def tag(name: str, *inside: str, **attributes: object) -> str:
    """Return one element; attribute values are escaped, `class_` is class, `_` is -, None is left out.

    `inside` is markup already; pass text through `text_of` first.
    """
    shown = "".join(f' {key.rstrip("_").replace("_", "-")}="{text_of(value)}"' for key, value in attributes.items() if value is not None)
    return f"<{name}{shown}>{''.join(inside)}</{name}>" if inside else f"<{name}{shown}/>"


def text_of(value: object) -> str:
    """Return a value as escaped text that is legal in XML."""
    return html.escape(f"{value:g}" if isinstance(value, float) else shown_name(value) if value != "" else "")


def graph_svg(
    graph: CausalGraph,
    *,
    tiers: Tiers | None = None,
    fit: SEMFit | None = None,
    stability: EdgeStability | None = None,
    title: str | None = None,
    labels: LabelChoice | None = None,
    seed: int = 0,
) -> str:
    """Return the graph as a static SVG picture: no script, no outside file, the same input the same bytes.

    Width is |standardised effect| of `fit` (a SEMFit), blue positive and red negative with the sign in the label as
    well; dashes and paleness mean fewer than 70 % of the bootstraps in `stability` (an EdgeStability) found the edge;
    circles are undecided ends, short dashes with two heads unobserved common causes. Raises as `layout` does.
    """
    looks = edge_looks(graph, fit, stability)
    choice = labels or default_labels(looks)
    drawn = layout(graph, tiers=tiers, labels=[look.text(choice) for look in looks], seed=seed)
    return svg_of(drawn, looks, title=title)


def svg_of(
    drawn: Layout,
    looks: Sequence[EdgeLook],
    *,
    title: str | None = None,
    interactive: bool = False,
    marked: frozenset[int] = frozenset(),
) -> str:
    """Return a drawn graph as SVG text; `interactive` adds what the report's script and the keyboard need.

    Edges at the positions `marked` are drawn thick and orange.
    """
    head = 24.0 if title else 0.0
    parts = [tag("title", text_of(title or "causal graph"))]
    if title:
        parts.append(_text(12, 19, title, 15, weight="bold", anchor="start"))
    inner = [*_bands(drawn)]
    number = {node.name: k for k, node in enumerate(drawn.nodes)}
    looks = [Marked(*map(look.__getattribute__, LOOK)) if k in marked else look for k, look in enumerate(looks)]
    routes = sorted(enumerate(zip(drawn.edges, looks, strict=True)), key=lambda one: one[1][1].opacity)
    inner += [_edge(route, look, _handles(k, look, number) if interactive else {}) for k, (route, look) in routes]
    inner += [_node(node, number[node.name] if interactive else None) for node in drawn.nodes]
    parts.append(tag("g", *inner, transform=f"translate(0 {head:g})" if head else None))
    size = {"width": drawn.width, "height": round(drawn.height + head, 1)}
    return tag(
        "svg",
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {size['width']:g} {size['height']:g}",
        **size,
        font_family=FONTS,
        font_size=NODE_SIZE,
        text_anchor="middle",
        fill=INK,
        role="group" if interactive else "img",
        class_="graph" if interactive else None,
    )


def _text(x: float, y: float, text: str, size: float, *, anchor: str = "middle", fill: str = INK, weight: str | None = None) -> str:
    """Return a line of text; what the picture as a whole has set already is left out."""
    return tag(
        "text",
        text_of(text),
        x=x,
        y=y,
        font_size=None if size == NODE_SIZE else size,
        text_anchor=None if anchor == "middle" else anchor,
        fill=None if fill == INK else fill,
        font_weight=weight,
    )


def _bands(drawn: Layout) -> list[str]:
    parts = []
    for k, band in enumerate(drawn.bands):
        box = band.box
        parts.append(tag("rect", x=box.x, y=box.y, width=box.width, height=box.height, fill="#fff" if k % 2 else BAND, stroke=RULE))
        parts.append(_text(round(box.centre[0], 1), box.y - 9, band.title, TITLE_SIZE, fill=SOFT, weight="600"))
    return parts


def _edge(route: EdgeRoute, look: EdgeLook, handles: dict[str, object]) -> str:
    """Return an edge's group: title, curve, end marks, label."""
    path = "M" + " ".join(f"{x:g},{y:g}" + ("C" if k == 0 else "") for k, (x, y) in enumerate(route.curve))
    line = tag(
        "path",
        class_="line",
        d=path,
        fill="none",
        stroke=look.colour,
        stroke_width=look.width,
        stroke_dasharray=None if look.dash is None else "{:g} {:g}".format(*look.dash),
    )
    parts = [tag("title", text_of(edge_words(look)))]
    parts += [line, *_ends(route, look)]
    if route.label_box is not None:
        x, y = route.label_box.centre
        box = route.label_box
        parts.append(tag("rect", class_="back", x=box.x, y=box.y, width=box.width, height=box.height, rx=3, fill="#fff", fill_opacity=0.85))
        parts.append(_text(round(x, 1), round(y + 4.0, 1), route.label, LABEL_SIZE))
    return tag("g", *parts, opacity=None if look.opacity == 1 else look.opacity, **handles)


def _handles(position: int, look: EdgeLook, number: dict[str, int]) -> dict[str, object]:
    """Return the attributes by which the script and a screen reader know an edge."""
    return {
        "class_": "edge",
        "data_e": position,
        "data_a": number[look.source],
        "data_b": number[look.target],
        "data_open": None if look.marks == (Mark.TAIL, Mark.ARROW) else 1,
        **{f"data_{choice}": look.text(choice) or None for choice in ("coefficient", "p", "confidence")},
    }


def edge_words(look: EdgeLook) -> str:
    """Return an edge in one line of text: ends, standardised effect, p, confidence."""
    facts = [look.text("coefficient"), look.text("p"), look.text("confidence")]
    return f"{shown_name(look.source)} {look.sign} {shown_name(look.target)}" + "".join(f" · {fact}" for fact in facts if fact)


def _ends(route: EdgeRoute, look: EdgeLook) -> list[str]:
    parts = []
    for mark, tip, end in zip(route.marks, route.tips, (route.curve[0], route.curve[-1]), strict=True):
        if mark == Mark.ARROW:
            points = " ".join(f"{x:g},{y:g}" for x, y in head_points(tip, end, look.width))
            parts.append(tag("polygon", points=points, fill=look.colour, class_="head"))
        elif mark == Mark.CIRCLE:
            middle = ((tip[0] + end[0]) / 2, tip[1])
            parts.append(
                tag("circle", cx=round(middle[0], 1), cy=middle[1], r=HEAD / 2 - 1.2, fill="#fff", stroke=look.colour, stroke_width=1.8)
            )
    return parts


def head_points(tip: Point, end: Point, width: float) -> tuple[Point, Point, Point]:
    """Return the triangle of an arrowhead; it starts a little before the line ends, so that no gap shows."""
    back = end[0] - (0.5 if tip[0] > end[0] else -0.5)
    half = round(3.4 + 0.62 * width, 1)
    return tip, (round(back, 1), round(tip[1] - half, 1)), (round(back, 1), round(tip[1] + half, 1))


def _node(node: NodeBox, number: int | None) -> str:
    box = node.box
    x, y = box.centre
    first = y + 4.9 - 8.0 * (len(node.lines) - 1 + bool(node.note))
    parts = [tag("title", text_of(node.name))]
    parts.append(tag("rect", x=box.x, y=box.y, width=box.width, height=box.height, rx=6, fill="#fff", stroke=INK, stroke_width=1.3))
    parts += [_text(round(x, 1), round(first + 16.0 * k, 1), line, NODE_SIZE) for k, line in enumerate(node.lines)]
    if node.note:
        parts.append(_text(round(x, 1), round(first + 16.0 * len(node.lines), 1), node.note, LABEL_SIZE, fill=SOFT))
    if number is None:
        return tag("g", *parts)
    return tag("g", *parts, class_="node", data_n=number)
