"""The two studies of `causalsem demo`: real retail data, and the bundled shop whose truth is known."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from causalsem.behaviour import EventLog
from causalsem.datasets import complete_journey_knowledge, complete_journey_window, load_complete_journey, load_shop, shop_truth
from causalsem.discovery import Auto
from causalsem.errors import check_names
from causalsem.graph import Knowledge
from causalsem.identify import Query
from causalsem.pipeline.recipe import Recipe

# Of the thirty columns of The Complete Journey's table, those a person can read in one picture: what household, item
# and pair did before, and the chain's means.
JOURNEY_VARIABLES = (
    *("age", "income", "visits", "past_visits", "past_buy"),
    *("price", "popularity", "item_past_exposure"),
    *("pair_past_exposure", "pair_past_buy"),
    *("coupon", "mailer", "exposure", "redeem", "buy"),
)
# Among 389,800 pairs everything is tied to everything by a little; at this penalty an arrow stands for a partial
# correlation of at least √(10 ln n / n) ≈ 0.02.
JOURNEY_PENALTY = 10.0
DATASETS = ("complete-journey", "shop")


@dataclass(frozen=True, slots=True, eq=False)
class Demo:
    """What `run` needs; the true effect where it is known."""

    log: EventLog
    query: Query
    recipe: Recipe
    knowledge: Knowledge | None = None
    truth: float | None = None


def demo(dataset: str, seed: int = 0) -> Demo:
    """Return the demonstration study of a data set; raises NotInstalledError when its package is absent."""
    check_names([dataset], DATASETS, what="data set")
    query, recipe = Query("exposure", "buy"), Recipe(seed=seed)
    if dataset == "shop":
        return Demo(load_shop(), query, recipe, truth=shop_truth().lift("buy"))
    graphs = Auto(penalty_discount=JOURNEY_PENALTY)
    recipe = dataclasses.replace(recipe, discovery=graphs, window=complete_journey_window(), history="182D", variables=JOURNEY_VARIABLES)
    known = complete_journey_knowledge()
    tiers = [[name for name in tier if name in JOURNEY_VARIABLES] for tier in known.tiers]
    return Demo(load_complete_journey(), query, recipe, Knowledge(tiers))
