"""CausalNet: a shared representation with an outcome head per arm and a propensity head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, get_args

import numpy as np

from causalsem._values import FloatArray, IntArray
from causalsem.effects.arms import Arms, check_arms
from causalsem.effects.methods.mixing import mixed_chance, mixed_mean
from causalsem.effects.nuisance import CrossFit, Learner, Splines, is_binary
from causalsem.effects.problem import Fitted, Problem, need_arms, need_single
from causalsem.errors import SettingError, shown

Link = Literal["identity", "exponential"]
Distance = Literal["mmd", "wasserstein", "critic"]


@dataclass(frozen=True)
class CausalNet:
    """Shared layers, an outcome head per arm, a propensity head (TARNet: Shalit et al. 2017; DragonNet: Shi et al. 2019).

    The representation is `linear` linear and `width` curved units (`depth` ELU layers); a head adds to a linear read-out,
    for the link "exponential", the difference of two exponentials, so that effects may multiply as well as add. Errors are
    normal with a variance of each arm's own. Every prior (standard deviation of the shared weights) meets every link; with
    `shared` so do networks whose other heads read their difference from the first arm's outcome, which is what an arm of few
    rows needs. Each such candidate is trained on `members` parts of the rows, stopped on the rest, and weighs, arm by arm, by its
    likelihood there (factual outcomes alone). `propensity` weighs the treatment's likelihood, `targeted` Shi et al.'s targeted
    regularisation, `balance` the `distance` between the arms' representations (counterfactual regression). Networks of all
    members, candidates and cross-fitting folds are one batch; the average effect is doubly robust, its nuisances the mixtures of
    the networks' and the `partner`'s that did best on rows unseen by both (None: the networks' alone). Unit effects are the
    networks'.
    """

    width: int = 16
    depth: int = 2
    linear: int = 8
    priors: tuple[float, ...] = (0.25, 0.06)
    links: tuple[Link, ...] = ("identity", "exponential")
    shared: bool = True
    members: int = 4
    steps: int = 300
    batch: int = 1024
    learning_rate: float = 0.02
    propensity: float = 1.0
    targeted: float = 0.0
    balance: float = 0.0
    distance: Distance = "mmd"
    clip: float | None = None
    partner: Learner | None = field(default_factory=Splines)

    takes: ClassVar[str] = "rows"
    treatment: ClassVar[str] = "levels"
    assumes: ClassVar[tuple[str, ...]] = ("overlap: every kind of row could have been treated and untreated",)

    def __post_init__(self) -> None:
        if min(self.width, self.depth, self.linear, self.steps, self.batch) < 1:
            raise SettingError("width, depth, linear, steps and batch must be 1 or more")
        if self.members < 2:
            raise SettingError(f"members is {self.members}; use at least 2, each leaves out a part of the rows to be stopped on")
        if not self.priors or min(self.priors) <= 0:
            raise SettingError(f"priors are standard deviations above 0, not {self.priors}")
        if not self.links or set(self.links) - set(get_args(Link)):
            raise SettingError(f"links are {self.links}; use some of {shown(get_args(Link))}")
        if min(self.propensity, self.targeted, self.balance) < 0:
            raise SettingError("propensity, targeted and balance are weights of 0 or more")
        if self.distance not in get_args(Distance):
            raise SettingError(f"unknown distance {self.distance!r}; use one of {shown(get_args(Distance))}")

    def fit(self, problem: Problem) -> Fitted:
        """Return the average effect, its influence function and the effect of each row."""
        from causalsem.effects.methods.net_training import Task, train_tasks

        need_single(problem, "CausalNet")
        need_arms(problem, "CausalNet")
        check_arms(problem)
        own = [np.flatnonzero(problem.folds == fold) for fold in np.unique(problem.folds)]
        tasks = [Task(*_arrays(problem, np.setdiff1d(np.arange(problem.n), rows)), problem.Z[rows]) for rows in own]
        e, mu = (np.empty((2, problem.n)) for _ in range(2))
        for rows, found in zip(own, train_tasks(tasks, self, classes=is_binary(problem.Y), seed=problem.seed), strict=True):
            e[:, rows], mu[:, rows] = found.propensity[:2], found.outcome[:2]
        tau = mu[1] - mu[0]
        if self.partner is not None:
            e, mu = _joined(problem, self.partner.on(problem.Z), e, mu)
        return replace(Arms.told(problem, e[1], e[0], self.clip).effect(problem.Y, mu[1], mu[0]), unit_effects=tau)

    def effects_at(self, problem: Problem, Z: FloatArray) -> FloatArray:
        """Return the effects (m,) at new rows Z (m, k), learnt from all rows of the problem."""
        return self.effects_of_many([problem], [Z])[0]

    def effects_of_many(self, problems: Sequence[Problem], Z: Sequence[FloatArray]) -> list[FloatArray]:
        """Return for each problem the effects at its own new rows; the networks of all problems are trained as one batch."""
        from causalsem.effects.methods.net_training import Task, train_tasks

        for problem in problems:
            need_single(problem, "CausalNet")
            need_arms(problem, "CausalNet")
        tasks = [Task(*_arrays(problem, np.arange(problem.n)), new) for problem, new in zip(problems, Z, strict=True)]
        classes = all(is_binary(problem.Y) for problem in problems)
        return [found.effect for found in train_tasks(tasks, self, classes=classes, seed=problems[0].seed)]


def _joined(problem: Problem, partner: CrossFit, e: FloatArray, mu: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the arms' propensities and outcomes (2, n), untreated first, mixed with those of the partner."""
    everyone, folds, arms = np.ones(problem.n, dtype=bool), problem.folds, (problem.untreated, problem.treated)
    chances, outcomes = [], []
    for k, arm in enumerate(arms):
        chances.append(mixed_chance(arm, e[k], partner(arm.astype(np.float64), everyone, folds, problem.seed + k)))
        outcomes.append(mixed_mean(problem.Y, mu[k], partner(problem.Y, arm, folds, problem.seed + 2 + k), arm))
    return np.stack(chances), np.stack(outcomes)


def _arrays(problem: Problem, rows: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    return problem.Z[rows], problem.T[rows, 0], problem.Y[rows]
