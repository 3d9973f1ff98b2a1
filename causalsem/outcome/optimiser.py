"""Optimiser: Adam for what all pairs share, and for tables of users and items either Adam or row-wise Adagrad."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from causalsem.networks.net import Net, flat_rows

Tensors = dict[str, torch.Tensor]
# A step of Adagrad shrinks as gradients add up, one of Adam does not. A row's first step is as long as Adam's: it begins as
# if its first gradient had come so many times before, at a rate that is longer by the root of it.
BEFORE = 100.0
SMALLEST = 1e-10


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """The rows (M, n) of a table that a batch looked up, what was `found` there (M, n, w), and after a backward pass its gradient."""

    rows: torch.Tensor
    found: torch.Tensor


class RowAdagrad:
    """Adagrad with one number of state per block of a row, the running sum of its largest squared gradient.

    Mudigere et al. (2022) keep one per row, of the mean over its columns. Where many columns have little gradient, such as a vector that
    is multiplied by another small one beside intercepts, the mean is far below the squares of the few that have much, and these
    then take long first steps along what is noise. `blocks` (sum: w) are the widths of columns that are alike.

    All sizes are those of the batch, whatever it holds: a row looked up k times is summed over k places, and the k − 1
    places left over add zeros to row 0.
    """

    def __init__(self, table: torch.nn.Parameter, blocks: tuple[int, ...]) -> None:
        self.table, self.blocks = table, list(blocks)
        self.state = torch.zeros(*table.shape[:2], len(blocks), device=table.device)  # (M, N, blocks)

    @torch.no_grad()
    def step(self, rows: torch.Tensor, gradient: torch.Tensor, rate: float | torch.Tensor) -> None:
        """Move the looked-up `rows` (M, n) down their `gradient` (M, n, w)."""
        flat, order = flat_rows(rows, self.table.shape[1]).flatten().sort()
        place = torch.cumsum(torch.cat([flat.new_zeros(1), (flat[1:] != flat[:-1]).long()]), dim=0)  # (M n,)
        row = torch.zeros_like(flat).scatter_(0, place, flat)
        width = gradient.shape[-1]
        total = gradient.new_zeros(len(flat), width).index_add_(0, place, gradient.reshape(-1, width)[order])
        parts = torch.split(total, self.blocks, dim=1)
        square = torch.stack([part.abs().amax(dim=1) for part in parts], dim=1).square_()  # (M n, blocks)
        state = self.state.view(-1, len(parts))
        square = torch.where(state[row] == 0, (1 + BEFORE) * square, square)
        size = rate * BEFORE**0.5 / (state.index_add_(0, row, square)[row].sqrt() + SMALLEST)
        for part, own in zip(parts, torch.unbind(size, dim=1), strict=True):
            part.mul_(own[:, None])  # a view: it turns the gradient into the step
        self.table.data.view(-1, width).index_add_(0, row, total, alpha=-1)


class Optimiser:
    """The optimisers of one training: fused Adam, and `rowwise` one row-wise Adagrad per table.

    `expected` (entities,) of each table is how often a batch looks up each row, by which the prior of a row is shared out
    among its appearances (Zhou et al. 2018 regularise by mini-batch in the same way).
    """

    def __init__(self, net: Net, rate: float | torch.Tensor, *, rowwise: bool, expected: tuple[torch.Tensor, ...]) -> None:
        self.rowwise = [RowAdagrad(*table) for table in zip(net.tables, net.blocks, strict=True)] if rowwise else []
        self.expected = expected
        mine = {id(table) for table in net.tables} if rowwise else set()
        shared = [parameter for parameter in net.parameters() if parameter.requires_grad and id(parameter) not in mine]
        capturable = isinstance(rate, torch.Tensor)
        self.adam = torch.optim.Adam(shared, lr=rate, fused=True, capturable=capturable)

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of the next step; a rate that is a tensor keeps its place in memory."""
        for group in self.adam.param_groups:
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def step(self, looked: list[Looked], precisions: tuple[torch.Tensor, ...]) -> None:
        """Update everything from the gradients in place; `precisions` (w,) of each table are those of its prior."""
        self.adam.step()
        rate = self.adam.param_groups[0]["lr"]
        for table, seen, expected, precision in zip(self.rowwise, looked, self.expected, precisions, strict=True):
            assert seen.found.grad is not None
            share = 1 / expected[seen.rows].clamp(min=SMALLEST)  # (M, n)
            table.step(seen.rows, seen.found.grad + seen.found.detach() * precision * share[..., None], rate)

    def tensors(self) -> Tensors:
        """Return the state as named tensors."""
        slots = self.adam.state_dict()["state"]
        found = {f"{k}.{name}": value for k, slot in slots.items() for name, value in slot.items()}
        return found | {f"rowwise.{k}": table.state for k, table in enumerate(self.rowwise)}

    def load(self, tensors: Tensors) -> None:
        """Put back the state that `tensors` returned."""
        slots: dict[int, Tensors] = {}
        for name, tensor in tensors.items():
            where, key = name.split(".", 1)
            if where == "rowwise":
                self.rowwise[int(key)].state.copy_(tensor)
            else:
                slots.setdefault(int(where), {})[key] = tensor
        self.adam.load_state_dict({"state": slots, "param_groups": self.adam.state_dict()["param_groups"]})
