"""Sums over many Gram matrices of products of two of their entries, looked up at the entries of a model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causalsem._values import FloatArray, IntArray
from causalsem.sem.matrices import RAM

# Above this many pairs of columns for each entry, forming all products costs more than looking up those that are needed.
MOST_PAIRS = 6


@dataclass(frozen=True, slots=True, eq=False)
class GramProducts:
    """The columns of Z that some entry uses (c,), the numbers of an entry's u and v among them, and of each pair (c, c) of them.

    `few` says whether there are so few pairs that Σ_P G_P ⊗ H_P over them is one matrix product.
    """

    columns: IntArray
    u: IntArray
    v: IntArray
    pair: IntArray
    few: bool

    @classmethod
    def of(cls, ram: RAM) -> GramProducts:
        """Return the columns and pairs of a model's covariance entries."""
        nc = len(ram.u)
        columns, place = np.unique(np.concatenate([ram.u, ram.v]), return_inverse=True)
        c = len(columns)
        i, j = np.tril_indices(c)
        pair = np.zeros((c, c), dtype=np.int64)
        pair[i, j] = pair[j, i] = np.arange(len(i))
        return cls(columns, place[:nc], place[nc:], pair, len(i) <= MOST_PAIRS * nc)

    def summed(self, G: FloatArray, H: FloatArray, share: FloatArray) -> FloatArray:
        """Return Σ share (uᵢGuⱼ vᵢHvⱼ + vᵢGvⱼ uᵢHuⱼ + uᵢGvⱼ vᵢHuⱼ + vᵢGuⱼ uᵢHvⱼ) over entries i, j, (nc, nc).

        G and H are stacks (P, c, c) of symmetric matrices.
        """
        u, v = self.u, self.v
        if self.few:
            i, j = np.tril_indices(len(self.columns))
            whole = (share[:, None] * G[:, i, j]).T @ H[:, i, j]
            of_u, of_v = self.pair[u], self.pair[v]
            uu, uv, vu, vv = of_u[:, u], of_u[:, v], of_v[:, u], of_v[:, v]
            return np.asarray(whole[uu, vv] + whole[vv, uu] + whole[uv, vu] + whole[vu, uv])
        gu, gv, hu, hv = G[:, u], G[:, v], H[:, u], H[:, v]
        squares = gu[:, :, u] * hv[:, :, v] + gv[:, :, v] * hu[:, :, u]
        return np.asarray(np.tensordot(share, squares + gu[:, :, v] * hv[:, :, u] + gv[:, :, u] * hu[:, :, v], axes=1))
