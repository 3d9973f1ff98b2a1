"""Standardised and := values over many θ at once, each with the moments its fixed causes had there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from causalsem._values import BoolArray, FloatArray
from causalsem.sem.batched import fixed_places
from causalsem.sem.constraints import labels_of
from causalsem.sem.expressions import Expression
from causalsem.sem.matrices import RAM
from causalsem.sem.partable import ParameterTable
from causalsem.sem.sample import Sample
from causalsem.sem.standardise import scale_factor


@dataclass(frozen=True, slots=True, eq=False)
class Resampled:
    """θ (times, k) and per group the mean (times, x) and covariance (times, x, x) of the fixed causes."""

    rams: tuple[RAM, ...]
    theta: FloatArray
    means: tuple[FloatArray, ...]
    covariances: tuple[FloatArray, ...]

    @classmethod
    def of(cls, rams: tuple[RAM, ...], theta: FloatArray, moments: Sequence[tuple[FloatArray, FloatArray]]) -> Resampled:
        """Return θ with the fixed causes' part of each resample's moments."""
        x = [fixed_places(ram) for ram in rams]
        means = tuple(mean[:, at] for at, (mean, _) in zip(x, moments, strict=True))
        return cls(rams, theta, means, tuple(S[:, at[:, None], at] for at, (_, S) in zip(x, moments, strict=True)))

    def filled(self, group: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return A, S (times, q, q) and m (times, q) of one group (from 0)."""
        ram, times = self.rams[group], len(self.theta)
        A, S, m = (np.repeat(part[None], times, axis=0) for part in (ram.A0, ram.S0, ram.m0))
        x = fixed_places(ram)
        S[:, x[:, None], x] = self.covariances[group]
        if ram.means:
            m[:, x] = self.means[group]
        A[:, ram.a_row, ram.a_col] = self.theta[:, ram.a_par]
        S[:, ram.s_row, ram.s_col] = S[:, ram.s_col, ram.s_row] = self.theta[:, ram.s_par]
        m[:, ram.m_row] = self.theta[:, ram.m_par]
        return A, S, m

    def improper(self) -> BoolArray:
        """Tell where some variance is negative, (times,)."""
        parts = [(self.filled(g)[1].diagonal(axis1=1, axis2=2) < 0).any(axis=1) for g in range(len(self.rams))]
        return np.asarray(np.any(parts, axis=0))

    def slopes(self, function: Callable[[Resampled], FloatArray]) -> FloatArray:
        """Return the Jacobian of a function of one θ and its fixed moments, by central differences (m, k + moments)."""
        z = self._flat()[0]
        step = 6e-6 * np.maximum(np.abs(z), 1e-2)
        up, down = (function(self._at(z + sign * np.diag(step))) for sign in (1.0, -1.0))
        return np.asarray(((up - down) / (2 * step[:, None])).T)

    def influence(self, samples: Sequence[Sample]) -> FloatArray:
        """Return how far each row moves the fixed causes' moments, (n, moments), in the order of `slopes`."""
        n, blocks = sum(s.n for s in samples), []
        for ram, sample, mean, S in zip(self.rams, samples, self.means, self.covariances, strict=True):
            i, j = np.tril_indices(mean.shape[1])
            assert sample.rows is not None  # the bootstrap asked for rows
            centred = sample.rows[:, fixed_places(ram)] - mean[0]
            blocks.append(np.hstack([centred, centred[:, i] * centred[:, j] - S[0][i, j]]) * (n / sample.n))
        out = np.zeros((n, sum(b.shape[1] for b in blocks)))
        row = column = 0
        for block in blocks:
            out[row : row + len(block), column : column + block.shape[1]] = block
            row, column = row + len(block), column + block.shape[1]
        return out

    def _flat(self) -> FloatArray:
        parts = [self.theta]
        for mean, S in zip(self.means, self.covariances, strict=True):
            i, j = np.tril_indices(mean.shape[1])
            parts += [mean, S[:, i, j]]
        return np.hstack(parts)

    def _at(self, flat: FloatArray) -> Resampled:
        """Return the values that flat rows hold."""
        at = self.theta.shape[1]
        means, covariances = [], []
        for mean in self.means:
            x = mean.shape[1]
            i, j = np.tril_indices(x)
            S = np.empty((len(flat), x, x))
            S[:, i, j] = S[:, j, i] = flat[:, at + x : at + x + len(i)]
            means.append(flat[:, at : at + x])
            covariances.append(S)
            at += x + len(i)
        return replace(self, theta=flat[:, : self.theta.shape[1]], means=tuple(means), covariances=tuple(covariances))


def standardised_names(table: ParameterTable) -> tuple[str, ...]:
    """Return a name for every row, then the := names."""
    return (*(r.plain_name for r in table.rows), *(r.left.name for r in table.defined))


def standardised_draws(table: ParameterTable, drawn: Resampled, *, observed: bool) -> FloatArray:
    """Return the standardised value of every row, then of every := line, (times, rows + defined); as `standardised` for one θ."""
    out = np.empty((len(drawn.theta), len(table.rows)))
    for g, ram in enumerate(drawn.rams):
        A, S, m = drawn.filled(g)
        E = np.linalg.inv(np.eye(A.shape[1]) - A)
        V = E @ S @ E.swapaxes(1, 2)
        with np.errstate(invalid="ignore"):
            sd, residual = np.sqrt(V.diagonal(axis1=1, axis2=2)), np.sqrt(np.abs(S.diagonal(axis1=1, axis2=2)))
        if not observed:
            sd[:, : ram.p] = residual[:, : ram.p] = 1.0
        place = {n: k for k, n in enumerate(ram.names.all)}
        for k, row in enumerate(table.rows):
            if row.group == g + 1:
                i, j = place[row.lhs], place.get(row.rhs, -1)
                value = m[:, i] if row.op == "~1" else S[:, i, j] if row.op == "~~" else A[:, j, i] if row.op == "=~" else A[:, i, j]
                out[:, k] = value * scale_factor(row.op, i, j, sd, residual)
    known: dict[str, Any] = {}
    for k, row in enumerate(table.rows):
        for name in (row.label, row.plabel):
            if name:
                known.setdefault(name, out[:, k])
    return np.hstack([out, _defined(table, known, len(out))])


def defined_draws(table: ParameterTable, theta: FloatArray) -> FloatArray:
    """Return the := values of every θ (times, k), (times, defined)."""
    labels = labels_of(table)
    known: dict[str, Any] = {name: theta[:, k] for name, k in labels.parameters.items()} | dict(labels.fixed)
    return _defined(table, known, len(theta))


def _defined(table: ParameterTable, known: dict[str, Any], times: int) -> FloatArray:
    out = np.empty((times, len(table.defined)))
    for k, relation in enumerate(table.defined):
        known[relation.left.name] = out[:, k] = _evaluate(relation.right, known)
    return out


def _evaluate(node: Expression, known: Mapping[str, Any]) -> Any:
    """Return an expression's values over arrays; NaN or inf where it is not defined."""
    if node.kind in ("number", "name"):
        return node.value if node.kind == "number" else known[node.name]
    parts = [_evaluate(part, known) for part in node.parts]
    with np.errstate(all="ignore"):
        if node.kind == "call":
            return getattr(np, {"atanh": "arctanh"}.get(node.name, node.name))(parts[0])
        if node.kind == "negative":
            return -parts[0]
        a, b = parts
        return {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "^": np.power}[node.kind](a, b)
