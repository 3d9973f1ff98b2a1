"""Least-squares discrepancies ½ (s − σ)ᵀ V (s − σ) over the moments: GLS, ULS, WLS (Browne 1974, 1984)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causalsem._values import FloatArray
from causalsem.errors import MomentsError
from causalsem.sem.discrepancy import Derivatives
from causalsem.sem.hessian import covariance_curvature, mean_curvature
from causalsem.sem.matrices import (
    RAM,
    Implied,
    columns_of,
    covariance_jacobian,
    gather,
    implied,
    inverse_and_logdet,
    look_up,
    mean_jacobian,
)
from causalsem.sem.sample import Sample
from causalsem.sem.scores import rows_of


@dataclass(frozen=True, slots=True, eq=False)
class LeastSquares:
    """½ Σ_g w_g (s_g − σ_g)ᵀ V_g (s_g − σ_g); moments are means (where the model has them), then vech Σ row by row."""

    rams: tuple[RAM, ...]
    samples: tuple[Sample, ...]
    weights: FloatArray
    count: int
    metrics: tuple[FloatArray, ...]

    def at(self, theta: FloatArray) -> LeastSquaresPoint | None:
        """Return the discrepancy at `theta`, or None where I − A is singular."""
        there = []
        for ram in self.rams:
            try:
                there.append(implied(ram, theta))
            except np.linalg.LinAlgError:
                return None
        return LeastSquaresPoint(self, tuple(there))


@dataclass(frozen=True, slots=True, eq=False)
class LeastSquaresPoint:
    """The least-squares discrepancy at one θ."""

    problem: LeastSquares
    implied: tuple[Implied, ...]

    @property
    def count(self) -> int:
        """How many parameters there are."""
        return self.problem.count

    @property
    def value(self) -> float:
        """½ Σ_g w_g eᵀ V e."""
        total = 0.0
        for w, e, V in zip(self.problem.weights, self._residuals(), self.problem.metrics, strict=True):
            total += 0.5 * float(w) * float(e @ V @ e)
        return total

    def _residuals(self) -> list[FloatArray]:
        pairs = zip(self.problem.rams, self.problem.samples, self.implied, strict=True)
        return [moment_vector(s.mean - a.mu, s.covariance - a.sigma, means=r.means) for r, s, a in pairs]

    def derivatives(self, *, hessian: bool = False) -> Derivatives:
        """Return value, gradient, DᵀVD as information, and the exact Hessian if asked."""
        k = self.problem.count
        gradient, information = np.zeros(k), np.zeros((k, k))
        curvature = np.zeros((k, k)) if hessian else None
        rows = zip(self.problem.rams, self.implied, self._residuals(), self.problem.weights, self.problem.metrics, strict=True)
        for ram, at, e, w, V in rows:
            D = moment_jacobian(ram, at, k)
            VD = V @ D
            gradient -= w * (VD.T @ e)
            information += w * (D.T @ VD)
            if curvature is not None:
                curvature += w * gather(_residual_curvature(ram, at, V @ e), ram.parameters, k)
        return Derivatives(self.value, gradient, information, None if curvature is None else curvature + information)


def _residual_curvature(ram: RAM, at: Implied, pull: FloatArray) -> FloatArray:
    """Return −pullᵀ∂²(moments) over entries: what the Hessian has beyond DᵀVD."""
    p = at.p
    of_means, of_covariance = (pull[:p], pull[p:]) if ram.means else (np.zeros(p), pull)
    Omega = np.zeros((p, p))
    i, j = np.tril_indices(p)
    Omega[i, j] = Omega[j, i] = -of_covariance * np.where(i == j, 2.0, 1.0)
    Z = columns_of(at)
    curved = covariance_curvature(ram, at, look_up(ram, Z.T @ (Omega @ Z)))
    if not ram.means:
        return curved
    out = mean_curvature(ram, at, of_means)
    out[: len(curved), : len(curved)] += curved
    return out


def moment_vector(mean: FloatArray, covariance: FloatArray, *, means: bool) -> FloatArray:
    """Return means (if `means`), then the lower triangle row by row."""
    lower = covariance[np.tril_indices(len(covariance))]
    return np.concatenate([mean, lower]) if means else lower


def moment_jacobian(ram: RAM, at: Implied, count: int) -> FloatArray:
    """Return ∂(moments)/∂θ, (moments, count)."""
    by_entry = covariance_jacobian(ram, columns_of(at))
    if ram.means:
        wide = np.hstack([by_entry, np.zeros((len(by_entry), len(ram.m_row)))])
        by_entry = np.vstack([mean_jacobian(ram, at), wide])
    out = np.zeros((len(by_entry), count))
    for column, k in enumerate(ram.parameters):
        out[:, k] += by_entry[:, column]
    return out


def normal_metric(W: FloatArray, *, means: bool) -> FloatArray:
    """Return V with eᵀVe = ½ tr(EWEW) (+ e_μᵀWe_μ): the normal-theory weight of the moments in the metric W = Σ⁻¹."""
    i, j = np.tril_indices(len(W))
    h = np.where(i == j, 0.5, 1.0)
    V = (h[:, None] * h) * (W[np.ix_(i, i)] * W[np.ix_(j, j)] + W[np.ix_(i, j)] * W[np.ix_(j, i)])
    return _with_means(V, W) if means else V


def _with_means(V: FloatArray, W: FloatArray) -> FloatArray:
    p = len(W)
    out = np.zeros((p + len(V),) * 2)
    out[:p, :p], out[p:, p:] = W, V
    return out


def metric_of(estimator: str, ram: RAM, sample: Sample, *, mplus: bool = False) -> FloatArray:
    """Return V of an estimator: GLS (S⁻¹), ULS (identity over the full matrix), WLS (inverse of the moments' own covariance)."""
    if estimator == "GLS":
        solved = inverse_and_logdet(np.array(sample.covariance))
        if solved is None:
            raise MomentsError("the sample covariance is not positive definite; GLS needs its inverse; drop collinear variables")
        V = normal_metric(solved[0], means=ram.means)
        if mplus and ram.means:
            V[: ram.p, : ram.p] *= sample.n / (sample.n - 1)
        return V
    if estimator == "ULS":
        return np.eye(len(moment_vector(sample.mean, sample.covariance, means=ram.means)))
    gamma = (unbiased_moment_covariance if mplus else moment_covariance)(sample, means=ram.means)
    if estimator == "DWLS":
        return np.diag(1.0 / np.diag(gamma))
    if len(gamma) >= sample.n:
        raise MomentsError(f"WLS needs more rows than moments: {sample.n} rows, {len(gamma)} moments; use estimator='MLM' or 'MLR'")
    return np.asarray(np.linalg.inv(gamma), dtype=np.float64)


def moment_covariance(sample: Sample, *, means: bool, x: list[int] | None = None) -> FloatArray:
    """Return Γ = n · cov(moments) from rows (Browne 1984); given fixed causes `x`, about the moments' mean given x."""
    rows = rows_of(sample, "the covariance of moments (MLM, WLS)")
    centred = rows - sample.mean
    i, j = np.tril_indices(centred.shape[1])
    Z = centred[:, i] * centred[:, j]
    if x:
        X = centred[:, x]
        slope = np.linalg.lstsq(X, centred, rcond=None)[0]
        fitted = X @ slope
        left = sample_covariance(centred) - slope.T @ sample_covariance(X) @ slope
        Z = Z - fitted[:, i] * fitted[:, j] - left[i, j]
        centred = centred - fitted
    else:
        Z = Z - Z.mean(axis=0)
    whole = np.hstack([centred, Z]) if means else Z
    return np.asarray(whole.T @ whole / len(whole))


def unbiased_moment_covariance(sample: Sample, *, means: bool) -> FloatArray:
    """Return Γ as Mplus has it: with the products of the unbiased (divisor n − 1) covariance taken off."""
    gamma = moment_covariance(sample, means=means)
    p, share = len(sample.names), (sample.n - 1) / sample.n
    first = p if means else 0
    centred = rows_of(sample, "the covariance of moments (WLS)") - sample.mean
    w = (sample_covariance(centred) / share)[np.tril_indices(p)]
    gamma[first:, first:] -= np.outer(w, w) * (1.0 - share**2)
    gamma[:first, first:] *= share
    gamma[first:, :first] *= share
    return gamma


def sample_covariance(centred: FloatArray) -> FloatArray:
    """Return the covariance of centred rows with divisor n."""
    return np.asarray(centred.T @ centred / len(centred))
