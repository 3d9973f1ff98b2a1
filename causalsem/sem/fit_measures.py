"""Fit measures from their definitions, by lavaan's names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import chdtrc, chdtri, chndtr, chndtrinc

from causalsem._values import FloatArray
from causalsem.behaviour.patterns import PatternStack, pairwise_moments
from causalsem.sem.matrices import Implied, inverse_and_logdet
from causalsem.sem.sample import Sample

CLOSE_FIT, BAD_FIT = 0.05, 0.08
# A χ² below this is rounding.
NOTHING = 1.5e-8
# A tail probability this near decides a noncentrality to 12 digits and more.
SURE = 1e-13


def chisq_measures(chisq: float, df: int, *, plain: bool) -> dict[str, float]:
    """Return χ², degrees of freedom and p-value; `plain` is False where the statistic has no χ² distribution (ULS)."""
    return {"chisq": chisq, "df": float(df), "pvalue": float(chdtrc(df, max(chisq, 0.0))) if df and plain else math.nan}


def incremental_measures(chisq: float, df: float, base: float, base_df: float) -> dict[str, float]:
    """Return the measures that compare with the baseline (independence) model; they are of no meaning where it fits perfectly."""
    out = {"baseline.chisq": base, "baseline.df": float(base_df)}
    out["baseline.pvalue"] = float(chdtrc(base_df, max(base, 0.0))) if base_df else math.nan
    gain, base_gain = max(chisq - df, 0.0), max(chisq - df, base - base_df, 0.0)
    out["cfi"] = 1.0 if base_gain < NOTHING else 1.0 - gain / base_gain
    tli = _ratio(base / base_df - chisq / df, base / base_df - 1.0) if df and base_df else 1.0
    # They compare with a larger model; where covariates' slopes are free in the baseline, it may be the smaller one.
    larger = df <= base_df and base > NOTHING
    gap = base / base_df - chisq / df if df and base_df else 0.0
    nfi = (_ratio(base - chisq, base) if df else 1.0) if larger else math.nan
    return {
        **out,
        "tli": tli,
        "nnfi": tli,
        "rfi": (_ratio(gap, base / base_df) if df and base_df and gap >= 0 else 1.0) if larger else math.nan,
        "nfi": nfi,
        "pnfi": _ratio(base - chisq, base) * df / base_df if base_df else math.nan,
        "ifi": _ratio(base - chisq, base - df) if base >= df else 1.0,
        "rni": _ratio((base - base_df) - (chisq - df), base - base_df),
    }


def _ratio(a: float, b: float) -> float:
    return a / b if b else math.nan


def rmsea_measures(chisq: float, df: float, n: float, groups: int, level: float = 0.90) -> dict[str, float]:
    """Return RMSEA (Steiger & Lind 1980) with interval and tests of close and not-close fit, critical N, MFI."""
    out: dict[str, float] = {}
    scale = n * df / groups if df else 0.0
    close, far = "rmsea.close.h0", "rmsea.notclose.h0"
    if not df:
        # A saturated model has nothing to test: lavaan gives 0 and no p-value.
        out |= {"rmsea": 0.0, "rmsea.ci.lower": 0.0, "rmsea.ci.upper": 0.0, "rmsea.pvalue": math.nan, "rmsea.notclose.pvalue": math.nan}
    else:
        out["rmsea"] = math.sqrt(max(chisq - df, 0.0) / scale)
        for end, share in (("lower", 0.5 + level / 2), ("upper", 0.5 - level / 2)):
            # lavaan gives no interval below one (scaled) degree of freedom.
            out[f"rmsea.ci.{end}"] = math.sqrt(noncentrality(chisq, df, share) / scale) if df >= 1 else 0.0
        out["rmsea.pvalue"] = 1.0 - _below(chisq, df, scale * CLOSE_FIT**2)
        out["rmsea.notclose.pvalue"] = _below(chisq, df, scale * BAD_FIT**2)
    out |= {"rmsea.ci.level": level, close: CLOSE_FIT, far: BAD_FIT}
    for tail in (0.05, 0.01):
        out[f"cn_{tail:.2f}".replace("0.", "")] = 1.0 + float(chdtri(df, tail)) * n / chisq if df and chisq > 0 else math.nan
    out["mfi"] = math.exp(-0.5 * (chisq - df) / n)
    return out


def _below(chisq: float, df: float, noncentral: float) -> float:
    return float(chndtr(max(chisq, 0.0), df, noncentral))


def _slope_below(chisq: float, df: float, noncentral: float) -> float:
    """Return the derivative of P(χ²_df(λ) ≤ chisq) by λ: half the difference that two more degrees of freedom make."""
    return 0.5 * (_below(chisq, df + 2.0, noncentral) - _below(chisq, df, noncentral))


def noncentrality(chisq: float, df: float, share: float) -> float:
    """Return λ with P(χ²_df(λ) ≤ chisq) = share, or 0 where none is that small."""
    if chisq <= 0 or _below(chisq, df, 0.0) < share:
        return 0.0
    # SciPy's own inverse is quick but not right everywhere: it is taken where it proves itself.
    quick = float(chndtrinc(chisq, df, share))
    if math.isfinite(quick):
        off = _below(chisq, df, quick) - share
        if abs(off) > SURE:
            quick -= off / _slope_below(chisq, df, quick)
            off = _below(chisq, df, quick) - share
        if abs(off) < SURE:
            return quick
    high = max(chisq, 1.0)
    while _below(chisq, df, high) > share:
        high *= 2.0
    return float(brentq(lambda ncp: _below(chisq, df, ncp) - share, 0.0, high, xtol=1e-12, rtol=1e-14))


def likelihood_measures(logl: float, unrestricted: float, npar: int, n: int) -> dict[str, float]:
    """Return log-likelihoods and information criteria."""
    return {
        "logl": logl,
        "unrestricted.logl": unrestricted,
        "aic": -2 * logl + 2 * npar,
        "bic": -2 * logl + npar * math.log(n),
        "ntotal": float(n),
        "bic2": -2 * logl + npar * math.log((n + 2) / 24),
    }


def saturated_logl(sample: Sample, x: Sequence[int]) -> float:
    """Return the unrestricted normal log-likelihood of a group given its fixed causes `x` (their own part is taken off)."""
    return _normal_logl(sample, range(len(sample.names))) - _normal_logl(sample, x)


def fixed_causes_logl(sample: Sample, x: Sequence[int]) -> float:
    """Return the unrestricted log-likelihood of the fixed causes alone."""
    return _normal_logl(sample, x)


def _normal_logl(sample: Sample, index: Sequence[int]) -> float:
    """Return the log-likelihood of some variables at their own moments; the covariance may have either divisor."""
    k = len(index)
    if not k:
        return 0.0
    part = sample.covariance[np.ix_(index, index)] if k < len(sample.names) else sample.covariance
    return -0.5 * sample.n * (k * math.log(2 * math.pi) + float(np.linalg.slogdet(part)[1]) + k)


@dataclass(frozen=True, slots=True)
class RobustTest:
    """What the robust measures rest on: χ² of model and baseline, their factors, and the scaled χ².

    `interval` is the factor of RMSEA's interval, which for a shifted test is not that of its estimate.
    """

    chisq: float
    base: float
    factor: float
    base_factor: float
    scaled: float
    interval: float


def robust_measures(test: RobustTest, df: int, base_df: int, n: float, groups: int) -> dict[str, float]:
    """Return CFI, TLI, RNI and RMSEA that estimate what they would be for normal data (Brosseau-Liard & Savalei 2014)."""
    if not df:
        none = dict.fromkeys(("cfi.robust", "tli.robust", "nnfi.robust", "rni.robust", "rmsea.pvalue.robust"), math.nan)
        return {
            **none,
            "rmsea.notclose.pvalue.robust": math.nan,
            **dict.fromkeys(("rmsea.robust", "rmsea.ci.lower.robust", "rmsea.ci.upper.robust"), 0.0),
        }
    off, base_off = test.chisq - test.factor * df, test.base - test.base_factor * base_df
    gain, base_gain = max(off, 0.0), max(off, base_off, 0.0)
    tli = 1.0 - _ratio(off * base_df, base_off * df)
    size = n * df / groups
    out = {
        "cfi.robust": 1.0 - gain / base_gain if base_gain else 1.0,
        "tli.robust": tli,
        "nnfi.robust": tli,
        "rni.robust": 1.0 - _ratio(off, base_off),
        "rmsea.robust": math.sqrt(max(off / size, 0.0)),
    }
    for end, share in (("lower", 0.95), ("upper", 0.05)):
        out[f"rmsea.ci.{end}.robust"] = math.sqrt(test.interval * noncentrality(test.scaled, df, share) / size)
    out["rmsea.pvalue.robust"] = 1.0 - _below(test.scaled, df, size * CLOSE_FIT**2 / test.interval)
    out["rmsea.notclose.pvalue.robust"] = _below(test.scaled, df, size * BAD_FIT**2 / test.interval)
    return out


ROBUST = tuple(f"{key}.robust" for key in ("cfi", "tli", "nnfi", "rni", "rmsea", "rmsea.ci.lower", "rmsea.ci.upper", "rmsea.pvalue"))


def no_robust_measures() -> dict[str, float]:
    """Return the robust measures where none are defined."""
    return dict.fromkeys((*ROBUST, "rmsea.notclose.pvalue.robust"), math.nan)


def baseline_discrepancy(sample: Sample, x: Sequence[int]) -> float:
    """Return F_ML of the independence model, in which only the fixed causes `x` covary."""
    S = sample.covariance
    rest = np.delete(S.diagonal(), x) if len(x) else S.diagonal()
    block = float(np.linalg.slogdet(S[np.ix_(x, x)])[1]) if len(x) else 0.0
    return float(np.log(rest).sum()) + block - float(np.linalg.slogdet(S)[1])


def residual_measures(samples: Sequence[Sample], at: Sequence[Implied], weights: FloatArray, *, means: bool) -> dict[str, float]:
    """Return root mean square residuals of each kind: raw (rmr), standardised (srmr), correlation (crmr), Mplus's."""
    out: dict[str, float] = {}
    groups = [_residuals(s, a) for s, a in zip(samples, at, strict=True)]
    for name in groups[0]:
        parts = [(_lower_square(matrix), float(level @ level), len(level)) for matrix, level in (g[name] for g in groups)]
        # The diagonal of a correlation residual is zero by definition and not counted.
        counts = [p * (p - 1) // 2 if name == "crmr" else p * (p + 1) // 2 for _, _, p in parts]
        plain = [math.sqrt(c / k) if k else 0.0 for (c, _, _), k in zip(parts, counts, strict=True)]
        both = [math.sqrt((c + m) / (k + p)) for (c, m, p), k in zip(parts, counts, strict=True)]
        out[f"{name}_nomean"] = float(weights @ plain)
        out[name] = float(weights @ both) if means else out[f"{name}_nomean"]
    out["srmr_bentler"], out["srmr_bentler_nomean"] = out["srmr"], out.pop("srmr_nomean")
    return out


def _residuals(s: Sample, a: Implied) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Return residual (co)variances and means of one group in the units of each kind."""
    gap, level = s.covariance - a.sigma, s.mean - a.mu
    sd, fitted = np.sqrt(s.covariance.diagonal()), np.sqrt(np.abs(a.sigma.diagonal()))
    correlation = s.covariance / sd / sd[:, None] - a.sigma / fitted / fitted[:, None]
    bentler, standard = gap / sd / sd[:, None], level / sd
    mplus = correlation.copy()
    mplus.flat[:: len(mplus) + 1] = bentler.diagonal()
    return {
        "rmr": (gap, level),
        "srmr": (bentler, standard),
        "crmr": (correlation, standard),
        "srmr_mplus": (mplus, s.mean / sd - a.mu / fitted),
    }


def _lower_square(matrix: FloatArray) -> float:
    """Return the sum of squares over the lower triangle and diagonal of a symmetric matrix."""
    diagonal = matrix.diagonal()
    return 0.5 * float(np.vdot(matrix, matrix) + diagonal @ diagonal)


def weighed_goodness(sample: FloatArray, fitted: FloatArray, V: FloatArray) -> float:
    """Return 1 − eᵀVe / sᵀVs of one group's moments s with residuals e."""
    off = sample - fitted
    return 1.0 - _ratio(float(off @ V @ off), float(sample @ V @ sample))


def normal_goodness(s: Sample, a: Implied, fixed: Sequence[int], *, means: bool) -> float:
    """Return the same of one group in the normal-theory metric Σ⁻¹; moments of `fixed` causes are not the model's to explain."""
    # With missing values lavaan's GFI is of the moments of the pairs that are there.
    mean, covariance = pairwise_moments(s.rows) if s.patterns and s.rows is not None else (s.mean, s.covariance)
    counted, level = covariance.copy(), mean.copy()
    if len(fixed):
        counted[np.ix_(fixed, fixed)] = 0.0
        level[fixed] = 0.0
    metric = _inverses(s, a)
    off = _length(covariance - a.sigma, mean - a.mu if means else None, metric)
    return 1.0 - _ratio(off, _length(counted, level if means else None, metric))


# The share of each missing-data pattern (P,), and the inverse of the metric where it has seen something (P, p, p).
_Metric = tuple[FloatArray, FloatArray]


def _inverses(s: Sample, a: Implied) -> _Metric | None:
    """Return the metric Σ⁻¹ of GFI, or None where it has no inverse."""
    if not s.patterns:
        solved = inverse_and_logdet(a.sigma)
        return None if solved is None else (np.ones(1), solved[0][None])
    stack = PatternStack.of(s.patterns, a.p)
    try:
        return stack.n / s.n, stack.inverses(a.sigma)[0]
    except np.linalg.LinAlgError:
        return None


def _length(matrix: FloatArray, vector: FloatArray | None, metric: _Metric | None) -> float:
    """Return the squared length of moments in a metric; with missing values, of what was seen."""
    if metric is None:
        return math.nan
    share, W = metric
    M = W @ matrix
    squares = 0.5 * (M * M.swapaxes(1, 2)).sum(axis=(1, 2))
    return float(share @ (squares if vector is None else squares + (W @ vector) @ vector))
