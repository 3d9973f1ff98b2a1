"""DRLearner: doubly robust pseudo-outcomes, regressed on the adjustment variables."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from causalsem._values import FloatArray
from causalsem.effects.methods.aipw import aipw
from causalsem.effects.methods.derivative import average_derivative
from causalsem.effects.nuisance import Learner, Splines, predict_new
from causalsem.effects.problem import Fitted, Problem, need_single


@dataclass(frozen=True)
class DRLearner:
    """DR-learner (Kennedy 2023): AIPW's terms are each row's effect plus noise; `final` regresses them on Z, cross-fitted.

    The average effect is that of AIPW with the same `propensity` and `outcome`. Of a treatment of more than two values it is the
    average derivative E[∂E[Y | T, Z]/∂T] over the rows as they are, doubly robust (`average_derivative`): what a little more of
    T does to each row at its own level, whatever the shape of the dose–response. Its unit effects are that derivative given Z.
    """

    propensity: Learner = field(default_factory=Splines)
    outcome: Learner = field(default_factory=Splines)
    final: Learner = field(default_factory=lambda: Splines(knots=4, ridge=10.0))
    clip: float | None = None

    takes: ClassVar[str] = "rows"
    treatment: ClassVar[str] = "any"
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
        if problem.has_arms:
            return aipw(problem, self.propensity, self.outcome, self.clip)
        return average_derivative(problem, self.propensity, self.outcome)
