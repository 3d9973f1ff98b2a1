"""Batches: from rows of pairs to what a loss sees of them, made on the device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from causalsem._values import FloatArray
from causalsem.outcome.chain import ARMS, Chain
from causalsem.outcome.journey import Journey
from causalsem.outcome.losses import LossBatch
from causalsem.outcome.tensors import real, whole


@dataclass(frozen=True, slots=True, eq=False)
class Batches:
    """A journey on the device: `y`, `known` (n, K), `treatment` (n,), `door` (n, doors) or None for a lone stage.

    `propensity` (n, heads) is that of every head, `floor` and `elsewhere` (heads,) the least it, and its complement, may be.
    """

    chain: Chain
    binary: bool
    user: torch.Tensor
    treatment: torch.Tensor
    y: torch.Tensor
    known: torch.Tensor
    door: torch.Tensor | None
    stage_of_door: torch.Tensor
    propensity: torch.Tensor
    floor: torch.Tensor
    elsewhere: torch.Tensor

    @classmethod
    def of(cls, journey: Journey, propensity: FloatArray, user: torch.Tensor) -> Batches:
        """Return the batches of a journey at some propensities (n, heads), on the device of `user` (n,)."""
        device = user.device
        y = real(np.column_stack([problem.y for problem in journey.problems]), device)
        known = torch.tensor(np.column_stack([problem.observed for problem in journey.problems]), device=device)
        lone = len(journey.problems) == 1
        door = None if lone else torch.tensor(journey.door, dtype=torch.bool, device=device)
        e = real(propensity, device)
        floor = e.amin(dim=0)
        # Two arms are each other's complement; elsewhere the complement may be as small as the chances leave it.
        elsewhere = floor.flip(0) if lone else (1 - e.amax(dim=0)).clamp(min=float(floor.min()))
        stages = whole(np.array(journey.chain.stage_of_door), device)
        numbers = (real(journey.treatment, device), y, known, door, stages, e, floor, elsewhere)
        return cls(journey.chain, journey.binary, user, *numbers)

    def __call__(self, rows: torch.Tensor) -> LossBatch:
        """Return the batch of `rows` (M, B)."""
        t, y, known = self.treatment[rows], self.y[rows], self.known[rows]
        arm = torch.stack([1 - t, t], dim=-1)  # (M, B, arms)
        taken, own, told = arm, y, known
        if self.door is not None:
            taken = (self.door[rows][..., None] * arm[..., None, :]).flatten(-2)  # (M, B, heads)
            own, told = (x[..., self.stage_of_door].repeat_interleave(ARMS, dim=-1) for x in (y, known))
        ends = (self.propensity[rows], self.floor, self.user[rows], self.binary, self.chain)
        return LossBatch(own, taken, taken * told, *ends, arm, y, known, self.elsewhere)
