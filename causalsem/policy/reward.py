"""Reward: what each behaviour of a round is worth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from causalsem._cards import mimebundle
from causalsem._values import FloatArray
from causalsem.effects.nuisance import is_binary
from causalsem.errors import SettingError, check_names

if TYPE_CHECKING:
    from causalsem.policy.logged_feedback import LoggedFeedback


@dataclass(frozen=True, init=False, eq=False)
class Reward:
    """The worth of each behaviour: `Reward(browse=0.1, buy=1.0)`; a round's reward is the weighted sum of its outcomes.

    Names that are no Python words go in by `Reward(**{"add to cart": 0.3})`. Raises SettingError for a weight that is
    no finite number, or when all are zero.
    """

    weights: Mapping[str, float]

    def __init__(self, **weights: float) -> None:
        for name, weight in weights.items():
            if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not math.isfinite(weight):
                raise SettingError(f"the reward of {name!r} is {weight!r}; use a finite number, such as 1.0")
        if not any(weights.values()):
            raise SettingError("a reward without any weight teaches nothing; say what is worth something: Reward(buy=1.0)")
        object.__setattr__(self, "weights", MappingProxyType({name: float(weight) for name, weight in weights.items()}))

    def of(self, feedback: LoggedFeedback) -> FloatArray:
        """Return the reward (n,) of every round; raises UnknownNameError for a behaviour that is no outcome of it."""
        check_names(self.weights, feedback.outcomes.columns, what="reward", where="the outcomes of the feedback")
        total = np.zeros(len(feedback))
        for name, weight in self.weights.items():
            total += weight * feedback.outcomes[name].to_numpy(dtype=np.float64)
        return total

    def range_in(self, feedback: LoggedFeedback) -> tuple[float, float]:
        """Return the least and the largest reward a round could have: of 0/1 outcomes both may happen, others as they were seen."""
        low = high = 0.0
        for name, weight in self.weights.items():
            seen = feedback.outcomes[name].to_numpy(dtype=np.float64)
            ends = (0.0, 1.0) if is_binary(seen) else (float(seen.min()), float(seen.max()))
            low, high = low + min(weight * end for end in ends), high + max(weight * end for end in ends)
        return low, high

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reward) and dict(self.weights) == dict(other.weights)

    def __hash__(self) -> int:
        return hash(frozenset(self.weights.items()))

    def __repr__(self) -> str:
        return f"Reward({' + '.join(f'{weight:g} {name}' for name, weight in self.weights.items())})"

    _repr_mimebundle_ = mimebundle
