"""Cross-products of casewise scores from one pass over the rows: scores are linear in the products of two variables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from causalsem._values import FloatArray
from causalsem.sem.discrepancy import NormalGroup
from causalsem.sem.matrices import columns_of, mean_jacobian
from causalsem.sem.sample import Sample
from causalsem.sem.scores import by_parameter, rows_of

# Rows taken at a time, so that their products stay in cache; and the largest number of products worth a square matrix.
CHUNK, WIDEST = 2048, 300


@dataclass(frozen=True, slots=True, eq=False)
class FourthMoments:
    """Σ t tᵀ (K, K) over the rows, t = (1, c, cᵢcⱼ for i ≥ j), with c = L⁻¹(y − mean) whitened by S = L Lᵀ against rounding."""

    L: FloatArray
    mean: FloatArray
    sums: FloatArray

    @classmethod
    def of(cls, sample: Sample) -> FourthMoments:
        """Return the sums of one sample's rows."""
        rows = rows_of(sample, "a robust standard error")
        p = rows.shape[1]
        L = np.asarray(np.linalg.cholesky(sample.covariance), dtype=np.float64)
        i, j = np.tril_indices(p)
        sums = np.zeros((1 + p + len(i),) * 2)
        for first in range(0, len(rows), CHUNK):
            c = solve_triangular(L, (rows[first : first + CHUNK] - sample.mean).T, lower=True, check_finite=False)
            t = np.concatenate([np.ones((1, c.shape[1])), c, c[i] * c[j]])  # (K, chunk)
            sums += t @ t.T
        return cls(L, sample.mean, sums)

    def coefficients(self, group: NormalGroup, count: int, *, of_moments: bool) -> FloatArray:
        """Return C (K, count) with scores t C at one θ: h[(rᵀWu)(rᵀWv) − uᵀWv] + rᵀW ∂μ, r = L c + (mean − μ).

        `of_moments` leaves out mean − μ: DᵀV times the row's own moments about the sample mean.
        """
        ram, W = group.ram, group.W
        Z = columns_of(group.implied)
        WZ = W @ Z
        shift = self.mean - group.implied.mu if ram.means and not of_moments else np.zeros(ram.p)
        slope, level = self.L.T @ WZ, shift @ WZ  # rᵀWz = cᵀ slope + level
        a, b, a0, b0 = slope[:, ram.u], slope[:, ram.v], level[ram.u], level[ram.v]
        i, j = np.tril_indices(ram.p)
        squares = np.where((i == j)[:, None], a[i] * b[i], a[i] * b[j] + a[j] * b[i])
        constant = a0 * b0 - np.einsum("pe,pe->e", Z[:, ram.u], WZ[:, ram.v])
        entries = ram.h * np.vstack([constant, a * b0 + b * a0, squares])
        if ram.means:
            WJ = W @ mean_jacobian(ram, group.implied)
            entries = np.hstack([entries, np.zeros((len(entries), len(ram.m_row)))])
            entries[0] += shift @ WJ
            entries[1 : 1 + ram.p] += self.L.T @ WJ
        return by_parameter(entries, ram.parameters, count)


def are_worthwhile(samples: Sequence[Sample]) -> bool:
    """Tell whether fourth moments are quicker than scores of every row: complete rows, without clusters, more than products."""
    p = len(samples[0].names)
    products = 1 + p + p * (p + 1) // 2
    return products <= WIDEST and all(
        s.rows is not None and not s.patterns and s.clusters is None and len(s.rows) > products for s in samples
    )


def summed_cross_products(groups: Sequence[NormalGroup], moments: Sequence[FourthMoments], count: int, *, centred: bool) -> FloatArray:
    """Return Σ sᵢsᵢᵀ / n over the rows of all groups, (count, count), of scores or of their moments centred in each group."""
    n = sum(float(m.sums[0, 0]) for m in moments)
    whole = np.zeros((count, count))
    for m, g in zip(moments, groups, strict=True):
        C = m.coefficients(g, count, of_moments=centred)
        total = m.sums[0] @ C
        whole += C.T @ m.sums @ C - (np.outer(total, total) / m.sums[0, 0] if centred else 0.0)
    return whole / n
