"""Rows for engines that take nothing else: few of them, with exactly the moments that we hold."""

from __future__ import annotations

import numpy as np

from causalsem._values import FloatArray
from causalsem.behaviour import Moments


def pseudo_rows(data: Moments) -> FloatArray:
    """Return m rows (m, p) of mean zero whose correlations are exactly the moments', m = 2 p + 2."""
    R = data.correlation
    p = len(R)
    m = 2 * p + 2
    # Discrete cosines: orthonormal columns, and all but the first sum to zero.
    k, t = np.arange(1, p + 1), np.arange(m)
    waves = np.sqrt(2 / m) * np.cos(np.pi * k * (t[:, None] + 0.5) / m)
    return np.asarray(waves @ np.linalg.cholesky(R).T * np.sqrt(m))


def penalty_for(data: Moments, rows: FloatArray, penalty_discount: float) -> float:
    """Return the multiple of BIC's penalty that weighs on the pseudo rows as `penalty_discount` does on all n rows."""
    n, m = data.n, len(rows)
    return float(penalty_discount * (np.log(n) / n) * (m / np.log(m)))
