"""Thresholds, slopes, variances and (polychoric) correlations of one group, with their asymptotic covariance (Muthén 1984)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from causalsem._values import BoolArray, FloatArray
from causalsem.errors import DataError
from causalsem.sem.margins import Margin, numeric_margin, ordered_margin
from causalsem.sem.pair_correlations import Pair, codes_of, correlate


@dataclass(frozen=True, slots=True, eq=False)
class OrdinalMoments:
    """What an ordinal model explains: `vector` and `gamma` = n · its asymptotic covariance.

    Order: thresholds of the ordered variables, means of the numeric ones, slopes on the covariates (variable by
    variable), variances of the numeric ones, covariances (lower triangle without diagonal, row by row).
    """

    vector: FloatArray
    gamma: FloatArray
    ordered: BoolArray  # (p,) which of the variables are ordered
    thresholds: tuple[FloatArray, ...]  # per variable, empty for a numeric one
    plain_thresholds: tuple[FloatArray, ...]  # without regard to covariates
    means: FloatArray  # (p,), 0 for an ordered variable
    slopes: FloatArray  # (p, q)
    covariance: FloatArray  # (p, p), residual where there are covariates
    empty: tuple[tuple[int, int], ...] = ()


def ordinal_moments(Y: FloatArray, ordered: BoolArray, levels: Sequence[int], X: FloatArray, names: Sequence[str]) -> OrdinalMoments:
    """Return the moments of rows Y (n, p) given covariates X (n, q); ordered columns may have any increasing values."""
    margins = [_margin(Y[:, j], bool(ordered[j]), levels[j], X, names[j]) for j in range(Y.shape[1])]
    pairs = {(i, j): correlate(margins[i], margins[j], X) for i in range(len(margins)) for j in range(i)}
    gamma = _asymptotic_covariance(margins, pairs, X.shape[1])
    sd = np.array([m.sd for m in margins])
    covariance = np.diag(sd**2)
    for (i, j), pair in pairs.items():
        covariance[i, j] = covariance[j, i] = pair.rho * sd[i] * sd[j]
    return _arranged(margins, covariance, gamma, X, tuple(ij for ij, pair in pairs.items() if pair.empty))


def _margin(column: FloatArray, ordered: bool, levels: int, X: FloatArray, name: str) -> Margin:
    if not ordered:
        try:
            return numeric_margin(column, X)
        except DataError as why:
            raise DataError(f"{name!r}: {why}", columns=[name]) from None
    codes, values = codes_of(column)
    if len(values) != levels:
        raise DataError(f"{name!r} has {len(values)} categories in one group and {levels} over all; merge categories", columns=[name])
    return ordered_margin(codes, levels, X)


def _asymptotic_covariance(margins: Sequence[Margin], pairs: dict[tuple[int, int], Pair], q: int) -> FloatArray:
    """Return n · cov of [each margin's level, slopes, variance …, covariances] by the two-stage sandwich.

    A is block triangular, of cross products of scores: A₁₁ by margin, A₂₂ diagonal, A₂₁ each pair on its two margins.
    """
    n = len(margins[0].upper)
    start = np.cumsum([0, *(m.scores.shape[1] for m in margins)])
    size, count = int(start[-1]), len(pairs)
    first = np.hstack([m.scores for m in margins])
    second = np.column_stack([p.scores for p in pairs.values()]) if count else np.zeros((n, 0))
    scores = np.hstack([first, second])
    inner = scores.T @ scores
    inverse11 = np.zeros((size, size))
    for a, b in itertools.pairwise(start.tolist()):
        inverse11[a:b, a:b] = np.linalg.inv(inner[a:b, a:b])
    A21 = np.zeros((count, size))
    for row, ((i, j), pair) in enumerate(pairs.items()):
        A21[row, start[i] : start[i + 1]] = pair.first
        A21[row, start[j] : start[j + 1]] = pair.second
    own = np.diag(inner)[size:]
    B = np.zeros((size + count, size + count))
    B[:size, :size] = inverse11
    inverse22 = 1.0 / np.where(own > 0, own, np.inf)
    B[size:, size:] = np.diag(inverse22)
    B[size:, :size] = -inverse22[:, None] * (A21 @ inverse11)
    H = _to_covariances(margins, pairs, start)
    BH = H @ B
    return np.asarray(n * BH @ inner @ BH.T)


def _to_covariances(margins: Sequence[Margin], pairs: dict[tuple[int, int], Pair], start: FloatArray) -> FloatArray:
    """Return the Jacobian from correlations to covariances: cov = ρ sdᵢ sdⱼ, whose variances are estimated too."""
    size = int(start[-1])
    H = np.eye(size + len(pairs))
    for row, ((i, j), pair) in enumerate(pairs.items(), start=size):
        H[row, row] = margins[i].sd * margins[j].sd
        for k, other in ((i, j), (j, i)):
            if not margins[k].ordered:
                H[row, int(start[k + 1]) - 1] = pair.rho * margins[other].sd / (2.0 * margins[k].sd)
    return H


def _arranged(
    margins: Sequence[Margin], covariance: FloatArray, gamma: FloatArray, X: FloatArray, empty: tuple[tuple[int, int], ...]
) -> OrdinalMoments:
    """Return moments and Γ in the order of OrdinalMoments; Γ comes margin by margin."""
    p, q = len(margins), X.shape[1]
    ordered = np.array([m.ordered for m in margins])
    start = np.cumsum([0, *(m.scores.shape[1] for m in margins)])
    level = [list(range(start[j], start[j] + len(m.level))) for j, m in enumerate(margins)]
    slopes = [list(range(start[j] + len(m.level), start[j] + len(m.level) + q)) for j, m in enumerate(margins)]
    order = [k for kind in (True, False) for j in range(p) if bool(ordered[j]) is kind for k in level[j]]
    order += [k for j in range(p) for k in slopes[j]]
    order += [int(start[j + 1]) - 1 for j in range(p) if not ordered[j]]
    order += list(range(int(start[-1]), len(gamma)))
    i, j = np.tril_indices(p, -1)
    thresholds = tuple(m.level if m.ordered else np.zeros(0) for m in margins)
    means = np.array([0.0 if m.ordered else float(m.level[0]) for m in margins])
    B = np.array([m.slopes for m in margins]).reshape(p, q)
    variances = np.array([m.variance for m in margins])
    vector = np.concatenate([*thresholds, means[~ordered], B.ravel(), variances[~ordered], covariance[i, j]])
    plain = tuple(ordered_margin(m.codes, len(m.level) + 1, X[:, :0]).level if m.ordered else np.zeros(0) for m in margins)
    return OrdinalMoments(vector, gamma[np.ix_(order, order)], ordered, thresholds, plain, means, B, covariance, empty)
