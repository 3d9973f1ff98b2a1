"""Scores: what would happen if this item were shown to this user, for every pair, with its error."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from causalsem._cards import mimebundle
from causalsem._progress import progress
from causalsem._values import FloatArray, IntArray, read_parquet, write_parquet
from causalsem.behaviour import BehaviourTable
from causalsem.errors import DataError, SettingError, UnknownNameError, check_kind, check_names
from causalsem.outcome import OutcomeModel
from causalsem.outcome.encoder import Encoded, check_pairs

FORMAT = "causalsem-scores"
# Pairs × draws answered at once: about 50 MB of work space.
CHUNK = 131_072
DRAWS = 16


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """A score per pair: `frame` has columns user, item, score, lift, se, lift_se, rank, best first within each user.

    score = E[Y | do(T = 1), user, item] with the adjustment set integrated out, lift = the difference to do(T = 0)
    (NaN where only one arm was observed), se and lift_se = their standard errors (NaN when nobody knows them), rank = 1 for the best.
    `cold_users` and `cold_items` say how many were unseen in training and answered from traits. `cut` is the number of
    best items kept per user, None when all are here; what a cut left out ranks below what it kept.
    """

    frame: pd.DataFrame
    treatment: str = ""
    outcome: str = ""
    cold_users: int = 0
    cold_items: int = 0
    cut: int | None = None

    def __post_init__(self) -> None:
        check_names(("user", "item", "score"), self.frame.columns, what="column", where="the scores")
        frame = self.frame.reset_index(drop=True).copy()
        for name in ("lift", "se", "lift_se"):
            if name not in frame:
                frame[name] = np.nan
        if frame["score"].isna().any():
            raise DataError(f"{int(frame['score'].isna().sum()):,} pairs have no score; drop them or score them", columns=["score"])
        frame["rank"] = ranks(frame)
        frame = frame[["user", "item", "score", "lift", "se", "lift_se", "rank"]].sort_values(
            ["user", "rank"], kind="stable", ignore_index=True
        )
        object.__setattr__(self, "frame", frame)

    def top(self, k: int) -> Scores:
        """Return the scores of each user's k best items."""
        if k < 1:
            raise SettingError(f"top {k} holds nothing; ask for at least 1")
        best = self.frame[self.frame["rank"] <= k]
        cut = k if self.cut is None else min(k, self.cut)
        return Scores(best, self.treatment, self.outcome, self.cold_users, self.cold_items, cut)

    def for_user(self, user: object) -> pd.DataFrame:
        """Return one user's rows, best first; raises UnknownNameError for a user without scores."""
        rows = self.frame[self.frame["user"] == user]
        if rows.empty:
            raise UnknownNameError(str(user), [str(u) for u in self.frame["user"].unique()], what="user", where="the scores")
        return rows.reset_index(drop=True)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write one Parquet file, whole or not at all; what the scores mean travels in its metadata."""
        about: dict[str, Any] = {"format": FORMAT, "treatment": self.treatment, "outcome": self.outcome}
        about |= {"cold_users": self.cold_users, "cold_items": self.cold_items, "cut": self.cut}
        return write_parquet(path, self.frame, about)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Scores:
        """Return the scores that `save` wrote; raises FileError for another file."""
        frame, about = read_parquet(path, FORMAT)
        return cls(frame, about["treatment"], about["outcome"], about["cold_users"], about["cold_items"], about["cut"])

    def __len__(self) -> int:
        return len(self.frame)

    def __repr__(self) -> str:
        cold = f", answered from traits: {self.cold_users:,} users, {self.cold_items:,} items" if self.cold_users or self.cold_items else ""
        what = f"{self.outcome} under do({self.treatment})" if self.treatment else "scores"
        return f"Scores({what}: {len(self):,} pairs, {self.frame['user'].nunique():,} users × {self.frame['item'].nunique():,} items{cold})"

    def _repr_html_(self) -> str:
        return self.frame.head(10).to_html(notebook=True)

    _repr_mimebundle_ = mimebundle


def score(
    model: OutcomeModel, pairs: BehaviourTable | None = None, *, stage: str | None = None, top: int | None = None, seed: int = 0
) -> Scores:
    """Score pairs by the back-door formula: score(u, i) = E_Z[Y | do(T = 1), u, i], Y the outcome or another `stage` of its chain.

    Without `pairs`, every user × item of the training data is scored, in chunks; with them, these pairs, strangers included
    (answered from their trait columns, with a warning). User- and item-level adjustment variables are looked up; those of
    the pair are integrated over their empirical distribution (all its rows if they are few, else draws from it by `seed`).
    `top` keeps each user's best. The standard errors of score and lift are the delete-a-group jackknife over the members,
    each of which never saw one fold: √((M − 1)/M Σ (s_m − s̄)²); it holds the networks' own randomness too. That of an
    average lift is told by `OutcomeModel.lift_estimate`.
    """
    check_kind(model, OutcomeModel, "a model", "hand in what fit_outcome(pairs, adjust) returned")
    check_kind(top, (Integral, type(None)), "top", "hand in a whole number")
    if top is not None and top < 1:
        raise SettingError(f"top={top} keeps nothing; ask for at least 1")
    if pairs is not None:
        check_pairs(pairs)
    draws, weights = _draws(model, seed)
    # The pair block is integrated out, so the pairs need not have its columns.
    encoded = _all_pairs(model) if pairs is None else model.encode(_without_block(pairs, model))
    chunks = list(_chunks(encoded, per_pair=len(draws)))
    stage = model.outcome if stage is None else stage
    parts = [_answer(model, stage, chunk, draws, weights) for chunk in progress(chunks, "score")]
    value, lift, se, lift_se = (np.concatenate(column) for column in zip(*parts, strict=True))
    users, items = _names(model, encoded, pairs)
    frame = pd.DataFrame({"user": users, "item": items, "score": value, "lift": lift, "se": se, "lift_se": lift_se})
    scores = Scores(frame, model.treatment, stage, encoded.strangers["user"], encoded.strangers["item"])
    return scores if top is None else scores.top(top)


def popularity_scores(pairs: BehaviourTable, outcome: str) -> Scores:
    """Score every user × item by the share of the item's pairs with the outcome, whoever the user: the naive yardstick."""
    check_names([outcome], pairs.names, what="column", where="the pairs")
    share = pd.Series(pairs.column(outcome)).groupby(pairs.keys["item"].to_numpy()).mean()
    users = np.unique(pairs.keys["user"].to_numpy())
    frame = pd.DataFrame(
        {
            "user": np.repeat(users, len(share)),
            "item": np.tile(share.index.to_numpy(), len(users)),
            "score": np.tile(share.fillna(0.0).to_numpy(), len(users)),
        }
    )
    return Scores(frame, "", outcome)


