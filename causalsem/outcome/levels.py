"""The multilevel model on the whole grid of users × items: sweeps over its levels, variances by empirical Bayes.

η(u, i) = fᵢᵀ(a_u + Cᵀg_u) + g_uᵀ b_i + z_uiᵀ d with f = [1, item traits], g = [1, user traits], z the pair block. Every coefficient has
a normal prior whose variance is shared within its group: a level crossed with a trait, or with a one-hot block of traits.
A user's coefficients a_u also have a covariance: who likes one kind of item tells of the next kind.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from causalsem._values import BoolArray, FloatArray, IntArray

# A variance is held up by two coefficients of this size, so that a level that says nothing stays a number.
PRIOR_VARIANCE, PRIOR_COUNT = 1e-3, 2.0
FLAT = 10.0
# That a user's coefficients go together must be told by many users: so many a coefficient speak for independence.
INDEPENDENT = 8
# With known variances, the quadratic under the likelihood is renewed at every one of the first sweeps, then at every few.
EAGER, LAZY = 12, 4
# Steps of EM go up to so many times as far, but move no variance by more than a third.
HURRY, LONGEST_STEP = 3.0, 0.3
# Sweeps end when one changes the weighted squared residual by less than this share.
TOLERANCE = 1e-5


@dataclass(frozen=True, slots=True)
class Grid:
    """What was seen: `weight` (M, U, I), 0 where nothing was, and `y` (U, I); `f` (I, p), `g` (U, q), `z` (U, I, k) as above.

    `f_group` (p,), `g_group` (q,) number the variance groups of the columns, 0 for the constant.
    """

    weight: torch.Tensor
    y: torch.Tensor
    f: torch.Tensor
    g: torch.Tensor
    z: torch.Tensor
    f_group: torch.Tensor
    g_group: torch.Tensor
    binary: bool


@dataclass(frozen=True, slots=True)
class Levels:
    """Coefficients `users` (M, U, p), `items` (M, I, q), `shared` (M, q·p + k)."""

    users: torch.Tensor
    items: torch.Tensor
    shared: torch.Tensor

    @classmethod
    def start(cls, grid: Grid) -> Levels:
        """Return the model that knows each member's mean outcome and nothing else."""
        m, u, i = grid.weight.shape
        p, q, k = grid.f.shape[1], grid.g.shape[1], grid.z.shape[2]
        levels = cls(*(torch.zeros(size, dtype=grid.y.dtype, device=grid.y.device) for size in ((m, u, p), (m, i, q), (m, q * p + k))))
        mean = (grid.weight * grid.y).sum(dim=(1, 2)) / grid.weight.sum(dim=(1, 2)).clamp(min=1e-300)
        levels.shared[:, 0] = torch.logit(mean, eps=1e-4) if grid.binary else mean
        return levels

    def members(self, which: slice) -> Levels:
        """Return the levels of some members."""
        return Levels(self.users[which], self.items[which], self.shared[which])

    def around(self, centre: Levels) -> Levels:
        """Return the same members moved so that their mean is the one of `centre`."""
        own = ((self.users, centre.users), (self.items, centre.items), (self.shared, centre.shared))
        return Levels(*(levels - levels.mean(dim=0, keepdim=True) + middle for levels, middle in own))

    def of_users(self, grid: Grid) -> torch.Tensor:
        """Return a_uᵀ f_i: (M, U, I)."""
        return self.users @ grid.f.T

    def of_items(self, grid: Grid) -> torch.Tensor:
        """Return g_uᵀ b_i: (M, U, I)."""
        return (self.items @ grid.g.T).mT

    def of_all(self, grid: Grid) -> torch.Tensor:
        """Return g_uᵀ C f_i + z_uiᵀ d: (M, U, I)."""
        p, q = grid.f.shape[1], grid.g.shape[1]
        crosses = self.shared[:, : q * p].reshape(-1, q, p)
        told = grid.g @ crosses @ grid.f.T
        return told + torch.einsum("uik,mk->mui", grid.z, self.shared[:, q * p :]) if grid.z.shape[2] else told

    def predictor(self, grid: Grid) -> torch.Tensor:
        """Return η of every cell: (M, U, I)."""
        return self.of_users(grid) + self.of_items(grid) + self.of_all(grid)


