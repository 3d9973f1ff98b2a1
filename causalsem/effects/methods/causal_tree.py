"""CausalTree: one honest tree whose few leaves are groups with effects of their own, in words."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import ClassVar

import numpy as np

from causalsem._engines import load_engine
from causalsem._values import BoolArray, FloatArray
from causalsem.effects.estimate import standard_error
from causalsem.effects.methods.causal_forest import columns_of
from causalsem.effects.methods.scores import Residuals
from causalsem.effects.nuisance import Learner, Splines, make_folds
from causalsem.effects.problem import Fitted, Problem, need_single
from causalsem.errors import SettingError


@dataclass(frozen=True)
class CausalTree:
    """Honest causal tree (Athey & Imbens 2016): one half of the rows draws the groups, the other half measures them.

    The tree is grown on cross-fitted residuals by econml; a leaf's effect is the mean of the other half's doubly robust
    terms, with its error, told in `diagnostics["leaves"]` as rule, rows, effect, se. The average effect is doubly
    robust over all rows. Users' rows stay in one half. A treatment of more than two values gets its effect per unit, which
    may differ between rows but not between levels. Needs the `cate` extra (econml).
    """

    depth: int = 3
    smallest_leaf: int = 25
    nuisance: Learner = field(default_factory=Splines)
    clip: float | None = None
    engine: str = "econml"

    takes: ClassVar[str] = "rows"
    treatment: ClassVar[str] = "any"
    assumes: ClassVar[tuple[str, ...]] = ("overlap: every kind of row could have been treated and untreated",)

    def __post_init__(self) -> None:
        if min(self.depth, self.smallest_leaf) < 1:
            raise SettingError("depth and smallest_leaf must be 1 or more")

    def fit(self, problem: Problem) -> Fitted:
        """Return the average effect, its influence function, and the groups with their effects."""
        residuals, leaves, effects = self._grown(problem)
        fitted = residuals.average(_told(leaves, effects, columns_of(problem.Z)))
        return replace(fitted, diagnostics={"leaves": [asdict(group) for group in effects]})

    def effects_at(self, problem: Problem, Z: FloatArray) -> FloatArray:
        """Return the effects (m,) of the groups that new rows Z (m, k) fall in."""
        _, leaves, effects = self._grown(problem)
        return _told(leaves, effects, columns_of(Z))

    def _grown(self, problem: Problem) -> tuple[Residuals, list[Leaf], list[Group]]:
        need_single(problem, "CausalTree")
        residuals = Residuals.of(problem, self.nuisance, self.clip)
        X = columns_of(problem.Z)
        draws = make_folds(problem.n, 2, problem.seed, strata=problem.strata, clusters=problem.users) == 0
        grow, own = load_engine("grow a tree", self.engine), draws & residuals.rows
        splits = grow(X[own], residuals.V[own], residuals.U[own], depth=self.depth, smallest_leaf=self.smallest_leaf, seed=problem.seed)
        leaves = _leaves(splits)
        names = problem.adjustment or ("everybody",)
        return residuals, leaves, [_measured(leaf, names, problem, residuals, X, ~draws) for leaf in leaves]


@dataclass(frozen=True, slots=True)
class Leaf:
    """A leaf as the conditions on its way: (column, threshold, whether at most it)."""

    path: tuple[tuple[int, float, bool], ...]

    def holds(self, X: FloatArray) -> BoolArray:
        """Return which rows (n,) of X fall in it."""
        inside = np.ones(len(X), dtype=bool)
        for column, threshold, below in self.path:
            inside &= (X[:, column] <= threshold) == below
        return inside

    def words(self, names: tuple[str, ...]) -> str:
        """Return its conditions in words, each variable once from below and once from above."""
        low: dict[int, float] = {}
        high: dict[int, float] = {}
        for column, threshold, below in self.path:
            if below:
                high[column] = min(threshold, high.get(column, math.inf))
            else:
                low[column] = max(threshold, low.get(column, -math.inf))
        parts = [f"{names[c]} > {low[c]:.4g}" for c in low] + [f"{names[c]} ≤ {high[c]:.4g}" for c in high]
        return " and ".join(parts) or "everybody"


@dataclass(frozen=True, slots=True)
class Group:
    """A leaf in words, how many rows fall in it, the effect on them and its standard error."""

    rule: str
    rows: int
    effect: float
    se: float


def _leaves(splits: tuple[np.ndarray, ...]) -> list[Leaf]:
    """Return the leaves of a tree of (column, threshold, left, right) per node."""
    column, threshold, left, right = splits
    found: list[Leaf] = []

    def walk(node: int, path: tuple[tuple[int, float, bool], ...]) -> None:
        if column[node] < 0:
            found.append(Leaf(path))
            return
        walk(int(left[node]), (*path, (int(column[node]), float(threshold[node]), True)))
        walk(int(right[node]), (*path, (int(column[node]), float(threshold[node]), False)))

    walk(0, ())
    return found


def _measured(leaf: Leaf, names: tuple[str, ...], problem: Problem, residuals: Residuals, X: FloatArray, measure: BoolArray) -> Group:
    """Return a leaf's group, its effect and error from the rows that did not draw it (all, if none fell in)."""
    rows = leaf.holds(X) & measure
    rows = rows if rows.sum() > 1 else measure
    V, U = residuals.V[rows & residuals.rows], residuals.U[rows & residuals.rows]
    tau = float((V * U).sum() / max(float((V * V).sum()), 1e-12))
    terms = residuals.terms(np.full(problem.n, tau))[rows]
    own = None if problem.ways is None else [codes[rows] for codes in problem.ways if np.ptp(codes[rows]) > 0]
    error = standard_error(terms - terms.mean(), np.array(own) if own else None)
    return Group(leaf.words(names), int(leaf.holds(X).sum()), float(terms.mean()), error)


def _told(leaves: list[Leaf], effects: list[Group], X: FloatArray) -> FloatArray:
    """Return each row's leaf's effect (n,)."""
    tau = np.empty(len(X))
    for leaf, told in zip(leaves, effects, strict=True):
        tau[leaf.holds(X)] = told.effect
    return tau
