"""dose_response: the mean outcome had everybody been given a dose, at several doses."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from causalsem._values import FloatArray
from causalsem.behaviour import BehaviourTable, as_table
from causalsem.effects.diagnostics import effective_size
from causalsem.effects.estimate import Estimate
from causalsem.effects.methods.regression import check_rank
from causalsem.effects.methods.scores import LEAST_VARIANCE
from causalsem.effects.nuisance import Learner, Splines, is_binary
from causalsem.effects.problem import Problem, build_problem, fingerprint, need_single
from causalsem.effects.regressions import jackknifed, with_intercept
from causalsem.errors import AssumptionWarning, SettingError
from causalsem.identify import AdjustmentSet

FEWEST_EFFECTIVE_ROWS = 30
# Densities of the dose below this share of its largest are not believed: a row then weighs by the share.
LEAST_DENSITY = 0.02
# The n^(−1/5) at which a local line errs least; the quadratic's bias there is below its error (Calonico et al. 2018).
SHRINK_RATE = -0.2
ROWS_AT_ONCE = 2_000_000
ASSUMES = (
    "overlap: every kind of row could have been given every dose asked for",
    "the treatment's density shifts and widens with the adjustment variables but keeps its shape, or the outcome model is right",
)


@dataclass(frozen=True, slots=True, eq=False)
class Nuisances:
    """Cross-fitted outcome means at the own dose (n,) and at each asked one (doses, n), and E[T | Z], sd(T | Z) (n,)."""

    own: FloatArray
    at: FloatArray
    centre: FloatArray
    spread: FloatArray


def dose_response(
    data: BehaviourTable | pd.DataFrame,
    adjust: AdjustmentSet,
    doses: Sequence[float],
    *,
    learner: Learner = Splines(),  # noqa: B008  a frozen value
    bandwidth: float | None = None,
    folds: int = 5,
    seed: int = 0,
) -> dict[float, Estimate]:
    """Return E[Y | do(T = dose)] at each dose of a continuous treatment, doubly robust, with its influence function.

    The mean over rows of μ(dose, Z), plus the level at the dose of a quadratic through the surprises Y − μ(T, Z), weighted by
    K((T − dose)/h)/f(T | Z), K normal (Kennedy et al. 2017; Colangelo & Lee 2020); h is `bandwidth`, or sd(T) n^(−1/5), at
    which the quadratic's bias is small against its error (Calonico, Cattaneo & Farrell 2018). All doses share rows and folds, so
    `found[2] - found[1]` is the effect of dose 2 against dose 1 with its right error. Raises SettingError for doses outside the
    data and for a 0/1 treatment; warns where few rows are near a dose.
    """
    problem = build_problem(as_table(data), adjust.treatments, adjust.outcome, adjust.variables, folds=folds, seed=seed)
    wanted = _checked(problem, doses, bandwidth)
    T, n = problem.T[:, 0], problem.n
    h = float(T.std()) * n**SHRINK_RATE if bandwidth is None else bandwidth
    found = _nuisances(problem, wanted, learner)
    density = _density((T - found.centre) / found.spread) / found.spread
    density = np.maximum(density, LEAST_DENSITY * density.max())
    rows, told = fingerprint(as_table(data)), {}
    for dose, mean in zip(wanted, found.at, strict=True):
        w = np.exp(-0.5 * ((T - dose) / h) ** 2) / density
        size = effective_size(w)
        _check_support(problem, dose, size)
        surprise, own = local_level((T - dose) / h, problem.Y - found.own, w / w.mean())
        centre = float(mean.mean())
        psi = mean - centre + own
        told[dose] = Estimate(
            centre + surprise, psi, method="dose_response", what=f"E[{problem.outcome} | do({problem.treatments[0]} = {dose:g})]",
            adjustment=problem.adjustment, outcome=problem.outcome, assumptions=(*adjust.assumptions, *ASSUMES), rows=rows,
            folds=problem.folds, clusters=problem.ways, diagnostics={"bandwidth": h, "effective_rows": size},
        )  # fmt: skip
    return told


def _checked(problem: Problem, doses: Sequence[float], bandwidth: float | None) -> list[float]:
    need_single(problem, "dose_response")
    T, label = problem.T[:, 0], problem.label
    if is_binary(T):
        raise SettingError(f"{label} is 0 or 1; use estimate_effect for the effect of the one against the other")
    if bandwidth is not None and not bandwidth > 0:
        raise SettingError(f"bandwidth is {bandwidth}; use a number above 0, in units of {label}, or None")
    if np.ndim(doses) != 1:
        raise SettingError(f"doses is {doses!r}; hand in a list of numbers, such as [0, 1]")
    outside = [dose for dose in doses if not T.min() <= dose <= T.max()]
    if outside or not len(doses):
        raise SettingError(f"doses {outside} are outside those seen of {label}, {T.min():.4g} to {T.max():.4g}; ask between them")
    check_rank(problem, with_intercept(problem.Z))
    return [float(dose) for dose in doses]


def _nuisances(problem: Problem, doses: list[float], learner: Learner) -> Nuisances:
    T, n, everyone = problem.T[:, 0], problem.n, np.ones(problem.n, dtype=bool)
    mean_of = learner.on(problem.Z)
    centre = mean_of(T, everyone, problem.folds, problem.seed)
    square = (T - centre) ** 2
    variance = np.maximum(mean_of(square, everyone, problem.folds, problem.seed + 2), LEAST_VARIANCE * square.mean())
    parts = max(1, ROWS_AT_ONCE // n - 1)
    own, at = np.empty(n), []
    for first in range(0, len(doses), parts):
        some = doses[first : first + parts]
        columns = np.concatenate([np.column_stack([t, problem.Z]) for t in (T, *(np.full(n, dose) for dose in some))])
        train, k = np.arange(len(columns)) < n, len(some) + 1
        told = learner.on(columns)(np.tile(problem.Y, k), train, np.tile(problem.folds, k), problem.seed + 3).reshape(k, n)
        own = told[0]
        at.append(told[1:])
    return Nuisances(own, np.concatenate(at), centre, np.sqrt(variance))


def local_level(u: FloatArray, residual: FloatArray, w: FloatArray) -> tuple[float, FloatArray]:
    """Return the level at u = 0 of the weighted quadratic through residuals (n,), and its influence function (n,).

    Fan & Gijbels (1996). Each row's own part is divided by one less its leverage, as in the jackknife (HC3).
    """
    P = np.column_stack([np.ones(len(u)), u, u**2])
    gram = (P * w[:, None]).T @ P / len(u)
    hat = np.linalg.solve(gram, P.T)  # (3, n)
    level, *bend = hat @ (w * residual) / len(u)
    leverage = w * np.einsum("ij,ji->i", P, hat) / len(u)
    return float(level), jackknifed(w * hat[0] * (residual - P @ np.array([level, *bend])), leverage)


def _density(e: FloatArray) -> FloatArray:
    """Return the density of a sample e (n,) at its own points: normal kernels on a grid, by Silverman's (1986) width."""
    width = 0.9 * min(float(e.std()), float(np.subtract(*np.quantile(e, [0.75, 0.25]))) / 1.34) * len(e) ** -0.2
    edges = np.linspace(e.min() - 4 * width, e.max() + 4 * width, 1025)
    middle = (edges[1:] + edges[:-1]) / 2
    counts = np.histogram(e, edges)[0] / len(e)
    kernel = np.exp(-0.5 * ((middle[:, None] - middle) / width) ** 2) / (width * np.sqrt(2 * np.pi))
    return np.asarray(np.interp(e, middle, kernel @ counts))


def _check_support(problem: Problem, dose: float, size: float) -> None:
    if size < FEWEST_EFFECTIVE_ROWS:
        text = f"weak overlap: only {size:.1f} effective rows are near {problem.label} = {dose:g}"
        warnings.warn(f"{text}; ask for doses nearer to the middle, or a larger bandwidth", AssumptionWarning, stacklevel=3)
