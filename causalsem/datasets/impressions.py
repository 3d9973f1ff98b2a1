"""Logs of what was shown and what came of it: Ali-CCP, UCI's online shoppers, the Open Bandit data."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd

from causalsem.behaviour import BehaviourTable
from causalsem.behaviour.origin import Level
from causalsem.behaviour.table import Role
from causalsem.datasets.public_files import PathLike, folder_of, need_columns, need_numbers, read_csv, the_file
from causalsem.errors import DataError, SettingError, shown
from causalsem.policy import LoggedFeedback

Part = Literal["train", "test"]
LoggingPolicy = Literal["random", "bts"]
Campaign = Literal["all", "men", "women"]
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "June", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
SESSION_PAGES = (
    "Administrative",
    "Administrative_Duration",
    "Informational",
    "Informational_Duration",
    "ProductRelated",
    "ProductRelated_Duration",
    "BounceRates",
    "ExitRates",
    "PageValues",
)
SESSION_TRAITS = ("SpecialDay", "Month", "OperatingSystems", "Browser", "Region", "TrafficType", "VisitorType", "Weekend")
# Fields of Ali-CCP: whose impression, of what, and one code a row of each of the others.
USER_FIELD, ITEM_FIELD = "101", "205"
USER_FIELDS = ("121", "122", "124", "125", "126", "127", "128", "129")
ITEM_FIELDS = ("206", "207", "216")
CONTEXT_FIELDS = ("301",)


def load_ali_ccp(folder: PathLike, *, part: Part = "train", rows: int | None = None) -> BehaviourTable:
    """Return Ali-CCP: a row per impression of a user and an item, with `click`, `buy` and the codes of its fields.

    Columns `field_121` … (user), `field_206` … (item), `field_301` (where it was shown) hold codes, not amounts; fields with
    many values a row are left out. `rows` reads the first so many impressions of 42 million (they are read in memory). `folder` holds
    sample_skeleton_train.csv and common_features_train.csv. Cite Ma et al. (2018); Tianchi data set 408, research use.
    """
    if part not in get_args(Part):
        raise SettingError(f"unknown part {part!r}; use one of {shown(get_args(Part))}")
    path = the_file(folder, f"sample_skeleton_{part}.csv")
    skeleton = read_csv(path, header=None, nrows=rows, dtype=str)
    if skeleton.shape[1] != 6:
        raise DataError(f"{path} has {skeleton.shape[1]} columns; Ali-CCP's skeleton has 6: id, click, buy, index, count, features")
    place = the_file(folder_of(folder), f"common_features_{part}.csv")
    common = read_csv(place, header=None, dtype=str)
    if common.shape[1] != 3:
        raise DataError(f"{place} has {common.shape[1]} columns; Ali-CCP's common features have 3: index, count, features")
    shared = dict(zip(common[0], common[2], strict=True))
    absent = [index for index in skeleton[3] if index not in shared]
    if absent:
        raise DataError(f"{len(absent):,} impressions name common features that are not there, the first {absent[0]!r}; the files differ")
    need_numbers(skeleton, [1, 2], path)
    try:
        told = [_fields(own) | _fields(shared[index]) for own, index in zip(skeleton[5], skeleton[3], strict=True)]
    except ValueError as error:
        raise DataError(f"{path}: {error}; the codes of Ali-CCP's fields are numbers") from error
    for field, what in ((USER_FIELD, "user"), (ITEM_FIELD, "item")):
        without = [row for row, fields in enumerate(told) if field not in fields]
        if without:
            raise DataError(f"{len(without):,} impressions of {path} have no field {field} (the {what}), the first in row {without[0]}")
    columns = {f"field_{field}": [row.get(field, np.nan) for row in told] for field in (*USER_FIELDS, *ITEM_FIELDS, *CONTEXT_FIELDS)}
    keys = {"user": [row[USER_FIELD] for row in told], "item": [row[ITEM_FIELD] for row in told]}
    frame = pd.DataFrame({**keys, **columns, "click": skeleton[1].astype(float), "buy": skeleton[2].astype(float)})
    roles: dict[str, Role] = {"click": "behaviour", "buy": "outcome", **dict.fromkeys(columns, "trait")}
    levels: dict[str, Level] = dict.fromkeys((f"field_{field}" for field in USER_FIELDS), "user")
    levels |= dict.fromkeys((f"field_{field}" for field in ITEM_FIELDS), "item")
    return BehaviourTable.from_frame(
        frame, user="user", item="item", roles=roles,
        levels=levels,
        tiers=(tuple(columns), ("click",), ("buy",)),
    )  # fmt: skip


def _times(column: pd.Series, file: Path) -> pd.Series:
    """Return the times of a column of ISO 8601 texts, or raise DataError for the first that is none."""
    times = pd.to_datetime(column.astype(str), format="ISO8601", utc=True, errors="coerce")
    if times.isna().any():
        row = int(times.isna().to_numpy().argmax())
        raise DataError(f"{file} has the timestamp {column.iloc[row]!r} in row {row}; Open Bandit's are like 2019-11-24 00:00:00+00:00")
    return times


def _fields(text: str) -> dict[str, float]:
    """Return field → code of Ali-CCP's list of field \\x02 code \\x03 value, joined by \\x01; the first code of each."""
    found: dict[str, float] = {}
    for entry in str(text).split("\x01"):
        field, _, rest = entry.partition("\x02")
        if rest:
            found.setdefault(field, float(rest.partition("\x03")[0]))
    return found


