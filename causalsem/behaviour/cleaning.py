"""Raw rows → clean events: behaviours named, times read, faulty rows counted and removed, bad measures refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pandas as pd

from causalsem._cards import mimebundle
from causalsem.behaviour.columns import NUMBERS, Raw, check_numbers, extra_sql, id_sql, is_number_type, is_text_type, number_sql
from causalsem.behaviour.stages import name_behaviours
from causalsem.errors import DataError, NoRowsError, SettingError, shown

MOST_BEHAVIOURS = 200
# What a number in a time column is: (its name, smallest, one past largest, microseconds per unit).
CLOCKS = (
    ("unix seconds", 1e8, 1e11, 1e6),
    ("unix milliseconds", 1e11, 1e14, 1e3),
    ("unix microseconds", 1e14, 1e17, 1.0),
    ("unix nanoseconds", 1e17, 1e19, 1e-3),
)


@dataclass(frozen=True, slots=True)
class Cleaning:
    """What reading a log removed: counts of rows, each counted once, by its first fault in the order given here."""

    rows_read: int
    missing: int
    left_out: int
    impossible_times: int
    duplicates: int
    rows_kept: int
    time_read_as: str

    @property
    def dropped(self) -> int:
        """Rows removed as faulty (events left out on request do not count)."""
        return self.missing + self.impossible_times + self.duplicates

    def __str__(self) -> str:
        faults = {
            "missing user, item, behaviour or time": self.missing,
            "impossible times (unreadable, in the future or outside the period)": self.impossible_times,
            "duplicates": self.duplicates,
            "left out as asked": self.left_out,
        }
        said = "; ".join(f"{count:,} {what}" for what, count in faults.items() if count) or "nothing to clean"
        return f"{self.rows_read:,} rows read: {said}; {self.rows_kept:,} kept (time read as {self.time_read_as})"

    _repr_mimebundle_ = mimebundle


@dataclass(frozen=True, slots=True)
class Rules:
    """How to clean: names and stages of behaviours, the plausible period [start, end), whether duplicates go."""

    behaviours: Mapping[str, str | None]
    stages: Mapping[str, str]
    start: datetime | None
    end: datetime | None
    drop_duplicates: bool = True


def clean(raw: Raw, rules: Rules) -> tuple[Cleaning, dict[str, str]]:
    """Make the table `events` of clean rows, sorted by time, and return what was removed and name → stage.

    Extra columns become x0, x1 … in the order of `raw.extras`, as DOUBLE, VARCHAR or what they were.
    """
    if raw.n == 0:
        raise NoRowsError(f"{raw.source.label} has no rows; hand in a file with events", path=raw.source.label)
    check_numbers(raw, [name for name in NUMBERS if raw.has(name)])
    stages = _make_names(raw, rules)
    clock, time = _time_sql(raw)
    _type_rows(raw, time, rules)
    missing, left_out, impossible = _count_faults(raw)
    kept = _make_events(raw, rules.drop_duplicates)
    cleaning = Cleaning(raw.n, missing, left_out, impossible, raw.n - missing - left_out - impossible - kept, kept, clock)
    if kept == 0:
        raise NoRowsError(f"no events are left of {raw.source.label}: {cleaning}; check the columns and start=, end=", cleaning=cleaning)
    _check_measures(raw)
    return cleaning, stages


def _make_names(raw: Raw, rules: Rules) -> dict[str, str]:
    """Make the table `names` (raw name → position in the type `behaviour_name`); return name → stage."""
    text = f"trim(CAST({raw.safe('behaviour')} AS VARCHAR))"
    found = raw.con.execute(
        f"SELECT DISTINCT {text} FROM {raw.rows} WHERE {text} <> '' LIMIT {MOST_BEHAVIOURS + 1}"  # noqa: S608  only safe names
    ).fetchall()
    title = raw.names["behaviour"]
    if len(found) > MOST_BEHAVIOURS:
        raise DataError(
            f"column {title!r} has more than {MOST_BEHAVIOURS} behaviours, such as {shown(row[0] for row in found[:3])}; "
            "name the column that says what the user did",
            columns=[title],
        )
    where = f"column {title!r} of {raw.source.label}"
    names, stages = name_behaviours(
        sorted(row[0] for row in found), rules.behaviours, rules.stages, where, lambda word: raw.first_row(f"{text} = ?", text, [word])[0]
    )
    if not stages:
        raise NoRowsError(f"{where} holds no behaviour; check the column and behaviours=", columns=[title])
    raw.con.execute("CREATE TABLE wanted(place INTEGER, name VARCHAR)")
    raw.con.executemany("INSERT INTO wanted VALUES (?, ?)", [[k, name] for k, name in enumerate(stages)])
    raw.con.execute("CREATE TYPE behaviour_name AS ENUM (SELECT name FROM wanted ORDER BY place)")
    raw.con.execute("CREATE TABLE names(raw VARCHAR, name behaviour_name)")
    raw.con.executemany("INSERT INTO names VALUES (?, ?)", [[word, name] for word, name in names.items()])
    return stages


def _time_sql(raw: Raw) -> tuple[str, str]:
    """Return what the time column was read as and the SQL that makes it a UTC timestamp (NULL where it cannot be)."""
    column, kind, title = raw.safe("time"), raw.type_of("time"), raw.names["time"]
    if kind.startswith("TIMESTAMP WITH"):
        return "timestamps with a time zone", f"make_timestamp(epoch_us({column}))"
    if kind.startswith("TIMESTAMP") or kind == "DATE":
        return "dates" if kind == "DATE" else "timestamps", f"TRY_CAST({column} AS TIMESTAMP)"
    facts = raw.facts[title]
    if is_number_type(kind) or 2 * facts.numbers > facts.filled:
        return _clock_sql(raw, title)
    if is_text_type(kind):
        iso = f"make_timestamp(epoch_us(TRY_CAST(CAST({column} AS VARCHAR) AS TIMESTAMPTZ)))"
        if raw.ask(f"count({iso})")[0] or facts.filled == 0:
            return "ISO text", iso
    row, value = raw.first_row(f"{column} IS NOT NULL", column)
    raise DataError(
        f"no time in column {title!r} of {raw.source.label} can be read, such as {value!r} in row {row}; "
        "write ISO text (2017-11-25 08:00:00), timestamps or unix seconds",
        columns=[title],
        rows=[row],
    )


def _clock_sql(raw: Raw, title: str) -> tuple[str, str]:
    """Return the clock most numbers of the time column fit, and the SQL of its times."""
    number = f"TRY_CAST({raw.safe('time')} AS DOUBLE)"
    compact = f"CASE WHEN {number} BETWEEN 19000101 AND 21001231 THEN TRY_STRPTIME(CAST({number} AS BIGINT)::VARCHAR, '%Y%m%d') END"
    fits = [f"count(*) FILTER ({number} >= {low} AND {number} < {high})" for _, low, high, _ in CLOCKS]
    *counts, days = raw.ask(", ".join([*fits, f"count({compact})"]))
    if max(*counts, days) == 0 and raw.n:
        row, value = raw.first_row(f"{number} IS NOT NULL", number)
        raise DataError(
            f"column {title!r} of {raw.source.label} holds numbers like {value:g} (row {row}), which are no unix seconds or "
            "milliseconds; turn them into timestamps first",
            columns=[title],
            rows=[row],
        )
    if days > max(counts):
        return "dates as yyyymmdd", compact
    name, _, _, scale = CLOCKS[counts.index(max(counts))]
    # Zero and below are how logs write "no time"; above 4e15 µs (year 2096) no log can be.
    micros = f"round({number} * {scale})"
    return name, f"CASE WHEN {micros} > 0 AND {micros} < 4e15 THEN make_timestamp(CAST({micros} AS BIGINT)) END"


def _type_rows(raw: Raw, time: str, rules: Rules) -> None:
    """Make the view `raw_events`: typed columns and the `fault` of each row (0 none, 1 missing, 2 left out, 3 impossible time)."""
    behaviour, when = f"trim(CAST({raw.safe('behaviour')} AS VARCHAR))", raw.safe("time")
    measures = [f"{number_sql(raw, name)} AS {name}" for name in NUMBERS if raw.has(name)]
    platform = [f"{raw.safe('platform')} AS platform"] if raw.has("platform") else []
    extras = [f"{extra_sql(raw, name)} AS x{k}" for k, name in enumerate(raw.extras)]
    keys = [f'{id_sql(raw, "user")} AS "user"', f"{id_sql(raw, 'item')} AS item", "n.name AS behaviour", f"{time} AS time"]
    no_key = f"({behaviour} IS NULL OR {behaviour} = '' OR {when} IS NULL OR CAST({when} AS VARCHAR) IN ('', 'nan')) AS no_key"
    columns = ", ".join([*keys, *measures, *platform, *extras, no_key])
    start, end = rules.start or datetime(1, 1, 1), min(rules.end or _tomorrow(), _tomorrow())
    raw.con.execute(
        f"CREATE TEMP VIEW raw_events AS SELECT *, CASE "  # noqa: S608  only safe names and our own dates
        f'WHEN "user" IS NULL OR item IS NULL OR no_key THEN 1 WHEN behaviour IS NULL THEN 2 '
        f"WHEN time IS NULL OR time < TIMESTAMP '{start}' OR time >= TIMESTAMP '{end}' THEN 3 ELSE 0 END AS fault "
        f"FROM (SELECT {columns} FROM {raw.rows} LEFT JOIN names AS n ON n.raw = {behaviour})"
    )


def _tomorrow() -> datetime:
    """The time from which on events are impossible: a day ahead, because local times read as UTC may run ahead by 14 hours."""
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0) + timedelta(days=1)


def _count_faults(raw: Raw) -> tuple[int, int, int]:
    found = raw.con.execute(
        "SELECT count(*) FILTER (fault = 1), count(*) FILTER (fault = 2), count(*) FILTER (fault = 3) FROM raw_events"
    ).fetchone()
    missing, left_out, impossible = found or (0, 0, 0)
    return int(missing), int(left_out), int(impossible)


def _make_events(raw: Raw, drop_duplicates: bool) -> int:
    """Make the table `events` of faultless rows, sorted, and return how many there are."""
    distinct = "DISTINCT" if drop_duplicates else ""
    raw.con.execute(
        f"CREATE TABLE events AS SELECT {distinct} * EXCLUDE (fault, no_key) FROM raw_events "  # noqa: S608  our own words
        'WHERE fault = 0 ORDER BY time, "user", item, behaviour'
    )
    found = raw.con.execute("SELECT count(*) FROM events").fetchone()
    return int(found[0]) if found else 0


def _check_measures(raw: Raw) -> None:
    """Raise DataError when value or propensity is missing for some events of a behaviour, or a propensity is impossible."""
    for name in ("value", "propensity"):
        if not raw.has(name):
            continue
        title, column = raw.names[name], raw.safe(name)
        holed = raw.con.execute(
            f"SELECT CAST(behaviour AS VARCHAR), count(*) - count({name}), count(*) FROM events GROUP BY behaviour "  # noqa: S608  our own words
            f"HAVING count({name}) BETWEEN 1 AND count(*) - 1 ORDER BY behaviour LIMIT 1"
        ).fetchone()
        if holed:
            behaviour, count, total = holed
            row = _row_without(raw, column, behaviour)
            raise DataError(
                f"column {title!r} is missing (NaN) in {count:,} of {total:,} {behaviour!r} events, first in row {row} of "
                f"{raw.source.label}; fill it, or leave it empty for all {behaviour!r} events",
                columns=[title],
                rows=[row],
            )
    if raw.has("propensity"):
        _check_propensity(raw)


def _row_without(raw: Raw, column: str, behaviour: str) -> int | None:
    """Return the first row of a behaviour whose `column` is missing."""
    words = [row[0] for row in raw.con.execute("SELECT raw FROM names WHERE name = ?", [behaviour]).fetchall()]
    hole = f"coalesce(isnan(TRY_CAST({column} AS DOUBLE)), TRUE)"
    return raw.first_row(f"{hole} AND list_contains(?, trim(CAST({raw.safe('behaviour')} AS VARCHAR)))", column, [words])[0]


def _check_propensity(raw: Raw) -> None:
    """Raise DataError when a kept event has a propensity outside (0, 1]."""
    outside = raw.con.execute("SELECT count(*) FROM events WHERE propensity <= 0 OR propensity > 1").fetchone()
    if outside and outside[0]:
        title, number = raw.names["propensity"], f"TRY_CAST({raw.safe('propensity')} AS DOUBLE)"
        row, value = raw.first_row(f"NOT isnan({number}) AND ({number} <= 0 OR {number} > 1)", number)
        raise DataError(
            f"column {title!r} is {value:g} in row {row} of {raw.source.label}, but a propensity lies in (0, 1]; mend or drop it",
            columns=[title],
            rows=[row],
        )


def moment_of(when: object, what: str) -> datetime | None:
    """Return a time as a UTC datetime without a label; raises SettingError for what is no time."""
    if when is None or when is pd.NaT:
        return None
    try:
        stamp = pd.NaT if isinstance(when, (int, float)) else pd.Timestamp(when)
    except (TypeError, ValueError):
        stamp = pd.NaT
    if stamp is pd.NaT:
        raise SettingError(f"{what} {when!r} is no time; write it like '2017-11-25' or hand in a datetime")
    if stamp.tzinfo is not None:
        stamp = stamp.tz_convert("UTC").tz_localize(None)
    return stamp.floor("us").to_pydatetime(warn=False)
