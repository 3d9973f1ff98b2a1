"""The RAM form (McArdle & McDonald 1984): A holds arrows, S (co)variances, m intercepts; Σ = F (I−A)⁻¹ S (I−A)⁻ᵀ Fᵀ.

Every ∂Σ/∂entry is h (u vᵀ + v uᵀ) with u, v columns of Z = [X | Y], X = F(I−A)⁻¹, Y = F(I−A)⁻¹S(I−A)⁻ᵀ, so gradient,
information and Hessian are look-ups in one 2q × 2q Gram matrix Zᵀ M Z: O(q³ + k²) for q variables and k parameters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import lapack

from causalsem._values import BoolArray, FloatArray, IntArray
from causalsem.sem.partable import Names, ParameterTable, Row
from causalsem.sem.responses import Responses


@dataclass(frozen=True, slots=True, eq=False)
class RAM:
    """One group's matrices: the fixed numbers, and for every free entry its place and its parameter (from 0).

    Observed variables come first, so F is "the first p rows". Entries are stored arrows, then (co)variances, then means.
    """

    names: Names
    A0: FloatArray
    S0: FloatArray
    m0: FloatArray
    a_row: IntArray
    a_col: IntArray
    a_par: IntArray
    s_row: IntArray
    s_col: IntArray
    s_par: IntArray
    m_row: IntArray
    m_par: IntArray
    means: bool
    # Columns of Z and weight h of every covariance entry (arrows, then spreads), and the parameter of every entry.
    u: IntArray
    v: IntArray
    h: FloatArray
    parameters: IntArray
    # Whether the arrows (free or fixed) make no directed cycle.
    recursive: bool = True
    # Thresholds and scales, where some variables are ordered.
    responses: Responses | None = None

    @property
    def p(self) -> int:
        """How many variables are observed."""
        return len(self.names.ov)

    @property
    def entries(self) -> int:
        """How many free entries A, S and m have."""
        return len(self.parameters)

    @property
    def arrows(self) -> BoolArray:
        """[effect, cause] True where there is an arrow, free or fixed off zero, (q, q)."""
        out = self.A0 != 0
        out[self.a_row, self.a_col] = True
        return out

    @property
    def spreads(self) -> BoolArray:
        """[i, j] True where two variables (or their errors) covary, freely or fixed off zero, (q, q); False on the diagonal."""
        out = self.S0 != 0
        out[self.s_row, self.s_col] = out[self.s_col, self.s_row] = True
        np.fill_diagonal(out, False)
        return out

    def fill(self, theta: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return A, S and m at `theta`."""
        A, S, m = self.A0.copy(), self.S0.copy(), self.m0.copy()
        A[self.a_row, self.a_col] = theta[self.a_par]
        S[self.s_row, self.s_col] = theta[self.s_par]
        S[self.s_col, self.s_row] = theta[self.s_par]
        m[self.m_row] = theta[self.m_par]
        if self.responses is not None:
            S = self.responses.with_error_variances(A, S, theta)
        return A, S, m


def ram_of(table: ParameterTable, group: int, covariance: FloatArray, mean: FloatArray) -> RAM:
    """Return the RAM form of one group; moments of fixed causes are taken from its sample."""
    role = table.names[group - 1]
    place = {name: k for k, name in enumerate(role.all)}
    q = len(place)
    A0, S0, m0 = np.zeros((q, q)), np.zeros((q, q)), np.zeros(q)
    arrows: list[tuple[int, int, int]] = []
    spreads: list[tuple[int, int, int]] = []
    levels: list[tuple[int, int]] = []
    for row in table.rows:
        if row.group != group or row.op in ("|", "~*~"):
            continue
        if row.op == "~1":
            i = place[row.lhs]
            m0[i] = mean[i] if row.exo else (row.value or 0.0)
            if row.free:
                levels.append((i, row.free - 1))
            continue
        i, j = _entry(row, place)
        if row.op == "~~":
            S0[i, j] = S0[j, i] = covariance[i, j] if row.exo else (row.value or 0.0)
            if row.free:
                spreads.append((i, j, row.free - 1))
        else:
            A0[i, j] = row.value or 0.0
            if row.free:
                arrows.append((i, j, row.free - 1))
    a, s, m = _columns(arrows, 3), _columns(spreads, 3), _columns(levels, 2)
    u, v = np.concatenate([a[0], s[0]]), np.concatenate([a[1] + q, s[1]])
    h = np.where(u == v, 0.5, 1.0)  # S[i, i] enters Σ once, an off-diagonal entry twice
    told = np.concatenate([a[2], s[2], m[1]])
    ram = RAM(role, A0, S0, m0, a[0], a[1], a[2], s[0], s[1], s[2], m[0], m[1], table.meanstructure, u, v, h, told, _acyclic(A0, a))
    return replace(ram, responses=_responses_of(table, group, place)) if table.levels else ram


