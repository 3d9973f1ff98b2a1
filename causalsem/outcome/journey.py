"""Journey: the numbers of a fit for every stage of a chain, laid out as one column per head."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from causalsem._values import BoolArray, FloatArray, frozen
from causalsem.behaviour import BehaviourTable
from causalsem.errors import AssumptionWarning, DataError
from causalsem.outcome.chain import ARMS, Chain, direct, learn_chain
from causalsem.outcome.problem import Problem

# A logistic regression needs ten or more events for each number it learns (Peduzzi et al. 1996); base rate and one trait are two.
FEWEST_PER_ARM = 20


@dataclass(frozen=True, slots=True, eq=False)
class Journey:
    """The problem of each stage and the chain that joins them; a head belongs to a door and an arm (see `Chain`).

    `door` (n, doors): 1 where a pair stands at the door.
    """

    chain: Chain
    problems: tuple[Problem, ...]
    door: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "door", frozen(self.door))

    @classmethod
    def of(cls, pairs: BehaviourTable, treatment: str, outcome: str, parents: dict[str, tuple[int, ...]] | None) -> Journey:
        """Return the journey over the stages whose `parents` are given, or to the outcome alone; raises DataError, OverlapError."""
        if parents is None:
            return cls(direct(outcome), (Problem.of(pairs, treatment, outcome),), np.ones((len(pairs), 1)))
        for name in parents:
            _check_stage(pairs.column(name), name)
        problems = tuple(Problem.of(pairs, treatment, name) for name in parents)
        for name, problem in zip(parents, problems, strict=True):
            _warn_of_few(problem, name, treatment)
        values = np.column_stack([problem.y for problem in problems])
        known = np.column_stack([problem.observed for problem in problems])
        chain = learn_chain(tuple(parents), tuple(parents.values()), values, known)
        return cls(chain, problems, chain.at(values, known))

    def problem_of(self, stage: str) -> Problem:
        """Return the problem of one stage."""
        return self.problems[self.chain.names.index(stage)]

    @property
    def treatment(self) -> FloatArray:
        """The treatment, 0 or 1: (n,)."""
        return self.problems[0].treatment

    @property
    def binary(self) -> bool:
        """Whether heads are logits: always, but for a lone outcome that is a number."""
        return self.problems[0].scale.binary

    @property
    def heads(self) -> int:
        """How many outcome heads the network needs."""
        return self.chain.doors * ARMS

    @property
    def y(self) -> FloatArray:
        """What each head is to predict, 0 where it was not observed: (n, heads)."""
        return self._per_head([problem.y[:, None].repeat(ARMS, axis=1) for problem in self.problems])

    @property
    def taken(self) -> FloatArray:
        """1 where the arm was taken and the pair stands at the door: (n, heads)."""
        return self._at_doors(np.tile(self.problems[0].taken, self.chain.doors))

    @property
    def seen(self) -> FloatArray:
        """1 where the pair taught the head, its stage observed: (n, heads)."""
        return self._at_doors(self._per_head([problem.seen for problem in self.problems]))

    @property
    def observed(self) -> BoolArray:
        """Where any head was taught: (n,)."""
        return np.asarray(self.seen.any(axis=1))

    @property
    def base(self) -> FloatArray:
        """The predictor of each head that knows no more than the average of those that taught it: (heads,)."""
        if len(self.problems) == 1:
            return self.problems[0].base
        total, count = (self.seen * self.y).sum(axis=0), self.seen.sum(axis=0)
        return np.asarray(np.log((total + 0.5) / (count - total + 0.5)))

    def weights(self, propensity: FloatArray | None) -> FloatArray:
        """Return the weights of what was seen of every stage, by inverse `propensity` (n, arms) if given: (n, K × arms)."""
        seen = np.column_stack([problem.seen for problem in self.problems])
        return seen if propensity is None else seen / np.tile(propensity, len(self.problems))

    def _per_head(self, stages: Sequence[FloatArray]) -> FloatArray:
        return np.column_stack([stages[k] for k in self.chain.stage_of_door])

    def _at_doors(self, heads: FloatArray) -> FloatArray:
        return np.asarray(heads * self.door.repeat(ARMS, axis=1))


def _warn_of_few(problem: Problem, name: str, treatment: str) -> None:
    """Warn when a stage happened so rarely under some treatment that its heads can hardly learn whom it happens to."""
    happened, pairs = problem.events.sum(axis=0), problem.seen.sum(axis=0)
    if all(happened[arm] >= FEWEST_PER_ARM for arm in problem.arms):
        return
    told = " and ".join(f"{happened[arm]:,.0f} of {pairs[arm]:,.0f} pairs with {treatment} = {arm}" for arm in problem.arms)
    warnings.warn(
        f"stage {name!r} happened in only {told}; fewer than {FEWEST_PER_ARM} say little of whom it happens to: its chances are "
        f"mostly the prior's, and its lift is as uncertain as lift_estimate({name!r}) tells; take a longer window, or leave it out",
        AssumptionWarning,
        stacklevel=5,
    )


def _check_stage(values: FloatArray, name: str) -> None:
    """Raise DataError unless a stage of a chain is 0 or 1 wherever it was observed, and happened at least once."""
    seen = values[~np.isnan(values)]
    odd = seen[~np.isin(seen, (0, 1))]
    if odd.size:
        raise DataError(
            f"stage {name!r} has the value {odd[0]:g}; a stage happened or it did not: cut it at a threshold "
            f"(a rating: did they review at all), or make {name!r} the outcome of a fit without stages",
            columns=[name],
        )
    if not seen.any():
        what = "never happened" if seen.size else "was never observed"
        raise DataError(
            f"stage {name!r} {what} in {len(values):,} pairs; leave it out of the stages or take a longer window", columns=[name]
        )
