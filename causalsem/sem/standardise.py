"""Standardised estimates: std_lv (latent variables at variance 1) and std_all (all variables), as lavaan defines them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from causalsem._values import FloatArray
from causalsem.sem.constraints import Labels
from causalsem.sem.expressions import Dual, evaluate
from causalsem.sem.matrices import RAM, implied
from causalsem.sem.ordinal_model import standing
from causalsem.sem.partable import ParameterTable


def row_estimates(table: ParameterTable, rams: tuple[RAM, ...], theta: FloatArray) -> FloatArray:
    """Return the value of every row at `theta`: free, fixed, or a moment of the fixed causes."""
    out = np.empty(len(table.rows))
    places = [{n: k for k, n in enumerate(names.all)} for names in table.names]
    following = [_following(ram, theta) for ram in rams] if table.levels else []
    for k, row in enumerate(table.rows):
        if row.free:
            out[k] = theta[row.free - 1]
        elif row.exo:
            ram, place = rams[row.group - 1], places[row.group - 1]
            i = place[row.lhs]
            out[k] = ram.m0[i] if row.op == "~1" else ram.S0[i, place[row.rhs]]
        elif row.lhs in table.levels and row.lhs == row.rhs:
            # What the parameterisation leaves to follow: error variances under delta, scales under theta.
            followed = following[row.group - 1][row.op]
            out[k] = followed[places[row.group - 1][row.lhs]]
        else:
            out[k] = row.value or 0.0
    return out


def _following(ram: RAM, theta: FloatArray) -> dict[str, FloatArray]:
    """Return error variances ("~~") and scales ("~*~") by variable, whether parameters or what follows from them."""
    there = standing(ram, theta)
    if there is None:
        return {"~~": np.full(len(ram.A0), np.nan), "~*~": np.full(len(ram.A0), np.nan)}
    return {"~~": np.diag(ram.fill(theta)[1]), "~*~": there.scale}


def standardised(table: ParameterTable, rams: tuple[RAM, ...], theta: FloatArray, *, observed: bool, exogenous: bool = True) -> FloatArray:
    """Return the standardised value of every row; `observed` standardises observed variables too (std_all).

    Without `exogenous`, exogenous observed variables keep their units (std_nox).

    Loadings and slopes are scaled by the implied standard deviations; (residual) covariances become correlations of
    the residuals; variances are shares of the implied variance.
    """
    values = row_estimates(table, rams, theta)
    for g, ram in enumerate(rams, start=1):
        at = implied(ram, theta)
        S = ram.fill(theta)[1]
        place = {n: k for k, n in enumerate(ram.names.all)}
        with np.errstate(invalid="ignore"):
            sd, residual = np.sqrt(np.diag(at.V)), np.sqrt(np.abs(np.diag(S)))
        kept = [] if exogenous else [place[n] for n in ram.names.ov_x]
        if not observed:
            kept = list(range(ram.p))
        sd[kept] = residual[kept] = 1.0
        for k, row in enumerate(table.rows):
            if row.group == g and row.op == "~*~":
                values[k] = 1.0 if observed else values[k]
            elif row.group == g:
                values[k] *= scale_factor(row.op, place[row.lhs], place.get(row.rhs, -1), sd, residual)
    return values


def scale_factor(op: str, i: int, j: int, sd: FloatArray, residual: FloatArray) -> FloatArray:
    """Return what standardises a parameter between variables i and j; `sd` and `residual` are (…, q)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        if op == "=~":
            return np.asarray(sd[..., i] / sd[..., j])
        if op in ("~", "<~"):
            return np.asarray(sd[..., j] / sd[..., i])
        if op in ("~1", "|"):
            return np.asarray(1.0 / sd[..., i])
        if i == j:
            return np.asarray(1.0 / sd[..., i] ** 2)
        # A covariance with a residual variance of zero has no correlation; lavaan scales it by the standard deviations.
        both = residual[..., i] * residual[..., j]
        return np.where(both > 0, 1.0 / both, 1.0 / (sd[..., i] * sd[..., j]))


def defined_standardised(table: ParameterTable, labels: Labels, values: FloatArray) -> list[float]:
    """Return the `:=` values computed from standardised rows."""
    known: dict[str, Dual] = {}
    none = np.zeros(0)
    for row, value in zip(table.rows, values, strict=True):
        for name in (row.label, row.plabel):
            if name:
                known.setdefault(name, (float(value), none))
    out = []
    for relation in labels.defined:
        known[relation.left.name] = evaluate(relation.right, known, 0)
        out.append(known[relation.left.name][0])
    return out


def numerical_jacobian(function: Callable[[FloatArray], FloatArray], theta: FloatArray) -> FloatArray:
    """Return ∂function/∂θ by central differences of relative step 6e-6 (ε^⅓, where their error is least)."""
    columns = []
    for k in range(len(theta)):
        step = 6e-6 * max(abs(theta[k]), 1e-2)
        up, down = theta.copy(), theta.copy()
        up[k] += step
        down[k] -= step
        columns.append((function(up) - function(down)) / (2 * step))
    return np.array(columns).T
