"""What to show: rewards, logged feedback, policies learnt from it, and what they would earn."""

from causalsem.policy.bandit_feedback import from_bandit_feedback, to_bandit_feedback
from causalsem.policy.estimators import DirectMethod, DoublyRobust, InversePropensity, SelfNormalized, SelfNormalizedDoublyRobust
from causalsem.policy.evaluate import evaluate_policy, logging_value
from causalsem.policy.learn import PolicyGradient, learn_policy
from causalsem.policy.least_variance import MoreRobustDoublyRobust
from causalsem.policy.logged_feedback import LoggedFeedback
from causalsem.policy.policy import Policy
from causalsem.policy.reward import Reward
from causalsem.policy.shrinkage import ShrunkDoublyRobust, SwitchDoublyRobust

__all__ = [
    "DirectMethod",
    "DoublyRobust",
    "InversePropensity",
    "LoggedFeedback",
    "MoreRobustDoublyRobust",
    "Policy",
    "PolicyGradient",
    "Reward",
    "SelfNormalized",
    "SelfNormalizedDoublyRobust",
    "ShrunkDoublyRobust",
    "SwitchDoublyRobust",
    "evaluate_policy",
    "from_bandit_feedback",
    "learn_policy",
    "logging_value",
    "to_bandit_feedback",
]