def ranks(frame: pd.DataFrame) -> IntArray:
    """Return each pair's rank within its user, 1 for the highest score; equal scores keep the order of the rows."""
    users, _ = pd.factorize(frame["user"])
    order = np.lexsort((-frame["score"].to_numpy(dtype=np.float64), users))
    sizes = np.bincount(users) if len(users) else np.zeros(0, dtype=np.int64)
    place = np.arange(len(frame)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    found = np.empty(len(frame), dtype=np.int64)
    found[order] = place + 1
    return found


def _draws(model: OutcomeModel, seed: int) -> tuple[FloatArray, FloatArray]:
    """Return rows of the pair block (S, p) and their weights (S,), all of them if few."""
    rows, weights = model.encoder.draws, model.encoder.draw_weights
    if len(rows) <= 2 * DRAWS:
        return rows, weights
    chosen = np.random.default_rng(seed).choice(len(rows), size=DRAWS, replace=False)
    return rows[chosen], np.full(DRAWS, 1 / DRAWS)


def _all_pairs(model: OutcomeModel) -> Encoded:
    """Return every known user with every known item, user by user."""
    e = model.encoder
    user, item = len(e.user.ids), len(e.item.ids)
    rows = np.repeat(np.arange(user), item), np.tile(np.arange(item), user)
    return Encoded(*rows, np.zeros((user * item, 0)), e.user.traits, e.item.traits, {"user": 0, "item": 0})


def _without_block(pairs: BehaviourTable, model: OutcomeModel) -> BehaviourTable:
    """Return the pairs with the columns of the pair block present, at their mean: they are integrated out afterwards."""
    e = model.encoder
    frame = pairs.frame.assign(**{name: e.centre[name] for name in e.pair_names})
    return BehaviourTable(frame, pairs.keys, pairs.roles, pairs.tiers, pairs.levels)


def _chunks(encoded: Encoded, per_pair: int) -> Iterator[Encoded]:
    size = max(1, CHUNK // per_pair)
    for start in range(0, len(encoded), size):
        part = slice(start, start + size)
        yield Encoded(
            encoded.user[part], encoded.item[part], encoded.pair[part], encoded.user_traits, encoded.item_traits, encoded.strangers
        )


def _answer(
    model: OutcomeModel, stage: str, chunk: Encoded, draws: FloatArray, weights: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return score, lift, se and lift_se of a chunk, each (n,)."""
    n, s = len(chunk), len(draws)
    spread = Encoded(
        np.repeat(chunk.user, s), np.repeat(chunk.item, s), np.tile(draws, (n, 1)), chunk.user_traits, chunk.item_traits, chunk.strangers
    )

    def integrated(treatment: int) -> FloatArray:
        members: FloatArray = model.predict_members(spread, treatment, stage=stage).reshape(model.members, n, s) @ weights
        return members  # (M, n)

    shown = integrated(1)
    lifts = shown - integrated(0) if 0 in model.answers[stage].arms else np.full_like(shown, np.nan)
    return shown.mean(axis=0), lifts.mean(axis=0), _jackknife(shown), _jackknife(lifts)


def _jackknife(members: FloatArray) -> FloatArray:
    """Return the standard error (n,) of the average of members (M, n), each of which left out one of M groups."""
    return np.sqrt((len(members) - 1) * ((members - members.mean(axis=0)) ** 2).mean(axis=0))


def _names(model: OutcomeModel, encoded: Encoded, pairs: BehaviourTable | None) -> tuple[object, object]:
    """Return users and items by their own names, one per pair."""
    if pairs is not None:
        return pairs.keys["user"].to_numpy(), pairs.keys["item"].to_numpy()
    return model.encoder.user.ids[encoded.user], model.encoder.item.ids[encoded.item]
