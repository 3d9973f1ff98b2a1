"""Propensity by popularity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from causalsem._values import BoolArray, FloatArray
from causalsem.errors import SettingError
from causalsem.outcome.propensities.base import Exposures, Propensity


@dataclass(frozen=True)
class Popularity(Propensity):
    """The share of an item's pairs that were treated, to a power (Yang et al. 2018; Saito et al. 2020 use 1/2 for implicit feedback).

    Shares are shrunk to the overall one by `strength` pairs.
    """

    power: float = 1.0
    strength: float = 10.0
    name: ClassVar[str] = "popularity"

    def __post_init__(self) -> None:
        if not (self.power > 0 and self.strength > 0):
            raise SettingError(f"power={self.power} and strength={self.strength} must be positive; raise them")

    def predict(self, pairs: Exposures, learn: BoolArray) -> FloatArray:
        powered: FloatArray = pairs.item_rates(learn, self.strength) ** self.power
        return powered
