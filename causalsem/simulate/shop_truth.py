"""ShopTruth: what would happen to every pair of the simulated shop under do(exposure), in closed form."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from causalsem._cards import mimebundle
from causalsem._values import BoolArray, FloatArray, frozen, json_text, read_json, write_text
from causalsem.errors import DataError, check_names
from causalsem.graph import CausalGraph
from causalsem.simulate.shop_equations import (
    BEHAVIOURS,
    ITEM_TRAITS,
    POSITIONS,
    USER_TRAITS,
    Logit,
    ShopEquations,
    click_chances,
    exposure_chances,
    position_chances,
    sigmoid,
    stage_chances,
)

FORMAT = "causalsem-shop-truth"


class Weighted(Protocol):
    """What carries the worth of each behaviour, such as `causalsem.Reward`."""

    @property
    def weights(self) -> Mapping[str, float]: ...


Worth = Mapping[str, float] | Weighted


@dataclass(frozen=True, slots=True, eq=False)
class ShopTruth:
    """The true chances of every pair of a shop, computed from its equations and the traits of its users and items.

    `users` has columns user, age (years), activity; `items` has item, popularity, price, quality.
    `propensity` (users, items) is the chance that the user is exposed to the item in a log: e(u, i) given one exposure
    or more, because users who are shown nothing never enter a log.
    `shown[b]` and `unshown[b]` (users, items) are P(b | do(exposure = 1)) and P(b | do(exposure = 0)) for every
    behaviour b. `shown["buy"]` is the ideal debiased score matrix.
    """

    users: pd.DataFrame
    items: pd.DataFrame
    equations: ShopEquations
    propensity: FloatArray = field(init=False)
    shown: Mapping[str, FloatArray] = field(init=False)
    unshown: Mapping[str, FloatArray] = field(init=False)

    def __post_init__(self) -> None:
        for frame, columns in ((self.users, ("user", *USER_TRAITS)), (self.items, ("item", *ITEM_TRAITS))):
            check_names(columns, frame.columns, what="column", where="the traits of the shop")
        users, items = self.users.reset_index(drop=True).copy(), self.items.reset_index(drop=True).copy()
        object.__setattr__(self, "users", users)
        object.__setattr__(self, "items", items)
        chance = stage_chances(self.equations, users, items)
        exposure = exposure_chances(self.equations, users, items)
        shown_nothing = np.exp(np.log1p(-exposure).sum(axis=1, keepdims=True))
        object.__setattr__(self, "propensity", frozen(exposure / (1 - shown_nothing)))
        object.__setattr__(self, "shown", _behaviour_chances(click_chances(self.equations, users, items), chance))
        object.__setattr__(self, "unshown", _behaviour_chances(chance["search"], chance))

    @property
    def graph(self) -> CausalGraph:
        """The true causal graph of a pair."""
        return self.equations.graph

    @property
    def adjustment(self) -> tuple[str, ...]:
        """A valid adjustment set for the effect of exposure on any behaviour: the parents of exposure."""
        return self.graph.parents("exposure")

    def mean(self, behaviour: str, exposure: Literal[0, 1]) -> float:
        """Return E[behaviour | do(exposure)] over all pairs."""
        return float(self._chances(behaviour, exposure).mean())

    def lift(self, behaviour: str = "buy") -> float:
        """Return the average effect of exposure on a behaviour over all pairs, E[· | do(1)] − E[· | do(0)]."""
        return self.mean(behaviour, 1) - self.mean(behaviour, 0)

    def lifts(self, behaviour: str = "buy") -> FloatArray:
        """Return the effect of exposure on a behaviour of each pair, shape (users, items)."""
        return np.asarray(self._chances(behaviour, 1) - self._chances(behaviour, 0))

    @property
    def user_weights(self) -> FloatArray:
        """The share of all expected impressions that each user has, shape (users,)."""
        impressions = self.propensity.sum(axis=1)
        return np.asarray(impressions / impressions.sum())

    @property
    def logging_policy(self) -> FloatArray:
        """The chance that an impression of a user shows each item, e(u, i) / Σ_b e(u, b); shape (users, items)."""
        return np.asarray(self.propensity / self.propensity.sum(axis=1, keepdims=True))

    def rewards(self, reward: Worth) -> FloatArray:
        """Return the expected reward of exposing each pair, Σ_b weight_b · P(b | do(exposure = 1)); shape (users, items)."""
        total = np.zeros(self.propensity.shape)
        for behaviour, weight in (reward if isinstance(reward, Mapping) else reward.weights).items():
            total += weight * self._chances(behaviour, 1)
        return total

    def policy_value(self, probabilities: npt.ArrayLike, reward: Worth) -> float:
        """Return the expected reward of one impression when π(item | user) = `probabilities` (users, items) fills it.

        Users are weighted by their impressions, as rounds of the log are: Σ_u w_u Σ_i π(i | u) r(u, i).
        Raises DataError when a row is not a distribution.
        """
        pi = np.asarray(probabilities, dtype=np.float64)
        if pi.shape != self.propensity.shape:
            raise DataError(f"probabilities of shape {pi.shape} for a shop of {self.propensity.shape}; hand in one row per user")
        wrong = (pi < 0).any(axis=1) | (np.abs(pi.sum(axis=1) - 1) > 1e-6)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise DataError(f"row {row} of the probabilities is not a distribution; make each row sum to 1", rows=[row])
        return float(self.user_weights @ (pi * self.rewards(reward)).sum(axis=1))

    def best_policy(self, reward: Worth) -> FloatArray:
        """Return the probabilities of the policy that always shows the item of most expected reward, (users, items)."""
        rewards = self.rewards(reward)
        best = rewards == rewards.max(axis=1, keepdims=True)
        return np.asarray(best / best.sum(axis=1, keepdims=True))

    def draw(self, exposed: npt.ArrayLike, *, seed: int = 0) -> dict[str, BoolArray]:
        """Return what happens when the pairs in `exposed` (users, items; 0/1) are shown: a 0/1 array per behaviour."""
        mask = np.broadcast_to(np.asarray(exposed, dtype=bool), self.propensity.shape)
        rng = np.random.default_rng(seed)
        return draw_behaviours(self, mask, draw_positions(self, rng), rng)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write equations, traits, graph and the true effects as JSON."""
        payload = {
            "format": FORMAT,
            "version": 1,
            "graph": str(self.graph),
            "adjustment": {"exposure => buy": self.adjustment},
            "effects": {b: {"do1": self.mean(b, 1), "do0": self.mean(b, 0), "lift": self.lift(b)} for b in BEHAVIOURS},
            "equations": asdict(self.equations),
            "users": self.users.to_dict(orient="list"),
            "items": self.items.to_dict(orient="list"),
        }
        return write_text(path, json_text(payload))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ShopTruth:
        """Return the truth that `save` wrote; the chances are computed again from equations and traits."""
        payload = read_json(path, FORMAT)
        told: dict[str, Any] = {name: Logit(**value) if isinstance(value, dict) else value for name, value in payload["equations"].items()}
        return cls(pd.DataFrame(payload["users"]), pd.DataFrame(payload["items"]), ShopEquations(**told))

    def _chances(self, behaviour: str, exposure: int) -> FloatArray:
        check_names([behaviour], BEHAVIOURS, what="behaviour", where="the shop")
        return (self.shown if exposure else self.unshown)[behaviour]

    def __repr__(self) -> str:
        users, items = self.propensity.shape
        return f"ShopTruth({users:,} users × {items:,} items, purchase lift {self.lift():.5f}, adjust for {{{', '.join(self.adjustment)}}})"

    _repr_mimebundle_ = mimebundle


