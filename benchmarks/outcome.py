"""Bias and ranking of the outcome model on simulated shops, and its speed: python benchmarks/outcome.py --seeds 3 --json OUT

For every fresh seed: the naive purchase lift, the model's, and the truth; how much of the naive bias is gone; how well the
scores rank pairs by their true chance; seconds of fitting. With --chains LOSSES the same for every stage from browse to
review. Then rows per CPU second of training on one thread (see training.py).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
from training import speed

from causalsem.behaviour import BehaviourTable
from causalsem.identify import AdjustmentSet, Query, identify
from causalsem.networks import TwoTower
from causalsem.outcome import fit_outcome
from causalsem.outcome.losses import LOSSES
from causalsem.recommend import score
from causalsem.simulate import simulate_shop

LEVELS = {"age": "user", "activity": "user", "popularity": "item", "price": "item", "quality": "item"}


STAGES = ("exposure", "browse", "cart", "buy", "review")


def pairs_of(world, names=("exposure", "buy")) -> BehaviourTable:
    """Return every user × item of a shop with the named behaviours as 0/1."""
    users, items, log = world.truth.users, world.truth.items, world.log_frame
    frame = users.merge(items, how="cross")
    for behaviour in names:
        happened = np.zeros((len(users), len(items)))
        events = log[log["type"] == behaviour]
        row, column = pd.Index(users["user"]).get_indexer(events["user_id"]), pd.Index(items["item"]).get_indexer(events["item_id"])
        happened[row, column] = 1
        frame[behaviour] = happened.ravel()
    return BehaviourTable.from_frame(frame, user="user", item="item", levels=LEVELS)


def bias(seed: int, loss: str, users: int, items: int) -> dict[str, float]:
    """Return naive, debiased and true lift of one shop, and the seconds of one fit."""
    world = simulate_shop(users=users, items=items, seed=seed)
    pairs, truth = pairs_of(world), world.truth
    t, y = pairs.column("exposure"), pairs.column("buy")
    adjust = AdjustmentSet(Query("exposure", "buy"), truth.adjustment, "parents")
    start = time.perf_counter()
    model = fit_outcome(pairs, adjust, loss=loss, seed=seed)
    seconds = time.perf_counter() - start
    frame = score(model).frame.sort_values(["user", "item"])
    naive, true = y[t == 1].mean() - y[t == 0].mean(), truth.lift("buy")
    return {
        "seed": seed,
        "pairs": len(pairs),
        "naive": naive,
        "debiased": model.lift,
        "true": true,
        "bias_cut": 1 - abs(model.lift - true) / abs(naive - true),
        "rank_correlation": frame["score"].corr(pd.Series(truth.shown["buy"].ravel(), index=frame.index), method="spearman"),
        "seconds": seconds,
    }


def chain(seed: int, loss: str, users: int, items: int) -> list[dict[str, object]]:
    """Return how much of the naive bias is gone, and how well pairs are told apart, for every stage of a shop and for buying alone."""
    world = simulate_shop(users=users, items=items, seed=seed)
    pairs, truth = pairs_of(world, STAGES), world.truth
    adjust = identify(truth.graph, Query("exposure", "buy"))
    found = []
    for stages in (STAGES[1:], None):
        start = time.process_time()
        method = (None, None) if loss == "default" else (TwoTower(), loss)
        model = fit_outcome(pairs, adjust, method[0], loss=method[1], stages=stages, seed=seed)
        seconds = time.process_time() - start
        for stage in model.stages:
            t, y, true, shown = pairs.column("exposure"), pairs.column(stage), truth.lift(stage), truth.shown[stage].ravel()
            naive, told = y[t == 1].mean() - y[t == 0].mean(), model.predict(pairs, 1, stage=stage)
            found.append(
                {
                    "seed": seed,
                    "loss": loss,
                    "stage": stage if stages else f"{stage} alone",
                    "naive": naive,
                    "debiased": model.lifts[stage],
                    "true": true,
                    "bias_cut": 1 - abs(model.lifts[stage] - true) / abs(naive - true),
                    "rank_correlation": pd.Series(told).corr(pd.Series(shown), method="spearman"),
                    "correlation": np.corrcoef(told, shown)[0, 1],
                    "cpu_seconds": seconds,
                }
            )
    return found


def main() -> None:
    """Print and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--users", type=int, default=1500)
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--losses", default="dr", help="names separated by commas, or 'all'")
    parser.add_argument("--chains", default="", help="losses to fit chains of stages with, or 'default', separated by commas")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the speed test, 0 for none")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    losses = list(LOSSES) if chosen.losses == "all" else list(filter(None, chosen.losses.split(",")))
    found = {loss: [bias(1000 + k, loss, chosen.users, chosen.items) for k in range(chosen.seeds)] for loss in losses}
    for loss, rows in found.items():
        print(pd.DataFrame(rows).assign(loss=loss).to_string(index=False))
    chains = [
        row
        for loss in filter(None, chosen.chains.split(","))
        for k in range(chosen.seeds)
        for row in chain(1000 + k, loss, chosen.users, chosen.items)
    ]
    if chains:
        told = pd.DataFrame(chains)
        print(told.to_string(index=False))
        print(told.groupby(["loss", "stage"], sort=False)[["bias_cut", "rank_correlation", "correlation", "cpu_seconds"]].mean())
    speeds = speed(chosen.rows) if chosen.rows else {}
    print(speeds)
    if chosen.json:
        chosen.json.write_text(json.dumps({"bias": found, "chains": chains, "speed": speeds}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
