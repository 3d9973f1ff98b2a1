"""Cross-products of casewise scores from one pass over the rows: scores are linear in the products of two variables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.linalg import solve_triangular

from causalsem._clusters import Clusters
from causalsem._values import FloatArray, IntArray
from causalsem.sem.discrepancy import NormalGroup
from causalsem.sem.matrices import columns_of, mean_jacobian
from causalsem.sem.sample import Sample
from causalsem.sem.scores import by_parameter, rows_of

# Rows, or clusters, whose products are taken at a time, so that they stay in cache; the largest number of products worth a square matrix.
CHUNK, WIDEST = 512, 300
# Rows whitened at a time. Whitening runs in scipy's BLAS and products in numpy's: where both have threads, those of one go on
# waiting for work while the other's run, so that taking turns at every chunk costs ten times the work itself.
BLOCK = 2**16


@dataclass(frozen=True, slots=True, eq=False)
class FourthMoments:
    """Σ t tᵀ (K, K) over the rows, t = (1, c, cᵢcⱼ for i ≥ j), with c = L⁻¹(y − mean) whitened by S = L Lᵀ against rounding.

    With clusters, t is summed within each of them first, and `sums` adds up the terms of their spread.
    """

    n: int
    L: FloatArray
    mean: FloatArray
    sums: FloatArray

    @classmethod
    def of(cls, sample: Sample) -> FourthMoments:
        """Return the sums of one sample's rows."""
        rows = rows_of(sample, "a robust standard error")
        L = np.asarray(np.linalg.cholesky(sample.covariance), dtype=np.float64)
        white = Whitened(rows, sample.mean, L)
        return cls(len(rows), L, sample.mean, _squared(white) if sample.clusters is None else _spread(white, sample.clusters))

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


@dataclass(frozen=True, slots=True, eq=False)
class Whitened:
    """Rows (n, p) and what whitens them, part by part."""

    rows: FloatArray
    mean: FloatArray
    L: FloatArray

    def part(self, chosen: slice | IntArray) -> FloatArray:
        """Return (1, c) of some rows, (1 + p, m)."""
        c = solve_triangular(self.L, (self.rows[chosen] - self.mean).T, lower=True, check_finite=False)
        return np.concatenate([np.ones((1, c.shape[1])), c])


def _places(p: int) -> tuple[IntArray, IntArray]:
    """Return rows and columns of (1, c)(1, c)ᵀ, (1 + p, 1 + p), at which t has its entries."""
    i, j = np.tril_indices(p)
    none = np.zeros(1 + p, dtype=np.int64)
    return np.concatenate([np.arange(1 + p), i + 1]), np.concatenate([none, j + 1])


def _squared(white: Whitened) -> FloatArray:
    """Return Σ t tᵀ over the rows."""
    i, j = _places(white.rows.shape[1])
    sums = np.zeros((len(i),) * 2)
    for block in range(0, len(white.rows), BLOCK):
        whitened = white.part(slice(block, block + BLOCK))
        for first in range(0, whitened.shape[1], CHUNK):
            c = whitened[:, first : first + CHUNK]
            t = c[i] * c[j]  # (K, chunk)
            sums += t @ t.T
    return sums


def _spread(white: Whitened, clusters: Clusters) -> FloatArray:
    """Return the spread of t by the terms of the clusters."""
    parts = [term.factor * (_squared(white) if term.member is None else _squared_by(white, term.member)) for term in clusters.terms()]
    return np.asarray(sum(parts))


def _squared_by(white: Whitened, member: IntArray) -> FloatArray:
    """Return Σ (Σ t)(Σ t)ᵀ over clusters: the sum of t in a cluster is the Gram matrix of its (1, c)."""
    i, j = _places(white.rows.shape[1])
    order, edges = np.argsort(member, kind="stable"), np.concatenate([[0], np.cumsum(np.bincount(member))])
    sums = np.zeros((len(i),) * 2)
    for clusters in _blocks(edges):
        whitened = np.ascontiguousarray(white.part(order[clusters[0] : clusters[-1]]).T)
        for first in range(0, len(clusters) - 1, CHUNK):
            of = clusters[first : first + CHUNK + 1] - clusters[0]
            grams = np.array([c.T @ c for c in np.split(whitened[of[0] : of[-1]], of[1:-1] - of[0])])
            t = grams[:, i, j]  # (clusters, K)
            sums += t.T @ t
    return sums


def _blocks(edges: IntArray) -> Iterator[IntArray]:
    """Cut the edges (G + 1,) of clusters that lie one after the other into parts of whole clusters, each about a block of rows."""
    starts = np.unique(np.searchsorted(edges, np.arange(0, edges[-1], BLOCK)))
    for first, stop in pairwise([*starts.tolist(), len(edges) - 1]):
        yield edges[first : stop + 1]


def are_worthwhile(samples: Sequence[Sample]) -> bool:
    """Tell whether fourth moments are quicker than scores of every row: complete rows, more than products."""
    p = len(samples[0].names)
    products = 1 + p + p * (p + 1) // 2
    return products <= WIDEST and all(s.rows is not None and not s.patterns and len(s.rows) > products for s in samples)


def summed_cross_products(groups: Sequence[NormalGroup], moments: Sequence[FourthMoments], count: int, *, centred: bool) -> FloatArray:
    """Return Σ sᵢsᵢᵀ / n over the rows of all groups, (count, count), of scores or of their moments centred in each group.

    What is centred knows of no clusters.
    """
    n = sum(m.n for m in moments)
    whole = np.zeros((count, count))
    for m, g in zip(moments, groups, strict=True):
        C = m.coefficients(g, count, of_moments=centred)
        total = m.sums[0] @ C
        whole += C.T @ m.sums @ C - (np.outer(total, total) / m.sums[0, 0] if centred else 0.0)
    return whole / n
