"""Weights that balance a continuous treatment, and the line they fit; number-functions: arrays in, numbers out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from causalsem._values import BoolArray, FloatArray
from causalsem.effects.nuisance import ROWS_PER_FEATURE
from causalsem.effects.regressions import jackknifed

NEWTON_STEPS = 100
NEWTON_TOLERANCE = 1e-10
FEW_VALUES = 2
FARTHEST = 5.0  # standard deviations


class Columns(NamedTuple):
    """What is to have mean nought under the weights, C (n, p), standardised; the first `kept` columns are means to be kept."""

    C: FloatArray
    kept: int


class Balanced(NamedTuple):
    """Weights w (n,), `raw` ones of mean 1 cut at a largest unless `free`; the curvature `bread` (1 + p, 1 + p) they solve.

    `remaining` is the largest mean of a column under the raw weights, in its standard deviations.
    """

    w: FloatArray
    free: BoolArray
    raw: FloatArray
    bread: FloatArray
    remaining: float


def balance_columns(T: FloatArray, X: FloatArray) -> Columns:
    """Return the columns that make T (n,) independent of X (n, k), both standardised, as far as n rows bear them.

    Weights keep the means of T, T², X and X², and bring those of TX, T²X and TX² to nought: what is linear in 1, X and X² for a
    given T, with slopes that move with X, then confounds nothing. Fewer columns where there would be fewer than ten rows each.
    """
    candidates = list(_candidates(T, X))
    C, kept = next((some for some in candidates if some[0].shape[1] * ROWS_PER_FEATURE <= len(T)), candidates[-1])
    scale = C.std(axis=0)
    varies = scale > 1e-10
    return Columns(C[:, varies] / scale[varies], int(varies[:kept].sum()))


def _candidates(T: FloatArray, X: FloatArray) -> Iterator[tuple[FloatArray, int]]:
    square = T**2 - (T**2).mean()
    curved = np.array([len(np.unique(column)) > FEW_VALUES for column in X.T], dtype=bool)
    bent = np.clip(X[:, curved], -FARTHEST, FARTHEST) ** 2
    bent = bent - bent.mean(axis=0)
    plain = np.column_stack([T, square, X])
    yield np.column_stack([plain, bent, T[:, None] * X, square[:, None] * X, T[:, None] * bent]), plain.shape[1] + bent.shape[1]
    yield np.column_stack([plain, T[:, None] * X, square[:, None] * X]), plain.shape[1]
    yield np.column_stack([plain, T[:, None] * X]), plain.shape[1]


def entropy_balance(C: FloatArray, ridge: float, largest: float) -> Balanced:
    """Return the weights exp(Cλ)/mean nearest to equal ones under which the columns C (n, p) have mean nought.

    Entropy balancing (Hainmueller 2012; of a continuous treatment Vegetabile et al. 2021) by Newton steps on its dual,
    log mean exp(Cλ) + ridge ‖λ‖²/(2n), whose small prior makes a solution certain. Weights above `largest` are cut afterwards.
    """
    n, p = C.shape
    penalty, lam = ridge / n * np.eye(p), np.zeros(p)
    loss = _dual(C, lam, ridge)
    for _ in range(NEWTON_STEPS):
        w = _tilted(C, lam)
        mean = C.T @ w / n
        gradient = mean + ridge / n * lam
        step = -np.linalg.solve((C * w[:, None]).T @ C / n - np.outer(mean, mean) + penalty, gradient)
        size, new = 1.0, _dual(C, lam + step, ridge)
        while not new <= loss and size > 1e-6:
            size /= 2
            new = _dual(C, lam + size * step, ridge)
        lam, loss = lam + size * step, new
        if -(gradient @ step) < NEWTON_TOLERANCE:
            break
    raw = _tilted(C, lam)
    D = np.column_stack([np.ones(n), C])
    bread = (D * raw[:, None]).T @ D / n
    bread[1:, 1:] += penalty
    return Balanced(np.minimum(raw, largest), raw <= largest, raw, bread, float(np.abs(C.T @ raw / n).max(initial=0.0)))


def balanced_slope(T: FloatArray, Y: FloatArray, columns: Columns, found: Balanced) -> tuple[float, FloatArray]:
    """Return the slope of the weighted line of Y on T and its influence function (n,), the weights' own estimation included.

    By M-estimation over λ, the means to be kept and the line; each row's own part is divided by one less its leverage, as in
    the jackknife (HC3, MacKinnon & White 1985), since the rows that weigh most draw the fit to themselves.
    """
    n, w = len(T), found.w
    line = np.column_stack([np.ones(n), T - T.mean()])
    bread = (line * w[:, None]).T @ line / n
    beta = np.linalg.solve(bread, (line * w[:, None]).T @ Y / n)
    lever = np.linalg.solve(bread, line.T)[1]  # what a row's residual does to the slope
    pull = lever * (Y - line @ beta)
    D = np.column_stack([np.ones(n), columns.C])
    by_lambda = np.linalg.solve(found.bread, D.T @ (w * found.free * pull) / n)
    own = w * pull - found.raw * (D @ by_lambda)
    leverage = found.raw * np.einsum("ij,ji->i", D, np.linalg.solve(found.bread, D.T)) / n
    means = columns.C[:, : columns.kept] @ by_lambda[1 : 1 + columns.kept]
    psi = jackknifed(own, leverage) + means
    return float(beta[1]), psi - psi.mean()


def _tilted(C: FloatArray, lam: FloatArray) -> FloatArray:
    power = C @ lam
    w = np.exp(power - power.max())
    return np.asarray(w / w.mean())


def _dual(C: FloatArray, lam: FloatArray, ridge: float) -> float:
    power = C @ lam
    top = power.max()
    return float(top + np.log(np.exp(power - top).mean()) + ridge / (2 * len(C)) * (lam @ lam))
