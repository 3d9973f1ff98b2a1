"""Many ML fits of one model at once: Newton's method over a batch of sample moments, as one torch program."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from causalsem._values import BoolArray, FloatArray, IntArray
from causalsem.errors import SettingError
from causalsem.sem.matrices import RAM

# Squared length of the last step in units of one row's standard errors. A Newton step squares its error, a Fisher step
# only shrinks it; resamples need fewer digits than a fit.
SURE, CLOSE = 1e-7, 1e-12
# Resamples taken at a time on a CPU, so that their matrices stay in cache; they take the first steps so, the rest all together.
CHUNK, EARLY, STEPS = 125, 8, 100


def fit_many(
    rams: Sequence[RAM], moments: Sequence[tuple[FloatArray, FloatArray]], sizes: FloatArray, start: FloatArray, *, device: str = "auto"
) -> tuple[FloatArray, BoolArray]:
    """Return θ of every resample, (times, k), and which of them converged; `moments` holds means and covariances per group.

    `start` is one θ, (k,), or one for each resample, (times, k). Fixed causes keep the moments of their own resample.
    """
    import torch

    _check_device(torch, device)
    where = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
    times = len(moments[0][0])
    weights = sizes / sizes.sum()
    theta = np.array(np.broadcast_to(start, (times, np.shape(start)[-1])))
    solved = np.zeros(times, dtype=bool)

    def advance(who: IntArray, steps: int) -> None:
        groups = []
        for ram, parts in zip(rams, moments, strict=True):
            mean, S = (torch.as_tensor(part[who], dtype=torch.float64, device=where) for part in parts)
            groups.append(_Group(torch, ram, mean, S, theta.shape[1], where))
        found, good = _minimise(torch, groups, weights, torch.as_tensor(theta[who], device=where), steps)
        theta[who], solved[who] = found.cpu().numpy(), good.cpu().numpy()

    size = CHUNK if where.type == "cpu" else times
    for first in range(0, times, size):
        advance(np.arange(first, min(first + size, times)), EARLY)
    # The stubborn few of all chunks go on together.
    if not solved.all():
        advance(np.flatnonzero(~solved), STEPS)
    return theta, solved


def _check_device(torch: Any, device: str) -> None:
    """Raise SettingError for a device that is not there."""
    kind = device.split(":", maxsplit=1)[0]
    if kind not in ("auto", "cpu", "cuda"):
        raise SettingError(f"unknown device {device!r}; use 'auto', 'cpu' or 'cuda'")
    if kind == "cuda" and not torch.cuda.is_available():
        raise SettingError(f"device={device!r}, but torch sees no GPU; use device='cpu'")


def _minimise(torch: Any, groups: Sequence[_Group], weights: FloatArray, start: Any, steps: int) -> tuple[Any, Any]:
    """Return where one batch got to from `start` (times, k) in some steps, and which of its resamples arrived."""
    result = start.clone()
    solved = torch.zeros(len(start), dtype=torch.bool, device=start.device)
    # Only resamples still on their way are carried along: `who` are their numbers.
    who = torch.arange(len(start), device=start.device)
    theta = result.clone()
    at = _sum(groups, weights, theta)
    share = theta.new_ones(len(start))
    for _ in range(steps):
        step, decrement, newton = _step(torch, at)
        arrived = (decrement < torch.where(newton, SURE, CLOSE)) & at.value.isfinite()
        if bool(arrived.any()):
            result[who[arrived]] = (theta + step)[arrived]
            solved[who[arrived]] = True
            left = ~arrived
            who, theta, step, share, at = who[left], theta[left], step[left], share[left], at.only(left)
            groups = [g.only(left) for g in groups]
        if not len(who):
            return result, solved
        candidate = theta + share[:, None] * step
        new = _sum(groups, weights, candidate)
        better = new.value <= at.value + 1e-13
        # A step that climbs is halved and tried again; the next one from a better place is whole again.
        share = torch.where(better, 1.0, share / 2)
        theta = torch.where(better[:, None], candidate, theta)
        at = new if bool(better.all()) else at.unless(torch, better, new)
    result[who] = theta
    return result, solved


@dataclass(frozen=True, slots=True, eq=False)
class _At:
    """A batch's discrepancies at one θ each: value (times,), gradient (times, k), information and Hessian (times, k, k)."""

    value: Any
    gradient: Any
    information: Any
    hessian: Any

    def only(self, kept: Any) -> _At:
        """Return those of some resamples."""
        return _At(self.value[kept], self.gradient[kept], self.information[kept], self.hessian[kept])

    def unless(self, torch: Any, better: Any, new: _At) -> _At:
        """Return `new` where it is better."""
        wide, square = better[:, None], better[:, None, None]
        return _At(
            torch.where(better, new.value, self.value),
            torch.where(wide, new.gradient, self.gradient),
            torch.where(square, new.information, self.information),
            torch.where(square, new.hessian, self.hessian),
        )


