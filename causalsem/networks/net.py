"""Net: what every network of the outcome model takes, gives and is asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.functional import embedding

from causalsem.networks.heads import Heads


@dataclass(frozen=True)
class Shape:
    """The sizes that data give a network: entities, trait columns, width of the pair block, outcome heads, members."""

    users: int
    items: int
    user_traits: int
    item_traits: int
    pair_block: int
    outcomes: int
    members: int


@dataclass(frozen=True, slots=True)
class Inputs:
    """A batch: `user`, `item` (M, n) rows of the trait tables (rows, d), `pair` (M, n, p) or None without a pair block.

    `part` says which rows of a larger batch these are, (first, past the last, of how many), when processes share it:
    what is random is then drawn for the whole and cut, so that it does not depend on how many share.
    """

    user: torch.Tensor
    item: torch.Tensor
    pair: torch.Tensor | None
    user_traits: torch.Tensor
    item_traits: torch.Tensor
    part: tuple[int, int, int] | None = None

    def uniform(self, shape: torch.Size, rng: torch.Generator) -> torch.Tensor:
        """Return uniform numbers of a shape (M, n, …)."""
        start, stop, whole = self.part or (0, shape[1], shape[1])
        return torch.rand((shape[0], whole, *shape[2:]), generator=rng, device=self.user.device)[:, start:stop]


class Net(nn.Module, ABC):
    """M networks side by side, from a batch of pairs to heads; `bias` (M, 1, out) is where the heads start.

    What belongs to one user or item alone sits in `tables` (M, entities, width). A batch is first looked up in them and
    then answered from the rows found, so that training can update the rows of a batch and leave the others alone.
    """

    shape: Shape
    settings: Any
    # How far an adversary moves the tables' rows in training; 0 for none.
    adversarial: float = 0.0
    # While it is set, heads tell their representation, and the propensity head reads it without shaping it.
    balancing: bool = False

    @property
    @abstractmethod
    def tables(self) -> tuple[nn.Parameter, ...]:
        """The tables of users and items, each (M, entities, width)."""

    @property
    @abstractmethod
    def blocks(self) -> tuple[tuple[int, ...], ...]:
        """Return for each table the widths of its columns that are of one kind, such as vectors and intercepts."""

    @abstractmethod
    def lookups(self, inputs: Inputs, rng: torch.Generator | None = None) -> tuple[torch.Tensor, ...]:
        """Return the row of each table that each pair looks up (M, n); with `rng` in training mode, some look up what strangers do."""

    @abstractmethod
    def answer(self, inputs: Inputs, rows: tuple[torch.Tensor, ...], noise: tuple[torch.Tensor, ...] = ()) -> Heads:
        """Return the heads of a batch from its rows of the tables, each (M, n, width), and the `noise` drawn for it."""

    def noise(self, inputs: Inputs, rng: torch.Generator | None) -> tuple[torch.Tensor, ...]:
        """Return the random numbers in training mode that `answer` takes; drawn apart, because torch.compile cannot follow a generator."""
        return ()

    def forward(self, inputs: Inputs, rng: torch.Generator | None = None) -> Heads:
        """Return the heads of a batch; with `rng` in training mode, whatever is random follows it."""
        return self.answer(inputs, self.found(inputs, rng), self.noise(inputs, rng))

    def found(self, inputs: Inputs, rng: torch.Generator | None = None) -> tuple[torch.Tensor, ...]:
        """Return the rows of the tables that a batch looks up, each (M, n, width)."""
        indices = self.lookups(inputs, rng)
        return tuple(rows_of(table, index) for table, index in zip(self.tables, indices, strict=True))

    @abstractmethod
    def shares(self, users: torch.Tensor, items: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return how often each row of each table is looked up, from the users' and items' shares of the pairs: (entities,) each."""

    @abstractmethod
    def precisions(self, information: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the precision of the normal prior on each column of each table, per pair: (width,) each (see `penalty`)."""

    @abstractmethod
    def shared_penalty(self, information: torch.Tensor) -> torch.Tensor:
        """Return the part of `penalty` that belongs to no table."""

    def penalty(self, information: torch.Tensor) -> torch.Tensor:
        """Return minus the log prior per pair, summed over members: a scalar.

        `information` (out,) is how many pairs stand behind each head's objective, so that a prior weighs as much as it
        should against a mean over pairs; what the heads share goes by the least of them.
        """
        columns = zip(self.tables, self.precisions(information), strict=True)
        of_tables = [((table**2).sum(dim=(0, 1)) * precision).sum() / 2 for table, precision in columns]
        return torch.stack([self.shared_penalty(information), *of_tables]).sum()

    @property
    @abstractmethod
    def bias(self) -> torch.Tensor:
        """The intercepts of the heads: (M, 1, out)."""

    def start_at(self, outcome: torch.Tensor, propensity: float) -> None:
        """Start training at the base rates: `outcome` (outcomes,) and one propensity, on the link's scale."""
        count = self.shape.outcomes
        with torch.no_grad():
            self.bias[..., :count] = outcome
            self.bias[..., count : 2 * count] = outcome
            self.bias[..., -1] = propensity


def rows_of(table: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Return table[m, index[m, k]]: (M, N, w) and (M, n) → (M, n, w)."""
    members, count, width = table.shape
    return embedding(flat_rows(index, count), table.reshape(members * count, width))


def flat_rows(index: torch.Tensor, count: int) -> torch.Tensor:
    """Return where the rows of `index` (M, n) lie in tables of `count` rows each that stand one after the other."""
    return index + torch.arange(len(index), device=index.device)[:, None] * count
