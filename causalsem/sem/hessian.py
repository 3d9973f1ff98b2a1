"""The exact Hessian of the normal-theory discrepancy in RAM form, by look-ups in Gram matrices."""

from __future__ import annotations

import numpy as np

from causalsem._values import FloatArray
from causalsem.sem.matrices import RAM, Implied, Looked, columns_of, cross_information, mean_jacobian


def covariance_hessian(ram: RAM, at: Implied, g: Looked, t: Looked, information: FloatArray) -> FloatArray:
    """Return ∂²f over covariance entries of f = ½[log|Σ| + tr(W T)], with g looked up in W = Σ⁻¹ and t in W T W.

    `information` is the expected one, ½ tr(W dΣ W dΣ).
    d²f = ½tr(Ω d²Σ) − ½tr(W dΣ W dΣ) + tr(W dΣ WTW dΣ), Ω = W − WTW.
    """
    omega = Looked(g.uu - t.uu, g.uv - t.uv, g.vv)
    return 2.0 * cross_information(ram, g, t) - information + covariance_curvature(ram, at, omega)


def covariance_curvature(ram: RAM, at: Implied, omega: Looked) -> FloatArray:
    """Return ½ tr(Ω ∂²Σ) over covariance entries, with `omega` looked up in Ω (its vv is not used)."""
    na, nc = len(ram.a_row), len(ram.u)
    if not na:
        return np.zeros((nc, nc))
    # An arrow r ← c moves a column u by E[c, u] X_r, and a column v likewise.
    EV = np.concatenate([at.E, at.V], axis=1).take(ram.a_col, 0)
    by_u, by_v = EV.take(ram.u, 1) * ram.h * omega.uv[:na], EV.take(ram.v, 1) * ram.h * omega.uu[:na]
    out = np.zeros((nc, nc))
    out[:na] = by_u
    out[:na] += by_v
    out[na:, :na] = out[:na, na:].T
    out[:na, :na] += by_u[:, :na].T
    return out


def mean_curvature(ram: RAM, at: Implied, pull: FloatArray) -> FloatArray:
    """Return −wᵀ∂²μ over entries, (entries, entries), for a weight w (p,) of the means."""
    na, nc = len(ram.a_row), len(ram.u)
    r, c = ram.a_row, ram.a_col
    x = at.E[: at.p].T @ pull
    out = np.zeros((ram.entries, ram.entries))
    # Arrows r ← c and r' ← c' give E[c, r'] η[c'] X_r and its twin; an arrow with intercept i gives E[c, i] X_r.
    by_arrow = x[r][:, None] * at.E[c][:, r] * at.eta[c]
    out[:na, :na] = -(by_arrow + by_arrow.T)
    by_level = x[r][:, None] * at.E[c][:, ram.m_row]
    out[:na, nc:] = -by_level
    out[nc:, :na] = -by_level.T
    return out


def mean_hessian(ram: RAM, at: Implied, W: FloatArray, gap: FloatArray) -> FloatArray:
    """Return what means add, (entries, entries): dμᵀW dμ − gapᵀW d²μ + gapᵀW dΣ W dμ in both orders; gap = m − μ."""
    nc = len(ram.u)
    WJ = W @ mean_jacobian(ram, at)
    out = mean_jacobian(ram, at).T @ WJ + mean_curvature(ram, at, W @ gap)
    Z = columns_of(at)
    pull = Z.T @ (W @ gap)  # (2q,)
    # dΣ W gap of an entry is h (u (v·pull) + v (u·pull)); then its product with W dμ.
    spread = ram.h * (Z[:, ram.u] * pull[ram.v] + Z[:, ram.v] * pull[ram.u])
    mixed = spread.T @ WJ
    out[:nc] += mixed
    out[:, :nc] += mixed.T
    return out
