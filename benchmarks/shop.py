"""Is the debiased purchase lift right where the naive one is not? Fresh shops, one a seed, each with a known truth.

    python benchmarks/shop.py --seeds 20 --seed 0 --json out.json

For every shop: the naive lift (purchase rate of exposed minus unexposed pairs) and the AIPW estimate given the
adjustment set that `identify` returns from the true graph, both beside the truth. The target: every naive lift is off
by more than half of the truth, and the 95 % intervals of the debiased one cover the truth as often as they say. Beside
the interval that counts pairs of one user and of one item as dependent, what would cover if only those of a user were.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import pandas as pd

from causalsem.behaviour import behaviours
from causalsem.effects import AIPW, estimate_effect, naive_effect
from causalsem.effects.estimate import standard_error
from causalsem.identify import Query, identify
from causalsem.simulate import simulate_shop

QUERY = Query("exposure", "buy")


def one_shop(seed: int, *, users: int = 1500, items: int = 200, kind: str = "optimal") -> dict[str, float]:
    """Return truth, naive lift, debiased lift and its interval for the shop of one seed."""
    world = simulate_shop(users=users, items=items, seed=seed)
    table = behaviours(world.log, unit=("user", "item"))
    start = time.perf_counter()
    debiased = estimate_effect(table, identify(world.truth.graph, QUERY, kind=kind), AIPW(), seed=seed)
    seconds = time.perf_counter() - start
    true, naive = world.truth.lift("buy"), naive_effect(table, QUERY).value
    low, high = debiased.interval
    return {
        "seed": seed,
        "true": true,
        "naive": naive,
        "naive_off": naive / true - 1,
        "debiased": debiased.value,
        "se": debiased.se,
        "low": low,
        "high": high,
        "covered": low <= true <= high,
        "covered_by_user": abs(debiased.value - true) <= 1.96 * standard_error(debiased.psi, debiased.clusters[0]),
        "seconds": seconds,
    }


def summary(rows: pd.DataFrame) -> dict[str, float]:
    """Return the counts that the target speaks of, and the mean error of the debiased lift in its standard errors."""
    return {
        "shops": len(rows),
        "naive_off_by_half": int((rows["naive_off"].abs() > 0.5).sum()),
        "covered": int(rows["covered"].sum()),
        "covered_by_user": int(rows["covered_by_user"].sum()),
        "sd_of_error": float((rows["debiased"] - rows["true"]).std()),
        "mean_se": float(rows["se"].mean()),
        "mean_error_in_se": float(((rows["debiased"] - rows["true"]) / rows["se"]).mean()),
    }


def main() -> None:
    """Run the shops and print the table and the counts; with --json write both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20, help="how many shops")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--users", type=int, default=1500)
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--kind", default="optimal", help="adjustment set: optimal, minimal or parents")
    parser.add_argument("--json", type=Path, help="write the results here")
    told = parser.parse_args()
    seeds = range(told.seed, told.seed + told.seeds)
    rows = pd.DataFrame([one_shop(seed, users=told.users, items=told.items, kind=told.kind) for seed in seeds])
    counts = summary(rows)
    print(rows.to_string(index=False, float_format="{:.5f}".format))
    print(f"\nnaive off by more than half: {counts['naive_off_by_half']} of {len(rows)}")
    print(f"truth in the debiased 95 % interval: {counts['covered']} of {len(rows)}, by users alone {counts['covered_by_user']}")
    print(f"spread of the error over shops {counts['sd_of_error']:.6f}, mean standard error {counts['mean_se']:.6f}")
    print(f"mean error of the debiased lift: {counts['mean_error_in_se']:+.2f} standard errors")
    if told.json:
        told.json.write_text(json.dumps({"summary": counts, "shops": rows.to_dict(orient="records")}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
