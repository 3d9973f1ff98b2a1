"""Which search should a study use? Graph, adjustment set and effect by GES and BOSS on plain moments, and by Auto.

    python benchmarks/study_graph.py --seed 2000 --seeds 8 --json out.json

Shops (`simulate_shop`, pairs): SHD to the class of the true graph within the tiers, whether the set that `identify`
returns is valid in the true graph, the error of the AIPW lift in its standard errors, and whether its 95 % interval holds
the truth. Behaviour worlds (`behaviour_world`, 10 variables, 2,000 rows; mixed kinds, zero-inflated counts, and mixed
kinds whose traits are lognormal), a binary treatment with tiers around it: the same, the effect against the estimate
given the true graph's set. Users of shops, rows of counts: the SHD alone. Numbers are means over the seeds.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from causalsem.behaviour import BehaviourTable, behaviours, moments
from causalsem.discovery import BOSS, GES, Auto, discover
from causalsem.effects import AIPW, Estimate, estimate_effect
from causalsem.errors import CausalSEMWarning, NotIdentifiedError
from causalsem.graph import CausalGraph, Knowledge, shd, to_cpdag, with_knowledge
from causalsem.identify import NullEffect, Query, identify, is_valid_adjustment
from causalsem.pipeline.run import before_treatment
from causalsem.sem import fit_sem
from causalsem.simulate import behaviour_world, erdos_renyi_dag, simulate_shop

SEARCHES = {"GES, plain moments": GES(), "BOSS, plain moments": BOSS(), "Auto": Auto()}
KINDS = {"mixed": (0.25, 0.2, 0.4, 0.15), "counts": (0.0, 0.0, 1.0, 0.0), "lognormal traits": (0.4, 0.2, 0.25, 0.15)}
Row = dict[str, object]


def judged(table: BehaviourTable, truth: CausalGraph, known: Knowledge, query: Query, effect: float, seed: int) -> Iterator[Row]:
    """Yield one row per search: how near it comes to the graph, its adjustment set and its effect."""
    goal = with_knowledge(to_cpdag(truth.select(table.names)), known)
    estimates: dict[tuple[str, ...], Estimate] = {}
    for name, method in SEARCHES.items():
        graph = discover(table if isinstance(method, Auto) else moments(table), method, knowledge=known)
        measures = fit_sem(graph, moments(table), cluster=()).measures
        row: Row = {"search": name, "seed": seed, "shd": shd(graph, goal), "rmsea": measures["rmsea"], "valid": False}
        try:
            adjust = identify(graph, query, allowed=before_treatment(known, query, table.names, table.tiers))
        except NotIdentifiedError:
            yield row
            continue
        if not isinstance(adjust, NullEffect):
            if adjust.variables not in estimates:
                estimates[adjust.variables] = estimate_effect(table, adjust, AIPW(), seed=seed)
            found = estimates[adjust.variables]
            low, high = found.interval
            row |= {"valid": is_valid_adjustment(truth, query, adjust.variables), "covered": low <= effect <= high}
            row |= {"error_in_se": abs(found.value - effect) / found.se}
        yield row


def shop(seed: int, users: int, items: int) -> Iterator[Row]:
    """Yield the rows of one shop."""
    world = simulate_shop(users=users, items=items, seed=seed)
    table = behaviours(world.log, unit=("user", "item"))
    for row in judged(table, world.truth.graph, Knowledge(tiers=table.tiers), Query("exposure", "buy"), world.truth.lift("buy"), seed):
        yield {"world": f"shop of {users:,} × {items:,}", **row}


def shop_users(seed: int, users: int, items: int) -> Iterator[Row]:
    """Yield the graphs of one shop's users, rows of counts; their effects have no stated truth."""
    world = simulate_shop(users=users, items=items, seed=seed)
    table = behaviours(world.log, unit="user")
    goal = with_knowledge(to_cpdag(world.truth.graph.select(table.names)), Knowledge(tiers=table.tiers))
    for name, method in SEARCHES.items():
        graph = discover(table if isinstance(method, Auto) else moments(table), method)
        rmsea = fit_sem(graph, moments(table), cluster=()).measures["rmsea"]
        yield {"world": f"{users:,} users of a shop", "search": name, "seed": seed, "shd": shd(graph, goal), "rmsea": rmsea}


def mixed_world(kind: str, seed: int) -> Iterator[Row]:
    """Yield the rows of one behaviour world; none where no variable has both a cause and an effect."""
    rng = np.random.default_rng(seed)
    truth = erdos_renyi_dag(10, degree=2.5, seed=seed)
    pairs = [(x, y) for x in truth.nodes if truth.parents(x) for y in truth.nodes if y != x and y in truth.descendants(x)]
    if not pairs:
        return
    x, y = pairs[int(rng.integers(len(pairs)))]
    families = {n: str(rng.choice(["trait", "binary", "count", "rating"], p=KINDS[kind])) for n in truth.nodes} | {x: "binary"}
    frame = behaviour_world(truth, 2000, families=families, seed=seed).frame
    if kind == "lognormal traits":
        frame = frame.assign(**{n: np.exp(0.6 * frame[n]) for n, family in families.items() if family == "trait"})
    order = truth.topological_order()
    place = order.index(x)
    known = Knowledge(tiers=[tier for tier in (order[:place], [x], order[place + 1 :]) if tier])
    table = BehaviourTable.from_frame(frame)
    best = estimate_effect(table, identify(truth, (x, y), allowed=order[:place]), AIPW(), seed=seed).value
    for row in judged(table, truth, known, Query(x, y), best, seed):
        yield {"world": kind, **row}


def main() -> None:
    """Run all worlds and print the means; with --json write every row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=8, help="how many data sets of each world")
    parser.add_argument("--json", type=Path, help="write the results here")
    told = parser.parse_args()
    warnings.simplefilter("ignore", CausalSEMWarning)
    rows: list[Row] = []
    for seed in range(told.seed, told.seed + told.seeds):
        shops = (shop(seed, 1500, 200), shop(seed, 400, 60), shop_users(seed, 1500, 200), shop_users(seed, 400, 60))
        for found in (*shops, *(mixed_world(kind, seed) for kind in KINDS)):
            rows += found
        print(f"seed {seed} done", flush=True)
    table = pd.DataFrame(rows)
    means = table.groupby(["world", "search"], sort=False)[["shd", "valid", "error_in_se", "covered", "rmsea"]].mean()
    print(means.to_string(float_format="{:.3f}".format))
    if told.json:
        told.json.write_text(json.dumps(rows, indent=1, default=float) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
