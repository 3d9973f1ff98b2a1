"""Covariance of the estimates from the information, and the delta method."""

from __future__ import annotations

import numpy as np

from causalsem._values import FloatArray
from causalsem.sem.blocks import inverse_by_blocks
from causalsem.sem.constraints import null_space


def covariance_of_estimates(information: FloatArray, n: float, J: FloatArray) -> FloatArray | None:
    """Return K (Kᵀ I K)⁻¹ Kᵀ / n with J K = 0 (plainly I⁻¹ / n without constraints), or None when I is singular."""
    inverse = invert_information(information) if not len(J) else _constrained(information, J)
    return None if inverse is None else inverse / n


def _constrained(information: FloatArray, J: FloatArray) -> FloatArray | None:
    K = null_space(J)
    inner = invert_information(K.T @ information @ K)
    return None if inner is None else K @ inner @ K.T


def invert_information(information: FloatArray) -> FloatArray | None:
    """Return the inverse of a positive definite matrix, scaled to unit diagonal on the way, or None."""
    if not len(information):
        return information
    diagonal = information.diagonal()
    if not diagonal.min() > 0 or not np.isfinite(information).all():
        return None
    scale = 1.0 / np.sqrt(diagonal)
    scaled = information * scale * scale[:, None]
    inverse = inverse_by_blocks(scaled)
    if inverse is None:
        return None
    inverse *= scale
    inverse *= scale[:, None]
    return inverse


def delta_se(gradients: FloatArray, vcov: FloatArray) -> FloatArray:
    """Return √(g V gᵀ) for every row of `gradients` (m, k): the delta method (Oehlert 1992)."""
    return np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", gradients, vcov, gradients), 0.0))
