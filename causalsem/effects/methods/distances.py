"""How far apart two arms lie in a representation: what balancing makes small (Shalit et al. 2017)."""

from __future__ import annotations

import torch
from torch import Tensor

SMALLEST_RIDGE, SMALLEST_VARIANCE, MOST_EXPLAINED = 1e-4, 1e-10, 1 - 1e-6


def linear_mmd(phi: Tensor, one: Tensor, zero: Tensor) -> Tensor:
    """Return the squared distance of two arms' mean representations (K,): φ (K, rows, f), each arm's weights (K, rows)."""
    one, zero = one[..., None], zero[..., None]
    difference = (phi * one).sum(1) / one.sum(1).clamp(min=1) - (phi * zero).sum(1) / zero.sum(1).clamp(min=1)
    return difference.square().sum(1)


def wasserstein(phi: Tensor, one: Tensor, zero: Tensor, rounds: int = 10) -> Tensor:
    """Return the entropic transport cost between two arms' representations (K,), the plan held fixed in the gradient.

    Sinkhorn's algorithm in logarithms (Cuturi 2013) with a regularisation of a tenth of the mean squared distance.
    """
    cost = torch.cdist(phi, phi).square()  # (K, rows, rows)
    with torch.no_grad():
        log_a = (one / one.sum(1, keepdim=True).clamp(min=1)).log()
        log_b = (zero / zero.sum(1, keepdim=True).clamp(min=1)).log()
        both = one[:, :, None] * zero[:, None, :]
        middle = (cost * both).sum((1, 2)) / both.sum((1, 2)).clamp(min=1)
        kernel = -cost / (0.1 * middle.clamp(min=1e-6))[:, None, None]
        u, v = torch.zeros_like(log_a), torch.zeros_like(log_b)
        for _ in range(rounds):
            u = -torch.logsumexp(kernel + (v + log_b)[:, None, :], dim=2)
            v = -torch.logsumexp(kernel + (u + log_a)[:, :, None], dim=1)
        plan = (kernel + (u + log_a)[:, :, None] + (v + log_b)[:, None, :]).exp()
    return (plan * cost).sum((1, 2))


def discrimination(phi: Tensor, one: Tensor, zero: Tensor, waves: Tensor | None = None) -> Tensor:
    """Return −½ log(1 − R²) (K,), in nats, of the best critic that tells two arms of equal weight apart by φ.

    R² is that of `critic` on `features`. Unlike a distance of means it cannot be lowered by shrinking φ.
    """
    with torch.autocast(phi.device.type, enabled=False):  # half precision cannot solve
        psi = features(phi.float(), one + zero, waves)
        own = _arm_means(psi, one) - _arm_means(psi, zero)  # (K, D)
        explained = (own[:, None] @ critic(psi, one, zero))[:, 0, 0] / 2
        return -torch.log1p(-explained.clamp(max=MOST_EXPLAINED)) / 2


def features(phi: Tensor, weight: Tensor, waves: Tensor | None = None) -> Tensor:
    """Return what a critic sees of φ (K, rows, f): its columns, standardised by `weight` (K, rows), and their sizes,
    and with `waves` (f, D) the sines and cosines of φ · waves (random Fourier features: Rahimi & Recht 2007)."""
    columns = _standardised(phi, weight)
    seen = [columns, columns.abs()]
    if waves is not None:
        angle = columns @ waves
        seen += [angle.sin(), angle.cos()]
    return _standardised(torch.cat(seen, dim=2), weight)


def critic(psi: Tensor, one: Tensor, zero: Tensor) -> Tensor:
    """Return the direction (K, D, 1) along which two arms of equal weight differ most for their spread (Fisher 1936), in closed form.

    It is a ridge regression of the arm (±1) on ψ (K, rows, D); with random Fourier features, the kernel Fisher discriminant
    (Harchaoui et al. 2008). The ridge is the sampling noise of the arms' means: no surer than the smaller arm allows.
    """
    one, zero = (arm / arm.sum(1, keepdim=True).clamp(min=1) for arm in (one, zero))
    weight = (one + zero)[..., None] / 2  # each arm counts half, however rare
    noise = (one.square().sum(1) + zero.square().sum(1)) / 4
    centred = psi - (psi * weight).sum(1, keepdim=True)
    spread = centred.transpose(1, 2) @ (centred * weight)
    ridge = (noise * psi.shape[2] + SMALLEST_RIDGE)[:, None, None] * torch.eye(psi.shape[2], device=psi.device)
    root, _ = torch.linalg.cholesky_ex(spread + ridge)
    difference = centred.transpose(1, 2) @ (one - zero)[..., None] / 2
    return torch.cholesky_solve(difference, root)


def _arm_means(psi: Tensor, arm: Tensor) -> Tensor:
    return (psi * arm[..., None]).sum(1) / arm.sum(1, keepdim=True).clamp(min=1)


def _standardised(phi: Tensor, weight: Tensor) -> Tensor:
    share = (weight / weight.sum(1, keepdim=True))[..., None]
    centred = phi - (phi * share).sum(1, keepdim=True)
    return centred / ((centred.square() * share).sum(1, keepdim=True) + SMALLEST_VARIANCE).sqrt()
