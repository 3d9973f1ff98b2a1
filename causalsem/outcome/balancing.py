"""Domain-adversarial balancing: the representation is also taught to hide from a critic who was treated."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from causalsem.effects.methods.distances import critic, discrimination, features
from causalsem.networks.heads import Heads
from causalsem.outcome.losses import LossBatch
from causalsem.outcome.tensors import real

if TYPE_CHECKING:
    from causalsem.outcome.run import Run

# Weights tried: of the critic's nats over those of the outcome heads.
WEIGHTS = (0.1, 0.3, 1.0)
# The critic sees so many pairs of a batch, and so many random waves of their representation.
ROWS, WAVES = 4096, 16
# Pairs of each unseen fold on which a fresh critic is taught and tested.
JUDGED, FRESH_WAVES = 8192, 128


def imbalance(rng: torch.Generator) -> Callable[[Heads, LossBatch], torch.Tensor]:
    """Return how well the best critic tells treated from untreated pairs of a batch: (heads, batch) → (M,).

    The adversary of domain-adversarial training (Ganin et al. 2016), solved in closed form on every batch instead of trained
    beside the network, so that it is never behind. Its random waves are drawn anew for each batch.
    """

    def told(heads: Heads, batch: LossBatch) -> torch.Tensor:
        phi, arm = heads.told[:, :ROWS], batch.arm[:, :ROWS]
        return discrimination(phi, arm[..., 1], arm[..., 0], random_waves(phi.shape[-1], WAVES, rng))

    return told


def random_waves(width: int, count: int, rng: torch.Generator) -> torch.Tensor:
    """Return the directions (width, count) of random waves over standardised columns, their phase of variance one."""
    return torch.randn(width, count, generator=rng, device=rng.device) / width**0.5


@torch.no_grad()
def told_apart(run: Run) -> float:
    """Return the AUC with which a fresh critic tells treated from untreated pairs by the representation of unseen ones.

    Each member represents the fold it never saw; a critic learns on one half of it and is judged on the other.
    """
    rows = run.data.held[:, :JUDGED]
    treated = real(run.journey.treatment, run.device)[rows]  # (M, n)
    phi = torch.cat([run.represented(part) for part in torch.split(rows, run.settings["batch_size"], dim=1)], dim=1)
    rng = torch.Generator(run.device).manual_seed(run.settings["seed"])
    learn = torch.rand(treated.shape, generator=rng, device=run.device) < 0.5
    psi = features(phi, torch.ones_like(treated), random_waves(phi.shape[-1], FRESH_WAVES, rng))
    scores = torch.bmm(psi, critic(psi, treated * learn, (1 - treated) * learn))[..., 0]
    found = [_auc(s[~own], t[~own]) for s, t, own in zip(scores, treated, learn, strict=True)]
    return float(torch.stack(found).nanmean())


def _auc(score: torch.Tensor, treated: torch.Tensor) -> torch.Tensor:
    """Return the share of pairs of a treated and an untreated one that a score ranks right (n,), NaN without both."""
    place = torch.empty_like(score)
    place[score.argsort()] = torch.arange(1, len(score) + 1, dtype=score.dtype, device=score.device)
    one, zero = treated.sum(), (1 - treated).sum()
    return ((place * treated).sum() - one * (one + 1) / 2) / (one * zero)
