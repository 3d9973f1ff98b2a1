"""CausalForest: an honest forest of effects on cross-fitted residuals."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from causalsem._engines import load_engine
from causalsem._values import FloatArray
from causalsem.effects.methods.scores import Residuals
from causalsem.effects.nuisance import Learner, Splines, splits
from causalsem.effects.problem import Fitted, Problem, need_single


@dataclass(frozen=True)
class CausalForest:
    """Generalised random forest of effects on residuals (Wager & Athey 2018; Athey, Tibshirani & Wager 2019).

    Propensity and outcome are residualised by `nuisance`, cross-fitted; each fold's effects come from a forest grown on
    the other folds; the average effect is doubly robust with them, as in grf. A treatment of more than two values gets its
    effect per unit, which may differ between rows but not between levels. Needs the `cate` extra (econml).
    """

    trees: int = 500
    smallest_leaf: int = 5
    nuisance: Learner = field(default_factory=Splines)
    clip: float | None = None
    engine: str = "econml"

    takes: ClassVar[str] = "rows"
    treatment: ClassVar[str] = "any"
    assumes: ClassVar[tuple[str, ...]] = ("overlap: every kind of row could have been treated and untreated",)

    def fit(self, problem: Problem) -> Fitted:
        """Return the average effect, its influence function and the effect of each row."""
        residuals = self._residuals(problem)
        grow, X, tau = load_engine("estimate", self.engine), columns_of(problem.Z), np.empty(problem.n)
        for fold, (learn, apply) in enumerate(splits(problem.folds, residuals.rows)):
            tau[apply] = grow(
                X[learn], residuals.V[learn], residuals.U[learn], X[apply],
                trees=self.trees, smallest_leaf=self.smallest_leaf, seed=problem.seed + fold,
            )  # fmt: skip
        return residuals.average(tau)

    def effects_at(self, problem: Problem, Z: FloatArray) -> FloatArray:
        """Return the effects (m,) at new rows Z (m, k), by a forest grown on all rows of the problem."""
        residuals, grow = self._residuals(problem), load_engine("estimate", self.engine)
        rows = residuals.rows
        told = grow(
            columns_of(problem.Z)[rows], residuals.V[rows], residuals.U[rows], columns_of(Z),
            trees=self.trees, smallest_leaf=self.smallest_leaf, seed=problem.seed,
        )  # fmt: skip
        return np.asarray(told)

    def _residuals(self, problem: Problem) -> Residuals:
        need_single(problem, "CausalForest")
        return Residuals.of(problem, self.nuisance, self.clip)


def columns_of(Z: FloatArray) -> FloatArray:
    """Return the columns to split on: one constant column where there are none."""
    return Z if Z.shape[1] else np.zeros((len(Z), 1))
