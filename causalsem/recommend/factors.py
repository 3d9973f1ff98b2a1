"""factor_scores: matrix factorisation of what was seen, the yardstick that knows neither traits nor causes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from causalsem._values import IntArray
from causalsem.behaviour import BehaviourTable
from causalsem.errors import NoRowsError, SettingError, check_kind, check_names
from causalsem.outcome.encoder import check_pairs
from causalsem.recommend.scores import Scores

SingleArray: TypeAlias = npt.NDArray[np.float32]
# Users × items scored at once: 16 MB.
SCORES_AT_ONCE = 4_000_000
CONJUGATE_STEPS = 3


@dataclass(frozen=True)
class ALS:
    """Implicit-feedback matrix factorisation by alternating least squares (Hu, Koren & Volinsky 2008).

    A pair seen r times weighs 1 + `weight` · r, every other pair 1 with an outcome of 0.
    """

    factors: int = 64
    weight: float = 1.0
    penalty: float = 0.01
    rounds: int = 10

    def __post_init__(self) -> None:
        if min(self.factors, self.rounds) < 1 or self.weight <= 0 or self.penalty < 0:
            raise SettingError(f"{self} cannot be; factors and rounds are 1 or more, weight above 0, penalty 0 or more")


@dataclass(frozen=True)
class BPR:
    """Bayesian personalised ranking by stochastic gradients (Rendle et al. 2009), negatives drawn hard (Zhang et al. 2013).

    The unseen item of a step is the better scored of `candidates`; the learning rate falls in a line to a tenth.
    """

    factors: int = 64
    learning_rate: float = 0.1
    penalty: float = 0.01
    candidates: int = 2
    rounds: int = 10

    def __post_init__(self) -> None:
        if min(self.factors, self.rounds, self.candidates) < 1 or self.learning_rate <= 0 or self.penalty < 0:
            raise SettingError(f"{self} cannot be; factors, rounds, candidates are 1 or more, learning_rate above 0, penalty 0 or more")


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What was seen, by rows: row u has columns[starts[u]:starts[u + 1]], sorted, `times` each; all (n,)."""

    starts: IntArray
    columns: IntArray
    times: SingleArray
    width: int

    @classmethod
    def of(cls, rows: IntArray, columns: IntArray, times: SingleArray, shape: tuple[int, int]) -> Seen:
        """Return the pairs sorted by row and column, those told twice added up."""
        codes, place = np.unique(rows * shape[1] + columns, return_inverse=True)
        total = np.bincount(place, weights=times).astype(np.float32)
        starts = np.searchsorted(codes, np.arange(shape[0] + 1) * shape[1])
        return cls(starts.astype(np.int64), codes % shape[1], total, shape[1])

    @property
    def rows(self) -> IntArray:
        """The row of every pair."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    def turned(self) -> Seen:
        """Return the same pairs by columns."""
        return Seen.of(self.columns, self.rows, self.times, (self.width, len(self.starts) - 1))


def factor_scores(
    pairs: BehaviourTable,
    outcome: str,
    method: ALS | BPR = ALS(),
    *,
    top: int | None = None,
    new: bool = False,
    seed: int = 0,
) -> Scores:
    """Score every user × item by factors of the pairs whose `outcome` is above 0, whatever showed them: a naive yardstick.

    `new` leaves out pairs with the outcome, `top` keeps each user's best. Counts weigh in ALS, BPR looks at seen or not.
    Raises NoRowsError when no pair has the outcome.
    """
    check_pairs(pairs)
    check_kind(method, (ALS, BPR), "a method", "use ALS() or BPR()")
    check_names([outcome], pairs.names, what="column", where="the pairs")
    if top is not None and top < 1:
        raise SettingError(f"top={top} keeps nothing; ask for at least 1")
    users, user = np.unique(pairs.keys["user"].to_numpy(), return_inverse=True)
    items, item = np.unique(pairs.keys["item"].to_numpy(), return_inverse=True)
    value = pairs.column(outcome)
    on = value > 0
    if not on.any():
        raise NoRowsError(f"no pair has {outcome!r} above 0; there is nothing to factorise")
    seen = Seen.of(user[on], item[on], value[on].astype(np.float32), (len(users), len(items)))
    x, y, bias = fit_als(seen, method, seed) if isinstance(method, ALS) else fit_bpr(seen, method, seed)
    frames = []
    for start in range(0, len(users), max(1, SCORES_AT_ONCE // len(items))):
        part = slice(start, start + max(1, SCORES_AT_ONCE // len(items)))
        frames.append(_best(x[part] @ y.T + bias, start, seen, top, new))
    told = pd.concat(frames, ignore_index=True)
    told["user"], told["item"] = users[told["user"]], items[told["item"]]
    scores = Scores(told, "", outcome)
    return scores if top is None else scores.top(top)


def fit_als(seen: Seen, method: ALS, seed: int) -> tuple[SingleArray, SingleArray, SingleArray]:
    """Return factors of rows (n, f) and columns (m, f), and no bias (m,)."""
    from causalsem.recommend.factor_kernels import als_half_step

    x, y = _first(seen, method.factors, 0.01, seed)
    ridge = np.eye(method.factors, dtype=np.float32) * np.float32(method.penalty)
    turned = seen.turned()
    sides = [(s.starts, s.columns, np.float32(method.weight) * s.times) for s in (seen, turned)]
    for _ in range(method.rounds):
        als_half_step(x, y, y.T @ y + ridge, *sides[0], CONJUGATE_STEPS)
        als_half_step(y, x, x.T @ x + ridge, *sides[1], CONJUGATE_STEPS)
    return x, y, np.zeros(seen.width, dtype=np.float32)


def fit_bpr(seen: Seen, method: BPR, seed: int) -> tuple[SingleArray, SingleArray, SingleArray]:
    """Return factors of rows (n, f) and columns (m, f), and the columns' bias (m,)."""
    from causalsem.recommend.factor_kernels import bpr_epoch

    x, y = _first(seen, method.factors, 0.1, seed)
    bias, rows, rng = np.zeros(seen.width, dtype=np.float32), seen.rows, np.random.default_rng(seed)
    for epoch in range(method.rounds):
        rate = method.learning_rate * (1 - 0.9 * epoch / max(method.rounds - 1, 1))
        drawn = rng.integers(0, 2**62, size=len(rows) * (method.candidates + 1))
        bpr_epoch(x, y, bias, rows, seen.columns, seen.starts, drawn, rate, method.penalty, method.candidates)
    return x, y, bias


def _first(seen: Seen, factors: int, spread: float, seed: int) -> tuple[SingleArray, SingleArray]:
    rng = np.random.default_rng(seed)
    shapes = (len(seen.starts) - 1, factors), (seen.width, factors)
    x, y = (rng.standard_normal(shape, dtype=np.float32) * np.float32(spread) for shape in shapes)
    return x, y


def _best(told: SingleArray, start: int, seen: Seen, top: int | None, new: bool) -> pd.DataFrame:
    """Return user, item (codes) and score of some users' pairs, those seen left out if `new`."""
    if new:
        low, high = seen.starts[start], seen.starts[start + len(told)]
        told[seen.rows[low:high] - start, seen.columns[low:high]] = -np.inf
    count = told.shape[1] if top is None else min(top, told.shape[1])
    items = np.argpartition(-told, count - 1, axis=1)[:, :count]
    score = np.take_along_axis(told, items, axis=1)
    user, kept = np.repeat(np.arange(len(told)) + start, count), np.isfinite(score).ravel()
    return pd.DataFrame({"user": user, "item": items.ravel(), "score": score.ravel().astype(np.float64)})[kept]
