"""Encoder: from a behaviour table of pairs to ids, trait tables and the pair block a network reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from causalsem._values import FloatArray, IntArray, frozen
from causalsem.behaviour import BehaviourTable
from causalsem.errors import DataError, check_kind, shown

Ids = npt.NDArray[Any]
DRAWS = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One side of the pairs: `ids` (N,) in sorted order, trait names, and their standardised table (N, d)."""

    ids: Ids
    names: tuple[str, ...]
    traits: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", frozen(self.ids, self.ids.dtype))
        object.__setattr__(self, "traits", frozen(self.traits))

    def find(self, ids: npt.ArrayLike) -> IntArray:
        """Return the row of each id, and len(self.ids) for a stranger."""
        where = pd.Index(self.ids).get_indexer(pd.Index(np.asarray(ids)))
        return np.where(where < 0, len(self.ids), where).astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """Pairs as numbers: rows `user`, `item` (n,) of the trait tables (strangers appended to them), `pair` (n, p)."""

    user: IntArray
    item: IntArray
    pair: FloatArray
    user_traits: FloatArray
    item_traits: FloatArray
    strangers: dict[str, int]

    def __len__(self) -> int:
        return len(self.user)


@dataclass(frozen=True, slots=True, eq=False)
class Encoder:
    """Vocabularies, trait tables and scales learnt from the training pairs.

    `centre` and `scale` standardise every column by name; `draws` (S, p) are standardised rows of the pair block as
    they occurred and `draw_weights` (S,) how often, for integrating it out.
    """

    user: Side
    item: Side
    pair_names: tuple[str, ...]
    centre: dict[str, float]
    scale: dict[str, float]
    draws: FloatArray
    draw_weights: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "draws", frozen(self.draws))
        object.__setattr__(self, "draw_weights", frozen(self.draw_weights))

    @classmethod
    def learn(cls, pairs: BehaviourTable, names: Sequence[str], seed: int) -> Encoder:
        """Return the encoder of `pairs` for the columns `names`: each belongs to the users, the items or the pairs."""
        values = pairs.complete(names)
        groups = {key: pd.factorize(pairs.keys[key], sort=True) for key in ("user", "item")}
        centre = dict(zip(names, values.mean(axis=0).tolist(), strict=True))
        spread = values.std(axis=0)
        scale = dict(zip(names, np.where(spread > 1e-12, spread, 1.0).tolist(), strict=True))
        levels = {n: _level(pairs, n, values[:, k], groups) for k, n in enumerate(names)}
        standard = (values - np.array([centre[n] for n in names])) / np.array([scale[n] for n in names])
        sides = {}
        for key, (codes, ids) in groups.items():
            own = [k for k, n in enumerate(names) if levels[n] == key]
            table = np.zeros((len(ids), len(own)))
            table[codes] = standard[:, own]
            sides[key] = Side(np.asarray(ids), tuple(names[k] for k in own), table)
        block = [k for k, n in enumerate(names) if levels[n] == "pair"]
        draws, weights = _empirical(standard[:, block], np.random.default_rng(seed))
        return cls(sides["user"], sides["item"], tuple(names[k] for k in block), centre, scale, draws, weights)

    @property
    def names(self) -> tuple[str, ...]:
        """Every column that enters the network."""
        return (*self.user.names, *self.item.names, *self.pair_names)

    def encode(self, pairs: BehaviourTable) -> Encoded:
        """Return `pairs` as numbers; strangers need their traits as columns, everyone needs the pair block."""
        check_pairs(pairs)
        user, user_traits, new_users = self._entities(pairs, "user", self.user)
        item, item_traits, new_items = self._entities(pairs, "item", self.item)
        block = self.standardise(pairs.complete(self.pair_names), self.pair_names)
        return Encoded(user, item, block, user_traits, item_traits, {"user": new_users, "item": new_items})

    def standardise(self, values: FloatArray, names: Iterable[str]) -> FloatArray:
        """Return columns on the scale of training: (n, k) → (n, k)."""
        names = list(names)
        centred: FloatArray = (values - np.array([self.centre[n] for n in names])) / np.array([self.scale[n] for n in names])
        return centred

    def _entities(self, pairs: BehaviourTable, key: str, side: Side) -> tuple[IntArray, FloatArray, int]:
        """Return rows of the trait table, the table with strangers appended, and how many strangers there are."""
        rows = side.find(pairs.keys[key].to_numpy())
        strange = np.flatnonzero(rows == len(side.ids))
        if strange.size == 0:
            return rows, side.traits, 0
        codes, new = pd.factorize(pairs.keys[key].iloc[strange])
        traits = np.zeros((len(new), len(side.names)))
        if side.names:
            absent = [name for name in side.names if name not in pairs.names]
            if absent:
                raise DataError(f"{len(new):,} {key}s are unseen in training and have no {shown(absent)}; add the columns", columns=absent)
            traits[codes] = self.standardise(pairs.rows(strange).complete(side.names), side.names)
        rows = rows.copy()
        rows[strange] = len(side.ids) + codes
        return rows, np.vstack([side.traits, traits]), len(new)


def check_pairs(pairs: BehaviourTable) -> None:
    """Raise DataError unless a row of `pairs` is a user and an item."""
    check_kind(pairs, BehaviourTable, "pairs", "hand in behaviours(log, unit=('user', 'item')), or BehaviourTable.from_frame", DataError)
    if set(pairs.unit) != {"user", "item"}:
        raise DataError(f"rows of {pairs.unit} are not pairs; make the table with unit=('user', 'item')", unit=pairs.unit)


def _level(pairs: BehaviourTable, name: str, values: FloatArray, groups: dict[str, tuple[Any, Any]]) -> str:
    """Return whether a column belongs to the "user", the "item" or the "pair".

    A declared level is held to its word. An undeclared one ("pair" by default) that never varies within a user
    (or item) who has at least two pairs on average is that user's (or item's): integrating a person's age out
    over the population would be wrong.
    """
    declared = pairs.levels[name]
    for key in ("user", "item"):
        codes, ids = groups[key]
        first = np.zeros(len(ids))
        first[codes] = values
        varies = np.flatnonzero(first[codes] != values)
        if declared == key and varies.size:
            who = ids[codes[varies[0]]]
            raise DataError(
                f"column {name!r} is declared a trait of the {key} but differs within {key} {str(who)!r}; "
                f"give one value per {key} or set its level to 'pair'",
                columns=[name],
            )
        if declared == key or (not varies.size and len(values) >= 2 * len(ids)):
            return key
    return "pair"


def _empirical(block: FloatArray, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Return the distinct rows of the pair block with their shares, or `DRAWS` rows drawn from it when they are many."""
    if block.shape[1] == 0:
        return np.zeros((1, 0)), np.ones(1)
    rows, counts = np.unique(block, axis=0, return_counts=True)
    if len(rows) <= 64:
        return rows, counts / counts.sum()
    drawn = block[rng.integers(len(block), size=DRAWS)]
    return drawn, np.full(DRAWS, 1 / DRAWS)
