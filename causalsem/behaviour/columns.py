"""The columns of a log's source under safe names, and the SQL that reads each as what it is.

Inside the database every column has a safe name (c0, c1 …), so no SQL here holds a word a user wrote.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from causalsem.behaviour.sources import Source, whole_source
from causalsem.errors import DataError, check_names, shown

if TYPE_CHECKING:
    import duckdb

KEYS = ("user", "item", "behaviour", "time")
NUMBERS = ("value", "propensity", "position")
OPTIONAL = (*NUMBERS, "platform")
RESERVED = (*KEYS, *OPTIONAL)
WHOLE_TYPES = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"}
NUMBER_TYPES = WHOLE_TYPES | {"UBIGINT", "HUGEINT", "UHUGEINT", "FLOAT", "DOUBLE", "BOOLEAN"}


@dataclass(frozen=True, slots=True)
class Facts:
    """How many cells of a column are filled, numbers, whole numbers written as such, and infinite."""

    filled: int
    numbers: int
    whole: int
    infinite: int


@dataclass(frozen=True, slots=True)
class Raw:
    """A source with its columns found: `names` maps canonical names to columns, `extras` are all others in use.

    `n` counts its rows and `facts` says of each column in use what it holds.
    """

    con: duckdb.DuckDBPyConnection
    source: Source
    names: Mapping[str, str]
    extras: tuple[str, ...]
    n: int
    facts: Mapping[str, Facts]

    def safe(self, name: str) -> str:
        """Return the safe SQL name of a canonical or extra column."""
        return f"c{self.source.columns.index(self.names.get(name, name))}"

    def type_of(self, name: str) -> str:
        """Return the DuckDB type of a canonical or extra column."""
        return self.source.types[self.source.columns.index(self.names.get(name, name))]

    def has(self, name: str) -> bool:
        """Tell whether a canonical column was named."""
        return name in self.names

    @property
    def rows(self) -> str:
        """The SQL of all rows with safe column names."""
        return safe_rows(self.source)

    def ask(self, what: str) -> tuple[Any, ...]:
        """Return one row of aggregates over the source."""
        return tuple(self.con.execute(f"SELECT {what} FROM {self.rows}").fetchone() or ())  # noqa: S608  only safe names

    def first_row(self, condition: str, shown_column: str, given: Sequence[object] = ()) -> tuple[int | None, Any]:
        """Return (row number from 0, value) of the first row where the condition holds; `given` fills its question marks."""
        found = self.con.execute(
            f"SELECT row, bad FROM (SELECT row_number() OVER () - 1 AS row, {shown_column} AS bad, ({condition}) AS hit "  # noqa: S608  only safe names
            f"FROM {self.rows}) WHERE hit ORDER BY row LIMIT 1",
            list(given),
        ).fetchone()
        return (None, None) if found is None else (int(found[0]), found[1])


def safe_rows(source: Source) -> str:
    """Return the SQL of a source's rows with safe column names."""
    return f"{source.view} AS s({', '.join(f'c{k}' for k in range(len(source.columns)))})"


def find_columns(con: duckdb.DuckDBPyConnection, source: Source, names: Mapping[str, str], ignore: set[str]) -> Raw:
    """Return the source with every named column found, or raise UnknownNameError or DataError.

    A column that bears an optional canonical name itself (value, propensity, position, platform) needs no naming.
    """
    place = source.label
    if not source.typed and any(name.isdecimal() for name in source.columns):
        place += " (whose first line reads like data: columns=[…] names the columns of CSV without a header)"
    check_names(names.values(), source.columns, what="column", where=place)
    check_names(ignore, source.columns, what="column", where=source.label)
    if "time" in names:
        # Not so in tables of traits, where a column of that name is a trait.
        plain = {name: name for name in OPTIONAL if name in source.columns and name not in {*names, *names.values(), *ignore}}
        names = {**names, **plain}
    used = list(names.values())
    twice = sorted({name for name in used if used.count(name) > 1})
    if twice:
        raise DataError(f"columns {shown(twice)} are named for two purposes; name a column once", columns=twice)
    extras = tuple(name for name in source.columns if name not in used and name not in ignore)
    check_clear(extras, source.label)
    with whole_source(source):
        n, facts = _count_cells(con, source, [*used, *extras], {names[key] for key in ("user", "item") if key in names})
    return Raw(con, source, names, extras, n, facts)


def _count_cells(con: duckdb.DuckDBPyConnection, source: Source, columns: list[str], ids: set[str]) -> tuple[int, dict[str, Facts]]:
    """Return the number of rows and the facts of each column, in one pass; wholeness is asked of ids alone."""
    asked = []
    for name in columns:
        place = source.columns.index(name)
        asked.append(_facts_sql(f"c{place}", source.types[place], name in ids))
    n, *counts = con.execute(f"SELECT {', '.join(['count(*)', *asked])} FROM {safe_rows(source)}").fetchone() or (0,)  # noqa: S608  only safe names
    return int(n), {name: Facts(*counts[4 * k : 4 * k + 4]) for k, name in enumerate(columns)}


