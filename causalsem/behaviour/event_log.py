"""EventLog: who did what to which item and when, cleaned, over a Narwhals lazy frame."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from html import escape
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pandas as pd

from causalsem._cards import mimebundle
from causalsem._values import json_text, whole_file
from causalsem.behaviour.catalogue import cut_words, of_units, with_most_events, within
from causalsem.behaviour.cleaning import Cleaning, Rules, clean, moment_of
from causalsem.behaviour.columns import RESERVED, find_columns, forget_sources
from causalsem.behaviour.sources import DuckDB, Paths, Source, open_files, open_frame, whole_source
from causalsem.behaviour.traits import Extra, add_side_table, check_extras, make_traits, sort_extras
from causalsem.errors import DataWarning, FileError, NoRowsError, SettingError, check_names

if TYPE_CHECKING:
    import duckdb
    import narwhals as nw
    import pyarrow as pa

FORMAT = "causalsem-event-log"


@dataclass(frozen=True, eq=False)
class EventLog:
    """Events with canonical columns: user, item, behaviour, time (UTC), [value, propensity, position, platform], context.

    `frame` is a Narwhals lazy frame, one row per event; `users` and `items` hold one row per user (item) with its traits.
    `stages` maps each behaviour to its stage, earlier stages first; `cleaning` counts what reading removed.
    Make one with `EventLog.read` or `EventLog.from_frame`.
    """

    frame: nw.LazyFrame[Any]
    users: nw.LazyFrame[Any]
    items: nw.LazyFrame[Any]
    stages: Mapping[str, str]
    cleaning: Cleaning

    def __post_init__(self) -> None:
        if self.n_events == 0:
            raise NoRowsError(f"no events are left of {self.cleaning.rows_kept:,}; widen the period or the behaviours asked for")
        object.__setattr__(self, "stages", MappingProxyType(dict(self.stages)))

    @classmethod
    def read(
        cls,
        path: Paths,
        *,
        user: str,
        item: str,
        behaviour: str,
        time: str,
        value: str | None = None,
        propensity: str | None = None,
        position: str | None = None,
        platform: str | None = None,
        behaviours: Mapping[str, str | None] | None = None,
        users: Any = None,
        items: Any = None,
        stages: Mapping[str, str] | None = None,
        extras: Mapping[str, Extra] | None = None,
        columns: Sequence[str] | None = None,
        start: object = None,
        end: object = None,
        duplicates: str = "drop",
        engine: DuckDB | None = None,
    ) -> EventLog:
        """Read a log from CSV (also .gz) or Parquet: a path, a glob, or a list of them; the rows never pass through pandas.

        `user` … `platform` name columns (the last four are found by themselves when called so).
        `columns` names the columns of CSV without a header line.
        `behaviours` maps raw names to wanted ones (None leaves such events out) and `stages` places names no table knows:
        `stages={"redeem": "cart"}`. Codes and English synonyms become the stage's name ("pv" → "browse"),
        Chinese names (浏览) stay as they are.
        Other columns are user traits where they are constant within users, else item traits where constant within items,
        else context; `extras` says otherwise: {"price": "item", "note": "ignore"}. `users` and `items` are tables of
        traits (paths or frames) with the same id column.
        Times are timestamps, dates, ISO text (UTC unless it says otherwise) or unix times; those that cannot be read, lie in
        the future or outside [`start`, `end`) are dropped, as are rows without a key and, with duplicates="drop", repeated rows.
        What was dropped is in `cleaning` and said once as a DataWarning.
        Raises FileError, UnknownNameError, DataError or NoRowsError, naming column and row (counted from 0).
        """
        con = (engine or DuckDB()).connect()
        source = open_files(con, path, "source", columns)
        named = _named(user, item, behaviour, time, value, propensity, position, platform)
        rules = _rules(behaviours, stages, start, end, duplicates)
        return cls._build(con, source, named, rules, extras or {}, {"user": users, "item": items})

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        *,
        user: str,
        item: str,
        behaviour: str,
        time: str,
        value: str | None = None,
        propensity: str | None = None,
        position: str | None = None,
        platform: str | None = None,
        behaviours: Mapping[str, str | None] | None = None,
        users: Any = None,
        items: Any = None,
        stages: Mapping[str, str] | None = None,
        extras: Mapping[str, Extra] | None = None,
        start: object = None,
        end: object = None,
        duplicates: str = "drop",
        engine: DuckDB | None = None,
    ) -> EventLog:
        """Return the log of a frame: pandas, Polars, PyArrow, DuckDB, Ibis, PySpark; see `EventLog.read` for the rest."""
        con = (engine or DuckDB()).connect()
        source = open_frame(con, frame, "source")
        named = _named(user, item, behaviour, time, value, propensity, position, platform)
        rules = _rules(behaviours, stages, start, end, duplicates)
        return cls._build(con, source, named, rules, extras or {}, {"user": users, "item": items})

    @classmethod
    def _build(
        cls,
        con: duckdb.DuckDBPyConnection,
        source: Source,
        named: Mapping[str, str],
        rules: Rules,
        extras: Mapping[str, str],
        sides: Mapping[str, Any],
    ) -> EventLog:
        """Clean, sort the extra columns, and wrap the tables under people's names."""
        import narwhals as nw

        raw = find_columns(con, source, named, check_extras(extras))
        units = {}
        with whole_source(source):
            cleaning, stages = clean(raw, rules)
            kinds = sort_extras(raw, extras)
            for key in ("user", "item"):
                make_traits(raw, key, kinds[key])
                names = kinds[key]
                if sides[key] is not None:
                    names = add_side_table(raw, key, _open_side(con, sides[key], f"{key}_side"), names)
                units[key] = nw.from_native(con.table(f"{key}s")).rename({f"t{k}": name for k, name in enumerate(names)})
        forget_sources(raw)
        canonical = [name for name in RESERVED if raw.has(name)]
        context = {f"x{raw.extras.index(name)}": name for name in kinds["context"]}
        frame = nw.from_native(con.table("events")).select(*canonical, *context).rename(context)
        if cleaning.dropped:
            warnings.warn(f"{source.label}: {cleaning}; see log.cleaning", DataWarning, stacklevel=3)
        return cls(frame, units["user"], units["item"], stages, cleaning)

    @functools.cached_property
    def counts(self) -> Mapping[str, int]:
        """Events of each behaviour, earlier stages first."""
        import narwhals as nw

        found = self.frame.group_by("behaviour").agg(nw.len().alias("n")).collect("pandas").to_native()
        n = dict(zip(found["behaviour"].astype(str), found["n"], strict=True))
        return MappingProxyType({name: int(n.get(name, 0)) for name in self.stages})

    @functools.cached_property
    def _summary(self) -> Mapping[str, Any]:
        import narwhals as nw

        asked = [nw.col("user").n_unique().alias("users"), nw.col("item").n_unique().alias("items")]
        asked += [nw.col("time").min().alias("first"), nw.col("time").max().alias("last")]
        return MappingProxyType(self.frame.select(*asked).collect("pandas").to_native().iloc[0].to_dict())

    @property
    def behaviours(self) -> tuple[str, ...]:
        """The behaviours, earlier stages first; a part of a log keeps those of the whole, so that tables keep their columns."""
        return tuple(self.stages)

    @property
    def n_events(self) -> int:
        """How many events there are."""
        return sum(self.counts.values())

    @property
    def n_users(self) -> int:
        """How many users have an event."""
        return int(self._summary["users"])

    @property
    def n_items(self) -> int:
        """How many items have an event."""
        return int(self._summary["items"])

    @property
    def span(self) -> tuple[datetime, datetime]:
        """The first and the last time, in UTC."""
        first, last = (pd.Timestamp(self._summary[end]).to_pydatetime() for end in ("first", "last"))
        return first, last

    @property
    def user_traits(self) -> tuple[str, ...]:
        """Columns that describe a user."""
        return tuple(name for name in self.users.collect_schema().names() if name != "user")

    @property
    def item_traits(self) -> tuple[str, ...]:
        """Columns that describe an item."""
        return tuple(name for name in self.items.collect_schema().names() if name != "item")

    @property
    def context(self) -> tuple[str, ...]:
        """Columns that describe the single event beyond the canonical ones."""
        return tuple(name for name in self.frame.collect_schema().names() if name not in RESERVED)

    def __len__(self) -> int:
        return self.n_events

    def filter(
        self,
        *,
        behaviours: Iterable[str] | None = None,
        users: Iterable[Any] | None = None,
        items: Iterable[Any] | None = None,
        start: object = None,
        end: object = None,
    ) -> EventLog:
        """Return the log of some behaviours, users, items, and of the times in [start, end); raises NoRowsError if none is left."""
        import narwhals as nw

        frame, stages = of_units(self.frame, {"user": users, "item": items}), self.stages
        if behaviours is not None:
            wanted = [behaviours] if isinstance(behaviours, str) else list(behaviours)
            check_names(wanted, self.behaviours, "behaviour", "the log")
            frame = frame.filter(nw.col("behaviour").is_in(wanted))
            stages = {name: stage for name, stage in stages.items() if name in wanted}
        frame = within(frame, moment_of(start, "start="), moment_of(end, "end="))
        return EventLog(frame, self.users, self.items, stages, self.cleaning)

    def busiest(self, *, users: int | None = None, items: int | None = None) -> EventLog:
        """Return the log of so many users and items with the most events, for a catalogue too large to hold every pair of.

        Both are judged on the whole log. Who has no event with an item that is kept is no user of the part, either: whether
        such a user would have wanted these items, its events do not tell. What is left out is said as a DataWarning. Raises
        SettingError for less than one.
        """
        asked = {"user": users, "item": items}
        kept = {f"{key}s": with_most_events(self.frame, key, count) for key, count in asked.items() if count is not None}
        part = self.filter(users=kept.get("users"), items=kept.get("items"))
        if part.n_events < self.n_events:
            warnings.warn(cut_words(self, part, asked), DataWarning, stacklevel=2)
        return part

    def split(self, at: object) -> tuple[EventLog, EventLog]:
        """Return (train, test): events before a time and from it on; a share between 0 and 1 puts that share into train.

        Events of one time stay together, so a share is met as nearly as the times allow.
        """
        if isinstance(at, float):
            if not 0 < at < 1:
                raise SettingError(f"a share of {at} splits nothing; use one between 0 and 1, or a time")
            at = self._time_after(max(1, round(at * self.n_events)))
        cut = moment_of(at, "split")
        first, last = self.span
        if cut is None or not first < cut <= last:
            raise SettingError(f"a split at {cut} leaves one side empty; use a time after {first} and up to {last}")
        return self.filter(end=cut), self.filter(start=cut)

    def _time_after(self, n: int) -> datetime | None:
        """Return the time of the event after the first `n`, later than the very first."""
        import narwhals as nw

        later = nw.col("time") > self.span[0]
        ranked = self.frame.select("time").sort("time").head(n + 1).select(nw.col("time").max().alias("cut"))
        second = self.frame.filter(later).select(nw.col("time").min().alias("cut"))
        cuts = [moment_of(part.collect("pandas").to_native().iloc[0, 0], "split") for part in (ranked, second)]
        return max((cut for cut in cuts if cut is not None), default=None)

    def traits(self, level: str) -> pd.DataFrame:
        """Return the traits of level "user" or "item" as a DataFrame, one row per unit of the events read, sorted by id."""
        if level not in {"user", "item"}:
            raise SettingError(f"no traits of level {level!r}; use 'user' or 'item'")
        found: pd.DataFrame = self._units(level).sort(level).collect("pandas").to_native()
        return found

    def _units(self, level: str) -> nw.LazyFrame[Any]:
        return self.users if level == "user" else self.items

    def to_pandas(self) -> pd.DataFrame:
        """Return all events as a DataFrame sorted by time, user, item and behaviour; mind the memory."""
        frame = self.frame.collect("pandas").to_native()
        frame["behaviour"] = frame["behaviour"].astype(pd.CategoricalDtype(list(self.stages), ordered=True))
        frame = frame.sort_values(["time", "user", "item", "behaviour"], kind="stable", ignore_index=True)
        frame["behaviour"] = frame["behaviour"].astype(str)
        return frame

    @functools.cached_property
    def sha256(self) -> str:
        """A hash of the content, whatever the order of rows, for the record of where a result came from."""
        parts = [_fingerprint(part) for part in (self.frame, self.users, self.items)]
        return hashlib.sha256(json.dumps([parts, dict(self.stages)], ensure_ascii=False).encode()).hexdigest()

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write events and traits as one Parquet file, whole or not at all, that `load` reads back."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        extras = dict.fromkeys(self.user_traits, "user") | dict.fromkeys(self.item_traits, "item") | dict.fromkeys(self.context, "context")
        about = {"format": FORMAT, "stages": dict(self.stages), "extras": extras, "cleaning": asdict(self.cleaning)}
        units = {key: self._units(key).collect("pyarrow").to_native() for key in ("user", "item")}
        batches = pa.RecordBatchReader.from_stream(self.frame.to_native())
        empty = _with_traits(pa.Table.from_batches([], batches.schema), units)
        schema = empty.schema.with_metadata({FORMAT: json_text(about)})
        with whole_file(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
            for batch in batches:
                writer.write_table(_with_traits(pa.Table.from_batches([batch]), units).replace_schema_metadata(schema.metadata))
        return Path(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, engine: DuckDB | None = None) -> EventLog:
        """Return the log that `save` wrote."""
        con = (engine or DuckDB()).connect()
        source = open_files(con, path, "source")
        about = _about(path)
        named = {name: name for name in RESERVED if name in source.columns}
        rules = Rules({}, about["stages"], None, None, drop_duplicates=False)
        log = cls._build(con, source, named, rules, about["extras"], {"user": None, "item": None})
        return cls(log.frame, log.users, log.items, log.stages, Cleaning(**about["cleaning"]))

    def __repr__(self) -> str:
        first, last = self.span
        counts = ", ".join(f"{name} {count:,}" for name, count in self.counts.items())
        period = f"{first:%Y-%m-%d} … {last:%Y-%m-%d}"
        return f"EventLog({self.n_events:,} events of {self.n_users:,} users and {self.n_items:,} items, {period}: {counts})"

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><td>{escape(n)}</td><td>{escape(self.stages[n])}</td><td>{c:,}</td></tr>" for n, c in self.counts.items())
        traits = f"user traits: {', '.join(self.user_traits) or 'none'}; item traits: {', '.join(self.item_traits) or 'none'}"
        head = f"{self.n_events:,} events of {self.n_users:,} users and {self.n_items:,} items, {self.span[0]} … {self.span[1]} (UTC)"
        table = f"<table><tr><th>behaviour</th><th>stage</th><th>events</th></tr>{rows}</table>"
        return f"<div><b>EventLog</b> {escape(head)}{table}<p>{escape(traits)}<br>{escape(str(self.cleaning))}</p></div>"

    _repr_mimebundle_ = mimebundle


def _named(*columns: str | None) -> dict[str, str]:
    """Return canonical name → column for the columns that were named."""
    return {name: column for name, column in zip(RESERVED, columns, strict=True) if column is not None}


def _rules(
    behaviours: Mapping[str, str | None] | None, stages: Mapping[str, str] | None, start: object, end: object, duplicates: str
) -> Rules:
    if duplicates not in {"drop", "keep"}:
        raise SettingError(f"duplicates={duplicates!r} is no choice; use 'drop' or 'keep'")
    words = {str(raw): name for raw, name in (behaviours or {}).items()}
    return Rules(words, stages or {}, moment_of(start, "start="), moment_of(end, "end="), duplicates == "drop")


def _open_side(con: duckdb.DuckDBPyConnection, side: Any, view: str) -> Source:
    return open_files(con, side, view) if isinstance(side, (str, os.PathLike)) else open_frame(con, side, view)


def _with_traits(events: pa.Table, units: Mapping[str, pa.Table]) -> pa.Table:
    """Return events with the traits of each one's user and item as columns."""
    import pyarrow.compute as pc

    for key, table in units.items():
        rows = pc.index_in(events[key], table[key])
        for name in table.column_names:
            if name != key:
                events = events.append_column(name, table[name].take(rows))
    return events


def _fingerprint(frame: nw.LazyFrame[Any]) -> list[object]:
    """Return column names, row count and the sum of the rows' MD5 numbers: the same for any order of rows."""
    names = frame.collect_schema().names()
    order = sorted(range(len(names)), key=names.__getitem__)
    cells = ", chr(31), ".join(f"coalesce(CAST(c{k} AS VARCHAR), chr(0))" for k in order)
    columns = ", ".join(f"c{k}" for k in range(len(names)))
    sums = f"SELECT count(*), CAST(sum(CAST(md5_number_lower(concat({cells})) AS HUGEINT)) AS VARCHAR) FROM log AS s({columns})"  # noqa: S608  our own words
    return [sorted(names), *frame.to_native().query("log", sums).fetchall()[0]]


def _about(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what `save` noted in the file."""
    import pyarrow.parquet as pq

    noted = (pq.read_schema(path).metadata or {}).get(FORMAT.encode())
    if noted is None:
        raise FileError(f"{os.fspath(path)} was not written by EventLog.save; use EventLog.read", path=Path(path))
    about: dict[str, Any] = json.loads(noted)
    return about
