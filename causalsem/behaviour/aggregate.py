"""Events → one row per user, per item, or per pair: counts of each behaviour beside the traits."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from causalsem._values import FloatArray, IntArray
from causalsem.behaviour.catalogue import within
from causalsem.behaviour.cleaning import moment_of
from causalsem.behaviour.codes import looks_like_code, warn_of_code
from causalsem.behaviour.event_log import EventLog
from causalsem.behaviour.origin import Level, level_of
from causalsem.behaviour.stages import tiers_of
from causalsem.behaviour.table import BehaviourTable, Role
from causalsem.errors import DataError, NoRowsError, SettingError, check_names, shown

Pairs = Literal["all", "observed"]
Values = Literal["count", "any"]
Window = tuple[object, object] | None
Period = tuple[datetime | None, datetime | None]
Column = tuple[Level, FloatArray]
MOST_ROWS = 20_000_000
# How the counts of the history are named, by the keys they are counted over, for a table of each unit.
PAST: Mapping[tuple[str, ...], Mapping[tuple[str, ...], str]] = {
    ("user",): {("user",): "past_"},
    ("item",): {("item",): "past_"},
    ("user", "item"): {("user",): "past_", ("item",): "item_past_", ("user", "item"): "pair_past_"},
}


def behaviours(
    log: EventLog,
    unit: str | Sequence[str] = "user",
    *,
    window: Window = None,
    history: object = None,
    pairs: Pairs = "all",
    values: Values | None = None,
    traits: Iterable[str] | None = None,
) -> BehaviourTable:
    """Return one row per user, item or ("user", "item") pair of the log, sorted by key.

    Behaviours are counted in `window` [start, end); `values` "any" makes them 0/1, the default for pairs.
    Every unit with an event in the log has a row, so a pair never met is a row of zeros; pairs="observed" keeps pairs
    with an event in the window. `history` ("90D") counts the time before the window into traits: `past_<behaviour>` of the
    user, and for pairs `item_past_<behaviour>` and `pair_past_<behaviour>` too.
    `traits` picks traits by name; without, whole numbers that are codes, such as a category's, are left out with a
    DataWarning. A text trait of two values is 1 for the one that sorts last; with more values it is refused. Raises
    DataError, also beyond 20 million rows, and SettingError.
    """
    plan = _plan(log, unit, window, history, pairs, values, traits)
    if plan.rows > MOST_ROWS:
        sizes = " × ".join(f"{len(ids):,} {key}s" for key, ids in plan.units.items())
        raise DataError(
            f"{sizes} make {plan.rows:,} rows, more than {MOST_ROWS:,}; use pairs='observed', a log of "
            "fewer items, or moments(behaviour_shards(log, …)), which holds one part at a time; log.busiest(items=…) cuts a log"
        )
    table = plan.table(slice(0, len(plan.units[plan.unit[0]])))
    if table is None:
        raise NoRowsError(f"no pair has an event in the window {window}; widen it or use pairs='all'")
    return table


def behaviour_shards(
    log: EventLog,
    unit: str | Sequence[str] = "user",
    *,
    rows: int = 1_000_000,
    window: Window = None,
    history: object = None,
    pairs: Pairs = "all",
    values: Values | None = None,
    traits: Iterable[str] | None = None,
) -> Iterator[BehaviourTable]:
    """Yield the table of `behaviours` in parts of about `rows` rows, so that `moments(behaviour_shards(log))` needs little memory.

    The parts follow each other in the order of the whole table, and hold the same columns.
    """
    plan = _plan(log, unit, window, history, pairs, values, traits)
    n = len(plan.units[plan.unit[0]])
    parts = min(n, math.ceil(plan.rows / max(rows, 1)))
    edges = [n * k // parts for k in range(parts + 1)]
    tables = (plan.table(slice(low, high)) for low, high in itertools.pairwise(edges))
    yield from (table for table in tables if table is not None)


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """What `behaviours` was asked for, checked: units sorted by id and their traits as numbers; nothing counted yet."""

    log: EventLog
    unit: tuple[str, ...]
    window: tuple[datetime | None, datetime | None]
    past: tuple[datetime, datetime] | None
    observed: bool
    as_any: bool
    units: Mapping[str, pd.Index]
    traits: Mapping[str, pd.DataFrame]

    @property
    def rows(self) -> int:
        """How many rows the whole table has, or may have at most when only observed pairs are asked for."""
        everything = math.prod(len(self.units[key]) for key in self.unit)
        return min(everything, self.log.n_events) if self.observed else everything

    def table(self, part: slice) -> BehaviourTable | None:
        """Return the rows of some of the leading units, or None when these have no observed pair."""
        counted = self._count(self.unit, self.window, part)
        codes = counted.codes if self.observed else self._every_code(part)
        if len(codes) == 0:
            return None
        place = dict(zip(self.unit, self._split_codes(codes), strict=True))
        columns = self._traits(place) | self._pasts(codes, place, part)
        roles: dict[str, Role] = dict.fromkeys(columns, "trait")
        levels = {name: column[0] for name, column in columns.items()}
        for (name, stage), count in zip(self.log.stages.items(), counted.spread(codes), strict=True):
            columns[name] = (level_of(self.unit), np.minimum(count, 1.0) if self.as_any else count)
            roles[name], levels[name] = "exposure" if stage == "exposure" else "behaviour", columns[name][0]
        keys = pd.DataFrame({key: self.units[key].take(place[key]) for key in self.unit})
        first = tuple(name for name, role in roles.items() if role == "trait")
        frame = pd.DataFrame({name: column[1] for name, column in columns.items()}, copy=False)
        return BehaviourTable(frame, keys, roles, (first, *tiers_of(self.log.stages)), levels)

    def _traits(self, place: Mapping[str, IntArray]) -> dict[str, Column]:
        """Return the traits of every row's user and item."""
        return {str(name): (level_of(key), values.to_numpy()[place[key]]) for key in self.unit for name, values in self.traits[key].items()}

    def _pasts(self, codes: IntArray, place: Mapping[str, IntArray], part: slice) -> dict[str, Column]:
        """Return the counts of the time before the window, as many kinds as the unit has."""
        columns: dict[str, Column] = {}
        for keys, prefix in PAST[self.unit].items() if self.past else ():
            counted = self._count(keys, self.past or self.window, part)
            if keys == self.unit:
                counts = counted.spread(codes)
            else:
                counts = (each[place[keys[0]]] for each in counted.spread(np.arange(len(self.units[keys[0]]))))
            columns |= {prefix + name: (level_of(keys), count) for name, count in zip(self.log.stages, counts, strict=True)}
        return columns

    def _count(self, keys: tuple[str, ...], period: Period, part: slice) -> _Counts:
        """Return how often each group of `keys` showed each behaviour in a period."""
        import narwhals as nw

        events = within(self.log.frame, *period)
        leading = self.units[self.unit[0]]
        if self.unit[0] in keys and part != slice(0, len(leading)):
            ids = leading[part]
            events = events.filter(nw.col(self.unit[0]) >= _plain(ids[0]), nw.col(self.unit[0]) <= _plain(ids[-1]))
        asked = [(nw.col("behaviour") == name).cast(nw.Int64).sum().alias(f"b{k}") for k, name in enumerate(self.log.stages)]
        found = events.group_by(*keys).agg(*asked).collect("pandas").to_native()
        codes = np.zeros(len(found), dtype=np.int64)
        for key in keys:
            codes = codes * len(self.units[key]) + self.units[key].get_indexer(found[key])
        order = np.argsort(codes)
        counts = found[[f"b{k}" for k in range(len(asked))]].to_numpy(dtype=np.float64)
        return _Counts(codes[order], counts[order])

    def _every_code(self, part: slice) -> IntArray:
        """Return the row codes of all units (pairs) whose leading unit is in `part`."""
        width = math.prod(len(self.units[key]) for key in self.unit[1:])
        return np.arange(part.start * width, part.stop * width, dtype=np.int64)

    def _split_codes(self, codes: IntArray) -> tuple[IntArray, ...]:
        """Return the place of each row's user and item among the units; a pair's code is user × items + item."""
        return (codes,) if len(self.unit) == 1 else np.divmod(codes, len(self.units[self.unit[1]]))


