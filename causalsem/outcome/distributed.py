"""Training on several processes: each runs the network on its part of every batch, and all see the heads of the whole.

A loss may divide by a sum over its batch, so averaging the processes' losses would be another loss. Here every process
computes the loss of the whole batch from heads of which only its own part carries gradients; the gradients' sum is
then that of one process, up to rounding. Start the processes with torchrun and call `torch.distributed.init_process_group`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.distributed as dist

from causalsem.networks.heads import Heads, head_count
from causalsem.outcome.optimiser import Looked


@dataclass(frozen=True, slots=True)
class Team:
    """The processes that train together: this one's `rank` of `size`."""

    rank: int = 0
    size: int = 1

    @classmethod
    def now(cls) -> Team:
        """Return the team of this process, itself alone unless a process group was initialised."""
        if dist.is_available() and dist.is_initialized():
            return cls(dist.get_rank(), dist.get_world_size())
        return cls()

    def part(self, n: int) -> tuple[int, int]:
        """Return where this process's share of n rows begins and ends."""
        return n * self.rank // self.size, n * (self.rank + 1) // self.size

    def whole(self, heads: Heads, n: int) -> Heads:
        """Return the heads of all n rows, of which only this process's own carry gradients."""
        if self.size == 1:
            return heads
        start, stop = self.part(n)
        told = () if heads.representation is None else (heads.representation,)
        own = torch.cat([heads.outcome, heads.imputed, heads.propensity[..., None], *told], dim=-1)  # (M, own, out)
        everyone = self._together(own, n)
        together = torch.cat([everyone[:, :start], own, everyone[:, stop:]], dim=1)
        outcomes = heads.outcome.shape[-1]
        read, phi = together[..., : head_count(outcomes)], together[..., head_count(outcomes) :]
        return Heads.split(read, outcomes, phi if told else None)

    def whole_rows(self, looked: Looked, n: int) -> Looked:
        """Return what all processes looked up in a table for a batch of n rows, with its gradients."""
        if self.size == 1:
            return looked
        found, gradient = looked.found.detach(), looked.found.grad
        assert gradient is not None
        together = Looked(self._together(looked.rows, n), self._together(found, n))
        together.found.grad = self._together(gradient, n)
        return together

    def _together(self, own: torch.Tensor, n: int) -> torch.Tensor:
        """Return the parts (M, own, …) of all processes side by side: (M, n, …)."""
        start, stop = self.part(n)
        everyone = own.new_zeros(own.shape[0], n, *own.shape[2:])
        everyone[:, start:stop] = own.detach()
        dist.all_reduce(everyone)
        return everyone

    def sum_gradients(self, net: torch.nn.Module) -> None:
        """Add up the gradients of all processes."""
        if self.size == 1:
            return
        for parameter in net.parameters():
            if parameter.grad is not None:
                dist.all_reduce(parameter.grad)
