"""Problem: the checked arrays of one effect, as every method receives them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd

from causalsem._clusters import Clusters
from causalsem._values import BoolArray, FloatArray, IntArray
from causalsem.behaviour import BehaviourTable
from causalsem.effects.nuisance import is_binary, make_folds
from causalsem.errors import DataError, ForbiddenVariableError, SettingError, check_kind, check_names, check_whole, shown


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """The arrays of one effect: treatments T (n, t), outcome Y (n,), adjustment Z (n, k), folds (n,).

    Rows of one cluster (of any way) may depend on each other; those of one user are never split between folds.
    With a `contrast` (low, high) of one treatment's levels, T holds codes: 0 for low, 1 for high, 2 … for any others.
    """

    T: FloatArray
    Y: FloatArray
    Z: FloatArray
    treatments: tuple[str, ...]
    outcome: str
    adjustment: tuple[str, ...]
    folds: IntArray
    clusters: Clusters | None
    seed: int
    contrast: tuple[float, float] | None = None

    @property
    def n(self) -> int:
        """The number of rows."""
        return len(self.Y)

    @property
    def users(self) -> IntArray | None:
        """A code per row that says whose row it is, where users have several rows."""
        return None if self.clusters is None else self.clusters.codes[0]

    @property
    def ways(self) -> IntArray | None:
        """The codes of the clusters, (ways, n), as an Estimate takes them."""
        return None if self.clusters is None else self.clusters.codes

    @property
    def is_binary(self) -> bool:
        """Whether every treatment is 0 or 1."""
        return is_binary(self.T)

    @property
    def has_arms(self) -> bool:
        """Whether two arms are compared, be there others or not; else the effect is per unit."""
        return self.is_binary or self.contrast is not None

    @property
    def has_others(self) -> bool:
        """Whether some rows are of neither arm."""
        return not bool((self.treated | self.untreated).all())

    @property
    def strata(self) -> IntArray | None:
        """A code per row of its levels of treatment, which parts of the rows should share evenly; None without arms."""
        return strata_of(self.T) if self.has_arms else None

    @property
    def treated(self) -> BoolArray:
        """Which rows have every treatment at 1."""
        return np.asarray((self.T == 1).all(axis=1))

    @property
    def untreated(self) -> BoolArray:
        """Which rows have every treatment at 0."""
        return np.asarray((self.T == 0).all(axis=1))

    @property
    def label(self) -> str:
        """The treatments, quoted for a message."""
        return ", ".join(repr(t) for t in self.treatments)


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """What a method returns: the value, its influence function and what else it learnt about each row."""

    value: float
    psi: FloatArray
    notes: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()
    propensity: FloatArray | None = None
    weights: FloatArray | None = None
    unit_effects: FloatArray | None = None
    diagnostics: Mapping[str, Any] = field(default_factory=dict)
    cross_fitted: bool = False


def build_problem(
    table: BehaviourTable,
    treatments: tuple[str, ...],
    outcome: str,
    adjustment: tuple[str, ...],
    *,
    folds: int,
    seed: int,
    contrast: tuple[float, float] | None = None,
) -> Problem:
    """Return the arrays of one effect, or raise the error that says what is wrong with them and where."""
    check_whole(seed, "seed")
    check_kind(folds, Integral, "folds", "hand in a whole number")
    names = (*treatments, outcome, *adjustment)
    check_names(names, table.names, what="column", where="the behaviour table")
    _check_roles(treatments, outcome, adjustment)
    values = table.complete(names)
    for name, column in zip(names[: len(treatments) + 1], values.T, strict=False):
        if np.ptp(column) == 0:
            raise DataError(f"column {name!r} is {column[0]:g} in all {len(table):,} rows, so it has no effect to estimate; "
                            f"check how it was counted, or choose another", columns=[name])  # fmt: skip
    _check_size(len(values), len(names), folds)
    t = len(treatments)
    T, Y, Z = values[:, :t], values[:, t], values[:, t + 1 :]
    levels = strata_of(T) if is_binary(T) else None if contrast is None else np.unique(T[:, 0], return_inverse=True)[1]
    if contrast is not None:
        T = _coded(T, treatments, contrast)
    clusters = row_clusters(table)
    users = None if clusters is None else clusters.codes[0]
    strata = None if clusters is not None else levels
    if clusters is not None and clusters.sizes["user"] < folds:
        raise SettingError(f"{folds} folds for {clusters.sizes['user']} users; use fewer folds, users are never split")
    return Problem(
        T,
        Y,
        Z,
        treatments,
        outcome,
        adjustment,
        make_folds(len(Y), folds, seed, strata=strata, clusters=users),
        clusters,
        seed,
        contrast,
    )


def strata_of(T: FloatArray) -> IntArray:
    """Return a code (n,) per combination of the codes of treatments (n, t)."""
    return (T @ (2.0 ** np.arange(T.shape[1]))).astype(np.int64)


def row_clusters(table: BehaviourTable) -> Clusters | None:
    """Return whose rows they are and of what item, where users or items have several rows; a single item is no cluster."""
    if len(table.unit) < 2:
        return None
    both = Clusters.of({way: table.keys[way] for way in ("user", "item")})
    if min(both.sizes.values()) == len(table):
        return None
    return both if both.sizes["item"] > 1 else both.apart()[0]


def fingerprint(table: BehaviourTable) -> str:
    """Return a short hash of a table's keys, by which estimates know that they rest on the same rows."""
    hashed = pd.util.hash_pandas_object(table.keys, index=False).to_numpy()
    return hashlib.sha256(hashed.tobytes()).hexdigest()[:16]


