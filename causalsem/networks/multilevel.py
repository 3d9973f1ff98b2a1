"""The generalised multilevel model as a network: linear, with a prior on every level."""

from __future__ import annotations

import torch
from torch import nn

from causalsem.networks.heads import Heads, head_count
from causalsem.networks.net import Inputs, Net, Shape
from causalsem.networks.settings import Multilevel
from causalsem.networks.towers import rows_of


class MultilevelNet(Net):
    """M multilevel models side by side; all levels start at zero, and strangers stay there."""

    def __init__(self, shape: Shape, settings: Multilevel, rng: torch.Generator) -> None:
        super().__init__()
        self.settings: Multilevel
        self.shape, self.settings = shape, settings
        m, out, du, di = shape.members, head_count(shape.outcomes), shape.user_traits, shape.item_traits

        def level(*size: int) -> nn.Parameter:
            return nn.Parameter(torch.zeros(m, *size))

        self.intercept = level(1, out)
        self.user, self.item = level(shape.users, out), level(shape.items, out)
        self.user_slopes, self.item_slopes = level(shape.users, di * out), level(shape.items, du * out)
        self.crosses = level(du, di * out)
        self.user_weight, self.item_weight, self.pair_weight = level(du, out), level(di, out), level(shape.pair_block, out)

    @property
    def bias(self) -> torch.Tensor:
        return self.intercept

    def forward(self, inputs: Inputs, rng: torch.Generator | None = None) -> Heads:
        x_u, x_i = inputs.user_traits, inputs.item_traits  # (rows, du), (rows, di)
        known_u = (inputs.user < self.shape.users)[..., None]
        known_i = (inputs.item < self.shape.items)[..., None]
        outputs = self.intercept + rows_of(x_u @ self.user_weight, inputs.user) + rows_of(x_i @ self.item_weight, inputs.item)
        outputs = outputs + _own(self.user, inputs.user, known_u) + _own(self.item, inputs.item, known_i)  # (M, n, out)
        if inputs.pair is not None:
            outputs = outputs + torch.bmm(inputs.pair, self.pair_weight)
        if self.shape.item_traits:
            slopes = rows_of(x_u @ self.crosses, inputs.user) + _own(self.user_slopes, inputs.user, known_u)
            outputs = outputs + _along(slopes, x_i[inputs.item])
        if self.shape.user_traits:
            outputs = outputs + _along(_own(self.item_slopes, inputs.item, known_i), x_u[inputs.user])
        return Heads.split(outputs, self.shape.outcomes)

    @torch.no_grad()
    def write(self, head: int, users: torch.Tensor, items: torch.Tensor, crosses: torch.Tensor, pair: torch.Tensor) -> None:
        """Set one head: `users` (M, U, 1 + di), `items` (M, I, 1 + du), `crosses` (M, 1 + du, 1 + di), `pair` (M, k), constants first."""
        out = self.intercept.shape[-1]
        self.intercept[..., head] = crosses[:, :1, 0]
        self.user[..., head], self.item[..., head] = users[..., 0], items[..., 0]
        self.user_weight[..., head], self.item_weight[..., head], self.pair_weight[..., head] = crosses[:, 1:, 0], crosses[:, 0, 1:], pair
        wide = ((self.user_slopes, users[..., 1:]), (self.item_slopes, items[..., 1:]), (self.crosses, crosses[:, 1:, 1:]))
        for table, slopes in wide:
            table.view(*table.shape[:-1], table.shape[-1] // out, out)[..., head] = slopes.to(table)

    def penalty(self, information: torch.Tensor) -> torch.Tensor:
        s, total = self.settings, torch.zeros((), device=information.device)
        levels = (
            (s.id_prior, (self.user, self.item)),
            (s.slope_prior, (self.user_slopes, self.item_slopes)),
            (s.cross_prior, (self.crosses,)),
            (s.weight_prior, (self.user_weight, self.item_weight, self.pair_weight)),
        )
        for prior, parameters in levels:
            for parameter in parameters:
                per_head = (parameter**2).reshape(-1, len(information)).sum(dim=0)  # the head is the last axis everywhere
                total = total + (per_head / information).sum() / (2 * prior**2)
        return total


def _own(table: torch.Tensor, index: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Return the rows of a level's table, 0 for strangers: (M, n, width)."""
    return rows_of(table, index.clamp(max=table.shape[1] - 1)) * known


def _along(slopes: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Return Σ_d slopes_d x_d: slopes (M, n, d × out), x (M, n, d) → (M, n, out)."""
    return torch.einsum("mndo,mnd->mno", slopes.reshape(*x.shape, -1), x)
