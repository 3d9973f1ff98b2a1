"""The two-tower network: towers, a joint layer over both and the adjustment block, and one row of heads."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import silu

from causalsem.networks.heads import Heads, head_count
from causalsem.networks.multilevel import MultilevelNet
from causalsem.networks.net import Inputs, Net, Shape
from causalsem.networks.settings import Multilevel, TwoTower, fixed
from causalsem.networks.towers import MemberLinear, Tower


class TwoTowerNet(Net):
    """M two-tower networks side by side.

    outputs = b + a_u + a_i + C z + W [u ⊙ i, f(A x_u + B x_i + D z)]: a tower gives vector u and intercepts a_u from
    id and traits x_u together, and A x_u from traits. The product u ⊙ i holds matrix factorisation, slopes of users
    on item traits and trait crosses as special cases; the deep layer f sees traits and Z alone, because an id
    memorises through it what the prior on ids should shrink. With `wide`, a multilevel model that is fitted beforehand and
    held still stands for a_u + a_i + C z, and W starts at zero.
    """

    def __init__(self, shape: Shape, settings: TwoTower, rng: torch.Generator) -> None:
        super().__init__()
        self.settings: TwoTower
        self.shape, self.settings = shape, settings
        self.adversarial = fixed(settings.adversarial)
        out, self.first = head_count(shape.outcomes), (settings.hidden or (0,))[0]
        self.wide = MultilevelNet(shape, Multilevel(), rng).requires_grad_(False) if settings.wide else None
        # What is linear is the levels' where there are levels.
        self.linear = 0 if settings.wide else out
        widths = (settings.dim, self.linear, self.first)
        self.user = Tower(shape.members, shape.users, shape.user_traits, widths, rng)
        self.item = Tower(shape.members, shape.items, shape.item_traits, widths, rng)
        self.pair = MemberLinear(shape.members, shape.pair_block, self.linear + self.first, rng, scale=0.3) if shape.pair_block else None
        self.joint = nn.ModuleList(
            MemberLinear(shape.members, a, b, rng) for a, b in zip(settings.hidden, settings.hidden[1:], strict=False)
        )
        self.deep = bool(shape.user_traits or shape.item_traits or shape.pair_block)
        last = settings.hidden[-1] if settings.hidden and self.deep else 0
        self.heads = MemberLinear(shape.members, settings.dim + last, out, rng, scale=0.0 if settings.wide else 0.3)

    @property
    def tables(self) -> tuple[nn.Parameter, ...]:
        return self.user.ids, self.item.ids

    @property
    def blocks(self) -> tuple[tuple[int, ...], ...]:
        return (tuple(width for width in (self.settings.dim, self.linear) if width),) * 2

    def lookups(self, inputs: Inputs, rng: torch.Generator | None = None) -> tuple[torch.Tensor, ...]:
        pairs = ((self.user, inputs.user), (self.item, inputs.item))
        return tuple(tower.own_index(index, self._forgotten(index, inputs, rng)) for tower, index in pairs)

    def noise(self, inputs: Inputs, rng: torch.Generator | None) -> tuple[torch.Tensor, ...]:
        """Return one uniform number for each hidden unit that may be dropped: (M, n, width) each."""
        if rng is None or not self.training or self.settings.dropout == 0 or not self.deep:
            return ()
        return tuple(inputs.uniform(torch.Size((*inputs.user.shape, width)), rng) for width in self.settings.hidden)

    def answer(self, inputs: Inputs, rows: tuple[torch.Tensor, ...], noise: tuple[torch.Tensor, ...] = ()) -> Heads:
        """Return the heads of a batch; `noise` says which hidden units are dropped at the settings' rate."""
        u, a_u, deep_u = self.user.parts(rows[0], inputs.user, inputs.user_traits)
        i, a_i, deep_i = self.item.parts(rows[1], inputs.item, inputs.item_traits)
        linear, parts = [a_u, a_i], [u * i]  # (M, n, out) or nothing, (M, n, dim)
        deep = [part for part in (deep_u, deep_i) if part is not None]
        if self.pair is not None and inputs.pair is not None:
            own, first = torch.split(self.pair(inputs.pair), [self.linear, self.first], dim=-1)
            linear.append(own)
            deep.append(first)
        if self.settings.hidden and deep:
            parts.append(self._deep(sum(deep[1:], start=deep[0]), noise))
        outputs = sum(linear[1:], start=linear[0]) if self.wide is None else self._levels(self.wide, inputs)
        phi, count = torch.cat(parts, dim=-1), self.shape.outcomes
        if not self.balancing:
            return Heads.split(self.heads(phi) + outputs, count)
        own = self.heads(phi.detach())[..., -1:]
        read = torch.cat([self.heads(phi)[..., :-1], own], dim=-1) + outputs
        return Heads.split(read, count, torch.cat([phi, outputs[..., :count]], dim=-1))

    @staticmethod
    @torch.no_grad()
    def _levels(wide: MultilevelNet, inputs: Inputs) -> torch.Tensor:
        """Return what the levels say, in full precision."""
        with torch.autocast(inputs.user.device.type, enabled=False):
            return wide.outputs(inputs, wide.found(inputs))

    def _deep(self, h: torch.Tensor, noise: tuple[torch.Tensor, ...]) -> torch.Tensor:
        p = self.settings.dropout
        for k in range(len(self.settings.hidden)):
            h = silu(h if k == 0 else self.joint[k - 1](h))  # (M, n, hidden[k])
            h = h * (noise[k] >= p) / (1 - p) if noise else h
        return h

    @torch.no_grad()
    def keep_share(self, share: float) -> None:
        """Keep a share of what the towers say on top of the levels."""
        self.heads.weight.mul_(share)
        self.heads.bias.mul_(share)

    @property
    def bias(self) -> torch.Tensor:
        return self.heads.bias if self.wide is None else self.wide.bias

    def shares(self, users: torch.Tensor, items: torch.Tensor) -> tuple[torch.Tensor, ...]:
        p = self.settings.id_dropout
        return tuple(torch.cat([share * (1 - p), share.new_full((1,), p)]) for share in (users, items))

    def precisions(self, information: torch.Tensor) -> tuple[torch.Tensor, ...]:
        columns = torch.cat([information.min().expand(self.settings.dim), information[: self.linear]])  # (d + out,)
        prior = self.settings.vector_prior if self.settings.wide else self.settings.id_prior
        return (1 / (prior**2 * columns),) * 2

    def shared_penalty(self, information: torch.Tensor) -> torch.Tensor:
        weights = [(p**2).sum() for name, p in self.named_parameters() if p.requires_grad and name.endswith("weight")]
        return torch.stack(weights).sum() / (2 * self.settings.weight_prior**2 * information.min())

    def _forgotten(self, index: torch.Tensor, inputs: Inputs, rng: torch.Generator | None) -> torch.Tensor | None:
        p = self.settings.id_dropout
        if rng is None or not self.training or p == 0:
            return None
        return inputs.uniform(index.shape, rng) < p
