"""plot_graph: the graph in matplotlib, from the same geometry as the SVG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from causalsem.graph import CausalGraph, Mark
from causalsem.report.layout import LABEL_SIZE, NODE_SIZE, TITLE_SIZE, EdgeRoute, Layout, Tiers, layout
from causalsem.report.looks import BAND, INK, NEGATIVE, PLAIN, POSITIVE, RULE, SOFT, EdgeLook, LabelChoice, default_labels, edge_looks
from causalsem.report.routes import HEAD
from causalsem.report.svg import head_points

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from causalsem.discovery import EdgeStability
    from causalsem.sem import SEMFit

LEGEND_ROOM, TITLE_ROOM = 34.0, 34.0
POINTS = 72.0


def plot_graph(
    graph: CausalGraph,
    *,
    tiers: Tiers | None = None,
    fit: SEMFit | None = None,
    stability: EdgeStability | None = None,
    ax: Axes | None = None,
    title: str | None = None,
    labels: LabelChoice | None = None,
    seed: int = 0,
) -> Axes:
    """Draw the graph in tiers and return its Axes; `ax.figure.savefig(path)` writes PNG, SVG or PDF.

    What the lines mean is told by `graph_svg`. Without `ax` a figure of the right size is made, without pyplot, and
    Jupyter shows it; no matplotlib setting is changed. Raises as `layout` does.
    """
    from causalsem.report import canvas

    looks = edge_looks(graph, fit, stability)
    choice = labels or default_labels(looks)
    drawn = layout(graph, tiers=tiers, labels=[look.text(choice) for look in looks], seed=seed)
    legend = _legend(looks)
    top, bottom = (TITLE_ROOM if title else 0.0), (LEGEND_ROOM if legend else 0.0)
    if ax is None:
        ax = canvas.new_axes(drawn.width, drawn.height + top + bottom)
        ax.set_position((0, 0, 1, 1))
    ax.set_xlim(0, drawn.width)
    ax.set_ylim(drawn.height + bottom, -top)
    ax.set_aspect("equal")
    ax.set_axis_off()
    _draw(ax, drawn, looks, _points_per_pixel(ax, drawn.width, drawn.height + top + bottom))
    _draw_frame(ax, drawn, legend, title, _points_per_pixel(ax, drawn.width, drawn.height + top + bottom))
    return ax


def _points_per_pixel(ax: Axes, width: float, height: float) -> float:
    """Return how many points one pixel of the layout takes on these axes."""
    room = ax.get_window_extent().transformed(ax.figure.dpi_scale_trans.inverted())
    return float(min(room.width / width, room.height / height)) * POINTS


def _draw(ax: Axes, drawn: Layout, looks: Sequence[EdgeLook], scale: float) -> None:
    from matplotlib.patches import FancyBboxPatch, Rectangle

    from causalsem.report import canvas

    for k, band in enumerate(drawn.bands):
        box = band.box
        face = "white" if k % 2 else BAND
        ax.add_patch(Rectangle((box.x, box.y), box.width, box.height, facecolor=face, edgecolor=RULE, linewidth=scale, zorder=0))
        canvas.write(ax, box.centre[0], box.y - 13, band.title, size=TITLE_SIZE * scale, colour=SOFT, bold=True, ha="center", va="center")
    for route, look in zip(drawn.edges, looks, strict=True):
        _draw_edge(ax, route, look, scale)
    for node in drawn.nodes:
        box = node.box
        shape = FancyBboxPatch(
            (box.x + 6, box.y + 6), box.width - 12, box.height - 12, boxstyle="round,pad=6,rounding_size=6", zorder=3, linewidth=1.3 * scale
        )
        shape.set(facecolor="white", edgecolor=INK)
        ax.add_patch(shape)
        x, y = box.centre
        for k, line in enumerate(node.lines):
            height = y + 16.0 * (k - (len(node.lines) - 1) / 2)
            canvas.write(ax, x, height, line, size=NODE_SIZE * scale, ha="center", va="center_baseline", zorder=4)


def _draw_edge(ax: Axes, route: EdgeRoute, look: EdgeLook, scale: float) -> None:
    from matplotlib.patches import Circle, PathPatch, Polygon, Rectangle
    from matplotlib.path import Path

    from causalsem.report import canvas

    codes = [Path.MOVETO] + [Path.CURVE4] * (len(route.curve) - 1)
    dash = (0, tuple(part / look.width for part in look.dash)) if look.dash else "solid"
    common = {"alpha": look.opacity, "zorder": 1 + look.opacity / 2}
    curve = PathPatch(
        Path(route.curve, codes), fill=False, edgecolor=look.colour, linewidth=look.width * scale, linestyle=dash, capstyle="butt", **common
    )
    ax.add_patch(curve)
    for mark, tip, end in zip(route.marks, route.tips, (route.curve[0], route.curve[-1]), strict=True):
        if mark == Mark.ARROW:
            ax.add_patch(Polygon(head_points(tip, end, look.width), closed=True, facecolor=look.colour, linewidth=0, **common))
        elif mark == Mark.CIRCLE:
            middle = ((tip[0] + end[0]) / 2, tip[1])
            ax.add_patch(Circle(middle, HEAD / 2 - 1.2, facecolor="white", edgecolor=look.colour, linewidth=1.8 * scale, zorder=2))
    if route.label_box is not None:
        box = route.label_box
        x, y = box.centre
        ax.add_patch(Rectangle((box.x, box.y), box.width, box.height, facecolor="white", alpha=0.85, linewidth=0, zorder=4))
        canvas.write(ax, x, y, route.label, size=LABEL_SIZE * scale, alpha=max(look.opacity, 0.75), ha="center", va="center", zorder=5)


def _legend(looks: Sequence[EdgeLook]) -> list[tuple[str, tuple[float, float] | None, str]]:
    """Return colour, dash and words of the kinds of line that the picture holds."""
    shown = {look.colour for look in looks}
    entries: list[tuple[str, tuple[float, float] | None, str]] = []
    entries += [
        (colour, None, words) for colour, words in ((POSITIVE, "positive effect"), (NEGATIVE, "negative effect")) if colour in shown
    ]
    if any(look.is_unsure for look in looks):
        entries.append((PLAIN, (7.0, 5.0), "confidence < 70 %"))
    if any(look.is_bidirected for look in looks):
        entries.append((PLAIN, (3.0, 3.0), "unobserved common cause"))
    return entries


def _draw_frame(
    ax: Axes, drawn: Layout, legend: Sequence[tuple[str, tuple[float, float] | None, str]], title: str | None, scale: float
) -> None:
    """Write the title above and the legend below the graph."""
    from causalsem.report import canvas

    if title:
        canvas.write(ax, 10, -TITLE_ROOM / 2, title, size=16 * scale, bold=True, ha="left", va="center")
    steps = [62.0 + 7.2 * len(words) for _, _, words in legend]
    x = max(10.0, (drawn.width - sum(steps)) / 2)
    y = drawn.height + LEGEND_ROOM / 2 - 4
    for (colour, dash, words), step in zip(legend, steps, strict=True):
        style = (0, tuple(part / 3 for part in dash)) if dash else "solid"
        ax.plot([x, x + 28], [y, y], color=colour, linewidth=3 * scale, linestyle=style, solid_capstyle="butt", scalex=False, scaley=False)
        canvas.write(ax, x + 36, y, words, size=11 * scale, ha="left", va="center_baseline")
        x += step
