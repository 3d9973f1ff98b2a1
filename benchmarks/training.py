"""Speed and memory of the training loop: python benchmarks/training.py --rows 1000000 --json OUT

Rows per CPU second on one thread against a plain DataLoader loop and torch-rechub's ESMM; CPU seconds of one step as the
tables of users grow, trained dense and row by row; the most memory a training takes over its data and parameters; and on
CUDA, where present, samples per second and the share of the copy bandwidth that the bytes moved make up.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from causalsem.behaviour import BehaviourTable
from causalsem.identify import AdjustmentSet, Query
from causalsem.networks import TwoTower
from causalsem.outcome import Loop, fit_outcome

USERS, ITEMS = 10_000, 1_000


def random_pairs(rows: int, users: int = USERS, items: int = ITEMS) -> tuple[np.ndarray, ...]:
    """Return user, item, treatment and outcome of random pairs, each (rows,)."""
    rng = np.random.default_rng(0)
    return rng.integers(users, size=rows), rng.integers(items, size=rows), *(rng.random((2, rows)) < 0.2).astype(np.float32)


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


@dataclass
class Made:
    """A training ready to run: `bytes` of its data and of its parameters."""

    step: Callable
    train: Callable[[], object]
    rows: object
    data_bytes: int
    parameter_bytes: int


def make(users: int, items: int, rows: int, *, loop: Loop, network: TwoTower, batch: int, members: int = 2, device: str = "cpu") -> Made:
    """Return the training of a doubly robust loss on random pairs of `users` × `items`."""
    import torch

    from causalsem.networks.build import build
    from causalsem.networks.net import Shape
    from causalsem.outcome.answer import Scale
    from causalsem.outcome.batches import Batches
    from causalsem.outcome.chain import direct
    from causalsem.outcome.checkpoint import Checkpoint
    from causalsem.outcome.distributed import Team
    from causalsem.outcome.folds import fold_ids, fold_rows
    from causalsem.outcome.journey import Journey
    from causalsem.outcome.losses import DR
    from causalsem.outcome.plan import Plan, TrainingData
    from causalsem.outcome.problem import Problem
    from causalsem.outcome.step import Recorded, Step
    from causalsem.outcome.tensors import whole
    from causalsem.outcome.train import train

    user, item, t, y = random_pairs(rows, users, items)
    problem = Problem(t.astype(np.float64), y.astype(np.float64), np.ones(rows, dtype=bool), Scale(True))
    journey = Journey(direct("y"), (problem,), np.ones((rows, 1)))
    learn, judge = fold_rows(fold_ids(rows, max(members, 2), np.random.default_rng(0)), members, np.ones(rows, dtype=bool))
    place = torch.device(device)
    data = TrainingData(
        whole(user, place), whole(item, place), None, torch.zeros(users, 0, device=place), torch.zeros(items, 0, device=place),
        whole(learn, place), whole(judge, place),
    )  # fmt: skip
    batch_of = Batches.of(journey, np.tile([0.8, 0.2], (rows, 1)), data.user)
    rng = torch.Generator(place).manual_seed(0)
    net = build(Shape(users, items, 0, 0, 0, 2, members), network, torch.Generator().manual_seed(0)).to(place)
    plan = Plan(2, batch, 0.02, 2, device != "cpu", (float(rows),) * 5, loop)

    def objective(heads, rows):
        return DR().objective(heads, batch_of(rows))

    step = Step(net, data, objective, plan, rng, Team())
    example = data.train[:, :batch].contiguous()
    tensors = [data.user, data.item, data.train, data.held, batch_of.treatment, batch_of.y, batch_of.known, batch_of.propensity]
    return Made(
        Recorded(step, example) if loop.graph else step,
        lambda: train(net, data, objective, objective, plan, rng, Checkpoint(None, "", "bench", {})),
        example,
        sum(tensor.numel() * tensor.element_size() for tensor in tensors),
        sum(p.numel() * p.element_size() for p in net.parameters()),
    )


def step_seconds(users: int, tables: str, batch: int = 8192, tries: int = 15) -> float:
    """Return the CPU seconds of one step of two members over `users` × 1,000 items, the least of some tries."""
    made = make(users, ITEMS, 4 * batch, loop=Loop(tables), network=TwoTower(id_dropout=0.0), batch=batch)
    seconds = []
    for _ in range(tries):
        start = time.process_time()
        made.step(made.rows)
        seconds.append(time.process_time() - start)
    return min(seconds)


def growth() -> list[dict[str, float | str]]:
    """Return the seconds of one step by the size of the users' table and the way it is trained."""
    import torch

    torch.set_num_threads(1)
    return [
        {"tables": tables, "users": users, "seconds": step_seconds(users, tables)}
        for tables in ("dense", "rowwise")
        for users in (10_000, 100_000, 1_000_000)
    ]