def _facts_sql(column: str, kind: str, is_id: bool) -> str:
    """The SQL of the four counts of `Facts`."""
    if is_text_type(kind):
        text = f"CAST({column} AS VARCHAR)"
        filled = f"count(*) FILTER (trim({text}) <> '')"
        if is_id:
            # '007' is not whole, because as a number it would meet '7'; '7.0' is how pandas writes 7 where others are missing.
            plain = f"CASE WHEN ends_with({text}, '.0') THEN left({text}, length({text}) - 2) ELSE {text} END"
            return f"{filled}, 0, count(*) FILTER (CAST(TRY_CAST({text} AS BIGINT) AS VARCHAR) = {plain}), 0"
        number = f"TRY_CAST({text} AS DOUBLE)"
        return f"{filled}, count({number}), 0, count(*) FILTER (isinf({number}))"
    if not is_number_type(kind):
        return f"count({column}), 0, 0, 0"
    if kind in WHOLE_TYPES:
        return f"count({column}), count({column}), count({column}), 0"
    number = f"CAST({column} AS DOUBLE)"
    whole = f"isnan({number}) OR (abs({number}) < 9e15 AND {number} = floor({number}))"
    return f"count({column}), count({column}), count(*) FILTER ({whole}), count(*) FILTER (isinf({number}))"


def forget_sources(raw: Raw) -> None:
    """Let go of what the events were read from, so that a caller's frame is not kept in memory."""
    raw.con.execute("DROP VIEW raw_events")
    for view in ("source", "user_side", "item_side"):
        # A view over files stays, because it holds nothing.
        raw.con.unregister(view)


def check_clear(extras: tuple[str, ...], where: str) -> None:
    """Raise DataError when an extra column would take a name of the log, or two differ only by case."""
    folded = [name.casefold() for name in extras]
    taken = [name for name, fold in zip(extras, folded, strict=True) if fold in RESERVED or folded.count(fold) > 1]
    if taken:
        hint = "rename them, or leave them out with extras={…: 'ignore'}"
        raise DataError(f"columns {shown(taken)} of {where} clash with the log's own names or each other; {hint}", columns=taken)


def check_numbers(raw: Raw, names: Iterable[str]) -> None:
    """Raise DataError at the first text or infinite value of columns that must be numbers."""
    for name in names:
        title, column = raw.names.get(name, name), raw.safe(name)
        facts = raw.facts[title]
        if facts.infinite:
            row, _ = raw.first_row(f"isinf(TRY_CAST({column} AS DOUBLE))", column)
            what = f"column {title!r} is infinite in row {row}"
            raise DataError(f"{what} of {raw.source.label}; mend it or leave the column out", columns=[title], rows=[row])
        if facts.numbers < facts.filled:
            row, value = raw.first_row(f"trim(CAST({column} AS VARCHAR)) <> '' AND TRY_CAST({column} AS DOUBLE) IS NULL", column)
            what = f"column {title!r} holds text ({value!r} in row {row})"
            raise DataError(f"{what} of {raw.source.label}; turn it into numbers or leave the column out", columns=[title], rows=[row])


def id_sql(raw: Raw, name: str) -> str:
    """Return the SQL of a key column: whole numbers as BIGINT, all else as text; empty and NaN are missing."""
    column, kind, facts = raw.safe(name), raw.type_of(name), raw.facts[raw.names[name]]
    may_be_whole = is_number_type(kind) or not raw.source.typed
    if may_be_whole and facts.whole == facts.filled:
        return f"TRY_CAST({column} AS BIGINT)"
    text = f"CAST({column} AS VARCHAR)"
    return f"CASE WHEN trim({text}) NOT IN ('', 'nan', 'NaN') THEN {text} END"


def number_sql(raw: Raw, name: str) -> str:
    """The SQL of a number column as DOUBLE, NaN as missing."""
    number = f"TRY_CAST({raw.safe(name)} AS DOUBLE)"
    return f"CASE WHEN NOT isnan({number}) THEN {number} END"


def extra_sql(raw: Raw, name: str) -> str:
    """The SQL of an extra column: numbers as DOUBLE, text as it is; a stray word among numbers is refused."""
    kind, facts = raw.type_of(name), raw.facts[name]
    if is_number_type(kind) or (is_text_type(kind) and 0 < facts.filled <= 2 * facts.numbers):
        check_numbers(raw, [name])
        return number_sql(raw, name)
    return f"CAST({raw.safe(name)} AS VARCHAR)" if is_text_type(kind) else raw.safe(name)


def is_number_type(kind: str) -> bool:
    """Tell whether a DuckDB type holds numbers (booleans count as 0 and 1)."""
    return kind in NUMBER_TYPES or kind.startswith("DECIMAL")


def is_text_type(kind: str) -> bool:
    """Tell whether a DuckDB type holds text."""
    return kind == "VARCHAR" or kind.startswith("ENUM")
