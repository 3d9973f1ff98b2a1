"""Likelihood-ratio tests between nested fits, scaled where the fits are."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import chdtrc

from causalsem._values import FloatArray
from causalsem.errors import SettingError, shown
from causalsem.sem.constraints import Constraints, independent_rows, null_space
from causalsem.sem.estimators import Compared, Setup, derivatives_at, jacobians_and_weights, moment_parts, scaled_test
from causalsem.sem.measures import fixed_causes
from causalsem.sem.robust import block_diagonal
from causalsem.sem.solver import Solution
from causalsem.sem.standardise import row_estimates

if TYPE_CHECKING:
    from causalsem.sem.result import SEMFit


METHODS = ("satorra.bentler.2001", "satorra.bentler.2010", "satorra.2000")


def compare(*fits: SEMFit, method: str = "default") -> pd.DataFrame:
    """Return the tests of each model against the next larger one: df aic bic chisq chisq_diff rmsea df_diff pvalue.

    Models must be nested and fitted to the same rows. Where their tests are scaled, so is the difference: by
    "satorra.bentler.2001", by "satorra.bentler.2010" (never negative), or by "satorra.2000", shifted, which the default
    takes for tests adjusted in mean and variance (WLSMV, MLMV, ULSMV). Raises SettingError when n, variables or
    estimators differ, or when a scaled difference is negative.
    """
    if len(fits) < 2:
        raise SettingError("a comparison needs two fits or more; hand in compare(fit1, fit2)")
    if method not in ("default", *METHODS):
        raise SettingError(f"unknown method {method!r}; use one of {shown(METHODS)}")
    ordered = sorted(fits, key=lambda f: f.measures["df"])
    first = ordered[0]
    for other in ordered[1:]:
        _check_comparable(first, other)
    rows = [_facts(first) | {"chisq_diff": math.nan, "rmsea": math.nan, "df_diff": math.nan, "pvalue": math.nan}]
    rows += [_facts(small) | _difference(large, small, method) for large, small in itertools.pairwise(ordered)]
    index = [f"model {fits.index(f) + 1}" for f in ordered]
    return pd.DataFrame(rows, index=index)


def _check_comparable(a: SEMFit, b: SEMFit) -> None:
    for what, one, two in (
        ("numbers of rows", a.n, b.n),
        ("estimators", a.options.estimator, b.options.estimator),
        ("observed variables", sorted(a.samples[0].names), sorted(b.samples[0].names)),
        ("numbers of groups", len(a.samples), len(b.samples)),
    ):
        if one != two:
            raise SettingError(f"the fits have different {what} ({one} and {two}); compare fits of the same data")


def _facts(fit: SEMFit) -> dict[str, float]:
    m = fit.measures
    return {"df": m["df"], "aic": m.get("aic", math.nan), "bic": m.get("bic", math.nan), "chisq": m["chisq"]}


def _difference(large: SEMFit, small: SEMFit, method: str) -> dict[str, float]:
    """Return the test of `small` (more restricted) against `large`."""
    df = small.measures["df"] - large.measures["df"]
    if df == 0:
        raise SettingError("two fits have equal degrees of freedom, so neither is nested in the other; compare their BIC instead")
    gap = small.measures["chisq"] - large.measures["chisq"]
    if "chisq.scaling.factor" not in small.measures:
        off = max(gap - df, 0.0) / (small.n * df / len(small.table.group_labels))
        return {"chisq_diff": gap, "rmsea": math.sqrt(off), "df_diff": df, "pvalue": float(chdtrc(df, max(gap, 0.0)))}
    if method == "default":
        method = "satorra.2000" if small.options.plan.test in ("scaled.shifted", "mean.var.adjusted") else "satorra.bentler.2001"
    chisq = _shifted(large, small, gap, df) if method == "satorra.2000" else gap / _factor(large, small, df, method)
    return {"chisq_diff": chisq, "rmsea": math.nan, "df_diff": df, "pvalue": float(chdtrc(df, max(chisq, 0.0)))}


def _factor(large: SEMFit, small: SEMFit, df: float, method: str) -> float:
    """Return the scaling factor of the difference (Satorra & Bentler 2001, 2010)."""
    narrow = small.measures["chisq.scaling.factor"]
    wide = _factor_at(large, small) if method == "satorra.bentler.2010" else large.measures["chisq.scaling.factor"]
    inner = large.measures["df"] * wide if large.measures["df"] else 0.0
    factor = (small.measures["df"] * narrow - inner) / df
    if factor <= 0:
        message = "the scaled difference has a negative scaling factor (Satorra & Bentler 2001)"
        raise SettingError(f"{message}; compare with method='satorra.bentler.2010'")
    return factor


def _factor_at(large: SEMFit, small: SEMFit) -> float:
    """Return the scaling factor of the large model at the estimates of the small one."""
    values = row_estimates(small.table, small.rams, np.array(small.theta))
    told = {(r.lhs, r.op, r.rhs, r.group): v for r, v in zip(small.table.rows, values, strict=True)}
    theta = np.array(large.theta)
    for row in large.table.rows:
        if row.free:
            theta[row.free - 1] = told.get((row.lhs, row.op, row.rhs, row.group), 0.0)
    setup = Setup.build(large.samples, large.options)
    problem = setup.discrepancy(large.rams, large.table.count)
    there = Compared(problem, Solution(theta, derivatives_at(problem, theta), 0, True), large.table.count)
    df, rows = int(large.measures["df"]), sum(r.free > 0 for r in large.table.rows)
    J = _constraints(large, theta)
    test = scaled_test(setup, large.rams, there, J, df, fixed_causes(large.rams, large.table), rows)
    return 1.0 if test is None else test.factor


def _constraints(fit: SEMFit, theta: FloatArray) -> FloatArray:
    return independent_rows(Constraints.build(fit.table).equal(theta)[1])


def _shifted(large: SEMFit, small: SEMFit, gap: float, df: float) -> float:
    """Return the shifted difference (Satorra 2000; Asparouhov & Muthén 2010).

    A picks the directions of the large model's moments that the small one does not have; the weight of the
    difference lies in Δ P⁻¹Aᵀ(A P⁻¹Aᵀ)⁻¹A P⁻¹ Δᵀ, P the information of the large model.
    """
    setup = Setup.build(large.samples, large.options)
    problem = setup.discrepancy(large.rams, large.table.count)
    D, V, gammas = moment_parts(setup, problem, np.array(large.theta), fixed_causes(large.rams, large.table))
    K = null_space(_constraints(large, np.array(large.theta)))
    wide = np.vstack(D) @ K
    other = Setup.build(small.samples, small.options)
    narrow = np.vstack(jacobians_and_weights(other, other.discrepancy(small.rams, small.table.count), np.array(small.theta))[0])
    narrow = narrow @ null_space(_constraints(small, np.array(small.theta)))
    A = null_space((np.linalg.pinv(wide) @ narrow).T).T
    shares = setup.shares
    P = np.asarray(sum(f * (K.T @ d.T @ v @ d @ K) for f, d, v in zip(shares, D, V, strict=True)))
    PA = np.linalg.solve(P, A.T)
    middle = PA @ np.linalg.pinv(A @ PA) @ PA.T
    VD = block_diagonal(V) @ wide
    UG = VD @ middle @ VD.T @ block_diagonal([f * g for f, g in zip(shares, gammas, strict=True)])
    first, second = float(np.trace(UG)), float(np.vdot(UG.T, UG))
    a = math.sqrt(df / second)
    return gap * a + df - a * first
