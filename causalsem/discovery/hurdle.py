"""Hurdle moments: a zero-inflated count as a block of whether and, if so, how much."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from causalsem._values import FloatArray
from causalsem.behaviour import BehaviourTable, Moments, as_table
from causalsem.errors import DataError, MomentsError, check_names

# A non-negative column with at least this share of zeros is zero-inflated.
MANY_ZEROS = 0.05
# A non-negative column without many zeros, but skewed beyond this, enters as log(1 + x).
SKEWED = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class HurdleMoments:
    """Moments of p variables of which some are blocks of two columns: 1[x > 0] and log x where x > 0 (else 0).

    `columns[k]` names the columns of variable `names[k]` in `moments`. Discovery tests and scores blocks as a whole
    (Wilks' Λ from canonical correlations), so how much and whether may both carry a relation. Shards merge by `+`.
    """

    names: tuple[str, ...]
    columns: tuple[tuple[str, ...], ...]
    moments: Moments

    def __post_init__(self) -> None:
        if len(self.columns) != len(self.names):
            raise MomentsError(f"{len(self.names)} variables, but columns for {len(self.columns)}; hand in one tuple per variable")
        check_names([c for block in self.columns for c in block], self.moments.names, what="column", where="the hurdle moments")
        if any(len(block) not in (1, 2) for block in self.columns):
            raise MomentsError("a block has neither one nor two columns; hand in one or two per variable")

    @property
    def n(self) -> int:
        """The number of rows."""
        return self.moments.n

    def __add__(self, other: HurdleMoments) -> HurdleMoments:
        if (self.names, self.columns) != (other.names, other.columns):
            raise MomentsError("shards disagree on variables or their blocks; make both with the same `like`")
        return HurdleMoments(self.names, self.columns, self.moments + other.moments)

    def select(self, names: Iterable[str]) -> HurdleMoments:
        """Return the moments of the named variables, in that order."""
        names = tuple(names)
        check_names(names, self.names, where="the hurdle moments")
        columns = tuple(self.columns[self.names.index(name)] for name in names)
        return HurdleMoments(names, columns, self.moments.select([c for block in columns for c in block]))

    def require_regular(self, conditioning: int | None = None) -> HurdleMoments:
        """Return self, or raise MomentsError naming constant or collinear columns, or too few rows; as `Moments` does."""
        widest = max(len(block) for block in self.columns)
        self.moments.require_regular(None if conditioning is None else conditioning * widest)
        return self

    def __repr__(self) -> str:
        blocks = sum(len(block) == 2 for block in self.columns)
        return f"HurdleMoments(n={self.n:,}, p={len(self.names)}, {blocks} as blocks: {', '.join(self.names)})"


def hurdle_moments(
    data: BehaviourTable | pd.DataFrame, names: Iterable[str] | None = None, *, like: HurdleMoments | None = None
) -> HurdleMoments:
    """Return hurdle moments of a table: zero-inflated columns become blocks, skewed positive ones logarithms.

    A column without negative values is zero-inflated when at least 5 % of it is zero and its positive part varies; it
    is skewed when its skewness is above 1. `like` takes these choices from other hurdle moments, so that shards merge.
    Raises DataError for missing values.
    """
    table = as_table(data)
    names = tuple((like.names if like is not None else table.names) if names is None else names)
    values = table.complete(names)
    if like is not None and like.names != names:
        raise DataError("`like` holds other variables; name the same ones in the same order")
    kinds = [kind_of(values[:, k]) for k in range(len(names))] if like is None else [_kind_told(block) for block in like.columns]
    columns, parts = [], []
    for k, (name, kind) in enumerate(zip(names, kinds, strict=True)):
        columns.append(column_names(name, kind))
        parts.append(represented(values[:, k], kind))
    moments = Moments.from_rows(np.hstack(parts), [c for block in columns for c in block])
    return HurdleMoments(names, tuple(columns), moments)


def hurdle_rows(table: BehaviourTable, like: HurdleMoments) -> FloatArray:
    """Return the columns (n, q) whose moments `like` are."""
    parts = [represented(table.column(name), _kind_told(block)) for name, block in zip(like.names, like.columns, strict=True)]
    return np.hstack(parts)


def kind_of(x: FloatArray) -> str:
    """Return how a column is represented: "hurdle", "log" or "plain"."""
    if x.min() < 0:
        return "plain"
    positive = x[x > 0]
    if len(positive) < 2:
        return "plain"
    if 1 - len(positive) / len(x) >= MANY_ZEROS:
        return "hurdle" if len(np.unique(positive)) >= 3 else "plain"
    centred = x - x.mean()
    spread = centred.std()
    return "log" if spread > 0 and (centred**3).mean() / spread**3 > SKEWED else "plain"


def represented(x: FloatArray, kind: str) -> FloatArray:
    """Return the columns (n, 1 or 2) of one variable."""
    if kind == "hurdle":
        positive = x > 0
        return np.column_stack([positive, np.log(np.where(positive, x, 1.0))])
    return np.log1p(x)[:, None] if kind == "log" else x[:, None]


def column_names(name: str, kind: str) -> tuple[str, ...]:
    """Return the names of one variable's columns."""
    return {"hurdle": (f"{name} > 0", f"log {name} | {name} > 0"), "log": (f"log(1 + {name})",), "plain": (name,)}[kind]


def _kind_told(block: tuple[str, ...]) -> str:
    if len(block) == 2:
        return "hurdle"
    return "log" if block[0].startswith("log(1 + ") else "plain"
