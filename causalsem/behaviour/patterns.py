"""Missing-data patterns, and the ML mean and covariance of incomplete rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from causalsem._values import BoolArray, FloatArray, IntArray, frozen
from causalsem.errors import NoRowsError

# lavaan's own start and stop: these moments serve as start and for residuals, and so agree with lavaan's residuals;
# the saturated likelihood behind χ² is taken to its optimum by Newton's method instead.
EM_STEPS, EM_CLOSE = 500, 1e-5


@dataclass(frozen=True, slots=True, eq=False)
class Pattern:
    """The rows that have exactly the variables `seen`: how many, their mean and covariance (divisor n), and which rows they are."""

    seen: IntArray
    n: int
    mean: FloatArray
    covariance: FloatArray
    rows: IntArray


def patterns_of(rows: FloatArray) -> tuple[Pattern, ...]:
    """Return the missing-data patterns of an (n, p) array; rows without any value are left out."""
    seen = ~np.isnan(rows)
    kinds, member = np.unique(seen, axis=0, return_inverse=True)
    order = np.argsort(member.ravel(), kind="stable")
    ends = np.cumsum(np.bincount(member.ravel()))
    out = []
    for kind, index in zip(kinds, np.split(order, ends[:-1]), strict=True):
        where = np.flatnonzero(kind)
        if not len(where):
            continue
        part = rows[index[:, None], where]
        mean = part.mean(axis=0)
        centred = part - mean
        out.append(Pattern(where, len(index), frozen(mean), frozen(centred.T @ centred / len(index)), index))
    if not out:
        raise NoRowsError("no row has any value of the model's variables; check the columns")
    return tuple(out)


@dataclass(frozen=True, slots=True, eq=False)
class PatternStack:
    """P patterns as arrays, padded with zeros to all p variables: `seen` (P, p), `n` (P,), `mean` (P, p), `covariance` (P, p, p)."""

    seen: BoolArray
    n: FloatArray
    mean: FloatArray
    covariance: FloatArray

    @classmethod
    def of(cls, patterns: Sequence[Pattern], p: int) -> PatternStack:
        """Return the stack of some patterns of p variables."""
        seen, mean = np.zeros((len(patterns), p), dtype=bool), np.zeros((len(patterns), p))
        covariance = np.zeros((len(patterns), p, p))
        for k, pattern in enumerate(patterns):
            seen[k, pattern.seen], mean[k, pattern.seen] = True, pattern.mean
            covariance[k, pattern.seen[:, None], pattern.seen] = pattern.covariance
        return cls(seen, np.array([k.n for k in patterns], dtype=np.float64), mean, covariance)

    def inverses(self, sigma: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return inverse (P, p, p; zero where unseen) and log determinant (P,) of what each pattern sees of Σ.

        Raises LinAlgError where that is not positive definite.
        """
        both = self.seen[:, :, None] & self.seen[:, None, :]
        # What is unseen gets a unit variance of its own, which changes neither the determinant nor the inverse of the rest.
        padded = np.where(both, sigma, np.eye(len(sigma)))
        factor = np.linalg.cholesky(padded)
        half = np.linalg.inv(factor)
        logdet = 2.0 * np.log(factor.diagonal(axis1=1, axis2=2)).sum(axis=1)
        return np.where(both, half.swapaxes(1, 2) @ half, 0.0), logdet


def em_moments(patterns: tuple[Pattern, ...], p: int) -> tuple[FloatArray, FloatArray]:
    """Return mean and covariance (divisor n) near the ML estimates from incomplete rows, by EM (Dempster, Laird & Rubin 1977)."""
    stack = PatternStack.of(patterns, p)
    share = stack.n / stack.n.sum()
    mean, covariance = _available(patterns, p)
    for _ in range(EM_STEPS):
        # Moments of the completed rows: E[y] = m + B (y_seen − m_seen), and what stays uncertain of the unseen.
        B = covariance @ stack.inverses(covariance)[0]
        filled = mean + ((stack.mean - mean * stack.seen)[:, None, :] @ B.swapaxes(1, 2))[:, 0]
        left = covariance - B @ covariance
        completed = B @ stack.covariance @ B.swapaxes(1, 2) + left + filled[:, :, None] * filled[:, None, :]
        new = share @ filled
        spread = np.tensordot(share, completed, axes=1) - np.outer(new, new)
        moved = max(float(np.abs(spread - covariance).max()), float(np.abs(new - mean).max()))
        mean, covariance = new, (spread + spread.T) / 2
        if moved < EM_CLOSE:
            break
    return mean, covariance


def _available(patterns: tuple[Pattern, ...], p: int) -> tuple[FloatArray, FloatArray]:
    """Return the means and (diagonal) variances of the values that are there."""
    n, total, square = np.zeros(p), np.zeros(p), np.zeros(p)
    for k in patterns:
        n[k.seen] += k.n
        total[k.seen] += k.n * k.mean
        square[k.seen] += k.n * (np.diag(k.covariance) + k.mean**2)
    mean = total / np.maximum(n, 1)
    return mean, np.diag(np.maximum(square / np.maximum(n, 1) - mean**2, 1e-12))


def pairwise_moments(rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return means of what is there, and covariances of the rows that have both variables (divisor n_ij − 1, times (n − 1)/n)."""
    there = ~np.isnan(rows)
    seen, filled = there.astype(np.float64), np.where(there, rows, 0.0)
    mean = filled.sum(axis=0) / seen.sum(axis=0)
    centred = np.where(there, rows - mean, 0.0)
    n, sums = seen.T @ seen, centred.T @ seen  # sums[i, j]: Σ of i over the rows that have j
    covariance = (centred.T @ centred - sums * sums.T / n) / (n - 1.0)
    return mean, covariance * (len(rows) - 1) / len(rows)
