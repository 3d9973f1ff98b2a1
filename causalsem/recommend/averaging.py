"""Scores under an uncertain graph: averaged over the adjustment sets of sampled graphs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from causalsem.behaviour import BehaviourTable
from causalsem.errors import DataError, NotIdentifiedError, SettingError
from causalsem.graph import CausalGraph
from causalsem.identify import AdjustmentSet, Query, identify
from causalsem.identify.uncertainty import SampledGraphs, distinct_graphs
from causalsem.networks.settings import Multilevel, TwoTower
from causalsem.outcome import fit_outcome
from causalsem.outcome.losses import Loss
from causalsem.recommend.scores import Scores, score


def score_over_graphs(
    pairs: BehaviourTable,
    graphs: SampledGraphs | Iterable[CausalGraph],
    query: Query,
    *,
    network: TwoTower | Multilevel | None = None,
    loss: Loss | str | None = None,
    most: int = 5,
    top: int | None = None,
    seed: int = 0,
) -> Scores:
    """Score every pair under each adjustment set that sampled graphs call for, and average by how often they do.

    `graphs` are draws of the graph, such as what `bootstrap` returns; each is asked for its optimal set, and the `most` frequent sets are
    kept. Standard errors hold both kinds of doubt: within a set, and between the sets (see `average_scores`). Graphs
    in which the effect is null or not identified by adjustment have no set and leave the average to the others; raises
    NotIdentifiedError when there is no other.
    """
    if most < 1:
        raise SettingError(f"most={most} keeps no adjustment set; ask for at least 1")
    chosen = frequent_sets(graphs, query)[:most]
    if not chosen:
        raise NotIdentifiedError(
            f"none of the sampled graphs identifies {query} by an adjustment set; there is nothing to score by", query=query
        )
    found = [score(fit_outcome(pairs, adjust, network, loss=loss, seed=seed), seed=seed) for adjust, _ in chosen]
    averaged = average_scores(found, [count for _, count in chosen])
    return averaged if top is None else averaged.top(top)


def frequent_sets(graphs: SampledGraphs | Iterable[CausalGraph], query: Query) -> list[tuple[AdjustmentSet, int]]:
    """Return the optimal adjustment sets of sampled graphs with how many graphs call for each, the most frequent first."""
    sets: dict[frozenset[str], AdjustmentSet] = {}
    counts: dict[frozenset[str], int] = {}
    for graph, times in distinct_graphs(graphs)[0]:
        try:
            found = identify(graph, query)
        except NotIdentifiedError:
            continue
        if isinstance(found, AdjustmentSet):
            key = frozenset(found.variables)
            sets.setdefault(key, found)
            counts[key] = counts.get(key, 0) + times
    order = sorted(counts, key=lambda key: (-counts[key], sorted(key)))
    return [(sets[key], counts[key]) for key in order]


def average_scores(scores: Sequence[Scores], weights: npt.ArrayLike | None = None) -> Scores:
    """Return the average of scores of the same pairs, weighted; se² = Σ w (se² + (score − average)²).

    That is the variance of a mixture (Hoeting et al. 1999): the models' own errors, and how far they are apart.
    Raises DataError when the scores are of different pairs.
    """
    if not scores:
        raise DataError("no scores to average; hand in at least one")
    w = np.ones(len(scores)) if weights is None else np.asarray(weights, dtype=np.float64)
    if w.shape != (len(scores),) or not (w >= 0).all() or not w.sum() > 0:
        raise SettingError(f"weights {w} for {len(scores)} scores; give each a number of at least 0, not all 0")
    w = w / w.sum()
    frames = [s.frame.sort_values(["user", "item"], ignore_index=True) for s in scores]
    for frame in frames[1:]:
        if len(frame) != len(frames[0]) or not (frame[["user", "item"]] == frames[0][["user", "item"]]).all(axis=None):
            raise DataError("the scores are of different pairs; score the same pairs with every model")
    found = {
        column: np.stack([frame[column].to_numpy(dtype=np.float64) for frame in frames]) for column in ("score", "lift", "se", "lift_se")
    }
    mean, lift = w @ found["score"], w @ found["lift"]
    se, lift_se = (
        np.sqrt(w @ (found[error] ** 2 + (found[column] - average) ** 2))
        for column, error, average in (("score", "se", mean), ("lift", "lift_se", lift))
    )
    frame = frames[0][["user", "item"]].assign(score=mean, lift=lift, se=se, lift_se=lift_se)
    return replace(scores[0], frame=frame)
