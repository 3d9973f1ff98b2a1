"""Do intervals of every method cover the truth? python benchmarks/effects.py --times 300 --json OUT

Worlds of 600 rows with two confounders whose effect is 1 + z1, 1 on average. linear: a 0/1 treatment, its log-odds and the outcome's
arms linear; curved: both curved; levels: the third of three levels against the first, chosen by both; continuous: effect per unit,
confounders explain 4 % (20 % in the last) of the treatment, so that every method's estimand is 1. Per method and world: share of 95 %
intervals with the truth in them, bias and spread in standard errors, mean standard error over the estimates' standard deviation, CPU
seconds an estimate.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit

from causalsem.effects import AIPW, IPW, CausalForest, CausalNet, DRLearner, GBoost, Regression, RLearner, estimate_effect
from causalsem.identify import AdjustmentSet, Query

METHODS = {
    "Regression": Regression(interactions=True),
    "IPW": IPW(),
    "AIPW": AIPW(),
    "DRLearner": DRLearner(),  # AIPW's average where there are arms
    "RLearner": RLearner(),
    "GBoost": GBoost(),
    "CausalForest": CausalForest(trees=100),
    "CausalNet": CausalNet(members=2, priors=(0.25,), links=("identity",), steps=120),
}
WORLDS = ("linear", "curved", "levels", "continuous", "continuous, 20 %")


def world(name: str, n: int, seed: int) -> pd.DataFrame:
    """Return one data set."""
    rng = np.random.default_rng(seed)
    z1, z2 = rng.standard_normal((2, n))
    if name.startswith("continuous"):
        t = (0.5 if "20" in name else 0.2) * z1 + rng.standard_normal(n)
        return pd.DataFrame({"z1": z1, "z2": z2, "t": t, "y": t * (1 + z1) + 2 * z1 + z2 + rng.standard_normal(n)})
    if name == "levels":
        odds = np.column_stack([np.zeros(n), 0.6 * z1, 0.5 * z2 - 0.3 * z1]) + rng.gumbel(size=(n, 3))
        t = odds.argmax(axis=1) * 1.0
        y = np.where(t == 2, 1 + z1, np.where(t == 1, 4.0, 0.0)) + 2 * z1 + z2 + rng.standard_normal(n)
        return pd.DataFrame({"z1": z1, "z2": z2, "t": t, "y": y})
    bend = z1**2 - 1 if name == "curved" else 0 * z1
    t = (rng.random(n) < expit(0.7 * z1 - 0.5 * z2 - 0.3 + 0.5 * bend)) * 1.0
    return pd.DataFrame({"z1": z1, "z2": z2, "t": t, "y": t * (1 + z1) + 2 * z1 + z2 + 1.5 * bend + rng.standard_normal(n)})


def row(name: str, where: str, times: int, n: int) -> dict[str, object]:
    """Return how one method did."""
    adjust, contrast = AdjustmentSet(Query("t", "y"), ("z1", "z2"), "given"), (0, 2) if where == "levels" else None
    start, found = time.process_time(), []
    for seed in range(times):
        estimate = estimate_effect(world(where, n, seed), adjust, METHODS[name], seed=seed, contrast=contrast)
        found.append((estimate.value - 1, estimate.se))
    taken = (time.process_time() - start) / times
    off, error = np.array(found).T
    return {
        "method": name, "world": where, "covered": np.mean(np.abs(off) < 1.96 * error), "bias": np.mean(off / error),
        "spread": np.std(off / error), "se_over_sd": error.mean() / off.std(), "cpu_s": taken,
    }  # fmt: skip


def main() -> None:
    """Estimate, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=300)
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--worlds", nargs="+", default=WORLDS, choices=WORLDS)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    rows = []
    for where in chosen.worlds:
        for name in chosen.methods:
            if name == "CausalNet" and where.startswith("continuous"):
                continue  # of levels only
            rows.append(row(name, where, chosen.times, chosen.rows))
            print({k: v if isinstance(v, str) else round(float(v), 3) for k, v in rows[-1].items()}, flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps(rows, indent=1, default=float), encoding="utf-8")


if __name__ == "__main__":
    main()