def _step(torch: Any, at: _At) -> tuple[Any, Any, Any]:
    """Return Newton's steps (Fisher's where the Hessian is not positive definite), squared lengths, and which are Newton's."""
    step, decrement, ok = _solved(torch, at.hessian, at.gradient)
    if not bool(ok.all()):
        fisher, length, _ = _solved(torch, at.information, at.gradient)
        step, decrement = torch.where(ok[:, None], step, fisher), torch.where(ok, decrement, length)
    return step, decrement, ok


def _solved(torch: Any, metric: Any, gradient: Any) -> tuple[Any, Any, Any]:
    """Return −M⁻¹g, its squared length, and where M is positive definite; scaled to unit diagonal against bad units."""
    scale = metric.diagonal(dim1=1, dim2=2).clamp_min(1e-300).rsqrt()
    factor, info = torch.linalg.cholesky_ex(metric * scale[:, :, None] * scale[:, None, :])
    step = -scale * torch.cholesky_solve((scale * gradient)[:, :, None], factor)[:, :, 0]
    decrement = -(step * gradient).sum(dim=1)
    ok = (info == 0) & decrement.isfinite() & (metric.diagonal(dim1=1, dim2=2) > 0).all(dim=1)
    return torch.where(ok[:, None], step, 0.0), torch.where(ok, decrement.abs(), torch.inf), ok


def _sum(groups: Sequence[_Group], weights: FloatArray, theta: Any) -> _At:
    """Return the weighted discrepancies of all groups and their derivatives by parameter."""
    times, k = theta.shape
    value, gradient = theta.new_zeros(times), theta.new_zeros(times, k)
    information, hessian = theta.new_zeros(times, k, k), theta.new_zeros(times, k, k)
    for group, weight in zip(groups, weights, strict=True):
        value += group.add_derivatives(theta, float(weight), gradient, information, hessian)
    return _At(value, gradient, information, hessian)


