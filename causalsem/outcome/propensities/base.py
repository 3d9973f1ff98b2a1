"""What every propensity method shares: the pairs it reads, and the contract of cross-fitting."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from causalsem._values import BoolArray, FloatArray, IntArray
from causalsem.outcome.encoder import Encoded


@dataclass(frozen=True, slots=True, eq=False)
class Exposures:
    """Who was shown what: encoded pairs, `treatment` (n,) 0/1, and the outcome `y` (n,), NaN where it was not observed."""

    encoded: Encoded
    treatment: FloatArray
    y: FloatArray

    def rows(self) -> FloatArray:
        """Return the traits of both sides and the pair block as columns: (n, d)."""
        e = self.encoded
        return np.column_stack([e.user_traits[e.user], e.item_traits[e.item], e.pair])

    def item_rates(self, learn: BoolArray, strength: float) -> FloatArray:
        """Return the treated share of each pair's item among the pairs of `learn`, shrunk by `strength` pairs to the overall one: (n,)."""
        share, item = float(self.treatment[learn].mean()), self.encoded.item
        treated, count = np.bincount(item, self.treatment * learn)[item], np.bincount(item, learn)[item]
        rates: FloatArray = (treated + strength * share) / (count + strength)
        return rates


class Propensity(ABC):
    """A way to estimate P(T = 1 | user, item, Z); a frozen dataclass of its settings.

    `calibrated` says whether its numbers are probabilities of T that calibration on unseen folds can mend.
    """

    name: ClassVar[str]
    calibrated: ClassVar[bool] = True

    @abstractmethod
    def predict(self, pairs: Exposures, learn: BoolArray) -> FloatArray:
        """Return the propensity of every pair (n,), learnt from the pairs where `learn` (n,) alone."""

    def cross_fitted(self, pairs: Exposures, folds: IntArray) -> FloatArray:
        """Return the propensity of each pair, learnt from the other folds: (n,)."""
        found = np.empty(len(folds))
        for fold in np.unique(folds):
            own = folds == fold
            found[own] = self.predict(pairs, ~own)[own]
        return found
