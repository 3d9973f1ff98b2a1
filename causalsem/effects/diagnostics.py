"""Overlap and balance: could every row have been treated and untreated, and are the weighted arms alike?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pandas as pd

from causalsem._cards import mimebundle
from causalsem._values import BoolArray, FloatArray, IntArray, frozen
from causalsem.errors import DataError

# A stratum is called empty when its rows would all miss a treatment of everyone's rate with a chance of e^-15 / n, and
# put its own rate, with 95 % confidence (3 / rows), below the bound at which propensities are clipped.
LOG_CHANCE = 15
RULE_OF_THREE = 3
MOST_VALUES_AS_THEY_ARE = 6
MOST_COLUMNS_FOR_PAIRS = 12


@dataclass(frozen=True, slots=True, eq=False)
class Overlap:
    """The propensities (n,) of all rows and which of them (n,) are treated."""

    propensity: FloatArray
    treated: BoolArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "propensity", frozen(self.propensity))
        object.__setattr__(self, "treated", frozen(self.treated, np.bool_))
        if self.propensity.shape != self.treated.shape or not ((self.propensity >= 0) & (self.propensity <= 1)).all():
            raise DataError("propensities must be one probability per row; hand in numbers from 0 to 1")

    @property
    def lowest(self) -> float:
        """The smallest propensity."""
        return float(self.propensity.min())

    @property
    def highest(self) -> float:
        """The largest propensity."""
        return float(self.propensity.max())

    @property
    def share_outside(self) -> float:
        """The share of rows with a propensity outside [0.01, 0.99]."""
        return float(((self.propensity < 0.01) | (self.propensity > 0.99)).mean())

    @property
    def effective_treated(self) -> float:
        """The effective number of treated rows once weighted by 1/e (Kish 1965): (Σw)²/Σw²."""
        return effective_size(1 / np.maximum(self.propensity[self.treated], 1e-12))

    @property
    def effective_untreated(self) -> float:
        """The effective number of untreated rows once weighted by 1/(1 − e)."""
        return effective_size(1 / np.maximum(1 - self.propensity[~self.treated], 1e-12))

    def histogram(self, bins: int = 20) -> pd.DataFrame:
        """Return counts of treated and untreated rows by propensity, with the bins' edges `low` and `high`."""
        edges = np.linspace(0, 1, bins + 1)
        counts = {
            word: np.histogram(self.propensity[arm], edges)[0] for word, arm in (("treated", self.treated), ("untreated", ~self.treated))
        }
        return pd.DataFrame({"low": edges[:-1], "high": edges[1:], **counts})

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as plain numbers."""
        return {
            "lowest": self.lowest,
            "highest": self.highest,
            "share_outside": self.share_outside,
            "treated": int(self.treated.sum()),
            "untreated": int((~self.treated).sum()),
            "effective_treated": self.effective_treated,
            "effective_untreated": self.effective_untreated,
        }

    def __repr__(self) -> str:
        treated, untreated = int(self.treated.sum()), int((~self.treated).sum())
        sizes = f"{self.effective_treated:,.0f} of {treated:,} treated, {self.effective_untreated:,.0f} of {untreated:,} untreated"
        outside = f"{100 * self.share_outside:.1f} % outside [0.01, 0.99]"
        return f"Overlap: propensities {self.lowest:.3g} … {self.highest:.3g}, {outside}; effective rows {sizes}"

    _repr_mimebundle_ = mimebundle


@dataclass(frozen=True, slots=True, eq=False)
class Balance:
    """Standardised mean differences per adjustment variable: columns variable, before, after (weighting)."""

    frame: pd.DataFrame

    @property
    def worst(self) -> float:
        """The largest absolute difference after weighting; below 0.1 is usually called balanced (Austin 2009)."""
        return float(self.frame["after"].abs().max()) if len(self.frame) else 0.0

    def to_dict(self) -> list[dict[str, Any]]:
        """Return one plain record per variable."""
        return self.frame.to_dict("records")

    def __repr__(self) -> str:
        before = float(self.frame["before"].abs().max()) if len(self.frame) else 0.0
        head = f"Balance: largest standardised mean difference {before:.3g} before and {self.worst:.3g} after weighting"
        return f"{head}\n{self.frame.to_string()}"

    def _repr_html_(self) -> str:
        return self.frame.to_html()

    _repr_mimebundle_ = mimebundle


@dataclass(frozen=True, slots=True)
class EmptyStratum:
    """A kind of row, in words, of whose `rows` none is of the arm `missing`; `share` of all rows are of some such kind."""

    words: str
    rows: int
    missing: str
    share: float


def default_clip(n: int) -> float:
    """Return the propensity bound 5/(√n ln n) of Gruber et al. (2022), never above 0.1."""
    return float(min(0.1, 5 / (np.sqrt(n) * np.log(n))))


def effective_size(weights: FloatArray) -> float:
    """Return Kish's effective sample size (Σw)²/Σw²; 0 without rows."""
    total = float((weights**2).sum())
    return float(weights.sum()) ** 2 / total if total > 0 else 0.0


