"""Start values: least squares for equations between observed variables, first principal components for loadings."""

from __future__ import annotations

import numpy as np
from scipy.linalg import lapack

from causalsem._values import BoolArray, FloatArray
from causalsem.sem.matrices import RAM
from causalsem.sem.partable import ParameterTable
from causalsem.sem.sample import Sample


def start_values(table: ParameterTable, rams: tuple[RAM, ...], samples: tuple[Sample, ...]) -> FloatArray:
    """Return a start θ, (count,); for a recursive model of observed variables it is the ML estimate already."""
    theta = np.zeros(table.count)
    seen = np.zeros(table.count)
    for ram, sample in zip(rams, samples, strict=True):
        A, S, m = _group_start(ram, sample)
        parts = [(A, ram.a_par), (S, ram.s_par), (m, ram.m_par)]
        if ram.responses is not None and sample.ordinal is not None:
            r = ram.responses
            parts += [(np.concatenate(sample.ordinal.thresholds)[r.tau_at], r.tau_par), (np.ones(len(r.delta_par)), r.delta_par)]
        for values, parameters in parts:
            np.add.at(theta, parameters, values)
            np.add.at(seen, parameters, 1.0)
    theta /= np.maximum(seen, 1.0)
    for row in table.rows:
        if row.free and row.value is not None:
            theta[row.free - 1] = row.value
    return theta


def _group_start(ram: RAM, sample: Sample) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return start values of the free arrows, (co)variances and means of one group."""
    p, q = ram.p, len(ram.A0)
    A, S, m = ram.A0.copy(), ram.S0.copy(), ram.m0.copy()
    C = np.zeros((q, q))
    C[:p, :p] = sample.covariance
    free = np.zeros((q, q), dtype=bool)
    free[ram.a_row, ram.a_col] = True
    for f in _bottom_up(ram, free):
        _start_latent(f, A, C, free)
    _least_squares(p, A, C, free)
    S[ram.s_row, ram.s_col] = _spreads(ram, A, C, S)
    level = np.zeros(q)
    level[:p] = sample.mean
    m[ram.m_row] = np.where(ram.m_row < p, (level - A @ level)[ram.m_row], 0.0)
    return A[ram.a_row, ram.a_col], S[ram.s_row, ram.s_col], m[ram.m_row]


def _bottom_up(ram: RAM, free: BoolArray) -> list[int]:
    """Return the latent variables, those with observed indicators first."""
    p, q = ram.p, len(ram.A0)
    loads = free | (ram.A0 != 0)
    return sorted(range(p, q), key=lambda f: -int(loads[:p, f].any()))


def _start_latent(f: int, A: FloatArray, C: FloatArray, free: BoolArray) -> None:
    """Set a latent's loadings by the first principal axis of its indicators, and its row of the working covariance C."""
    children = ((free[:, f] | (A[:, f] != 0)) & (C.diagonal() > 0)).nonzero()[0]
    if not len(children):
        C[f, f] = 1.0
        return
    part = C[children[:, None], children]
    sd = np.sqrt(part.diagonal())
    values, vectors, _ = lapack.dsyev(part / sd / sd[:, None])
    axis = vectors[:, -1]
    if axis[np.abs(axis).argmax()] < 0:
        axis = -axis
    k = len(children)
    # The axis explains (λ − 1)/(k − 1) of a common factor's share; one half when there is a single indicator.
    share = np.clip((values[-1] - 1) / (k - 1), 0.1, 0.9) if k > 1 else 0.9
    loading = np.where(np.abs(axis) > 0.05, axis, 0.05) * sd * np.sqrt(k * share)  # for a latent of variance 1
    fixed = ~free[children, f] & (A[children, f] != 0)
    scale = 1.0
    if fixed.any():
        j = int(fixed.argmax())
        scale = A[children[j], f] / loading[j]
        A[children, f] = np.where(fixed, A[children, f], loading * scale)
    else:
        A[children, f] = loading
    weight = axis / sd
    variance = 1.0 / scale**2
    spread = float(weight @ part @ weight)
    stretch = np.sqrt(variance / spread) if spread > 0 else 1.0
    C[f, :] = stretch * (weight @ C[children, :])
    C[:, f] = C[f, :]
    C[f, f] = variance


def _least_squares(p: int, A: FloatArray, C: FloatArray, free: BoolArray) -> None:
    """Set the free coefficients of equations (not loadings) by least squares in the working covariance."""
    by_effect: dict[int, list[int]] = {}
    for i, j in np.argwhere(free).tolist():
        by_effect.setdefault(i, []).append(j)
    fixed = (A != 0) & ~free
    for i, causes in by_effect.items():
        if i < p <= min(causes):
            continue  # a measurement equation: loadings are set already
        target = C[causes, i]
        if fixed[i].any():
            known = np.flatnonzero(fixed[i])
            target = target - C[causes][:, known] @ A[i, known]
        part = C[causes][:, causes]
        # Two latent causes can coincide in the working covariance; then the shortest solution is start enough.
        _, solution, info = lapack.dposv(part, target, lower=1)
        A[i, causes] = solution if info == 0 else np.linalg.lstsq(part, target, rcond=1e-10)[0]


def _spreads(ram: RAM, A: FloatArray, C: FloatArray, S: FloatArray) -> FloatArray:
    """Return start (co)variances: residual ones of equations, what factors leave of indicators."""
    q, p = len(A), ram.p
    lower = np.eye(q) - A
    residual = lower @ C @ lower.T
    total = np.maximum(C.diagonal(), 0.0)
    measured = np.zeros(q, dtype=bool)
    measured[ram.a_row[ram.a_col >= p]] = True
    measured |= (ram.A0[:, p:] != 0).any(axis=1)
    measured[p:] = False
    latent = np.arange(q) >= p
    least = np.where(latent, np.where(total > 0, 0.05 * total, 0.05), 1e-12 * total)
    unexplained = total - ((A[:, p:] @ C[p:, p:]) * A[:, p:]).sum(axis=1)
    own = np.where(measured, np.clip(unexplained, 0.2 * total, 0.9 * total), np.maximum(residual.diagonal(), least))
    i, j = ram.s_row, ram.s_col
    # Composites stand in for factors in C, so that their covariances are a possible start too.
    alike = ~(measured[i] | measured[j]) & (latent[i] == latent[j])
    return np.where(i == j, own[i], np.where(alike, residual[i, j], 0.0))
