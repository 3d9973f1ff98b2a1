"""AIPW: augmented inverse propensity weighting, the doubly robust default."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from causalsem._values import FloatArray
from causalsem.effects.arms import Arms
from causalsem.effects.confounding import scale_of
from causalsem.effects.methods.regression import check_rank
from causalsem.effects.nuisance import Learner, Splines, predict_new
from causalsem.effects.problem import Fitted, Problem, need_arms, need_single
from causalsem.effects.regressions import with_intercept
from causalsem.errors import DataError, SettingError


@dataclass(frozen=True)
class AIPW:
    """Cross-fitted augmented inverse propensity weighting (Robins, Rotnitzky & Zhao 1994; Chernozhukov et al. 2018).

    Right when either the propensity or the outcome model is. `propensity` and `outcome` are learners: `Splines()`,
    `Linear()` or `Boosted()`. Propensities are kept within [clip, 1 − clip]; None means 5/(√n ln n) (Gruber et al. 2022).
    `weights` "treated": the effect on the treated, which asks nothing of kinds of row that are never treated.
    A treatment of more than two values gets its partially linear effect per unit (Robinson 1988): residual on residual.
    """

    propensity: Learner = field(default_factory=Splines)
    outcome: Learner = field(default_factory=Splines)
    clip: float | None = None
    weights: Literal["inverse", "treated"] = "inverse"

    takes: ClassVar[str] = "rows"
    treatment: ClassVar[str] = "any"
    assumes: ClassVar[tuple[str, ...]] = ("overlap: every kind of row could have been treated and untreated",)

    def __post_init__(self) -> None:
        if self.weights not in {"inverse", "treated"}:
            raise SettingError(f"unknown weights {self.weights!r}; use 'inverse' or 'treated'")

    def fit(self, problem: Problem) -> Fitted:
        """Return the average effect and its influence function."""
        if self.weights == "inverse":
            return aipw(problem, self.propensity, self.outcome, self.clip)
        need_arms(problem, "the effect on the treated")
        mu0 = self.outcome.on(problem.Z)(problem.Y, problem.untreated, problem.folds, problem.seed + 3)
        return Arms.of(problem, self.propensity.on(problem.Z), self.clip, below=False).effect_on_treated(problem.Y, mu0)

    def effects_at(self, problem: Problem, Z: FloatArray) -> FloatArray:
        """Return the difference (m,) of the arms' outcome models at new rows Z (m, k)."""
        return difference_at(problem, self.outcome, Z)


def aipw(problem: Problem, propensity: Learner, outcome: Learner, clip: float | None) -> Fitted:
    """Return the doubly robust effect with the given learners, binary treatments by arms, others partially linear."""
    if problem.has_arms:
        return _two_arms(problem, propensity, outcome, clip)
    if problem.T.shape[1] > 1:
        need_arms(problem, "a joint effect by AIPW")
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


def _two_arms(problem: Problem, propensity: Learner, outcome: Learner, clip: float | None) -> Fitted:
    mean_of = outcome.on(problem.Z)
    arms = Arms.of(problem, mean_of if propensity == outcome else propensity.on(problem.Z), clip)
    mu1 = mean_of(problem.Y, arms.one, problem.folds, problem.seed + 2)
    mu0 = mean_of(problem.Y, arms.zero, problem.folds, problem.seed + 3)
    return arms.effect(problem.Y, mu1, mu0)


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
        value, psi, cross_fitted=True, diagnostics={"residual_variance": spread} | scale_of(U - value * V, V / spread),
        assumptions=("the effect of one unit more is the same at every level and for everyone (partially linear)",),
    )  # fmt: skip
