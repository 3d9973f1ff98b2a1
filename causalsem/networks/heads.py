"""Heads: what the shared representation is asked for."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Heads:
    """The linear predictors of a batch: logits where the quantity is a probability.

    `outcome` (M, n, outcomes): E[Y | do(T = arm)], one per arm, and with a chain of stages one per way to each;
    `imputed` (M, n, outcomes): the second opinion doubly robust losses lean on where the arm was not taken;
    `propensity` (M, n): P(T = 1 | user, item, Z);
    `representation` (M, n, f): all that the outcome heads read of a pair, where a network has such a layer.
    """

    outcome: torch.Tensor
    imputed: torch.Tensor
    propensity: torch.Tensor
    representation: torch.Tensor | None = None

    @property
    def told(self) -> torch.Tensor:
        """The representation, of heads that were asked for it."""
        assert self.representation is not None
        return self.representation

    @classmethod
    def split(cls, outputs: torch.Tensor, outcomes: int, representation: torch.Tensor | None = None) -> Heads:
        """Return the heads of a network's last layer: (M, n, 2 outcomes + 1)."""
        outcome, imputed, propensity = torch.split(outputs, [outcomes, outcomes, 1], dim=-1)
        return cls(outcome, imputed, propensity.squeeze(-1), representation)


def head_count(outcomes: int) -> int:
    """Return how many numbers the last layer gives per pair."""
    return 2 * outcomes + 1
