"""The one training loop: members side by side, batches made by indexing on the device, resumable after every epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch

from causalsem._progress import progress
from causalsem.errors import TrainingError
from causalsem.networks.net import Net
from causalsem.outcome.best import best_of, keep
from causalsem.outcome.checkpoint import Checkpoint
from causalsem.outcome.distributed import Team
from causalsem.outcome.order import Order
from causalsem.outcome.plan import Objective, Plan, TrainingData
from causalsem.outcome.step import Recorded, Step


@dataclass
class Progress:
    """Where a training stands: the next epoch, the history of (training objective, held-out judgement) and its best."""

    epoch: int = 0
    history: list[tuple[float, float]] = field(default_factory=list)
    best: int = -1

    @property
    def stale(self) -> int:
        """How many epochs have passed since the best one."""
        return self.epoch - 1 - self.best if self.best >= 0 else 0


def train(
    net: Net, data: TrainingData, objective: Objective, judge: Objective, plan: Plan, rng: torch.Generator, checkpoint: Checkpoint
) -> list[tuple[float, float]]:
    """Train `net` in place and return the (training objective, held-out judgement) of every epoch; the best judged is kept.

    Processes of one group share every batch (see `Team`).
    Raises TrainingError when the objective is not finite; the checkpoint then holds the last good epoch.
    """
    team, state = Team.now(), Progress()
    step, batches = Step(net, data, objective, plan, rng, team), Batching(data.train, plan.batches(data.train.shape[1]), rng)
    with best_of(net) as best:
        checkpoint.restore(net, step.optimiser, rng, best, state)
        run: Step | Recorded | None = None
        for epoch in progress(range(state.epoch, plan.epochs), checkpoint.stage):
            if state.stale > plan.patience:
                break
            total = torch.zeros((), device=data.train.device)
            net.train()
            for k, rows in enumerate(batches):  # (M, B)
                run = run or (Recorded(step, rows) if plan.loop.graph and team.size == 1 else step)
                step.optimiser.set_rate(cosine(plan.learning_rate, (epoch + k / len(batches)) / plan.epochs))
                total += run(rows)
            seen, held = float(total) / len(batches) / net.shape.members, held_out(net, data, judge, plan.batch_size)
            check_finite(seen + held, epoch, checkpoint)
            state.history.append((seen, held))
            state.epoch = epoch + 1
            if state.best < 0 or held < state.history[state.best][1]:
                state.best = epoch
                keep(net.state_dict(), best)
            if team.rank == 0:
                checkpoint.save(net, step.optimiser, rng, best, state)
        net.load_state_dict(best)
    return state.history


def cosine(rate: float, done: float) -> float:
    """Return the learning rate when a share of the training is done: a half cosine down to zero (Loshchilov & Hutter 2017)."""
    return rate * (1 + math.cos(math.pi * done)) / 2


class Batching:
    """At most `count` batches of each member's rows in an order of its own, equal up to the last: (M, n) → batches (M, B).

    Every pass draws a new order.
    """

    def __init__(self, rows: torch.Tensor, count: int, rng: torch.Generator) -> None:
        self.rows, self.rng = rows, rng
        self.size = -(-rows.shape[1] // count)

    def __len__(self) -> int:
        return (self.rows.shape[1] + self.size - 1) // self.size

    def __iter__(self) -> Iterator[torch.Tensor]:
        members, n = self.rows.shape
        order = Order(members, n, self.rng)
        for start in range(0, n, self.size):
            yield self.rows.gather(1, order(start, min(start + self.size, n)))


@torch.no_grad()
def held_out(net: Net, data: TrainingData, judge: Objective, batch_size: int) -> float:
    """Return the judgement on the folds each member never sees, averaged over members."""
    net.eval()
    batches = torch.split(data.held, batch_size, dim=1)
    weighted = [judge(net(data.inputs(rows)), rows).mean() * rows.shape[1] for rows in batches]
    return float(torch.stack(weighted).sum()) / data.held.shape[1]


def check_finite(value: float, epoch: int, checkpoint: Checkpoint) -> None:
    """Raise TrainingError when an objective is NaN or infinite."""
    if value - value == 0:
        return
    kept = "no checkpoint was asked for"
    if checkpoint.path:
        kept = f"the last good epoch is kept in {checkpoint.path}" if checkpoint.path.exists() else "no epoch before it was good"
    raise TrainingError(
        f"the training objective became {value} in epoch {epoch + 1} of the {checkpoint.stage} stage ({kept}); "
        "lower learning_rate or raise the clip of the loss",
        epoch=epoch,
        checkpoint=checkpoint.path,
    )
