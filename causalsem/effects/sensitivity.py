"""How far an estimate would bend: E-value, robustness value, and refuters that should find nothing or the same."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd
from scipy.stats import t as student

from causalsem._cards import mimebundle
from causalsem._values import FloatArray, IntArray
from causalsem.behaviour import BehaviourTable, as_table
from causalsem.effects.confounding import robustness
from causalsem.effects.estimate import Estimate, standard_error
from causalsem.effects.estimation import estimate_effect
from causalsem.effects.methods.aipw import AIPW
from causalsem.effects.methods.table import Method
from causalsem.effects.problem import build_problem
from causalsem.effects.regressions import with_intercept
from causalsem.errors import SettingError
from causalsem.identify import AdjustmentSet, Query

Data: TypeAlias = BehaviourTable | pd.DataFrame
Contrast: TypeAlias = tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class EValue:
    """How strong an unmeasured confounder must be, as a risk ratio with treatment and with outcome, to explain away.

    `point` explains the estimate away, `limit` moves the nearer end of its 95 % interval to zero; 1 means nothing is needed.
    """

    point: float
    limit: float
    risk_ratio: float

    def __repr__(self) -> str:
        return (
            f"E-value {self.point:.3g} (interval {self.limit:.3g}): only a confounder tied to both treatment and outcome by a risk "
            f"ratio of {self.point:.3g} or more, beyond what is adjusted for, could explain the estimate away"
        )

    _repr_mimebundle_ = mimebundle


@dataclass(frozen=True, slots=True)
class RobustnessValue:
    """Partial R² bounds of a linear effect (Cinelli & Hazlett 2020).

    `partial_r2` is treatment's with outcome; a confounder that explains less than the share `point` of what is left of
    both treatment and outcome cannot bring the estimate to zero, less than `limit` not its 95 % interval.
    `benchmarks` compares with each measured variable: columns variable, with_treatment, with_outcome (partial R²).
    `se` is the classical error, on which the algebra of the bias rests; the right one is `inflation` times as large where
    rows of one user or item depend on each other, and the interval is that one's.
    """

    partial_r2: float
    point: float
    limit: float
    benchmarks: pd.DataFrame
    value: float
    se: float
    df: int
    inflation: float = 1.0

    def bounds(self, times: float = 1.0) -> pd.DataFrame:
        """Return what the estimate would be, had a confounder `times` as strong as each measured variable been left out.

        Columns variable, with_treatment, with_outcome (the confounder's partial R², at most 1), value, se (Cinelli & Hazlett
        2020, section 4.4), brought towards zero and, where the confounder is strong enough, past it; NaN where none can be.
        """
        if not times > 0:
            raise SettingError(f"times is {times}; use a number above 0, such as 2 for twice as strong")
        told = [
            _adjusted(self.value, self.se, self.df, r2d, r2y, times, self.inflation)
            for r2d, r2y in zip(self.benchmarks["with_treatment"], self.benchmarks["with_outcome"], strict=True)
        ]
        frame = pd.DataFrame(told, columns=["with_treatment", "with_outcome", "value", "se"])
        frame.insert(0, "variable", self.benchmarks["variable"].to_numpy())
        return frame

    def __repr__(self) -> str:
        return (
            f"robustness value {100 * self.point:.2g} % (interval {100 * self.limit:.2g} %): a confounder must explain that share of "
            f"what is left of both treatment and outcome to bring the estimate to zero"
        )

    _repr_mimebundle_ = mimebundle


@dataclass(frozen=True, slots=True, eq=False)
class Refutation:
    """An estimate made where the answer is known: `passed` if it came out as it should."""

    name: str
    original: Estimate
    refuted: Estimate
    expected: float
    passed: bool
    words: str

    def __repr__(self) -> str:
        low, high = self.refuted.interval
        verdict = "passed" if self.passed else "FAILED"
        return f"{self.name} {verdict}: {self.refuted.value:.4g} (95 % {low:.4g} … {high:.4g}), expected {self.expected:.4g}; {self.words}"

    _repr_mimebundle_ = mimebundle


def e_value(estimate: Estimate, *, mean_untreated: float | None = None) -> EValue:
    """Return the E-value of an effect (VanderWeele & Ding 2017).

    With `mean_untreated` (a chance, taken from the estimate if it has it) the risk ratio is (mean + effect)/mean; else
    the effect in standard deviations d stands for a risk ratio of exp(0.91 d) (VanderWeele 2017), per unit of treatment.
    A chance below half an event in all rows counts as that: none seen is not none, and the ratio would be without bound.
    """
    base = estimate.diagnostics.get("mean_untreated") if mean_untreated is None else mean_untreated
    if base is not None and abs(base) < 0.5 / estimate.n:
        base = 0.5 / estimate.n
    low, high = estimate.interval
    nearer = 0.0 if low <= 0 <= high else low if low > 0 else high

    def ratio(effect: float) -> float:
        if base is not None and 0 < base < 1 and 0 < base + effect < 1:
            return float((base + effect) / base)
        spread = estimate.diagnostics.get("sd_outcome")
        if not spread:
            raise SettingError("the estimate does not say its outcome's mean or spread; hand in mean_untreated=")
        return math.exp(0.91 * effect / spread)

    return EValue(_explained_away(ratio(estimate.value)), _explained_away(ratio(nearer)), ratio(estimate.value))


def robustness_value(data: Data, adjust: AdjustmentSet, *, share: float = 1.0, level: float = 0.95) -> RobustnessValue:
    """Return how much an unmeasured confounder must explain to take away `share` of the least-squares effect.

    RV = ½(√(f⁴ + 4f²) − f²) with f = share · |t|/√df, and for the interval f less its critical value |t*|/√(df − 1)
    (Cinelli & Hazlett 2020, eq. 14 and 19), times how much larger the error is where pairs share users and items. One
    treatment, any scale.
    """
    if not 0 < share <= 1 or not 0 < level < 1:
        raise SettingError(f"share is {share} and level {level}; use shares between 0 and 1")
    problem = build_problem(as_table(data), adjust.treatments, adjust.outcome, adjust.variables, folds=2, seed=0)
    if len(problem.treatments) > 1:
        raise SettingError("the robustness value is of one treatment; ask for one at a time")
    T, Y, X = problem.T[:, 0], problem.Y, with_intercept(problem.Z)
    t, df = _t_ratio(T, Y, X)
    value = _slope(T, Y, X)
    f = share * abs(t) / math.sqrt(df)
    inflation = _slope_error(T, Y, X, problem.ways) / abs(value / t) if problem.ways is not None else 1.0
    critical = inflation * student.ppf((1 + level) / 2, df - 1) / math.sqrt(df - 1)
    rows = []
    for k in range(1, X.shape[1]):
        others = np.delete(X, k, axis=1)
        with_t, df_t = _t_ratio(X[:, k], T, others)
        with_y, df_y = _t_ratio(X[:, k], Y, np.column_stack([others, T]))
        rows.append((with_t**2 / (with_t**2 + df_t), with_y**2 / (with_y**2 + df_y)))
    names = [name for name, column in zip(problem.adjustment, problem.Z.T, strict=True) if np.ptp(column) > 0]
    benchmarks = pd.DataFrame(rows, columns=["with_treatment", "with_outcome"])
    benchmarks.insert(0, "variable", names)
    limit = robustness(max(0.0, f - critical))
    return RobustnessValue(t**2 / (t**2 + df), robustness(f), limit, benchmarks, value, abs(value / t), df, inflation)


def placebo_treatment(
    data: Data,
    adjust: AdjustmentSet,
    method: Method | str = AIPW(),  # noqa: B008  a frozen value
    *,
    contrast: Contrast = None,
    seed: int = 0,
    original: Estimate | None = None,
) -> Refutation:
    """Return the effect of a shuffled treatment, which is zero whatever the truth; `original` saves estimating anew."""
    table = as_table(data)
    original = original or estimate_effect(table, adjust, method, contrast=contrast, seed=seed)
    order = np.random.default_rng(seed).permutation(len(table))
    shuffled = {name: table.column(name)[order] for name in adjust.treatments}
    refuted = estimate_effect(_with_columns(table, shuffled), adjust, method, contrast=contrast, seed=seed)
    return _judged(
        "placebo treatment", original, refuted, 0.0, refuted.se, "the treatment was shuffled between rows, so its effect is zero"
    )


def random_common_cause(
    data: Data,
    adjust: AdjustmentSet,
    method: Method | str = AIPW(),  # noqa: B008  a frozen value
    *,
    contrast: Contrast = None,
    seed: int = 0,
    original: Estimate | None = None,
) -> Refutation:
    """Return the effect with pure noise adjusted for as well, which should change nothing; `original` saves estimating anew."""
    table = as_table(data)
    original = original or estimate_effect(table, adjust, method, contrast=contrast, seed=seed)
    name = next(f"noise{k}" for k in range(len(table.names) + 1) if f"noise{k}" not in table.names)
    wider = _with_columns(table, {name: np.random.default_rng(seed).standard_normal(len(table))})
    more = AdjustmentSet(adjust.query, (*adjust.variables, name), "given", assumptions=adjust.assumptions)
    refuted = estimate_effect(wider, more, method, contrast=contrast, seed=seed)
    words = "a column of noise was adjusted for too, which should change nothing"
    return _judged("random common cause", original, refuted, original.value, original.se, words)


def subset(
    data: Data,
    adjust: AdjustmentSet,
    method: Method | str = AIPW(),  # noqa: B008  a frozen value
    *,
    share: float = 0.8,
    contrast: Contrast = None,
    seed: int = 0,
) -> Refutation:
    """Return the effect on a random share of the rows, which should differ by chance alone."""
    if not 0 < share < 1:
        raise SettingError(f"share is {share}; use a number between 0 and 1, such as 0.8")
    table = as_table(data)
    original = estimate_effect(table, adjust, method, contrast=contrast, seed=seed)
    kept = _units_kept(table, share, seed)
    refuted = estimate_effect(table.rows(kept), adjust, method, contrast=contrast, seed=seed)
    # A part and its whole differ with variance se_part² − se_whole² (Hausman 1978); not below what is left at random.
    spread = math.sqrt(max(refuted.se**2 - original.se**2, (1 - share) * refuted.se**2))
    words = f"{100 * share:g} % of the units were kept, so the estimate should differ by chance alone"
    return _judged("subset", original, refuted, original.value, spread, words)


def negative_control(
    data: Data,
    adjust: AdjustmentSet,
    outcome: str,
    method: Method | str = AIPW(),  # noqa: B008  a frozen value
    *,
    contrast: Contrast = None,
    seed: int = 0,
) -> Refutation:
    """Return the effect on an outcome that the treatment cannot change; one that is not zero betrays confounding.

    Lipsitch, Tchetgen Tchetgen & Cohen (2010). `outcome` is a column that shares its confounders with the real one.
    """
    original = estimate_effect(data, adjust, method, contrast=contrast, seed=seed)
    asked = AdjustmentSet(Query(adjust.treatments, outcome), adjust.variables, "given", assumptions=adjust.assumptions)
    refuted = estimate_effect(data, asked, method, contrast=contrast, seed=seed)
    words = f"{outcome!r} cannot be changed by {', '.join(adjust.treatments)}, so an effect on it is confounding that is left"
    return _judged("negative control", original, refuted, 0.0, refuted.se, words)


def _judged(name: str, original: Estimate, refuted: Estimate, expected: float, spread: float, words: str) -> Refutation:
    """Return the refutation, passed if within 2.58 standard errors (99 %) of what is expected."""
    passed = abs(refuted.value - expected) <= 2.58 * spread
    return Refutation(name, original, refuted, expected, bool(passed), words)


def _units_kept(table: BehaviourTable, share: float, seed: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    codes = pd.factorize(table.keys["user"] if "user" in table.keys else pd.Series(np.arange(len(table))))[0]
    units = int(codes.max()) + 1
    chosen = np.random.default_rng(seed).permutation(units)[: max(1, round(share * units))]
    return np.isin(codes, chosen)


def _with_columns(table: BehaviourTable, columns: dict[str, FloatArray]) -> BehaviourTable:
    return BehaviourTable(table.frame.assign(**columns), table.keys, table.roles, table.tiers, table.levels)


def _t_ratio(x: FloatArray, y: FloatArray, X: FloatArray) -> tuple[float, int]:
    """Return the classical t ratio of x in the regression of y on x and X, and its degrees of freedom."""
    basis = np.linalg.qr(X)[0]
    rx, ry = x - basis @ (basis.T @ x), y - basis @ (basis.T @ y)
    df = len(y) - X.shape[1] - 1
    slope = (rx @ ry) / (rx @ rx)
    residual = ry - slope * rx
    return float(slope * math.sqrt(rx @ rx) / math.sqrt((residual @ residual) / df)), df


def _slope(x: FloatArray, y: FloatArray, X: FloatArray) -> float:
    """Return the coefficient of x in the regression of y on x and X."""
    basis = np.linalg.qr(X)[0]
    rx = x - basis @ (basis.T @ x)
    return float((rx @ y) / (rx @ rx))


def _slope_error(x: FloatArray, y: FloatArray, X: FloatArray, ways: IntArray) -> float:
    """Return the standard error of `_slope` with rows of one cluster (of any way) dependent."""
    basis = np.linalg.qr(X)[0]
    rx, ry = x - basis @ (basis.T @ x), y - basis @ (basis.T @ y)
    scale = float(rx @ rx)
    return standard_error(len(y) * rx * (ry - (rx @ ry) / scale * rx) / scale, ways)


def _adjusted(
    value: float, se: float, df: int, r2d: float, r2y: float, times: float, inflation: float = 1.0
) -> tuple[float, float, float, float]:
    """Return a confounder's partial R² with treatment and outcome, and the estimate and its error less its bias.

    r2d, r2y are the benchmark's; the confounder is orthogonal to it, and `times` as strong with both.
    """
    with_d = times * r2d / (1 - r2d)
    shared = times * r2d**2 / ((1 - times * r2d) * (1 - r2d)) if times * r2d < 1 else math.inf
    if with_d >= 1 or shared >= 1:
        return math.nan, math.nan, math.nan, math.nan
    with_y = min(1.0, ((math.sqrt(times) + math.sqrt(shared)) / math.sqrt(1 - shared)) ** 2 * r2y / (1 - r2y))
    bias = se * math.sqrt(df * with_y * with_d / (1 - with_d))
    error = inflation * se * math.sqrt((1 - with_y) / (1 - with_d) * df / (df - 1))
    return with_d, with_y, math.copysign(1.0, value) * (abs(value) - bias), error


def _explained_away(ratio: float) -> float:
    ratio = 1 / ratio if ratio < 1 else ratio
    return ratio + math.sqrt(ratio * (ratio - 1))
