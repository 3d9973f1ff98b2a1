"""Ratings with a part collected at random: Coat and Yahoo! R3, as behaviour tables of pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd

from causalsem._values import FloatArray
from causalsem.behaviour import BehaviourTable
from causalsem.behaviour.origin import Level
from causalsem.behaviour.table import Role
from causalsem.datasets.public_files import PathLike, folder_of, read_csv, read_lines, read_matrix, the_file
from causalsem.errors import DataError, SettingError, shown

Part = Literal["train", "test"]


def load_coat(folder: PathLike, *, part: Part = "train") -> BehaviourTable:
    """Return Coat: 290 users × 300 coats, all pairs, with `rated` (0/1), `rating` (1–5, missing where not rated) and traits.

    `part` "train" are the ratings users chose to give, "test" those of 16 coats drawn at random for each. Traits are
    one-hot: "user age:20-30", "item color:blue". `folder` holds train.ascii, test.ascii and user_item_features/.
    Cite Schnabel et al. (2016); research use.
    """
    names = _known(part, {"train": ("train.ascii",), "test": ("test.ascii", "test_dev.ascii")})
    path = the_file(folder, *names)
    ratings = read_matrix(path).to_numpy(dtype=np.float64)
    users, items = ratings.shape
    if not np.isin(ratings, range(6)).all():
        odd = ratings[~np.isin(ratings, range(6))][0]
        raise DataError(f"{path} holds {odd:g}; ratings are 1 to 5, and 0 where there is none")
    sides = {side: _features(folder_of(folder), side, count) for side, count in (("user", users), ("item", items))}
    at = {"user": np.repeat(np.arange(users), items), "item": np.tile(np.arange(items), users)}
    flat = ratings.ravel()
    columns = {**at, "rated": (flat > 0) * 1.0, "rating": np.where(flat > 0, flat, np.nan)}
    levels: dict[str, Level] = {}
    for side, level in (("user", "user"), ("item", "item")):
        for name, values in sides[side].items():
            columns[str(name)] = values.to_numpy()[at[side]]
            levels[str(name)] = level  # type: ignore[assignment]  # the two words are levels
    roles: dict[str, Role] = {"rated": "exposure", "rating": "outcome", **dict.fromkeys(levels, "trait")}
    tiers = (tuple(levels), ("rated",), ("rating",))
    return BehaviourTable.from_frame(pd.DataFrame(columns), user="user", item="item", roles=roles, levels=levels, tiers=tiers)


def coat_propensities(folder: PathLike) -> FloatArray:
    """Return the chance of each pair of Coat to be rated by choice, (290, 300), as its authors estimated it."""
    return read_matrix(the_file(folder, "propensities.ascii")).to_numpy(dtype=np.float64)


def load_yahoo_r3(folder: PathLike, *, part: Part = "train") -> BehaviourTable:
    """Return Yahoo! R3: a row per rated pair of user and song, with `rating` (1–5).

    `part` "train" are 311,704 ratings of 15,400 users' own choice, "test" 54,000 of ten songs drawn at random for each of
    5,400 users. `folder` holds ydata-ymusic-rating-study-v1_0-train.txt and -test.txt (user, song, rating, by tabs).
    Cite Marlin & Zemel (2009); Yahoo! Webscope R3, for research under its agreement.
    """
    stem = "ydata-ymusic-rating-study-v1_0"
    path = the_file(folder, *_known(part, {p: (f"{stem}-{p}.txt", f"*/{stem}-{p}.txt") for p in get_args(Part)}))
    frame = read_csv(path, sep="\t", header=None)
    if frame.shape[1] != 3:
        raise DataError(f"{path} has {frame.shape[1]} columns; Yahoo! R3 has user, song and a rating from 1 to 5, parted by tabs")
    odd = frame.loc[~frame[2].isin(range(1, 6)), 2]
    if len(odd):
        raise DataError(
            f"{path} has the rating {odd.iloc[0]} in line {odd.index[0] + 1}; Yahoo! R3 has user, song and a rating from 1 to 5"
        )
    frame = frame.set_axis(["user", "item", "rating"], axis=1)
    return BehaviourTable.from_frame(frame, user="user", item="item", roles={"rating": "outcome"})


def _known(part: str, names: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    if part not in names:
        raise SettingError(f"unknown part {part!r}; use one of {shown(names)}")
    return names[part]


def _features(folder: Path, side: str, count: int) -> pd.DataFrame:
    """Return the one-hot traits of one side, named as the map beside them says."""
    place = folder / "user_item_features"
    values = read_matrix(the_file(place, f"{side}_features.ascii"))
    names = [f"{side} {line}" for line in read_lines(the_file(place, f"{side}_features_map.txt"))]
    if values.shape != (count, len(names)):
        raise DataError(
            f"{side}_features.ascii has {len(values)} rows of {values.shape[1]} numbers, but there are {count} {side}s and "
            f"{len(names)} names in {side}_features_map.txt; take the files of one edition"
        )
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise DataError(f"{side}_features_map.txt names {shown(twice)} more than once; give every trait its own name", columns=twice)
    return values.set_axis(names, axis=1)
