"""Bias, ranking and speed of the outcome model on simulated shops: python benchmarks/outcome.py --seeds 3 --json OUT

For every fresh seed: the naive purchase lift, the model's, and the truth; how much of the naive bias is gone; how well the
scores rank pairs by their true chance; seconds of fitting. Then rows per CPU second of training on one thread,
against a plain DataLoader loop and torch-rechub's ESMM.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd

from causalsem.behaviour import BehaviourTable
from causalsem.identify import AdjustmentSet, Query
from causalsem.networks import TwoTower
from causalsem.outcome import fit_outcome
from causalsem.outcome.losses import LOSSES
from causalsem.recommend import score
from causalsem.simulate import simulate_shop

LEVELS = {"age": "user", "activity": "user", "popularity": "item", "price": "item", "quality": "item"}


def pairs_of(world) -> BehaviourTable:
    """Return every user × item of a shop with exposure and purchase as 0/1."""
    users, items, log = world.truth.users, world.truth.items, world.log_frame
    frame = users.merge(items, how="cross")
    for behaviour in ("exposure", "buy"):
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


USERS, ITEMS = 10_000, 1_000


def random_pairs(rows: int) -> tuple[np.ndarray, ...]:
    """Return user, item, treatment and outcome of random pairs, each (rows,)."""
    rng = np.random.default_rng(0)
    return rng.integers(USERS, size=rows), rng.integers(ITEMS, size=rows), *(rng.random((2, rows)) < 0.2).astype(np.float32)


def dataloader_speed(rows: int) -> float:
    """Return rows per CPU second of a plain DataLoader loop over a two-armed network of ids."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    table = [torch.nn.Embedding(USERS, 16), torch.nn.Embedding(ITEMS, 16)]
    head = torch.nn.Sequential(torch.nn.Linear(32, 32), torch.nn.ReLU(), torch.nn.Linear(32, 2))
    plain = torch.optim.Adam([p for module in (*table, head) for p in module.parameters()])
    data = TensorDataset(*(torch.from_numpy(array) for array in random_pairs(rows)))
    start = time.process_time()
    for u, i, t, y in DataLoader(data, batch_size=1024, shuffle=True):
        plain.zero_grad()
        logits = head(torch.cat([table[0](u), table[1](i)], dim=1))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits[torch.arange(len(u)), t.long()], y)
        loss.backward()
        plain.step()
    return rows / (time.process_time() - start)


def rechub_speed(rows: int, batch: int) -> float | None:
    """Return rows per CPU second of torch-rechub's ESMM with its own trainer, or None where it is not installed."""
    try:
        from torch_rechub.basic.features import SparseFeature
        from torch_rechub.models.multi_task import ESMM
        from torch_rechub.trainers import MTLTrainer
        from torch_rechub.utils.data import DataGenerator
    except ImportError:
        print("torch-rechub is not installed: pip install 'causalsem[bench]'")
        return None
    user, item, t, y = random_pairs(rows)
    tower = {"dims": [32], "activation": "relu", "dropout": 0.0}
    model = ESMM(
        [SparseFeature("u", vocab_size=USERS, embed_dim=16)], [SparseFeature("i", vocab_size=ITEMS, embed_dim=16)], dict(tower), dict(tower)
    )
    labels = np.column_stack([y, t, t * y])
    loader, _, _ = DataGenerator({"u": user, "i": item}, labels).generate_dataloader(split_ratio=[0.98, 0.01], batch_size=batch)
    trainer = MTLTrainer(model, task_types=["classification"] * 3, n_epoch=1)
    start = time.process_time()
    trainer.train_one_epoch(loader)
    return 0.98 * rows / (time.process_time() - start)


def fit_seconds(rows: int, loss: str, epochs: int) -> float:
    """Return the CPU seconds of a whole fit of two members, each on one half of the pairs."""
    user, item, t, y = random_pairs(rows)
    pairs = BehaviourTable.from_frame(pd.DataFrame({"u": user, "i": item, "t": t, "y": y}), user="u", item="i")
    start = time.process_time()
    adjust, network = AdjustmentSet(Query("t", "y"), (), "optimal"), TwoTower(id_dropout=0.0)
    fit_outcome(pairs, adjust, network, loss=loss, correction=1, epochs=epochs, members=2, patience=epochs)
    return time.process_time() - start


def speed(rows: int) -> dict[str, float | None]:
    """Return rows per CPU second on one thread: a plain DataLoader loop, torch-rechub's ESMM, ours in training and in all.

    Ours has two stages of `epochs` over all rows each; what three epochs cost more than one is training alone (with
    the judgement of the unseen folds after each epoch), the rest is encoding, calibration and targeting.
    """
    import torch

    torch.set_num_threads(1)
    dataloader_speed(2_000)  # what torch loads on first use is nobody's training
    fit_seconds(2_000, "naive", 1)
    found: dict[str, float | None] = {"rows": rows, "dataloader": dataloader_speed(min(rows, 200_000))}
    for batch in (1024, 8192):
        found[f"rechub_esmm_{batch}"] = rechub_speed(min(rows, 200_000), batch)
    for loss in ("naive", "esmm"):
        once, thrice = fit_seconds(rows, loss, 1), fit_seconds(rows, loss, 3)
        found |= {f"ours_{loss}_training": 4 * rows / (thrice - once), f"ours_{loss}_whole_fit_of_3_epochs": 6 * rows / thrice}
    return found


def main() -> None:
    """Print and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--users", type=int, default=1500)
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--losses", default="dr", help="names separated by commas, or 'all'")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the speed test, 0 for none")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    losses = list(LOSSES) if chosen.losses == "all" else chosen.losses.split(",")
    found = {loss: [bias(1000 + k, loss, chosen.users, chosen.items) for k in range(chosen.seeds)] for loss in losses}
    for loss, rows in found.items():
        print(pd.DataFrame(rows).assign(loss=loss).to_string(index=False))
    speeds = speed(chosen.rows) if chosen.rows else {}
    print(speeds)
    if chosen.json:
        chosen.json.write_text(json.dumps({"bias": found, "speed": speeds}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
