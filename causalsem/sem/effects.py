"""Total, direct and indirect effects with delta-method standard errors, and the table of paths."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from causalsem._cards import mimebundle
from causalsem._values import BoolArray, FloatArray
from causalsem.errors import SettingError, check_names
from causalsem.sem.matrices import RAM, gather, implied
from causalsem.sem.standard_errors import delta_se

# A dense graph has more paths than anyone reads; the total never needs their list.
MOST_PATHS = 1000


class Effect(float):
    """An effect: a number that knows its standard error `se` (delta method), `interval` and `p`."""

    __slots__ = ("level", "se")
    se: float
    level: float

    def __new__(cls, value: float, se: float, level: float = 0.95) -> Effect:
        number = super().__new__(cls, value)
        number.se = se
        number.level = level
        return number

    @property
    def value(self) -> float:
        """The plain number."""
        return float(self)

    @property
    def interval(self) -> tuple[float, float]:
        """The Wald interval at `level`."""
        half = float(ndtri(0.5 + self.level / 2)) * self.se
        return float(self) - half, float(self) + half

    @property
    def z(self) -> float:
        """value / se; NaN where nothing is uncertain."""
        return float(self) / self.se if self.se > 0 else float("nan")

    @property
    def p(self) -> float:
        """The two-sided p-value of no effect."""
        return float(2 * ndtr(-abs(self.z)))

    def __repr__(self) -> str:
        low, high = self.interval
        return f"{float(self):.4g} (se {self.se:.2g}, {self.level:.0%} interval {low:.4g} to {high:.4g}, p = {self.p:.2g})"


@dataclass(frozen=True, slots=True, eq=False)
class Effects:
    """What `cause` does to `effect` in a fitted model: `total`, `direct`, `indirect`, each an Effect.

    `paths` has one row per directed path without repeated variables; where there is feedback, the total is that of
    the equilibrium and exceeds the sum of the paths.
    """

    cause: str
    effect: str
    total: Effect
    direct: Effect
    indirect: Effect
    paths: pd.DataFrame
    feedback: bool = False

    @property
    def table(self) -> pd.DataFrame:
        """Total, direct and indirect effect, one a row."""
        return _frame(["total", "direct", "indirect"], [self.total, self.direct, self.indirect], "effect")

    def __repr__(self) -> str:
        told = "\n".join(
            f"  {name:9s}{part!r}" for name, part in (("total", self.total), ("direct", self.direct), ("indirect", self.indirect))
        )
        note = "; feedback: the total is the equilibrium's" if self.feedback else ""
        return f"Effects({self.cause} -> {self.effect}, {len(self.paths)} paths{note})\n{told}"

    def _repr_html_(self) -> str:
        # pandas escapes the names of variables.
        return str(self.table.to_html(index=False)) + str(self.paths.to_html(index=False))

    _repr_mimebundle_ = mimebundle


def effects_between(ram: RAM, theta: FloatArray, vcov: FloatArray, cause: str, effect: str, level: float) -> Effects:
    """Return the effects of one variable on another in one group (Sobel 1982 for their errors)."""
    check_names((cause, effect), ram.names.all, where="the model")
    if cause == effect:
        raise SettingError(f"the effect of {cause!r} on itself was asked for; name two variables")
    place = {n: k for k, n in enumerate(ram.names.all)}
    i, j = place[cause], place[effect]
    A = ram.fill(theta)[0]
    arrows = ram.arrows
    total, by_total = _total(ram, theta, i, j)
    direct, by_direct = float(A[j, i]), _entry_gradient(ram, j, i, len(theta))
    made = [(total, by_total), (direct, by_direct), (total - direct, by_total - by_direct)]
    parts = [Effect(v, float(delta_se(g[None], vcov)[0]), level) for v, g in made]
    routes = list(_routes(arrows, i, j))
    told = [_path_effect(ram, A, route, vcov, level) for route in routes]
    words = [" -> ".join(ram.names.all[k] for k in route) for route in routes]
    reach = _reachable(arrows)
    feedback = bool((np.diag(reach) & reach[i] & reach[:, j]).any())
    return Effects(cause, effect, parts[0], parts[1], parts[2], _frame(words, told, "path"), feedback)


def _total(ram: RAM, theta: FloatArray, i: int, j: int) -> tuple[float, FloatArray]:
    """Return [(I−A)⁻¹ − I][j, i] and its gradient: ∂E/∂A[r, c] = E[:, r] E[c, :]."""
    E = implied(ram, theta).E
    slope = E[j, ram.a_row] * E[ram.a_col, i]
    return float(E[j, i]), gather(slope, ram.a_par, len(theta))


def _entry_gradient(ram: RAM, row: int, column: int, count: int) -> FloatArray:
    here = (ram.a_row == row) & (ram.a_col == column)
    return gather(here.astype(np.float64), ram.a_par, count)


def _routes(arrows: BoolArray, i: int, j: int) -> Iterator[tuple[int, ...]]:
    """Yield directed paths from i to j without repeated nodes, short ones first, at most MOST_PATHS."""
    useful = _reachable(arrows)[:, j] | (np.arange(len(arrows)) == j)
    front: list[tuple[int, ...]] = [(i,)]
    found = 0
    while front:
        further: list[tuple[int, ...]] = []
        for route in front:
            for k in np.flatnonzero(arrows[:, route[-1]] & useful):
                if k == j:
                    yield (*route, int(k))
                    found += 1
                    if found == MOST_PATHS:
                        return
                elif k not in route:
                    further.append((*route, int(k)))
        front = further[: 20 * MOST_PATHS]


def _reachable(arrows: BoolArray) -> BoolArray:
    """Return [a, b] True where a directed path leads from a to b (arrows[effect, cause])."""
    step = arrows.T.astype(np.float64)
    reach = step > 0
    for _ in range(max(len(arrows), 1).bit_length()):
        reach = reach | (reach.astype(np.float64) @ reach > 0)
    return np.asarray(reach)


def _path_effect(ram: RAM, A: FloatArray, route: tuple[int, ...], vcov: FloatArray, level: float) -> Effect:
    """Return the product of a path's coefficients, with its delta-method error."""
    steps = list(zip(route[1:], route[:-1], strict=True))
    values = np.array([A[r, c] for r, c in steps])
    gradient = np.zeros(len(vcov))
    for k, (r, c) in enumerate(steps):
        gradient += np.prod(np.delete(values, k)) * _entry_gradient(ram, r, c, len(vcov))
    return Effect(float(np.prod(values)), float(delta_se(gradient[None], vcov)[0]), level)


def _frame(names: list[str], effects: list[Effect], what: str) -> pd.DataFrame:
    rows = [(name, float(e), e.se, e.z, e.p, *e.interval) for name, e in zip(names, effects, strict=True)]
    return pd.DataFrame(rows, columns=[what, "est", "se", "z", "pvalue", "ci_lower", "ci_upper"])
