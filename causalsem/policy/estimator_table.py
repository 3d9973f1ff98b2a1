"""The table of off-policy estimators: name → settings class."""

from __future__ import annotations

from causalsem.policy.estimators import (
    DirectMethod,
    DoublyRobust,
    Estimator,
    InversePropensity,
    SelfNormalized,
    SelfNormalizedDoublyRobust,
)
from causalsem.policy.least_variance import MoreRobustDoublyRobust
from causalsem.policy.shrinkage import ShrunkDoublyRobust, SwitchDoublyRobust

ESTIMATORS: dict[str, type[Estimator]] = {
    "InversePropensity": InversePropensity,
    "SelfNormalized": SelfNormalized,
    "DirectMethod": DirectMethod,
    "DoublyRobust": DoublyRobust,
    "SelfNormalizedDoublyRobust": SelfNormalizedDoublyRobust,
    "SwitchDoublyRobust": SwitchDoublyRobust,
    "ShrunkDoublyRobust": ShrunkDoublyRobust,
    "MoreRobustDoublyRobust": MoreRobustDoublyRobust,
}
