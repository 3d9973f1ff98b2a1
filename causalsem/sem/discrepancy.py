"""The discrepancies between model and data that are minimised, each with exact gradient, information and Hessian."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from causalsem._values import FloatArray
from causalsem.sem.hessian import covariance_hessian, mean_hessian
from causalsem.sem.matrices import (
    RAM,
    Implied,
    columns_of,
    covariance_information,
    gather,
    implied,
    inverse_and_logdet,
    look_up,
    mean_jacobian,
)
from causalsem.sem.sample import Sample


@dataclass(frozen=True, slots=True, eq=False)
class Derivatives:
    """A discrepancy at one θ: `value`, `gradient` (k,), expected `information` (k, k), `hessian` (k, k) where it was asked for."""

    value: float
    gradient: FloatArray
    information: FloatArray
    hessian: FloatArray | None = None


class Point(Protocol):
    """A discrepancy evaluated at one θ; derivatives are worked out when asked for."""

    @property
    def value(self) -> float:
        """The discrepancy."""

    def derivatives(self, *, hessian: bool = False) -> Derivatives:
        """Return value, gradient, information and, if asked, Hessian."""


class Discrepancy(Protocol):
    """What the solver asks of an estimator; all numbers are per row, so that information × n is that of the sample."""

    def at(self, theta: FloatArray) -> Point | None:
        """Return the discrepancy at `theta`, or None where the model implies no proper covariance."""


@dataclass(frozen=True, slots=True, eq=False)
class NormalML:
    """½ Σ_g w_g [log|Σ| + tr(S Σ⁻¹) − log|S| − p + (m − μ)ᵀΣ⁻¹(m − μ)]: half the ML discrepancy (Jöreskog 1967)."""

    rams: tuple[RAM, ...]
    samples: tuple[Sample, ...]
    weights: FloatArray
    count: int
    logdets: FloatArray

    @classmethod
    def build(cls, rams: tuple[RAM, ...], samples: tuple[Sample, ...], weights: FloatArray, count: int) -> NormalML:
        """Return the discrepancy of groups with `weights` (n_g / n)."""
        return cls(rams, samples, weights, count, np.array([np.linalg.slogdet(s.covariance)[1] for s in samples]))

    def at(self, theta: FloatArray) -> NormalPoint | None:
        """Return the discrepancy at `theta`, or None where some Σ is not positive definite."""
        groups = []
        for ram, sample, logdet in zip(self.rams, self.samples, self.logdets, strict=True):
            group = normal_group(ram, sample, float(logdet), theta)
            if group is None:
                return None
            groups.append(group)
        return NormalPoint(tuple(groups), self.weights, self.count)


@dataclass(frozen=True, slots=True, eq=False)
class NormalGroup:
    """One group at one θ: F (`value`), implied moments, W = Σ⁻¹, T = S + gap gapᵀ and gap = m − μ."""

    ram: RAM
    value: float
    implied: Implied
    W: FloatArray
    T: FloatArray
    gap: FloatArray


def normal_group(ram: RAM, sample: Sample, logdet: float, theta: FloatArray) -> NormalGroup | None:
    """Return one group's discrepancy (not halved, not weighted), or None where Σ is not positive definite."""
    try:
        there = implied(ram, theta)
    except np.linalg.LinAlgError:
        return None
    solved = inverse_and_logdet(there.sigma)
    if solved is None:
        return None
    W, own = solved
    gap = sample.mean - there.mu if ram.means else np.zeros(ram.p)
    T = sample.covariance + np.outer(gap, gap) if ram.means else sample.covariance
    # Σᵢⱼ WᵢⱼTᵢⱼ is tr(W T) without the product.
    return NormalGroup(ram, own + float(np.vdot(W, T)) - logdet - ram.p, there, W, T, gap)


@dataclass(frozen=True, slots=True, eq=False)
class NormalPoint:
    """The ML discrepancy at one θ."""

    groups: tuple[NormalGroup, ...]
    weights: FloatArray
    count: int

    @property
    def value(self) -> float:
        """½ Σ_g w_g F_g."""
        return 0.5 * sum(float(w) * g.value for w, g in zip(self.weights, self.groups, strict=True))

    def derivatives(self, *, hessian: bool = False) -> Derivatives:
        """Return exact derivatives with respect to the parameters."""
        total: list[FloatArray | None] = [None, None, None]
        for group, weight in zip(self.groups, self.weights, strict=True):
            for k, part in enumerate(_entry_derivatives(group, hessian=hessian)):
                if part is not None:
                    whole = weight * gather(part, group.ram.parameters, self.count)
                    total[k] = whole if total[k] is None else total[k] + whole
        gradient, information, curvature = total
        assert gradient is not None, "a model has at least one group"
        assert information is not None
        return Derivatives(self.value, gradient, information, curvature)


def _entry_derivatives(group: NormalGroup, *, hessian: bool) -> tuple[FloatArray, FloatArray, FloatArray | None]:
    """Return gradient, expected information and Hessian of ½F with respect to one group's entries."""
    ram, at, W = group.ram, group.implied, group.W
    Z = columns_of(at)
    WZ = W @ Z
    G, H = Z.T @ WZ, WZ.T @ (group.T @ WZ)  # the Grams of W and W T W, (2q, 2q)
    slope = ram.h * (G - H)[ram.u, ram.v]
    g = look_up(ram, G)
    expected = covariance_information(ram, g)
    second = covariance_hessian(ram, at, g, look_up(ram, H), expected) if hessian else None
    if not ram.means:
        return slope, expected, second
    J = mean_jacobian(ram, at)
    slope = _padded(slope, ram.entries) - J.T @ (W @ group.gap)
    expected = _padded(expected, ram.entries) + J.T @ W @ J
    if second is not None:
        second = _padded(second, ram.entries) + mean_hessian(ram, at, W, group.gap)
    return slope, expected, second


def _padded(values: FloatArray, size: int) -> FloatArray:
    """Return a vector or square matrix with zeros appended up to `size`."""
    out = np.zeros((size,) * values.ndim)
    out[tuple(slice(k) for k in values.shape)] = values
    return out
