"""DirectLiNGAM: a causal order from non-Gaussian noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from causalsem._compiled import machine_or_plain
from causalsem._values import BoolArray, FloatArray
from causalsem.discovery.found import Found, Rules
from causalsem.discovery.order import precedence
from causalsem.discovery.order_search import OrderSearch
from causalsem.discovery.scores import GaussianBIC, check_penalty
from causalsem.discovery.stack import Stack
from causalsem.graph.causal_graph import ARROW, TAIL

# What a pair with correlation c adds to a sum, about, as a multiple of c².
GUESS = 0.01
KERNELS = "causalsem.discovery.lingam_kernels"
# What plain Python takes, about, for one row of a pair of variables.
PLAIN_SECONDS = 1.2e-7


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectLiNGAM:
    """DirectLiNGAM with the pairwise likelihood ratio (Shimizu et al. 2011; Hyvärinen & Smith 2013).

    The order comes from non-Gaussianity; given the order, parents are chosen by the BIC of GES with `penalty_discount`.
    """

    penalty_discount: float = 2.0
    engine: str = "causalsem"

    consumes: ClassVar[str] = "rows"
    returns: ClassVar[str] = "DAG"
    assumes: ClassVar[tuple[str, ...]] = ("acyclic", "no hidden confounders", "linear relations", "non-Gaussian independent noise")

    def __post_init__(self) -> None:
        check_penalty(self.penalty_discount)


def search(rows: FloatArray, settings: DirectLiNGAM, rules: Rules) -> Found:
    """Return the DAG that DirectLiNGAM finds in rows (n, p)."""
    return dag_of_order(rows, causal_order(rows, precedence(rules)), settings.penalty_discount, rules)


def dag_of_order(rows: FloatArray, order: Sequence[int], penalty_discount: float, rules: Rules) -> Found:
    """Return the DAG of a causal order: parents by the Gaussian BIC, whose least squares need no Gaussian noise."""
    R = np.corrcoef(rows, rowvar=False).reshape(1, len(order), -1)
    score = GaussianBIC(Stack(R, len(rows)), 0, penalty_discount)
    to = OrderSearch(score, rules, passes=0.1).parents_of(np.asarray(order, dtype=np.int64)).parents.T
    marks = np.where(to, ARROW, np.where(to.T, TAIL, 0)).astype(np.int8)
    return Found(marks, "DAG", (), (("order", [int(k) for k in order]),))


def causal_order(rows: FloatArray, before: BoolArray) -> list[int]:
    """Return the causal order of the columns of rows (n, p); before[i, j] puts i ahead of j.

    The next in order is the variable whose regression residuals depend on it least: the smallest sum over the others
    of min(0, d)², d the difference in mutual information. Sums only grow while terms come in, so a variable whose
    partial sum is above another's whole sum is never looked at further; the order is the same, at a fraction of the work.
    """
    X = np.ascontiguousarray((rows - rows.mean(axis=0)).T)
    X /= X.std(axis=1, keepdims=True)
    C = X @ X.T / X.shape[1]
    kernels = machine_or_plain(KERNELS, "least_dependent", PLAIN_SECONDS * X.size * len(X))
    left, guess = np.arange(len(X)), 0
    # What a pair may add to the sum of the first: what it added in the step before, at first a guess.
    expected = GUESS * C**2
    order: list[int] = []
    while len(left) > 1:
        free = np.asarray(~before[np.ix_(left, left)].any(axis=0))
        at, sums = kernels.least_dependent(X, C, free, expected, guess if free[guess] else int(np.argmax(free)))
        order.append(int(left[at]))
        rest = np.delete(np.arange(len(left)), at)
        # Every other variable becomes its residual on the one just found, standardised.
        c = C[rest, at]
        s = np.sqrt(1 - c**2)
        X = (X[rest] - c[:, None] * X[at]) / s[:, None]
        C = (C[np.ix_(rest, rest)] - np.outer(c, c)) / np.outer(s, s)
        left, expected, guess = left[rest], expected[np.ix_(rest, rest)], int(np.argmin(sums[rest]))
    return [*order, *(int(k) for k in left)]
