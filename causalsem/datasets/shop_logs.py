"""Public shopping logs: Taobao and RetailRocket, as event logs."""

from __future__ import annotations

from pathlib import Path

from causalsem.behaviour import DuckDB, EventLog
from causalsem.datasets.public_files import PathLike, read_csv, the_file
from causalsem.errors import DataError

TAOBAO_COLUMNS = ("user", "item", "category", "behaviour", "time")
# The nine days the file is about, in Chinese time; a few of its rows are from other years.
TAOBAO_DAYS = ("2017-11-24T16:00:00", "2017-12-03T16:00:00")


def load_taobao(path: PathLike, *, engine: DuckDB | None = None) -> EventLog:
    """Return Taobao's UserBehavior: views (browse), carts, favourites and purchases of nine days, 25 November – 3 December 2017.

    `path` is UserBehavior.csv(.gz), whole (100 million rows) or a part of it, or its folder; it has no header line. The
    item's `category` is context, for a few items change theirs; rows outside the nine days are dropped and counted.
    Cite Zhu et al. (2018); Tianchi data set 649, research use under its terms.
    """
    file = the_file(path, "UserBehavior.csv")
    _need_five(file)
    return EventLog.read(
        file,
        user="user",
        item="item",
        behaviour="behaviour",
        time="time",
        columns=TAOBAO_COLUMNS,
        extras={"category": "context"},
        start=TAOBAO_DAYS[0],
        end=TAOBAO_DAYS[1],
        engine=engine,
    )


def _need_five(file: Path) -> None:
    """Raise DataError unless the first line has Taobao's columns; an empty file is for `EventLog.read` to refuse."""
    if file.stat().st_size == 0:
        return
    found = read_csv(file, header=None, nrows=1, sep=None, engine="python").shape[1]
    if found != len(TAOBAO_COLUMNS):
        told = ", ".join(TAOBAO_COLUMNS)
        raise DataError(
            f"{file} has {found} columns; Taobao's has {len(TAOBAO_COLUMNS)} ({told}); read others with EventLog.read(columns=…)"
        )


def load_retailrocket(path: PathLike, *, engine: DuckDB | None = None) -> EventLog:
    """Return RetailRocket's events: views (browse), carts and purchases of four and a half months of 2015.

    `path` is events.csv or its folder: timestamp (ms), visitorid, event, itemid, transactionid. Cite Zykov, Artem &
    Alexander (2022), "Retailrocket recommender system dataset"; CC BY-NC-SA 4.0.
    """
    return EventLog.read(
        the_file(path, "events.csv"),
        user="visitorid",
        item="itemid",
        behaviour="event",
        time="timestamp",
        extras={"transactionid": "ignore"},
        engine=engine,
    )
