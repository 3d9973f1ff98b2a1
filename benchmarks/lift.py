"""Do intervals of the lift hold the truth? python benchmarks/lift.py --seed N --shops 40 --json OUT

Fresh shops with confounded exposure and a truth in closed form. In each, 95 % intervals (value ± 1.96 standard errors) of the lift
of a behaviour: its average over all pairs and over segments (the quarters of items by popularity, of users by activity) by
`OutcomeModel.lift_estimate`, and of single pairs by the members of the ensemble (`Scores.lift_se`).

Segments in which the behaviour happened under 20 times with or without exposure, of which `lift_estimate` warns, are told apart.

covered   share of intervals that hold the truth, over shops, over all segments, over all pairs; goal .95
ratio     root mean squared error over the mean standard error: 1 where the error is told right, more where it is told too small
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
from outcome import LEVELS, pairs_of

from causalsem.behaviour import BehaviourTable
from causalsem.identify import AdjustmentSet, Query
from causalsem.networks import TwoTower
from causalsem.outcome import fit_outcome
from causalsem.outcome.journey import FEWEST_PER_ARM
from causalsem.outcome.lift import lift_estimate
from causalsem.recommend import score
from causalsem.simulate import simulate_shop

MODELS = {"default": (None, None), "two towers dr": (TwoTower(), "dr")}
QUARTERS = (0.25, 0.5, 0.75)


def one_shop(seed: int, users: int, items: int, behaviour: str, name: str) -> list[dict[str, object]]:
    """Return error and standard error of every average, and of the single pairs together."""
    world = simulate_shop(users=users, items=items, seed=seed, confounding=1.0)
    plain, lifts = pairs_of(world, ("exposure", behaviour)), world.truth.lifts(behaviour).ravel()
    frame = plain.frame.assign(user=plain.keys["user"], item=plain.keys["item"])
    pairs = BehaviourTable.from_frame(frame, user="user", item="item", levels=LEVELS)
    adjust = AdjustmentSet(Query("exposure", behaviour), world.truth.adjustment, "parents")
    network, loss = MODELS[name]
    model = fit_outcome(pairs, adjust, network, loss=loss, seed=seed)
    told, rows = {"model": name, "seed": seed}, []
    for what, where in {"all pairs": np.ones(len(pairs), dtype=bool), **segments(pairs)}.items():
        found, true = lift_estimate(model, behaviour, where), lifts[where].mean()
        low, high = found.interval
        few = model.answers[behaviour].events[where].sum(axis=0).min() < FEWEST_PER_ARM
        kind = what if what == "all pairs" else f"segments, {'under' if few else 'at least'} {FEWEST_PER_ARM} events"
        rows.append(
            told | {"what": kind, "segment": what, "error": found.value - true, "se": found.se, "covered": float(low <= true <= high)}
        )
    own = score(model).frame.set_index(["user", "item"]).loc[pd.MultiIndex.from_frame(pairs.keys[["user", "item"]])]
    error, se = own["lift"].to_numpy() - lifts, own["lift_se"].to_numpy()
    covered = float((np.abs(error) <= 1.96 * se).mean())
    return [*rows, told | {"what": "single pairs", "error": float(np.sqrt((error**2).mean())), "se": float(se.mean()), "covered": covered}]


def segments(pairs: BehaviourTable) -> dict[str, np.ndarray]:
    """Return the quarters of pairs by popularity of the item and by activity of the user."""
    found = {}
    for name in ("popularity", "activity"):
        place = np.searchsorted(np.quantile(pairs.column(name), QUARTERS), pairs.column(name), side="right")
        found |= {f"{name}, quarter {k + 1}": place == k for k in range(4)}
    return found


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the coverage of every average over shops, with its own standard error."""
    found = []
    for (name, what), part in rows.groupby(["model", "what"], sort=False):
        covered = part["covered"].mean()
        by_chance = np.sqrt(0.95 * 0.05 / len(part)) if what != "single pairs" else part["covered"].std(ddof=1) / np.sqrt(len(part))
        ratio = np.sqrt((part["error"] ** 2).mean()) / part["se"].mean()
        found.append(
            {
                "model": name,
                "what": what,
                "covered": covered,
                "±": by_chance,
                "ratio": ratio,
                "bias/se": (part["error"] / part["se"]).mean(),
            }
        )
    return pd.DataFrame(found)


def main() -> None:
    """Print and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--shops", type=int, default=40)
    parser.add_argument("--users", type=int, default=300)
    parser.add_argument("--items", type=int, default=80)
    parser.add_argument("--behaviour", default="buy")
    parser.add_argument("--models", default="default", help=f"names among {', '.join(MODELS)}, separated by commas")
    parser.add_argument("--json", type=Path)
    told = parser.parse_args()
    seeds, names = range(told.seed, told.seed + told.shops), told.models.split(",")
    rows = pd.DataFrame([row for s in seeds for name in names for row in one_shop(s, told.users, told.items, told.behaviour, name)])
    print(summary(rows).to_string(index=False, float_format="{:.3f}".format))
    if told.json:
        told.json.write_text(
            json.dumps({"summary": summary(rows).to_dict("records"), "rows": rows.to_dict("records")}, indent=1), encoding="utf-8"
        )


if __name__ == "__main__":
    main()
