"""simulate_shop: an e-commerce log with confounded exposure and a truth in closed form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from causalsem._cards import mimebundle
from causalsem._values import BoolArray, FloatArray, IntArray
from causalsem.errors import SettingError
from causalsem.simulate.shop_equations import ITEM_TRAITS, USER_TRAITS, ShopEquations, exposure_chances, sigmoid
from causalsem.simulate.shop_truth import ShopTruth, draw_behaviours, draw_positions

if TYPE_CHECKING:
    from causalsem.behaviour import EventLog

START = np.datetime64("2025-03-03T00:00:00", "s")  # a Monday
DAY = 24 * 3600
# Visits per hour of the day: quiet at night, a noon hump, an evening peak.
HOURS = np.array([3, 2, 1, 1, 1, 1, 2, 4, 5, 6, 7, 8, 10, 9, 7, 7, 7, 8, 10, 13, 15, 16, 13, 7], dtype=float)
# Median seconds from the behaviour before, and the spread of its logarithm.
DELAYS = {"browse": (20.0, 0.8), "cart": (90.0, 1.0), "favourite": (60.0, 1.0), "buy": (600.0, 1.3), "review": (3.0 * DAY, 0.4)}
FEWEST, TRIES = 10, 1000


@dataclass(frozen=True, slots=True, eq=False)
class ShopWorld:
    """A simulated shop: `log_frame` holds its events, `truth` what would have happened under do(exposure).

    The columns of `log_frame`, one row an event, in order of time: user_id, item_id, type, ts (seconds, shop time);
    of exposures position (1 … 10) and propensity (the chance that this impression of this user showed this item);
    of reviews value (1 … 5 stars); platform ("app", "web"); and the traits age, activity, popularity, price, quality.
    """

    log_frame: pd.DataFrame
    truth: ShopTruth

    @property
    def log(self) -> EventLog:
        """The events as an EventLog; its optional columns are found by their own names. Needs narwhals."""
        from causalsem.behaviour import EventLog

        return EventLog.from_frame(
            self.log_frame,
            user="user_id",
            item="item_id",
            behaviour="type",
            time="ts",
        )

    def __repr__(self) -> str:
        return f"ShopWorld({len(self.log_frame):,} events, {self.truth!r})"

    _repr_mimebundle_ = mimebundle


def simulate_shop(
    *,
    users: int = 1500,
    items: int = 200,
    seed: int = 0,
    confounding: float | None = None,
    days: int = 14,
    equations: ShopEquations | None = None,
) -> ShopWorld:
    """Return a shop in which popular items and active users are shown more, so that the naive lift misleads.

    `confounding` 1 is strong (the naive purchase lift is about twice the truth), 0 shows items by chance;
    it replaces the one in `equations`, which holds all other parameters (see `ShopEquations`).
    A user the shop would show nothing is drawn again, and the true propensities say so. Exposures lie within
    `days` days; reviews may come later. Raises SettingError for a shop under 10 users, 10 items or 1 day.
    """
    if users < FEWEST or items < FEWEST or days < 1:
        raise SettingError(f"a shop of {users} users, {items} items, {days} days is too small; take {FEWEST}, {FEWEST} and 1 or more")
    equations = equations or ShopEquations()
    if confounding is not None:
        equations = replace(equations, confounding=confounding)
    rng = np.random.default_rng(seed)
    truth = ShopTruth(_user_traits(rng, users), _item_traits(rng, items), equations)
    exposed = _exposures(rng, exposure_chances(equations, truth.users, truth.items))
    positions = draw_positions(truth, rng)
    drawn = draw_behaviours(truth, exposed, positions, rng)
    return ShopWorld(_events(rng, truth, {"exposure": exposed, **drawn}, positions, days), truth)


def _user_traits(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Draw age (18 … 75 years) and activity (median and mean near 1); the young are a little more active."""
    age = np.round(18 + 57 * rng.beta(1.6, 2.4, n)).astype(np.int64)
    activity = np.exp(0.4 * rng.standard_normal(n) - 0.1 * (age - 40) / 15 - 0.08)
    return pd.DataFrame({"user": np.arange(1, n + 1), "age": age, "activity": np.round(activity, 3)})


