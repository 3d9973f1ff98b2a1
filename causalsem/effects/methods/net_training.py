"""CausalNet's one training loop; the networks of all tasks, candidates and members are trained as one batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from causalsem._values import FloatArray, IntArray
from causalsem.effects.methods.distances import discrimination, linear_mmd, wasserstein
from causalsem.effects.methods.net_layers import Candidates, ManyCausalNets, Outputs, Units
from causalsem.effects.nuisance import make_folds
from causalsem.errors import TrainingError

if TYPE_CHECKING:
    from causalsem.effects.methods.causal_net import CausalNet

CHECK_EVERY = 20
WARM_UP = 20
MOST_HELD = 4096
# Networks × rows of one forward pass; more tasks than that are trained one group after another, with the same result.
ROWS_AT_ONCE = 400_000
ROWS_FOR_TRANSPORT = 128
SMALLEST_ERROR = 1e-5  # of the outcome's variance


class Task(NamedTuple):
    """One training set X (n, d), T (0, 1 … the arm of each row) and Y (n,), and the rows to predict at (m, d)."""

    X: FloatArray
    T: FloatArray
    Y: FloatArray
    new: FloatArray


class Answer(NamedTuple):
    """Each arm's probability and mean outcome at a task's new rows, (arms, m) each."""

    propensity: FloatArray
    outcome: FloatArray

    @property
    def effect(self) -> FloatArray:
        """The mean outcome of arm 1 less that of arm 0 (m,)."""
        return self.outcome[1] - self.outcome[0]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Rows per network: x (K, rows, d), arm (K, rows, A), y and weights w (K, rows); w is 0 where a task has fewer rows than others."""

    x: Tensor
    arm: Tensor
    y: Tensor
    w: Tensor

    def columns(self, index: Tensor) -> Batch:
        """Return some rows of every network: index (K, rows)."""
        k = torch.arange(len(index))[:, None]
        return Batch(self.x[k, index], self.arm[k, index], self.y[k, index], self.w[k, index])


@dataclass(frozen=True, slots=True, eq=False)
class Scale:
    """The units a task is trained in: columns standardised, outcomes standardised within arms unless they are classes."""

    middle: FloatArray
    spread: FloatArray
    centre: FloatArray
    width: FloatArray

    @classmethod
    def of(cls, task: Task, arms: int, classes: bool) -> Scale:
        """Return the units of a task."""
        spread = task.X.std(axis=0)
        seen = [task.Y[arm == task.T] for arm in range(arms)]
        centre = np.zeros(arms) if classes else np.array([y.mean() for y in seen])
        width = np.ones(arms) if classes else np.array([max(float(y.std()), 1e-12 * max(1.0, float(np.abs(y).max()))) for y in seen])
        return cls(task.X.mean(axis=0), np.where(spread > 0, spread, np.inf), centre, width)

    def x(self, X: FloatArray) -> FloatArray:
        """Return standardised columns, constant ones zero."""
        return np.asarray((X - self.middle) / self.spread)

    def y(self, task: Task) -> FloatArray:
        """Return the outcomes in units of their arms."""
        arm = task.T.astype(np.int64)
        return np.asarray((task.Y - self.centre[arm]) / self.width[arm])


