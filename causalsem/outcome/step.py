"""One step of training: the objective of a batch, its gradients, and the update; recorded as a graph where CUDA is."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from causalsem.errors import SettingError
from causalsem.networks.net import Inputs, Net, rows_of
from causalsem.outcome.adversarial import add_adversarial_gradients
from causalsem.outcome.distributed import Team
from causalsem.outcome.optimiser import Looked, Optimiser
from causalsem.outcome.plan import Objective, Plan, TrainingData

# Steps that run as they are written before one is recorded: CUDA's libraries set themselves up in them.
WARM_UP = 3
# "auto" trains tables row by row where they have so many times the rows of a batch.
ROWWISE_FROM = 4


class Step:
    """One step of training on a batch of rows (M, B); it returns the objective, summed over members."""

    def __init__(self, net: Net, data: TrainingData, objective: Objective, plan: Plan, rng: torch.Generator, team: Team) -> None:
        self.net, self.data, self.objective, self.plan, self.rng, self.team = net, data, objective, plan, rng, team
        device = data.train.device
        self.information = torch.tensor(plan.information, device=device)
        self.rowwise = trains_rowwise(net, plan)
        rate = torch.tensor(plan.learning_rate, device=device) if plan.loop.graph and device.type == "cuda" else plan.learning_rate
        size = data.train.shape[1] / plan.batches(data.train.shape[1])
        expected = tuple(size * share for share in net.shares(*data.shares())) if self.rowwise else ()
        self.optimiser = Optimiser(net, rate, rowwise=self.rowwise, expected=expected)
        self.told: Callable[..., torch.Tensor] = torch.compile(self._told) if plan.loop.compile else self._told

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        self.optimiser.adam.zero_grad(set_to_none=True)
        looked: list[Looked] = []
        loss = self._measured(rows, looked)
        prior = self.net.shared_penalty if self.rowwise else self.net.penalty
        torch.autograd.backward([loss + prior(self.information) / self.team.size])
        self.team.sum_gradients(self.net)
        if self.net.adversarial:
            add_adversarial_gradients(self.net, self.net.adversarial, partial(self._measured, rows, []), self.team)
        precisions = self.net.precisions(self.information) if self.rowwise else ()
        self.optimiser.step([self.team.whole_rows(seen, rows.shape[1]) for seen in looked], precisions)
        return loss.detach()

    def _measured(self, rows: torch.Tensor, looked: list[Looked]) -> torch.Tensor:
        """Return the objective of a batch; this process runs its part of the rows, and notes in `looked` what it looked up row-wise."""
        n = rows.shape[1]
        inputs = self.data.inputs(rows, self.team.part(n))
        with torch.autocast(rows.device.type, torch.bfloat16, enabled=self.plan.bfloat16):
            indices = self.net.lookups(inputs, self.rng)
            found = [rows_of(table.detach() if self.rowwise else table, k) for table, k in zip(self.net.tables, indices, strict=True)]
            if self.rowwise:
                looked += [Looked(k, own.requires_grad_()) for k, own in zip(indices, found, strict=True)]
            return self.told(inputs, tuple(found), self.net.noise(inputs, self.rng), rows)

    def _told(self, inputs: Inputs, found: tuple[torch.Tensor, ...], noise: tuple[torch.Tensor, ...], rows: torch.Tensor) -> torch.Tensor:
        """Return the objective of what was found in the tables: heads and loss, which torch.compile makes one."""
        heads = self.net.answer(inputs, found, noise)
        return self.objective(self.team.whole(heads, rows.shape[1]), rows).sum()


class Recorded:
    """A step that always reads its rows from the same memory, and on CUDA is recorded once and then replayed.

    Batches of another size (the last of an epoch) run as they are written, and so does everything without CUDA.
    """

    def __init__(self, step: Step, rows: torch.Tensor) -> None:
        self.step, self.rows = step, torch.empty_like(rows)
        self.graph: torch.cuda.CUDAGraph | None = None
        self.loss, self.done = torch.zeros((), device=rows.device), 0

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        if rows.shape != self.rows.shape:
            return self.step(rows)
        self.rows.copy_(rows)
        if rows.device.type != "cuda":
            return self.step(self.rows)
        if self.done < WARM_UP:
            return self._warm_up()
        if self.graph is None:
            self._record()
        assert self.graph is not None
        self.graph.replay()
        return self.loss.clone()

    def _warm_up(self) -> torch.Tensor:
        self.done += 1
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # untyped in torch
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            loss = self.step(self.rows)
        torch.cuda.current_stream().wait_stream(side)
        return loss

    def _record(self) -> None:
        self.graph = torch.cuda.CUDAGraph()
        self.graph.register_generator_state(self.step.rng)
        self.step.optimiser.adam.zero_grad(set_to_none=True)
        with torch.cuda.graph(self.graph):
            self.loss = self.step(self.rows)


def trains_rowwise(net: Net, plan: Plan) -> bool:
    """Say whether the tables are trained by the rows of the batch alone; an adversary moves whole tables, so it needs them dense."""
    if plan.loop.tables == "rowwise" and net.adversarial:
        raise SettingError(f"tables='rowwise' cannot train against an adversary ({net.adversarial:g}); use tables='dense'")
    if plan.loop.tables != "auto":
        return plan.loop.tables == "rowwise"
    largest = max(table.shape[1] for table in net.tables)
    return not net.adversarial and largest > ROWWISE_FROM * plan.batch_size
