"""GBoost: doubly robust with gradient-boosted propensity and outcome."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from causalsem._values import FloatArray
from causalsem.effects.methods.aipw import aipw, difference_at
from causalsem.effects.methods.mixing import Mixed
from causalsem.effects.nuisance import Boosted, Learner, Splines
from causalsem.effects.problem import Fitted, Problem


@dataclass(frozen=True)
class GBoost:
    """AIPW whose propensity and outcome are histogram gradient boosting (Ke et al. 2017; Chernozhukov et al. 2018).

    Finds steps and high-order interactions that `Splines` cannot. With few rows boosting leaves much unsaid, and the error, which
    cannot count that estimated propensities mend some of it, is then too wide; so each nuisance is the mixture of boosting and
    the `partner` that did best on rows unseen by both (None: boosting alone). Needs scikit-learn, or LightGBM with
    `Boosted(engine="lightgbm")`.
    """

    learner: Boosted = field(default_factory=Boosted)
    partner: Learner | None = field(default_factory=Splines)
    clip: float | None = None

    takes: ClassVar[str] = "rows"
    treatment: ClassVar[str] = "any"
    assumes: ClassVar[tuple[str, ...]] = ("overlap: every kind of row could have been treated and untreated",)

    def fit(self, problem: Problem) -> Fitted:
        """Return the average effect and its influence function."""
        learner = self._learner()
        return aipw(problem, learner, learner, self.clip)

    def effects_at(self, problem: Problem, Z: FloatArray) -> FloatArray:
        """Return the difference (m,) of the arms' outcome models at new rows Z (m, k)."""
        return difference_at(problem, self._learner(), Z)

    def _learner(self) -> Learner:
        return self.learner if self.partner is None else Mixed(self.learner, self.partner)
