"""How an edge looks: its numbers, and from them width, colour, dash, opacity and words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal

from causalsem.graph import CausalGraph, Edge, Mark
from causalsem.report.text import number, p_text, stars

if TYPE_CHECKING:
    from causalsem.discovery import EdgeStability
    from causalsem.sem import SEMFit

LabelChoice = Literal["coefficient", "p", "confidence", "none"]

POSITIVE, NEGATIVE, PLAIN, INK, SOFT, BAND, RULE = "#2166ac", "#b2182b", "#5b6470", "#1f2328", "#59636e", "#f4f6fa", "#d5dae3"
MARKED = "#bc4c00"
UNSURE = 0.7  # an edge found in fewer bootstraps than this is dashed
ENDS = {(Mark.TAIL, Mark.ARROW): "→", (Mark.ARROW, Mark.ARROW): "↔", (Mark.TAIL, Mark.TAIL): "–", (Mark.CIRCLE, Mark.ARROW): "o→"}
ENDS |= {(Mark.CIRCLE, Mark.CIRCLE): "o–o", (Mark.CIRCLE, Mark.TAIL): "o–", (Mark.TAIL, Mark.CIRCLE): "–o", (Mark.ARROW, Mark.CIRCLE): "←o"}
ENDS |= {(Mark.ARROW, Mark.TAIL): "←"}


@dataclass(frozen=True, slots=True)
class EdgeLook:
    """The numbers of an edge, None where unknown, and its looks.

    `coefficient` is standardised (a correlation of residuals for a bidirected edge); `confidence` the share of
    bootstraps with this arrow (0–1; any edge, where the direction is open).
    """

    source: str
    target: str
    marks: tuple[Mark, Mark]
    coefficient: float | None = None
    pvalue: float | None = None
    confidence: float | None = None

    @property
    def sign(self) -> str:
        """The arrow between the two names, in characters."""
        return ENDS.get(self.marks, "–")

    @property
    def is_bidirected(self) -> bool:
        """Tell whether the edge stands for an unobserved common cause."""
        return self.marks == (Mark.ARROW, Mark.ARROW)

    @property
    def is_undecided(self) -> bool:
        """Tell whether the direction is open: a circle, or no arrowhead at all."""
        return Mark.CIRCLE in self.marks or self.marks == (Mark.TAIL, Mark.TAIL)

    @property
    def is_unsure(self) -> bool:
        """Tell whether fewer than 70 % of the bootstraps found the edge."""
        return self.confidence is not None and self.confidence < UNSURE

    @property
    def colour(self) -> str:
        """Blue for a positive effect, red for a negative one, grey where there is no effect to show."""
        if self.coefficient is None or self.is_bidirected:
            return PLAIN
        return POSITIVE if self.coefficient >= 0 else NEGATIVE

    @property
    def width(self) -> float:
        """The width of the line in pixels, growing with |standardised effect|."""
        if self.coefficient is None or self.is_bidirected:
            return 1.8
        return round(1.2 + 6.0 * min(abs(self.coefficient), 0.8), 2)

    @property
    def opacity(self) -> float:
        """Fainter below the confidence where an edge counts as sure."""
        return round(0.4 + 0.5 * (self.confidence or 0.0), 2) if self.is_unsure else 1.0

    @property
    def dash(self) -> tuple[float, float] | None:
        """The dash pattern in pixels: long for unsure edges, short for unobserved common causes."""
        return (3.0, 3.0) if self.is_bidirected else (7.0, 5.0) if self.is_unsure else None

    def text(self, choice: LabelChoice) -> str:
        """Return the label of the edge, empty where the number is unknown."""
        if choice == "coefficient" and self.coefficient is not None:
            return number(self.coefficient) + ("" if self.pvalue is None else stars(self.pvalue))
        if choice == "p" and self.pvalue is not None:
            return p_text(self.pvalue)
        if choice == "confidence" and self.confidence is not None:
            return f"{self.confidence:.0%}".replace("%", " %")
        return ""


@dataclass(frozen=True, slots=True)
class Marked(EdgeLook):
    """An edge that a picture points at: thick and orange, whatever its numbers."""

    @property
    def colour(self) -> str:
        """Orange."""
        return MARKED

    @property
    def width(self) -> float:
        """Thick."""
        return 4.0


LOOK = tuple(field.name for field in fields(EdgeLook))


def edge_looks(graph: CausalGraph, fit: SEMFit | None = None, stability: EdgeStability | None = None) -> tuple[EdgeLook, ...]:
    """Return the look of each of `graph.edges`, from a SEMFit's standardised parameters and an EdgeStability."""
    effects = {} if fit is None else _parameters(fit)
    looks = []
    for edge in graph.edges:
        coefficient, pvalue = _numbers(effects, edge)
        confidence = None if stability is None else _confidence(stability, edge)
        looks.append(EdgeLook(edge[0], edge[1], (edge[2], edge[3]), coefficient, pvalue, confidence))
    return tuple(looks)


def default_labels(looks: tuple[EdgeLook, ...]) -> LabelChoice:
    """Return what to write beside edges: coefficients if there are any, else confidences, else nothing."""
    if any(look.coefficient is not None for look in looks):
        return "coefficient"
    return "confidence" if any(look.confidence is not None for look in looks) else "none"


def _parameters(fit: SEMFit) -> Mapping[tuple[str, str, str], tuple[float, float]]:
    """Return (lhs, op, rhs) → (standardised estimate, p-value) of a fit's regressions, loadings and covariances."""
    table = fit.parameters
    rows = zip(table["lhs"], table["op"], table["rhs"], table["std_all"], table["pvalue"], strict=True)
    return {(str(lhs), str(op), str(rhs)): (float(std), float(p)) for lhs, op, rhs, std, p in rows if op in {"~", "~~", "=~"}}


def _numbers(effects: Mapping[tuple[str, str, str], tuple[float, float]], edge: Edge) -> tuple[float | None, float | None]:
    a, b = edge[0], edge[1]
    both = edge[2:] == (Mark.ARROW, Mark.ARROW)
    keys = [(a, "~~", b), (b, "~~", a)] if both else [(b, "~", a), (a, "~", b), (a, "=~", b)]
    found = next((effects[key] for key in keys if key in effects), None)
    if found is None or found[0] != found[0]:
        return None, None
    return found[0], None if found[1] != found[1] else found[1]


def _confidence(stability: EdgeStability, edge: Edge) -> float | None:
    """Return the share of bootstraps with this arrow or bidirected edge; of an undecided one, with any edge at all."""
    a, b = edge[0], edge[1]
    if a not in stability.nodes or b not in stability.nodes:
        return None
    if edge[2:] == (Mark.TAIL, Mark.ARROW):
        return stability.arrow(a, b)
    return stability.bidirected(a, b) if edge[2:] == (Mark.ARROW, Mark.ARROW) else stability.frequency(a, b)
