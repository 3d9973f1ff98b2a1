"""Two-level maximum likelihood: units in clusters, y = within + between (McDonald & Goldstein 1989; Muthén 1990).

Everything the likelihood needs are the pooled within-cluster covariance (n − J rows of it) and, for every cluster size
s, the means and covariance of the cluster means, whose implied covariance is Σ_B + Σ_W / s. Each is one normal group
of a RAM model whose parameters are shared, so that gradient, information and Hessian are those of any normal model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from causalsem._values import FloatArray
from causalsem.sem.clusters import Clustered
from causalsem.sem.discrepancy import NormalML, NormalPoint
from causalsem.sem.matrices import RAM
from causalsem.sem.partable import Names
from causalsem.sem.sample import Sample
from causalsem.sem.scores import by_parameter, entry_scores


def joint_ram(within: RAM, between: RAM, size: float, observed: Sequence[str]) -> RAM:
    """Return the RAM model of cluster means of one size: each is its within part / √size, plus within means, plus its between part.

    The within model stands in it twice: once for its (co)variances, divided by the size, once for its means.
    """
    p, w, b = len(observed), len(within.A0), len(between.A0)
    q = p + 2 * w + b
    spread, level, above = p, p + w, p + 2 * w  # where each part begins
    A0, S0, m0 = np.zeros((q, q)), np.zeros((q, q)), np.zeros(q)
    for start, part in ((spread, within), (level, within), (above, between)):
        A0[start : start + len(part.A0), start : start + len(part.A0)] = part.A0
    for start, part in ((spread, within), (above, between)):
        S0[start : start + len(part.A0), start : start + len(part.A0)] = part.S0
    for start, part in ((level, within), (above, between)):
        m0[start : start + len(part.A0)] = part.m0
    for k, name in enumerate(observed):
        if name in within.names.ov:
            place = within.names.ov.index(name)
            A0[k, spread + place], A0[k, level + place] = 1.0 / math.sqrt(size), 1.0
        if name in between.names.ov:
            A0[k, above + between.names.ov.index(name)] = 1.0
    arrows = [(spread, within), (level, within), (above, between)]
    a_row, a_col = (np.concatenate([getattr(part, side) + start for start, part in arrows]) for side in ("a_row", "a_col"))
    s_row, s_col = (np.concatenate([getattr(part, side) + start for start, part in arrows[::2]]) for side in ("s_row", "s_col"))
    a_par = np.concatenate([part.a_par for _, part in arrows])
    s_par = np.concatenate([within.s_par, between.s_par])
    m_row = np.concatenate([within.m_row + level, between.m_row + above])
    m_par = np.concatenate([within.m_par, between.m_par])
    u, v = np.concatenate([a_row, s_row]), np.concatenate([a_col + q, s_col])
    names = Names(tuple(observed), tuple(f"part {k}" for k in range(q - p)), (), (), (), ())
    told = np.concatenate([a_par, s_par, m_par])
    h = np.where(u == v, 0.5, 1.0)
    recursive = within.recursive and between.recursive
    return RAM(names, A0, S0, m0, a_row, a_col, a_par, s_row, s_col, s_par, m_row, m_par, True, u, v, h, told, recursive)


def _sample(names: Sequence[str], mean: FloatArray, covariance: FloatArray) -> Sample:
    """Return moments in the form that a normal discrepancy reads."""
    return Sample("", tuple(names), 0, mean, covariance)


def without_means(ram: RAM) -> RAM:
    """Return a model of covariances only."""
    none = np.zeros(0, dtype=np.int64)
    return replace(ram, m_row=none, m_par=none, means=False, parameters=ram.parameters[: len(ram.u)])


@dataclass(frozen=True, slots=True, eq=False)
class TwoLevelML:
    """−logl / n without its constant, of groups of clustered rows; `normal` holds its normal parts, group by group."""

    groups: tuple[Clustered, ...]
    normal: NormalML

    @classmethod
    def build(cls, rams: Sequence[RAM], groups: Sequence[Clustered], count: int) -> TwoLevelML:
        """Return the discrepancy of a model with rams (within, between) for every group."""
        n = sum(g.n for g in groups)
        parts: list[tuple[RAM, Sample, float]] = []
        for g, within, between in zip(groups, rams[::2], rams[1::2], strict=True):
            pooled = _sample(within.names.ov, np.zeros(g.within), _reordered(g.pooled, g.names, within))
            parts.append((without_means(within), pooled, (g.n - g.count) / n))
            for one in g.classes:
                means = _sample(g.names, one.mean, one.covariance)
                parts.append((joint_ram(within, between, one.size, g.names), means, len(one.clusters) / n))
        made, moments, weights = zip(*parts, strict=True)
        return cls(tuple(groups), NormalML(made, moments, np.array(weights), count, np.zeros(len(parts))))

    def at(self, theta: FloatArray) -> NormalPoint | None:
        """Return the discrepancy at `theta`, or None where some Σ is not positive definite."""
        return self.normal.at(theta)

    @property
    def constant(self) -> float:
        """What the log-likelihood has beside −n times the discrepancy."""
        return sum(g.constant for g in self.groups)

    def scores(self, theta: FloatArray) -> FloatArray:
        """Return ∂logl/∂θ of every cluster, (clusters of all groups, k)."""
        point = self.at(theta)
        assert point is not None  # asked for at estimates
        parts, out = iter(point.groups), []
        for g in self.groups:
            inner = next(parts)
            rows = _reordered(g.deviations, g.names, inner.ram, columns=True)
            by_row = by_parameter(entry_scores(inner.ram, inner.implied, inner.W, rows), inner.ram.parameters, point.count)
            expected = by_parameter(
                entry_scores(inner.ram, inner.implied, inner.W, np.zeros((1, rows.shape[1]))), inner.ram.parameters, point.count
            )
            summed = np.zeros((g.count, point.count))
            np.add.at(summed, g.member, by_row)
            # The deviations of s rows count as s − 1.
            summed -= expected
            for one in g.classes:
                outer = next(parts)
                centred = one.means - outer.implied.mu
                summed[one.clusters] += by_parameter(
                    entry_scores(outer.ram, outer.implied, outer.W, centred), outer.ram.parameters, point.count
                )
            out.append(summed)
        return np.vstack(out)


def _reordered(values: FloatArray, names: Sequence[str], ram: RAM, *, columns: bool = False) -> FloatArray:
    """Return a covariance (or the columns of rows) in the order of a RAM's observed variables."""
    order = [names.index(n) for n in ram.names.ov]
    return np.asarray(values[:, order] if columns else values[np.ix_(order, order)])


