"""A DAG as a torch module with a learnable adjacency, and the optimiser that DAGMA and NOTEARS share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from causalsem._progress import progress
from causalsem._values import BoolArray, FloatArray
from causalsem.discovery.budget import out_of_time
from causalsem.discovery.found import Found, Rules
from causalsem.discovery.order import precedence
from causalsem.discovery.orient import class_of
from causalsem.graph.causal_graph import ARROW, TAIL
from causalsem.graph.pdag import to_masks

# The optimiser looks this many values back for a decrease (Wright, Nowak & Figueiredo 2009).
MEMORY = 5
LEAST_STEP = 1e-12


class LearnableDAG(nn.Module):
    """Every variable as a function of the others: linear (hidden 0), or a network of one hidden layer of sigmoids.

    `first[j, h, i]` leads from variable i into unit h of variable j's function, and i → j is as strong as the length of
    first[j, :, i] (Zheng et al. 2020). Entries that knowledge forbids stay zero.
    """

    def __init__(self, rules: Rules, hidden: int, device: torch.device, seed: int) -> None:
        super().__init__()
        p = len(rules.forbidden)
        allowed = ~rules.forbidden & ~precedence(rules).T & ~np.eye(p, dtype=bool)
        self.hidden = hidden
        # (p, 1, p): whether i may lead into j, and whether that is penalised.
        self.allowed = torch.as_tensor(allowed.T[:, None, :], dtype=torch.float64, device=device)
        self.penalised = torch.as_tensor(~rules.required.T, dtype=torch.float64, device=device)
        # A random start: from zero, the two directions of an edge would stay alike for ever. It lies inside DAGMA's barrier.
        self.draw = draw = torch.Generator().manual_seed(seed)
        units = max(hidden, 1)
        start = 0.5 / np.sqrt(units * p) * torch.randn((p, units, p), generator=draw, dtype=torch.float64)
        self.first = nn.Parameter(start.to(device) * self.allowed)
        if hidden:
            self.second = nn.Parameter(torch.randn((p, hidden), generator=draw, dtype=torch.float64).to(device))
            self.bias = nn.Parameter(2 * torch.randn((p, hidden), generator=draw, dtype=torch.float64).to(device))

    def nudge(self) -> None:
        """Change the lengths by a few percent at random, so that no saddle between two directions of an edge holds."""
        p = len(self.first)
        factor = 1 - 0.2 * torch.rand((p, 1, p), generator=self.draw, dtype=torch.float64)
        self.first.data = self.first.data * factor.to(self.first.device)

    def strength(self) -> Tensor:
        """Return the squared adjacency (p, p): [i, j] is how strongly i leads into j."""
        return (self.first**2).sum(dim=1).T

    def loss(self, data: Tensor) -> Tensor:
        """Return half the mean squared residual summed over variables, from correlations (p, p) or, with hidden units, rows (n, p)."""
        if not self.hidden:
            left = torch.eye(len(data), dtype=data.dtype, device=data.device) - self.first[:, 0, :].T
            return 0.5 * (left * (data @ left)).sum()
        units = torch.sigmoid(torch.einsum("ni,jhi->njh", data, self.first) + self.bias)  # (n, p, hidden)
        fitted = (units * self.second).sum(dim=2)
        residual = data - fitted + (fitted - data).mean(dim=0)
        return 0.5 * (residual**2).sum() / len(data)

    def ridge(self) -> Tensor:
        """Return the sum of squares of all weights of the networks; 0 for linear functions."""
        if not self.hidden:
            return torch.zeros((), dtype=torch.float64, device=self.first.device)
        return (self.first**2).sum() + (self.second**2).sum()

    def lengths(self) -> Tensor:
        """Return the sum of the penalised lengths of first[j, :, i], the lasso's groups."""
        return (torch.linalg.vector_norm(self.first, dim=1) * self.penalised).sum()

    def shrink(self, by: float) -> None:
        """Shorten every penalised group by `by`, to zero at most: the proximal step of the group lasso."""
        length = torch.linalg.vector_norm(self.first, dim=1, keepdim=True)  # (p, 1, p)
        keep = 1 - by * self.penalised[:, None, :] / torch.clamp(length, min=1e-300)
        self.first.data = self.first * torch.clamp(keep, min=0.0) * self.allowed


