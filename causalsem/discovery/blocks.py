"""Block moments: a variable as one column or several, such as whether and, if so, how much for a zero-inflated count."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd
from scipy.special import ndtri
from scipy.stats import rankdata

from causalsem._cards import mimebundle
from causalsem._values import FloatArray
from causalsem.behaviour import BehaviourTable, Moments, as_table
from causalsem.behaviour.moments import incomplete_moments
from causalsem.behaviour.origin import Origin
from causalsem.behaviour.table import origin_of
from causalsem.discovery.kinds import FEW_VALUES, SKEWED, VariableKind, kind_of, variable_kinds
from causalsem.discovery.stack import Stack, padded
from causalsem.errors import DataError, MomentsError, check_names

Form = Literal["plain", "log", "scores", "hurdle", "indicators"]
FORMS: tuple[Form, ...] = get_args(Form)
# Complete rows per column from which two scales of a column can be told apart by what the others explain.
FEWEST_ROWS_TO_COMPARE = 10


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
    return _block_moments(table.names, rows, _different([_hurdle_form(x) for x in rows.T], rows), like, origin_of(data))


def mixed_moments(
    data: BehaviourTable | pd.DataFrame,
    names: Iterable[str] | None = None,
    *,
    kinds: Mapping[str, VariableKind] | None = None,
    like: BlockMoments | None = None,
) -> BlockMoments:
    """Return the moments of a table in which every column enters as its kind asks (see `variable_kinds`).

    Zero-inflated columns are blocks of whether and how much, nominal ones blocks of indicators (the degenerate Gaussian
    of Andrews et al. 2019), heavy-tailed ones normal scores of their ranks (the nonparanormal of Liu et al. 2009); skewed
    ones enter as logarithms, unless the other columns explain more of them as they are; others enter as they are. Missing
    values are filled by EM, as in `incomplete_moments`. `like` takes these choices from other block moments.
    """
    table = _of(data, names, like)
    rows = table.matrix()
    told = variable_kinds(table, {n: k for n, k in (kinds or {}).items() if n in table.names})
    forms = [_form(x, told[n]) for n, x in zip(table.names, rows.T, strict=True)]
    forms = forms if like is not None else _on_better_scale(table.names, _different(forms, rows), rows, [f == "log" for f in forms])
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
    return _columns_of(table.matrix(like.names), like.names, like.columns)


def _columns_of(rows: FloatArray, names: tuple[str, ...], columns: tuple[tuple[str, ...], ...]) -> FloatArray:
    """Return the columns (n, q) that stand for the variables (n, p)."""
    return np.hstack([represented(x, form_of(name, block), block) for x, name, block in zip(rows.T, names, columns, strict=True)])


def _of(data: BehaviourTable | pd.DataFrame, names: Iterable[str] | None, like: BlockMoments | None) -> BehaviourTable:
    table = as_table(data)
    names = tuple((like.names if like is not None else table.names) if names is None else names)
    if like is not None and like.names != names:
        raise DataError("`like` holds other variables; name the same ones in the same order")
    return table.select(names)


def _block_moments(
    names: tuple[str, ...], rows: FloatArray, forms: Sequence[Form], like: BlockMoments | None, origin: Origin
) -> BlockMoments:
    columns = like.columns if like is not None else tuple(_columns(n, f, x) for n, f, x in zip(names, forms, rows.T, strict=True))
    found = incomplete_moments(_columns_of(rows, names, columns), [c for block in columns for c in block])
    return BlockMoments(names, columns, found, origin)


def _different(forms: list[Form], rows: FloatArray) -> list[Form]:
    """Return the forms with logarithms for hurdles that are zero in the same rows as another column.

    Such as the number of purchases and the money spent: their indicators are one and the same.
    """
    zeros = [(x > (0 if form == "hurdle" else np.nanmin(x))).tobytes() for x, form in zip(rows.T, forms, strict=True)]
    return ["log" if form == "hurdle" and zeros.count(own) > 1 else form for form, own in zip(forms, zeros, strict=True)]


def _on_better_scale(names: tuple[str, ...], forms: list[Form], rows: FloatArray, skewed: list[bool]) -> list[Form]:
    """Return the forms with "plain" for skewed columns of which, as they are, the others explain more than of their logarithm.

    The scale of the larger multiple correlation, as in alternating conditional expectations (Breiman & Friedman 1985).
    """
    rows = rows[~np.isnan(rows).any(axis=1)]
    columns = [_columns(n, f, x) for n, f, x in zip(names, forms, rows.T, strict=True)]
    widths, chosen = [len(c) for c in columns], np.flatnonzero(skewed)
    if not len(chosen) or len(rows) < FEWEST_ROWS_TO_COMPARE * sum(widths):
        return forms
    with np.errstate(invalid="ignore", divide="ignore"):
        R = np.nan_to_num(np.corrcoef(np.hstack([_columns_of(rows, names, tuple(columns)), rows[:, chosen]]), rowvar=False))
    start, q = [0, *np.cumsum(widths).tolist()], sum(widths)
    plain = []
    for place, k in enumerate(chosen):
        others = [*range(start[k]), *range(start[k + 1], q)]
        both = R[others][:, [start[k], q + place]]
        explained = (both * np.linalg.lstsq(R[np.ix_(others, others)], both, rcond=1e-10)[0]).sum(axis=0)
        plain += [int(k)] if explained[1] > explained[0] else []
    return ["plain" if k in plain else form for k, form in enumerate(forms)]


def _hurdle_form(x: FloatArray) -> Form:
    """Return how a column enters hurdle moments."""
    kind = kind_of(x)
    if kind == "zero-inflated":
        return "hurdle"
    return "log" if kind in ("ordinal", "count", "skewed") and _is_skewed(x) else "plain"


def _form(x: FloatArray, kind: VariableKind) -> Form:
    """Return how a column of a kind enters mixed moments."""
    if kind == "count":
        return "log" if _is_skewed(x) else "plain"
    forms: dict[VariableKind, Form] = {"zero-inflated": "hurdle", "nominal": "indicators", "skewed": "log", "heavy-tailed": "scores"}
    form = forms.get(kind, "plain")
    return "plain" if form in ("hurdle", "log") and np.nanmin(x) < 0 else form


def _is_skewed(x: FloatArray) -> bool:
    x = x[~np.isnan(x)]
    centred = x - x.mean()
    spread = centred.std()
    return bool(x.min() >= 0 and spread > 0 and (centred**3).mean() / spread**3 > SKEWED)


def represented(x: FloatArray, form: Form, columns: tuple[str, ...]) -> FloatArray:
    """Return the columns (n, number of names) of one variable; a missing value is missing in all of them."""
    gone = np.isnan(x)
    if form == "hurdle":
        values = np.column_stack([x > 0, np.log(np.where(x > 0, x, 1.0))])
    elif form == "indicators":
        values = np.column_stack([x == _level(name) for name in columns]).astype(np.float64)
    elif form == "scores":
        values = np.full((len(x), 1), np.nan)
        values[~gone, 0] = ndtri(rankdata(x[~gone]) / ((~gone).sum() + 1))
    else:
        values = (np.log1p(np.maximum(x, 0)) if form == "log" else x)[:, None]
    return np.where(gone[:, None], np.nan, values)


def _columns(name: str, form: Form, x: FloatArray) -> tuple[str, ...]:
    """Return the names of one variable's columns."""
    if form == "indicators":
        levels = np.unique(x[~np.isnan(x)])
        # One level fewer than there are; a constant column keeps its one, which then is told to be constant.
        return tuple(f"{name} = {level:.17g}" for level in (levels[1:] if len(levels) > 1 else levels))
    told: dict[Form, tuple[str, ...]] = {
        "hurdle": (f"{name} > 0", f"log {name} | {name} > 0"),
        "log": (f"log(1 + {name})",),
        "scores": (f"normal scores of {name}",),
        "plain": (name,),
    }
    return told[form]


def form_of(name: str, block: tuple[str, ...]) -> Form:
    """Return how a variable is represented, told by the names of its columns."""
    if block[0].startswith(f"{name} = "):
        return "indicators"
    return next(form for form in FORMS if form != "indicators" and _columns(name, form, np.zeros(0)) == block)


def _level(column: str) -> float:
    return float(column.rsplit(" = ", 1)[1])
