"""Towers: an id table plus a trait network per side, for all ensemble members at once.

Every parameter has a leading axis of `M` members, trained side by side as one batched network.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import silu

from causalsem.networks.net import rows_of


class MemberLinear(nn.Module):
    """`M` linear maps side by side: (M, n, inputs) → (M, n, outputs); `scale` sets the size of the initial weights."""

    def __init__(self, members: int, inputs: int, outputs: int, rng: torch.Generator, *, scale: float = 1.0) -> None:
        super().__init__()
        size = scale / max(inputs, 1) ** 0.5
        self.weight = nn.Parameter(torch.randn(members, inputs, outputs, generator=rng) * size)
        self.bias = nn.Parameter(torch.zeros(members, 1, outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.baddbmm(self.bias, x, self.weight)


class Tower(nn.Module):
    """One side: what an id and its traits say together, as (vector, intercepts, deep part) of `widths`.

    The id's row adds to vector and intercepts; the deep part is the traits' alone (None without traits). Ids at or
    beyond `count` are strangers: they share one row of their own, learnt from ids forgotten in training.
    """

    def __init__(self, members: int, count: int, traits: int, widths: tuple[int, int, int], rng: torch.Generator) -> None:
        super().__init__()
        self.count, self.members, self.widths = count, members, widths
        vector, own, width = widths[0], widths[0] + widths[1], sum(widths)
        ids = torch.randn(members, count + 1, own, generator=rng).mul_(0.01)  # a large table is not held twice
        # A product of two small numbers has no gradient to start from: the vectors begin larger than the rest.
        ids[..., :vector] *= 10
        ids[:, count] = 0
        self.ids = nn.Parameter(ids)
        self.linear = MemberLinear(members, traits, width, rng, scale=0.3) if traits else None
        self.inner = MemberLinear(members, traits, vector, rng) if traits else None
        self.outer = MemberLinear(members, vector, width, rng, scale=0.3) if traits else None

    def forward(
        self, index: torch.Tensor, traits: torch.Tensor, forgotten: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Return the three parts, each (M, n, width), for `index` (M, n) into `traits` (rows, d), ids left out where `forgotten`."""
        return self.parts(rows_of(self.ids, self.own_index(index, forgotten)), index, traits)

    def parts(self, own: torch.Tensor, index: torch.Tensor, traits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Return the three parts from the ids' rows `own` (M, n, vector + intercepts) and what the traits add."""
        vector, intercepts = torch.split(own, list(self.widths[:2]), dim=-1)
        if self.linear is None:
            return vector, intercepts, None
        if len(traits) <= index.shape[1]:
            # Fewer entities than pairs in the batch: run the trait network once per entity, then look up.
            told = rows_of(self._trait_part(traits.expand(self.members, -1, -1)), index)
        else:
            told = self._trait_part(traits[index])
        more, also, deep = torch.split(told, list(self.widths), dim=-1)
        return vector + more, intercepts + also, deep

    def own_index(self, index: torch.Tensor, forgotten: torch.Tensor | None) -> torch.Tensor:
        """Return the row of each id (M, n), the strangers' where it is unknown or `forgotten`."""
        index = index.clamp(max=self.count)
        return index if forgotten is None else index.masked_fill(forgotten, self.count)

    def _trait_part(self, traits: torch.Tensor) -> torch.Tensor:
        assert self.linear is not None
        assert self.inner is not None
        assert self.outer is not None
        return self.linear(traits) + self.outer(silu(self.inner(traits)))
