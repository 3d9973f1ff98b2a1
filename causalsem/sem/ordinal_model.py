"""What a model with ordered variables implies, with its exact Jacobian, and the least-squares discrepancy over it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causalsem._values import FloatArray, IntArray
from causalsem.errors import MomentsError
from causalsem.sem.discrepancy import Derivatives
from causalsem.sem.matrices import RAM, Implied, columns_of, covariance_jacobian, mean_jacobian
from causalsem.sem.ordinal_moments import OrdinalMoments
from causalsem.sem.responses import Responses


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """A group at one θ given its covariates: implied moments, 1/sd of every ordered response, their sizes in between."""

    ram: RAM
    theta: FloatArray
    at: Implied
    scale: FloatArray

    @property
    def responses(self) -> Responses:
        """The group's thresholds and scales."""
        assert self.ram.responses is not None  # only ordinal models stand here
        return self.ram.responses

    @property
    def y(self) -> IntArray:
        """The places of the variables that are not covariates."""
        return np.setdiff1d(np.arange(self.ram.p), self.responses.x)


def standing(ram: RAM, theta: FloatArray) -> Standing | None:
    """Return a group at `theta`, or None where I − A is singular or a response has no positive variance."""
    try:
        A, S, m = ram.fill(theta)
        E = np.asarray(np.linalg.inv(np.eye(len(A)) - A), dtype=np.float64)
    except np.linalg.LinAlgError:
        return None
    assert ram.responses is not None
    S, m = ram.responses.conditional(S, m)
    V = E @ S @ E.T
    at = Implied(E, V, V[: ram.p, : ram.p], E @ m, ram.p)
    scale = np.ones(ram.p)
    variances = np.diag(V)[ram.responses.ordered]
    if not np.isfinite(V).all() or (variances <= 0).any() or (ram.responses.scales(theta) <= 0).any():
        return None
    scale[ram.responses.ordered] = 1.0 / np.sqrt(variances)
    return Standing(ram, theta, at, scale)


def implied_vector(s: Standing) -> FloatArray:
    """Return the implied moments in the order of OrdinalMoments."""
    r, y, at = s.responses, s.y, s.at
    thresholds = s.scale[r.owner] * (r.thresholds(s.theta) - at.mu[r.owner])
    numeric = y[~r.mask(at.p)[y]]
    i, j = np.tril_indices(len(y), -1)
    slopes = s.scale[y][:, None] * at.E[np.ix_(y, r.x)]
    covariances = (s.scale[:, None] * s.scale * at.sigma)[y[i], y[j]]
    return np.concatenate([thresholds, at.mu[numeric], slopes.ravel(), np.diag(at.sigma)[numeric], covariances])


def implied_jacobian(s: Standing, count: int) -> FloatArray:
    """Return ∂(implied moments)/∂θ, (moments, count)."""
    ram, r, y, at, p = s.ram, s.responses, s.y, s.at, s.ram.p
    by_sigma, by_mean = _raw_jacobians(s, count)
    place = np.zeros((p, p), dtype=np.int64)
    i, j = np.tril_indices(p)
    place[i, j] = place[j, i] = np.arange(len(i))
    variances = by_sigma[np.diag(place)]  # (p, count)
    # d(1/sd) = −½ var^(−3/2) d var, for responses only.
    by_scale = np.where(r.mask(p)[:, None], -0.5 * s.scale[:, None] ** 3 * variances, 0.0)
    by_tau = -by_mean[r.owner]
    np.add.at(by_tau, (r.tau_at, r.tau_par), 1.0)
    gap = r.thresholds(s.theta) - at.mu[r.owner]
    thresholds = s.scale[r.owner][:, None] * by_tau + gap[:, None] * by_scale[r.owner]
    numeric = y[~r.mask(p)[y]]
    a, b = (y[k] for k in np.tril_indices(len(y), -1))
    covariances = (s.scale[a] * s.scale[b])[:, None] * by_sigma[place[a, b]]
    covariances += at.sigma[a, b][:, None] * (s.scale[a][:, None] * by_scale[b] + s.scale[b][:, None] * by_scale[a])
    slopes = (s.scale[y][:, None, None] * _by_slopes(ram, at, y, r.x, count)).reshape(len(y) * len(r.x), count)
    slopes = slopes + (at.E[np.ix_(y, r.x)][:, :, None] * by_scale[y][:, None, :]).reshape(slopes.shape)
    return np.vstack([thresholds, by_mean[numeric], slopes, variances[numeric], covariances])


def _raw_jacobians(s: Standing, count: int) -> tuple[FloatArray, FloatArray]:
    """Return ∂vech(Σ)/∂θ and ∂μ/∂θ; under delta, error variances of responses move so that variances stay 1/Δ²."""
    ram, r, at = s.ram, s.responses, s.at
    entries = _by_parameter(covariance_jacobian(ram, columns_of(at)), ram.parameters[: len(ram.u)], count)
    means = _by_parameter(mean_jacobian(ram, at), ram.parameters, count)
    if not r.delta or not len(r.ordered):
        return entries, means
    i, j = np.tril_indices(ram.p)
    own = at.E[i][:, r.ordered] * at.E[j][:, r.ordered]  # ∂vech(Σ)/∂(error variance)
    diagonal = np.flatnonzero(i == j)[r.ordered]
    wanted = -entries[diagonal]
    np.add.at(wanted, (r.delta_at, r.delta_par), -2.0 / r.scales(s.theta)[r.delta_at] ** 3)
    return entries + own @ np.linalg.solve(own[diagonal], wanted), means


