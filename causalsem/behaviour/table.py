"""BehaviourTable: one row per unit, typed columns, each with a role, a tier and a level."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from causalsem._cards import mimebundle
from causalsem._values import FloatArray, json_text, read_json, read_parquet, write_parquet, write_text
from causalsem.behaviour.origin import Level, Origin, level_of
from causalsem.errors import DataError, NoRowsError, SettingError, check_names, shown

Role = Literal["trait", "exposure", "behaviour", "outcome"]
FORMAT = "causalsem-behaviour-table"


@dataclass(frozen=True, slots=True, eq=False)
class BehaviourTable:
    """A table of behaviours: `frame` has one row per unit and one float column per variable.

    `keys` holds the unit's identifiers (columns among "user" and "item", same rows as `frame`).
    `roles` says what each column is, `tiers` which columns may cause which (earlier before later),
    `levels` whether a column belongs to the user, the item or the pair.
    Missing values are allowed here (NaN); the steps that cannot take them say so.
    """

    frame: pd.DataFrame
    keys: pd.DataFrame
    roles: Mapping[str, Role]
    tiers: tuple[tuple[str, ...], ...] = ()
    levels: Mapping[str, Level] = field(default_factory=dict)

    def __post_init__(self) -> None:
        frame = _number_columns(self.frame)
        _check_shape(frame, self.keys)
        for what in (self.roles, self.levels, [n for tier in self.tiers for n in tier]):
            check_names(what, frame.columns, what="column", where="the behaviour table")
        for role in self.roles.values():
            if role not in get_args(Role):
                raise SettingError(f"unknown role {role!r}; use one of {shown(get_args(Role))}")
        default = level_of(self.keys.columns)
        object.__setattr__(self, "frame", frame)
        object.__setattr__(self, "keys", self.keys.reset_index(drop=True).copy())
        object.__setattr__(self, "roles", MappingProxyType({n: self.roles.get(n, "behaviour") for n in frame.columns}))
        object.__setattr__(self, "levels", MappingProxyType({n: self.levels.get(n, default) for n in frame.columns}))
        object.__setattr__(self, "tiers", tuple(tuple(tier) for tier in self.tiers if len(tier)))

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        user: str | None = None,
        item: str | None = None,
        roles: Mapping[str, Role] | None = None,
        tiers: Iterable[Sequence[str]] = (),
        levels: Mapping[str, Level] | None = None,
    ) -> BehaviourTable:
        """Return the table of a DataFrame; `user` and `item` name its key columns, all others are variables.

        Without keys every row is a user of its own. A table of Polars or Arrow does as well.
        Raises DataError for what is no table, and for text, infinite or duplicate columns.
        """
        frame = _as_pandas(frame)
        named = {"user": user, "item": item}
        wanted = {key: column for key, column in named.items() if column is not None}
        check_names(wanted.values(), frame.columns, what="column", where="the frame")
        keys = pd.DataFrame({key: frame[column].to_numpy() for key, column in wanted.items()})
        if not wanted:
            keys = pd.DataFrame({"user": np.arange(len(frame))})
        variables = frame.drop(columns=list(wanted.values()))
        return cls(variables, keys, roles or {}, tuple(tuple(t) for t in tiers), levels or {})

    @property
    def names(self) -> tuple[str, ...]:
        """The variables, in column order."""
        return tuple(self.frame.columns)

    @property
    def unit(self) -> tuple[str, ...]:
        """What a row stands for: ("user",), ("item",) or ("user", "item")."""
        return tuple(self.keys.columns)

    @property
    def origin(self) -> Origin:
        """What a row stands for and which columns come before which, as it goes with the table's moments and graphs."""
        return Origin(level_of(self.unit), self.tiers)

    def __len__(self) -> int:
        return len(self.frame)

    def column(self, name: str) -> FloatArray:
        """Return one variable as a float array of shape (n,)."""
        return self.matrix([name])[:, 0]

    def matrix(self, names: Iterable[str] | None = None) -> FloatArray:
        """Return the named variables (all, if None) as an array of shape (n, k)."""
        names = list(self.names if names is None else names)
        check_names(names, self.names, where="the behaviour table")
        return self.frame[names].to_numpy(dtype=np.float64)

    def complete(self, names: Iterable[str] | None = None) -> FloatArray:
        """Return `matrix(names)`, or raise DataError when a value in it is missing."""
        names = list(self.names if names is None else names)
        values = self.matrix(names)
        missing = np.atleast_1d(np.isnan(values).any(axis=0))
        if missing.any():
            columns = [n for n, bad in zip(names, missing, strict=True) if bad]
            count = int(np.isnan(values).any(axis=1).sum())
            raise DataError(f"missing values in {shown(columns)} ({count:,} rows); impute or drop them first", columns=columns)
        return values

    def with_role(self, role: Role) -> tuple[str, ...]:
        """Return the variables of one role, in column order."""
        return tuple(n for n in self.names if self.roles[n] == role)

    def select(self, names: Iterable[str]) -> BehaviourTable:
        """Return the table with only the named variables, keys and tiers kept."""
        names = list(names)
        check_names(names, self.names, where="the behaviour table")
        return BehaviourTable(
            self.frame[names],
            self.keys,
            {n: self.roles[n] for n in names},
            tuple(tuple(n for n in tier if n in names) for tier in self.tiers),
            {n: self.levels[n] for n in names},
        )

    def rows(self, index: object) -> BehaviourTable:
        """Return the table of some rows: `index` is a boolean mask or row numbers."""
        return BehaviourTable(self.frame.iloc[index], self.keys.iloc[index], self.roles, self.tiers, self.levels)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write keys and variables as Parquet, and roles, tiers and levels as JSON beside it."""
        keys = self.keys.rename(columns=lambda name: f"key:{name}")
        write_parquet(path, pd.concat([keys, self.frame], axis=1))
        about = {"format": FORMAT, "roles": dict(self.roles), "tiers": self.tiers, "levels": dict(self.levels)}
        write_text(Path(path).with_suffix(".json"), json_text(about))
        return Path(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> BehaviourTable:
        """Return the table that `save` wrote."""
        about = read_json(Path(path).with_suffix(".json"), FORMAT)
        whole, _ = read_parquet(path)
        marked = [c for c in whole.columns if c.startswith("key:")]
        keys = whole[marked].rename(columns=lambda name: name.removeprefix("key:"))
        return cls(whole.drop(columns=marked), keys, about["roles"], about["tiers"], about["levels"])

    def __repr__(self) -> str:
        return f"BehaviourTable({len(self):,} {' × '.join(self.unit)} rows × {len(self.names)} variables: {', '.join(self.names)})"

    def _repr_html_(self) -> str:
        # pandas escapes names and values here.
        return self.frame.head(8).to_html(notebook=True)

    _repr_mimebundle_ = mimebundle


def as_table(data: BehaviourTable | pd.DataFrame) -> BehaviourTable:
    """Return `data` as a BehaviourTable: a DataFrame counts as one row per user."""
    return data if isinstance(data, BehaviourTable) else BehaviourTable.from_frame(data)


def origin_of(data: object) -> Origin:
    """Return what data know of their rows and columns: a table and its moments do, a plain frame does not."""
    told = getattr(data, "origin", None)
    return told if isinstance(told, Origin) else Origin()


def with_pandas(data: Any) -> Any:
    """Return a table of Polars or Arrow as one of pandas, anything else as it is."""
    return data.to_pandas() if type(data).__module__.split(".")[0] in {"polars", "pyarrow"} and hasattr(data, "to_pandas") else data


def _as_pandas(frame: Any) -> pd.DataFrame:
    """Return a table of pandas, Polars or Arrow as one of pandas, or say what was handed in."""
    frame = with_pandas(frame)
    if not isinstance(frame, pd.DataFrame):
        kind = type(frame).__name__
        cure = "make its table with behaviours(log)" if kind == "EventLog" else "hand in a DataFrame: pd.DataFrame(rows, columns=[…])"
        raise DataError(f"{kind} is no table with one row per unit and named columns; {cure}")
    return frame


def _check_shape(frame: pd.DataFrame, keys: pd.DataFrame) -> None:
    if len(frame) == 0:
        raise NoRowsError("the table has no rows; check the filter or the file it came from")
    if len(keys) != len(frame):
        raise DataError(f"{len(keys):,} keys for {len(frame):,} rows; hand in one key per row")
    strange = set(keys.columns) - {"user", "item"}
    if strange or keys.columns.empty:
        raise DataError(f"keys must be 'user', 'item' or both, not {shown(keys.columns)}; rename them")
    for name in keys:
        _check_key(keys[name], name)


def _check_key(key: pd.Series, name: str) -> None:
    """Raise DataError for a row that belongs to nobody, and for keys of which no two can be told apart."""
    missing = key.isna().to_numpy()
    if missing.any():
        raise DataError(
            f"{int(missing.sum()):,} rows have no {name} (the first is row {int(missing.argmax())}); drop them first", columns=[name]
        )
    if not isinstance(key.iloc[0], Hashable):
        raise DataError(f"the {name}s are of type {type(key.iloc[0]).__name__}; hand in numbers or text that name them", columns=[name])


def _number_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a copy with float columns and string names, or say which column is not a number."""
    names = [str(c) for c in frame.columns]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise DataError(f"duplicate column names {shown(twice)}; rename or drop one of each", columns=twice)
    return pd.DataFrame({name: _numbers(frame.iloc[:, k], name) for k, name in enumerate(names)})


def _numbers(column: pd.Series, name: str) -> FloatArray:
    """Return a column as floats; the first text or infinite value is named with its row."""
    if column.dtype.kind in "cmM":
        kind = "complex numbers" if column.dtype.kind == "c" else "dates or durations"
        raise DataError(f"column {name!r} holds {kind}; turn it into plain numbers, such as days since a date, or drop it", columns=[name])
    try:
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        bad = pd.to_numeric(column, errors="coerce").isna() & column.notna()
        row = int(np.argmax(bad.to_numpy())) if bad.any() else 0
        text = f"column {name!r} holds text ({column.iloc[row]!r} in row {row})"
        raise DataError(f"{text}; turn it into numbers or drop it", columns=[name], rows=[row]) from None
    infinite = np.flatnonzero(np.isinf(values))
    if infinite.size:
        raise DataError(f"column {name!r} is infinite in row {infinite[0]}; mend or drop it", columns=[name], rows=infinite[:8].tolist())
    return values
