"""RLearner: the effect given Z that best explains residuals by residuals."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from causalsem._values import FloatArray
from causalsem.effects.methods.scores import Residuals
from causalsem.effects.nuisance import Learner, Splines, curves_of, splits
from causalsem.effects.problem import Fitted, Problem, need_single
from causalsem.effects.regressions import linear
from causalsem.errors import SettingError


@dataclass(frozen=True)
class RLearner:
    """R-learner (Nie & Wager 2021): τ(z) minimises Σ (U − V τ(z))² over cross-fitted residuals of outcome and treatment.

    τ is linear in the adjustment variables and, with `knots` of 3 or more, in natural cubic splines of each, its
    slopes shrunk by `ridge` (0 shrinks nothing). A treatment of more than two values gets its effect per unit, which may differ between
    rows but not between levels. The average effect is doubly robust with τ.
    """

    nuisance: Learner = field(default_factory=Splines)
    knots: int = 4
    ridge: float = 1.0
    clip: float | None = None

    takes: ClassVar[str] = "rows"
    treatment: ClassVar[str] = "any"
    assumes: ClassVar[tuple[str, ...]] = ("overlap: every kind of row could have been treated and untreated",)

    def __post_init__(self) -> None:
        if self.ridge < 0 or self.knots < 0:
            raise SettingError("ridge and knots must be 0 or more")

    def fit(self, problem: Problem) -> Fitted:
        """Return the average effect, its influence function and the effect of each row."""
        residuals = self._residuals(problem)
        B, tau = self._basis(problem.Z), np.empty(problem.n)
        for learn, apply in splits(problem.folds, residuals.rows):
            tau[apply] = B[apply] @ self._slopes(B[learn], residuals.V[learn], residuals.U[learn])
        return residuals.average(tau)

    def effects_at(self, problem: Problem, Z: FloatArray) -> FloatArray:
        """Return the effects (m,) at new rows Z (m, k), learnt from all rows of the problem."""
        residuals = self._residuals(problem)
        B, rows = self._basis(np.concatenate([problem.Z, Z])), residuals.rows
        return np.asarray(B[problem.n :] @ self._slopes(B[: problem.n][rows], residuals.V[rows], residuals.U[rows]))

    def _residuals(self, problem: Problem) -> Residuals:
        need_single(problem, "RLearner")
        return Residuals.of(problem, self.nuisance, self.clip)

    def _basis(self, Z: FloatArray) -> FloatArray:
        """Return one, the standardised columns and their curves, standardised (rows, p)."""
        plain = _standardised(Z)
        curves = [curves_of(column, self.knots) for column in plain.T] if self.knots > 2 else []
        return np.column_stack([np.ones(len(Z)), plain, *(_standardised(c) for c in curves)])

    def _slopes(self, B: FloatArray, V: FloatArray, U: FloatArray) -> FloatArray:
        # In units of the residual, so that the same ridge shrinks alike whatever the treatment's scale.
        unit = max(float(V.std()), 1e-12)
        return linear(B * (V / unit)[:, None], U, self.ridge) / unit


def _standardised(Z: FloatArray) -> FloatArray:
    spread = Z.std(axis=0)
    varying = spread > 1e-12 * np.maximum(1.0, np.abs(Z).max(axis=0, initial=0.0))
    return np.asarray((Z[:, varying] - Z[:, varying].mean(axis=0)) / spread[varying])
