"""How a column enters moments: as it is, as a logarithm, as both, as normal scores, as a block; by its kind, and as the others ask."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal, get_args

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

from causalsem._values import FloatArray
from causalsem.discovery.kinds import SKEWED, VariableKind, kind_of

Form = Literal["plain", "log", "both", "scores", "hurdle", "indicators"]
FORMS: tuple[Form, ...] = get_args(Form)
# What may stand for a column of a form; the first stays where there are too few rows to tell.
RIVALS: Mapping[Form, tuple[Form, ...]] = {"hurdle": ("hurdle", "log", "plain"), "log": ("log", "plain", "both")}
# Complete rows per column from which two forms of a column can be told apart by what the others explain.
FEWEST_ROWS_TO_COMPARE = 10


def chosen_forms(names: tuple[str, ...], rows: FloatArray, kinds: Mapping[str, VariableKind], told: Collection[str] = ()) -> list[Form]:
    """Return how each column of rows (n, p) enters: as its kind asks; zero-inflated and skewed ones as the others ask.

    Whether and how much, a logarithm, the column as it is and both compete, but for the columns whose kind was `told`: the form
    is taken of which the other columns explain most, −n log Λ (Wilks), each regression coefficient priced by BIC. So a
    number of rare events, whose zeros say no more than a low count, is no block (in the spirit of alternating conditional
    expectations, Breiman & Friedman 1985).
    """
    forms = different([form_by_kind(x, kinds[n]) for n, x in zip(names, rows.T, strict=True)], rows)
    rivals = {k: RIVALS[form] for k, form in enumerate(forms) if form in RIVALS and names[k] not in told}
    rows = rows[~np.isnan(rows).any(axis=1)]
    if not rivals or len(rows) < FEWEST_ROWS_TO_COMPARE * sum(2 if form == "hurdle" else 1 for form in forms):
        return forms
    explained = _Explained(names, rows, [rivals.get(k, (form,)) for k, form in enumerate(forms)])
    return [explained.best(forms, k, rivals[k]) if k in rivals else form for k, form in enumerate(forms)]


class _Explained:
    """How much the other columns explain of each form that a column may have, from one correlation matrix of them all."""

    def __init__(self, names: tuple[str, ...], rows: FloatArray, forms: Sequence[tuple[Form, ...]]) -> None:
        self.n, self.spans = len(rows), dict[tuple[int, Form], list[int]]()
        parts: list[FloatArray] = []
        for k, (name, some) in enumerate(zip(names, forms, strict=True)):
            for form in some:
                parts.append(represented(rows[:, k], form, column_names(name, form, rows[:, k])))
                first = sum(part.shape[1] for part in parts[:-1])
                self.spans[k, form] = [*range(first, first + parts[-1].shape[1])]
        self.R = _correlations(np.hstack(parts))

    def best(self, forms: Sequence[Form], k: int, rivals: Sequence[Form]) -> Form:
        """Return the rival for column k with the best BIC, given the forms of the others."""
        others = [c for j, form in enumerate(forms) if j != k for c in self.spans[j, form]]
        if not others:
            return rivals[0]
        price = len(others) * np.log(self.n)
        return max(rivals, key=lambda form: self.n * _log_wilks(self.R, self.spans[k, form], others) - len(self.spans[k, form]) * price)


def _correlations(values: FloatArray) -> FloatArray:
    with np.errstate(invalid="ignore", divide="ignore"):
        R = np.nan_to_num(np.atleast_2d(np.corrcoef(values, rowvar=False)))
    np.fill_diagonal(R, 1.0)
    return np.asarray(R)


def _log_wilks(R: FloatArray, block: list[int], others: list[int]) -> float:
    """Return −log Λ of two sets of columns: −log(1 − R²) where the block is one column."""
    cross = R[np.ix_(others, block)]
    left = R[np.ix_(block, block)] - cross.T @ np.linalg.lstsq(R[np.ix_(others, others)], cross, rcond=1e-10)[0]
    return float(np.linalg.slogdet(R[np.ix_(block, block)])[1] - np.linalg.slogdet(left)[1])


def columns_of(rows: FloatArray, names: tuple[str, ...], columns: Sequence[tuple[str, ...]]) -> FloatArray:
    """Return the columns (n, q) that stand for the variables (n, p)."""
    return np.hstack([represented(x, form_of(name, block), block) for x, name, block in zip(rows.T, names, columns, strict=True)])


def different(forms: list[Form], rows: FloatArray) -> list[Form]:
    """Return the forms with logarithms for hurdles that are zero in the same rows as another column.

    Such as the number of purchases and the money spent: their indicators are one and the same.
    """
    zeros = [(x > (0 if form == "hurdle" else np.nanmin(x))).tobytes() for x, form in zip(rows.T, forms, strict=True)]
    return ["log" if form == "hurdle" and zeros.count(own) > 1 else form for form, own in zip(forms, zeros, strict=True)]


def hurdle_form(x: FloatArray) -> Form:
    """Return how a column enters hurdle moments."""
    kind = kind_of(x)
    if kind == "zero-inflated":
        return "hurdle"
    return "log" if kind in ("ordinal", "count", "skewed") and is_skewed(x) else "plain"


def form_by_kind(x: FloatArray, kind: VariableKind) -> Form:
    """Return how a column of a kind enters mixed moments."""
    if kind == "count":
        return "log" if is_skewed(x) else "plain"
    forms: dict[VariableKind, Form] = {"zero-inflated": "hurdle", "nominal": "indicators", "skewed": "log", "heavy-tailed": "scores"}
    form = forms.get(kind, "plain")
    return "plain" if form in ("hurdle", "log") and np.nanmin(x) < 0 else form


def is_skewed(x: FloatArray) -> bool:
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
    elif form == "both":
        values = np.column_stack([x, np.log1p(np.maximum(x, 0))])
    else:
        values = (np.log1p(np.maximum(x, 0)) if form == "log" else x)[:, None]
    return np.where(gone[:, None], np.nan, values)


def column_names(name: str, form: Form, x: FloatArray) -> tuple[str, ...]:
    """Return the names of one variable's columns."""
    if form == "indicators":
        levels = np.unique(x[~np.isnan(x)])
        # One level fewer than there are; a constant column keeps its one, which then is told to be constant.
        return tuple(f"{name} = {level:.17g}" for level in (levels[1:] if len(levels) > 1 else levels))
    told: dict[Form, tuple[str, ...]] = {
        "hurdle": (f"{name} > 0", f"log {name} | {name} > 0"),
        "log": (f"log(1 + {name})",),
        "both": (name, f"log(1 + {name})"),
        "scores": (f"normal scores of {name}",),
        "plain": (name,),
    }
    return told[form]


def form_of(name: str, block: tuple[str, ...]) -> Form:
    """Return how a variable is represented, told by the names of its columns."""
    if block[0].startswith(f"{name} = "):
        return "indicators"
    return next(form for form in FORMS if form != "indicators" and column_names(name, form, np.zeros(0)) == block)


def _level(column: str) -> float:
    return float(column.rsplit(" = ", 1)[1])
