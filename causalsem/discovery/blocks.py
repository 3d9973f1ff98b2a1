"""Block moments: a variable as one column or several, such as whether and, if so, how much for a zero-inflated count."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from causalsem._cards import mimebundle
from causalsem._values import FloatArray
from causalsem.behaviour import BehaviourTable, Moments, as_table
from causalsem.behaviour.moments import incomplete_moments
from causalsem.behaviour.origin import Origin
from causalsem.behaviour.table import origin_of
from causalsem.discovery.forms import Form, chosen_forms, column_names, columns_of, different, hurdle_form
from causalsem.discovery.kinds import FEW_VALUES, VariableKind, variable_kinds
from causalsem.discovery.stack import Stack, padded
from causalsem.errors import DataError, MomentsError, check_names


@dataclass(frozen=True, slots=True, eq=False)
class BlockMoments:
    """Moments of p variables of which some are blocks of columns: `columns[k]` names those of variable `names[k]` in `moments`.

    A zero-inflated count is a hurdle block: 1[x > 0], and log x where x > 0 (else 0). Discovery tests and scores blocks
    as a whole (Wilks' Λ from canonical correlations), so that whether and how much may both carry a relation. Shards
    merge by `+`. `origin` is what the table told of its rows and columns.
    """

    names: tuple[str, ...]
    columns: tuple[tuple[str, ...], ...]
    moments: Moments
    origin: Origin = Origin()  # noqa: RUF009  a frozen value

    def __post_init__(self) -> None:
        if len(self.columns) != len(self.names):
            raise MomentsError(f"{len(self.names)} variables, but columns for {len(self.columns)}; hand in one tuple per variable")
        check_names([c for block in self.columns for c in block], self.moments.names, what="column", where="the block moments")
        if not all(self.columns):
            raise MomentsError("a block has no column; hand in one or more per variable")
        object.__setattr__(self, "origin", self.origin.select(self.names))

    @property
    def n(self) -> int:
        """The number of rows."""
        return self.moments.n

    def __add__(self, other: BlockMoments) -> BlockMoments:
        if (self.names, self.columns) != (other.names, other.columns):
            raise MomentsError("shards disagree on variables or their blocks; make both with the same `like`")
        return BlockMoments(self.names, self.columns, self.moments + other.moments, self.origin + other.origin)

    def select(self, names: Iterable[str]) -> BlockMoments:
        """Return the moments of the named variables, in that order."""
        names = tuple(names)
        check_names(names, self.names, where="the block moments")
        columns = tuple(self.columns[self.names.index(name)] for name in names)
        return BlockMoments(names, columns, self.moments.select([c for block in columns for c in block]), self.origin)

    def dependence(self, x: str, y: str, given: Sequence[str] = ()) -> tuple[float, float]:
        """Return how dependent two variables are given others, and the p-value of Wilks' Λ that they are not.

        The first is the absolute partial correlation of two single columns that would be as unlikely.
        """
        check_names((x, y, *given), self.names, where="the block moments")
        chosen = self.select((x, y, *given))
        lost = sum(map(len, chosen.columns[2:]))
        if self.n < lost + sum(map(len, chosen.columns[:2])) + 2:
            raise DataError(f"{self.n} rows cannot test an independence given {lost} columns; hand in more rows")
        stack = block_stack(chosen.moments.correlation[None], chosen)
        z = float(stack.z(np.array([[0, 0, 1]]), np.arange(2, 2 + len(given)).reshape(1, 1, -1))[0, 0])
        # Bartlett's statistic of two single columns, solved for their partial correlation.
        return math.sqrt(-math.expm1(-(z**2) / (self.n - lost - 2.25))), math.erfc(z / math.sqrt(2))

    def require_regular(self, conditioning: int | None = None) -> BlockMoments:
        """Return self, or raise MomentsError naming constant or collinear columns, or too few rows; as `Moments` does."""
        widest = max(len(block) for block in self.columns)
        self.moments.require_regular(None if conditioning is None else conditioning * widest)
        return self

    def __repr__(self) -> str:
        blocks = sum(len(block) == 2 for block in self.columns)
        return f"BlockMoments(n={self.n:,}, p={len(self.names)}, {blocks} as blocks: {', '.join(self.names)})"

    _repr_mimebundle_ = mimebundle


def block_stack(R: FloatArray, like: BlockMoments, n: float | None = None) -> Stack:
    """Return the stack of correlations R (B, q, q) of the columns of hurdle moments."""
    place = {name: k for k, name in enumerate(like.moments.names)}
    columns = [[place[c] for c in block] for block in like.columns]
    return Stack(padded(R, columns), like.n if n is None else n, np.array([len(c) for c in columns]))


def hurdle_moments(
    data: BehaviourTable | pd.DataFrame, names: Iterable[str] | None = None, *, like: BlockMoments | None = None
) -> BlockMoments:
    """Return the moments of a table whose zero-inflated columns are blocks, and skewed positive ones logarithms.

    A column without negative values is zero-inflated when at least 5 % of it is zero and its positive part varies; it
    is skewed when its skewness is above 1. `like` takes these choices from other block moments, so that shards merge.
    Raises DataError for missing values.
    """
    table = _of(data, names, like)
    rows = table.complete()
    return _block_moments(table.names, rows, different([hurdle_form(x) for x in rows.T], rows), like, origin_of(data))


def mixed_moments(
    data: BehaviourTable | pd.DataFrame,
    names: Iterable[str] | None = None,
    *,
    kinds: Mapping[str, VariableKind] | None = None,
    like: BlockMoments | None = None,
) -> BlockMoments:
    """Return the moments of a table in which every column enters as its kind asks (see `variable_kinds`).

    Zero-inflated columns are blocks of whether and how much, nominal ones blocks of indicators (the degenerate Gaussian
    of Andrews et al. 2019), skewed ones logarithms, heavy-tailed ones normal scores of their ranks (the nonparanormal of
    Liu et al. 2009); others enter as they are. A zero-inflated or skewed column whose kind `kinds` does not say takes a
    plainer form where the other columns ask for it (see `chosen_forms`). Missing values are filled by EM, as in
    `incomplete_moments`. `like` takes these choices from other block moments.
    """
    table = _of(data, names, like)
    rows = table.matrix()
    said = {name: kind for name, kind in (kinds or {}).items() if name in table.names}
    forms = [] if like is not None else chosen_forms(table.names, rows, variable_kinds(table, said), said)
    return _block_moments(table.names, rows, forms, like, origin_of(data))


def degenerate_moments(
    data: BehaviourTable | pd.DataFrame, names: Iterable[str] | None = None, *, like: BlockMoments | None = None
) -> BlockMoments:
    """Return the moments of a table whose discrete columns (up to 7 values) are blocks of indicators (Andrews et al. 2019)."""
    table = _of(data, names, like)
    rows = table.complete()
    return _block_moments(
        table.names, rows, ["indicators" if len(np.unique(x)) <= FEW_VALUES else "plain" for x in rows.T], like, origin_of(data)
    )


def rank_moments(data: BehaviourTable | pd.DataFrame, names: Iterable[str] | None = None) -> Moments:
    """Return moments whose correlations are 2 sin(π ρ / 6) of Spearman's ρ: partial Spearman tests and scores.

    They are the Pearson correlations of the Gaussian variables behind a nonparanormal model (Liu et al. 2012; PC with
    them: Harris & Drton 2013), whatever the monotone scale of each variable. Raises DataError for missing values.
    """
    table = _of(data, names, None)
    ranks = np.apply_along_axis(rankdata, 0, table.complete())
    with np.errstate(invalid="ignore", divide="ignore"):
        R = 2 * np.sin(np.pi / 6 * np.atleast_2d(np.corrcoef(ranks, rowvar=False)))
    constant = np.ptp(ranks, axis=0) == 0
    R[constant] = R[:, constant] = 0.0
    np.fill_diagonal(R, np.where(constant, 0.0, 1.0))
    return Moments(table.names, len(table), np.zeros(len(R)), _positive(R), origin_of(data))


def _positive(R: FloatArray) -> FloatArray:
    """Return a correlation matrix near R without negative eigenvalues, which the sine can make."""
    values, vectors = np.linalg.eigh(R)
    if values[0] >= 0:
        return R
    mended = (vectors * np.maximum(values, 1e-6)) @ vectors.T
    scale = np.sqrt(np.where(np.diag(mended) > 0, np.diag(mended), 1.0))
    return np.asarray(mended / np.outer(scale, scale))


def block_rows(table: BehaviourTable, like: BlockMoments) -> FloatArray:
    """Return the columns (n, q) whose moments `like` are."""
    return columns_of(table.matrix(like.names), like.names, like.columns)


def _of(data: BehaviourTable | pd.DataFrame, names: Iterable[str] | None, like: BlockMoments | None) -> BehaviourTable:
    table = as_table(data)
    names = tuple((like.names if like is not None else table.names) if names is None else names)
    if like is not None and like.names != names:
        raise DataError("`like` holds other variables; name the same ones in the same order")
    return table.select(names)


def _block_moments(
    names: tuple[str, ...], rows: FloatArray, forms: Sequence[Form], like: BlockMoments | None, origin: Origin
) -> BlockMoments:
    columns = like.columns if like is not None else tuple(column_names(n, f, x) for n, f, x in zip(names, forms, rows.T, strict=True))
    found = incomplete_moments(columns_of(rows, names, columns), [c for block in columns for c in block])
    return BlockMoments(names, columns, found, origin)