class _Group:
    """One group's model and resampled moments on the device; batched twin of matrices.py, discrepancy.py and hessian.py."""

    def __init__(self, torch: Any, ram: RAM, mean: Any, S: Any, count: int, where: Any) -> None:
        self.torch, self.ram, self.mean, self.S = torch, ram, mean, S
        self.logdet = torch.linalg.slogdet(S)[1]
        self.pairs = _Pairs(torch, ram, count, where)
        times, q = len(S), len(ram.A0)
        self.A0 = torch.as_tensor(np.array(ram.A0), device=where).expand(times, q, q)
        self.m0 = torch.as_tensor(np.array(ram.m0), device=where).expand(times, q).clone()
        self.S0 = torch.as_tensor(np.array(ram.S0), device=where).expand(times, q, q).clone()
        x = fixed_places(ram)
        if len(x):
            self.S0[:, x[:, None], x] = S[:, x[:, None], x]
        if ram.means:
            self.m0[:, x] = mean[:, x]

    def only(self, kept: Any) -> _Group:
        """Return the group with only some of its resamples."""
        other = copy.copy(self)
        for name in ("mean", "S", "logdet", "A0", "S0", "m0"):
            setattr(other, name, getattr(self, name)[kept])
        return other

    def add_derivatives(self, theta: Any, weight: float, gradient: Any, information: Any, hessian: Any) -> Any:
        """Add weight × the derivatives of ½F in place and return weight × ½F, (times,): inf where Σ is not positive definite."""
        torch, p, at = self.torch, self.ram.p, self.pairs
        A, S, m = self.A0.clone(), self.S0.clone(), self.m0.clone()
        A[:, at.a[0], at.a[1]] = theta[:, at.a[2]]
        S[:, at.s[0], at.s[1]] = theta[:, at.s[2]]
        S[:, at.s[1], at.s[0]] = theta[:, at.s[2]]
        m[:, at.m[0]] = theta[:, at.m[1]]
        eye = torch.eye(A.shape[1], dtype=A.dtype, device=A.device)
        E = torch.linalg.inv_ex(eye - A)[0]
        EV = torch.cat([E, E @ S @ E.transpose(1, 2)], dim=2)  # [E | V], (times, q, 2q)
        q = len(eye)
        factor, info = torch.linalg.cholesky_ex(EV[:, :p, q : q + p])
        factor = torch.where((info == 0)[:, None, None], factor, eye[:p, :p])
        W = torch.cholesky_inverse(factor)
        T, eta, gap = self.S, None, None
        if self.ram.means:
            eta = (E @ m[:, :, None])[:, :, 0]
            gap = self.mean - eta[:, :p]
            T = T + gap[:, :, None] * gap[:, None, :]
        F = 2 * factor.diagonal(dim1=1, dim2=2).log().sum(dim=1) + (W * T).sum(dim=(1, 2)) - self.logdet - p
        slope, *squares = at.by_covariances(EV, W, T)
        gradient.index_add_(1, at.told[: slope.shape[1]], weight * slope)
        for whole, part in zip((information, hessian), squares, strict=True):
            flat = whole.flatten(1)
            flat.index_add_(1, at.lower, weight * part)
            flat.index_add_(1, at.upper, weight * part[:, at.off])
        if self.ram.means:
            slope, expected, second = at.by_means(EV, W, eta, gap)
            gradient.index_add_(1, at.told, weight * slope)
            for whole, part in ((information, expected), (hessian, second)):
                whole.flatten(1).index_add_(1, at.square, weight * part.flatten(1))
        return 0.5 * weight * torch.where((info == 0) & F.isfinite(), F, torch.inf)


