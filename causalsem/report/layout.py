"""Layout: the geometry of a drawn graph, in pixels with y downwards; every picture is made from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from causalsem._values import BoolArray, FloatArray
from causalsem.errors import KnowledgeError, check_names
from causalsem.graph import CausalGraph, Edge, Mark
from causalsem.graph.causal_graph import causal_order
from causalsem.report import layers, ordering
from causalsem.report.routes import Point, placed_labels, port_offsets, routed
from causalsem.report.text import clipped, name_lines, shown_name, text_width

Tiers = Mapping[str, Sequence[str]] | Sequence[Sequence[str]]

LAYERINGS = 3  # ways to lay nodes in columns that are tried where there are no tiers
NODE_SIZE, LABEL_SIZE, TITLE_SIZE = 14.0, 11.5, 13.0  # font sizes
WIDEST_NAME = 140.0
NODE_GAP, LINE_GAP = 16.0, 11.0  # room around a box, around a passing line
SHAPE, STRETCH = 0.4, 2.2  # height over width that a flat picture is stretched to, and by how much at most
MARGIN, TITLE_ROOM, BAND_GAP, BAND_PAD = 10.0, 26.0, 5.0, 16.0


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle by its left, top, width and height."""

    x: float
    y: float
    width: float
    height: float

    @property
    def centre(self) -> Point:
        """The middle of the rectangle."""
        return self.x + self.width / 2, self.y + self.height / 2

    def overlaps(self, other: Box) -> bool:
        """Tell whether two rectangles share some area."""
        apart_x = self.x + self.width <= other.x or other.x + other.width <= self.x
        return not (apart_x or self.y + self.height <= other.y or other.y + other.height <= self.y)


@dataclass(frozen=True, slots=True)
class NodeBox:
    """A node: its name, the lines its box shows, the box; `note` is a smaller last line."""

    name: str
    lines: tuple[str, ...]
    box: Box
    note: str = ""


@dataclass(frozen=True, slots=True)
class EdgeRoute:
    """An edge: its ends, the cubic Bézier curve (1 + 3k points) between them, its label and the label's box.

    The curve ends `HEAD` before an arrowhead's tip or a circle; `tips` are where it touches the boxes.
    """

    source: str
    target: str
    marks: tuple[Mark, Mark]
    curve: tuple[Point, ...]
    tips: tuple[Point, Point]
    label: str
    label_box: Box | None


@dataclass(frozen=True, slots=True)
class Band:
    """The stripe behind one tier."""

    title: str
    box: Box


@dataclass(frozen=True, slots=True)
class Layout:
    """A drawn graph: its size, node boxes, edge routes and tier bands; `crossings` counts crossing links."""

    width: float
    height: float
    nodes: tuple[NodeBox, ...]
    edges: tuple[EdgeRoute, ...]
    bands: tuple[Band, ...]
    crossings: int


