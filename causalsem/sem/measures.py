"""All fit measures of a fit, put together from their definitions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import chdtrc

from causalsem._values import FloatArray
from causalsem.sem import two_level_measures
from causalsem.sem.discrepancy import Discrepancy, NormalPoint
from causalsem.sem.estimators import Compared, Setup, fit_baseline, fit_saturated, moment_parts, moment_test, scaled_test
from causalsem.sem.fiml import FIML
from causalsem.sem.fiml_corrected import corrected_test, unrestricted
from causalsem.sem.fit_measures import (
    RobustTest,
    baseline_discrepancy,
    chisq_measures,
    fixed_causes_logl,
    incremental_measures,
    likelihood_measures,
    no_robust_measures,
    normal_goodness,
    residual_measures,
    rmsea_measures,
    robust_measures,
    saturated_logl,
    weighed_goodness,
)
from causalsem.sem.identification import moment_count
from causalsem.sem.least_squares import LeastSquares, moment_vector
from causalsem.sem.matrices import RAM, Implied, implied
from causalsem.sem.ordinal_measures import CategoricalML, baseline_jacobian, categorical_ml, plain_measures
from causalsem.sem.ordinal_model import OrdinalPoint
from causalsem.sem.partable import ParameterTable
from causalsem.sem.robust import ScaledTest
from causalsem.sem.solver import Solution
from causalsem.sem.standard_errors import covariance_of_estimates
from causalsem.sem.two_level import TwoLevelML


def fixed_causes(rams: Sequence[RAM], table: ParameterTable) -> list[list[int]]:
    """Return per group the numbers of the observed variables whose moments are taken from the sample."""
    return [[r.names.ov.index(n) for n in r.names.ov_x] if table.fixed_x else [] for r in rams]


def fit_measures(
    table: ParameterTable, rams: Sequence[RAM], setup: Setup, problem: Discrepancy, found: Solution, J: FloatArray
) -> dict[str, float]:
    """Return every measure by lavaan's name; J (m, k) is the Jacobian of the constraints that hold."""
    samples, n, means = setup.samples, sum(s.n for s in setup.samples), table.meanstructure
    at = [implied(r, found.theta) for r in rams]
    npar = table.count - (int(np.linalg.matrix_rank(J)) if len(J) else 0)
    moments = moment_count(table)
    df = moments - npar
    if setup.ordinal:
        return _ordinal(setup, rams, problem, found, J, npar, df)
    x = fixed_causes(rams, table)
    if isinstance(problem, TwoLevelML):
        model = Compared(problem, found, table.count)
        return _two_level(setup, rams, model, J, npar, moments, x, sum(r.free > 0 for r in table.rows))
    full = fit_saturated(setup, rams, x).found.at.value if setup.incomplete else 0.0
    chisq = 2.0 * setup.total * (found.at.value - full)
    null, base, base_df = _baseline(setup, rams, table, x, full, moments)
    # lavaan counts the moments of fixed causes in AGFI and PGFI.
    all_moments = moments + sum(r.exo for r in table.rows)
    out = {"npar": float(npar), "fmin": (found.at.value - full) * (1.0 if setup.plan.discrepancy == "ML" else setup.total / n)}
    out |= chisq_measures(chisq, df, plain=setup.plan.discrepancy != "ULS")
    out |= incremental_measures(chisq, df, base, base_df)
    if setup.plan.discrepancy == "ULS":
        out["baseline.pvalue"] = math.nan
    out |= rmsea_measures(chisq, df, setup.total, len(samples))
    out |= _likelihood(setup, problem, found, full, x, npar, n)
    out |= residual_measures(samples, at, setup.shares, means=means)
    if setup.mplus and (setup.plan.information == "observed" or setup.plan.discrepancy not in ("ML", "GLS")):
        out["srmr"] = out["srmr_mplus"]
    gfi = _goodness(setup, problem, found, rams, at, x, means=means)
    out |= {"gfi": gfi, "agfi": 1.0 - all_moments / df * (1.0 - gfi) if df else 1.0, "pgfi": gfi * df / all_moments}
    out["ecvi"] = (chisq + 2.0 * npar) / setup.total
    model = Compared(problem, found, table.count)
    test = scaled_test(setup, rams, model, J, df, x, sum(r.free > 0 for r in table.rows))
    if test is not None or setup.incomplete:
        null = null or fit_baseline(setup, rams, x)
    told = _fiml_robust(setup, rams, model, null, J, df, base_df, x, scaled=test is not None) if setup.incomplete and null else None
    if test is not None and null is not None:
        base_test = scaled_test(setup, rams, null, np.zeros((0, null.count)), base_df, x, null.count)
        out |= _scaled(out, test, base_test, df, base_df, setup)
    return out | (told or {})


