"""Open Bandit Pipeline's `bandit_feedback`: logged rounds as the dictionary its estimators take (Saito et al. 2021)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from causalsem.errors import DataError, shown
from causalsem.policy.logged_feedback import LoggedFeedback
from causalsem.policy.reward import Reward

NEEDED = ("context", "action", "reward", "pscore")


def to_bandit_feedback(feedback: LoggedFeedback, reward: Reward | str | None = None) -> dict[str, Any]:
    """Return the rounds as Open Bandit Pipeline's dictionary: n_rounds, n_actions, context, action, reward, pscore, …

    `reward` is a Reward or the name of one outcome; the first outcome without it. A log without positions has 0 in
    each round; actions without features get one column each (one-hot) as action_context.
    """
    worth = reward if isinstance(reward, Reward) else Reward(**{reward or str(feedback.outcomes.columns[0]): 1.0})
    count = len(feedback.actions)
    return {
        "n_rounds": len(feedback),
        "n_actions": count,
        "context": np.array(feedback.context),
        "action_context": np.array(feedback.features) if feedback.features.shape[1] else np.eye(count),
        "action": np.array(feedback.action),
        "position": np.zeros(len(feedback), dtype=np.int64) if feedback.position is None else np.array(feedback.position),
        "reward": worth.of(feedback),
        "pscore": np.array(feedback.propensity),
    }


def from_bandit_feedback(told: Mapping[str, Any], *, outcome: str = "reward") -> LoggedFeedback:
    """Return the rounds of such a dictionary, the reward as the outcome of that name; raises DataError where keys are missing."""
    missing = [key for key in NEEDED if told.get(key) is None]
    if missing:
        raise DataError(f"the bandit feedback lacks {shown(missing)}; hand in the dictionary that obtain_batch_bandit_feedback returns")
    action = np.asarray(told["action"])
    count = int(told.get("n_actions", action.max() + 1))
    return LoggedFeedback(
        context=np.asarray(told["context"], dtype=np.float64),
        action=action,
        outcomes=pd.DataFrame({outcome: np.asarray(told["reward"], dtype=np.float64)}),
        propensity=np.asarray(told["pscore"], dtype=np.float64),
        actions=tuple(range(count)),
        action_features=None if told.get("action_context") is None else np.asarray(told["action_context"], dtype=np.float64),
        position=None if told.get("position") is None else np.asarray(told["position"]),
    )
