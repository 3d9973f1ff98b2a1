"""Debiased scores of every user–item pair, and how well scores rank."""

from causalsem.recommend.handover import hand_over
from causalsem.recommend.metrics import rank_metrics
from causalsem.recommend.scores import Scores, popularity_scores, score
from causalsem.recommend.weights import PairWeights, pair_weights

__all__ = ["score", "Scores", "popularity_scores", "rank_metrics", "PairWeights", "pair_weights", "hand_over"]