def peak_memory(users: int, rows: int, dim: int, members: int) -> dict[str, float]:
    """Return the bytes a training needs at most over what the process had, and those of its data and parameters, by a fresh process."""
    command = [sys.executable, __file__, "--peak", f"{users},{rows},{dim},{members}"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def own_peak(users: int, rows: int, dim: int, members: int) -> dict[str, float]:
    """Measure this process (Linux): what data and parameters take, and the most that training takes beyond the bare process."""
    import torch

    torch.set_num_threads(1)
    network = TwoTower(dim=dim, hidden=(), id_dropout=0.0)
    make(1000, 100, 40_000, loop=Loop(), network=network, batch=8192).train()  # what torch loads on first use
    gc.collect()
    before = memory("RssAnon")
    made = make(users, ITEMS, rows, loop=Loop(), network=network, batch=8192, members=members)
    gc.collect()
    ready = memory("RssAnon")
    most, running = 0.0, True

    def watch() -> None:
        nonlocal most
        while running:
            most = max(most, memory("RssAnon"))
            time.sleep(0.005)

    from threading import Thread

    watcher = Thread(target=watch)
    watcher.start()
    made.train()
    running = False
    watcher.join()
    told = {
        "users": users,
        "rows": rows,
        "dim": dim,
        "members": members,
        "data": made.data_bytes,
        "parameters": made.parameter_bytes,
        "ready": ready - before,
        "peak": most - before,
    }
    return told | {"over_data_and_parameters": (most - before) / (made.data_bytes + made.parameter_bytes) - 1}


def memory(what: str) -> float:
    """Return a line of /proc/self/status in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024.0 * next(int(line.split()[1]) for line in lines if line.startswith(what))


def cuda() -> list[dict[str, float | str]]:
    """Return samples per second on CUDA and the share of the copy bandwidth that the bytes moved make up, by the options on."""
    import torch

    if not torch.cuda.is_available():
        print("no CUDA device")
        return []
    bandwidth, dim = copy_bandwidth(), 64
    found = samples_per_second("cuda", 10_000_000, 1_000_000, dim, 262_144)
    return [
        {"device": torch.cuda.get_device_name()}
        | row
        | {"share_of_copy_bandwidth": row["samples_per_second"] * bytes_per_sample(dim) / bandwidth}
        for row in found
    ]


def samples_per_second(device: str, users: int, items: int, dim: int, batch: int, times: int = 50) -> list[dict[str, float]]:
    """Return the speed of steps on tables trained row by row, plain, recorded, compiled, and both."""
    import torch

    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    found, network = [], TwoTower(dim=dim, hidden=(), id_dropout=0.0)
    for graph, compiled in ((False, False), (True, False), (False, True), (True, True)):
        loop = Loop("rowwise", graph, compiled)
        made = make(users, items, 4 * batch, loop=loop, network=network, batch=batch, members=1, device=device)
        for _ in range(8):
            made.step(made.rows)
        wait()
        start = time.perf_counter()
        for _ in range(times):
            made.step(made.rows)
        wait()
        found.append({"graph": graph, "compile": compiled, "samples_per_second": times * batch / (time.perf_counter() - start)})
        del made
        gc.collect()
    return found


def bytes_per_sample(dim: int, outputs: int = 5) -> float:
    """Return the bytes that one sample cannot but move: two rows read, read again and written, their state, ids and labels."""
    row = 4 * (dim + outputs)
    return 2 * (3 * row + 2 * 8) + 2 * 8 + 8 + 4 + 4 + 1 + 2 * 4


def copy_bandwidth(size: int = 2**30) -> float:
    """Return the bytes per second of copying memory on the device, read and written both counted."""
    import torch

    one, other = (torch.empty(size, dtype=torch.uint8, device="cuda") for _ in range(2))
    for _ in range(3):
        other.copy_(one)
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(20):
        other.copy_(one)
    torch.cuda.synchronize()
    return 20 * 2 * size / (time.perf_counter() - start)


def main() -> None:
    """Print and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the speed test, 0 for none")
    parser.add_argument("--skip", default="", help="parts to leave out, of growth, memory, cuda")
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    if chosen.peak:
        print(json.dumps(own_peak(*(int(number) for number in chosen.peak.split(",")))))
        return
    found: dict[str, object] = {"speed": speed(chosen.rows) if chosen.rows else {}}
    print(found["speed"])
    parts = {
        "growth": growth,
        "memory": lambda: [
            peak_memory(*sizes) for sizes in ((1_000_000, 1_000_000, 64, 2), (10_000, 5_000_000, 16, 2), (10_000, 5_000_000, 16, 5))
        ],
        "cuda": cuda,
    }
    for name, measure in parts.items():
        if name not in chosen.skip.split(","):
            found[name] = measure()
            print(name, pd.DataFrame(found[name]).to_string(index=False), sep="\n")
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
