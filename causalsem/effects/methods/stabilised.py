"""Stabilised density weights of a continuous treatment and the line they fit, number-functions: arrays in, numbers out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from causalsem._values import FloatArray


class DensityRatio(NamedTuple):
    """Weights w = f(T)/f(T | Z) (n,), both normal, cut at a largest; and ∂ log w (n, k + 3), the influence of its parameters.

    Parameters are the k coefficients of E[T | Z], Var(T | Z), E[T] and Var(T); `moved` counts the weights that were cut.
    """

    w: FloatArray
    slopes: FloatArray
    influence: FloatArray
    moved: int
    explained: float


def density_ratio(T: FloatArray, X: FloatArray, largest: float) -> DensityRatio:
    """Return the stabilised weights of Robins, Hernán & Brumback (2000): T (n,) normal given the columns X (n, k) of a line."""
    n = len(T)
    gram = X.T @ X / n
    V = T - X @ np.linalg.lstsq(gram, X.T @ T / n, rcond=None)[0]
    C = T - T.mean()
    v, c = float((V**2).mean()), float((C**2).mean())
    log_w = 0.5 * np.log(v / c) - C**2 / (2 * c) + V**2 / (2 * v)
    cut = log_w > np.log(largest)
    slopes = np.column_stack([-(V / v)[:, None] * X, 1 / (2 * v) - V**2 / (2 * v**2), C / c, -1 / (2 * c) + C**2 / (2 * c**2)])
    influence = np.column_stack([np.linalg.lstsq(gram, (X * V[:, None]).T, rcond=None)[0].T, V**2 - v, C, C**2 - c])
    slopes[cut] = 0.0  # a weight that is cut does not move with the parameters
    return DensityRatio(np.exp(np.minimum(log_w, np.log(largest))), slopes, influence, int(cut.sum()), 1 - v / c)


def weighted_slope(T: FloatArray, Y: FloatArray, ratio: DensityRatio) -> tuple[float, FloatArray]:
    """Return the slope of the weighted line of Y on T and its influence function (n,), the weights' own estimation included."""
    n, w = len(T), ratio.w
    line = np.column_stack([np.ones(n), T - T.mean()])
    bread = (line * w[:, None]).T @ line / n
    beta = np.linalg.solve(bread, (line * w[:, None]).T @ Y / n)
    scores = line * (w * (Y - line @ beta))[:, None]  # (n, 2)
    scores = scores + ratio.influence @ (ratio.slopes.T @ scores / n)
    # T − mean(T) as a column moves the intercept only.
    return float(beta[1]), np.asarray(np.linalg.solve(bread, scores.T)[1])
