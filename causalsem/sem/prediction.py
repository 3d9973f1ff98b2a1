"""Factor scores, and what a fitted model expects of some variables given others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from causalsem._values import FloatArray
from causalsem.behaviour.table import BehaviourTable, as_table
from causalsem.errors import SettingError, check_names, shown
from causalsem.sem.matrices import RAM, implied
from causalsem.sem.ordinal_scores import modal_scores
from causalsem.sem.scores import rows_of

if TYPE_CHECKING:
    from causalsem.sem.result import SEMFit


def factor_scores(fit: SEMFit, data: BehaviourTable | pd.DataFrame | None, method: str, group: int) -> pd.DataFrame:
    """Return scores of the latent variables, one row per unit: "regression" (Thurstone 1935) or "bartlett" (Bartlett 1937).

    With ordered variables these are the mode given the row, with the model's prior ("ebm") or without ("ml").
    """
    ram = fit.rams[group - 1]
    if not ram.names.lv:
        raise SettingError("the model has no latent variable to score; use predict() for observed ones")
    with_prior = {"regression": True, "ebm": True, "bartlett": False, "ml": False}
    if method not in with_prior:
        raise SettingError(f"unknown method {method!r}; use one of {shown(with_prior)}")
    if fit.table.two_level:
        raise SettingError("scores of two-level models are not built; score the variables of one level with a model of its own")
    rows = _rows(fit, data, ram.names.ov, group)
    if ram.responses is not None:
        return pd.DataFrame(modal_scores(fit, rows, group, prior=with_prior[method]), columns=list(ram.names.lv))
    at = implied(ram, fit.theta)
    p = ram.p
    centre = at.mu if ram.means else fit.samples[group - 1].mean
    level = at.eta[p:] if ram.means else latent_levels(ram, fit.theta, centre)
    weights = at.V[p:, :p] @ np.linalg.inv(at.sigma) if with_prior[method] else _bartlett(ram, fit.theta)
    return pd.DataFrame(level + (rows - centre) @ weights.T, columns=list(ram.names.lv))


def latent_levels(ram: RAM, theta: FloatArray, mean: FloatArray) -> FloatArray:
    """Return the means of latent variables whose equations have no intercept: what their observed causes pass on."""
    A, p = ram.fill(theta)[0], ram.p
    return np.asarray(np.linalg.solve(np.eye(len(A) - p) - A[p:, p:], A[p:, :p] @ mean))


def _bartlett(ram: RAM, theta: FloatArray) -> FloatArray:
    """Return (ΛᵀΘ⁻¹Λ)⁻¹ΛᵀΘ⁻¹ over the variables that measure a latent one, zero elsewhere."""
    A, S, _ = ram.fill(theta)
    p = ram.p
    measured = np.flatnonzero((A[:p, p:] != 0).any(axis=1))
    L, Theta = A[measured, p:], S[np.ix_(measured, measured)]
    LT = np.linalg.solve(Theta, L).T
    out = np.zeros((len(A) - p, p))
    out[:, measured] = np.linalg.solve(LT @ L, LT)
    return out


def predict(
    fit: SEMFit, data: BehaviourTable | pd.DataFrame | None, outcomes: Iterable[str] | None, given: Iterable[str] | None, group: int
) -> pd.DataFrame:
    """Return E[outcomes | given] by the implied moments: all dependent observed variables given all causes by default."""
    ram = fit.rams[group - 1]
    ov = list(ram.names.ov)
    given = list(dict.fromkeys(ram.names.ov_x if given is None else given))
    check_names(given, ov, where="the model")
    outcomes = list([n for n in ov if n not in given] if outcomes is None else outcomes)
    check_names(outcomes, ov, where="the model")
    if not given:
        raise SettingError("there is nothing to predict from; name given=[…] among the observed variables")
    at = implied(ram, fit.theta)
    centre = at.mu if ram.means else fit.samples[group - 1].mean
    i, j = [ov.index(n) for n in given], [ov.index(n) for n in outcomes]
    slope = np.linalg.solve(at.sigma[np.ix_(i, i)], at.sigma[np.ix_(i, j)])
    rows = _rows(fit, data, tuple(given), group)
    return pd.DataFrame(centre[j] + (rows - centre[i]) @ slope, columns=outcomes)


def _rows(fit: SEMFit, data: BehaviourTable | pd.DataFrame | None, names: tuple[str, ...], group: int) -> FloatArray:
    """Return the named columns of new data, or of the rows the model was fitted to."""
    if data is None:
        sample = fit.samples[group - 1]
        rows = rows_of(sample, "a score without data")
        return rows[:, [sample.names.index(n) for n in names]]
    if isinstance(data, pd.DataFrame):
        check_names(names, [str(c) for c in data.columns], where="the data")
        data = data[[c for c in data.columns if str(c) in set(names)]]
    return as_table(data).complete(names)
