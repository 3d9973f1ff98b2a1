"""Learners of nuisance functions (propensity, outcome mean) and their cross-fitting."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Protocol

import numpy as np
from scipy.special import expit

from causalsem._engines import load_engine
from causalsem._values import BoolArray, FloatArray, IntArray
from causalsem.effects.regressions import linear, logistic, spread_rows, with_intercept

FEW_VALUES = 6
ROWS_PER_FEATURE = 10
MANY_ROWS = 50_000
MOST_PRODUCTS = 45  # those of ten columns
FARTHEST = 5.0  # standard deviations


class CrossFit(Protocol):
    """Learns a target from prepared columns and predicts it out of fold."""

    def __call__(self, y: FloatArray, train: BoolArray, folds: IntArray, seed: int) -> FloatArray:
        """Return E[y | Z] (n,) of every row, learnt on the `train` rows of the other folds."""
        ...


class Learner(Protocol):
    """The settings of a learner of E[y | Z]."""

    def on(self, Z: FloatArray) -> CrossFit:
        """Prepare the columns Z (n, k), once for all targets."""
        ...


@dataclass(frozen=True)
class Linear:
    """Linear regression, or logistic regression for a 0/1 target, on the columns as they are."""

    ridge: float = 1.0

    def on(self, Z: FloatArray) -> CrossFit:
        """Prepare the columns Z (n, k), once for all targets."""
        return _OnBasis([with_intercept(Z)], self.ridge)


@dataclass(frozen=True)
class Splines:
    """Linear or logistic regression on natural cubic splines and the square of each column and products of column pairs.

    The columns' quantiles place the knots (no target is looked at). The basis shrinks to splines alone, then to the
    columns alone, when the rarer class (or the rows) would leave fewer than ten per coefficient.
    """

    knots: int = 6
    ridge: float = 1.0

    def on(self, Z: FloatArray) -> CrossFit:
        """Prepare the columns Z (n, k), once for all targets."""
        plain = with_intercept(Z)
        curves = [curves_of(column, self.knots) for column in plain[:, 1:].T]
        splines = with_intercept(np.column_stack([plain[:, 1:], *curves]))
        products = [plain[:, j] * plain[:, k] for j, k in combinations(range(1, plain.shape[1]), 2)]
        pairs = with_intercept(np.column_stack([splines[:, 1:], *products])) if _affordable(products) else splines
        return _OnBasis([pairs, splines, plain], self.ridge)


@dataclass(frozen=True)
class Boosted:
    """Histogram gradient boosting (Ke et al. 2017), stopped early on held-out rows; `engine` "scikit-learn" or "lightgbm"."""

    rounds: int = 100
    learning_rate: float = 0.1
    leaves: int = 15
    smallest_leaf: int = 20
    engine: str = "scikit-learn"

    def on(self, Z: FloatArray) -> CrossFit:
        """Prepare the columns Z (n, k), once for all targets."""

        def cross_fit(y: FloatArray, train: BoolArray, folds: IntArray, seed: int) -> FloatArray:
            predicted = np.empty(len(y))
            for fold, (learn, apply) in enumerate(splits(folds, train)):
                predicted[apply] = self._fit_predict(Z[learn], y[learn], Z[apply], seed + fold)
            return predicted

        return cross_fit

    def _fit_predict(self, Z: FloatArray, y: FloatArray, Z_new: FloatArray, seed: int) -> FloatArray:
        if np.ptp(y) == 0 or Z.shape[1] == 0:
            return np.full(len(Z_new), y.mean())
        classes = is_binary(y)
        # A class too rare to be held out for early stopping gets fewer, unstopped rounds.
        stop = len(y) >= 500 and (not classes or min(y.sum(), (1 - y).sum()) >= 20)
        rounds = self.rounds if stop else min(self.rounds, 50)
        boost = load_engine("boost", self.engine)
        return np.asarray(boost(Z, y, Z_new, self, rounds=rounds, classes=classes, stop=stop, seed=seed))


def is_binary(y: FloatArray) -> bool:
    """Return whether every value is 0 or 1."""
    return bool(np.all((y == 0) | (y == 1)))


def make_folds(n: int, folds: int, seed: int, *, strata: IntArray | None = None, clusters: IntArray | None = None) -> IntArray:
    """Return a fold number (n,) per row: balanced within strata, or whole clusters kept together."""
    rng = np.random.default_rng(seed)
    if clusters is not None:
        order = rng.permutation(int(clusters.max()) + 1)
        return (order % folds)[clusters]
    codes = np.zeros(n, dtype=np.int64) if strata is None else strata
    order = np.lexsort((rng.random(n), codes))
    out = np.empty(n, dtype=np.int64)
    out[order] = np.arange(n) % folds
    return out


def splits(folds: IntArray, train: BoolArray) -> Iterator[tuple[BoolArray, BoolArray]]:
    """Yield (rows to learn on, rows to apply to) per fold; a single fold learns and applies on the same rows."""
    if folds.max() == 0:
        yield train, np.ones(len(folds), dtype=bool)
        return
    for fold in range(int(folds.max()) + 1):
        apply = folds == fold
        yield train & ~apply, apply


def predict_new(learner: Learner, Z: FloatArray, y: FloatArray, Z_new: FloatArray, seed: int) -> FloatArray:
    """Return E[y | Z_new] (m,) learnt on all rows of Z (n, k)."""
    n = len(y)
    cross_fit = learner.on(np.concatenate([Z, Z_new]))
    train = np.arange(n + len(Z_new)) < n
    return cross_fit(np.concatenate([y, np.zeros(len(Z_new))]), train, np.zeros(len(train), dtype=np.int64), seed)[n:]


def curves_of(x: FloatArray, knots: int) -> FloatArray:
    """Return the non-linear columns (n, ≤ knots − 1) of a natural cubic spline with knots at quantiles of x, and a square.

    Truncated-power form (Hastie, Tibshirani & Friedman 2009, eq. 5.4–5.5); x of few values gets no curve.
    """
    if len(np.unique(x[:1000])) <= FEW_VALUES and len(np.unique(x)) <= FEW_VALUES:
        return np.empty((len(x), 0))
    places = np.unique(np.quantile(x, np.linspace(0.01, 0.99, knots)))
    if len(places) < 3:
        return np.empty((len(x), 0))
    last, before = places[-1], places[-2]

    def d(place: float) -> FloatArray:
        near, far = np.maximum(x - place, 0), np.maximum(x - last, 0)
        return np.asarray((near * near * near - far * far * far) / (last - place))  # x**3 is ten times slower

    # A spline is straight beyond its last knots; the square, kept from outliers, bends the tails.
    return np.column_stack([*(d(place) - d(before) for place in places[:-2]), np.clip(x, -FARTHEST, FARTHEST) ** 2])


def _affordable(products: list[FloatArray]) -> bool:
    return 0 < len(products) <= MOST_PRODUCTS


@dataclass(frozen=True, slots=True, eq=False)
class _OnBasis:
    """Ridge or logistic ridge on the richest of some bases (n, p) that the training rows can bear."""

    bases: list[FloatArray]
    ridge: float

    def __call__(self, y: FloatArray, train: BoolArray, folds: IntArray, seed: int) -> FloatArray:
        predicted = np.empty(len(y))
        classes = is_binary(y[train])
        beta: FloatArray | None = None
        used: FloatArray | None = None
        for learn, apply in splits(folds, train):
            target = y[learn]
            X = next((b for b in self.bases if b.shape[1] * ROWS_PER_FEATURE <= _events(target, classes)), self.bases[-1])
            if not classes:
                predicted[apply] = X[apply] @ linear(X[learn], target, self.ridge)
                continue
            rows = X[learn]
            # The start, the last fold's solution or that of some rows, changes the path to the optimum, not the optimum.
            start = beta if X is used else _rough_start(rows, target, self.ridge)
            beta, used = logistic(rows, target, self.ridge, start=start), X
            predicted[apply] = expit(X[apply] @ beta)
        return predicted


def _rough_start(X: FloatArray, y: FloatArray, ridge: float) -> FloatArray | None:
    """Return the coefficients of a tenth of the rows when there are many, to save steps over all of them."""
    if len(y) <= MANY_ROWS:
        return None
    some = spread_rows(len(y), len(y) // 10)
    return logistic(X[some], y[some], ridge)


def _events(y: FloatArray, classes: bool) -> float:
    return float(min(y.sum(), len(y) - y.sum())) if classes else float(len(y))
