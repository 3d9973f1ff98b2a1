"""Which path coefficients are the same on every platform: the invariance ladder with its tests, and a verdict per path."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.special import chdtrc, ndtri

from causalsem._cards import mimebundle
from causalsem._values import FloatArray
from causalsem.errors import SettingError, shown
from causalsem.graph import CausalGraph
from causalsem.sem.comparison import compare
from causalsem.sem.fit import fit_sem
from causalsem.sem.matrices import implied
from causalsem.sem.options import Preset
from causalsem.sem.result import SEMFit
from causalsem.sem.sample import Data

Verdict = Literal["transfers", "differs", "undecided", "not comparable"]
# A step of the ladder holds where χ² does not reject it, or CFI falls by no more than this (Cheung & Rensvold 2002).
CFI_FALL = 0.01
WITH_FACTORS = ("loadings", "intercepts", "regressions", "residuals")
WITHOUT_FACTORS = ("regressions", "intercepts", "residuals")


@dataclass(frozen=True, slots=True)
class PathVerdict:
    """One coefficient over the groups: `estimates` by group, test of equality, largest standardised `gap` with its interval."""

    path: str
    estimates: tuple[float, ...]
    chisq: float
    pvalue: float
    adjusted: float
    gap: float
    gap_lower: float
    gap_upper: float
    verdict: Verdict


@dataclass(frozen=True, slots=True, eq=False)
class GroupComparison:
    """A model fitted to several groups: the `ladder` of ever more equal parameters, and which paths transfer.

    A path *transfers* where every difference between two groups lies within ± `margin` (in standard deviations of
    effect per standard deviation of cause) with its interval; it *differs* where equality is rejected at `alpha`
    (Wald test, Holm-adjusted) and the difference is not shown to be that small; else it is *undecided*. Paths of
    factors are *not comparable* where equal loadings are rejected.
    """

    groups: tuple[str, ...]
    ladder: pd.DataFrame
    paths: tuple[PathVerdict, ...]
    alpha: float
    margin: float
    fits: tuple[SEMFit, ...]

    @property
    def table(self) -> pd.DataFrame:
        """One row per path: estimates by group, difference, tests and verdict."""
        rows = [(p.path, *p.estimates, p.gap, p.gap_lower, p.gap_upper, p.chisq, p.pvalue, p.adjusted, p.verdict) for p in self.paths]
        ends = ["gap", "gap_lower", "gap_upper", "chisq", "pvalue", "adjusted", "verdict"]
        return pd.DataFrame(rows, columns=["path", *self.groups, *ends])

    @property
    def words(self) -> str:
        """The findings in sentences."""
        held = self.ladder.index[self.ladder["holds"]].tolist()
        said = [f"{len(self.groups)} groups: {shown(self.groups)}.", f"Steps of the ladder that hold: {shown(held)}."]
        for verdict in ("transfers", "differs", "undecided", "not comparable"):
            names = [p.path for p in self.paths if p.verdict == verdict]
            if names:
                said.append(f"{verdict.capitalize()}: {shown(names, 20)}.")
        return " ".join(said)

    def verdict(self, path: str) -> Verdict:
        """Return the verdict on one path, such as "buy~browse"."""
        for one in self.paths:
            if one.path == path:
                return one.verdict
        raise SettingError(f"no path {path!r} was compared; use one of {shown([p.path for p in self.paths], 20)}")

    def __repr__(self) -> str:
        return f"GroupComparison({self.words})"

    def _repr_html_(self) -> str:
        # pandas escapes the names of groups and variables.
        return str(self.ladder.to_html()) + str(self.table.to_html(index=False))

    _repr_mimebundle_ = mimebundle


def compare_groups(
    model: CausalGraph | str,
    data: Data,
    group: str = "platform",
    *,
    alpha: float = 0.05,
    margin: float = 0.1,
    preset: Preset | None = None,
    **options: Any,
) -> GroupComparison:
    """Fit a model to every value of a column and say which path coefficients transfer between them.

    Arguments but `alpha` (significance) and `margin` (largest standardised difference that still counts as the same)
    are those of fit_sem; `estimator="MLR"` gives robust tests throughout. Raises as fit_sem does.
    """
    if not 0 < alpha < 1 or margin <= 0:
        raise SettingError(f"alpha={alpha!r}, margin={margin!r}; use alpha between 0 and 1 and a positive margin")
    if "group_equal" in options:
        raise SettingError("group_equal is set by the ladder; leave it out, or call fit_sem for one model of your own")
    steps = _ladder_of(model, data, group, preset, options)
    fits = tuple(steps.values())
    ladder = _tests(steps, alpha)
    factors = bool(fits[0].rams[0].names.lv)
    comparable = not factors or bool(ladder.loc["loadings", "holds"])
    base = steps["loadings"] if factors and comparable else fits[0]
    found = _holm([_path(base, name, rows) for name, rows in _paths(base).items()])
    verdicts = tuple(_judged(p, base, alpha, margin, comparable=comparable) for p in found)
    return GroupComparison(base.table.group_labels, ladder, verdicts, alpha, margin, fits)


def _ladder_of(model: CausalGraph | str, data: Data, group: str, preset: Preset | None, options: dict[str, Any]) -> dict[str, SEMFit]:
    """Return the fits of the ladder by name: each step keeps the equalities of those before it."""
    first = fit_sem(model, data, preset=preset, group=group, **options)
    fits, equal = {"configural": first}, []
    for step in WITH_FACTORS if first.rams[0].names.lv else WITHOUT_FACTORS:
        equal.append(step)
        fit = fit_sem(model, data, preset=preset, group=group, group_equal=tuple(equal), **options)
        if fit.measures["npar"] < list(fits.values())[-1].measures["npar"]:
            fits[step] = fit
    return fits


def _tests(steps: dict[str, SEMFit], alpha: float) -> pd.DataFrame:
    """Return one row per step: df, chisq, cfi, rmsea, and the test against the step before."""
    rows = []
    for name, fit in steps.items():
        m = fit.measures
        rows.append({"step": name, "df": m["df"], "chisq": m["chisq"], "cfi": m["cfi"], "rmsea": m["rmsea"], "bic": m.get("bic", math.nan)})
    out = pd.DataFrame(rows).set_index("step")
    pairs = [compare(a, b).iloc[1] for a, b in itertools.pairwise(steps.values())]
    for column in ("chisq_diff", "df_diff", "pvalue"):
        out[column] = [math.nan, *(float(p[column]) for p in pairs)]
    out["cfi_diff"] = out["cfi"].diff()
    good = (out["pvalue"] >= alpha) | (out["cfi_diff"] >= -CFI_FALL)
    # A step can only hold where those before it do.
    out["holds"] = [True, *np.logical_and.accumulate(good.to_numpy()[1:]).tolist()]
    return out


def _paths(fit: SEMFit) -> dict[str, list[int]]:
    """Return the table rows of every slope that is free in all groups, by name."""
    found: dict[str, list[int]] = {}
    for k, row in enumerate(fit.table.rows):
        if row.op == "~" and row.free:
            found.setdefault(f"{row.lhs}~{row.rhs}", []).append(k)
    return {name: rows for name, rows in found.items() if len(rows) == fit.table.groups}


def _path(fit: SEMFit, name: str, rows: Sequence[int]) -> PathVerdict:
    """Return estimates, Wald test of equality and largest standardised difference of one path; the verdict comes later."""
    if fit.covariance is None:
        raise SettingError("paths are compared by their standard errors; leave out se='none'")
    free = [fit.table.rows[k].free - 1 for k in rows]
    b, V = np.array(fit.theta)[free], np.array(fit.covariance)[np.ix_(free, free)]
    C = np.diff(np.eye(len(b)), axis=0)
    chisq = float((C @ b) @ np.linalg.lstsq(C @ V @ C.T, C @ b, rcond=1e-10)[0])
    gap, low, high = _largest_gap(b, V, _unit(fit, fit.table.rows[rows[0]].lhs, fit.table.rows[rows[0]].rhs))
    p = float(chdtrc(len(C), chisq))
    return PathVerdict(name, tuple(b.tolist()), chisq, p, p, gap, low, high, "undecided")


def _largest_gap(b: FloatArray, V: FloatArray, unit: float) -> tuple[float, float, float]:
    """Return the difference farthest from zero by the far end of its 90 % interval, with that interval, in units of `unit`.

    A 90 % interval within the margin is two one-sided tests at 5 % (Schuirmann 1987).
    """
    half = float(ndtri(0.95))
    gaps = []
    for i, j in itertools.combinations(range(len(b)), 2):
        gap, se = float(b[i] - b[j]) * unit, math.sqrt(max(float(V[i, i] + V[j, j] - 2 * V[i, j]), 0.0)) * unit
        gaps.append((gap, gap - half * se, gap + half * se))
    return max(gaps, key=lambda g: max(abs(g[1]), abs(g[2])))


def _unit(fit: SEMFit, effect: str, cause: str) -> float:
    """Return sd(cause) / sd(effect), pooled over the groups."""
    variances = []
    for ram, sample in zip(fit.rams, fit.samples, strict=True):
        V = implied(ram, np.array(fit.theta)).V
        i, j = ram.names.all.index(effect), ram.names.all.index(cause)
        variances.append((sample.n * V[i, i], sample.n * V[j, j]))
    of_effect, of_cause = np.sum(variances, axis=0)
    return float(np.sqrt(of_cause / of_effect))


def _holm(paths: list[PathVerdict]) -> list[PathVerdict]:
    """Return the paths with p-values adjusted for their number (Holm 1979), in their own order."""
    order = np.argsort([p.pvalue for p in paths], kind="stable")
    adjusted = np.empty(len(paths))
    so_far = 0.0
    for rank, k in enumerate(order):
        so_far = max(so_far, min(1.0, (len(paths) - rank) * paths[k].pvalue))
        adjusted[k] = so_far
    return [replace(p, adjusted=float(a)) for p, a in zip(paths, adjusted, strict=True)]


def _judged(path: PathVerdict, fit: SEMFit, alpha: float, margin: float, *, comparable: bool) -> PathVerdict:
    """Return the path with its verdict."""
    factors = set(fit.rams[0].names.lv)
    of_factors = any({r.lhs, r.rhs} & factors for r in fit.table.rows if f"{r.lhs}~{r.rhs}" == path.path)
    small = -margin <= path.gap_lower and path.gap_upper <= margin
    verdict: Verdict = "transfers" if small else "differs" if path.adjusted < alpha else "undecided"
    if of_factors and not comparable:
        verdict = "not comparable"
    return replace(path, verdict=verdict)
