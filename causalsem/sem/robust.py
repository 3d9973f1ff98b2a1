"""Sandwich standard errors and scaled test statistics for data that are not normal, or come in clusters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causalsem._values import FloatArray
from causalsem.sem.discrepancy import NormalPoint
from causalsem.sem.fiml import FIMLPoint
from causalsem.sem.sample import Sample
from causalsem.sem.scores import by_parameter, entry_scores, rows_of


def score_matrix(point: NormalPoint | FIMLPoint, samples: tuple[Sample, ...], *, of_moments: bool = False) -> FloatArray:
    """Return the casewise scores of all groups, (n, k): ∂logl_i/∂θ.

    `of_moments` gives DᵀV (mᵢ − m) instead, with mᵢ the row's own moments about the sample mean (complete rows only).
    """
    groups = iter(point.groups)
    blocks = []
    for sample in samples:
        rows = rows_of(sample, "a robust standard error")
        if sample.patterns:
            block = np.zeros((len(rows), point.count))
            for pattern in sample.patterns:
                g = next(groups)
                centred = np.zeros((pattern.n, g.ram.p))
                centred[:, pattern.seen] = rows[np.ix_(pattern.rows, pattern.seen)] - g.implied.mu[pattern.seen]
                block[pattern.rows] = by_parameter(entry_scores(g.ram, g.implied, g.W, centred), g.ram.parameters, point.count)
        else:
            g = next(groups)
            centred = rows - (g.implied.mu if g.ram.means and not of_moments else sample.mean)
            block = by_parameter(entry_scores(g.ram, g.implied, g.W, centred), g.ram.parameters, point.count)
            block = block - block.mean(axis=0) if of_moments else block
        blocks.append(block)
    return np.vstack(blocks)


def cross_products(scores: FloatArray, samples: tuple[Sample, ...]) -> FloatArray:
    """Return Σ sᵢsᵢᵀ / n, (k, k), with scores summed within clusters where there are any, group by group as lavaan does."""
    n = len(scores)
    if samples[0].clusters is None:
        return np.asarray(scores.T @ scores / n)
    out, first = np.zeros((scores.shape[1],) * 2), 0
    for sample in samples:
        assert sample.clusters is not None  # all groups have them, or none
        out += sample.clusters.spread(scores[first : first + sample.n])
        first += sample.n
    return out / n


def sandwich(bread: FloatArray, meat: FloatArray) -> FloatArray:
    """Return A⁻¹ B A⁻¹ (Huber 1967), given A⁻¹ and B."""
    return bread @ meat @ bread


@dataclass(frozen=True, slots=True)
class ScaledTest:
    """A scaled χ²: T / `factor` + `shift`, on `df` degrees of freedom where they differ from the model's.

    `h1` and `h0` are the scaling factors of the two log-likelihoods behind Yuan & Bentler's test.
    """

    factor: float
    shift: float = 0.0
    df: float | None = None
    h1: float | None = None
    h0: float | None = None


def scaled_by_moments(
    jacobians: list[FloatArray],
    metrics: list[FloatArray],
    gammas: list[FloatArray],
    weights: FloatArray,
    K: FloatArray,
    df: int,
    kind: str,
) -> ScaledTest:
    """Return the test of Satorra & Bentler (1994), "mean.var.adjusted", or Asparouhov & Muthén's (2010) "scaled.shifted".

    All rest on U Γ, with U = V − V D (DᵀVD)⁻¹ DᵀV, V the weight of the moments and Γ their covariance.
    """
    D = np.vstack(jacobians) @ K
    V = block_diagonal([w * one for one, w in zip(metrics, weights, strict=True)])
    VD = V @ D
    UG = (V - VD @ np.linalg.solve(D.T @ VD, VD.T)) @ block_diagonal([one / w for one, w in zip(gammas, weights, strict=True)])
    first = float(np.trace(UG))
    if kind == "satorra.bentler":
        return ScaledTest(first / df)
    second = float(np.vdot(UG.T, UG))
    if kind == "mean.var.adjusted":
        return ScaledTest(second / first, 0.0, first**2 / second)
    a = float(np.sqrt(df / second))
    return ScaledTest(1.0 / a, df - a * first)


def block_diagonal(matrices: list[FloatArray]) -> FloatArray:
    """Return matrices along the diagonal of one."""
    if len(matrices) == 1:
        return matrices[0]
    size = sum(len(m) for m in matrices)
    out, at = np.zeros((size, size)), 0
    for m in matrices:
        out[at : at + len(m), at : at + len(m)] = m
        at += len(m)
    return out
