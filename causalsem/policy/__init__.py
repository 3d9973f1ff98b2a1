"""What to show: rewards, logged feedback, policies learnt from it, and what they would earn."""

from causalsem.policy.bandit_feedback import from_bandit_feedback, to_bandit_feedback
from causalsem.policy.estimators import DirectMethod, DoublyRobust, InversePropensity, SelfNormalized
from causalsem.policy.evaluate import evaluate_policy, logging_value
from causalsem.policy.learn import PolicyGradient, learn_policy
from causalsem.policy.logged_feedback import LoggedFeedback
from causalsem.policy.policy import Policy
from causalsem.policy.reward import Reward

__all__ = [
    "DirectMethod",
    "DoublyRobust",
    "InversePropensity",
    "LoggedFeedback",
    "Policy",
    "PolicyGradient",
    "Reward",
    "SelfNormalized",
    "evaluate_policy",
    "from_bandit_feedback",
    "learn_policy",
    "logging_value",
    "to_bandit_feedback",
]
