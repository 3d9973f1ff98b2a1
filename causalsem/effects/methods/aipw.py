"""AIPW: augmented inverse propensity weighting, the doubly robust default."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from causalsem._values import BoolArray, FloatArray
from causalsem.effects.diagnostics import default_clip
from causalsem.effects.methods.regression import check_rank
from causalsem.effects.nuisance import Learner, Splines, predict_new
from causalsem.effects.problem import Fitted, Problem, need_binary, need_single
from causalsem.effects.regressions import with_intercept
from causalsem.errors import DataError, SettingError


@dataclass(frozen=True)
class AIPW:
    """Cross-fitted augmented inverse propensity weighting (Robins, Rotnitzky & Zhao 1994; Chernozhukov et al. 2018).

    Right when either the propensity or the outcome model is. `propensity` and `outcome` are learners: `Splines()`,
    `Linear()` or `Boosted()`. Propensities are kept within [clip, 1 − clip]; None means 5/(√n ln n) (Gruber et al. 2022).
    A treatment of more than two values gets its partially linear effect per unit (Robinson 1988): residual on residual.
    """

    propensity: Learner = field(default_factory=Splines)
    outcome: Learner = field(default_factory=Splines)
    clip: float | None = None

    takes: ClassVar[str] = "rows"
    treatment: ClassVar[str] = "any"
    assumes: ClassVar[tuple[str, ...]] = ("overlap: every kind of row could have been treated and untreated",)

    def fit(self, problem: Problem) -> Fitted:
        """Return the average effect and its influence function."""
        return aipw(problem, self.propensity, self.outcome, self.clip)

    def effects_at(self, problem: Problem, Z: FloatArray) -> FloatArray:
        """Return the difference (m,) of the arms' outcome models at new rows Z (m, k)."""
        return difference_at(problem, self.outcome, Z)


def aipw(problem: Problem, propensity: Learner, outcome: Learner, clip: float | None) -> Fitted:
    """Return the doubly robust effect with the given learners, binary treatments by arms, others partially linear."""
    if problem.has_arms:
        return _two_arms(problem, propensity, outcome, clip)
    if problem.T.shape[1] > 1:
        need_binary(problem, "a joint effect by AIPW")
    return _partially_linear(problem, outcome)


def difference_at(problem: Problem, outcome: Learner, Z: FloatArray) -> FloatArray:
    """Return E[Y | treated, z] − E[Y | untreated, z] at new rows, learnt arm by arm; per unit the partially linear slope."""
    if not problem.has_arms:
        need_single(problem, "an effect of new rows")
        return np.full(len(Z), _partially_linear(problem, outcome).value)
    arms = (
        predict_new(outcome, problem.Z[arm], problem.Y[arm], Z, problem.seed + 2 + k)
        for k, arm in enumerate((problem.treated, problem.untreated))
    )
    one, zero = arms
    return one - zero


def doubly_robust(
    Y: FloatArray, treated: BoolArray, untreated: BoolArray, e1: FloatArray, e0: FloatArray, mu1: FloatArray, mu0: FloatArray
) -> tuple[float, FloatArray, float]:
    """Return the AIPW contrast, its influence function and the mean outcome had none been treated.

    Weights are normalised (Hájek): mean(mu) + Σw(Y − mu)/Σw per arm, whose influence function carries the ratio's terms.
    """
    arms = []
    for arm, e, mu in ((treated, e1, mu1), (untreated, e0, mu0)):
        w = arm / e
        w = w / w.mean()
        correction = float((w * (Y - mu)).mean())
        centre = float(mu.mean())
        arms.append((centre + correction, (mu - centre) + w * (Y - mu - correction)))
    (one, psi1), (zero, psi0) = arms
    return one - zero, psi1 - psi0, zero


def clipped(e: FloatArray, clip: float | None) -> tuple[FloatArray, float, int]:
    """Return the propensities within [bound, 1 − bound], the bound and how many rows it moved."""
    bound = default_clip(len(e)) if clip is None else clip
    if not 0 <= bound < 0.5:
        raise SettingError(f"clip is {bound}; use a bound from 0 to below 0.5, such as 0.01")
    moved = int(((e < bound) | (e > 1 - bound)).sum())
    return np.clip(e, max(bound, 1e-12), 1 - max(bound, 1e-12)), bound, moved


def _two_arms(problem: Problem, propensity: Learner, outcome: Learner, clip: float | None) -> Fitted:
    treated, untreated, Z, folds = problem.treated, problem.untreated, problem.Z, problem.folds
    check_arms(problem)
    everyone = np.ones(problem.n, dtype=bool)
    outcome_of = outcome.on(Z)
    propensity_of = outcome_of if propensity == outcome else propensity.on(Z)
    raw = propensity_of(treated.astype(np.float64), everyone, folds, problem.seed)
    e1, bound, moved = clipped(raw, clip)
    if (treated | untreated).all():
        e0 = 1 - e1
    else:
        e0, _, more = clipped(propensity_of(untreated.astype(np.float64), everyone, folds, problem.seed + 1), clip)
        moved += more
    mu1 = outcome_of(problem.Y, treated, folds, problem.seed + 2)
    mu0 = outcome_of(problem.Y, untreated, folds, problem.seed + 3)
    value, psi, baseline = doubly_robust(problem.Y, treated, untreated, e1, e0, mu1, mu0)
    notes = (f"{moved:,} of {problem.n:,} propensities moved to within [{bound:.2g}, {1 - bound:.2g}]",) if moved else ()
    weights = treated / e1 + untreated / e0
    return Fitted(
        value, psi, notes=notes, propensity=raw, weights=weights, unit_effects=mu1 - mu0,
        diagnostics={"mean_untreated": baseline}, cross_fitted=True,
    )  # fmt: skip


def check_arms(problem: Problem) -> None:
    """Raise DataError unless both arms have rows in every training part."""
    for arm, word in ((problem.treated, "treated"), (problem.untreated, "untreated")):
        if min(int((arm & (problem.folds != fold)).sum()) for fold in np.unique(problem.folds)) < 2:
            raise DataError(f"only {int(arm.sum())} rows are {word} with {problem.label}; bring more rows or use fewer folds", arm=word)


def _partially_linear(problem: Problem, outcome: Learner) -> Fitted:
    """Return the coefficient θ of Y = θT + g(Z) + ε by residuals on residuals (Robinson 1988; DML, eq. 4.3)."""
    T, Y = problem.T[:, 0], problem.Y
    check_rank(problem, with_intercept(problem.Z))
    everyone = np.ones(problem.n, dtype=bool)
    mean_of = outcome.on(problem.Z)
    V = T - mean_of(T, everyone, problem.folds, problem.seed)
    U = Y - mean_of(Y, everyone, problem.folds, problem.seed + 1)
    spread = float((V**2).mean())
    if spread < 1e-10 * T.var():
        raise DataError(f"{problem.label} is a function of the adjustment set, so its own effect cannot be told; drop the copy")
    value = float((V * U).mean()) / spread
    psi = V * (U - value * V) / spread
    return Fitted(
        value, psi, cross_fitted=True, diagnostics={"residual_variance": spread},
        assumptions=("the effect of one unit more is the same at every level and for everyone (partially linear)",),
    )  # fmt: skip