def _by_parameter(by_entry: FloatArray, parameters: IntArray, count: int) -> FloatArray:
    out = np.zeros((len(by_entry), count))
    np.add.at(out.T, parameters, by_entry.T)
    return out


def _by_slopes(ram: RAM, at: Implied, y: IntArray, x: IntArray, count: int) -> FloatArray:
    """Return ∂E[y, x]/∂θ, (y, x, count): an arrow r ← c adds E[y, r] E[c, x]."""
    out = np.zeros((len(y), len(x), count))
    if len(x):
        by_arrow = at.E[np.ix_(y, ram.a_row)][:, None, :] * at.E[np.ix_(ram.a_col, x)].T[None, :, :]
        np.add.at(out.transpose(2, 0, 1), ram.a_par, by_arrow.transpose(2, 0, 1))
    return out


def ordinal_metric(estimator: str, moments: OrdinalMoments) -> FloatArray:
    """Return the weight of the moments: the inverse of Γ (WLS), of its diagonal (DWLS), or the identity (ULS)."""
    if estimator == "ULS":
        return np.eye(len(moments.vector))
    if estimator == "DWLS":
        diagonal = np.diag(moments.gamma)
        return np.diag(np.where(diagonal > 0, 1.0 / np.where(diagonal > 0, diagonal, 1.0), 0.0))
    try:
        return np.asarray(np.linalg.inv(np.linalg.cholesky(moments.gamma))).T @ np.linalg.inv(np.linalg.cholesky(moments.gamma))
    except np.linalg.LinAlgError:
        message = f"the covariance of the {len(moments.vector)} ordinal moments is singular; WLS needs more rows"
        raise MomentsError(f"{message}; use estimator='WLSMV'") from None


@dataclass(frozen=True, slots=True, eq=False)
class OrdinalLeastSquares:
    """½ Σ_g w_g (s_g − σ_g)ᵀ V_g (s_g − σ_g) over the moments of ordered and numeric variables."""

    rams: tuple[RAM, ...]
    moments: tuple[OrdinalMoments, ...]
    weights: FloatArray
    count: int
    metrics: tuple[FloatArray, ...]

    def at(self, theta: FloatArray) -> OrdinalPoint | None:
        """Return the discrepancy at `theta`, or None where the model implies no moments."""
        there = []
        for ram in self.rams:
            one = standing(ram, theta)
            if one is None:
                return None
            there.append(one)
        return OrdinalPoint(self, tuple(there))


def without_weights(rams: tuple[RAM, ...], weights: FloatArray, count: int) -> OrdinalLeastSquares:
    """Return the least-squares discrepancy of a model from moments of zero, whose derivatives tell what is identified."""
    moments, metrics = [], []
    for ram in rams:
        there = standing(ram, np.full(count, 0.5))
        size = len(implied_vector(there)) if there is not None else 0
        r = ram.responses
        assert r is not None  # only ordinal models come here
        y = np.setdiff1d(np.arange(ram.p), r.x)
        none = np.zeros(len(y))
        moments.append(
            OrdinalMoments(np.zeros(size), np.eye(size), r.mask(ram.p)[y], (), (), none, np.zeros((len(y), len(r.x))), np.eye(len(y)))
        )
        metrics.append(np.eye(size))
    return OrdinalLeastSquares(rams, tuple(moments), weights, count, tuple(metrics))


@dataclass(frozen=True, slots=True, eq=False)
class OrdinalPoint:
    """The ordinal least-squares discrepancy at one θ."""

    problem: OrdinalLeastSquares
    groups: tuple[Standing, ...]

    def residuals(self) -> list[FloatArray]:
        """Return sample minus implied moments of every group."""
        return [m.vector - implied_vector(s) for m, s in zip(self.problem.moments, self.groups, strict=True)]

    def jacobians(self) -> list[FloatArray]:
        """Return ∂(implied moments)/∂θ of every group."""
        return [implied_jacobian(s, self.problem.count) for s in self.groups]

    @property
    def value(self) -> float:
        """½ Σ_g w_g eᵀ V e."""
        parts = zip(self.problem.weights, self.residuals(), self.problem.metrics, strict=True)
        return 0.5 * sum(float(w) * float(e @ V @ e) for w, e, V in parts)

    def derivatives(self, *, hessian: bool = False) -> Derivatives:
        """Return value, gradient and DᵀVD; no Hessian (Gauss and Newton's step needs none)."""
        k = self.problem.count
        gradient, information = np.zeros(k), np.zeros((k, k))
        for D, e, w, V in zip(self.jacobians(), self.residuals(), self.problem.weights, self.problem.metrics, strict=True):
            VD = V @ D
            gradient -= w * (VD.T @ e)
            information += w * (D.T @ VD)
        return Derivatives(self.value, gradient, information, None)
