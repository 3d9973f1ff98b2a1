"""The table of methods: name → settings class."""

from __future__ import annotations

from typing import ClassVar, Protocol

from causalsem.effects.methods.aipw import AIPW
from causalsem.effects.methods.causal_forest import CausalForest
from causalsem.effects.methods.causal_net import CausalNet
from causalsem.effects.methods.causal_tree import CausalTree
from causalsem.effects.methods.dr_learner import DRLearner
from causalsem.effects.methods.gboost import GBoost
from causalsem.effects.methods.ipw import IPW
from causalsem.effects.methods.r_learner import RLearner
from causalsem.effects.methods.regression import Regression
from causalsem.effects.problem import Fitted, Problem


class Method(Protocol):
    """The settings of one method; `treatment` says "any" or "levels" (two of them compared).

    `assumes` is what the number rests on.
    """

    takes: ClassVar[str]
    treatment: ClassVar[str]
    assumes: ClassVar[tuple[str, ...]]

    def fit(self, problem: Problem) -> Fitted:
        """Return the effect and its influence function."""
        ...


METHODS: dict[str, type[Method]] = {
    "Regression": Regression,
    "IPW": IPW,
    "AIPW": AIPW,
    "GBoost": GBoost,
    "DRLearner": DRLearner,
    "RLearner": RLearner,
    "CausalTree": CausalTree,
    "CausalForest": CausalForest,
    "CausalNet": CausalNet,
}
