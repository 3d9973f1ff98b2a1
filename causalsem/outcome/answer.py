"""Answer: what a fit found of one stage, and the link from a network's predictor to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from causalsem._values import BoolArray, FloatArray, frozen


@dataclass(frozen=True, slots=True)
class Scale:
    """The link between a network's predictor and the outcome: logit for a binary outcome, else centre + scale × predictor.

    `shift` is added to the predictor of each arm so that residuals vanish on average under the weights of the fit (targeting).
    """

    binary: bool
    centre: float = 0.0
    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)

    def mean(self, predictor: FloatArray, arm: int) -> FloatArray:
        """Return the expected outcome of a predictor of `arm`, any shape."""
        from scipy.special import expit

        shifted = predictor + self.shift[arm]
        value: FloatArray = expit(shifted) if self.binary else self.centre + self.scale * shifted
        return value


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a fit found of one stage: its link, its expected values `fitted` (n, 2) of the training pairs, out of fold.

    `robust` (n, 2) are the pairs' doubly robust pseudo-outcomes (see `pseudo_outcomes`), of which `means` are the averages;
    `events` (n, 2) says where each arm's outcome happened, or was observed if it is a number.

    `means` (2,) is its average over the pairs under do(T = 0) and do(T = 1), doubly robust, NaN for an arm never observed;
    `arms` are the treatments under which it was observed at all.
    """

    scale: Scale
    fitted: FloatArray
    robust: FloatArray
    events: BoolArray
    means: tuple[float, float]
    arms: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "fitted", frozen(self.fitted))
        object.__setattr__(self, "robust", frozen(self.robust))
        object.__setattr__(self, "events", frozen(self.events, np.bool_))

    @classmethod
    def of(cls, told: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Answer:
        """Return the answer that JSON holds, with its arrays."""
        scale = Scale(**(told["scale"] | {"shift": tuple(told["scale"]["shift"])}))
        return cls(
            scale,
            arrays["fitted"],
            arrays["robust"],
            arrays["events"],
            (_number(told["means"][0]), _number(told["means"][1])),
            tuple(told["arms"]),
        )


def _number(value: float | None) -> float:
    """Return a number as it was before it went through JSON, which has no NaN."""
    return np.nan if value is None else value
