"""Do intervals of every method cover the truth? python benchmarks/effects.py --times 100 --json OUT

Worlds of 600 rows with two confounders of a 0/1 treatment whose effect is 1 + z1, 1 on average; the log-odds of treatment and the
outcome's arms are linear, or (second table) both curved. Per method: share of 95 % intervals with the truth in them, bias and spread
in standard errors, CPU seconds an estimate.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit

from causalsem.effects import AIPW, IPW, CausalForest, CausalNet, GBoost, Regression, RLearner, estimate_effect
from causalsem.identify import AdjustmentSet, Query

METHODS = {
    "Regression": Regression(interactions=True),
    "IPW": IPW(),
    "AIPW (and DRLearner)": AIPW(),
    "RLearner": RLearner(),
    "GBoost": GBoost(),
    "CausalForest": CausalForest(trees=100),
    "CausalNet": CausalNet(members=2, priors=(0.25,), links=("identity",), steps=120),
}


def world(curved: bool, n: int, seed: int) -> pd.DataFrame:
    """Return one data set."""
    rng = np.random.default_rng(seed)
    z1, z2 = rng.standard_normal((2, n))
    bend = z1**2 - 1 if curved else 0 * z1
    t = (rng.random(n) < expit(0.7 * z1 - 0.5 * z2 - 0.3 + 0.5 * bend)) * 1.0
    return pd.DataFrame({"z1": z1, "z2": z2, "t": t, "y": t * (1 + z1) + 2 * z1 + z2 + 1.5 * bend + rng.standard_normal(n)})


def row(name: str, curved: bool, times: int, n: int) -> dict[str, object]:
    """Return how one method did."""
    adjust = AdjustmentSet(Query("t", "y"), ("z1", "z2"), "given")
    start, z = time.process_time(), []
    for seed in range(times):
        estimate = estimate_effect(world(curved, n, seed), adjust, METHODS[name], seed=seed)
        z.append((estimate.value - 1) / estimate.se)
    taken = (time.process_time() - start) / times
    return {"method": name, "curved": curved, "covered": np.mean(np.abs(z) < 1.96), "bias": np.mean(z), "spread": np.std(z), "cpu_s": taken}


def main() -> None:
    """Estimate, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    rows = []
    for curved in (False, True):
        for name in METHODS:
            rows.append(row(name, curved, chosen.times, chosen.rows))
            print({k: v if isinstance(v, (str, bool)) else round(float(v), 3) for k, v in rows[-1].items()}, flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps(rows, indent=1, default=float), encoding="utf-8")


if __name__ == "__main__":
    main()
