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
# Of a shared head's difference from the first arm's: smaller, as effects vary less than outcomes do.
DIFFERENCE_PRIOR = 0.1


class Outputs(NamedTuple):
    """Each arm's predicted outcome (K, rows, A), log-odds against the first arm (K, rows, A − 1), representation (K, rows, f)."""

    means: Tensor
    odds: Tensor
    phi: Tensor

    def log_chances(self) -> Tensor:
        """Return the log-probability of each arm (K, rows, A)."""
        return torch.log_softmax(nn.functional.pad(self.odds, (1, 0)), dim=2)


class Candidates(NamedTuple):
    """What sets K networks apart, (K,) each: the prior of shared weights, and 1 or 0 for an exponential link and for shared heads."""

    prior: Tensor
    exponential: Tensor
    shared: Tensor


class Units(NamedTuple):
    """What the first arm's outcome is in another arm's units: shift + ratio · outcome, (K, A) each."""

    shift: Tensor
    ratio: Tensor


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

    The gate is 0 for networks of the identity link. What an arm after the first reads is its outcome, or with shared heads its
    difference from the first arm's.
    """

    def __init__(
        self, tasks: int, inputs: int, candidates: Candidates, units: Units, settings: CausalNet, generator: torch.Generator
    ) -> None:
        super().__init__()
        M, arms = len(candidates.prior) // tasks, units.shift.shape[1]
        self.arms, self.candidates = arms, candidates
        sharing = candidates.shared[:, None] * (torch.arange(arms) > 0)  # (K, A)
        self.shift, self.ratio = sharing * units.shift, sharing * units.ratio
        self.head_prior = torch.where(sharing > 0, DIFFERENCE_PRIOR, HEAD_PRIOR)

        def drawn(rows: int, columns: int, scale: float) -> Tensor:
            return torch.randn(M, rows, columns, generator=generator) * scale / math.sqrt(max(rows, 1))

        sizes = [inputs, *[settings.width] * settings.depth]
        features = settings.linear + settings.width
        self.straight = ManyLinear(drawn(inputs, settings.linear, 0.5), tasks)
        self.curved = nn.ModuleList([ManyLinear(drawn(a, b, 0.7), tasks) for a, b in pairwise(sizes)])
        self.heads = ManyLinear(drawn(features, 3 * arms, 0.3), tasks, torch.tensor([*[0.0] * arms, *[FIRST_EXPONENT] * 2 * arms]))
        self.treatment = ManyLinear(torch.zeros(M, features, arms - 1), tasks)
        self.epsilon = nn.Parameter(torch.zeros(len(candidates.prior), 1))

    def forward(self, x: Tensor) -> Outputs:
        """Return the heads of x (K, rows, inputs)."""
        h = x
        for layer in self.curved:
            h = nn.functional.elu(layer(h))
        phi = torch.cat([self.straight(x), h], dim=2)  # (K, rows, linear + width)
        read = self.heads(phi)  # (K, rows, 3A): linear parts of all arms, then two exponents of each
        power = self.candidates.exponential[:, None, None] * read[..., self.arms :].clamp(max=LARGEST_EXPONENT).exp()
        own = read[..., : self.arms] + power[..., 0::2] - power[..., 1::2]
        return Outputs(own + self.shift[:, None] + self.ratio[:, None] * own[..., :1], self.treatment(phi), phi)

    def penalty(self) -> Tensor:
        """Return minus the log prior of each network's weights (K,)."""
        shared = sum((layer.weight.square().sum((1, 2)) for layer in (self.straight, *self.curved)), torch.zeros(()))
        heads = self.heads.weight.square().sum(1)  # (K, 3A): linear parts of all arms, then two exponents of each
        exponents = heads[:, self.arms :].reshape(len(heads), self.arms, 2).sum(2)
        by_arm = ((heads[:, : self.arms] + exponents) / (2 * self.head_prior**2)).sum(1)
        treatment = self.treatment.weight.square().sum((1, 2)) / (2 * HEAD_PRIOR**2)
        return shared / (2 * self.candidates.prior**2) + by_arm + treatment
