"""Bounds on parameters that keep estimates inside what data allow (De Jonckere & Rosseel 2022), by lavaan's names."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from causalsem.sem.options import SEMOptions
from causalsem.sem.partable import Names, ParameterTable, Row
from causalsem.sem.sample import Sample


@dataclass(frozen=True, slots=True)
class Rule:
    """Which kinds of parameters get a lower and an upper bound, each with the factor that stretches its range.

    `reliability` is the least share of a marker's variance that its factor explains; `least` the least error variance
    of a dependent latent variable.
    """

    lower: Mapping[str, float]
    upper: Mapping[str, float]
    reliability: float = 0.0
    least: float = 0.0


_FOUR = ("ov.var", "lv.var", "loadings", "covariances")
RULES: Mapping[str, Rule] = {
    "wide": Rule(dict(zip(_FOUR, (1.05, 1.0, 1.1, 1.0), strict=True)), dict(zip(_FOUR, (1.2, 1.3, 1.1, 1.0), strict=True)), 0.1, 0.005),
    "standard": Rule(
        dict(zip(_FOUR, (1.0, 1.0, 1.0, 0.999), strict=True)), dict(zip(_FOUR, (1.0, 1.0, 1.0, 0.999), strict=True)), 0.1, 0.005
    ),
    "pos.var": Rule({"ov.var": 1.0, "lv.var": 1.0}, {}),
    "pos.ov.var": Rule({"ov.var": 1.0}, {}),
    "pos.lv.var": Rule({"lv.var": 1.0}, {}),
}


def with_bounds(table: ParameterTable, samples: Sequence[Sample], options: SEMOptions) -> ParameterTable:
    """Return the table with the bounds of `options.bounds`; the user's own lower() and upper() stay."""
    if options.bounds in (None, "none") or table.two_level:
        return table
    rule = RULES["wide" if options.bounds == "default" else str(options.bounds)]
    rows = list(table.rows)
    for block, (names, sample) in enumerate(zip(table.names, samples, strict=True), start=1):
        ranges = _ranges([r for r in table.rows if r.group == block], names, sample, rule, std_lv=options.std_lv)
        for k, row in enumerate(rows):
            if row.group == block and row.free and (row.lhs, row.op, row.rhs) in ranges:
                rows[k] = _bounded(row, *ranges[row.lhs, row.op, row.rhs], rule)
    return replace(table, rows=tuple(rows))


def _bounded(row: Row, kind: str, low: float, high: float, rule: Rule) -> Row:
    """Return a row with the stretched range of its kind."""
    span = high - (max(low, 0.0) if kind.endswith("var") else low)
    stretched = {}
    for side, factors, end, sign in (("lower", rule.lower, low, -1.0), ("upper", rule.upper, high, 1.0)):
        if kind in factors and getattr(row, side) is None:
            # A factor below 1 draws a range of covariances in, otherwise it widens.
            extra = span * (factors[kind] - 1.0) if math.isfinite(span) else 0.0
            extra = extra if kind == "covariances" else abs(extra)
            value = end + sign * extra if factors[kind] != 1.0 else end
            stretched[side] = value if math.isfinite(value) else None
    return replace(row, **stretched)  # type: ignore[arg-type]  # lower and upper are numbers or None


def _ranges(
    rows: Sequence[Row], names: Names, sample: Sample, rule: Rule, *, std_lv: bool
) -> dict[tuple[str, str, str], tuple[str, float, float]]:
    """Return kind, lower and upper end of the bounded parameters of one block."""
    variance = dict(zip(sample.names, np.diag(sample.covariance).tolist(), strict=True))
    marker: dict[str, str] = {}
    for row in rows:
        if row.op == "=~" and not row.free and row.value == 1.0:
            marker.setdefault(row.lhs, row.rhs)
    latent: dict[str, tuple[float, float]] = {}
    for name in names.lv:
        of_marker = variance.get(marker.get(name, ""))
        if std_lv:
            latent[name] = (1.0, 1.0)
        elif of_marker is not None:
            latent[name] = (rule.reliability * of_marker, of_marker)
        else:
            latent[name] = (0.0, max(variance.values()))
    out: dict[tuple[str, str, str], tuple[str, float, float]] = {}
    for row in rows:
        key = (row.lhs, row.op, row.rhs)
        if row.op == "~~" and row.lhs == row.rhs and row.lhs in variance:
            share = 1.0 - rule.reliability if row.lhs in marker.values() else 1.0
            out[key] = ("ov.var", 0.0, share * variance[row.lhs])
        elif row.op == "~~" and row.lhs == row.rhs:
            low, high = latent[row.lhs]
            out[key] = ("lv.var", low if row.lhs in names.lv_x else rule.least, high)
        elif row.op == "=~" and row.rhs in variance:
            least = latent[row.lhs][0]
            end = math.sqrt(variance[row.rhs] / least) if least > 0 else math.inf
            out[key] = ("loadings", -end, end)
    for row in rows:
        both = [out.get((n, "~~", n)) for n in (row.lhs, row.rhs)]
        if row.op == "~~" and row.lhs != row.rhs and both[0] and both[1]:
            end = math.sqrt(max(both[0][2], 0.0) * max(both[1][2], 0.0))
            out[row.lhs, row.op, row.rhs] = ("covariances", -end, end)
    return out