def train_tasks(tasks: Sequence[Task], settings: CausalNet, *, classes: bool, seed: int) -> list[Answer]:
    """Return what networks trained on each task predict at its new rows; `classes` says that outcomes are 0 or 1."""
    M = len(_candidates(settings, classes)) * settings.members
    rows = min(settings.batch, max(len(task.Y) for task in tasks))
    at_once = max(1, ROWS_AT_ONCE // (M * rows))
    groups = [tasks[start : start + at_once] for start in range(0, len(tasks), at_once)]
    return [answer for group in groups for answer in _train_group(group, settings, classes, seed)]


def _candidates(settings: CausalNet, classes: bool) -> list[tuple[float, float, float]]:
    """Return prior, exponential or not, and shared heads or not, of every candidate; a probability has its own link."""
    links = [0.0] if classes else [float(link == "exponential") for link in settings.links]
    apart = [(prior, link, 0.0) for prior in settings.priors for link in links]
    return apart + [(max(settings.priors), link, 1.0) for link in links] * settings.shared


def _train_group(tasks: Sequence[Task], settings: CausalNet, classes: bool, seed: int) -> list[Answer]:
    candidates = torch.tensor(_candidates(settings, classes))
    V, C = settings.members, len(candidates)
    arms = max(int(task.T.max()) for task in tasks) + 1
    generator = torch.Generator().manual_seed(seed)
    scales = [Scale.of(task, arms, classes) for task in tasks]
    many = Candidates(*candidates.repeat(len(tasks) * V, 1).T)  # networks in the order task, member, candidate
    net = ManyCausalNets(len(tasks), tasks[0].X.shape[1], many, _units(scales, V * C), settings, generator)
    folds = [make_folds(len(task.Y), V, seed, strata=task.T.astype(np.int64)) for task in tasks]
    learn = _stacked(tasks, scales, [[np.flatnonzero(fold != v) for v in range(V)] for fold in folds], C)
    rest = [[np.flatnonzero(fold == v)[:MOST_HELD] for v in range(V)] for fold in folds]
    held_loss = _train(net, learn, _stacked(tasks, scales, rest, C), settings, classes, generator)
    # Members average; candidates weigh, arm by arm, by how likely they make what their members had not seen.
    share = torch.softmax(-held_loss.reshape(len(tasks), V, C, -1).sum(1), dim=1)  # (tasks, C, 1 + A)
    weights = share[:, None].expand(-1, V, -1, -1).reshape(len(tasks), V * C, -1) / V
    return _predict(net, tasks, scales, weights, classes)


def _units(scales: list[Scale], times: int) -> Units:
    """Return the first arm's outcome in units of every arm, for `times` networks of each task."""
    shift = np.stack([(scale.centre[0] - scale.centre) / scale.width for scale in scales])
    ratio = np.stack([scale.width[0] / scale.width for scale in scales])
    return Units(*(torch.tensor(a, dtype=torch.float32).repeat_interleave(times, 0) for a in (shift, ratio)))


def _stacked(tasks: Sequence[Task], scales: Sequence[Scale], parts: list[list[IntArray]], times: int) -> Batch:
    """Return the rows of every network: those of each task's members, `times` each, filled up with rows of no weight."""
    longest = max(len(rows) for members in parts for rows in members)
    x, arm, y, w = [], [], [], []
    for task, scale, members in zip(tasks, scales, parts, strict=True):
        X, Y = scale.x(task.X), scale.y(task)
        index = np.stack([np.resize(rows, longest) for rows in members])
        x.append(X[index])
        arm.append(np.arange(len(scale.centre)) == task.T[index][..., None])
        y.append(Y[index])
        w.append(np.stack([np.arange(longest) < len(rows) for rows in members]))
    arrays = (torch.tensor(np.concatenate(a), dtype=torch.float32).repeat_interleave(times, 0) for a in (x, arm, y, w))
    return Batch(*arrays)


def _train(net: ManyCausalNets, learn: Batch, held: Batch, settings: CausalNet, classes: bool, generator: torch.Generator) -> Tensor:
    """Leave each network at the step that did best on its held-out rows; return its outcomes' loss there, in all and by arm (K, 1 + A)."""
    optimiser = torch.optim.Adam(net.parameters(), lr=settings.learning_rate, betas=(0.9, 0.99), fused=True)
    best = {name: value.clone() for name, value in net.state_dict().items()}
    count = learn.w.sum(1)
    lowest, outcome = torch.full_like(count, math.inf), torch.full((len(count), net.arms), math.inf)
    whole = learn.w.shape[1] <= settings.batch
    for step in range(1, settings.steps + 1):
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * min(1, step / WARM_UP) * (1 + math.cos(math.pi * (step - 1) / settings.steps)) / 2
        # The same shares of their rows for all networks: what one sees does not depend on how many others there are.
        drawn = None if whole else torch.rand(settings.batch, generator=generator)
        batch = learn if drawn is None else learn.columns((drawn * count[:, None]).long())
        loss = _objective(net, batch, settings, classes) + net.penalty() / count
        optimiser.zero_grad()
        loss.sum().backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimiser.step()
        if step % CHECK_EVERY == 0 or step == settings.steps:
            with torch.no_grad():
                out = net(held.x)
                fit = _losses_by_arm(out.means, held, classes)
                now = fit.sum(1) + settings.propensity * _treatment_loss(out, held)
            if not torch.isfinite(now).any():
                raise TrainingError(f"CausalNet's loss is not finite at step {step}; lower learning_rate", epoch=step)
            better = now < lowest
            lowest, outcome = torch.where(better, now, lowest), torch.where(better[:, None], fit, outcome)
            for name, value in net.state_dict().items():
                best[name][better] = value[better]
    net.load_state_dict(best)
    return torch.cat([outcome.sum(1, keepdim=True), outcome], dim=1) * held.w.sum(1, keepdim=True)


def _objective(net: ManyCausalNets, batch: Batch, settings: CausalNet, classes: bool) -> Tensor:
    """Return each network's mean loss (K,): outcome + treatment, then targeted regularisation and balance."""
    out: Outputs = net(batch.x)
    loss = _outcome_loss(out.means, batch, classes)
    if settings.propensity:
        loss = loss + settings.propensity * _treatment_loss(out, batch)
    if settings.targeted:
        e = out.log_chances().exp().clamp(0.01, 0.99)
        # Arm 1 moves up and arm 0 down, as their contrast asks; other arms stay.
        signs = torch.tensor([-1.0, 1.0, *[0.0] * (net.arms - 2)])
        loss = loss + settings.targeted * _outcome_loss(out.means + net.epsilon[..., None] * signs / e, batch, classes)
    if settings.balance:
        loss = loss + settings.balance * _imbalance(out.phi, batch, settings)
    return loss


def _imbalance(phi: Tensor, batch: Batch, settings: CausalNet) -> Tensor:
    """Return the mean distance (K,) of the first arm's representation from each other arm's."""
    some = slice(ROWS_FOR_TRANSPORT) if settings.distance == "wasserstein" else slice(None)
    distance = {"mmd": linear_mmd, "wasserstein": wasserstein, "critic": discrimination}[settings.distance]
    zero, *others = (batch.w[:, some] * batch.arm[:, some, a] for a in range(batch.arm.shape[2]))
    return torch.stack([distance(phi[:, some], one, zero) for one in others]).mean(0)


def _outcome_loss(means: Tensor, batch: Batch, classes: bool) -> Tensor:
    """Return the mean negative log-likelihood (K,) of the outcomes; of normal ones each arm's variance is its best."""
    return _losses_by_arm(means, batch, classes).sum(1)


def _losses_by_arm(means: Tensor, batch: Batch, classes: bool) -> Tensor:
    """Return what each arm's rows add (K, A) to the mean negative log-likelihood of the outcomes."""
    seen = (means * batch.arm).sum(2)
    w = batch.w[..., None] * batch.arm  # (K, rows, A)
    if classes:
        surprise = binary_cross_entropy_with_logits(seen, batch.y, reduction="none")
        return (surprise[..., None] * w).sum(1) / batch.w.sum(1, keepdim=True)
    rows = w.sum(1)
    error = ((batch.y - seen).square()[..., None] * w).sum(1) / rows.clamp(min=1)
    return rows * torch.log(error + SMALLEST_ERROR) / (2 * batch.w.sum(1, keepdim=True))


def _treatment_loss(out: Outputs, batch: Batch) -> Tensor:
    return -((out.log_chances() * batch.arm).sum(2) * batch.w).sum(1) / batch.w.sum(1)


def _predict(net: ManyCausalNets, tasks: Sequence[Task], scales: Sequence[Scale], weights: Tensor, classes: bool) -> list[Answer]:
    """Return the weighted means over each task's networks at its new rows; weights (tasks, M, 1 + A) of chances and each arm's outcome."""
    M, longest = weights.shape[1], max(len(task.new) for task in tasks)
    rows = [np.resize(scale.x(task.new), (longest, task.X.shape[1])) for task, scale in zip(tasks, scales, strict=True)]
    x = torch.tensor(np.stack(rows), dtype=torch.float32)
    by_kind = torch.stack([weights[..., :1].expand(-1, -1, net.arms), weights[..., 1:]]).double()  # (2, tasks, M, A)
    found = []
    with torch.no_grad():
        for part in torch.split(x, max(1, ROWS_AT_ONCE // (len(tasks) * M)), dim=1):
            out = net(part.repeat_interleave(M, 0))
            means = torch.sigmoid(out.means) if classes else out.means
            parts = torch.stack([out.log_chances().exp(), means]).reshape(2, len(tasks), M, -1, net.arms)
            found.append((parts.double() * by_kind[..., None, :]).sum(2))
    e, y = torch.cat(found, dim=2).numpy()  # (tasks, longest, A) each
    return [
        Answer(e[k, : len(task.new)].T, (scale.centre + scale.width * y[k, : len(task.new)]).T)
        for k, (task, scale) in enumerate(zip(tasks, scales, strict=True))
    ]
