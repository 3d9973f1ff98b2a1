"""Tables, cards and words of a fit, built when asked for."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from causalsem._values import FloatArray
from causalsem.errors import SettingError, shown
from causalsem.sem.constraints import labels_of
from causalsem.sem.standard_errors import delta_se
from causalsem.sem.standardise import defined_standardised, numerical_jacobian, row_estimates, standardised

if TYPE_CHECKING:
    from causalsem.sem.result import SEMFit


# Which variables are standardised: latent ones always; observed ones; exogenous observed ones among them.
KINDS: Mapping[str, dict[str, bool]] = {
    "std_lv": {"observed": False},
    "std_all": {"observed": True},
    "std_nox": {"observed": True, "exogenous": False},
}


def parameter_frame(fit: SEMFit) -> pd.DataFrame:
    """Return one row per parameter, then one per := line, in lavaan's columns (with _ for the dot)."""
    table = fit.table
    labels = labels_of(table)
    est = row_estimates(table, fit.rams, fit.theta)
    errors = np.append(0.0, fit.se)[[r.free for r in table.rows]]
    kinds = {kind: standardised(table, fit.rams, fit.theta, **how) for kind, how in KINDS.items()}
    frame = pd.DataFrame(
        {
            "lhs": [r.lhs for r in table.rows] + [name for name, _, _ in fit.defined],
            "op": [r.op for r in table.rows] + [":="] * len(fit.defined),
            "rhs": [r.rhs for r in table.rows] + [str(r.right) for r in table.defined],
            "label": [r.label for r in table.rows] + [name for name, _, _ in fit.defined],
            "est": np.concatenate([est, [value for _, value, _ in fit.defined]]),
            "se": np.concatenate([errors, [error for _, _, error in fit.defined]]),
        }
    )
    _add_tests(frame, fit.options.level)
    for kind, values in kinds.items():
        frame[kind] = np.concatenate([values, defined_standardised(table, labels, values)])
    none = [0] * len(fit.defined)
    if len(table.group_labels) > 1:
        frame["group"] = [(r.group + 1) // 2 if table.two_level else r.group for r in table.rows] + none
    if table.two_level:
        frame["level"] = [r.level for r in table.rows] + none
    return frame


def _add_tests(frame: pd.DataFrame, level: float) -> None:
    """Add z, p-value and interval; a fixed parameter has neither z nor p."""
    est, se = frame["est"].to_numpy(), frame["se"].to_numpy()
    free = se > 0
    z = np.where(free, est / np.where(free, se, 1.0), np.nan)
    half = float(ndtri(0.5 + level / 2)) * se
    frame["z"], frame["pvalue"] = z, 2 * ndtr(-np.abs(z))
    frame["ci_lower"], frame["ci_upper"] = est - half, est + half


def standardised_frame(fit: SEMFit, kind: str) -> pd.DataFrame:
    """Return standardised estimates with delta-method standard errors, z, p and intervals."""
    if kind not in KINDS:
        raise SettingError(f"unknown kind {kind!r}; use one of {shown(KINDS)}")
    table, labels = fit.table, labels_of(fit.table)

    def values(theta: FloatArray) -> FloatArray:
        rows = standardised(table, fit.rams, theta, **KINDS[kind])
        return np.concatenate([rows, defined_standardised(table, labels, rows)])

    frame = fit.parameters[["lhs", "op", "rhs", "label"]].copy()
    frame["est"] = values(np.array(fit.theta))
    if fit.covariance is None:
        frame["se"] = np.nan
    else:
        frame["se"] = delta_se(numerical_jacobian(values, np.array(fit.theta)), fit.covariance)
        # What standardising fixes at 1 has no error; differences leave rounding there.
        frame.loc[frame["se"] < 1e-9, "se"] = 0.0
    _add_tests(frame, fit.options.level)
    return frame


def verdict_of(fit: SEMFit) -> str:
    """Say in words whether the model fits, by χ² and by Hu & Bentler's (1999) cut-offs, and what stands against it."""
    m = fit.measures
    if not m["df"]:
        said = ["The model is saturated: it reproduces the sample covariance exactly, so the data cannot speak against it."]
    else:
        chisq, df, p = fit.exact_test
        exact = "not rejected" if p >= 0.05 else "rejected"
        said = [f"Exact fit is {exact}: χ² = {chisq:.2f} on {df:.3g} degrees of freedom, p = {p:.3g}."]
        good = {"CFI": m["cfi"] >= 0.95, "RMSEA": m["rmsea"] <= 0.06, "SRMR": m["srmr"] <= 0.08}
        low, high = m["rmsea.ci.lower"], m["rmsea.ci.upper"]
        numbers = f"CFI {m['cfi']:.3f}, RMSEA {m['rmsea']:.3f} (90% interval {low:.3f} to {high:.3f}), SRMR {m['srmr']:.3f}"
        bad = [name for name, ok in good.items() if not ok]
        close = "Approximate fit is good" if not bad else f"Approximate fit is poor by {' and '.join(bad)}"
        said.append(f"{close}: {numbers}.")
        if bad:
            said.append(f"The largest residual correlation is {_worst_residual(fit)}; a missing arrow there is the first suspect.")
    if fit.clusters:
        ways = " and ".join(f"{way} ({count:,})" for way, count in fit.clusters.items())
        said.append(f"Standard errors are clustered by {ways}.")
    said += [f"Note: {note}." for note in (*fit.provenance.get("warnings", ()), *fit.provenance.get("remarks", ()))]
    if "class_member" in fit.provenance:
        said.append(f"Note: {fit.provenance['class_member']}.")
    return " ".join(said)


def _worst_residual(fit: SEMFit) -> str:
    residuals = fit.residual_correlations
    worst = (0.0, "", "")
    for table in residuals.values() if isinstance(residuals, dict) else [residuals]:
        values = np.tril(np.abs(table.to_numpy()), -1)
        i, j = np.unravel_index(int(np.argmax(values)), values.shape)
        if values[i, j] >= worst[0]:
            worst = (float(values[i, j]), table.index[i], table.columns[j])
    return f"{worst[0]:.3f} between {worst[1]!r} and {worst[2]!r}"


def card(fit: SEMFit) -> str:
    """Return the HTML card of a fit; every name and word is escaped."""
    rows = fit.parameters
    shown = rows.loc[(rows["se"] > 0) | (rows["op"] == ":=")]
    table = shown.to_html(index=False, float_format=lambda v: f"{v:.3f}", na_rep="", max_rows=60)
    return f"<p><b>{html.escape(repr(fit))}</b></p><p>{html.escape(fit.verdict)}</p>{table}"