def balance_of(Z: FloatArray, names: tuple[str, ...], treated: BoolArray, weights: FloatArray) -> Balance:
    """Return mean differences in units of the unweighted arms' pooled standard deviation (Austin 2011)."""
    pooled = np.sqrt((Z[treated].var(axis=0) + Z[~treated].var(axis=0)) / 2)
    pooled = np.where(pooled > 0, pooled, 1.0)

    def difference(w: FloatArray) -> FloatArray:
        one = (w[treated] @ Z[treated]) / w[treated].sum()
        zero = (w[~treated] @ Z[~treated]) / w[~treated].sum()
        return np.asarray((one - zero) / pooled)

    return Balance(pd.DataFrame({"variable": list(names), "before": difference(np.ones(len(Z))), "after": difference(weights)}))


def empty_stratum(Z: FloatArray, names: tuple[str, ...], arms: Mapping[str, BoolArray]) -> EmptyStratum | None:
    """Return the largest stratum without a row of some arm (in words → its rows) although chance alone would not do that.

    Strata are all ranges of each adjustment variable and, for up to a dozen variables, crossings of the values (or
    quintiles) of each pair.
    """
    best: EmptyStratum | None = None
    struck = np.zeros(len(Z), dtype=bool)
    for word, arm in arms.items():
        fewest = max(RULE_OF_THREE / default_clip(len(Z)), (LOG_CHANCE + np.log(len(Z))) / max(float(arm.mean()), 1e-12))
        for words, rows in _empty(Z, names, arm, fewest):
            struck |= rows
            if best is None or rows.sum() > best.rows:
                best = EmptyStratum(words, int(rows.sum()), word, 0.0)
    return None if best is None else replace(best, share=float(struck.mean()))


def _empty(Z: FloatArray, names: tuple[str, ...], arm: BoolArray, fewest: float) -> Iterator[tuple[str, BoolArray]]:
    """Yield strata of at least `fewest` rows that have none of the arm, in words and as a mask of rows."""
    for column, name in zip(Z.T, names, strict=True):
        for low, high in _bare_ranges(column, arm, fewest):
            rows = (column >= low) & (column <= high)
            yield (f"{name!r} = {low:g}" if low == high else f"{name!r} from {low:.4g} to {high:.4g}"), rows
    if len(names) > MOST_COLUMNS_FOR_PAIRS:
        return
    cut = [_strata(column) for column in Z.T]
    for j, k in combinations(range(len(names)), 2):
        (a, left), (b, right) = cut[j], cut[k]
        codes = left * len(b) + right
        total = np.bincount(codes, minlength=len(a) * len(b))
        found = np.bincount(codes, weights=arm, minlength=len(a) * len(b))
        for code in np.flatnonzero((found == 0) & (total >= fewest)):
            yield f"{names[j]!r} {a[code // len(b)]} and {names[k]!r} {b[code % len(b)]}", codes == code


def _bare_ranges(column: FloatArray, arm: BoolArray, fewest: float) -> list[tuple[float, float]]:
    """Return the ranges [low, high] of a variable, between values the arm has, that hold `fewest` rows or more."""
    values = np.sort(column)
    had = np.unique(column[arm])
    starts = np.concatenate([[0], np.searchsorted(values, had, side="right")])
    ends = np.concatenate([np.searchsorted(values, had, side="left"), [len(values)]])
    return [(float(values[s]), float(values[e - 1])) for s, e in zip(starts, ends, strict=True) if e - s >= fewest]


def _strata(column: FloatArray) -> tuple[list[str], IntArray]:
    """Return the strata of one variable in words and the stratum of each row."""
    values = np.unique(column)
    if len(values) <= MOST_VALUES_AS_THEY_ARE:
        return [f"= {value:g}" for value in values], np.searchsorted(values, column).astype(np.int64)
    edges = np.unique(np.quantile(column, [0.2, 0.4, 0.6, 0.8]))
    codes = np.searchsorted(edges, column, side="right").astype(np.int64)
    bounds = [values[0], *edges, values[-1]]
    return [f"from {low:.4g} to {high:.4g}" for low, high in pairwise(bounds)], codes
