"""The one training loop: members side by side, batches made by indexing on the device, resumable after every epoch."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch

from causalsem._progress import progress
from causalsem.errors import TrainingError
from causalsem.networks.heads import Heads
from causalsem.networks.net import Inputs, Net
from causalsem.outcome.adversarial import add_adversarial_gradients
from causalsem.outcome.checkpoint import Checkpoint
from causalsem.outcome.distributed import Team

# (heads of a batch, its rows (M, B)) → the objective of each member (M,).
Objective = Callable[[Heads, torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What a network reads, on the device: `user`, `item` (n,), `pair` (n, p), trait tables, and who learns from what.

    `train` (M, n_train) are the rows member m learns from, `held` (M, n_held) the rows of the fold it never sees.
    """

    user: torch.Tensor
    item: torch.Tensor
    pair: torch.Tensor | None
    user_traits: torch.Tensor
    item_traits: torch.Tensor
    train: torch.Tensor
    held: torch.Tensor

    def inputs(self, rows: torch.Tensor, part: tuple[int, int] | None = None) -> Inputs:
        """Return the inputs of `rows` (M, B), or of a part of them."""
        start, stop = part or (0, rows.shape[1])
        own = rows[:, start:stop]
        pair = None if self.pair is None else self.pair[own]
        return Inputs(self.user[own], self.item[own], pair, self.user_traits, self.item_traits, (start, stop, rows.shape[1]))


@dataclass(frozen=True)
class Plan:
    """How long and how fast: `patience` epochs without a better held-out objective end the training.

    `information` says how many pairs stand behind each head (see `Net.penalty`).
    """

    epochs: int
    batch_size: int
    learning_rate: float
    patience: int
    bfloat16: bool = False
    information: tuple[float, ...] = ()


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
    optimiser = torch.optim.Adam(net.parameters(), lr=plan.learning_rate, fused=True)
    team = Team.now()
    state, best = Progress(), copy.deepcopy(net.state_dict())
    information = torch.tensor(plan.information, device=data.train.device)
    checkpoint.restore(net, optimiser, rng, best, state)
    for epoch in progress(range(state.epoch, plan.epochs), checkpoint.stage):
        if state.stale > plan.patience:
            break
        total = torch.zeros((), device=data.train.device)
        batches = shuffled(data.train, plan.batch_size, rng)
        net.train()
        for step, rows in enumerate(batches):  # (M, B)
            set_rate(optimiser, plan, (epoch + step / len(batches)) / plan.epochs)
            optimiser.zero_grad(set_to_none=True)
            loss = measured(net, data, objective, plan, rows, rng, team)
            torch.autograd.backward([loss + net.penalty(information) / team.size])
            team.sum_gradients(net)
            if net.adversarial:
                again = partial(measured, net, data, objective, plan, rows, rng, team)
                add_adversarial_gradients(net, net.adversarial, again, team)
            optimiser.step()
            total += loss.detach()
        seen, held = float(total) / len(batches) / net.shape.members, held_out(net, data, judge, plan.batch_size)
        check_finite(seen + held, epoch, checkpoint)
        state.history.append((seen, held))
        state.epoch = epoch + 1
        if state.best < 0 or held < state.history[state.best][1]:
            state.best = epoch
            best = copy.deepcopy(net.state_dict())
        if team.rank == 0:
            checkpoint.save(net, optimiser, rng, best, state)
    net.load_state_dict(best)
    return state.history


def measured(
    net: Net, data: TrainingData, objective: Objective, plan: Plan, rows: torch.Tensor, rng: torch.Generator, team: Team
) -> torch.Tensor:
    """Return the objective of a batch (M, B), summed over members; this process runs its part of the rows."""
    n = rows.shape[1]
    with torch.autocast(rows.device.type, torch.bfloat16, enabled=plan.bfloat16):
        heads = net(data.inputs(rows, team.part(n)), rng)
        return objective(team.whole(heads, n), rows).sum()


def set_rate(optimiser: torch.optim.Optimizer, plan: Plan, done: float) -> None:
    """Set the learning rate by the share of the training that is done: a half cosine down to zero (Loshchilov & Hutter 2017)."""
    for group in optimiser.param_groups:
        group["lr"] = plan.learning_rate * (1 + math.cos(math.pi * done)) / 2


def shuffled(rows: torch.Tensor, batch_size: int, rng: torch.Generator) -> list[torch.Tensor]:
    """Return equal batches of each member's rows in an order of its own: (M, n) → list of (M, ≤ batch_size)."""
    order = torch.stack([torch.randperm(rows.shape[1], generator=rng, device=rows.device) for _ in rows])
    return list(torch.chunk(rows.gather(1, order), max(1, -(-rows.shape[1] // batch_size)), dim=1))


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
    kept = f"the last good epoch is kept in {checkpoint.path}" if checkpoint.path else "no checkpoint was asked for"
    raise TrainingError(
        f"the training objective became {value} in epoch {epoch + 1} of the {checkpoint.stage} stage ({kept}); "
        "lower learning_rate or raise the clip of the loss",
        epoch=epoch,
        checkpoint=checkpoint.path,
    )