@dataclass(frozen=True, slots=True, eq=False)
class _Counts:
    """Counts (groups, behaviours) of groups whose sorted `codes` (groups,) say which row they belong to."""

    codes: IntArray
    counts: FloatArray

    def spread(self, codes: IntArray) -> Iterator[FloatArray]:
        """Yield one column (rows,) a behaviour over the sorted row `codes`, zeros where nothing was counted."""
        row = np.minimum(np.searchsorted(codes, self.codes), len(codes) - 1)
        met = codes[row] == self.codes
        for counts in self.counts[met].T:
            column = np.zeros(len(codes))
            column[row[met]] = counts
            yield column


def require_log(log: object) -> None:
    """Raise DataError for what is no EventLog."""
    if not isinstance(log, EventLog):
        raise DataError(
            f"a {type(log).__name__} is no EventLog; make one with EventLog.from_frame (one row per event), "
            "or hand rows that are units already to discover, fit_sem and estimate_effect"
        )


def _plan(
    log: EventLog, unit: str | Sequence[str], window: Window, history: object, pairs: str, values: str | None, traits: Iterable[str] | None
) -> _Plan:
    """Check the choices and look up the units."""
    require_log(log)
    keys = (unit,) if isinstance(unit, str) else tuple(unit)
    if keys not in PAST:
        raise SettingError(f"no unit {unit!r}; use 'user', 'item' or ('user', 'item')")
    if pairs not in get_args(Pairs) or (values is not None and values not in get_args(Values)):
        raise SettingError(f"pairs={pairs!r}, values={values!r}: use pairs 'all' or 'observed', and values 'count' or 'any'")
    start, end = (moment_of(when, "window") for when in (window or (None, None)))
    if start is not None and end is not None and start >= end:
        raise SettingError(f"the window ends at {end}, not after its start {start}; hand in (start, end)")
    observed, as_any = pairs == "observed" and len(keys) == 2, (values or ("any" if len(keys) == 2 else "count")) == "any"
    units = {key: _ids(log, key) for key in keys}
    picked = _pick(log, keys, traits)
    numbers = {key: _trait_numbers(log, key, units[key], picked[key]) for key in keys}
    plan = _Plan(log, keys, (start, end), _history(start, history), observed, as_any, units, numbers)
    _check_clashes(plan)
    return plan