def load_online_shoppers(path: PathLike) -> BehaviourTable:
    """Return UCI's online shoppers: a row per session with its pages, traits of visit and visitor, and `Revenue` (0/1).

    `Month` is a number; `VisitorType` becomes a 0/1 column per type ("VisitorType=Returning_Visitor"); operating system, browser,
    region and traffic type are codes. `path` is online_shoppers_intention.csv or its folder. Cite Sakar et al. (2018); CC BY 4.0.
    """
    file = the_file(path, "online_shoppers_intention.csv")
    frame = need_columns(read_csv(file), (*SESSION_PAGES, *SESSION_TRAITS, "Revenue"), file)
    odd = sorted(set(frame["Month"]) - set(MONTHS))
    if odd:
        raise DataError(f"{file} has unknown months {shown(odd)}; they are {shown(MONTHS)}", columns=["Month"])
    need_numbers(frame, [name for name in frame if name not in ("Month", "VisitorType")], file)
    visitors = pd.get_dummies(frame["VisitorType"], prefix="VisitorType", prefix_sep="=")
    frame = frame.assign(Month=frame["Month"].map({month: k + 1 for k, month in enumerate(MONTHS)})).drop(columns="VisitorType")
    frame = pd.concat([frame, visitors], axis=1).astype(float)
    traits = tuple(name for name in frame if name not in (*SESSION_PAGES, "Revenue"))
    roles: dict[str, Role] = {"Revenue": "outcome", **dict.fromkeys(traits, "trait")}
    return BehaviourTable.from_frame(frame, roles=roles, tiers=(traits, SESSION_PAGES, ("Revenue",)))


def load_open_bandit(
    folder: PathLike, *, policy: LoggingPolicy = "random", campaign: Campaign = "all", affinity: bool = False
) -> LoggedFeedback:
    """Return the Open Bandit data: fashion items shown at ZOZOTOWN by a known policy, and clicks.

    `policy` "random" shows all items alike, "bts" by Bernoulli Thompson sampling, with its chances told. Context: the four hashed user
    features, a 0/1 column per value, and with `affinity` how often the user clicked each item before. `folder` holds
    random/all/all.csv, random/all/item_context.csv and so on. Cite Saito et al. (2021); CC BY 4.0.
    """
    for what, value, known in (("policy", policy, get_args(LoggingPolicy)), ("campaign", campaign, get_args(Campaign))):
        if value not in known:
            raise SettingError(f"unknown {what} {value!r}; use one of {shown(known)}")
    file = the_file(folder, f"{policy}/{campaign}/{campaign}.csv")
    needed = ("timestamp", "item_id", "position", "click", "propensity_score", *(f"user_feature_{k}" for k in range(4)))
    frame = need_columns(read_csv(file), needed, file)
    items_file = the_file(file.parent, "item_context.csv")
    items = need_columns(read_csv(items_file, index_col="item_id"), ["item_feature_0"], items_file)
    users = [name for name in frame if str(name).startswith("user_feature_")]
    counts = [name for name in frame if str(name).startswith("user-item_affinity_")] if affinity else []
    return LoggedFeedback.from_frame(
        need_numbers(frame, ["click", "propensity_score", *counts], file).assign(timestamp=_times(frame["timestamp"], file)),
        action="item_id",
        outcomes=["click"],
        context=[*users, *counts],
        propensity="propensity_score",
        position="position",
        time="timestamp",
        action_features=items[[name for name in items if str(name).startswith("item_feature_")]],
    )
