"""Estimate: a number with its influence function, so that intervals and differences get the right error."""

from __future__ import annotations

import html
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from scipy.stats import norm

from causalsem._cards import mimebundle
from causalsem._clusters import Clusters
from causalsem._values import FloatArray, IntArray, frozen, json_text, read_json, whole_file, write_text
from causalsem.errors import DataError, FileError, SettingError
from causalsem.identify import Query

FORMAT = "causalsem-estimate"
ARRAYS = ("psi", "folds", "clusters", "propensity", "unit_effects")
ENDS = ("psi_low", "psi_high")


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """An estimated number, its influence function and what it rests on.

    `psi` is the estimated influence function, one mean-zero number per row: value − truth ≈ mean(psi), so
    se = √(Σ psi²)/n. With `clusters`, one code per row (n,) or several (ways, n), rows that share a code may depend on
    each other: se = √(G/(G−1) Σ_g (Σ_{i∈g} psi_i)²)/n over G clusters; of users and items, that of the first squared plus
    that of the second less that of their pairs (Cameron, Gelbach & Miller 2011). Users are a sample, items the catalogue
    itself: where `unit_effects` are known, how they differ between items is no error. See `standard_error`.
    `folds` holds the cross-fitting fold of each row (−1: none), `propensity` P(treated | adjustment) of each row and
    `unit_effects` (n,) the effect within each row's stratum, where the method has them. `rows` is a fingerprint of
    the rows, by which `a - b` knows that both saw the same ones. An `exact` estimate is zero by the graph, not by data.
    Where data leave open between which two numbers the truth lies, these are the `ends`, estimates themselves, and intervals
    go from below the one to above the other.
    """

    value: float
    psi: FloatArray | None = None
    se: float = math.nan
    n: int = 0
    method: str = ""
    treatments: tuple[str, ...] = ()
    outcome: str = ""
    adjustment: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    what: str = ""
    rows: str = ""
    exact: bool = False
    folds: IntArray | None = None
    clusters: IntArray | None = None
    propensity: FloatArray | None = None
    unit_effects: FloatArray | None = None
    ends: tuple[Estimate, Estimate] | None = None
    diagnostics: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ARRAYS:
            array = getattr(self, name)
            if array is not None:
                kind = np.int64 if name in {"folds", "clusters"} else np.float64
                object.__setattr__(self, name, frozen(array, kind))
        if self.psi is not None:
            object.__setattr__(self, "n", len(self.psi))
            if math.isnan(self.se):
                object.__setattr__(self, "se", standard_error(self.psi, self.clusters, self.unit_effects))
        for name in ARRAYS:
            array = getattr(self, name)
            if array is not None and array.shape[-1:] != (self.n,):
                raise DataError(f"{name} has shape {array.shape} for {self.n:,} rows; hand in one number per row")
        if not math.isfinite(self.value):
            raise DataError(f"the estimate is {self.value}; look for a column of one value or without overlap", value=self.value)
        object.__setattr__(self, "value", float(self.value))
        object.__setattr__(self, "se", float(self.se))
        object.__setattr__(self, "diagnostics", MappingProxyType(dict(self.diagnostics)))

    @property
    def query(self) -> Query:
        """The question this answers; raises DataError for an estimate that is no effect, such as a policy's value."""
        if not self.treatments:
            raise DataError(f"{self.label} is not the effect of a treatment; it has no query")
        return Query(self.treatments[0] if len(self.treatments) == 1 else list(self.treatments), self.outcome)

    @property
    def label(self) -> str:
        """What was estimated, for a line of text: "browse ⇒ buy"."""
        return self.what or f"{', '.join(self.treatments)} ⇒ {self.outcome}"

    @property
    def cluster_sizes(self) -> dict[str, int]:
        """How many users, and of pairs how many items, the error takes as independent of each other; empty where rows are."""
        if self.clusters is None:
            return {}
        codes = np.atleast_2d(self.clusters)
        return {way: len(np.unique(own)) for way, own in zip(("user", "item"), codes, strict=False)}

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % confidence interval (low, high)."""
        return self.confidence_interval(0.95)

    def confidence_interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the normal confidence interval (low, high) of the given level in (0, 1)."""
        if not 0 < level < 1:
            raise SettingError(f"level is {level}; use a number between 0 and 1, such as 0.95")
        z = float(norm.ppf((1 + level) / 2))
        low, high = self.ends or (self, self)
        return low.value - z * low.se, high.value + z * high.se

    @property
    def z(self) -> float:
        """The value in standard errors; 0 for an exact zero. With ends, the one nearer to zero counts, if zero is not between."""
        if self.ends is not None:
            low, high = self.ends
            return low.z if low.value > 0 else high.z if high.value < 0 else 0.0
        return self.value / self.se if self.se > 0 else math.copysign(math.inf, self.value) if self.value else 0.0

    @property
    def pvalue(self) -> float:
        """The two-sided p-value of "the value is zero"."""
        return float(2 * norm.sf(abs(self.z)))

    def __sub__(self, other: Estimate) -> Estimate:
        return _combine(self, other, -1.0)

    def __add__(self, other: Estimate) -> Estimate:
        return _combine(self, other, 1.0)

    def __mul__(self, factor: float) -> Estimate:
        psi = None if self.psi is None else factor * self.psi
        effects = None if self.unit_effects is None else factor * self.unit_effects
        what = f"{factor:g} × ({self.label})"
        low, high = (None, None) if self.ends is None else (end * factor for end in self.ends[:: -1 if factor < 0 else 1])
        return replace(
            self, value=factor * self.value, psi=psi, se=abs(factor) * self.se, unit_effects=effects, what=what, diagnostics={},
            ends=None if low is None or high is None else (low, high),
        )  # fmt: skip

    __rmul__ = __mul__

    def __neg__(self) -> Estimate:
        return self * -1.0

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the arrays as plain values, the interval and p-value included."""
        low, high = self.interval
        about = {"value": self.value, "se": self.se, "low": low, "high": high, "pvalue": self.pvalue, "n": self.n}
        names = ("method", "treatments", "outcome", "adjustment", "assumptions", "notes", "what", "rows", "exact")
        plain = {name: getattr(self, name) for name in names}
        ends = None if self.ends is None else [{"value": end.value, "se": end.se} for end in self.ends]
        return {"format": FORMAT, **about, **plain, "ends": ends, "diagnostics": dict(self.diagnostics)}

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the summary as JSON, and the arrays (psi, folds, …) as npz beside it; return the JSON's path."""
        arrays = {name: getattr(self, name) for name in ARRAYS if getattr(self, name) is not None}
        arrays |= {name: end.psi for name, end in zip(ENDS, self.ends or (), strict=False) if end.psi is not None}
        if arrays:
            with whole_file(Path(path).with_suffix(".npz")) as temporary:
                np.savez_compressed(temporary, **arrays)
        else:
            Path(path).with_suffix(".npz").unlink(missing_ok=True)
        return write_text(path, json_text(self.to_dict()))

    to_json = save

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Estimate:
        """Return the estimate that `save` wrote; without the npz beside it, psi is None and `a - b` is not possible."""
        about = read_json(path, FORMAT)
        arrays = _load_arrays(Path(path).with_suffix(".npz"), int(about["n"]))
        texts = ("treatments", "adjustment", "assumptions", "notes")
        names = ("value", "n", "method", "outcome", "what", "rows", "exact", "diagnostics")
        stored: dict[str, Any] = {name: about[name] for name in names} | {name: tuple(about[name]) for name in texts}
        psi = [arrays.pop(name, None) for name in ENDS]
        told = cls(se=math.nan if about["se"] is None else about["se"], **stored, **arrays)
        if not about.get("ends"):
            return told
        low, high = (replace(told, value=end["value"], se=end["se"], psi=p) for end, p in zip(about["ends"], psi, strict=True))
        return replace(told, ends=(low, high))

    from_json = load

    def __repr__(self) -> str:
        if self.exact:
            return f"Estimate: {self.label} = {self.value:g} exactly ({'; '.join(self.notes)})"
        low, high = self.interval
        given = f" given {{{', '.join(self.adjustment)}}}" if self.treatments else ""
        return f"Estimate: {self.label} = {self.value:.4g} (95 % {low:.4g} … {high:.4g}), {self.method}{given}, n = {self.n:,}"

    def _repr_html_(self) -> str:
        low, high = self.interval
        given = ", ".join(self.adjustment) or "nothing"
        rows = [("value", f"{self.value:.4g}"), ("95 % interval", f"{low:.4g} … {high:.4g}"), ("standard error", f"{self.se:.3g}")]
        rows += [("method", self.method), ("rows", f"{self.n:,}")]
        rows += [("adjusted for", given)] if self.treatments else []
        rows += [("assumes", "; ".join(self.assumptions))] if self.assumptions else []
        rows += [("note", note) for note in self.notes]
        cells = "".join(f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>" for name, text in rows)
        return f"<table><caption>{html.escape(self.label)}</caption>{cells}</table>"

    _repr_mimebundle_ = mimebundle


def standard_error(psi: FloatArray, clusters: IntArray | None = None, unit_effects: FloatArray | None = None) -> float:
    """Return the standard error of the mean of an influence function (n,), with rows of one cluster (of any way) dependent.

    The first way is a sample, the second (items) all there are: how `unit_effects` (n,) differ between items is no error.
    The error is never less than that of one way alone (MacKinnon, Nielsen & Webb 2024).
    """
    n = len(psi)
    if clusters is None:
        return float(np.sqrt(psi @ psi) / n)
    ways = Clusters.of({str(way): codes for way, codes in enumerate(np.atleast_2d(clusters))})
    if min(ways.sizes.values()) < 2:
        raise DataError("all rows belong to one cluster, so there is no standard error; use another cluster or none")
    rest = psi if unit_effects is None else psi - (unit_effects - unit_effects.mean())
    alone = ways.apart()
    # V_user of psi, and of what is left of it V_item − V_pair.
    whole = _spread(alone[0], psi) + _spread(ways, rest) - _spread(alone[0], rest)
    # What a model explains of the items makes that difference too small, below nought too: each way alone is the least.
    return math.sqrt(max(whole, _spread(alone[0], psi), *(_spread(way, rest) for way in alone[1:]))) / n


def _spread(clusters: Clusters, psi: FloatArray) -> float:
    return float(clusters.spread(psi[:, None])[0, 0])


def _combine(a: Estimate, b: Estimate, sign: float) -> Estimate:
    """Return a + sign · b with the error of psi_a + sign · psi_b."""
    psi = _same_rows(a, b)
    word = "−" if sign < 0 else "+"
    adjustment = a.adjustment if a.adjustment == b.adjustment else ()
    method = a.method if a.method == b.method else f"{a.method} {word} {b.method}"
    same = (a.treatments, a.outcome) == (b.treatments, b.outcome)
    labels = [f"{e.label} [{e.method}]" if a.label == b.label else e.label for e in (a, b)]
    return Estimate(
        value=a.value + sign * b.value,
        psi=psi[0] + sign * psi[1],
        method=method,
        treatments=a.treatments if same else (),
        outcome=a.outcome if same else "",
        adjustment=adjustment,
        assumptions=tuple(dict.fromkeys((*a.assumptions, *b.assumptions))),
        what=f"{labels[0]} {word} {labels[1]}",
        unit_effects=_combined_effects(a, b, sign),
        rows=a.rows or b.rows,
        exact=a.exact and b.exact,
        clusters=a.clusters if a.clusters is not None else b.clusters,
        ends=_combined_ends(a, b, sign),
    )


def _combined_effects(a: Estimate, b: Estimate, sign: float) -> FloatArray | None:
    """Return the unit effects (n,) of a + sign · b; one without them has the same effect everywhere."""
    if a.unit_effects is None and b.unit_effects is None:
        return None
    of_a, of_b = (np.full(e.n, e.value) if e.unit_effects is None else e.unit_effects for e in (a, b))
    return np.asarray(of_a + sign * of_b)


def _combined_ends(a: Estimate, b: Estimate, sign: float) -> tuple[Estimate, Estimate] | None:
    """Return the least and the most that a + sign · b can be, where either has ends."""
    if a.ends is None and b.ends is None:
        return None
    of_a, of_b = a.ends or (a, a), (b.ends or (b, b))[:: -1 if sign < 0 else 1]
    return _combine(of_a[0], of_b[0], sign), _combine(of_a[1], of_b[1], sign)


def _same_rows(a: Estimate, b: Estimate) -> tuple[FloatArray, FloatArray]:
    """Return both influence functions, or say why they cannot be set against each other."""
    if a.psi is None or b.psi is None:
        raise DataError("an estimate without its influence function has no differences; load it together with the .npz beside it")
    if a.n != b.n or (a.rows and b.rows and a.rows != b.rows):
        raise DataError(f"the estimates rest on different rows ({a.n:,} and {b.n:,}); estimate both on the same table")
    return a.psi, b.psi


def _load_arrays(path: Path, n: int) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in (*ARRAYS, *ENDS) if name in stored}
    except (OSError, ValueError, KeyError) as why:
        raise FileError(f"cannot read {path}: {why}; delete it to load the summary alone", path=path) from why
    if any(array.shape[-1:] != (n,) for array in arrays.values()):
        raise FileError(f"{path} belongs to another estimate (not {n:,} rows); restore or delete it", path=path)
    return arrays
