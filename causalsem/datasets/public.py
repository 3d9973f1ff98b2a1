"""The table of public data: which loader reads it, what it returns, and which files it looks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from causalsem.datasets.complete_journey import load_complete_journey
from causalsem.datasets.effect_studies import load_ihdp, load_lalonde, load_twins
from causalsem.datasets.impressions import load_ali_ccp, load_online_shoppers, load_open_bandit
from causalsem.datasets.movielens import load_movielens
from causalsem.datasets.ratings import load_coat, load_yahoo_r3
from causalsem.datasets.shop_logs import load_retailrocket, load_taobao
from causalsem.datasets.video_logs import load_kuairand, load_kuairec


class PublicData(NamedTuple):
    """One public data set: its loader, the name of the value it returns, and the first file it looks for."""

    load: Callable[..., Any]
    returns: str
    file: str


PUBLIC: dict[str, PublicData] = {
    "ali_ccp": PublicData(load_ali_ccp, "BehaviourTable", "sample_skeleton_train.csv"),
    "coat": PublicData(load_coat, "BehaviourTable", "train.ascii"),
    "complete_journey": PublicData(load_complete_journey, "EventLog", "transactions.parquet"),
    "ihdp": PublicData(load_ihdp, "BehaviourTable", "ihdp_npci_1.csv"),
    "kuairand": PublicData(load_kuairand, "EventLog", "log_standard_4_08_to_4_21_1k.csv"),
    "kuairec": PublicData(load_kuairec, "EventLog", "big_matrix.csv"),
    "lalonde": PublicData(load_lalonde, "BehaviourTable", "nsw_mixtape.csv"),
    "movielens": PublicData(load_movielens, "EventLog", "ratings.csv"),
    "online_shoppers": PublicData(load_online_shoppers, "BehaviourTable", "online_shoppers_intention.csv"),
    "open_bandit": PublicData(load_open_bandit, "LoggedFeedback", "random/all/all.csv"),
    "retailrocket": PublicData(load_retailrocket, "EventLog", "events.csv"),
    "taobao": PublicData(load_taobao, "EventLog", "UserBehavior.csv"),
    "twins": PublicData(load_twins, "BehaviourTable", "Twin_data.csv"),
    "yahoo_r3": PublicData(load_yahoo_r3, "BehaviourTable", "ydata-ymusic-rating-study-v1_0-train.txt"),
}
