"""Small inline SVG marks for the report's tables: bars, dots, slopes and histograms."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from causalsem.report.looks import INK, NEGATIVE, PLAIN, POSITIVE, RULE, SOFT
from causalsem.report.svg import FONTS, tag, text_of
from causalsem.report.text import clipped

WIDTH, HEIGHT = 340.0, 26.0
PAD = 8.0
TRUE = "#1a7f37"


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear axis from data to pixels."""

    low: float
    high: float
    width: float = WIDTH

    @classmethod
    def over(cls, values: Iterable[float], width: float = WIDTH) -> Scale:
        """Return the scale that shows all finite values and zero."""
        finite = [0.0, *(v for v in values if v is not None and math.isfinite(v))]
        low, high = min(finite), max(finite)
        return cls(low, high if high > low else low + 1.0, width)

    def __call__(self, value: float) -> float:
        """Return the place of a value."""
        share = (value - self.low) / (self.high - self.low)
        return round(PAD + min(max(share, 0.0), 1.0) * (self.width - 2 * PAD), 1)


def _picture(width: float, height: float, *inside: str, words: str | None = None) -> Markup:
    # Built by `tag`, which escapes every attribute and text.
    label = {"role": "img", "aria_label": words} if words else {"aria_hidden": "true"}
    return Markup(tag("svg", *inside, width=width, height=height, viewBox=f"0 0 {width:g} {height:g}", font_family=FONTS, **label))


def bar(scale: Scale, value: float, low: float, high: float, colour: str, truth: float | None = None) -> Markup:
    """Return one row of a bar chart: a bar from zero, its interval, a green line at the truth."""
    zero, end = scale(0.0), scale(value)
    middle = HEIGHT / 2
    inside = [
        tag("rect", x=min(zero, end), y=6, width=max(abs(end - zero), 1.0), height=HEIGHT - 12, rx=2.5, fill=colour, fill_opacity=0.8)
    ]
    if math.isfinite(low) and math.isfinite(high):
        ends = (scale(low), scale(high))
        inside.append(tag("path", d=f"M{ends[0]:g} {middle:g}H{ends[1]:g}", stroke=INK, stroke_width=1.4))
        inside += [tag("path", d=f"M{x:g} {middle - 4:g}V{middle + 4:g}", stroke=INK, stroke_width=1.4) for x in ends]
    inside.append(tag("path", d=f"M{zero:g} 0V{HEIGHT:g}", stroke=SOFT))
    if truth is not None and math.isfinite(truth):
        inside.append(tag("path", d=f"M{scale(truth):g} 0V{HEIGHT:g}", stroke=TRUE, stroke_width=2, stroke_dasharray="4 3"))
    return _picture(WIDTH, HEIGHT, *inside)


def love_row(scale: Scale, before: float, after: float) -> Markup:
    """Return one row of a love plot: an open dot before weighting, a full one after, dashes at 0.1."""
    middle = HEIGHT / 2
    inside = [tag("path", d=f"M{PAD:g} {middle:g}H{WIDTH - PAD:g}", stroke=RULE)]
    inside.append(tag("path", d=f"M{scale(0.1):g} 0V{HEIGHT:g}", stroke=NEGATIVE, stroke_dasharray="4 3"))
    inside.append(tag("circle", cx=scale(abs(before)), cy=middle, r=5, fill="#fff", stroke=NEGATIVE, stroke_width=1.8))
    inside.append(tag("circle", cx=scale(abs(after)), cy=middle, r=5, fill=POSITIVE))
    return _picture(WIDTH, HEIGHT, *inside)


def mirrored(up: Sequence[float], down: Sequence[float], words: str) -> Markup:
    """Return two histograms over 0–1, one upwards and one downwards, each scaled to its own tallest bar."""
    width, half = 2 * WIDTH, 62.0
    step = (width - 2 * PAD) / max(len(up), 1)
    inside = []
    for counts, colour, sign in ((up, POSITIVE, -1), (down, PLAIN, 1)):
        tallest = max([*counts, 1])
        for k, count in enumerate(counts):
            tall = round(half * count / tallest, 1)
            top = half - tall if sign < 0 else half
            inside.append(tag("rect", x=round(PAD + k * step + 1, 1), y=round(top, 1), width=round(step - 2, 1), height=tall, fill=colour))
    inside.append(tag("path", d=f"M{PAD:g} {half:g}H{width - PAD:g}", stroke=SOFT))
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = PAD + share * (width - 2 * PAD)
        anchor = "start" if share == 0 else "end" if share == 1 else "middle"
        inside.append(tag("text", f"{share:g}", x=x, y=2 * half + 15, font_size=11, fill=SOFT, text_anchor=anchor))
    return _picture(width, 2 * half + 20, *inside, words=words)


def slopes(rows: Sequence[tuple[str, int, int]], words: str) -> Markup:
    """Return a slope chart: item, rank on the left, rank on the right; equal gaps, whatever the ranks."""
    width, step, left, right = 540.0, 22.0, 250.0, 500.0
    before = {item: k for k, (item, _, _) in enumerate(sorted(rows, key=lambda row: row[1]))}
    after = {item: k for k, (item, _, _) in enumerate(sorted(rows, key=lambda row: row[2]))}
    inside = []
    for item, naive, debiased in rows:
        y0, y1 = 14 + step * before[item], 14 + step * after[item]
        colour = POSITIVE if debiased < naive else NEGATIVE if debiased > naive else PLAIN
        inside.append(tag("path", d=f"M{left + 8:g} {y0:g}L{right - 8:g} {y1:g}", stroke=colour, stroke_width=2))
        name = clipped(item, 12.5, left - 60)
        inside.append(tag("text", text_of(name), x=left - 42, y=y0 + 4, font_size=12.5, fill=INK, text_anchor="end"))
        inside.append(tag("text", text_of(naive), x=left, y=y0 + 4, font_size=12.5, fill=SOFT, text_anchor="end"))
        inside.append(tag("text", text_of(debiased), x=right, y=y1 + 4, font_size=12.5, fill=SOFT))
    return _picture(width, 28 + step * max(len(rows) - 1, 0), *inside, words=words)