def saturated_pair(
    names: tuple[Names, Names], x: tuple[Sequence[int], Sequence[int]], moments: tuple[Sample, Sample], first: int, *, independent: bool
) -> tuple[RAM, RAM, FloatArray]:
    """Return the unrestricted (or independence) model of both levels at `moments`; fixed causes `x` keep theirs.

    A variable of both levels has its mean on the second.
    """
    rams, starts = [], []
    for level, (role, fixed, sample) in enumerate(zip(names, x, moments, strict=True)):
        p = len(role.ov)
        i, j = np.tril_indices(p)
        inside = np.isin(i, fixed) & np.isin(j, fixed)
        roots = [role.ov.index(n) for n in role.ov_x]
        kept = ~inside & ((i == j) | (np.isin(i, roots) & np.isin(j, roots)) if independent else np.ones(len(i), dtype=bool))
        levelled = [k for k, n in enumerate(role.ov) if k not in fixed and (level or n not in names[1].ov)]
        S0, m0 = np.zeros((p, p)), np.zeros(p)
        S0[np.ix_(fixed, fixed)], m0[list(fixed)] = sample.covariance[np.ix_(fixed, fixed)], sample.mean[list(fixed)]
        i, j, m = i[kept], j[kept], np.array(levelled, dtype=np.int64)
        told = first + np.arange(len(i) + len(m))
        none = np.zeros(0, dtype=np.int64)
        h = np.where(i == j, 0.5, 1.0)
        A0 = np.zeros((p, p))
        rams.append(RAM(replace(role, lv=()), A0, S0, m0, none, none, none, i, j, told[: len(i)], m, told[len(i) :], True, i, j, h, told))
        starts.append(np.concatenate([sample.covariance[i, j], sample.mean[m]]))
        first += len(told)
    return rams[0], rams[1], np.concatenate(starts)


def first_moments(g: Clustered, names: tuple[Names, Names]) -> tuple[Sample, Sample]:
    """Return start moments of both levels: pooled within, and what cluster means vary beyond that."""
    means = np.vstack([c.means for c in g.classes])
    centred = means - means.mean(axis=0)
    overall = centred.T @ centred / len(means)
    size = g.n / g.count
    w, b = ([g.names.index(n) for n in role.ov] for role in names)
    pooled = g.pooled
    between = overall.copy()
    between[: g.within, : g.within] -= pooled / size
    values, vectors = np.linalg.eigh(between[np.ix_(b, b)])
    floor = 0.05 * float(np.mean(np.diag(overall)[b]))
    lifted = (vectors * np.maximum(values, floor)) @ vectors.T
    mean = means.mean(axis=0)
    own = np.array([0.0 if n in names[1].ov else mean[k] for k, n in zip(w, names[0].ov, strict=True)])
    return _sample(names[0].ov, own, pooled[np.ix_(w, w)]), _sample(names[1].ov, mean[b], lifted)
