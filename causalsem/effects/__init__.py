"""The size of an effect given its adjustment set, with overlap, balance and sensitivity."""

from causalsem.effects.confounding import ConfoundingBound, confounding_bound
from causalsem.effects.diagnostics import Balance, Overlap
from causalsem.effects.dose_response import dose_response
from causalsem.effects.estimate import Estimate
from causalsem.effects.estimation import balance, estimate_effect, level_effects, naive_effect, overlap
from causalsem.effects.methods.aipw import AIPW
from causalsem.effects.methods.causal_forest import CausalForest
from causalsem.effects.methods.causal_net import CausalNet
from causalsem.effects.methods.causal_tree import CausalTree
from causalsem.effects.methods.dr_learner import DRLearner
from causalsem.effects.methods.gboost import GBoost
from causalsem.effects.methods.ipw import IPW
from causalsem.effects.methods.r_learner import RLearner
from causalsem.effects.methods.regression import Regression
from causalsem.effects.nuisance import Boosted, Linear, Splines
from causalsem.effects.sensitivity import (
    EValue,
    Refutation,
    RobustnessValue,
    e_value,
    negative_control,
    placebo_treatment,
    random_common_cause,
    robustness_value,
    subset,
)
from causalsem.effects.units import predict_effects

__all__ = [
    "AIPW",
    "Balance",
    "Boosted",
    "ConfoundingBound",
    "CausalForest",
    "CausalNet",
    "CausalTree",
    "DRLearner",
    "EValue",
    "Estimate",
    "GBoost",
    "IPW",
    "Linear",
    "Overlap",
    "RLearner",
    "Refutation",
    "Regression",
    "RobustnessValue",
    "Splines",
    "balance",
    "confounding_bound",
    "dose_response",
    "e_value",
    "estimate_effect",
    "level_effects",
    "naive_effect",
    "negative_control",
    "overlap",
    "placebo_treatment",
    "predict_effects",
    "random_common_cause",
    "robustness_value",
    "subset",
]