def start(data: FloatArray, rules: Rules, hidden: int, device: str, seed: int) -> tuple[LearnableDAG, Tensor]:
    """Return the module at its random start, and what its loss takes, on a device: correlations (p, p), or rows (n, p) standardised."""
    place = device_of(device)
    values = torch.as_tensor(np.array(standardised(data) if hidden else data), dtype=torch.float64, device=place)
    return LearnableDAG(rules, hidden, place, seed), values


def minimise(module: LearnableDAG, smooth: Callable[[], Tensor], penalty: float, steps: int, tolerance: float, what: str) -> None:
    """Minimise smooth() + penalty · lengths by proximal gradient steps of Barzilai–Borwein length (Wright et al. 2009).

    A step to where smooth() is not finite is shortened, so that barriers hold. `what` titles the progress bar; when
    time is up, the module stays where it is.
    """
    params = [parameter for parameter in module.parameters() if parameter.requires_grad]
    value = smooth()
    slope = torch.autograd.grad(value, params)
    values = [float(value.detach()) + penalty * float(module.lengths().detach())]
    step = 0.05 if module.hidden else 1.0
    for _ in progress(range(steps), what):
        before = [parameter.detach().clone() for parameter in params]
        while True:
            with torch.no_grad():
                for parameter, old, g in zip(params, before, slope, strict=True):
                    parameter.copy_(old - step * g)
                module.shrink(step * penalty)
                moved = [parameter - old for parameter, old in zip(params, before, strict=True)]
                square = sum(float((d**2).sum()) for d in moved)
            value = smooth()
            total = float(value.detach()) + penalty * float(module.lengths().detach())
            if np.isfinite(total) and total <= max(values[-MEMORY:]) - 1e-4 / (2 * step) * square:
                break
            step /= 2
            if step < LEAST_STEP:
                with torch.no_grad():
                    for parameter, old in zip(params, before, strict=True):
                        parameter.copy_(old)
                return
        following = torch.autograd.grad(value, params)
        values.append(total)
        if max(float(d.abs().max()) for d in moved) < tolerance * step or out_of_time():
            return
        bend = sum(float((d * (new - old)).sum()) for d, new, old in zip(moved, following, slope, strict=True))
        step = float(np.clip(square / bend, 1e-8, 1e4)) if bend > 0 else min(2 * step, 1e4)
        slope = following


def with_gradient(value: Tensor, gradient: Tensor, at: Tensor) -> Tensor:
    """Return `value`, a number known without autograd, with this gradient (p, p) in `at`."""
    return value + (gradient * (at - at.detach())).sum()


def device_of(name: str) -> torch.device:
    """Return the device of a name; "auto" is a GPU when there is one."""
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)


def standardised(rows: FloatArray) -> FloatArray:
    """Return rows (n, p) of mean 0 and variance 1."""
    return np.asarray((rows - rows.mean(axis=0)) / rows.std(axis=0))


def as_found(module: LearnableDAG, threshold: float, rules: Rules) -> Found:
    """Return the graph of the arrows stronger than the threshold, the strongest first; one that closes a cycle is left out.

    Linear functions on standardised data cannot tell the members of a class apart, so their class is returned; networks
    give a DAG.
    """
    strength = np.sqrt(module.strength().detach().cpu().numpy())
    dag, left_out = strongest_dag(np.where(rules.required, np.inf, strength), threshold)
    facts = (("strength", strength.round(6).tolist()), ("cyclic_arrows_left_out", left_out))
    if module.hidden:
        return Found(np.where(dag, ARROW, np.where(dag.T, TAIL, 0)).astype(np.int8), "DAG", (), facts)
    found = class_of(to_masks(dag.T), rules)
    return Found(found.marks, found.kind, found.conflicts, facts)


def strongest_dag(strength: FloatArray, threshold: float) -> tuple[BoolArray, int]:
    """Return the DAG [i, j] of the strongest arrows beyond a threshold, and how many gave way to a cycle."""
    dag, reach = np.zeros(strength.shape, dtype=bool), np.eye(len(strength), dtype=bool)
    arrows = np.argwhere(strength > threshold)
    left_out = 0
    for i, j in arrows[np.argsort(-strength[tuple(arrows.T)], kind="stable")].tolist():
        if reach[j, i]:
            left_out += 1
            continue
        dag[i, j] = True
        if not reach[i, j]:
            reach |= np.outer(reach[:, i], reach[j])
    return dag, left_out