def _history(start: datetime | None, history: object) -> tuple[datetime, datetime] | None:
    """Return the period of length `history` before `start`."""
    if history is None:
        return None
    try:
        length = pd.Timedelta(history).to_pytimedelta()
    except (TypeError, ValueError) as why:
        raise SettingError(f"history {history!r} is no duration; write it like '90D' or '12h'") from why
    if start is None or length <= timedelta(0):
        raise SettingError(f"history={history!r} needs a window with a start, and a length above zero; hand in window=(start, end)")
    return start - length, start


def _ids(log: EventLog, key: str) -> pd.Index:
    """Return the ids of the users (items) with an event, sorted."""
    ids = log.frame.select(key).unique().collect("pandas").to_native()[key]
    plain = ids.to_numpy(dtype=np.int64) if pd.api.types.is_integer_dtype(ids) else ids.to_numpy(dtype=object)
    return pd.Index(np.sort(plain))


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _pick(log: EventLog, keys: tuple[str, ...], traits: Iterable[str] | None) -> dict[str, list[str]]:
    """Return which traits of each key go into the table."""
    known = {"user": log.user_traits, "item": log.item_traits}
    if traits is None:
        measures: dict[str, list[str]] = {}
        for key in keys:
            measures[key] = _measures(log, key, known[key])
        return measures
    wanted = list(traits)
    check_names(wanted, [name for key in keys for name in known[key]], "trait", "the log")
    return {key: [name for name in known[key] if name in wanted] for key in keys}


def _measures(log: EventLog, key: str, names: Sequence[str]) -> list[str]:
    """Return the traits that are no codes, and say which are."""
    if not names:
        return []
    found = log.traits(key)
    codes = [name for name in names if looks_like_code(name, found[name])]
    for name in codes:
        warn_of_code(name, key, found[name].nunique(), stacklevel=6)
    return [name for name in names if name not in codes]


def _trait_numbers(log: EventLog, key: str, ids: pd.Index, names: list[str]) -> pd.DataFrame:
    """Return the traits of the units as float columns in the order of `ids`; text of two values becomes 0/1."""
    if not names:
        return pd.DataFrame(index=ids)
    found = log.traits(key).set_index(key).reindex(ids)
    return pd.DataFrame({name: _as_number(found[name], name, key) for name in names}, index=ids)


def _as_number(trait: pd.Series, name: str, key: str) -> FloatArray:
    if pd.api.types.is_numeric_dtype(trait):
        return trait.to_numpy(dtype=np.float64, na_value=np.nan)
    kinds = sorted(trait.dropna().unique())
    if len(kinds) > 2:
        raise DataError(
            f"trait {name!r} of the {key}s holds text of {len(kinds):,} values, such as {shown(kinds[:3])}; give it as numbers or as one "
            "0/1 column a value, or pick traits by name: behaviours(log, traits=[…])",
            columns=[name],
        )
    numbers = {kind: float(place) for place, kind in enumerate(kinds)}
    return np.array([numbers.get(cell, np.nan) for cell in trait], dtype=np.float64)


def _check_clashes(plan: _Plan) -> None:
    """Raise DataError when a trait has the name of a behaviour or of its history."""
    made = list(plan.log.stages)
    made += [prefix + name for prefix in PAST[plan.unit].values() for name in plan.log.stages if plan.past]
    twice = [str(name) for key in plan.unit for name in plan.traits[key].columns if name in made]
    if twice:
        raise DataError(f"traits {shown(twice)} are named like behaviours; rename one of the two", columns=twice)
