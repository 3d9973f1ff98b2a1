"""The generalised multilevel model as a network: linear, with a prior on every level."""

from __future__ import annotations

import torch
from torch import nn

from causalsem.networks.heads import Heads, head_count
from causalsem.networks.net import Inputs, Net, Shape, rows_of
from causalsem.networks.settings import Multilevel


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

    @property
    def tables(self) -> tuple[nn.Parameter, ...]:
        slopes = ((self.user_slopes, self.shape.item_traits), (self.item_slopes, self.shape.user_traits))
        return self.user, self.item, *(table for table, traits in slopes if traits)

    @property
    def blocks(self) -> tuple[tuple[int, ...], ...]:
        return tuple((table.shape[-1],) for table in self.tables)

    def lookups(self, inputs: Inputs, rng: torch.Generator | None = None) -> tuple[torch.Tensor, ...]:
        user, item = inputs.user.clamp(max=self.shape.users - 1), inputs.item.clamp(max=self.shape.items - 1)
        return tuple(user if of_users else item for of_users in self._of_users)

    def answer(self, inputs: Inputs, rows: tuple[torch.Tensor, ...], noise: tuple[torch.Tensor, ...] = ()) -> Heads:
        return Heads.split(self.outputs(inputs, rows), self.shape.outcomes)

    def outputs(self, inputs: Inputs, rows: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Return the linear predictors of all heads side by side: (M, n, out)."""
        x_u, x_i = inputs.user_traits, inputs.item_traits  # (rows, du), (rows, di)
        known_u = (inputs.user < self.shape.users)[..., None]
        known_i = (inputs.item < self.shape.items)[..., None]
        own = iter(
            [row * (known_u if of_users else known_i) for row, of_users in zip(rows, self._of_users, strict=True)]
        )  # 0 for strangers
        outputs = self.intercept + rows_of(x_u @ self.user_weight, inputs.user) + rows_of(x_i @ self.item_weight, inputs.item)
        outputs = outputs + next(own) + next(own)  # (M, n, out)
        if inputs.pair is not None:
            outputs = outputs + torch.bmm(inputs.pair, self.pair_weight)
        if self.shape.item_traits:
            slopes = rows_of(x_u @ self.crosses, inputs.user) + next(own)
            outputs = outputs + _along(slopes, x_i[inputs.item])
        if self.shape.user_traits:
            outputs = outputs + _along(next(own), x_u[inputs.user])
        return outputs

    @property
    def _of_users(self) -> tuple[bool, ...]:
        """Which tables belong to the users."""
        return True, False, *((True,) if self.shape.item_traits else ()), *((False,) if self.shape.user_traits else ())

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

    @torch.no_grad()
    def impute_alike(self) -> None:
        """Let each head's second opinion be the first."""
        out, count = self.intercept.shape[-1], self.shape.outcomes
        for parameter in self.parameters():
            by_head = parameter.view(*parameter.shape[:-1], parameter.shape[-1] // out, out)
            by_head[..., count : 2 * count] = by_head[..., :count]

    def shares(self, users: torch.Tensor, items: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(users if of_users else items for of_users in self._of_users)

    def precisions(self, information: torch.Tensor) -> tuple[torch.Tensor, ...]:
        priors = (self.settings.id_prior,) * 2 + (self.settings.slope_prior,) * 2
        # The head is the last axis everywhere.
        return tuple(
            (1 / (prior**2 * information)).repeat(table.shape[-1] // len(information))
            for prior, table in zip(priors, self.tables, strict=False)
        )

    def shared_penalty(self, information: torch.Tensor) -> torch.Tensor:
        total = torch.zeros((), device=information.device)
        weights = (self.user_weight, self.item_weight, self.pair_weight)
        for prior, parameters in ((self.settings.cross_prior, (self.crosses,)), (self.settings.weight_prior, weights)):
            for parameter in parameters:
                per_head = (parameter**2).reshape(-1, len(information)).sum(dim=0)
                total = total + (per_head / information).sum() / (2 * prior**2)
        return total


def _along(slopes: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Return Σ_d slopes_d x_d: slopes (M, n, d × out), x (M, n, d) → (M, n, out)."""
    return torch.einsum("mndo,mnd->mno", slopes.reshape(*x.shape, -1), x)