def _responses_of(table: ParameterTable, group: int, place: dict[str, int]) -> Responses:
    """Return the thresholds and scales of one group's ordered variables."""
    mine = [r for r in table.rows if r.group == group]
    by_name = {n: sorted((r for r in mine if r.op == "|" and r.lhs == n), key=lambda r: int(r.rhs[1:])) for n in table.levels}
    tau = [r for name in table.names[group - 1].ov for r in by_name.get(name, ())]
    ordered = [n for n in table.names[group - 1].ov if n in table.levels]
    scale = [next(r for r in mine if r.op == "~*~" and r.lhs == n) for n in ordered]
    x = table.names[group - 1].ov_x if table.conditional_x else ()
    kept: list[IntArray] = []
    for rows in (tau, scale):
        free = [(k, r.free - 1) for k, r in enumerate(rows) if r.free]
        kept += list(_columns(free, 2))
    return Responses(
        np.array([place[n] for n in ordered], dtype=np.int64),
        np.array([place[n] for n in x], dtype=np.int64),
        table.delta,
        np.array([place[r.lhs] for r in tau], dtype=np.int64),
        np.array([r.value or 0.0 for r in tau]),
        kept[0],
        kept[1],
        np.array([1.0 if r.value is None else r.value for r in scale]),
        kept[2],
        kept[3],
    )


def _acyclic(A0: FloatArray, free: IntArray) -> bool:
    """Tell whether arrows[effect, cause] make no directed cycle, by peeling off nodes without a living cause."""
    arrows = A0 != 0
    arrows[free[0], free[1]] = True
    alive = np.ones(len(A0), dtype=bool)
    while alive.any():
        caused = arrows[:, alive].any(axis=1)
        if caused[alive].all():
            return False
        alive &= caused
    return True


def _entry(row: Row, place: dict[str, int]) -> tuple[int, int]:
    """Return (row, column) of a parameter: A[effect, cause] or S[i, j]."""
    return (place[row.rhs], place[row.lhs]) if row.op == "=~" else (place[row.lhs], place[row.rhs])


def _columns(entries: Sequence[tuple[int, ...]], width: int) -> IntArray:
    return np.array(entries, dtype=np.int64).reshape(-1, width).T.copy()


@dataclass(frozen=True, slots=True, eq=False)
class Implied:
    """What a group's model implies at one θ: E = (I−A)⁻¹, V = E S Eᵀ (all variables), `sigma` (p, p), `mu` (p,), `eta` = E m."""

    E: FloatArray
    V: FloatArray
    sigma: FloatArray
    eta: FloatArray
    p: int

    @property
    def mu(self) -> FloatArray:
        """Implied means of the observed variables."""
        return self.eta[: self.p]


def implied(ram: RAM, theta: FloatArray) -> Implied:
    """Return the implied moments at `theta`; raises LinAlgError where I − A is singular."""
    A, S, m = ram.fill(theta)
    eye = np.eye(len(A))
    _, _, E, info = lapack.dgesv(eye - A, eye)
    if info != 0:
        raise np.linalg.LinAlgError("I − A is singular")
    V = E @ S @ E.T
    return Implied(E, V, V[: ram.p, : ram.p], E @ m, ram.p)


