"""DRLearner: doubly robust pseudo-outcomes, regressed on the adjustment variables."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from causalsem._values import FloatArray
from causalsem.effects.methods.aipw import aipw
from causalsem.effects.nuisance import Learner, Splines, predict_new
from causalsem.effects.problem import Fitted, Problem, need_single, need_two_arms


@dataclass(frozen=True)
class DRLearner:
    """DR-learner (Kennedy 2023): AIPW's terms are each row's effect plus noise; `final` regresses them on Z, cross-fitted.

    The average effect is that of AIPW with the same `propensity` and `outcome`.
    """

    propensity: Learner = field(default_factory=Splines)
    outcome: Learner = field(default_factory=Splines)
    final: Learner = field(default_factory=lambda: Splines(knots=4, ridge=10.0))
    clip: float | None = None

    takes: ClassVar[str] = "rows"
    treatment: ClassVar[str] = "binary"
    assumes: ClassVar[tuple[str, ...]] = ("overlap: every kind of row could have been treated and untreated",)

    def fit(self, problem: Problem) -> Fitted:
        """Return the average effect, its influence function and the effect of each row."""
        fitted = self._average(problem)
        everyone = np.ones(problem.n, dtype=bool)
        tau = self.final.on(problem.Z)(fitted.value + fitted.psi, everyone, problem.folds, problem.seed + 4)
        return replace(fitted, unit_effects=tau)

    def effects_at(self, problem: Problem, Z: FloatArray) -> FloatArray:
        """Return the effects (m,) at new rows Z (m, k), learnt from all rows of the problem."""
        fitted = self._average(problem)
        return predict_new(self.final, problem.Z, fitted.value + fitted.psi, Z, problem.seed + 4)

    def _average(self, problem: Problem) -> Fitted:
        need_single(problem, "DRLearner")
        need_two_arms(problem, "DRLearner")
        return aipw(problem, self.propensity, self.outcome, self.clip)