def _behaviour_chances(browse: FloatArray, chance: Mapping[str, FloatArray]) -> Mapping[str, FloatArray]:
    """Return the marginal chance of every behaviour, given that of a browse; cart is integrated out of buy."""
    cart = chance["cart"]
    buy = browse * (cart * chance["buy_carted"] + (1 - cart) * chance["buy_direct"])
    marginal = {
        "browse": browse,
        "cart": browse * cart,
        "favourite": browse * chance["favourite"],
        "buy": buy,
        "review": buy * chance["review"],
    }
    return MappingProxyType({name: frozen(values) for name, values in marginal.items()})


def draw_positions(truth: ShopTruth, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return the position each pair gets if it is shown, 1 … 10, shape (users, items)."""
    at_most = position_chances(truth.equations, truth.items).cumsum(axis=1)  # (items, positions)
    u = rng.random(truth.propensity.shape)
    below = [u >= at_most[:, k] for k in range(POSITIONS - 1)]
    return np.asarray(1 + np.sum(below, axis=0))


def draw_behaviours(
    truth: ShopTruth, exposed: BoolArray, positions: npt.NDArray[np.int64], rng: np.random.Generator
) -> dict[str, BoolArray]:
    """Return one draw of every behaviour of every pair, arrays of shape (users, items)."""
    chance = stage_chances(truth.equations, truth.users, truth.items)
    eta = truth.equations.click.log_odds(truth.users, truth.items)
    click = sigmoid(eta - truth.equations.fading * (positions - 1))

    def coin(probability: FloatArray) -> BoolArray:
        return np.asarray(rng.random(probability.shape) < probability)

    browse = coin(np.where(exposed, click, chance["search"]))
    cart = browse & coin(chance["cart"])
    favourite = browse & coin(chance["favourite"])
    buy = browse & coin(np.where(cart, chance["buy_carted"], chance["buy_direct"]))
    review = buy & coin(chance["review"])
    return {"browse": browse, "cart": cart, "favourite": favourite, "buy": buy, "review": review}
