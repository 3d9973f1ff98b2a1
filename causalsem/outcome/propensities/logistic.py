"""Propensity by logistic regression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from causalsem._values import BoolArray, FloatArray
from causalsem.errors import SettingError
from causalsem.outcome.propensities.base import Exposures, Propensity


@dataclass(frozen=True)
class Logistic(Propensity):
    """Logistic regression on traits and adjustment block (Rosenbaum & Rubin 1983); `penalty` is that of ridge on standardised columns.

    Treated shares of the pair's own user and item are no columns here: they hold the pair's own treatment.
    """

    penalty: float = 1.0
    name: ClassVar[str] = "logistic"

    def __post_init__(self) -> None:
        if not self.penalty > 0:
            raise SettingError(f"penalty={self.penalty} must be positive; raise it")

    def predict(self, pairs: Exposures, learn: BoolArray) -> FloatArray:
        from sklearn.linear_model import LogisticRegression

        columns = pairs.rows()
        if not columns.shape[1]:
            return np.full(len(learn), pairs.treatment[learn].mean())
        model = LogisticRegression(C=1 / self.penalty, max_iter=200).fit(columns[learn], pairs.treatment[learn])
        return np.asarray(model.predict_proba(columns)[:, 1])
