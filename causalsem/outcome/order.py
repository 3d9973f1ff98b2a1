"""Order: a random order of each member's rows that is computed where it is read, and stored nowhere."""

from __future__ import annotations

import math

import torch

ROUNDS = 4


class Order:
    """A permutation of 0 … n − 1 for each of M members, known by tables of some √n random numbers.

    A Feistel network whose round functions are tables of random numbers (Luby & Rackoff 1988) permutes a grid of a × b ≥ n
    cells that has fewer than √n cells too many (Black & Rogaway 2002: x = (left, right), moved in turn by a shift that the
    other tells). Where a place leads to one of those, the network is followed on until it leads back (cycle walking); they
    are so few that all these ways fit a table.
    """

    def __init__(self, members: int, n: int, rng: torch.Generator) -> None:
        self.n, self.left = n, math.isqrt(max(n - 1, 0)) + 1
        self.right = -(-n // self.left)
        sizes = [(self.left, self.right), (self.right, self.left)] * (ROUNDS // 2)
        device = rng.device
        self.shifts = [torch.randint(side, (members, other), generator=rng, device=device) for side, other in sizes]
        cells = torch.arange(n, self.left * self.right, device=device).expand(members, -1)
        beyond = self._through(cells)
        # A cycle of cells too many is led to by no place: it ends where it began.
        while bool((astray := (beyond >= n) & (beyond != cells)).any()):
            beyond = torch.where(astray, self._through(beyond), beyond)
        self.beyond = beyond  # (M, a b - n)

    def __call__(self, start: int, stop: int) -> torch.Tensor:
        """Return what stands at places start … stop - 1 of each member's order: (M, stop - start)."""
        found = self._through(torch.arange(start, stop, device=self.beyond.device).expand(len(self.beyond), -1))
        if not self.beyond.shape[1]:
            return found
        return torch.where(found < self.n, found, self.beyond.gather(1, (found - self.n).clamp(min=0)))

    def _through(self, place: torch.Tensor) -> torch.Tensor:
        """Return the cells that the network moves cells (M, k) to."""
        moved = place // self.right
        other = place - moved * self.right
        size, still = self.left, self.right
        for shift in self.shifts:
            moved = moved + shift.gather(1, other)
            moved, other = other, torch.where(moved < size, moved, moved - size)
            size, still = still, size
        return moved * self.right + other
