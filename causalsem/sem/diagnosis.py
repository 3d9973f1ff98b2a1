"""What a careful reader would ask about data and solution: scales, Heywood cases, unstable feedback, binding bounds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from causalsem._values import FloatArray
from causalsem.errors import shown
from causalsem.graph.causal_graph import find_cycle
from causalsem.sem.constraints import Constraints
from causalsem.sem.equations import strengths_of
from causalsem.sem.matrices import RAM, implied
from causalsem.sem.partable import ParameterTable
from causalsem.sem.sample import Sample
from causalsem.sem.solver import Solution

# Variances further apart than this lose digits that rescaling would keep.
SCALES_APART = 1e8
# Correlations of 1 − 5e-7 leave an eigenvalue of this size; the variance of a slope is then a million times what it could be.
COLLINEAR = 1e-6
# A standard error of a thousand standard deviations says nothing.
HARDLY_KNOWN = 1e3
# No standardised coefficient of a model that settles is near this.
RUN_AWAY = 1e3


def data_notes(samples: Sequence[Sample], *, means: bool) -> list[str]:
    """Return what should be said about the data before fitting a model with or without `means`."""
    notes = []
    for sample in samples:
        if means and sample.rows is None and not sample.mean.any():
            notes.append("the model has means, but all means handed in are exactly 0; hand them in: Moments.from_covariance(…, mean=…)")
        variances = np.diag(sample.covariance)
        if sample.level == 2 and (variances <= 0).any():
            # Moments between clusters are those of their means, less what units alone would make them vary.
            flat = [name for name, v in zip(sample.names, variances, strict=True) if v <= 0]
            notes.append(f"{shown(flat)} vary no more between clusters than their units do by chance; model them within clusters only")
            continue
        notes += _collinear_notes(sample)
        high, low = int(np.argmax(variances)), int(np.argmin(variances))
        if variances[high] > SCALES_APART * variances[low]:
            ratio = np.exp(0.5 * (np.log(variances[high]) - np.log(variances[low])))
            pair = f"{sample.names[high]!r} varies {ratio:.0e} times as much as {sample.names[low]!r}"
            notes.append(f"variables on very different scales: {pair}; rescale them (in thousands, in percent) to keep digits")
    return notes


def _collinear_notes(sample: Sample) -> list[str]:
    """Return a note where variables are so nearly collinear that what each does alone is hardly known."""
    variances = sample.covariance.diagonal()
    logdet = float(np.linalg.slogdet(sample.covariance)[1]) - float(np.log(variances).sum())
    # The smallest eigenvalue of a correlation matrix is at least its determinant / e.
    if logdet > np.log(COLLINEAR) + 1.0:
        return []
    sd = np.sqrt(variances)
    values, vectors = np.linalg.eigh(sample.covariance / sd / sd[:, None])
    if values[0] > COLLINEAR:
        return []
    weight = np.abs(vectors[:, 0])
    tied = [n for n, w in zip(sample.names, weight, strict=True) if w > 0.05 * weight.max()]
    return [f"nearly collinear variables {shown(tied)} (smallest eigenvalue {values[0]:.1e}): their own shares are hardly known; drop one"]


def open_notes(table: ParameterTable, rams: Sequence[RAM], found: Solution, vcov: FloatArray | None) -> list[str]:
    """Return a note about parameters of factors that the data leave practically open: empirical underidentification (Kenny 1979)."""
    if vcov is None or not any(r.names.lv for r in rams):
        return []
    se, loose = np.sqrt(np.maximum(vcov.diagonal(), 0.0)), set()
    if not (se > HARDLY_KNOWN * np.abs(found.theta)).any():
        return []
    for ram in rams:
        sd = np.sqrt(np.maximum(np.diag(implied(ram, found.theta).V), 1e-300))
        unit = np.concatenate([sd[ram.a_row] / sd[ram.a_col], sd[ram.s_row] * sd[ram.s_col]])
        told = np.concatenate([ram.a_par, ram.s_par])
        loose |= {int(k) for k in told[se[told] > HARDLY_KNOWN * np.maximum(unit, np.abs(found.theta[told]))]}
    if not loose:
        return []
    names = [table.parameter_names[k] for k in sorted(loose)]
    return [
        f"the data hardly determine {shown(names)}: standard errors beyond any use; indicators may have nothing in common: drop the factor"
    ]


def impossible_variances(ram: RAM) -> list[str]:
    """Return observed variables whose error variance is fixed at zero (with observed causes alone) or below."""
    fixed = ram.S0.diagonal() <= 0
    fixed[ram.s_row[ram.s_row == ram.s_col]] = False
    fixed[ram.p :] = False
    if not fixed.any():
        return []
    exact = ~ram.arrows[:, ram.p :].any(axis=1) & (ram.S0.diagonal() == 0)
    return [ram.names.all[k] for k in np.flatnonzero(fixed & (exact | (ram.S0.diagonal() < 0)))]


def undefined_notes(defined: Sequence[tuple[str, float, float]]) -> list[str]:
    """Return a note about := values that have no number at the estimates."""
    lost = [name for name, value, _ in defined if not np.isfinite(value)]
    why = "a division by zero, or a log of no positive number"
    return [f"{shown(lost)} of the := lines have no value at the estimates ({why}); mend them"] if lost else []


def runaways(table: ParameterTable, rams: Sequence[RAM], samples: Sequence[Sample], theta: FloatArray) -> list[str]:
    """Return the coefficients between observed variables that have left every plausible range, in units of the sample."""
    out = []
    for ram, sample in zip(rams, samples, strict=True):
        sd = np.sqrt(np.diag(sample.covariance))
        seen = (ram.a_row < ram.p) & (ram.a_col < ram.p)
        size = np.abs(theta[ram.a_par[seen]]) * sd[ram.a_col[seen]] / sd[ram.a_row[seen]]
        out += [table.parameter_names[k] for k in ram.a_par[seen][size > RUN_AWAY]]
    return out


def weak_instrument_notes(rams: Sequence[RAM], samples: Sequence[Sample]) -> list[str]:
    """Return which equations rest on instruments that say too little."""
    notes = []
    for one in strengths_of(rams, samples):
        if one.weak:
            said = f"weak instruments {shown(one.instruments)} for {shown(one.causes)} in the equation of {one.equation!r}"
            notes.append(f"{said} (first-stage F = {one.F:.1f} < 10): its estimates may be far off; look for stronger instruments")
    return notes


def automatic_remarks(table: ParameterTable) -> list[str]:
    """Return which error covariances the preset added without being asked."""
    added = [r for r in table.rows if r.op == "~~" and not r.user and r.free and r.lhs != r.rhs and r.group == 1]
    sinks = {n for names in table.names for n in (*names.ov_y, *names.lv_y)}
    pairs = [f"{r.lhs} ~~ {r.rhs}" for r in added if r.lhs in sinks and r.rhs in sinks]
    if not pairs:
        return []
    return [f"the preset lets the errors of last variables covary ({shown(pairs)}), as lavaan's sem() does; preset='dag' does not"]


def admissibility_notes(table: ParameterTable, rams: Sequence[RAM], found: Solution, constraints: Constraints) -> list[str]:
    """Return what makes the estimates inadmissible or conditional, each with a cure."""
    notes = []
    for g, ram in enumerate(rams, start=1):
        what = "level" if table.two_level else "group"
        where = f" in {what} {table.block_labels[g - 1]!r}" if len(rams) > 1 else ""
        A, S, _ = ram.fill(found.theta)
        names = ram.names.all
        negative = [names[k] for k in range(len(S)) if S[k, k] < 0]
        if negative:
            cure = "the model may be wrong or the sample small; fix it to 0, bound it with lower(0), or simplify"
            notes.append(f"negative variance (Heywood case) of {shown(negative)}{where}; {cure}")
        latent = S[ram.p :, ram.p :]
        if not negative and len(latent) and np.linalg.eigvalsh(latent)[0] < -1e-10 * max(1.0, float(np.abs(latent).max())):
            notes.append(
                f"the covariance of the latent variables {shown(ram.names.lv)}{where} is not positive definite; merge factors that coincide"
            )
        notes += [] if ram.recursive else _feedback_notes(A, names, where)
    if found.active:
        said = "standard errors treat inequalities as exact and leave bounds out of account; neither is right at the edge"
        notes.append(f"{len(found.active)} inequality constraint(s) or bound(s) bind; {said}")
    return notes


def _loop(A: FloatArray, names: Sequence[str]) -> str:
    """Return one directed cycle in words, or nothing."""
    cycle = find_cycle((A != 0).T)
    return "" if cycle is None else " -> ".join(names[k] for k in (*cycle, cycle[0]))


def spectral_radius(A: FloatArray) -> float:
    """Return the spectral radius of the arrows; effects of a feedback model are an equilibrium only below 1."""
    return float(np.abs(np.linalg.eigvals(A)).max()) if len(A) else 0.0


def _feedback_notes(A: FloatArray, names: Sequence[str], where: str) -> list[str]:
    """Return a note when feedback never settles."""
    loop = _loop(A, names)
    radius = spectral_radius(A) if loop else 0.0
    if radius < 1.0:
        return []
    said = f"the feedback {loop}{where} has spectral radius {radius:.2f} ≥ 1: no equilibrium, effects have no meaning"
    return [f"{said}; check signs and instruments"]


def feedback_remarks(rams: Sequence[RAM], theta: FloatArray) -> list[str]:
    """Return what has to be said about a feedback that settles."""
    remarks = []
    for ram in rams:
        if ram.recursive:
            continue
        A = ram.fill(theta)[0]
        loop = _loop(A, ram.names.all)
        if loop and spectral_radius(A) < 1.0:
            remarks.append(
                f"the model has feedback ({loop}, spectral radius {spectral_radius(A):.2f}); effects are those of its equilibrium"
            )
    return remarks
