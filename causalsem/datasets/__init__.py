"""Loaders of event logs: the bundled shop and public data."""

from causalsem.datasets.complete_journey import complete_journey_knowledge, complete_journey_window, load_complete_journey
from causalsem.datasets.effect_studies import ihdp_truth, load_ihdp, load_lalonde, load_twins, twins_truth
from causalsem.datasets.shop import load_shop, shop_truth

__all__ = [
    "complete_journey_knowledge",
    "complete_journey_window",
    "ihdp_truth",
    "load_complete_journey",
    "load_ihdp",
    "load_lalonde",
    "load_shop",
    "load_twins",
    "shop_truth",
    "twins_truth",
]
