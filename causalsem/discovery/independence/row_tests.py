"""The table of row tests, and how searches ask them: one test at a time, each only once, on the rows it can use."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np

from causalsem._values import FloatArray, IntArray
from causalsem.discovery.independence.conditional_gaussian import ConditionalGaussian
from causalsem.discovery.independence.contingency import ChiSquare, GSquare
from causalsem.discovery.independence.fisher_z import FisherZ
from causalsem.discovery.independence.kci import KCI
from causalsem.discovery.independence.regression import RegressionTest
from causalsem.discovery.stack import z_of_log_p
from causalsem.errors import DataError, InputError, shown

# log p of the test of columns 0 and 1 of complete rows (n, 2 + size) given the others.
LogP = Callable[[FloatArray, Any], float]


class IndependenceTest(Protocol):
    """Settings of a test: what it assumes."""

    assumes: ClassVar[tuple[str, ...]]


TESTS: dict[type[Any], str] = {
    FisherZ: "causalsem.discovery.independence.fisher_z:log_p",
    GSquare: "causalsem.discovery.independence.contingency:log_p",
    ChiSquare: "causalsem.discovery.independence.contingency:log_p",
    ConditionalGaussian: "causalsem.discovery.independence.conditional_gaussian:log_p",
    RegressionTest: "causalsem.discovery.independence.regression:log_p",
    KCI: "causalsem.discovery.independence.kci:log_p",
}


def require_varying(rows: FloatArray, names: Sequence[str]) -> None:
    """Raise DataError naming the columns of rows (n, p) without two different values."""
    constant = [name for name, column in zip(names, rows.T, strict=True) if len(np.unique(column[~np.isnan(column)])) < 2]
    if constant:
        raise DataError(f"constant variables {shown(constant)}; drop them", columns=constant)


def check_test(test: object) -> None:
    """Raise InputError unless `test` is None or settings of a row test."""
    if test is not None and type(test) not in TESTS:
        names = ", ".join(f"{known.__name__}()" for known in TESTS)
        raise InputError(f"{test!r} is not an independence test; hand in one of {names}, or None for Fisher's z from moments")


class RowTests:
    """Tests of the columns of rows (n, p); a row with a missing value is left out of the tests that need that value only."""

    def __init__(self, rows: FloatArray, test: IndependenceTest) -> None:
        module, function = TESTS[type(test)].split(":")
        self.log_p: LogP = getattr(importlib.import_module(module), function)
        self.rows, self.test = rows, test
        self.size, self.p, self.n = 1, rows.shape[1], float(len(rows))
        self.seen = ~np.isnan(rows)
        self._known: dict[tuple[int, int, tuple[int, ...]], float] = {}

    def z(self, pairs: IntArray, sets: IntArray) -> FloatArray:
        """Return |z| (g, k) of the tests of pairs (b, i, j) (g, 3) given sets (g, k, size)."""
        out = np.empty(sets.shape[:2])
        for row, at in np.ndindex(out.shape):
            i, j = sorted(pairs[row, 1:].tolist())
            out[row, at] = self._one(i, j, tuple(sorted(sets[row, at].tolist())))
        return out

    def strength(self, b: int) -> FloatArray:
        """Return |z| of every pair given nothing, (p, p)."""
        out = np.zeros((self.p, self.p))
        for i, j in zip(*np.triu_indices(self.p, 1), strict=True):
            out[i, j] = out[j, i] = self._one(int(i), int(j), ())
        return out

    def _one(self, i: int, j: int, given: tuple[int, ...]) -> float:
        key = i, j, given
        if key not in self._known:
            columns = [i, j, *given]
            rows = self.rows[self.seen[:, columns].all(axis=1)][:, columns]
            self._known[key] = float(z_of_log_p(np.array(min(self.log_p(rows, self.test), 0.0))))
        return self._known[key]