class _Pairs:
    """Where the derivatives of one group's model look: every pair e ≥ f of covariance entries, as places in flat matrices."""

    def __init__(self, torch: Any, ram: RAM, count: int, where: Any) -> None:
        def index(values: IntArray) -> Any:
            return torch.as_tensor(np.array(values), dtype=torch.int64, device=where)

        q, na, nc = len(ram.A0), len(ram.a_row), len(ram.u)
        self.torch, self.p, self.q, self.nc = torch, ram.p, q, nc
        self.a, self.s = (index(ram.a_row), index(ram.a_col), index(ram.a_par)), (index(ram.s_row), index(ram.s_col), index(ram.s_par))
        self.m = index(ram.m_row), index(ram.m_par)
        self.u, self.v, self.told = index(ram.u), index(ram.v), index(ram.parameters)
        self.h = torch.as_tensor(np.array(ram.h), dtype=torch.float64, device=where)
        e, f = np.tril_indices(nc)
        u, v, wide = ram.u, ram.v, 2 * q
        self.own = index(u * wide + v)
        self.uu, self.vv = index(u[e] * wide + u[f]), index(v[e] * wide + v[f])
        self.uv, self.vu = index(u[e] * wide + v[f]), index(v[e] * wide + u[f])
        self.hh = self.h[index(e)] * self.h[index(f)]
        # An arrow f moves u and v of every entry e; where e is an arrow too, it moves u of f.
        touch, both = np.flatnonzero(f < na), np.flatnonzero(e < na)
        self.touch, self.both, self.h_e = index(touch), index(both), self.h[index(e[touch])]
        self.by_u, self.by_v = index(ram.a_col[f[touch]] * wide + u[e[touch]]), index(ram.a_col[f[touch]] * wide + v[e[touch]])
        self.back = index(ram.a_col[e[both]] * wide + u[f[both]])
        # Where pairs go in a flat (count, count) matrix of parameters: below the diagonal, and above it unless e is f.
        told, off = ram.parameters, np.flatnonzero(e != f)
        self.lower, self.off, self.upper = index(told[e] * count + told[f]), index(off), index(told[f[off]] * count + told[e[off]])
        self.square = index((told[:, None] * count + told).ravel())

    def by_covariances(self, EV: Any, W: Any, T: Any) -> tuple[Any, Any, Any]:
        """Return gradient over covariance entries, information and Hessian over their pairs."""
        Z = EV[:, : self.p]
        WZ = W @ Z
        G, H = (Z.transpose(1, 2) @ WZ).flatten(1), (WZ.transpose(1, 2) @ (T @ WZ)).flatten(1)
        slope = self.h * (G[:, self.own] - H[:, self.own])
        guu, gvv, guv, gvu = (G.index_select(1, where) for where in (self.uu, self.vv, self.uv, self.vu))
        tuu, tvv, tuv, tvu = (H.index_select(1, where) for where in (self.uu, self.vv, self.uv, self.vu))
        expected = self.hh * (guu * gvv + guv * gvu)
        second = self.hh * (guu * tvv + gvv * tuu + guv * tvu + gvu * tuv) - expected
        flat = EV.flatten(1)
        moved = flat.index_select(1, self.by_u) * (gvu - tvu)[:, self.touch] + flat.index_select(1, self.by_v) * (guu - tuu)[:, self.touch]
        second.index_add_(1, self.touch, self.h_e * moved)
        second.index_add_(1, self.both, flat.index_select(1, self.back) * (guv - tuv)[:, self.both])
        return slope, expected, second

    def by_means(self, EV: Any, W: Any, eta: Any, gap: Any) -> tuple[Any, Any, Any]:
        """Return what the means add to gradient, information and Hessian over all entries."""
        r, c, m, q, nc = self.a[0], self.a[1], self.m[0], self.q, self.nc
        E, Z = EV[:, :, :q], EV[:, : self.p]
        X = E[:, : self.p]
        J = self.torch.cat([X[:, :, r] * eta[:, None, c], X.new_zeros(len(X), self.p, nc - len(r)), X[:, :, m]], dim=2)
        WJ, Wgap = W @ J, W @ gap[:, :, None]
        expected = J.transpose(1, 2) @ WJ
        second = expected.clone()
        x = (X.transpose(1, 2) @ Wgap)[:, r]
        by_arrow = x * E[:, c][:, :, r] * eta[:, None, c]
        second[:, : len(r), : len(r)] -= by_arrow + by_arrow.transpose(1, 2)
        by_level = x * E[:, c][:, :, m]
        second[:, : len(r), nc:] -= by_level
        second[:, nc:, : len(r)] -= by_level.transpose(1, 2)
        pull = (Z.transpose(1, 2) @ Wgap)[:, :, 0]
        spread = self.h * (Z[:, :, self.u] * pull[:, None, self.v] + Z[:, :, self.v] * pull[:, None, self.u])
        mixed = spread.transpose(1, 2) @ WJ
        second[:, :nc] += mixed
        second[:, :, :nc] += mixed.transpose(1, 2)
        return -(J.transpose(1, 2) @ Wgap)[:, :, 0], expected, second


def fixed_places(ram: RAM) -> IntArray:
    """Return the places of observed causes whose variance the model takes from the sample."""
    free = {(int(i), int(j)) for i, j in zip(ram.s_row, ram.s_col, strict=True)}
    places = [ram.names.ov.index(n) for n in ram.names.ov_x]
    return np.array([k for k in places if (k, k) not in free], dtype=np.int64)
