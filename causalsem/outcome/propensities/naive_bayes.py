"""Propensity by naive Bayes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from causalsem._values import BoolArray, FloatArray
from causalsem.errors import DataError, SettingError, shown
from causalsem.outcome.propensities.base import Exposures, Propensity


@dataclass(frozen=True)
class NaiveBayes(Propensity):
    """P(T = 1 | Y = y) = P(Y = y | T = 1) P(T = 1) / P(Y = y), all dependence on the pair through its outcome (Schnabel et al. 2016).

    `marginal` gives P(Y = y) from a sample that did not select itself (a small random exposure), such as {1: 0.5, 2: 0.3,
    3: 0.2}. It serves an outcome that is observed among the treated alone; pairs without an outcome get the overall share.
    """

    marginal: Mapping[float, float] = field(default_factory=dict)
    name: ClassVar[str] = "naive_bayes"
    calibrated: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "marginal", {float(value): float(share) for value, share in self.marginal.items()})
        if not self.marginal or min(self.marginal.values()) <= 0 or abs(sum(self.marginal.values()) - 1) > 1e-6:
            raise SettingError(f"marginal={self.marginal} is no distribution of the outcome; give each value's share under random exposure")

    def predict(self, pairs: Exposures, learn: BoolArray) -> FloatArray:
        share = float(pairs.treatment[learn].mean())
        seen = ~np.isnan(pairs.y) & (pairs.treatment == 1)
        strange = sorted(set(np.unique(pairs.y[seen])) - set(self.marginal))
        if strange:
            raise DataError(f"the outcome has values {shown(strange[:3])} that the marginal leaves out; give their shares too")
        found = np.full(len(pairs.y), share)
        for value, marginal in self.marginal.items():
            own = seen & (pairs.y == value)
            found[own] = min(1.0, (own & learn).sum() / max(1, (seen & learn).sum()) * share / marginal)
        return np.maximum(found, 1e-6)
