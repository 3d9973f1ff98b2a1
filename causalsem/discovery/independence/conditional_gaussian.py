"""The conditional Gaussian likelihood-ratio test, for tables with both discrete and continuous variables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from causalsem._values import BoolArray, FloatArray
from causalsem.discovery.independence.contingency import strata_of
from causalsem.discovery.stack import log_chi_square_tail
from causalsem.errors import SettingError


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionalGaussian:
    """The likelihood-ratio test of a Gaussian per cell of the discrete variables (Andrews, Ramsey & Cooper 2018).

    A variable with at most `levels` distinct values is discrete. Cells with too few rows for a covariance of their own
    share one about their own means.
    """

    levels: int = 7

    assumes: ClassVar[tuple[str, ...]] = ("Gaussian within every cell of the discrete variables", "enough rows in every cell")

    def __post_init__(self) -> None:
        if self.levels < 2:
            raise SettingError(f"levels is {self.levels}; choose 2 or more")


def log_p(rows: FloatArray, test: ConditionalGaussian) -> float:
    """Return log p of independence of columns 0 and 1 given the others: twice the gain in likelihood is χ²."""
    discrete = np.array([len(np.unique(column)) <= test.levels for column in rows.T], dtype=bool)
    centred = np.where(discrete, rows, (rows - rows.mean(axis=0)) / np.where(rows.std(axis=0) > 0, rows.std(axis=0), 1.0))
    columns = np.arange(rows.shape[1])
    gain, df = 0.0, 0
    for sign, left_out in ((1, ()), (-1, (0,)), (-1, (1,)), (1, (0, 1))):
        some = np.setdiff1d(columns, left_out)
        likelihood, parameters = cell_likelihood(centred[:, some], discrete[some])
        gain, df = gain + sign * likelihood, df + sign * parameters
    return 0.0 if df <= 0 else float(log_chi_square_tail(np.array(max(2 * gain, 0.0)), df))


def cell_likelihood(rows: FloatArray, discrete: BoolArray) -> tuple[float, int]:
    """Return the largest log-likelihood of the joint distribution of some columns, and how many parameters it has."""
    n, q = len(rows), int((~discrete).sum())
    cell = strata_of(rows[:, discrete])
    count = np.bincount(cell).astype(np.float64)
    likelihood = float((count * np.log(count / n)).sum())
    if q == 0:
        return likelihood, len(count) - 1
    values = rows[:, ~discrete]
    mean = np.stack([np.bincount(cell, weights=column) / count for column in values.T], axis=1)  # (cells, q)
    around = values - mean[cell]
    large = count > 2 * (q + 1)
    for k in np.flatnonzero(large):
        likelihood += gaussian_likelihood(around[cell == k])
    small = ~large[cell]
    if small.any():
        likelihood += gaussian_likelihood(around[small])
    covariances = int(large.sum()) + bool(small.any())
    return likelihood, len(count) - 1 + len(count) * q + covariances * q * (q + 1) // 2


def gaussian_likelihood(around: FloatArray) -> float:
    """Return the largest Gaussian log-likelihood of rows (n, q) about a mean of zero."""
    n, q = around.shape
    covariance = around.T @ around / n
    # The floor keeps a variable that is constant within a cell from an endless likelihood.
    log_det = np.linalg.slogdet(covariance + 1e-8 * np.eye(q))[1]
    return float(-n / 2 * (q * np.log(2 * np.pi) + log_det + q))