def layout(
    graph: CausalGraph,
    *,
    tiers: Tiers | None = None,
    labels: Sequence[str] | None = None,
    notes: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Layout:
    """Return where to draw a graph: a column per tier, then per longest path inside the tier; the same input, the same bytes.

    `tiers` lists variables, earliest first; a mapping gives each tier a title. Nodes in no tier join their parents'.
    `labels` holds the text beside each edge, in the order of `graph.edges`, `notes` a last line for some nodes. The
    method is layered drawing (Sugiyama, Tagawa & Toda 1981) with sifting and isotonic heights; no arrow meets a node
    that is not its own, no label a label. Raises UnknownNameError for a tier's misspelt variable and KnowledgeError
    for one in two tiers.
    """
    if not graph.nodes:
        return Layout(2 * MARGIN, 2 * MARGIN, (), (), (), 0)
    titles, groups = _tiers(graph, tiers)
    edges = list(graph.edges)
    texts = [shown_name(text) if text else "" for text in labels or [""] * len(edges)]
    ends = [(graph.index(a), graph.index(b)) for a, b, _, _ in edges]
    before = _before(graph, edges, ends)
    layered = _free_layers(before, ends, seed) if tiers is None else layers.with_dummies(layers.column_numbers(before, groups), ends)
    columns, crossings = ordering.ordered(layered, seed=seed)
    told = [(notes or {}).get(name, "") for name in graph.nodes]
    return _drawn(graph, edges, texts, told, layered, columns, crossings, titles, [[layered.column[n] for n in g] for g in groups])


def _free_layers(before: BoolArray, ends: Sequence[tuple[int, int]], seed: int) -> layers.Chains:
    """Return the layered graph, without tiers, that a short search crosses least: the shortest, or one of short ones drawn at random."""
    rng = np.random.default_rng(seed)
    weights = (None, *(1 + rng.random(int(before.sum())) for _ in range(LAYERINGS - 1)))
    tried = [layers.with_dummies(column, ends) for column in dict.fromkeys(tuple(layers.shortest_columns(before, w)) for w in weights)]
    if len(tried) == 1:
        return tried[0]
    return min(tried, key=lambda layered: ordering.ordered(layered, seed=seed, side=16, kicks=3)[1])


def _tiers(graph: CausalGraph, tiers: Tiers | None) -> tuple[list[str], list[list[int]]]:
    """Return titles and node numbers of each tier; every node is in exactly one."""
    if tiers is None:
        return [""], [list(range(len(graph.nodes)))]
    named = list(tiers.items()) if isinstance(tiers, Mapping) else [("", tuple(tier)) for tier in tiers]
    place: dict[str, int] = {}
    for k, (_, tier) in enumerate(named):
        check_names(tier, graph.nodes, where="the tiers of the picture")
        for name in tier:
            if place.setdefault(name, k) != k:
                raise KnowledgeError(f"{name!r} is in tier {place[name] + 1} and in tier {k + 1}; keep one", pair=(name, name))
    for name in graph.topological_order():
        place.setdefault(name, max((place.get(p, 0) for p in graph.parents(name)), default=0))
    groups = [[i for i, n in enumerate(graph.nodes) if place[n] == k] for k in range(max(len(named), 1))]
    kept = [(title or _joined(graph.nodes[i] for i in group), group) for (title, _), group in zip(named or [("", ())], groups, strict=True)]
    return [t for t, g in kept if g], [g for _, g in kept if g]


def _joined(names: Iterable[str]) -> str:
    return " · ".join(map(shown_name, names))


def _is_bidirected(edge: Edge) -> bool:
    return edge[2] == Mark.ARROW and edge[3] == Mark.ARROW


def _before(graph: CausalGraph, edges: Sequence[Edge], ends: Sequence[tuple[int, int]]) -> BoolArray:
    """Return [i, j] True where j is drawn to the right of i: arrows, and undecided edges in causal order."""
    rank = {node: k for k, node in enumerate(causal_order(graph.directed, graph.nodes))}
    before = np.array(graph.directed)
    for edge, (i, j) in zip(edges, ends, strict=True):
        if not before[i, j] and not before[j, i] and not _is_bidirected(edge):
            first, second = (i, j) if rank[i] < rank[j] else (j, i)
            before[first, second] = True
    return before


def _drawn(
    graph: CausalGraph,
    edges: Sequence[Edge],
    texts: Sequence[str],
    notes: Sequence[str],
    layered: layers.Chains,
    columns: layers.Columns,
    crossings: int,
    titles: Sequence[str],
    tier_columns: Sequence[Sequence[int]],
) -> Layout:
    """Return the geometry of ordered columns: sizes, heights, widths, routes, labels, bands."""
    lines = [name_lines(name, NODE_SIZE, WIDEST_NAME) for name in graph.nodes]
    all_lines = [(*shown, note) if note else shown for shown, note in zip(lines, notes, strict=True)]
    half_height = _half_heights(all_lines, layered)
    gap = np.where(np.arange(len(half_height)) < layered.real, NODE_GAP, LINE_GAP)
    y = layers.heights(columns, layered.links(), half_height, gap, layered.real)
    widths = _column_widths(all_lines, layered, columns)
    x = _column_middles(widths, _gutters(columns, layered, y, texts), [min(c) for c in tier_columns])
    top = MARGIN + (TITLE_ROOM if any(titles) else 0.0)
    y = _set_down(y, half_height, top + 2 * BAND_PAD, float(x.max(initial=0.0)))
    bottom = float((y + half_height).max(initial=top)) + 2 * BAND_PAD
    spots = np.column_stack([x[layered.column], y]) if len(y) else np.zeros((0, 2))
    half_width = widths[layered.column] / 2 if len(y) else widths
    ports = port_offsets(layered, y, half_height)
    routes = routed(edges, [graph.index(e[0]) for e in edges], layered, spots, half_width, ports)
    boxes = [
        Box(*_rounded(*(spots[k] - (half_width[k], half_height[k])), 2 * half_width[k], 2 * half_height[k]))
        for k in range(len(graph.nodes))
    ]
    right = float((x + widths / 2).max(initial=MARGIN)) + BAND_PAD + _arc_room(layered, len(columns) - 1)
    space = Box(0, top, right + MARGIN, bottom - top)
    sizes = [(text_width(t, LABEL_SIZE) + 4, LABEL_SIZE + 3) if t else (0.0, 0.0) for t in texts]
    taken = placed_labels(routes, sizes, [(b.x, b.y, b.width, b.height) for b in boxes], (space.x, space.y, space.width, space.height))
    return Layout(
        width=round(space.width, 1),
        height=round(bottom + MARGIN, 1),
        nodes=tuple(NodeBox(*one) for one in zip(graph.nodes, lines, boxes, notes, strict=True)),
        edges=tuple(
            EdgeRoute(e[0], e[1], (e[2], e[3]), r.curve, r.tips, text, Box(*spot) if spot else None)
            for e, r, text, spot in zip(edges, routes, texts, taken, strict=True)
        ),
        bands=_bands(titles, tier_columns, x, widths, space),
        crossings=crossings,
    )


def _set_down(y: FloatArray, half_height: FloatArray, top: float, width: float) -> FloatArray:
    """Return heights that begin at `top`; a flat picture is stretched, which keeps boxes apart and lines uncrossed."""
    if not len(y):
        return y
    tall = float((y + half_height).max() - (y - half_height).min())
    y = y * min(max(SHAPE * width / max(tall, 1.0), 1.0), STRETCH)
    return np.asarray(y - (y - half_height).min() + top)


def _half_heights(lines: Sequence[tuple[str, ...]], layered: layers.Chains) -> FloatArray:
    degree = np.zeros((2, len(layered.column)))
    for chain in layered.chains.values():
        degree[1, chain[0]] += 1
        degree[0, chain[-1]] += 1
    text = [9.0 + 8.0 * len(shown) for shown in lines]
    ports = 5.5 * degree.max(axis=0)[: len(text)] - 1
    return np.concatenate([np.maximum(text, ports), np.zeros(len(layered.column) - len(text))])


def _column_widths(lines: Sequence[tuple[str, ...]], layered: layers.Chains, columns: layers.Columns) -> FloatArray:
    wide = [max(text_width(line, NODE_SIZE) for line in shown) + 18 for shown in lines]
    return np.array([max([58.0, *(wide[v] for v in column if v < layered.real)]) for column in columns])


def _gutters(columns: layers.Columns, layered: layers.Chains, y: FloatArray, texts: Sequence[str]) -> FloatArray:
    """Return the room between columns: more where lines are steep, labels wide, or edges stay inside a column."""
    label = max((text_width(t, LABEL_SIZE) for t in texts), default=0.0)
    room = []
    for c, links in enumerate(layered.links()):
        steep = np.abs(y[links[:, 0]] - y[links[:, 1]]).max(initial=0.0)
        crowd = 1.2 * len(links)
        room.append(max(44.0, label + 22) + min(30.0, 0.08 * steep + crowd) + _arc_room(layered, c))
    return np.array(room)


def _arc_room(layered: layers.Chains, column: int) -> float:
    return 34.0 if any(layered.column[a] == column for a, _ in layered.arcs.values()) else 0.0


def _column_middles(widths: FloatArray, gutters: FloatArray, tier_starts: Sequence[int]) -> FloatArray:
    """Return the x of each column's middle; a new tier leaves room for the edge of its band."""
    if not len(widths):
        return np.zeros(0)
    between = np.array([2 * BAND_GAP if c + 1 in tier_starts else 0.0 for c in range(len(gutters))])
    steps = widths[:-1] / 2 + gutters + between + widths[1:] / 2
    return np.asarray(MARGIN + BAND_PAD + widths[0] / 2 + np.concatenate([[0.0], np.cumsum(steps)]))


def _bands(titles: Sequence[str], tier_columns: Sequence[Sequence[int]], x: FloatArray, widths: FloatArray, space: Box) -> tuple[Band, ...]:
    if not any(titles):
        return ()
    starts = [min(c) for c in tier_columns]
    cuts = [MARGIN, *(float(x[c - 1] + widths[c - 1] / 2 + x[c] - widths[c] / 2) / 2 for c in starts[1:]), space.width - MARGIN]
    bands = []
    for k, title in enumerate(titles):
        left, right = cuts[k] + BAND_GAP / 2 * (k > 0), cuts[k + 1] - BAND_GAP / 2 * (k + 1 < len(titles))
        bands.append(Band(clipped(title, TITLE_SIZE, right - left - 8), Box(*_rounded(left, space.y, right - left, space.height))))
    return tuple(bands)


def _rounded(*numbers: float) -> tuple[float, ...]:
    """Return numbers at a twentieth of a pixel or so, so that the same graph gives the same bytes on every machine."""
    return tuple(round(float(n), 1) for n in numbers)
