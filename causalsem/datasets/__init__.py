"""Loaders of data: the bundled shop, and public data by `load_NAME(path)`, all of them in the table PUBLIC."""

from causalsem.datasets.complete_journey import complete_journey_knowledge, complete_journey_window, load_complete_journey
from causalsem.datasets.effect_studies import ihdp_truth, load_ihdp, load_lalonde, load_twins, twins_truth
from causalsem.datasets.impressions import load_ali_ccp, load_online_shoppers, load_open_bandit
from causalsem.datasets.movielens import load_movielens
from causalsem.datasets.public import PUBLIC, PublicData
from causalsem.datasets.ratings import coat_propensities, load_coat, load_yahoo_r3
from causalsem.datasets.shop import load_shop, shop_truth
from causalsem.datasets.shop_logs import load_retailrocket, load_taobao
from causalsem.datasets.video_logs import load_kuairand, load_kuairec

__all__ = [
    "PUBLIC",
    "PublicData",
    "coat_propensities",
    "complete_journey_knowledge",
    "complete_journey_window",
    "ihdp_truth",
    "load_ali_ccp",
    "load_coat",
    "load_complete_journey",
    "load_ihdp",
    "load_kuairand",
    "load_kuairec",
    "load_lalonde",
    "load_movielens",
    "load_online_shoppers",
    "load_open_bandit",
    "load_retailrocket",
    "load_shop",
    "load_taobao",
    "load_twins",
    "load_yahoo_r3",
    "shop_truth",
    "twins_truth",
]