def _fiml_robust(
    setup: Setup,
    rams: Sequence[RAM],
    model: Compared,
    null: Compared,
    J: FloatArray,
    df: int,
    base_df: int,
    x: list[list[int]],
    *,
    scaled: bool,
) -> dict[str, float]:
    """Return the robust measures of incomplete rows (Zhang & Savalei 2023)."""
    full = unrestricted(setup, rams, x, scaled=scaled) if df else None
    if full is None or not isinstance(null.problem, FIML):
        return no_robust_measures() if df else {}
    one = corrected_test(setup, rams, model, J, df, full)
    base = corrected_test(setup, null.problem.rams, null, np.zeros((0, null.count)), base_df, full)
    if one is None or base is None:
        return no_robust_measures()
    told = RobustTest(one.chisq, base.chisq, one.factor, base.factor, one.chisq / one.factor, one.factor)
    return robust_measures(told, df, base_df, setup.total, len(setup.samples))


def _goodness(
    setup: Setup, problem: Discrepancy, found: Solution, rams: Sequence[RAM], at: Sequence[Implied], x: list[list[int]], *, means: bool
) -> float:
    """Return GFI (Jöreskog & Sörbom 1984): what share of the moments, in the estimator's metric, the model explains."""
    if isinstance(problem, LeastSquares):
        parts = [
            weighed_goodness(moment_vector(s.mean, s.covariance, means=means), moment_vector(a.mu, a.sigma, means=means), V)
            for s, a, V in zip(setup.samples, at, problem.metrics, strict=True)
        ]
    else:
        parts = [normal_goodness(s, a, fixed, means=means) for s, a, fixed in zip(setup.samples, at, x, strict=True)]
    return float(setup.shares @ parts)


def _baseline(
    setup: Setup, rams: Sequence[RAM], table: ParameterTable, x: list[list[int]], full: float, moments: int
) -> tuple[Compared | None, float, int]:
    """Return the independence model where it had to be fitted, its χ² and degrees of freedom."""
    base_df = moments - sum(_baseline_parameters(r, table) for r in rams)
    if setup.plan.discrepancy == "ML" and not setup.incomplete:
        roots = [[r.names.ov.index(name) for name in r.names.ov_x] for r in rams]
        parts = [baseline_discrepancy(s, causes) for s, causes in zip(setup.samples, roots, strict=True)]
        return None, setup.total * float(setup.weights @ parts), base_df
    null = fit_baseline(setup, rams, x)
    return null, 2.0 * setup.total * (null.found.at.value - full), base_df


def _baseline_parameters(ram: RAM, table: ParameterTable) -> int:
    """Count the free parameters of one group's independence model; causes covary in it even where they are not fixed."""
    roots = len(ram.names.ov_x)
    fixed = roots if table.fixed_x else 0
    covariances = 0 if table.fixed_x else roots * (roots - 1) // 2
    p = ram.p - fixed
    return p + covariances + (p if table.meanstructure else 0)


def _likelihood(
    setup: Setup, problem: Discrepancy, found: Solution, full: float, x: list[list[int]], npar: int, n: int
) -> dict[str, float]:
    """Return likelihoods and information criteria of an ML fit; other estimators have none."""
    if setup.plan.discrepancy != "ML":
        return {}
    value = found.at.value
    if setup.incomplete:
        own = sum(fixed_causes_logl(s, causes) for s, causes in zip(setup.samples, x, strict=True))
        return likelihood_measures(-n * value - own, -n * full - own, npar, n)
    saturated = sum(saturated_logl(s, causes) for s, causes in zip(setup.samples, x, strict=True))
    if setup.total == n:
        return likelihood_measures(saturated - n * value, saturated, npar, n)
    # lavaan's "wishart" weighs χ² by n − 1 but the likelihood by n.
    point = problem.at(found.theta)
    assert isinstance(point, NormalPoint)  # ML of complete rows
    lost = 0.5 * sum(s.n * g.value for s, g in zip(setup.samples, point.groups, strict=True))
    return likelihood_measures(saturated - lost, saturated, npar, n)


def _two_level(
    setup: Setup, rams: Sequence[RAM], model: Compared, J: FloatArray, npar: int, moments: int, x: list[list[int]], rows: int
) -> dict[str, float]:
    """Return the measures of a two-level fit."""
    problem, value, df = model.problem, model.found.at.value, moments - npar
    assert isinstance(problem, TwoLevelML)  # the caller says so
    n = int(setup.total)
    full, null = fit_saturated(setup, rams, x), fit_baseline(setup, rams, x)
    chisq, base = (2.0 * n * (v - full.found.at.value) for v in (value, null.found.at.value))
    base_df = moments - null.count
    own = two_level_measures.fixed_causes_logl(setup.samples, x)
    logl, unrestricted = (problem.constant - n * v - own for v in (value, full.found.at.value))
    # lavaan's fmin is that of the whole likelihood, but for 2π.
    out = {"npar": float(npar), "fmin": value + 0.5 * _added(problem) / n}
    out |= chisq_measures(chisq, df, plain=True)
    out |= incremental_measures(chisq, df, base, base_df)
    out |= rmsea_measures(chisq, df, n, len(problem.groups))
    out |= likelihood_measures(logl, unrestricted, npar, n)
    out |= two_level_measures.level_residuals(setup.samples, rams, model.found.theta)
    test = scaled_test(setup, rams, model, J, df, x, rows)
    if test is not None:
        base_test = scaled_test(setup, rams, null, np.zeros((0, null.count)), base_df, x, null.count)
        out |= _scaled(out, test, base_test, df, base_df, setup)
    return out


