"""Confounded exposure with known truth: python benchmarks/confounded.py --seed N --json OUT

Fresh shops in which popular items and active users are shown more, and bought more anyway. For every shop, on all pairs:

bias_cut   1 − |lift of the model − true lift| / |naive lift − true lift|; goal: at least 0.8
loss       cross-entropy of the predicted chance of a purchase under do(exposure) against the true chance, all pairs
to_oracle  the loss over that of the same fit with the true propensities; goal: at most 1.05
harm       loss minus that of the fit that believes the log, in paired standard errors over users; goal: at most 1

The naive lift is purchases of exposed pairs minus those of unexposed ones. The naive fit is the same network on the same
columns by the loss "naive": what is left of the bias is what traits did not explain.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
from outcome import LEVELS, pairs_of

from causalsem.behaviour import BehaviourTable, moments
from causalsem.identify import AdjustmentSet, Query
from causalsem.networks import Multilevel, TwoTower
from causalsem.outcome import OutcomeModel, fit_outcome
from causalsem.sem import SEMFit, fit_sem
from causalsem.simulate import simulate_shop

QUERY = Query("exposure", "buy")
# Name: (network, loss, with counterfactual rows); the naive fit of the same network is the yardstick of harm.
MODELS = {
    "default": (None, None, False),
    "two towers dr": (TwoTower(), "dr", False),
    "wide towers dr": (TwoTower(wide=True), "dr", False),
    "counterfactual rows": (None, None, True),
    "two towers dr with rows": (TwoTower(), "dr", True),
}
NETWORKS = {name: network or Multilevel() for name, (network, _, _) in MODELS.items()}


def losses(model: OutcomeModel, pairs: BehaviourTable, truth: np.ndarray) -> np.ndarray:
    """Return the cross-entropy of the model's chances against the true ones, averaged within each user: (users,)."""
    p = np.clip(model.predict(pairs, 1), 1e-9, 1 - 1e-9).reshape(truth.shape)
    return -(truth * np.log(p) + (1 - truth) * np.log1p(-p)).mean(axis=1)


def equations(pairs: BehaviourTable, adjustment: tuple[str, ...]) -> SEMFit:
    """Return the linear equations of exposure and purchase, from the pairs."""
    causes = " + ".join(adjustment)
    return fit_sem(f"buy ~ exposure + {causes}\nexposure ~ {causes}", moments(pairs, ["buy", "exposure", *adjustment]), cluster=())


def one_shop(seed: int, users: int, items: int, confounding: float, names: list[str]) -> list[dict[str, object]]:
    """Return a row of numbers for every model on the shop of one seed."""
    world = simulate_shop(users=users, items=items, seed=seed, confounding=confounding)
    truth, plain = world.truth, pairs_of(world)
    frame = plain.frame.assign(user=plain.keys["user"], item=plain.keys["item"], oracle=truth.propensity.ravel())
    pairs = BehaviourTable.from_frame(frame, user="user", item="item", levels=LEVELS)
    adjust = AdjustmentSet(QUERY, truth.adjustment, "parents")
    t, y = pairs.column("exposure"), pairs.column("buy")
    true, naive = truth.lift("buy"), y[t == 1].mean() - y[t == 0].mean()
    rows: list[dict[str, object]] = []
    for name in names:
        network, loss, rows_too = MODELS[name]
        fit = equations(pairs, truth.adjustment) if rows_too else None
        start = time.process_time()
        model = fit_outcome(pairs, adjust, network, loss=loss, counterfactuals=fit, seed=seed)
        seconds = time.process_time() - start
        believed = fit_outcome(pairs, adjust, NETWORKS[name], loss="naive", seed=seed)
        oracle = fit_outcome(pairs, adjust, network, loss=loss, propensity="oracle", seed=seed)
        own, naive_loss, best = (losses(m, pairs, truth.shown["buy"]) for m in (model, believed, oracle))
        gap = own - naive_loss
        se = gap.std(ddof=1) / np.sqrt(len(gap))
        rows.append(
            {
                "seed": seed,
                "model": name,
                "true": true,
                "naive": naive,
                "debiased": model.lift,
                "bias_cut": 1 - abs(model.lift - true) / abs(naive - true),
                "loss": own.mean(),
                "naive_loss": naive_loss.mean(),
                "to_oracle": own.mean() / best.mean(),
                "harm": gap.mean() / se if se > 0 else 0.0,
                "strength": model.strength,
                "rows": model.counterfactual_weight,
                "depth": model.depth,
                "seconds": seconds,
            }
        )
    return rows


def summary(rows: pd.DataFrame) -> dict[str, float]:
    """Return how often the goals are met and the worst of each."""
    return {
        "shops": len(rows),
        "bias_cut": float(rows["bias_cut"].mean()),
        "bias_cut_reached": int((rows["bias_cut"] >= 0.8).sum()),
        "to_oracle_worst": float(rows["to_oracle"].max()),
        "harm_worst": float(rows["harm"].max()),
        "no_harm": int((rows["harm"] <= 1).sum()),
    }


def main() -> None:
    """Print and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--shops", type=int, default=5)
    parser.add_argument("--users", type=int, default=1500)
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--confounding", type=float, default=1.0)
    parser.add_argument("--models", default="default", help=f"names among {', '.join(MODELS)}, separated by commas")
    parser.add_argument("--json", type=Path)
    told = parser.parse_args()
    names = told.models.split(",")
    if odd := set(names) - set(MODELS):
        parser.error(f"unknown models {', '.join(sorted(odd))}; they are {', '.join(MODELS)}")
    if told.json and not told.json.parent.is_dir():
        parser.error(f"cannot write {told.json}: folder {told.json.parent} does not exist; make it first")
    shops = (one_shop(told.seed + k, told.users, told.items, told.confounding, names) for k in range(told.shops))
    rows = pd.DataFrame([row for shop in shops for row in shop])
    print(rows.to_string(index=False, float_format="{:.5f}".format))
    found = {str(name): summary(part) for name, part in rows.groupby("model")}
    print(pd.DataFrame(found).T.to_string())
    if told.json:
        told.json.write_text(json.dumps({"summary": found, "shops": rows.to_dict("records")}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
