"""Adversarial training: the objective is also learnt where the ids' rows are moved the worst way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

from causalsem.networks.net import Net
from causalsem.outcome.distributed import Team

# Lengths tried where unseen folds choose; the prior of an id's row lets it be one or two long.
SIZES = (0.1, 0.3, 1.0)


def add_adversarial_gradients(net: Net, size: float, objective: Callable[[], torch.Tensor], team: Team) -> None:
    """Add to the gradients those of `objective` with every id's row moved by `size` up its gradient (He et al. 2018, APR).

    The gradients of the unmoved objective must be in place, of the whole team.
    """
    with moved(net.tables, size):
        before = {p: p.grad for p in net.parameters() if p.grad is not None}
        for parameter in before:
            parameter.grad = None
        torch.autograd.backward([objective()])
        team.sum_gradients(net)
        for parameter, gradient in before.items():
            parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient


@contextmanager
def moved(tables: Sequence[torch.nn.Parameter], size: float) -> Iterator[None]:
    """Move the rows of tables by `size` along their gradients for a while; rows without a gradient stay."""
    steps = []
    for table in tables:
        gradient = torch.zeros_like(table) if table.grad is None else table.grad
        steps.append(size * gradient / gradient.norm(dim=-1, keepdim=True).clamp(min=1e-12))
    kept = [table.detach().clone() for table in tables]
    with torch.no_grad():
        for table, step in zip(tables, steps, strict=True):
            table.add_(step)
    try:
        yield
    finally:
        with torch.no_grad():
            for table, before in zip(tables, kept, strict=True):
                table.copy_(before)
