"""Debiased scores of every user–item pair, and how well scores rank."""

from causalsem.recommend.averaging import average_scores, score_over_graphs
from causalsem.recommend.factors import ALS, BPR, factor_scores
from causalsem.recommend.handover import hand_over
from causalsem.recommend.long_tail import popularity_gain
from causalsem.recommend.metrics import rank_metrics
from causalsem.recommend.scores import Scores, popularity_scores, score
from causalsem.recommend.weights import PairWeights, pair_weights

__all__ = [
    "score",
    "Scores",
    "score_over_graphs",
    "average_scores",
    "popularity_scores",
    "ALS",
    "BPR",
    "factor_scores",
    "rank_metrics",
    "popularity_gain",
    "PairWeights",
    "pair_weights",
    "hand_over",
]
