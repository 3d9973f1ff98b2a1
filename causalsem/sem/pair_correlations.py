"""Second stage of the ordinal moments: the residual correlation of two variables with their margins held fixed.

Polychoric (Olsson 1979), polyserial (Olsson, Drasgow & Dorans 1982) or Pearson, each with casewise scores.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from causalsem._values import FloatArray, IntArray
from causalsem.sem.bivariate_normal import FAR, density, density_slope, distribution, rectangle
from causalsem.sem.margins import Margin, by_limits

# lavaan's bound; an estimate there says that no correlation short of 1 is large enough.
BOUND = 0.999
STEPS, CLOSE = 100, 1e-12
# A row less likely than this has no usable score (lavaan leaves it out too).
UNLIKELY = float(np.sqrt(np.finfo(float).eps))
# What is added to the empty cell of a 2 × 2 table, margins kept.
ADDED = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """The correlation of two variables; casewise ∂logl/∂ρ (n,), and Σ ∂ρ-score · ∂logl/∂(first, second margin's parameters)."""

    rho: float
    scores: FloatArray
    first: FloatArray
    second: FloatArray
    empty: bool = False


def correlate(a: Margin, b: Margin, X: FloatArray) -> Pair:
    """Return the correlation of two margins given the same covariates X (n, q)."""
    if a.ordered and b.ordered:
        return _polychoric_given(a, b, X) if X.shape[1] else _polychoric(a, b)
    if not a.ordered and not b.ordered:
        return _pearson(a, b, X)
    if a.ordered:
        found = _polyserial(b, a, X)
        return Pair(found.rho, found.scores, found.second, found.first)
    return _polyserial(a, b, X)


def _maximise(slope: Callable[[float], tuple[float, float]], start: float) -> float:
    """Return the root of a falling slope(ρ) = (score, its derivative) in ±BOUND: Newton's steps inside a shrinking bracket."""
    low, high = -BOUND, BOUND
    rho = float(np.clip(start, -0.9, 0.9))
    for _ in range(STEPS):
        score, curve = slope(rho)
        low, high = (rho, high) if score > 0 else (low, rho)
        further = rho - score / curve if curve < 0 else np.nan
        if not low <= further <= high:
            further = 0.5 * (low + high)
        if abs(further - rho) < CLOSE:
            return float(further)
        rho = float(further)
    return rho


def _polychoric(a: Margin, b: Margin) -> Pair:
    """Return the polychoric correlation of two ordered variables from their table."""
    shape = (len(a.level) + 1, len(b.level) + 1)
    table = np.bincount(a.codes * shape[1] + b.codes, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)
    counted, rho = _without_empty_corner(table)
    if rho is None:
        rho = _maximise(lambda r: _table_slope(counted, a.level, b.level, r), float(np.corrcoef(a.codes, b.codes)[0, 1]))
    cells = _cell_scores(a.level, b.level, rho)
    scores = cells[0][a.codes, b.codes]
    # Σ over rows of score · derivative by a limit, from the table alone.
    first = _by_threshold((table * cells[0] * cells[1]).sum(1), (table * cells[0] * cells[2]).sum(1))
    second = _by_threshold((table * cells[0] * cells[3]).sum(0), (table * cells[0] * cells[4]).sum(0))
    return Pair(rho, scores, first, second, bool((table == 0).any()))


def _by_threshold(up: FloatArray, down: FloatArray) -> FloatArray:
    """Return per threshold what the category below adds by its upper and the one above by its lower limit."""
    return up[:-1] + down[1:]


def _without_empty_corner(table: FloatArray) -> tuple[FloatArray, float | None]:
    """Return a 2 × 2 table whose one empty cell got ½ (margins kept), and ρ where the table decides it."""
    if table.shape != (2, 2):
        return table, None
    empty = np.flatnonzero(table.ravel() == 0)
    if len(empty) >= 2:
        return table, 1.0 - 1e-12 if table[0, 0] > 0 else 1e-12 - 1.0
    if len(empty) == 1:
        sign = 1.0 if empty[0] in (0, 3) else -1.0
        table = table + sign * ADDED * np.array([[1.0, -1.0], [-1.0, 1.0]])
    return table, None


def _corners(tau: FloatArray, upsilon: FloatArray) -> tuple[FloatArray, FloatArray]:
    return np.meshgrid(np.concatenate([[-FAR], tau, [FAR]]), np.concatenate([[-FAR], upsilon, [FAR]]), indexing="ij")


def _cells(corners: FloatArray) -> FloatArray:
    """Return the rectangle sums of a function at the corners of cells."""
    return np.diff(np.diff(corners, axis=0), axis=1)


def _cell_probabilities(h: FloatArray, k: FloatArray, rho: float) -> FloatArray:
    corner = np.zeros(h.shape)
    corner[1:-1, 1:-1] = distribution(h[1:-1, 1:-1], k[1:-1, 1:-1], rho)
    corner[-1, :], corner[:, -1] = ndtr(k[-1, :]), ndtr(h[:, -1])
    corner[0, :] = corner[:, 0] = 0.0
    return np.maximum(_cells(corner), 1e-300)


def _table_slope(table: FloatArray, tau: FloatArray, upsilon: FloatArray, rho: float) -> tuple[float, float]:
    """Return the score of a table's log-likelihood and its derivative."""
    h, k = _corners(tau, upsilon)
    pi = _cell_probabilities(h, k, rho)
    phi = density(h, k, rho)
    d1, d2 = _cells(phi), _cells(phi * density_slope(h, k, rho))
    ratio = d1 / pi
    return float((table * ratio).sum()), float((table * (d2 / pi - ratio**2)).sum())


def _cell_scores(tau: FloatArray, upsilon: FloatArray, rho: float) -> tuple[FloatArray, ...]:
    """Return by cell ∂log π/∂ρ and its derivatives by upper and lower limit of the first, then of the second variable."""
    h, k = _corners(tau, upsilon)
    pi = _cell_probabilities(h, k, rho)
    root = np.sqrt(1.0 - rho * rho)
    by_h = np.diff(np.exp(-0.5 * h * h) / np.sqrt(2.0 * np.pi) * ndtr((k - rho * h) / root), axis=1)
    by_k = np.diff(np.exp(-0.5 * k * k) / np.sqrt(2.0 * np.pi) * ndtr((h - rho * k) / root), axis=0)
    parts = (_cells(density(h, k, rho)), by_h[1:], -by_h[:-1], by_k[:, 1:], -by_k[:, :-1])
    told = pi > UNLIKELY
    return tuple(np.where(told, part / pi, 0.0) for part in parts)


def _limit_products(scores: FloatArray, margin: Margin, up: FloatArray, down: FloatArray, X: FloatArray) -> FloatArray:
    """Return Σ score · ∂logl/∂(thresholds, slopes) from the derivatives by upper and lower limit."""
    columns = np.zeros((len(scores), len(margin.level)))
    by_limits(columns, margin.codes, up, down, len(margin.level))
    return np.concatenate([scores @ columns, -((scores * (up + down)) @ X)])


def _polychoric_given(a: Margin, b: Margin, X: FloatArray) -> Pair:
    """Return the polychoric correlation of two ordered variables given covariates: every row has its own rectangle."""
    box = (a.lower, a.upper, b.lower, b.upper)
    corners = ((a.upper, b.upper, 1.0), (a.lower, b.upper, -1.0), (a.upper, b.lower, -1.0), (a.lower, b.lower, 1.0))

    def slope(rho: float) -> tuple[float, float]:
        pi = np.maximum(rectangle(*box, rho), 1e-300)
        d1 = d2 = np.zeros(len(pi))
        for h, k, sign in corners:
            phi = sign * density(h, k, rho)
            d1, d2 = d1 + phi, d2 + phi * density_slope(h, k, rho)
        ratio = d1 / pi
        return float(ratio.sum()), float((d2 / pi - ratio**2).sum())

    rho = _maximise(slope, float(np.corrcoef(a.codes, b.codes)[0, 1]))
    pi = rectangle(*box, rho)
    inverse = np.where(pi > UNLIKELY, 1.0 / np.maximum(pi, UNLIKELY), 0.0)
    scores = inverse * sum(sign * density(h, k, rho) for h, k, sign in corners)
    first = _limit_products(scores, a, *_by_limit(a, b, rho, inverse), X)
    second = _limit_products(scores, b, *_by_limit(b, a, rho, inverse), X)
    return Pair(rho, scores, first, second)


def _by_limit(a: Margin, b: Margin, rho: float, inverse: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return ∂log π/∂(upper, lower limit of a)."""
    root = np.sqrt(1.0 - rho * rho)
    out = []
    for limit, sign in ((a.upper, 1.0), (a.lower, -1.0)):
        inside = ndtr((b.upper - rho * limit) / root) - ndtr((b.lower - rho * limit) / root)
        out.append(sign * inverse * inside * np.exp(-0.5 * limit * limit) / np.sqrt(2.0 * np.pi))
    return out[0], out[1]


def _pearson(a: Margin, b: Margin, X: FloatArray) -> Pair:
    """Return the correlation of two numeric variables' residuals."""
    x, y = a.upper, b.upper
    rho = float(x @ y / len(x))
    left = 1.0 - rho * rho
    scores = rho / left + x * y / left - rho * (x * x - 2.0 * rho * x * y + y * y) / left**2
    products = []
    for own, other, margin in ((x, y, a), (y, x, b)):
        by_mean = (own - rho * other) / (left * margin.sd)
        by_variance = ((own * own - rho * own * other) / left - 1.0) / (2.0 * margin.variance)
        products.append(np.concatenate([[scores @ by_mean], (scores * by_mean) @ X, [scores @ by_variance]]))
    return Pair(rho, scores, products[0], products[1])


def _polyserial(a: Margin, b: Margin, X: FloatArray) -> Pair:
    """Return the polyserial correlation of numeric `a` and ordered `b`."""
    z = a.upper

    def parts(rho: float) -> tuple[FloatArray, FloatArray, FloatArray]:
        root = np.sqrt(1.0 - rho * rho)
        above, below = (b.upper - rho * z) / root, (b.lower - rho * z) / root
        return above, below, np.maximum(ndtr(above) - ndtr(below), np.finfo(float).eps)

    def slope(rho: float) -> tuple[float, float]:
        step = 1e-5
        # The second derivative only steers Newton's step, so a difference of exact scores is enough.
        return score(rho), (score(min(rho + step, 0.9999)) - score(rho - step)) / (2.0 * step)

    def score(rho: float) -> float:
        return float(_polyserial_scores(b, z, rho, *parts(rho)).sum())

    spread = float(np.std(b.codes)) / float((np.exp(-0.5 * b.level**2) / np.sqrt(2.0 * np.pi)).sum())
    rho = _maximise(slope, float(np.corrcoef(z, b.codes)[0, 1]) * spread)
    above, below, share = parts(rho)
    root = np.sqrt(1.0 - rho * rho)
    scores = _polyserial_scores(b, z, rho, above, below, share)
    up, down = (np.exp(-0.5 * t * t) / np.sqrt(2.0 * np.pi) / share for t in (above, below))
    by_mean = (z + (rho / root) * (up - down)) / a.sd
    by_variance = (z * z - 1.0 + (rho / root) * z * (up - down)) / (2.0 * a.variance)
    first = np.concatenate([[scores @ by_mean], (scores * by_mean) @ X, [scores @ by_variance]])
    return Pair(rho, scores, first, _limit_products(scores, b, up / root, -down / root, X))


def _polyserial_scores(b: Margin, z: FloatArray, rho: float, above: FloatArray, below: FloatArray, share: FloatArray) -> FloatArray:
    """Return ∂logl_i/∂ρ given the limits of the ordered variable's conditional error."""
    up, down = (np.exp(-0.5 * t * t) / np.sqrt(2.0 * np.pi) for t in (above, below))
    return np.asarray((up * (rho * b.upper - z) - down * (rho * b.lower - z)) / share / (1.0 - rho * rho) ** 1.5)


def codes_of(column: FloatArray) -> tuple[IntArray, FloatArray]:
    """Return the codes 0 … of a column's values in order, and the values."""
    values, codes = np.unique(column, return_inverse=True)
    return np.asarray(codes.ravel(), dtype=np.int64), np.asarray(values)