def _added(problem: TwoLevelML) -> float:
    """Return what lavaan's discrepancy has beside ours: Σ rows · variables, and ln size for every cluster mean."""
    dimensions = sum((c.n - c.count) * c.within + c.count * len(c.names) for c in problem.groups)
    return dimensions + sum(len(k.clusters) * c.within * math.log(k.size) for c in problem.groups for k in c.classes)


def _ordinal(
    setup: Setup, rams: Sequence[RAM], problem: Discrepancy, found: Solution, J: FloatArray, npar: int, df: int
) -> dict[str, float]:
    """Return the measures of a fit to ordered variables."""
    point = problem.at(found.theta)
    assert isinstance(point, OrdinalPoint)  # the setup says so
    n = sum(s.n for s in setup.samples)
    plain = setup.plan.discrepancy != "ULS"
    out, base_df = plain_measures(point, setup.total, n, npar, df, plain=plain)
    test = scaled_test(setup, rams, Compared(problem, found, len(found.theta)), J, df, [], len(found.theta))
    if test is None:
        return out
    _, V, gammas = moment_parts(setup, problem, found.theta, None)
    stacked = _columns_apart([baseline_jacobian(m) for m in point.problem.moments])
    identity = np.eye(stacked[0].shape[1])
    base_test = moment_test(setup, stacked, V, gammas, identity, base_df, setup.plan.test) if df else None
    bread = covariance_of_estimates(found.at.information, 1.0, J)
    robust = None if bread is None else categorical_ml(point, n, bread, df, base_df)
    return out | _scaled(out, test, base_test, df, base_df, setup, robust)


def _columns_apart(matrices: list[FloatArray]) -> list[FloatArray]:
    """Return matrices of several groups in the columns of all their parameters."""
    width = sum(m.shape[1] for m in matrices)
    out, at = [], 0
    for m in matrices:
        wide = np.zeros((len(m), width))
        wide[:, at : at + m.shape[1]] = m
        out.append(wide)
        at += m.shape[1]
    return out


def _scaled(
    plain: dict[str, float],
    test: ScaledTest,
    base_test: ScaledTest | None,
    df: int,
    base_df: int,
    setup: Setup,
    categorical: CategoricalML | None = None,
) -> dict[str, float]:
    """Return the measures of the scaled test: *.scaled from the scaled χ², *.robust as Brosseau-Liard & Savalei (2014).

    With ordered variables the robust ones rest on Savalei's (2021) test, `categorical`.
    """
    n, groups = setup.total, len(setup.samples)
    chisq, scaled_df = (plain["chisq"] / test.factor + test.shift if df else plain["chisq"]), test.df if test.df is not None else float(df)
    out = {"chisq.scaled": chisq, "df.scaled": scaled_df, "chisq.scaling.factor": test.factor}
    out["pvalue.scaled"] = float(chdtrc(scaled_df, max(chisq, 0.0))) if df else math.nan
    if test.shift:
        out["chisq.shift.parameters"] = test.shift
    if test.h1 is not None and test.h0 is not None:
        out |= {"scaling.factor.h1": test.h1, "scaling.factor.h0": test.h0}
    base_factor, base_shift = (base_test.factor, base_test.shift) if base_test else (1.0, 0.0)
    base = plain["baseline.chisq"] / base_factor + base_shift
    wide_df = base_test.df if base_test and base_test.df is not None else float(base_df)
    out |= {f"{key}.scaled": value for key, value in incremental_measures(chisq, scaled_df, base, wide_df).items()}
    out["baseline.chisq.scaling.factor"] = base_factor
    # lavaan refers the unscaled χ² to a χ² whose degrees of freedom are scaled, unless the test has a shift.
    whole = (chisq, scaled_df) if test.shift or not df else (plain["chisq"], test.factor * scaled_df)
    close = rmsea_measures(*whole, n, groups)
    out |= {
        f"{key}.scaled": v if df or setup.plan.test == "scaled.shifted" else math.nan
        for key, v in close.items()
        if key.startswith("rmsea") and not key.endswith(("level", "h0"))
    }
    if setup.plan.test == "mean.var.adjusted":
        return out
    if setup.ordinal and df:
        if categorical is None:
            return {**out, **no_robust_measures()}
        c = categorical
        told = RobustTest(c.chisq, c.base, c.factor, c.base_factor, c.chisq / c.factor, c.factor)
    else:
        # A shifted test counts on average like one with the factor a (df − b)/df.
        mean, base_mean = (f * (d - b) / d if d else f for f, b, d in ((test.factor, test.shift, df), (base_factor, base_shift, base_df)))
        told = RobustTest(plain["chisq"], plain["baseline.chisq"], mean, base_mean, chisq, test.factor)
    return {**out, **robust_measures(told, df, base_df, n, groups)}
