"""What searches work on: correlations of one or many data sets, where a variable may be a block of columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import gammaln, log_ndtr, ndtri, ndtri_exp

from causalsem._values import FloatArray, IntArray, frozen


class Tests(Protocol):
    """Independence tests of p variables in `size` data sets of `n` rows each: a Stack, or tests that read rows."""

    @property
    def size(self) -> int:
        """How many data sets there are."""

    @property
    def p(self) -> int:
        """How many variables there are."""

    @property
    def n(self) -> float:
        """How many rows each data set has."""

    def z(self, pairs: IntArray, sets: IntArray) -> FloatArray:
        """Return |z| (g, k) of the tests of pairs (b, i, j) (g, 3) given sets (g, k, size)."""

    def strength(self, b: int) -> FloatArray:
        """Return how strongly the variables of one data set depend pairwise, (p, p)."""


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Correlation matrices of B data sets of `n` rows each, for p variables.

    Without `widths`, R is (B, p, p). With widths (p,) a variable is a block of columns and R is (B, W·p, W·p): the
    columns from W·k on are variable k's. Those beyond its width are dummies of variance 1 that are correlated with
    nothing, so that every block has the same shape and no determinant changes. W is 2, or the largest width if that
    is more.
    """

    R: FloatArray
    n: float
    widths: IntArray | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "R", frozen(self.R))

    @property
    def size(self) -> int:
        """How many data sets there are."""
        return len(self.R)

    @property
    def p(self) -> int:
        """How many variables there are."""
        return self.R.shape[1] if self.widths is None else len(self.widths)

    @property
    def block(self) -> int:
        """How many columns of R each variable has, dummies included."""
        return 1 if self.widths is None else self.R.shape[1] // len(self.widths)

    @property
    def columns(self) -> IntArray:
        """How many real columns each variable has."""
        return np.ones(self.p, dtype=np.int64) if self.widths is None else self.widths

    def part(self, start: int, stop: int) -> Stack:
        """Return the data sets from start to stop."""
        return Stack(self.R[start:stop], self.n, self.widths)

    def strength(self, b: int) -> FloatArray:
        """Return how strongly the variables of one data set depend pairwise, (p, p): the (largest) absolute correlation."""
        R = np.abs(self.R[b])
        if self.widths is None:
            return R
        return np.asarray(R.reshape(self.p, self.block, self.p, self.block).sum(axis=(1, 3)))

    def z(self, pairs: IntArray, sets: IntArray) -> FloatArray:
        """Return |z| (g, k) of the tests of pairs (b, i, j) (g, 3) given sets (g, k, size)."""
        if self.widths is None:
            return z_statistic(self.partial_correlations(pairs, sets), self.n - sets.shape[2])
        lost = self.widths[sets].sum(axis=2)
        df = (self.widths[pairs[:, 1]] * self.widths[pairs[:, 2]])[:, None]
        return block_z(self._explained(pairs, sets), df, self.n - lost)

    def partial_correlations(self, pairs: IntArray, sets: IntArray) -> FloatArray:
        """Return the partial correlations (g, k) of pairs (b, i, j) (g, 3) given sets (g, k, size)."""
        a = self._residual(pairs, sets)
        s = sets.shape[2]
        scale = np.sqrt(np.maximum(np.asarray(a[s, s]) * a[s + 1, s + 1], 1e-300))
        return np.asarray(a[s, s + 1] / scale).reshape(sets.shape[:2])

    def _explained(self, pairs: IntArray, sets: IntArray) -> FloatArray:
        """Return 1 − Wilks' Λ (g, k) of the blocks of pairs (g, 3) given the blocks of sets (g, k, size)."""
        a = self._residual(pairs, sets)
        W, shape = self.block, (sets.shape[0] * sets.shape[1],)
        first = W * sets.shape[2]
        C = np.array([[np.broadcast_to(a[first + min(s, t), first + max(s, t)], shape) for t in range(2 * W)] for s in range(2 * W)])
        return (pair_statistic(C) if W == 2 else wide_statistic(C)).reshape(sets.shape[:2])

    def _residual(self, pairs: IntArray, sets: IntArray) -> dict[tuple[int, int], FloatArray | float]:
        """Return what covariance of the pair's columns is left given the set's, at the last 2·W places (s ≤ t).

        Gaussian elimination with the columns of the set as pivots, all tests at once.
        """
        g, k, size = sets.shape
        width = self.block
        flat = sets.reshape(g * k, size)
        variables = [flat[:, s] for s in range(size)] + [np.repeat(pairs[:, end], k) for end in (1, 2)]
        index = [width * variable + c for variable in variables for c in range(width)]
        q = width * self.p
        base = np.repeat(pairs[:, 0] * q, k)
        R, last = self.R.reshape(-1), len(index)
        a: dict[tuple[int, int], FloatArray | float] = {
            (s, t): R[(base + index[s]) * q + index[t]] for s in range(last) for t in range(s + 1, last)
        }
        a |= {(s, s): 1.0 for s in range(last)}
        for pivot in range(width * size):
            for s in range(pivot + 1, last):
                factor = a[pivot, s] / a[pivot, pivot]
                for t in range(s, last):
                    a[s, t] = a[s, t] - factor * a[pivot, t]
        return a


