"""Public logs of short videos with unbiased parts: KuaiRec and KuaiRand, as event logs."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import pandas as pd

from causalsem.behaviour import DuckDB, EventLog
from causalsem.datasets.public_files import PathLike, any_file, read_csv, rows_of, the_file, view_csv
from causalsem.errors import SettingError, check_kind, shown

Matrix = Literal["big", "small"]
Part = Literal["standard", "random"]
# Numbers that both data sets tell of a user.
USER_TRAITS = (
    "is_lowactive_period",
    "is_live_streamer",
    "is_video_author",
    "follow_user_num",
    "fans_user_num",
    "friend_user_num",
    "register_days",
)


def load_kuairec(folder: PathLike, *, matrix: Matrix = "big", watched: float = 1.0, engine: DuckDB | None = None) -> EventLog:
    """Return KuaiRec: an `exposure` for every video shown, a `browse` for every one watched for `watched` lengths or more.

    `matrix` "small" is 1,411 users × 3,327 videos nearly all of which were shown to all, so it can judge what was learnt on
    "big". The events' value is the watch ratio, seconds watched by seconds long. Traits: the users' numbers and the
    videos' tags (`tag_0` …), where their files are there. `folder` holds big_matrix.csv, small_matrix.csv,
    user_features.csv, item_categories.csv. Rows without a time are dropped and counted. Cite Gao et al. (2022a); CC BY-SA 4.0.
    """
    if matrix not in get_args(Matrix):
        raise SettingError(f"unknown matrix {matrix!r}; use one of {shown(get_args(Matrix))}")
    check_kind(watched, (int, float), "watched", "hand in the share of a video's length that counts as watched, such as 1.0")
    con = (engine or DuckDB()).connect()
    path = the_file(folder, f"{matrix}_matrix.csv", f"data/{matrix}_matrix.csv")
    view_csv(con, path, "shown", ("user_id", "video_id", "timestamp"), ("watch_ratio",))
    events = rows_of(con, WATCHED, path, {"watched": watched})
    users, items = any_file(path.parent, "user_features.csv"), any_file(path.parent, "item_categories.csv")
    return EventLog.from_frame(
        events,
        user="user_id",
        item="video_id",
        behaviour="type",
        time="time",
        value="value",
        users=None if users is None else _user_numbers(users),
        items=None if items is None else _tags(items),
        engine=engine,
    )


def load_kuairand(folder: PathLike, *, part: Part = "standard", engine: DuckDB | None = None) -> EventLog:
    """Return KuaiRand: exposures of videos, and what users did: click (browse), like (favourite), comment (review).

    `part` "random" are the videos shown by chance, every one of the pool with the same chance; "standard" the
    recommender's. What a user did is stamped a millisecond after its exposure; the exposure's value is the share of the
    video played. `folder` holds log_random_….csv, log_standard_….csv, and for traits user_features_….csv, of KuaiRand-Pure,
    -1K or -27K. Cite Gao et al. (2022b); CC BY-SA 4.0.
    """
    if part not in get_args(Part):
        raise SettingError(f"unknown part {part!r}; use one of {shown(get_args(Part))}")
    con = (engine or DuckDB()).connect()
    first = the_file(folder, f"log_{part}_*.csv", f"data/log_{part}_*.csv")
    files = [first] if Path(folder).is_file() else sorted(first.parent.glob(f"log_{part}_*.csv*"))
    for k, path in enumerate(files):
        view_csv(con, path, f"log{k}", ("user_id", "video_id"), KUAIRAND_NUMBERS)
    logs = con.view("log0")
    for k in range(1, len(files)):
        logs = logs.union(con.view(f"log{k}"))
    logs.create_view("shown")
    users = any_file(first.parent, "user_features_*.csv", "user_features.csv")
    return EventLog.from_frame(
        rows_of(con, PLAYED, first),
        user="user_id",
        item="video_id",
        behaviour="type",
        time="time",
        value="value",
        users=None if users is None else _user_numbers(users),
        engine=engine,
    )


KUAIRAND_NUMBERS = ("time_ms", "is_click", "is_like", "is_comment", "play_time_ms", "duration_ms")

WATCHED = """
SELECT user_id, video_id, unnest(CASE WHEN watch_ratio >= $watched THEN ['exposure', 'browse'] ELSE ['exposure'] END) AS type,
    timestamp AS time, watch_ratio AS value
FROM shown
"""

PLAYED = """
SELECT user_id, video_id, 'exposure' AS type, time_ms AS time, least(play_time_ms / greatest(duration_ms, 1), 1) AS value FROM shown
UNION ALL SELECT user_id, video_id, 'browse', time_ms + 1, NULL FROM shown WHERE is_click = 1
UNION ALL SELECT user_id, video_id, 'favourite', time_ms + 1, NULL FROM shown WHERE is_like = 1
UNION ALL SELECT user_id, video_id, 'review', time_ms + 1, NULL FROM shown WHERE is_comment = 1
"""


def _user_numbers(path: Path) -> pd.DataFrame:
    """Return the users' numeric traits."""
    frame = read_csv(path)
    return frame[["user_id", *(name for name in USER_TRAITS if name in frame)]]


def _tags(path: Path) -> pd.DataFrame:
    """Return a 0/1 column per tag of the videos; the file lists them as "[8, 26]"."""
    frame = read_csv(path)
    tags = frame["feat"].str.strip("[]").str.replace(" ", "").str.get_dummies(",")
    order = sorted(tags.columns, key=int)
    return pd.concat([frame[["video_id"]], tags[order].astype(float).add_prefix("tag_")], axis=1)
