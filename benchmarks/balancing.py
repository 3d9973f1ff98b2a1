"""Does a balanced representation help? python benchmarks/balancing.py --seed N --worlds 8 --json OUT

Worlds with known truth, fresh by seed. "pushed": eight traits a side push exposure so hard that treated and untreated pairs
hardly overlap, and do nothing else; two cause the outcome (a number). "shop": `simulate_shop`, where what is shown more is bought
more anyway, so that hiding who was treated hides what is bought. Two towers, loss DR. For each weight of the critic:

auc     a fresh critic's, of who was treated, by what the outcome heads read of unseen pairs (.5: it cannot tell)
rmse    of E[Y | do(shown)] of every pair against the truth, over that without balancing; and of its lift
lift    how far the average lift (`OutcomeModel.lift`) is off
chosen  in how many worlds unseen folds kept a weight above 0, what the best gained there, and the rmse of the fits they chose
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
from outcome import LEVELS, pairs_of
from scipy.special import expit

from causalsem.behaviour import BehaviourTable
from causalsem.identify import AdjustmentSet, Query
from causalsem.networks import TwoTower
from causalsem.outcome import OutcomeModel, fit_outcome
from causalsem.outcome.balancing import WEIGHTS
from causalsem.simulate import simulate_shop

PUSHERS, PUSH, CAUSES = 8, 3.0, 2
World = tuple[BehaviourTable, AdjustmentSet, np.ndarray, np.ndarray]


def pushed(seed: int, users: int = 100, items: int = 40) -> World:
    """Return pairs whose exposure is pushed by traits that do not cause the outcome, and both expected outcomes (n,)."""
    rng = np.random.default_rng(seed)
    traits = rng.standard_normal((users, PUSHERS + CAUSES)), rng.standard_normal((items, PUSHERS + CAUSES))
    user, item = np.repeat(np.arange(users), items), np.tile(np.arange(items), users)
    U, V = traits[0][user], traits[1][item]
    pushed_by = (U + V)[:, :PUSHERS].sum(axis=1) / np.sqrt(2 * PUSHERS)
    cause = (U + V)[:, PUSHERS:].sum(axis=1) / np.sqrt(2 * CAUSES)
    shown = (rng.random(len(user)) < expit(PUSH * pushed_by - 2)) * 1.0
    zero = cause + 0.5 * U[:, PUSHERS] * V[:, PUSHERS]
    one = zero + 1 + 0.5 * cause
    buy = np.where(shown == 1, one, zero) + rng.standard_normal(len(user))
    names = [f"{side}{k}" for side in "ui" for k in range(PUSHERS + CAUSES)]
    columns = dict(zip(names, np.hstack([U, V]).T, strict=True))
    frame = pd.DataFrame({"user": user, "item": item, "exposure": shown, "buy": buy} | columns)
    levels = {name: "user" if name[0] == "u" else "item" for name in names}
    return (
        BehaviourTable.from_frame(frame, user="user", item="item", levels=levels),
        AdjustmentSet(Query("exposure", "buy"), tuple(names), "given"),
        zero,
        one,
    )


def shop(seed: int, users: int = 200, items: int = 50) -> World:
    """Return the pairs of a simulated shop and both chances of a purchase (n,)."""
    world = simulate_shop(users=users, items=items, seed=seed, confounding=1.0)
    pairs, truth = pairs_of(world), world.truth
    frame = pairs.frame.assign(user=pairs.keys["user"], item=pairs.keys["item"])
    table = BehaviourTable.from_frame(frame, user="user", item="item", levels=LEVELS)
    adjust = AdjustmentSet(Query("exposure", "buy"), truth.adjustment, "parents")
    return table, adjust, truth.unshown["buy"].ravel(), truth.shown["buy"].ravel()


KINDS = {"pushed": pushed, "shop": shop}


def errors(model: OutcomeModel, world: World) -> dict[str, float]:
    """Return the errors of one fit against the truth."""
    pairs, _, zero, one = world
    shown, lift = model.predict(pairs, 1) - one, model.predict(pairs, 1) - model.predict(pairs, 0) - (one - zero)
    return {
        "rmse": float(np.sqrt((shown**2).mean())),
        "lift_rmse": float(np.sqrt((lift**2).mean())),
        "lift": abs(model.lift - (one - zero).mean()),
    }


def one_world(name: str, seed: int, weights: list[float]) -> list[dict[str, object]]:
    """Return a row for each weight, and one for the weight that unseen folds choose."""
    world, rows = KINDS[name](seed), []
    start = time.process_time()
    free = fit_outcome(*world[:2], TwoTower(balance="auto"), loss="dr", seed=seed)
    seconds = time.process_time() - start
    gain, se = free.gains["balance"]
    about: dict[str, object] = {"world": name, "seed": seed}
    rows.append(about | {"weight": "auto", "kept": free.balance_weight, "gain": gain, "se": se, "seconds": seconds} | errors(free, world))
    for weight in (0.0, *weights):
        kept = weight == free.balance_weight
        model = free if kept else fit_outcome(*world[:2], TwoTower(balance=weight), loss="dr", seed=seed)
        rows.append(about | {"weight": f"{weight:g}", "auc": free.told_apart[weight]} | errors(model, world))
    print(pd.DataFrame(rows).to_string(index=False, header=False, float_format="{:.5f}".format), flush=True)
    return rows


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Return means over worlds, errors as ratios to those without balancing, with the standard error of the mean ratio."""
    found = []
    for (name, weight), part in rows.groupby(["world", "weight"], sort=False):
        plain = rows[(rows["world"] == name) & (rows["weight"] == "0")]
        row: dict[str, object] = {"world": name, "weight": weight, "auc": part["auc"].mean(), "kept": int((part["kept"] > 0).sum())}
        for error in ("rmse", "lift_rmse"):
            ratio = part[error].to_numpy() / plain[error].to_numpy()
            row |= {error: ratio.mean(), f"{error} ±": ratio.std(ddof=1) / np.sqrt(len(ratio)), f"{error} lower": int((ratio < 1).sum())}
        found.append(row | {"lift off": part["lift"].mean()})
    return pd.DataFrame(found)


def main() -> None:
    """Print and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--worlds", type=int, default=8)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--weights", default=",".join(f"{w:g}" for w in WEIGHTS), help="fixed weights, all among those that 'auto' tries")
    parser.add_argument("--json", type=Path)
    told = parser.parse_args()
    weights, seeds = [float(w) for w in told.weights.split(",")], range(told.seed, told.seed + told.worlds)
    rows = pd.DataFrame([row for kind in told.kinds.split(",") for seed in seeds for row in one_world(kind, seed, weights)])
    print(summary(rows).to_string(index=False, float_format="{:.3f}".format))
    if told.json:
        told.json.write_text(json.dumps({"worlds": rows.to_dict("records")}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
