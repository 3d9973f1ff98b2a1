"""ICALiNGAM: a causal order from the independent components of non-Gaussian data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.optimize import linear_sum_assignment

from causalsem._values import BoolArray, FloatArray
from causalsem.discovery.direct_lingam import dag_of_order
from causalsem.discovery.found import Found, Rules
from causalsem.discovery.order import precedence
from causalsem.discovery.scores import check_penalty

STEPS, CLOSE = 500, 1e-8


@dataclass(frozen=True, slots=True, kw_only=True)
class ICALiNGAM:
    """LiNGAM by independent component analysis (Shimizu, Hoyer, Hyvärinen & Kerminen 2006; FastICA: Hyvärinen 1999).

    The order comes from the unmixing matrix, its rows matched to variables; given the order, parents are chosen by the
    BIC of GES with `penalty_discount`. DirectLiNGAM needs no iteration and is the surer one; this is a second opinion.
    """

    penalty_discount: float = 2.0
    engine: str = "causalsem"

    consumes: ClassVar[str] = "rows"
    returns: ClassVar[str] = "DAG"
    assumes: ClassVar[tuple[str, ...]] = ("acyclic", "no hidden confounders", "linear relations", "non-Gaussian independent noise")

    def __post_init__(self) -> None:
        check_penalty(self.penalty_discount)


def search(rows: FloatArray, settings: ICALiNGAM, rules: Rules) -> Found:
    """Return the DAG that ICALiNGAM finds in rows (n, p)."""
    order = order_of_effects(path_coefficients(unmixing(rows)), precedence(rules))
    return dag_of_order(rows, order, settings.penalty_discount, rules)


def unmixing(rows: FloatArray, start: FloatArray | None = None) -> FloatArray:
    """Return W (p, p) for which W·x are as independent as FastICA makes them (symmetric, log cosh), x standardised.

    It starts from the whitened data themselves, so that no draw is needed, or from the W of similar rows.
    """
    X = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    n, p = X.shape
    values, vectors = np.linalg.eigh(X.T @ X / n)
    whiten = (vectors / np.sqrt(values)) @ vectors.T
    Z = X @ whiten
    W = np.eye(p) if start is None else _orthogonal(np.linalg.solve(whiten, start.T).T)
    for _ in range(STEPS):
        t = np.tanh(Z @ W.T)
        new = _orthogonal(t.T @ Z / n - (1 - t**2).mean(axis=0)[:, None] * W)
        still = np.abs(np.abs((new * W).sum(axis=1)) - 1).max() < CLOSE
        W = new
        if still:
            break
    return np.asarray(W @ whiten)


def _orthogonal(W: FloatArray) -> FloatArray:
    """Return the orthogonal matrix nearest to W."""
    left, _, right = np.linalg.svd(W)
    return np.asarray(left @ right)


def path_coefficients(W: FloatArray) -> FloatArray:
    """Return B with B[i, j] the effect of j on i: rows of W matched to variables by large diagonals, scaled to ones."""
    source, variable = linear_sum_assignment(1 / np.maximum(np.abs(W), 1e-12))
    matched = W[source[np.argsort(variable)]]
    return np.asarray(np.eye(len(W)) - matched / np.diag(matched)[:, None])


def order_of_effects(B: FloatArray, before: BoolArray) -> list[int]:
    """Return the order within the precedence that takes next whoever the others left affect least (sum of squares)."""
    left, order = list(range(len(B))), []
    while left:
        free = [k for k in left if not before[left, k].any()]
        order.append(min(free, key=lambda k: float((B[k, [j for j in left if j != k]] ** 2).sum())))
        left.remove(order[-1])
    return order
