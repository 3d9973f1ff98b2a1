"""The network of CausalNet: K of them side by side."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from causalsem.effects.methods.causal_net import CausalNet

# A head may be some e^4 = 55 standard deviations of its arm's outcome away, which keeps steps on wild rows finite.
LARGEST_EXPONENT = 4.0
FIRST_EXPONENT = -2.0
HEAD_PRIOR = 0.25


class Outputs(NamedTuple):
    """Each arm's predicted outcome (K, rows, A), log-odds against the first arm (K, rows, A − 1), representation (K, rows, f)."""

    means: Tensor
    odds: Tensor
    phi: Tensor

    def log_chances(self) -> Tensor:
        """Return the log-probability of each arm (K, rows, A)."""
        return torch.log_softmax(nn.functional.pad(self.odds, (1, 0)), dim=2)


class ManyLinear(nn.Module):
    """K linear layers side by side: (K, rows, inputs) → (K, rows, outputs)."""

    def __init__(self, start: Tensor, times: int, bias: Tensor | None = None) -> None:
        super().__init__()
        # Every task starts from the same M networks, so that a result does not depend on who else is in the batch.
        self.weight = nn.Parameter(start.repeat(times, 1, 1))
        first = torch.zeros(start.shape[-1]) if bias is None else bias
        self.bias = nn.Parameter(first.repeat(times * len(start), 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return x · weight + bias, network by network."""
        return torch.baddbmm(self.bias, x, self.weight)


class ManyCausalNets(nn.Module):
    """K = tasks · M networks; φ = linear and ELU units of x; each of A arms reads a·φ + gate (e^{b·φ} − e^{c·φ}); log-odds d·φ.

    `gate` (K,) is 0 for networks of the identity link, `prior` (K,) the standard deviation of the shared weights.
    """

    def __init__(
        self, tasks: int, inputs: int, arms: int, gate: Tensor, prior: Tensor, settings: CausalNet, generator: torch.Generator
    ) -> None:
        super().__init__()
        M, self.arms = len(gate) // tasks, arms
        self.gate, self.prior = gate, prior

        def drawn(rows: int, columns: int, scale: float) -> Tensor:
            return torch.randn(M, rows, columns, generator=generator) * scale / math.sqrt(max(rows, 1))

        sizes = [inputs, *[settings.width] * settings.depth]
        features = settings.linear + settings.width
        self.straight = ManyLinear(drawn(inputs, settings.linear, 0.5), tasks)
        self.curved = nn.ModuleList([ManyLinear(drawn(a, b, 0.7), tasks) for a, b in pairwise(sizes)])
        self.heads = ManyLinear(drawn(features, 3 * arms, 0.3), tasks, torch.tensor([*[0.0] * arms, *[FIRST_EXPONENT] * 2 * arms]))
        self.treatment = ManyLinear(torch.zeros(M, features, arms - 1), tasks)
        self.epsilon = nn.Parameter(torch.zeros(len(gate), 1))

    def forward(self, x: Tensor) -> Outputs:
        """Return the heads of x (K, rows, inputs)."""
        h = x
        for layer in self.curved:
            h = nn.functional.elu(layer(h))
        phi = torch.cat([self.straight(x), h], dim=2)  # (K, rows, linear + width)
        read = self.heads(phi)  # (K, rows, 3A): linear parts of all arms, then two exponents of each
        power = self.gate[:, None, None] * read[..., self.arms :].clamp(max=LARGEST_EXPONENT).exp()
        return Outputs(read[..., : self.arms] + power[..., 0::2] - power[..., 1::2], self.treatment(phi), phi)

    def penalty(self) -> Tensor:
        """Return minus the log prior of each network's weights (K,)."""
        shared = sum((layer.weight.square().sum((1, 2)) for layer in (self.straight, *self.curved)), torch.zeros(()))
        heads = self.heads.weight.square().sum((1, 2)) + self.treatment.weight.square().sum((1, 2))
        return shared / (2 * self.prior**2) + heads / (2 * HEAD_PRIOR**2)
