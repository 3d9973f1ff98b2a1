"""How noisy the outcomes of each user and item are: precisions with a gamma prior whose strength the log tells.

A number that people give (a rating, a price) is not equally noisy for all: some use the whole scale, and some items divide opinion.
The noise of cell (u, i) has variance σ² / (a_u b_i); a and b are gamma with mean 1 and the same degrees of freedom for each side.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

# Degrees of freedom among which the marginal likelihood chooses; the last says that all are equally noisy.
FREEDOMS = (4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 64.0, 128.0, 512.0, float("inf"))


@dataclass(frozen=True, slots=True)
class Precision:
    """The precisions `users` (M, U) and `items` (M, I), 1 on average over their prior."""

    users: torch.Tensor
    items: torch.Tensor

    @classmethod
    def equal(cls, weight: torch.Tensor) -> Precision:
        """Return the precisions of outcomes that are all equally noisy: weight (M, U, I)."""
        return cls(torch.ones_like(weight[:, :, 0]), torch.ones_like(weight[:, 0]))

    def renewed(self, squares: torch.Tensor, weight: torch.Tensor, user_freedom: float, item_freedom: float) -> Precision:
        """Return the precisions after a look at squares over σ² (M, U, I), a precision of one meaning `weight` (M, U, I) each.

        The items see the users' news: both at once would account twice for the same squares, and swing.
        """
        users = posterior_mean((squares * self.items[:, None, :]).sum(dim=2), weight.sum(dim=2), user_freedom)
        items = posterior_mean((squares * users[:, :, None]).sum(dim=1), weight.sum(dim=1), item_freedom)
        return Precision(users, items)

    @property
    def of_cells(self) -> torch.Tensor:
        """The precision of every cell: (M, U, I)."""
        return self.users[:, :, None] * self.items[:, None, :]


def freedom(squares: torch.Tensor, count: torch.Tensor) -> float:
    """Return the degrees of freedom that make sums of squares (M, n) most likely, `count` (M, n) terms behind each.

    A sum is noise of variance 1 / a with a ~ Gamma(ν/2, ν/2), so that its marginal likelihood is that of a multivariate t.
    """
    chosen, best = FREEDOMS[-1], -float((squares / 2).sum())
    for nu in FREEDOMS[:-1]:
        half = torch.tensor(nu / 2, dtype=squares.dtype, device=squares.device)
        each = torch.lgamma(half + count / 2) - torch.lgamma(half) + half * half.log() - (half + count / 2) * (half + squares / 2).log()
        if float(each.sum()) > best:
            chosen, best = nu, float(each.sum())
    return chosen


def posterior_mean(squares: torch.Tensor, count: torch.Tensor, nu: float) -> torch.Tensor:
    """Return the posterior mean of each precision: (ν + count) / (ν + squares)."""
    return torch.ones_like(squares) if nu == float("inf") else (nu + count) / (nu + squares)
