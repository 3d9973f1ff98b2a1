"""Positive definite matrices that fall into blocks, as the information of a recursive model does equation by equation."""

from __future__ import annotations

import numpy as np
from scipy.linalg import lapack
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from causalsem._values import FloatArray, IntArray

# Below this size one factorisation is quicker than looking for blocks; entries at unit diagonal below NOTHING are rounding.
SMALL, NOTHING = 150, 1e-14
# Below this, the smallest eigenvalue of the information scaled to unit diagonal cannot be told from zero.
SINGULAR = 1e-11


def independent_blocks(scaled: FloatArray) -> list[IntArray]:
    """Return index sets that a symmetric matrix of unit diagonal does not connect; one set where it is small."""
    if len(scaled) < SMALL:
        return [np.arange(len(scaled))]
    count, label = connected_components(csr_array(np.abs(scaled) > NOTHING), directed=False)
    return np.split(np.argsort(label, kind="stable"), np.cumsum(np.bincount(label, minlength=count))[:-1])


def inverse_by_blocks(scaled: FloatArray) -> FloatArray | None:
    """Return the inverse of a matrix of unit diagonal, or None where it is not positive definite."""
    blocks = independent_blocks(scaled)
    if len(blocks) == 1:
        return _inverse(scaled)
    out = np.zeros_like(scaled)
    for block in blocks:
        inverse = _inverse(scaled[np.ix_(block, block)])
        if inverse is None:
            return None
        out[np.ix_(block, block)] = inverse
    return out


def solution_by_blocks(scaled: FloatArray, b: FloatArray, least_pivot: float) -> FloatArray | None:
    """Return x with Mx = b for M of unit diagonal, or None where a pivot of its factor is below `least_pivot`."""
    out = np.empty_like(b)
    blocks = independent_blocks(scaled)
    for block in blocks:
        part = scaled if len(blocks) == 1 else scaled[np.ix_(block, block)]
        factor, info = lapack.dpotrf(part, lower=1)
        if info != 0 or factor.diagonal().min() < least_pivot:
            return None
        out[block] = lapack.dpotrs(factor, b[block], lower=1)[0]
    return out


def _inverse(scaled: FloatArray) -> FloatArray | None:
    factor, info = lapack.dpotrf(scaled, lower=1, clean=1)
    # The smallest pivot bounds the smallest eigenvalue from above; eigenvalues are only computed when it is small.
    if info != 0 or (factor.diagonal().min() ** 2 < 1e-6 and np.linalg.eigvalsh(scaled)[0] < SINGULAR):
        return None
    half = lapack.dpotri(factor, lower=1)[0]
    inverse = half + half.T
    inverse.flat[:: len(inverse) + 1] *= 0.5
    return np.asarray(inverse)
