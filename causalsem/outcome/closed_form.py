"""From pairs to the grid of a multilevel model, and from its levels back to a network's heads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from causalsem._values import FloatArray, IntArray
from causalsem.errors import SettingError
from causalsem.networks.multilevel import MultilevelNet
from causalsem.outcome.encoder import Encoded
from causalsem.outcome.levels import Grid, Levels, Variances, fit_levels, groups_of
from causalsem.outcome.losses import Loss

# Cells of users × items × members, and coefficients shared by all, beyond which the grid does not pay.
LARGEST_GRID, LARGEST_SHARED = 2**25, 1500
LEARNING_SWEEPS, SWEEPS = 40, 60


def fits_grid(encoded: Encoded, members: int) -> bool:
    """Say whether the pairs can be laid out as one grid: small enough, and no cell with two pair blocks."""
    users, items = len(encoded.user_traits), len(encoded.item_traits)
    shared = (1 + encoded.user_traits.shape[1]) * (1 + encoded.item_traits.shape[1]) + encoded.pair.shape[1]
    if users * items * members > LARGEST_GRID or shared > LARGEST_SHARED:
        return False
    return not encoded.pair.shape[1] or len(np.unique(encoded.user * items + encoded.item)) == len(encoded)


def check_grid(encoded: Encoded, members: int) -> None:
    """Raise SettingError unless levels can be fitted to the pairs, which `TwoTower(wide=True)` stands on."""
    if fits_grid(encoded, members):
        return
    users, items = len(encoded.user_traits), len(encoded.item_traits)
    raise SettingError(
        f"wide=True stands on the multilevel model of one grid, and {users:,} users × {items:,} items × {members} members with "
        f"{encoded.user_traits.shape[1]} × {encoded.item_traits.shape[1]} traits are not one: at most {LARGEST_GRID:,} cells and "
        f"{LARGEST_SHARED:,} coefficients shared by all, each pair once; cut items or features (EventLog.busiest, Recipe(most_items=)), "
        "or use wide=False"
    )


def takes_likelihood(loss: Loss) -> bool:
    """Say whether a loss is a weighted likelihood of what was observed, which the grid can maximise."""
    return loss.row_weights(np.ones((1, 2)), np.ones((1, 2))) is not None


class GridFit:
    """The levels of one network's heads, each member blind to its fold of the pairs.

    `whole` holds by head what `settle` writes: members as far apart as the blind ones, around the fit of all pairs.
    """

    def __init__(self, encoded: Encoded, folds: IntArray, members: int, device: torch.device) -> None:
        self.device, self.members = device, members
        self.variances: dict[int, Variances] = {}
        self.whole: dict[int, Levels] = {}
        self.users, self.items = len(encoded.user_traits), len(encoded.item_traits)
        self.cell, self.fold = self._whole(encoded.user * self.items + encoded.item), self._whole(folds)
        self.f, self.f_group, self.f_scale = self._side(encoded.item_traits)
        self.g, self.g_group, self.g_scale = self._side(encoded.user_traits)
        z = torch.zeros(self.users * self.items, encoded.pair.shape[1], dtype=torch.float64, device=device)
        z[self.cell] = self._real(encoded.pair)
        self.z = z.reshape(self.users, self.items, z.shape[1])

    def grid(self, y: FloatArray, weight: FloatArray, *, binary: bool) -> Grid:
        """Return what a head is fitted to, all members at once: `y`, `weight` (n,) of the pairs."""
        w, wy = self._real(weight), self._real(weight * y)
        cells = self.users * self.items
        by_fold = torch.zeros(self.members * cells, dtype=torch.float64, device=self.device)
        by_fold = by_fold.index_add_(0, self.fold * cells + self.cell, w).reshape(self.members, self.users, self.items)
        total = by_fold.sum(dim=0)
        mean = torch.zeros(cells, dtype=torch.float64, device=self.device).index_add_(0, self.cell, wy).reshape(total.shape)
        mean = torch.where(total > 0, mean / total.clamp(min=1e-300), 0.0)
        seen = (total - by_fold).clamp(min=0)
        return Grid(seen, mean, self.f, self.g, self.z, self.f_group, self.g_group, binary)

    def fit(self, net: MultilevelNet, head: int, y: FloatArray, weight: FloatArray, *, binary: bool) -> Variances:
        """Learn the variances from all pairs, then each member's levels from its own; write them into a head of `net`."""
        grid = self.grid(y, weight, binary=binary)
        # A mean over folds of what is left is (M − 1) / M of everything: all pairs, each once.
        everything = grid.weight.sum(dim=0, keepdim=True) / (self.members - 1)
        # A head fitted before, under other weights, knows about how large its variances are.
        known = self.variances.get(head)
        sweeps = LEARNING_SWEEPS if known is None else LEARNING_SWEEPS // 3
        _, variances = fit_levels(replace(grid, weight=everything), known, sweeps, learn=True)
        levels, _ = fit_levels(replace(grid, weight=torch.cat([everything, grid.weight])), variances, SWEEPS)
        blind = levels.members(slice(1, None))
        self.variances[head], self.whole[head] = variances, blind.around(levels.members(slice(0, 1)))
        self._write(net, head, blind)
        return variances

    def settle(self, net: MultilevelNet) -> None:
        """Let every head of `net` speak from all pairs, once nothing is to be judged on unseen folds any more."""
        for head, levels in self.whole.items():
            self._write(net, head, levels)

    def _write(self, net: MultilevelNet, head: int, levels: Levels) -> None:
        p, q = len(self.f_scale), len(self.g_scale)
        users, items = levels.users * self.f_scale, levels.items * self.g_scale
        crosses = levels.shared[:, : q * p].reshape(-1, q, p) * self.g_scale[:, None] * self.f_scale
        net.write(head, users, items, crosses, levels.shared[:, q * p :])

    def _side(self, traits: FloatArray) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return [1, traits] on the scale of their priors, the variance groups and that scale, 0 and 1 for the constant."""
        group, scale = groups_of(traits)
        scale = np.concatenate([[1.0], scale])
        columns = np.column_stack([np.ones(len(traits)), traits]) * scale
        return self._real(columns), self._whole(np.concatenate([[0], group])), self._real(scale)

    def _real(self, array: FloatArray) -> torch.Tensor:
        return torch.tensor(array, dtype=torch.float64, device=self.device)

    def _whole(self, array: IntArray) -> torch.Tensor:
        return torch.tensor(array, dtype=torch.int64, device=self.device)
