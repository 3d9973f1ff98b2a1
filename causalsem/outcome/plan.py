"""What a training is given: its data on the device, its objective, and how long and how fast it goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from causalsem.networks.heads import Heads
from causalsem.networks.net import Inputs
from causalsem.outcome.loop import Loop

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

    def shares(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the share of the pairs that each user and each item has: (users,), (items,)."""
        n = len(self.user)
        counts = ((self.user, self.user_traits), (self.item, self.item_traits))
        users, items = (torch.bincount(index, minlength=len(traits)) / n for index, traits in counts)
        return users, items


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
    loop: Loop = field(default_factory=Loop)

    def batches(self, n: int) -> int:
        """Return into how many batches n rows are cut, equal up to the last."""
        return max(1, -(-n // self.batch_size))
