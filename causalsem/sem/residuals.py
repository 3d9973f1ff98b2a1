"""Residual covariances of a fit: raw, as correlations (Bentler 1995; Bollen 1989), and in units of their own standard errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from causalsem._values import FloatArray
from causalsem.errors import SettingError, shown
from causalsem.sem.constraints import Constraints, independent_rows
from causalsem.sem.estimators import Setup, jacobians_and_weights, moment_parts
from causalsem.sem.matrices import RAM, implied
from causalsem.sem.ordinal_measures import covariance_rows
from causalsem.sem.ordinal_model import standing
from causalsem.sem.sample import Sample
from causalsem.sem.standard_errors import covariance_of_estimates

if TYPE_CHECKING:
    from causalsem.sem.result import SEMFit

KINDS = ("raw", "cor.bentler", "cor.bollen", "standardized")


def residual_tables(fit: SEMFit, kind: str) -> list[pd.DataFrame]:
    """Return a table of residuals for every block."""
    if kind not in KINDS:
        raise SettingError(f"unknown kind {kind!r}; use one of {shown(KINDS)}")
    if kind == "standardized":
        return _standardised(fit)
    pairs = [(s, implied_covariance(r, np.array(fit.theta))) for s, r in zip(fit.samples, fit.rams, strict=True)]
    return [_square(s.names, _scaled(s.covariance, fitted, kind)) for s, fitted in pairs]


def implied_covariance(ram: RAM, theta: FloatArray) -> FloatArray:
    """Return the implied covariance of the observed variables; ordered responses at the scale of their correlations."""
    sigma = implied(ram, theta).sigma
    if ram.responses is None:
        return sigma
    there = standing(ram, theta)
    scale = np.full(ram.p, np.nan) if there is None else there.scale
    return np.asarray(scale[:, None] * scale * sigma)


def _scaled(sample: FloatArray, fitted: FloatArray, kind: str) -> FloatArray:
    if kind == "raw":
        return sample - fitted
    sd, own = np.sqrt(np.diag(sample)), np.sqrt(np.abs(np.diag(fitted)))
    return sample / np.outer(sd, sd) - fitted / (np.outer(sd, sd) if kind == "cor.bentler" else np.outer(own, own))


def _standardised(fit: SEMFit) -> list[pd.DataFrame]:
    """Return residuals over their standard errors: Q Γ Qᵀ / n, Q = I − D (DᵀVD)⁻¹DᵀV; 0 where a moment is fitted exactly."""
    if fit.table.two_level or any(s.patterns for s in fit.samples):
        raise SettingError("standard errors of residuals are built for complete rows of one level; use kind='cor.bollen'")
    setup, theta = Setup.build(fit.samples, fit.options), np.array(fit.theta)
    problem = setup.discrepancy(fit.rams, fit.table.count)
    D, V = jacobians_and_weights(setup, problem, theta)
    if setup.plan.discrepancy == "ML" and setup.plan.se == "standard":
        gammas = [np.asarray(np.linalg.inv(v), dtype=np.float64) for v in jacobians_and_weights(_at_sample(setup), problem, theta)[1]]
    else:
        gammas = moment_parts(setup, problem, theta, None)[2]
    information = sum(f * (d.T @ v @ d) for f, d, v in zip(setup.shares, D, V, strict=True))
    J = independent_rows(Constraints.build(fit.table).equal(theta)[1])
    bread = covariance_of_estimates(np.asarray(information), 1.0, J)
    if setup.plan.discrepancy == "ML":
        gammas = [_given(g, v, s, r, fit) for g, v, s, r in zip(gammas, V, fit.samples, fit.rams, strict=True)]
    if bread is None:
        raise SettingError("the information is singular, so that residuals have no standard errors; use kind='cor.bollen'")
    out = []
    for s, ram, d, v, gamma, share in zip(fit.samples, fit.rams, D, V, gammas, setup.shares, strict=True):
        Q = np.eye(len(d)) - share * (d @ bread @ d.T @ v)
        spread = np.diag(Q @ gamma @ Q.T) / s.n
        out.append(_square(s.names, _over_errors(s, ram, theta, spread)))
    return out


def _given(gamma: FloatArray, V: FloatArray, s: Sample, ram: RAM, fit: SEMFit) -> FloatArray:
    """Return Γ given the fixed causes, whose own moments do not vary: the inverse of what its inverse says of the others."""
    x = [s.names.index(n) for n in ram.names.ov_x] if fit.table.fixed_x else []
    if not x or fit.options.plan.se != "standard":
        return gamma
    p = ram.p
    i, j = np.tril_indices(p)
    inside = np.isin(i, x) & np.isin(j, x)
    kept = ~np.concatenate([np.isin(np.arange(p), x), inside]) if len(V) > len(i) else ~inside
    out = np.zeros(gamma.shape)
    out[np.ix_(kept, kept)] = np.linalg.inv(np.linalg.inv(gamma)[np.ix_(kept, kept)])
    return out


def _at_sample(setup: Setup) -> Setup:
    """Return a setup whose weights are taken at the sample's moments."""
    return Setup(setup.samples, setup.plan, setup.sizes, mplus=True)


def _over_errors(s: Sample, ram: RAM, theta: FloatArray, spread: FloatArray) -> FloatArray:
    """Return residual covariances over the square roots of their variances, which stand last among the moments."""
    residual = s.covariance - implied_covariance(ram, theta)
    variances = np.zeros(residual.shape)
    if s.ordinal is not None:
        there = standing(ram, theta)
        y = np.arange(ram.p) if there is None else there.y
        i, j = (y[k] for k in np.tril_indices(len(y), -1))
        variances[i, j] = variances[j, i] = spread[covariance_rows(s.ordinal)]
    else:
        i, j = np.tril_indices(ram.p)
        variances[i, j] = variances[j, i] = spread[len(spread) - len(i) :]
    # Rounding leaves 1e-16 of a variance that is zero.
    told = variances > 1e-10 * np.abs(variances).max(initial=1e-300)
    return np.where(told, residual / np.sqrt(np.where(told, variances, 1.0)), 0.0)


def _square(names: tuple[str, ...], matrix: FloatArray) -> pd.DataFrame:
    return pd.DataFrame(np.array(matrix), index=list(names), columns=list(names))
