"""G² and Pearson's χ² of contingency tables, for binary, ordinal and nominal variables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from causalsem._values import FloatArray, IntArray
from causalsem.discovery.stack import log_chi_square_tail


@dataclass(frozen=True, slots=True, kw_only=True)
class GSquare:
    """The likelihood-ratio test of a contingency table within each stratum (Spirtes et al. 2000, §5.5; Neapolitan 2004).

    Degrees of freedom count the levels that a stratum has. Every distinct value is a level, so that continuous
    variables have no test: their tables hold one row a cell.
    """

    assumes: ClassVar[tuple[str, ...]] = ("discrete variables", "enough rows in every stratum")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChiSquare:
    """Pearson's χ² test of a contingency table within each stratum (Pearson 1900); otherwise as `GSquare`."""

    assumes: ClassVar[tuple[str, ...]] = ("discrete variables", "enough rows in every stratum")


def log_p(rows: FloatArray, test: GSquare | ChiSquare) -> float:
    """Return log p of independence of columns 0 and 1 within the strata of the others."""
    tables = contingency(codes_of(rows[:, 0]), codes_of(rows[:, 1]), strata_of(rows[:, 2:]))
    of_row, of_column = tables.sum(axis=2), tables.sum(axis=1)
    total = of_row.sum(axis=1)
    expected = of_row[:, :, None] * of_column[:, None, :] / np.maximum(total, 1)[:, None, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        if isinstance(test, GSquare):
            terms = np.where(tables > 0, 2 * tables * np.log(tables / expected), 0.0)
        else:
            terms = np.where(expected > 0, (tables - expected) ** 2 / expected, 0.0)
    df = int((np.maximum((of_row > 0).sum(axis=1) - 1, 0) * np.maximum((of_column > 0).sum(axis=1) - 1, 0)).sum())
    return 0.0 if df == 0 else float(log_chi_square_tail(np.array(terms.sum()), df))


def codes_of(column: FloatArray) -> IntArray:
    """Return the number of each value among the distinct ones."""
    return np.asarray(np.unique(column, return_inverse=True)[1], dtype=np.int64).ravel()


def strata_of(rows: FloatArray) -> IntArray:
    """Return the number of each row among the distinct rows."""
    stratum = np.zeros(len(rows), dtype=np.int64)
    for column in rows.T:
        codes = codes_of(column)
        # Codes are packed again after every column, so that they stay small whatever the number of columns.
        stratum = codes_of((stratum * (codes.max(initial=0) + 1) + codes).astype(np.float64))
    return stratum


def contingency(x: IntArray, y: IntArray, stratum: IntArray) -> FloatArray:
    """Return counts (strata, levels of x, levels of y)."""
    shape = tuple(int(codes.max(initial=0)) + 1 for codes in (stratum, x, y))
    flat = (stratum * shape[1] + x) * shape[2] + y
    return np.bincount(flat, minlength=shape[0] * shape[1] * shape[2]).reshape(shape).astype(np.float64)
