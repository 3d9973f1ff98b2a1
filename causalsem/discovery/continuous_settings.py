"""What DAGMA and NOTEARS ask for alike; the module and the optimiser they share are in `continuous`, which loads torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from causalsem._values import FloatArray
from causalsem.discovery.found import Found
from causalsem.discovery.stack import Stack
from causalsem.errors import SettingError

# Keeps the weights of networks from growing where that changes little.
RIDGE = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuous:
    """Settings of continuous optimisation over DAGs; `steps` is each method's own."""

    hidden: int = 0
    penalty: float = 0.03
    threshold: float = 0.15
    steps: int
    device: str = "auto"
    seed: int = 0
    engine: str = "causalsem"

    consumes: ClassVar[str] = "moments"
    returns: ClassVar[str] = "CPDAG"
    assumes: ClassVar[tuple[str, ...]] = ("acyclic", "no hidden confounders", "additive noise of like variances")

    def __post_init__(self) -> None:
        if self.hidden < 0:
            raise SettingError(f"hidden is {self.hidden}; choose 0 for linear functions, or a number of units such as 10")
        if not self.penalty >= 0 or not self.threshold >= 0:
            raise SettingError(f"penalty is {self.penalty} and threshold {self.threshold}; choose 0 or more for both")
        if self.steps < 1:
            raise SettingError(f"steps is {self.steps}; choose 1 or more")


def fit_each(data: Stack | FloatArray, fit: Callable[[FloatArray], Found]) -> list[Found] | Found:
    """Return what `fit` finds in each correlation matrix of a stack, or, with hidden units, in rows (n, p)."""
    return fit(data) if isinstance(data, np.ndarray) else [fit(R) for R in data.R]
