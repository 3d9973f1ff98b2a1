"""Propensity by gradient boosting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from causalsem._values import BoolArray, FloatArray
from causalsem.errors import SettingError
from causalsem.outcome.propensities.base import Exposures, Propensity


@dataclass(frozen=True)
class Boosted(Propensity):
    """Gradient-boosted trees on traits and adjustment block (McCaffrey et al. 2004).

    Boosting stops when a tenth of the learning pairs no longer gains, at most after `rounds`; ties are broken by `seed`.
    """

    rounds: int = 100
    leaves: int = 15
    seed: int = 0
    name: ClassVar[str] = "boosted"

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.leaves < 2:
            raise SettingError(f"rounds={self.rounds} and leaves={self.leaves} grow nothing; choose at least 1 and 2")

    def predict(self, pairs: Exposures, learn: BoolArray) -> FloatArray:
        from sklearn.ensemble import HistGradientBoostingClassifier

        columns = pairs.rows()
        if not columns.shape[1]:
            return np.full(len(learn), pairs.treatment[learn].mean())
        model = HistGradientBoostingClassifier(
            max_iter=self.rounds, max_leaf_nodes=self.leaves, early_stopping=True, random_state=self.seed
        ).fit(columns[learn], pairs.treatment[learn])
        return np.asarray(model.predict_proba(columns)[:, 1])