def padded(R: FloatArray, columns: list[list[int]]) -> FloatArray:
    """Return correlations (B, W·p, W·p) of blocks from those of columns R (B, q, q); columns[k] lists those of variable k."""
    W = max(2, *(len(c) for c in columns))
    place = np.array([[*c, *[-1] * (W - len(c))] for c in columns]).reshape(-1)
    real = place >= 0
    wide = np.broadcast_to(np.eye(len(place)), (len(R), len(place), len(place))).copy()
    wide[:, np.ix_(real, real)[0], np.ix_(real, real)[1]] = R[:, place[real][:, None], place[real][None, :]]
    return wide


def z_statistic(r: FloatArray, n: float) -> FloatArray:
    """Return |z| of Fisher's test of partial correlations r from n rows (less the size of the conditioning set)."""
    return np.asarray(np.sqrt(n - 3) * np.arctanh(np.minimum(np.abs(r), 1 - 1e-16)))


def wide_statistic(C: FloatArray) -> FloatArray:
    """Return 1 − Wilks' Λ of the two blocks of covariances C (2W, 2W, …), for any W."""
    W = len(C) // 2
    both = np.moveaxis(C, (0, 1), (-2, -1))
    log_det = (np.linalg.slogdet(m)[1] for m in (both, both[..., :W, :W], both[..., W:, W:]))
    return np.asarray(-np.expm1(next(log_det) - next(log_det) - next(log_det)))


def pair_statistic(C: FloatArray) -> FloatArray:
    """Return 1 − Wilks' Λ of the two blocks of covariances C (4, 4, …): the blocks' share of explained variance.

    With M the cross-covariance of the whitened blocks, Λ = det(I − M Mᵀ) = 1 − ‖M‖² + det(M)² for blocks of two.
    """
    M = whiten(C[:2, :2], C[:2, 2:], C[2:, 2:])
    return np.asarray((M**2).sum(axis=(0, 1)) - (M[0, 0] * M[1, 1] - M[0, 1] * M[1, 0]) ** 2)


def whiten(A: FloatArray, cross: FloatArray, B: FloatArray) -> FloatArray:
    """Return L_A⁻¹ cross L_B⁻ᵀ (2, 2, …) of covariances A, B (2, 2, …) with Cholesky factors L."""
    left = _solve_lower(A, cross)
    return np.swapaxes(_solve_lower(B, np.swapaxes(left, 0, 1)), 0, 1)


def _solve_lower(A: FloatArray, rows: FloatArray) -> FloatArray:
    """Return L⁻¹ rows for the Cholesky factor L of A, all (2, 2, …)."""
    a = np.sqrt(np.maximum(A[0, 0], 1e-300))
    b = A[1, 0] / a
    c = np.sqrt(np.maximum(A[1, 1] - b**2, 1e-300))
    first = rows[0] / a
    return np.stack([first, (rows[1] - b * first) / c])


def block_z(explained: FloatArray, df: IntArray, n: FloatArray | float) -> FloatArray:
    """Return the |z| that is as unlikely as Wilks' Λ = 1 − explained is for independent blocks (Bartlett 1938).

    −factor·log Λ is χ² with df = product of the widths; n is the number of rows less the size of what was conditioned
    on. Far tails are kept in logarithms.
    """
    chi = -np.maximum(n - 2 - df / 4, 1.0) * np.log1p(-np.clip(explained, 0.0, 1 - 1e-16))
    return np.asarray(np.where(df == 1, np.sqrt(chi), z_of_log_p(log_chi_square_tail(chi, df))))


def z_of_level(alpha: float) -> float:
    """Return the |z| beyond which a two-sided test of this level rejects."""
    return float(-ndtri(alpha / 2))


def z_of_log_p(log_p: FloatArray) -> FloatArray:
    """Return the |z| whose two-sided p-value has this logarithm."""
    return np.asarray(-ndtri_exp(np.minimum(log_p, 0.0) - np.log(2)))


def log_chi_square_tail(chi: FloatArray, df: IntArray | int) -> FloatArray:
    """Return log P(χ²_df > chi) in closed form, for whole df ≥ 1; far tails stay finite (Abramowitz & Stegun 26.4.4–5)."""
    df, half = np.broadcast_arrays(np.asarray(df), np.asarray(chi, dtype=np.float64) / 2)
    with np.errstate(divide="ignore"):
        log_half = np.log(half)
    # P(|Z| > √chi) for odd df, nothing for even df; then halfᵏ e^−half / Γ(k + 1), k from 0 or ½ on.
    total = np.where(df % 2 == 1, np.log(2) + log_ndtr(-np.sqrt(2 * half)), -np.inf)
    for t in range(int(df.max(initial=0)) // 2):
        k = t + 0.5 * (df % 2)
        term = np.where(k == 0, 0.0, k * np.where(k == 0, 0.0, log_half)) - gammaln(k + 1) - half
        total = np.where(t < df // 2, np.logaddexp(total, term), total)
    return np.asarray(np.minimum(total, 0.0))
