"""The Gaussian BIC score from moments: log-likelihood − penalty_discount · log(n) / 2 · parameters."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from causalsem._values import FloatArray
from causalsem.discovery.stack import Stack, pair_statistic, wide_statistic
from causalsem.errors import SettingError
from causalsem.graph.pdag import bits


class GaussianBIC:
    """Local scores of a linear Gaussian model from data set b of a stack (Schwarz 1978; blocks as Andrews et al. 2019).

    The score of a DAG is Σ over nodes of −n/2·log det(residual covariance) − price·(number of path coefficients), up
    to a constant, with price = penalty_discount·log(n)/2: the usual BIC at penalty_discount 1. A node that is a block
    of v columns has a v × v residual covariance, and v·w coefficients for a parent of w columns.
    """

    def __init__(self, stack: Stack, b: int, penalty_discount: float) -> None:
        self.R, self.n, self.p = stack.R[b], stack.n, stack.p
        self.strength = stack.strength(b)
        self.widths, self.block = stack.widths, stack.block
        self.price = penalty_discount * np.log(stack.n) / 2
        # [u, k]: path coefficients that k as a parent of u brings.
        self.coefficients = np.ones((self.p, self.p)) if self.widths is None else np.outer(self.widths, self.widths).astype(np.float64)
        # Gains below this are rounding noise: totals are of the order of n.
        self.noise = 1e-7 + 1e-13 * stack.n * stack.p
        self._gains: dict[tuple[int, int], FloatArray] = {}

    def gains(self, node: int, given: int) -> FloatArray:
        """Return, for every variable (p,), the gain in score when it joins the parents `given` (mask) of `node`."""
        known = self._gains.get((node, given))
        if known is None:
            explained = self._explained if self.widths is None else self._explained_by_blocks
            known = self._gains[node, given] = self._gain_of(explained(node, given), node)
        return known

    def _gain_of(self, explained: FloatArray, node: int) -> FloatArray:
        return np.asarray(-self.n / 2 * np.log1p(-np.clip(explained, 0.0, 1 - 1e-15)) - self.price * self.coefficients[node])

    def _explained(self, node: int, given: int) -> FloatArray:
        """Return the squared partial correlation (p,) of every variable and `node` given the mask."""
        index = list(bits(given))
        if not index:
            return np.asarray(self.R[node] ** 2)
        rows = self.R[index]
        weights = np.linalg.solve(rows[:, index], rows)
        row = self.R[node] - rows[:, node] @ weights
        variance = np.maximum(1 - np.einsum("ij,ij->j", rows, weights), 1e-300)
        return np.asarray(row**2 / (variance * variance[node]))

    def _explained_by_blocks(self, node: int, given: int) -> FloatArray:
        """Return 1 − Wilks' Λ (p,) of every variable's block and that of `node` given the blocks of the mask."""
        C, p, W = self.R, self.p, self.block
        index = self._columns(bits(given))
        if index:
            C = C - C[:, index] @ np.linalg.solve(C[np.ix_(index, index)], C[index])
        own = self._columns((node,))
        M = np.empty((2 * W, 2 * W, p))
        M[:W, :W] = C[np.ix_(own, own)][:, :, None]
        M[:W, W:] = C[own].reshape(W, p, W).transpose(0, 2, 1)
        M[W:, :W] = M[:W, W:].swapaxes(0, 1)
        M[W:, W:] = C.reshape(p, W, p, W)[np.arange(p), :, np.arange(p), :].transpose(1, 2, 0)
        # What is given, and the node itself, have nothing left; they may not enter, and any finite number will do.
        out = [node, *bits(given)]
        M[:W, W:, out] = M[W:, :W, out] = 0.0
        M[W:, W:, out] = np.eye(W)[:, :, None]
        return pair_statistic(M) if W == 2 else wide_statistic(M)

    def _columns(self, variables: Iterable[int]) -> list[int]:
        """Return the columns of R that are the variables' blocks."""
        return [self.block * k + c for k in variables for c in range(self.block)]

    def gain(self, node: int, given: int, new: int) -> float:
        """Return the gain in score when `new` joins the parents `given` (mask) of `node`."""
        return float(self.gains(node, given)[new])

    def local(self, node: int, parents: int) -> float:
        """Return the score of one node with its parents (mask); 0 without parents."""
        index, own = self._columns(bits(parents)), self._columns((node,))
        coefficients = float(self.coefficients[node, list(bits(parents))].sum())
        if not index:
            return 0.0
        rows = self.R[np.ix_(index, own)]
        residual = self.R[np.ix_(own, own)] - rows.T @ np.linalg.solve(self.R[np.ix_(index, index)], rows)
        change = np.linalg.slogdet(residual)[1] - np.linalg.slogdet(self.R[np.ix_(own, own)])[1]
        return float(-self.n / 2 * change - self.price * coefficients)

    def total(self, parents: list[int]) -> float:
        """Return the score of a DAG (parent masks) relative to the empty graph."""
        return sum(self.local(node, mask) for node, mask in enumerate(parents))


def check_penalty(penalty_discount: float) -> None:
    """Raise SettingError unless the penalty is positive."""
    if not penalty_discount > 0:
        raise SettingError(f"penalty_discount is {penalty_discount}; choose a positive number: 1 is the usual BIC, 2 the default")


def check_restarts(restarts: int) -> None:
    """Raise SettingError unless the number of restarts is 0 or more."""
    if restarts < 0:
        raise SettingError(f"restarts is {restarts}; choose 0 or more")
