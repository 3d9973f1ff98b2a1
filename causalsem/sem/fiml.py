"""Full-information ML for rows with missing values (Arbuckle 1996): one normal likelihood per missing-data pattern.

Matrices of a pattern are padded with zeros to all p variables, so that all P patterns are one (P, p, p) array.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from causalsem._values import FloatArray
from causalsem.behaviour.patterns import PatternStack
from causalsem.sem.discrepancy import Derivatives, NormalGroup
from causalsem.sem.gram_products import GramProducts
from causalsem.sem.hessian import covariance_curvature, mean_curvature
from causalsem.sem.matrices import (
    RAM,
    Implied,
    columns_of,
    covariance_gradient,
    entries_of_means,
    gather,
    implied,
    look_up,
    mean_jacobian,
)

# Patterns are taken this many numbers at a time, to bound memory.
CHUNK = 4_000_000


@dataclass(frozen=True, slots=True, eq=False)
class FIML:
    """−logl / n of the observed values."""

    rams: tuple[RAM, ...]
    patterns: tuple[PatternStack, ...]
    n: int
    count: int

    def at(self, theta: FloatArray) -> FIMLPoint | None:
        """Return −logl / n at `theta`, or None where some Σ is not positive definite."""
        groups = []
        for ram, patterns in zip(self.rams, self.patterns, strict=True):
            try:
                there = implied(ram, theta)
            except np.linalg.LinAlgError:
                return None
            group = _stacked(ram, there, patterns, self.n)
            if group is None:
                return None
            groups.append(group)
        return FIMLPoint(tuple(groups), self.count)


@dataclass(frozen=True, slots=True, eq=False)
class Stacked:
    """One group at one θ over its P patterns: share of rows (P,), −2 logl per row (P,), W, T (P, p, p), gap (P, p)."""

    ram: RAM
    implied: Implied
    share: FloatArray
    values: FloatArray
    W: FloatArray
    T: FloatArray
    gap: FloatArray


def _stacked(ram: RAM, there: Implied, patterns: PatternStack, n: int) -> Stacked | None:
    try:
        W, logdet = patterns.inverses(there.sigma)
    except np.linalg.LinAlgError:
        return None
    gap = patterns.mean - there.mu * patterns.seen
    T = patterns.covariance + gap[:, :, None] * gap[:, None, :]
    values = logdet + (W * T).sum(axis=(1, 2)) + patterns.seen.sum(axis=1) * math.log(2 * math.pi)
    return Stacked(ram, there, patterns.n / n, values, W, T, gap) if np.isfinite(values).all() else None


@dataclass(frozen=True, slots=True, eq=False)
class FIMLPoint:
    """−logl / n at one θ."""

    stacks: tuple[Stacked, ...]
    count: int

    @property
    def value(self) -> float:
        """−logl / n."""
        return 0.5 * sum(float(s.share @ s.values) for s in self.stacks)

    @property
    def groups(self) -> Iterator[NormalGroup]:
        """Yield every pattern of every group as a normal group, in the order of the patterns."""
        for s in self.stacks:
            for value, W, T, gap in zip(s.values, s.W, s.T, s.gap, strict=True):
                yield NormalGroup(s.ram, float(value), s.implied, W, T, gap)

    def derivatives(self, *, hessian: bool = False) -> Derivatives:
        """Return exact derivatives with respect to the parameters."""
        k = self.count
        gradient, information = np.zeros(k), np.zeros((k, k))
        curvature = np.zeros((k, k)) if hessian else None
        for s in self.stacks:
            told = s.ram.parameters
            gradient += gather(_slope(s), told, k)
            expected, second = _second_order(s, hessian=hessian)
            information += gather(expected, told, k)
            if curvature is not None:
                curvature += gather(second, told, k)
        return Derivatives(self.value, gradient, information, curvature)


def _slope(s: Stacked) -> FloatArray:
    """Return the gradient over entries: it is linear in W − WTW and in W gap, so these are summed over patterns first."""
    Omega = np.tensordot(s.share, s.W - s.W @ s.T @ s.W, axes=1)
    pull = _pull(s)
    out = -mean_jacobian(s.ram, s.implied).T @ pull
    out[: len(s.ram.u)] += covariance_gradient(s.ram, columns_of(s.implied), Omega)
    return np.asarray(out)


def _pull(s: Stacked) -> FloatArray:
    """Return Σ share W gap, (p,)."""
    return np.asarray(s.share @ (s.W @ s.gap[:, :, None])[:, :, 0])


def _second_order(s: Stacked, *, hessian: bool) -> tuple[FloatArray, FloatArray]:
    """Return expected information and Hessian over entries (zeros where it was not asked for)."""
    ram, nc = s.ram, len(s.ram.u)
    J = mean_jacobian(ram, s.implied)
    of_means = J.T @ np.tensordot(s.share, s.W, axes=1) @ J
    expected, second = of_means.copy(), np.zeros_like(of_means)
    products = GramProducts.of(ram)
    size = max(1, CHUNK // max(nc * nc, 1))
    for first in range(0, len(s.share), size):
        part = slice(first, first + size)
        chunk = Stacked(ram, s.implied, s.share[part], s.values[part], s.W[part], s.T[part], s.gap[part])
        information, curved, mixed = _covariance_terms(chunk, products, J, hessian=hessian)
        expected[:nc, :nc] += information
        if hessian:
            second[:nc, :nc] += curved
            second[:nc] += mixed
            second[:, :nc] += mixed.T
    if hessian:
        second += of_means + mean_curvature(ram, s.implied, _pull(s))
    return expected, second


def _covariance_terms(s: Stacked, products: GramProducts, J: FloatArray, *, hessian: bool) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return ½ Σ tr(W dΣ W dΣ), the covariances' part of the Hessian, and Σ gapᵀW dΣ W dμ; formulas as in hessian.py."""
    ram, Z = s.ram, columns_of(s.implied)
    hh = ram.h[:, None] * ram.h
    part = Z[:, products.columns]
    WZ = s.W @ part
    G = part.T @ WZ
    information = 0.5 * hh * products.summed(G, G, s.share)
    if not hessian:
        return information, information, information
    H = WZ.swapaxes(1, 2) @ s.T @ WZ
    Omega = np.tensordot(s.share, s.W - s.W @ s.T @ s.W, axes=1)
    curved = hh * products.summed(G, H, s.share) - information + covariance_curvature(ram, s.implied, look_up(ram, Z.T @ Omega @ Z))
    # Σ share (Zᵀ W gap) ⊗ (Zᵀ W J), (c, c, entries with a mean): an entry takes its u of one and its v of the other.
    pull = s.share[:, None] * (s.gap[:, None, :] @ WZ)[:, 0]
    moved = entries_of_means(ram)
    crossed = np.tensordot(pull, WZ.swapaxes(1, 2) @ J[:, moved], axes=(0, 0))
    mixed = np.zeros((len(ram.u), ram.entries))
    mixed[:, moved] = ram.h[:, None] * (crossed[products.v, products.u] + crossed[products.u, products.v])
    return information, curved, mixed