def inverse_and_logdet(matrix: FloatArray) -> tuple[FloatArray, float] | None:
    """Return inverse and log determinant of a symmetric matrix by Cholesky, or None when it is not positive definite."""
    factor, info = lapack.dpotrf(matrix, lower=1, clean=1)
    if info != 0:
        return None
    logdet = 2.0 * float(np.log(factor.diagonal()).sum())
    half, info = lapack.dpotri(factor, lower=1)
    if info != 0 or not math.isfinite(logdet):
        return None
    inverse = half + half.T
    inverse.flat[:: len(inverse) + 1] *= 0.5
    return inverse, logdet


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """The Gram matrix Zᵀ M Z looked up at the entries: [i, j] is uᵢᵀM uⱼ, uᵢᵀM vⱼ, vᵢᵀM vⱼ; each (n, n)."""

    uu: FloatArray
    uv: FloatArray
    vv: FloatArray


def columns_of(at: Implied) -> FloatArray:
    """Return Z = [X | Y], (p, 2q)."""
    return np.concatenate([at.E[: at.p], at.V[: at.p]], axis=1)


def look_up(ram: RAM, G: FloatArray) -> Looked:
    """Return the Gram G = ZᵀMZ (2q, 2q) looked up at the entries' columns."""
    by_u, by_v = G.take(ram.u, 0), G.take(ram.v, 0)
    return Looked(by_u.take(ram.u, 1), by_u.take(ram.v, 1), by_v.take(ram.v, 1))


def covariance_gradient(ram: RAM, Z: FloatArray, Omega: FloatArray) -> FloatArray:
    """Return ½ tr(Ω ∂Σ/∂entry) for every covariance entry; Ω (p, p) symmetric."""
    G = Z.T @ (Omega @ Z)
    return ram.h * G[ram.u, ram.v]


def mean_jacobian(ram: RAM, at: Implied) -> FloatArray:
    """Return ∂μ/∂entry, (p, entries)."""
    X = at.E[: at.p]
    arrows = X[:, ram.a_row] * at.eta[ram.a_col]
    return np.hstack([arrows, np.zeros((at.p, len(ram.s_row))), X[:, ram.m_row]])


def entries_of_means(ram: RAM) -> IntArray:
    """Return the numbers of the entries that the implied means depend on: arrows and intercepts."""
    return np.concatenate([np.arange(len(ram.a_row)), np.arange(len(ram.u), ram.entries)])


def covariance_jacobian(ram: RAM, Z: FloatArray) -> FloatArray:
    """Return ∂vech(Σ)/∂entry, (p(p + 1)/2, covariance entries), lower triangle row by row."""
    i, j = np.tril_indices(len(Z))
    u, v = Z[:, ram.u], Z[:, ram.v]
    return np.asarray(ram.h * (u[i] * v[j] + v[i] * u[j]))


def covariance_information(ram: RAM, g: Looked) -> FloatArray:
    """Return ½ tr(M ∂ᵢΣ M ∂ⱼΣ) over covariance entries: the expected information per row when M = Σ⁻¹."""
    return np.asarray((ram.h[:, None] * ram.h) * (g.uu * g.vv + g.uv * g.uv.T))


def cross_information(ram: RAM, g: Looked, t: Looked) -> FloatArray:
    """Return ½ tr(M ∂ᵢΣ N ∂ⱼΣ), symmetrised over M ↔ N, with g looked up in M and t in N."""
    both = g.uu * t.vv + g.vv * t.uu + g.uv * t.uv.T + g.uv.T * t.uv
    return np.asarray(0.5 * (ram.h[:, None] * ram.h) * both)


def gather(values: FloatArray, parameters: IntArray, count: int) -> FloatArray:
    """Return sums of entry values (or of a square entry matrix) by parameter: (count,) or (count, count)."""
    if values.ndim == 1:
        return np.asarray(np.bincount(parameters, weights=values, minlength=count), dtype=np.float64)
    out = np.zeros((count, count))
    if len(parameters) and np.bincount(parameters).max() > 1:
        # Entries that share a parameter add up.
        np.add.at(out, (parameters[:, None], parameters), values)
    else:
        out[parameters[:, None], parameters] = values
    return out
