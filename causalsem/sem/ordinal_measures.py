"""Fit measures of models with ordered variables, by lavaan's names and from their definitions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from causalsem._values import FloatArray
from causalsem.sem.fit_measures import chisq_measures, incremental_measures, rmsea_measures
from causalsem.sem.least_squares import normal_metric
from causalsem.sem.matrices import inverse_and_logdet
from causalsem.sem.ordinal_model import OrdinalPoint
from causalsem.sem.ordinal_moments import OrdinalMoments
from causalsem.sem.robust import block_diagonal


@dataclass(frozen=True, slots=True)
class CategoricalML:
    """Savalei's (2021) test of the polychoric correlations: χ² and factor of the model and of the baseline."""

    chisq: float
    factor: float
    base: float
    base_factor: float


def covariance_rows(m: OrdinalMoments) -> slice:
    """Return where the covariances are among a group's moments: at their end."""
    p = len(m.ordered)
    return slice(len(m.vector) - p * (p - 1) // 2, len(m.vector))


def baseline_jacobian(m: OrdinalMoments) -> FloatArray:
    """Return the Jacobian of the baseline model: every moment is free but the covariances, which are zero."""
    return np.eye(len(m.vector))[:, : covariance_rows(m).start]


def baseline_discrepancy(m: OrdinalMoments, V: FloatArray) -> float:
    """Return min eᵀVe over the baseline model."""
    c = covariance_rows(m)
    free, across = V[: c.start, : c.start], V[c, : c.start]
    left = V[c, c] - across @ np.linalg.solve(free, across.T) if across.any() else V[c, c]
    return float(m.vector[c] @ left @ m.vector[c])


def plain_measures(point: OrdinalPoint, total: float, n: int, npar: int, df: int, *, plain: bool) -> tuple[dict[str, float], int]:
    """Return the measures of the unscaled test, and the baseline's degrees of freedom; `total` multiplies the discrepancy.

    `plain` is False where the statistic has no χ² distribution (ULS).
    """
    problem = point.problem
    chisq = 2.0 * total * point.value
    base = total * sum(
        float(w) * baseline_discrepancy(m, V) for w, m, V in zip(problem.weights, problem.moments, problem.metrics, strict=True)
    )
    base_df = sum(len(m.ordered) * (len(m.ordered) - 1) // 2 for m in problem.moments)
    moments = sum(len(m.vector) for m in problem.moments)
    out = {"npar": float(npar), "fmin": chisq / (2.0 * n)}
    out |= chisq_measures(chisq, df, plain=plain)
    out |= incremental_measures(chisq, df, base, base_df)
    out |= rmsea_measures(chisq, df, total, len(point.groups))
    out |= _residual_measures(point) | _goodness(point, df, moments)
    # lavaan counts the first group's moments here.
    out |= {"wrmr": math.sqrt(chisq / len(problem.moments[0].vector)), "ntotal": float(n)}
    if not plain:
        out["baseline.pvalue"] = math.nan
    return out, base_df


def _goodness(point: OrdinalPoint, df: int, moments: int) -> dict[str, float]:
    """Return GFI, AGFI and PGFI in the metric of the estimator."""
    problem = point.problem
    gfi = 0.0
    for w, m, e, V in zip(problem.weights, problem.moments, point.residuals(), problem.metrics, strict=True):
        gfi += float(w) * (1.0 - float(e @ V @ e) / float(m.vector @ V @ m.vector))
    return {"gfi": gfi, "agfi": 1.0 - moments / df * (1.0 - gfi) if df else 1.0, "pgfi": gfi * df / moments}


def _residual_measures(point: OrdinalPoint) -> dict[str, float]:
    """Return root mean square residuals of covariances, alone ("_nomean") and with thresholds.

    As in lavaan, rmr and srmr divide by the number of these plus that of all variables, and crmr by the former alone.
    """
    names = ("rmr", "srmr_bentler", "crmr")
    out = {f"{name}{end}": 0.0 for name in names for end in ("", "_nomean")}
    for w, m, s, e in zip(point.problem.weights, point.problem.moments, point.groups, point.residuals(), strict=True):
        sd = np.sqrt(np.diag(m.covariance))
        i, j = np.tril_indices(len(m.ordered), -1)
        raw = e[covariance_rows(m)]
        fitted = np.where(m.ordered, 1.0, np.sqrt(np.diag(s.at.sigma)[s.y]))
        implied = (m.vector - e)[covariance_rows(m)]
        level = e[: sum(len(t) for t in m.thresholds)]
        p = s.ram.p
        parts = {
            "rmr": (raw, level, p),
            "srmr_bentler": (raw / (sd[i] * sd[j]), level, p),
            "crmr": (m.vector[covariance_rows(m)] / (sd[i] * sd[j]) - implied / (fitted[i] * fitted[j]), level, 0),
        }
        for name, (c, t, more) in parts.items():
            out[f"{name}_nomean"] += float(w) * math.sqrt(float(c @ c) / max(len(c) + more, 1))
            out[name] += float(w) * math.sqrt(float(c @ c + t @ t) / (len(c) + len(t) + more))
    return {**out, "srmr": out["srmr_bentler_nomean"], "srmr_mplus": math.nan, "srmr_mplus_nomean": math.nan}


def categorical_ml(point: OrdinalPoint, n: int, E: FloatArray, df: int, base_df: int) -> CategoricalML | None:
    """Return Savalei's (2021) test, or None where a variable is numeric, there are covariates, or correlations are not positive definite.

    `E` is (DᵀVD)⁻¹ at the estimates. ML judges the polychoric correlations at the estimates; its χ² is scaled by
    the trace of what misfit adds.
    """
    problem = point.problem
    if not df or any(not m.ordered.all() or len(s.responses.x) for m, s in zip(problem.moments, point.groups, strict=True)):
        return None
    chisq = base = trace = base_trace = 0.0
    parts: list[tuple[FloatArray, FloatArray, FloatArray, FloatArray]] = []
    for w, m, s, V, D in zip(problem.weights, problem.moments, point.groups, problem.metrics, point.jacobians(), strict=True):
        R, Sigma = m.covariance, s.scale[:, None] * s.scale * s.at.sigma
        solved, sample = inverse_and_logdet(Sigma), inverse_and_logdet(R)
        if solved is None or sample is None:
            return None
        chisq += float(w) * n * (solved[1] + float(np.vdot(solved[0], R)) - sample[1] - len(R))
        base -= float(w) * n * sample[1]
        c = covariance_rows(m)
        base_trace += float(np.trace(m.gamma[c, c]))
        parts.append((w * _off_diagonal(solved[0]), w * V[c, c], m.gamma[c, c] / w, D[c]))
    Delta = np.vstack([p[3] for p in parts])
    W, ML, Gamma = (block_diagonal([p[k] for p in parts]) for k in (1, 0, 2))
    left = np.eye(len(W)) - Delta @ E @ Delta.T @ W
    trace = float(np.vdot((left.T @ ML @ left).T, Gamma))
    base_trace = float(np.trace(Gamma))
    return CategoricalML(chisq, trace / df, base, base_trace / base_df)


def _off_diagonal(W: FloatArray) -> FloatArray:
    """Return the normal-theory weight of correlations in the metric W = Σ⁻¹."""
    i, j = np.tril_indices(len(W))
    keep = i != j
    return normal_metric(W, means=False)[np.ix_(keep, keep)]
