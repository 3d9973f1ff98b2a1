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
from causalsem.datasets.public_files import PathLike, read_csv, read_matrix, the_file
from causalsem.errors import DataError, FileError, SettingError, shown

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
    sides = {side: _features(Path(folder), side, count) for side, count in (("user", users), ("item", items))}
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
    if frame.shape[1] != 3 or not frame.iloc[:, 2].isin(range(1, 6)).all():
        raise DataError(f"{path} has {frame.shape[1]} columns; Yahoo! R3 has user, song and a rating from 1 to 5, parted by tabs")
    frame = frame.set_axis(["user", "item", "rating"], axis=1)
    return BehaviourTable.from_frame(frame, user="user", item="item", roles={"rating": "outcome"})


def _known(part: str, names: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    if part not in names:
        raise SettingError(f"unknown part {part!r}; use one of {shown(names)}")
    return names[part]


def _features(folder: Path, side: str, count: int) -> pd.DataFrame:
    """Return the one-hot traits of one side, named as the map beside them says."""
    place = folder / "user_item_features"
    values, labels = read_matrix(the_file(place, f"{side}_features.ascii")), place / f"{side}_features_map.txt"
    if not labels.is_file():
        raise FileError(f"no {labels.name} in {place}; hand in the folder that holds user_item_features/", path=labels)
    names = [f"{side} {line.strip()}" for line in labels.read_text(encoding="utf-8").splitlines() if line.strip()]
    if values.shape != (count, len(names)):
        raise DataError(f"{side}_features.ascii has {values.shape} numbers for {count} {side}s and {len(names)} names; the files differ")
    return values.set_axis(names, axis=1)
