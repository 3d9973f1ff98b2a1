"""Net: what every network of the outcome model takes, gives and is asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

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
    """M networks side by side, from a batch of pairs to heads; `bias` (M, 1, out) is where the heads start."""

    shape: Shape
    settings: Any

    @property
    def adversarial(self) -> float:
        """How far an adversary moves the ids' rows in training; 0 for none."""
        return 0.0

    @property
    def id_tables(self) -> list[nn.Parameter]:
        """The tables of ids an adversary moves."""
        return []

    @abstractmethod
    def forward(self, inputs: Inputs, rng: torch.Generator | None = None) -> Heads:
        """Return the heads of a batch; with `rng` in training mode, whatever is random follows it."""

    @abstractmethod
    def penalty(self, information: torch.Tensor) -> torch.Tensor:
        """Return minus the log prior per pair, summed over members: a scalar.

        `information` (out,) is how many pairs stand behind each head's objective, so that a prior weighs as much as it
        should against a mean over pairs; what the heads share goes by the least of them.
        """

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