def _item_traits(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Draw quality (0 … 1), price (rises with quality) and popularity (rises with quality, falls with price; mean near 1)."""
    quality = np.round(rng.beta(3, 2, n), 3)
    price = np.round(19 * np.exp(0.5 * (quality - 0.6) + 0.35 * rng.standard_normal(n)), 2)
    popularity = np.exp(0.8 * (quality - 0.6) - 0.015 * (price - 20) + 0.4 * rng.standard_normal(n) - 0.08)
    return pd.DataFrame({"item": np.arange(1, n + 1), "popularity": np.round(popularity, 3), "price": price, "quality": quality})


def _exposures(rng: np.random.Generator, chance: FloatArray) -> BoolArray:
    """Draw who is shown what; a user who was shown nothing is drawn again, and so is a shop with an item that nobody saw."""
    for _ in range(TRIES):
        exposed = np.asarray(rng.random(chance.shape) < chance)
        while (empty := ~exposed.any(axis=1)).any():
            exposed[empty] = rng.random((int(empty.sum()), chance.shape[1])) < chance[empty]
        if exposed.any(axis=0).all():
            return exposed
    raise SettingError(f"no shop of {chance.shape[0]} users in {TRIES} shows every item; take more users or a higher exposure constant")


def _events(rng: np.random.Generator, truth: ShopTruth, drawn: Mapping[str, BoolArray], positions: IntArray, days: int) -> pd.DataFrame:
    """Return the event frame of one draw, in order of time."""
    seconds = _times(rng, drawn, days)
    app = rng.random((len(truth.users), days)) < sigmoid((40 - truth.users["age"].to_numpy(float)) / 15 + 0.5)[:, None]
    stars = 1 + rng.binomial(4, 0.35 + 0.6 * truth.items["quality"].to_numpy(float), size=drawn["review"].shape)
    first_day = seconds["first"] // DAY
    parts = []
    for behaviour, happened in drawn.items():
        user, item = np.nonzero(happened)
        at = (user, item)
        blank = np.full(len(user), np.nan)
        part = {
            "user": user,
            "item": item,
            "type": np.full(len(user), behaviour),
            "seconds": seconds[behaviour][at],
            "value": stars[at] if behaviour == "review" else blank,
            "position": positions[at] if behaviour == "exposure" else blank,
            "propensity": truth.logging_policy[at] if behaviour == "exposure" else blank,
            "platform": np.where(app[user, first_day[at]], "app", "web"),
        }
        parts.append(pd.DataFrame(part))
    return _named(pd.concat(parts, ignore_index=True).sort_values("seconds", kind="stable", ignore_index=True), truth)


def _times(rng: np.random.Generator, drawn: Mapping[str, BoolArray], days: int) -> dict[str, IntArray]:
    """Draw when each stage of each pair would happen, seconds from the start; "first" is the exposure or the search."""
    shape = drawn["exposure"].shape
    hour = rng.choice(24, size=shape, p=HOURS / HOURS.sum())
    first = rng.integers(days, size=shape) * DAY + hour * 3600 + rng.integers(3600, size=shape)
    times = {"first": first, "exposure": first}

    def after(stage: str, behaviour: str) -> IntArray:
        median, spread = DELAYS[behaviour]
        # Nothing happens within the second of what caused it, so that the order of events is never a tie.
        return np.asarray(times[stage] + 1 + np.rint(median * np.exp(spread * rng.standard_normal(shape))).astype(np.int64))

    times["browse"] = np.where(drawn["exposure"], after("exposure", "browse"), first)
    times["cart"] = after("browse", "cart")
    times["favourite"] = after("browse", "favourite")
    times["buy"] = np.where(drawn["cart"], after("cart", "buy"), after("browse", "buy"))
    times["review"] = after("buy", "review")
    return times


def _named(events: pd.DataFrame, truth: ShopTruth) -> pd.DataFrame:
    """Return the events with identifiers, clock times and the traits of user and item beside them."""
    users, items = truth.users.iloc[events["user"]], truth.items.iloc[events["item"]]
    named = {
        "user_id": users["user"].to_numpy(),
        "item_id": items["item"].to_numpy(),
        "type": events["type"].to_numpy(),
        "ts": START + events["seconds"].to_numpy().astype("timedelta64[s]"),
        "position": events["position"].to_numpy(),
        "propensity": events["propensity"].to_numpy(),
        "value": events["value"].to_numpy(),
        "platform": events["platform"].to_numpy(),
    }
    named |= {trait: users[trait].to_numpy() for trait in USER_TRAITS} | {trait: items[trait].to_numpy() for trait in ITEM_TRAITS}
    return pd.DataFrame(named)