@dataclass(frozen=True, slots=True)
class Variances:
    """Prior variances of the coefficients: `users` (p,), `items` (q,), `shared` (q·p + k,); `noise` of the outcome, 1 for a 0/1 one.

    `together` (p, p) is the covariance of a user's coefficients; None where they are independent.
    """

    users: torch.Tensor
    items: torch.Tensor
    shared: torch.Tensor
    noise: float = 1.0
    together: torch.Tensor | None = None

    @property
    def matrices(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The prior covariances of the three levels: (p, p), (q, q), (s, s)."""
        users = torch.diag(self.users) if self.together is None else self.together
        return users, torch.diag(self.items), torch.diag(self.shared)

    @classmethod
    def start(cls, grid: Grid) -> Variances:
        """Return middling variances to start from."""
        size = (grid.f.shape[1], grid.g.shape[1], grid.f.shape[1] * grid.g.shape[1] + grid.z.shape[2])
        users, items, shared = (torch.full((n,), 0.05, dtype=grid.y.dtype, device=grid.y.device) for n in size)
        found = cls(users, items, shared)
        found.users[0], found.items[0], found.shared[0] = 0.3, 0.1, FLAT
        return found

    def learnt(self, grid: Grid, levels: Levels, posterior: Posterior, hurry: float = 1.0) -> Variances:
        """Return one step of EM: a group's variance is the mean of its coefficients' second moments (Dempster et al. 1977).

        Over-relaxed up to `hurry` times where the coefficients' posterior is little narrower than their prior, since EM crawls
        there (Salakhutdinov & Roweis 2003). `posterior` must be that under these variances.
        """
        of_cross = (grid.g_group[:, None] * (1 + int(grid.f_group.max())) + grid.f_group[None, :]).reshape(-1)
        of_pair = int(of_cross.max()) + 1 + torch.arange(grid.z.shape[2], device=of_cross.device)
        users = pooled(self.users, levels.users, posterior.users, grid.f_group, hurry)
        items = pooled(self.items, levels.items, posterior.items, grid.g_group, hurry)
        shared = pooled(self.shared, levels.shared[:, None], posterior.shared[:, None], torch.cat([of_cross, of_pair]), hurry)
        shared[0] = FLAT
        return replace(self, users=users, items=items, shared=shared, together=covariance(users, levels.users, posterior.users))

    def noise_learnt(self, grid: Grid, weight: torch.Tensor, residual: torch.Tensor, posterior: Posterior) -> Variances:
        """Return the step of EM for the noise, from residuals (M, U, I) over working weights; that of a 0/1 outcome stays."""
        if grid.binary:
            return self
        # Working weights are over the noise's variance; times it, they are the weights.
        return replace(self, noise=self.noise * float(((weight * residual**2).sum() + posterior.explained()) / grid.weight.sum()))


def pooled(variance: torch.Tensor, mean: torch.Tensor, covariance: torch.Tensor, group: torch.Tensor, hurry: float) -> torch.Tensor:
    """Return the prior variances (d,) after a step of EM that pools groups (d,) of coefficients with posterior mean (M, n, d)."""

    def over_group(values: torch.Tensor) -> torch.Tensor:
        return torch.zeros(int(group.max()) + 1, dtype=values.dtype, device=group.device).index_add_(0, group, values)

    spread = torch.diagonal(covariance, dim1=-2, dim2=-1)  # (M, n, d)
    times = mean.shape[1]
    count = over_group(torch.ones_like(variance)) * times
    moment = over_group((mean**2 + spread).mean(dim=(0, 1))) * times
    step = ((moment + PRIOR_COUNT * PRIOR_VARIANCE) / (count + PRIOR_COUNT))[group].log() - variance.log()
    # EM's rate is the share of information that is missing; one over the share present undoes it.
    present = over_group(((1 - spread / variance) ** 2).mean(dim=(0, 1))) * times / count
    further = (1 / present.clamp(min=1e-9)).clamp(max=hurry)[group]
    return variance * torch.exp(step if hurry == 1 else (further * step).clamp(-LONGEST_STEP, LONGEST_STEP))


def covariance(variance: torch.Tensor, mean: torch.Tensor, spread: torch.Tensor) -> torch.Tensor:
    """Return the step of EM for the covariance (d, d) of coefficients with posterior `mean` (M, n, d) and covariance `spread` (M, n, d, d).

    It is the mode under an inverse Wishart prior around the pooled `variance` (d,). With a weaker one the steps go on for hundreds
    of sweeps and end where held-out pairs are predicted worse.
    """
    n, held = mean.shape[1], INDEPENDENT * len(variance)
    second = (torch.einsum("mna,mnb->mab", mean, mean) + spread.sum(dim=1)).mean(dim=0)
    return (second + held * torch.diag(variance)) / (n + held)


@dataclass(frozen=True, slots=True)
class Posterior:
    """Covariances and Gram matrices of each level given the others: `users` (M, U, p, p), `items` (M, I, q, q), `shared` (M, s, s)."""

    users: torch.Tensor
    items: torch.Tensor
    shared: torch.Tensor
    user_gram: torch.Tensor
    item_gram: torch.Tensor
    shared_gram: torch.Tensor

    @classmethod
    def of(cls, grid: Grid, weight: torch.Tensor, v: Variances) -> Posterior:
        """Return the posterior under the working weights (M, U, I)."""
        p, q = grid.f.shape[1], grid.g.shape[1]
        ff = (grid.f[:, :, None] * grid.f[:, None, :]).reshape(-1, p * p)
        gg = (grid.g[:, :, None] * grid.g[:, None, :]).reshape(-1, q * q)
        m, n_users, n_items = weight.shape
        users, items = (weight @ ff).reshape(m, n_users, p, p), (weight.mT @ gg).reshape(m, n_items, q, q)
        shared = shared_gram(grid, weight, users, gg)
        covariances = [inverse(gram + inverse(prior)) for gram, prior in zip((users, items, shared), v.matrices, strict=True)]
        return cls(covariances[0], covariances[1], covariances[2], users, items, shared)

    def explained(self) -> torch.Tensor:
        """Return Σ w Var(η) over the working weights, levels taken as independent."""
        pairs = ((self.users, self.user_gram), (self.items, self.item_gram), (self.shared, self.shared_gram))
        return sum(((a * b).sum() for a, b in pairs), start=torch.zeros((), dtype=self.users.dtype, device=self.users.device))


def shared_gram(grid: Grid, weight: torch.Tensor, users: torch.Tensor, gg: torch.Tensor) -> torch.Tensor:
    """Return Σ w h hᵀ of h = [g ⊗ f, z]: (M, s, s)."""
    m, p, q, k = len(weight), grid.f.shape[1], grid.g.shape[1], grid.z.shape[2]
    crosses = (gg.T @ users.reshape(m, -1, p * p)).reshape(m, q, q, p, p).transpose(2, 3).reshape(m, q * p, q * p)
    if not k:
        return crosses
    pair = torch.einsum("mui,uik,uil->mkl", weight, grid.z, grid.z)
    between = torch.stack([(grid.g.T @ (weight * grid.z[..., j]) @ grid.f).reshape(m, -1) for j in range(k)], dim=-1)
    return torch.cat([torch.cat([crosses, between], dim=2), torch.cat([between.mT, pair], dim=2)], dim=1)


def inverse(matrix: torch.Tensor) -> torch.Tensor:
    """Return the inverse of symmetric positive definite matrices (…, d, d)."""
    return torch.cholesky_inverse(torch.linalg.cholesky(matrix))


def sweep(grid: Grid, weight: torch.Tensor, goal: torch.Tensor, levels: Levels, posterior: Posterior) -> tuple[Levels, torch.Tensor]:
    """Solve each level given the others, once around; return the levels and the residual goal − η (M, U, I)."""
    p = grid.f.shape[1]
    of_items, of_all = levels.of_items(grid), levels.of_all(grid)
    partial = goal - of_items - of_all
    levels = replace(levels, users=torch.einsum("muab,mub->mua", posterior.users, (weight * partial) @ grid.f))
    of_users = levels.of_users(grid)
    partial = goal - of_users - of_all
    levels = replace(levels, items=torch.einsum("miab,mib->mia", posterior.items, (weight * partial).mT @ grid.g))
    partial = goal - of_users - levels.of_items(grid)
    right = (grid.g.T @ (weight * partial) @ grid.f).reshape(len(weight), p * grid.g.shape[1])
    if grid.z.shape[2]:
        right = torch.cat([right, torch.einsum("mui,uik->mk", weight * partial, grid.z)], dim=1)
    levels = replace(levels, shared=(posterior.shared @ right[..., None])[..., 0])
    return levels, partial - levels.of_all(grid)


def working(grid: Grid, predictor: torch.Tensor, noise: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return weights and responses of the quadratic that touches the log-likelihood at η: (M, U, I) each.

    For a 0/1 outcome these are the weights p(1 − p) and the working response of penalised quasi-likelihood
    (Breslow & Clayton 1993). A bound that holds everywhere (Jaakkola & Jordan 2000) takes three times the information
    there is when one pair in twenty buys, and then learns variances that are far too large.
    """
    if not grid.binary:
        return grid.weight / noise, grid.y.expand_as(grid.weight)
    mean = predictor.sigmoid()
    # The floor keeps a nearly certain cell from asking for an endless step.
    curvature = (mean * (1 - mean)).clamp(min=0.01)
    return grid.weight * curvature, predictor + (grid.y - mean) / curvature


def fit_levels(grid: Grid, variances: Variances | None, sweeps: int, *, learn: bool = False) -> tuple[Levels, Variances]:
    """Return the levels of every member and the variances; with `learn` these only start at `variances` and suit all members."""
    v, levels = variances or Variances.start(grid), Levels.start(grid)
    weight, goal = working(grid, levels.predictor(grid), v.noise)
    posterior, fit = Posterior.of(grid, weight, v), float("inf")
    for step in range(sweeps):
        if step and (learn or (grid.binary and (step < EAGER or step % LAZY == 0))):
            weight, goal = working(grid, levels.predictor(grid), v.noise)
            posterior = Posterior.of(grid, weight, v)
        levels, residual = sweep(grid, weight, goal, levels, posterior)
        before, fit = fit, float((weight * residual**2).sum())
        if learn:
            v = v.noise_learnt(grid, weight, residual, posterior).learnt(grid, levels, posterior, HURRY if step >= EAGER else 1.0)
        elif step >= EAGER and abs(before - fit) < TOLERANCE * fit:
            break
    return levels, v


def groups_of(traits: FloatArray) -> tuple[IntArray, FloatArray]:
    """Return the variance group (d,) of trait columns, from 1, and the scale (d,) their prior is stated on.

    Columns side by side that are 0/1 and sum to one are levels of one factor: they share a variance, stated for the
    plain 0/1 columns. Any other column is a group of its own, stated for the column as it comes.
    """
    import numpy as np

    d = traits.shape[1]
    group, scale = np.zeros(d, dtype=np.int64), np.ones(d)
    low, high = (traits.min(axis=0), traits.max(axis=0)) if len(traits) else (np.zeros(d), np.zeros(d))
    binary = np.array([high[j] > low[j] and bool(np.isin(traits[:, j], (low[j], high[j])).all()) for j in range(d)], dtype=bool)
    on = traits > (low + high) / 2
    start, label = 0, 0
    while start < d:
        label += 1
        stop = _block_end(on, binary, start)
        group[start:stop] = label
        if stop > start + 1:
            scale[start:stop] = 1 / (high[start:stop] - low[start:stop])
        start = stop
    return group, scale


def _block_end(on: BoolArray, binary: BoolArray, start: int) -> int:
    """Return where the one-hot block that begins at `start` ends, or start + 1 if none does."""
    total = on[:, start].astype(int)
    for stop in range(start + 1, on.shape[1] + 1):
        if not binary[start:stop].all() or (total > 1).any():
            break
        if stop > start + 1 and (total == 1).all():
            return stop
        if stop < on.shape[1]:
            total = total + on[:, stop]
    return start + 1
