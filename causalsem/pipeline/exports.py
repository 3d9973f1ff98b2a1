"""export_files(): from a log and a graph to weights, propensities and ready files for other recommenders."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from causalsem._values import whole_file
from causalsem.behaviour import BehaviourTable, EventLog, behaviours, moments
from causalsem.errors import InputError, UnknownNameError
from causalsem.graph import CausalGraph
from causalsem.identify import NullEffect, Query, export_adjustment_sets, identify
from causalsem.outcome import fit_outcome
from causalsem.policy import LoggedFeedback, to_bandit_feedback
from causalsem.recommend import PairWeights, hand_over, pair_weights
from causalsem.recommend.handover import TARGETS

BANDIT = "obp"
RECOMMENDERS = (*TARGETS, BANDIT)


def export_files(
    graph: CausalGraph, log: EventLog, query: Query, folder: str | os.PathLike[str], *, targets: Iterable[str] = (), seed: int = 0
) -> dict[str, Path]:
    """Write adjustment_sets.json, weights.parquet and the files of each target into a folder; return the paths by name.

    Targets are "recbole", "implicit", "lightgbm", "spark_als" and "obp" (Open Bandit Pipeline), each in a folder of its
    name. The outcome model is trained on the pairs of the log with the graph's adjustment set. Raises UnknownNameError
    for another target before anything is written, NotIdentifiedError where no set is valid.
    """
    targets = list(dict.fromkeys(targets))
    for target in targets:
        if target not in RECOMMENDERS:
            raise UnknownNameError(target, list(RECOMMENDERS), what="recommender", where="the exports")
    pairs = behaviours(log, unit=("user", "item"))
    weights = _weights(graph, pairs, query, seed)
    home = Path(folder)
    home.mkdir(parents=True, exist_ok=True)
    facts = weights_block(weights, "weights.parquet")
    told = [name for name in graph.observed if name in pairs.names]
    m = moments(pairs, told) if len(told) == len(graph.observed) else None
    paths = {
        "adjustment_sets": export_adjustment_sets(graph, [query], home / "adjustment_sets.json", moments=m, weights=facts),
        "weights": weights.save(home / "weights.parquet"),
    }
    for target in targets:
        written = _bandit(log, query, home) if target == BANDIT else hand_over(weights, target, home / target)
        paths |= {f"{target}.{name}": path for name, path in written.items()}
    return paths


def _weights(graph: CausalGraph, pairs: BehaviourTable, query: Query, seed: int) -> PairWeights:
    adjust = identify(graph, query, allowed=[name for name in graph.observed if name in pairs.names])
    if isinstance(adjust, NullEffect):
        raise InputError(f"{adjust}: there is nothing to weight for; ask for a treatment that may cause the outcome")
    return pair_weights(fit_outcome(pairs, adjust, seed=seed), pairs, graph_sha256=adjust.graph_sha256)


def weights_block(weights: PairWeights, file: str) -> dict[str, object]:
    """Return how the schema tells where the weights are and what they are."""
    return {
        "file": file,
        "key": ["user", "item"],
        "columns": {"propensity": "propensity", "sample_weight": "weight"},
        "kind": "stabilized_ipw",
        "clip": [weights.facts["clip"]],
        "cross_fitted": True,
    }


def _bandit(log: EventLog, query: Query, home: Path) -> dict[str, Path]:
    """Write the exposures as arrays: dict(numpy.load("bandit_feedback.npz")) is Open Bandit Pipeline's bandit_feedback."""
    told = to_bandit_feedback(LoggedFeedback.from_log(log), query.outcome)
    folder = home / BANDIT
    folder.mkdir(exist_ok=True)
    with whole_file(folder / "bandit_feedback.npz") as temporary:
        np.savez_compressed(temporary, **told)
    return {"feedback": folder / "bandit_feedback.npz"}
