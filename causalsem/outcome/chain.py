"""Chain: the behaviours that lead from treatment to outcome and beyond, and the doors through which each is reached."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from causalsem._values import BoolArray, FloatArray

# Positives of a stage that earn a group of pairs a head of its own; groups with fewer share one.
FEWEST_PER_DOOR = 20
ARMS = 2

Values = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Stage:
    """One behaviour: `parents` are the places of the earlier stages that its chance looks at.

    Each of `doors` is a group of their values (0/1) from which it happens with a chance that one head gives; from values
    behind no door it never happens. Without parents there is one door, open to all.
    """

    name: str
    parents: tuple[int, ...] = ()
    doors: tuple[tuple[Values, ...], ...] = (((),),)

    def door(self, state: Sequence[int]) -> int | None:
        """Return the door at which a pair stands, by what it has done so far, or None where there is none."""
        own = tuple(state[k] for k in self.parents)
        return next((d for d, group in enumerate(self.doors) if own in group), None)


@dataclass(frozen=True, slots=True)
class Chain:
    """Stages in order. A network has one outcome head per door and arm: head 2 × door + arm, doors counted through all stages."""

    stages: tuple[Stage, ...]

    @classmethod
    def of(cls, told: Iterable[Mapping[str, Any]]) -> Chain:
        """Return the chain of stages as JSON holds them."""
        return cls(
            tuple(
                Stage(stage["name"], tuple(stage["parents"]), tuple(tuple(tuple(v) for v in group) for group in stage["doors"]))
                for stage in told
            )
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The stages by name, in order."""
        return tuple(stage.name for stage in self.stages)

    @property
    def doors(self) -> int:
        """How many doors all stages have together."""
        return sum(len(stage.doors) for stage in self.stages)

    @property
    def first_doors(self) -> tuple[int, ...]:
        """The place of each stage's first door."""
        return tuple(accumulate((len(stage.doors) for stage in self.stages[:-1]), initial=0))

    @property
    def stage_of_door(self) -> tuple[int, ...]:
        """The place of the stage behind each door."""
        return tuple(k for k, stage in enumerate(self.stages) for _ in stage.doors)

    @property
    def door_names(self) -> tuple[str, ...]:
        """Say what each door stands for: "cart | browse", "buy | browse, no cart"."""
        return tuple(f"{stage.name}{self._condition(stage, group)}" for stage in self.stages for group in stage.doors)

    def at(self, values: FloatArray, known: BoolArray) -> FloatArray:
        """Return 1 where a pair stands at a door, by what it did (n, K) and whether that is known (n, K): (n, doors)."""
        columns = []
        for stage in self.stages:
            parents = list(stage.parents)
            own, sure = values[:, parents], known[:, parents].all(axis=1)
            columns += [sum((own == np.array(v)).all(axis=1) for v in group) * sure for group in stage.doors]
        return np.column_stack(columns).astype(np.float64)

    def _condition(self, stage: Stage, group: tuple[Values, ...]) -> str:
        names = [self.names[k] for k in stage.parents]
        told = [", ".join(n if v else f"no {n}" for n, v in zip(names, values, strict=True)) for values in group]
        return f" | {' or '.join(told)}" if names else ""


def direct(outcome: str) -> Chain:
    """Return the chain of the outcome alone, with no stage between it and the treatment."""
    return Chain((Stage(outcome),))


def learn_chain(names: Sequence[str], parents: Sequence[tuple[int, ...]], values: FloatArray, known: BoolArray) -> Chain:
    """Return the chain of stages with the doors through which they happened: `values`, `known` (n, K).

    Every group of pairs with equal parents in which a stage happened often enough is a door of its own, the others in which
    it happened at all share one. In a log where nobody buys without a cart, buying has one door: the cart.
    """
    stages = []
    for k, (name, own) in enumerate(zip(names, parents, strict=True)):
        seen = known[:, [*own, k]].all(axis=1)
        states, place = np.unique(values[seen][:, list(own)].astype(np.int64), axis=0, return_inverse=True)
        happened = np.bincount(place.ravel(), values[seen, k], minlength=len(states))
        often = [(tuple(state.tolist()),) for state, count in zip(states, happened, strict=True) if count >= FEWEST_PER_DOOR]
        rare = tuple(tuple(state.tolist()) for state, count in zip(states, happened, strict=True) if 0 < count < FEWEST_PER_DOOR)
        stages.append(Stage(name, tuple(own), (*often, rare) if rare else tuple(often)))
    return Chain(tuple(stages))