def need_arms(problem: Problem, method: str) -> None:
    """Raise SettingError when a treatment of other values than 0 and 1 comes without the two levels to compare."""
    if problem.has_arms:
        return
    name, column = next((name, column) for name, column in zip(problem.treatments, problem.T.T, strict=True) if not is_binary(column))
    raise SettingError(
        f"{method} compares treated with untreated rows, but {name!r} takes {len(np.unique(column)):,} values; "
        f"use AIPW() or Regression() for its effect per unit, or compare two of them with contrast=",
        treatment=name,
    )


def need_single(problem: Problem, method: str) -> None:
    """Raise SettingError when several treatments are asked for together."""
    if len(problem.treatments) > 1:
        raise SettingError(
            f"{method} takes one treatment, not {shown(problem.treatments)}; use AIPW() or Regression(), or ask for one at a time"
        )


def _coded(T: FloatArray, treatments: tuple[str, ...], contrast: tuple[float, float]) -> FloatArray:
    """Return the levels of one treatment as codes: 0 the first of the contrast, 1 the second, then the others."""
    if len(treatments) > 1:
        raise SettingError(f"contrast= compares two levels of one treatment, not of {shown(treatments)}; ask for one at a time")
    levels = np.unique(T)
    if len(contrast) != 2 or len(set(contrast)) < 2 or not set(contrast) <= set(levels.tolist()):
        raise SettingError(f"contrast is {contrast}, but the levels of {treatments[0]!r} are {shown(levels.tolist())}; choose two of them")
    order = [*contrast, *(level for level in levels.tolist() if level not in contrast)]
    codes = np.empty(len(levels))
    codes[np.searchsorted(levels, order)] = np.arange(len(levels))
    return codes[np.searchsorted(levels, T)]


def _check_roles(treatments: tuple[str, ...], outcome: str, adjustment: tuple[str, ...]) -> None:
    own = dict.fromkeys(treatments, "treatment") | {outcome: "outcome"}
    wrong = {name: f"it is the {own[name]} itself" for name in adjustment if name in own}
    if wrong:
        raise ForbiddenVariableError(f"the adjustment set holds {shown(wrong)}, its own treatment or outcome; leave it out", reasons=wrong)
    if outcome in treatments:
        raise SettingError(f"{outcome!r} is both treatment and outcome; ask for the effect on another variable")


def _check_size(n: int, names: int, folds: int) -> None:
    if folds < 2:
        raise SettingError(f"folds is {folds}; use at least 2, so that no row is predicted by a model that saw it")
    if n < 2 * names or n < 2 * folds:
        raise DataError(f"{n:,} rows for {names} variables and {folds} folds; bring more rows or fewer variables", rows=n)
