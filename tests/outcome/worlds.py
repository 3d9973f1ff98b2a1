"""Small worlds of pairs whose truth is known, for the tests of the outcome model and its scores."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit

from causalsem.behaviour import BehaviourTable
from causalsem.graph import CausalGraph


@dataclass
class World:
    """Pairs with treatment "shown" and outcome "buy"; `p1`, `p0` are the true chances, `e` the true propensity."""

    pairs: BehaviourTable
    p1: np.ndarray
    p0: np.ndarray
    e: np.ndarray

    @property
    def lift(self) -> float:
        return float((self.p1 - self.p0).mean())

    @property
    def naive(self) -> float:
        y, t = self.pairs.column("buy"), self.pairs.column("shown")
        return float(y[t == 1].mean() - y[t == 0].mean())


def make_world(users: int = 300, items: int = 60, seed: int = 0, continuous: bool = False, own: float = 0.0) -> World:
    """Active users and popular items are shown more and bought more; `mood` belongs to the pair and does both too.

    Users differ by `own` beyond their activity.
    """
    rng = np.random.default_rng(seed)
    activity, popularity = rng.standard_normal(users), rng.standard_normal(items)
    a, p = np.repeat(activity, items), np.tile(popularity, users)
    mood = rng.integers(0, 2, users * items).astype(float)
    e = expit(-1 + 0.6 * a + 0.6 * p + 1.2 * (mood - 0.5))
    shown = (rng.random(len(e)) < e).astype(float)
    eta = -3 + 0.7 * a + 0.7 * p + 1.4 * (mood - 0.5) + own * np.repeat(np.random.default_rng(seed + 1).standard_normal(users), items)
    p0, p1 = (eta, eta + 1.0 + 0.3 * a) if continuous else (expit(eta), expit(eta + 1.0 + 0.3 * a))
    mean = np.where(shown == 1, p1, p0)
    buy = mean + 0.5 * rng.standard_normal(len(e)) if continuous else (rng.random(len(e)) < mean).astype(float)
    frame = pd.DataFrame({"u": np.repeat(np.arange(users), items), "i": np.tile([f"物{k}" for k in range(items)], users)})
    frame = frame.assign(activity=a, popularity=p, mood=mood, shown=shown, buy=buy, cart=np.maximum(buy, shown), truth=e)
    levels = {"activity": "user", "popularity": "item"}
    return World(BehaviourTable.from_frame(frame, user="u", item="i", levels=levels), p1, p0, e)


STAGES = ("browse", "cart", "buy", "review")
CHAIN_GRAPH = CausalGraph.parse(
    "shown -> browse -> cart -> buy -> review; browse -> buy; popularity -> review"
    + "".join(f"; {trait} -> {stage}" for trait in ("activity", "popularity") for stage in ("shown", "browse", "cart", "buy"))
)


@dataclass
class Chained:
    """Pairs with treatment "shown" and the stages browse → cart → buy → review; `steps[arm]` are the true conditional chances
    by column name of `OutcomeModel.predict_steps`, `chance[stage]` (n, 2) the true chances under do(shown = 0) and do(shown = 1).
    """

    pairs: BehaviourTable
    e: np.ndarray
    steps: list[dict[str, np.ndarray]]
    chance: dict[str, np.ndarray]

    def lift(self, stage: str) -> float:
        return float((self.chance[stage][:, 1] - self.chance[stage][:, 0]).mean())

    def naive(self, stage: str) -> float:
        y, t = self.pairs.column(stage), self.pairs.column("shown")
        return float(y[t == 1].mean() - y[t == 0].mean())


def make_chain(users: int = 200, items: int = 60, seed: int = 0, uncarted: bool = True) -> Chained:
    """Active users and popular items are shown more and go further at every stage; some buy without a cart if `uncarted`."""
    rng = np.random.default_rng(seed)
    activity, popularity = rng.standard_normal(users), rng.standard_normal(items)
    a, p = np.repeat(activity, items), np.tile(popularity, users)
    e, pull = expit(-0.7 + 0.7 * a + 0.7 * p), 0.6 * a + 0.5 * p
    shown = (rng.random(len(e)) < e).astype(int)
    steps = []
    for arm in (0, 1):
        step = {"browse": expit(-1.2 + 1.2 * arm + pull), "cart | browse": expit(-0.6 + pull)}
        if uncarted:
            step["buy | browse, no cart"] = expit(-2 + 0.5 * pull)
        carted = "buy | browse, cart" if uncarted else "buy | cart"
        steps.append(step | {carted: expit(0.2 + 0.5 * pull), "review | buy": expit(0.3 * p)})
    own = [np.where(shown == 1, one, zero) for zero, one in zip(*(step.values() for step in steps), strict=True)]
    coin = [rng.random(len(e)) < chance for chance in own]
    browse = coin[0]
    cart = browse & coin[1]
    buy = (cart & coin[3]) | (browse & ~cart & coin[2]) if uncarted else cart & coin[2]
    happened = dict(zip(STAGES, (browse, cart, buy, buy & coin[-1]), strict=True))
    chance: dict[str, list[np.ndarray]] = {stage: [] for stage in STAGES}
    for step in steps:
        q = list(step.values())
        of_cart = q[0] * q[1]
        of_buy = of_cart * q[3] + q[0] * (1 - q[1]) * q[2] if uncarted else of_cart * q[2]
        for stage, value in zip(STAGES, (q[0], of_cart, of_buy, of_buy * q[-1]), strict=True):
            chance[stage].append(value)
    frame = pd.DataFrame({"u": np.repeat(np.arange(users), items), "i": np.tile(np.arange(items), users)})
    frame = frame.assign(activity=a, popularity=p, shown=shown, truth=e, **{stage: 1.0 * done for stage, done in happened.items()})
    pairs = BehaviourTable.from_frame(
        frame,
        user="u",
        item="i",
        levels={"activity": "user", "popularity": "item"},
        tiers=[["activity", "popularity"], ["shown"], *([stage] for stage in STAGES)],
        roles={"activity": "trait", "popularity": "trait", "truth": "trait"},
    )
    return Chained(pairs, e, steps, {stage: np.column_stack(values) for stage, values in chance.items()})
