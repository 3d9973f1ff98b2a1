"""Files of public data, as their publishers name them: found plain or compressed, read, and checked."""

from __future__ import annotations

import contextlib
import gzip
import os
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pandas as pd

from causalsem.behaviour.sources import first_line
from causalsem.errors import DataError, FileError, shown

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

PathLike: TypeAlias = str | os.PathLike[str]


def the_file(folder: PathLike, *names: str) -> Path:
    """Return the first of some names (paths below `folder`, * for any text) that exists, plain or .gz; raises FileError.

    A path to a file is taken at its word.
    """
    root = Path(folder)
    if root.is_file():
        return root
    if not root.exists():
        raise FileError(f"{root} is not there; hand in the folder that holds {' or '.join(names)} (plain or .gz)", path=root)
    found = any_file(root, *names)
    if found is None:
        raise FileError(f"no {' or '.join(names)} (plain or .gz) in {root}; hand in the folder that holds it", path=root / names[0])
    return found


def one_file(path: PathLike, name: str) -> Path:
    """Return the one file of a name (* for any text) that `path` is or holds; raises FileError for none and for a choice."""
    root = Path(path)
    found = [root] if root.is_file() else [file for ending in ("", ".gz") for file in sorted(root.glob(name + ending))]
    if len(found) > 1:
        raise FileError(f"{root} holds {len(found)} files {name}; hand in one of them, such as {found[0]}", path=root)
    return found[0] if found else the_file(root, name)


def folder_of(path: PathLike) -> Path:
    """Return the folder in which the other files lie: the path itself, or that of the file it names."""
    root = Path(path)
    return root.parent if root.is_file() else root


def any_file(root: Path, *names: str) -> Path | None:
    """Return the first of some names that exists below a folder, plain or .gz, or None."""
    paths = (path for name in names for ending in ("", ".gz") for path in sorted(root.glob(name + ending)))
    return next(paths, None)


def read_csv(path: PathLike, **settings: Any) -> pd.DataFrame:
    """Return the table of a text file, compressed or not, or raise FileError."""
    try:
        return pd.read_csv(path, **settings)
    except (OSError, ValueError, EOFError) as error:
        raise FileError(f"cannot read {path} as a table of text: {error}; check that the file is whole", path=Path(path)) from error


def read_matrix(path: PathLike) -> pd.DataFrame:
    """Return the numbers of a file of one row a line, parted by spaces; raises DataError for words and for lines of unequal length."""
    frame = read_csv(path, sep=r"\s+", header=None)
    need_numbers(frame, frame.columns, f"{path}, which is parted by spaces,")
    short = frame.isna().any(axis=1).to_numpy().nonzero()[0]
    if len(short):
        here, all_ = frame.iloc[short[0]].notna().sum(), frame.shape[1]
        raise DataError(f"line {short[0] + 1} of {path} has {here} numbers where others have {all_}; check that the file is whole")
    return frame


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file that are not blank, compressed or not."""
    try:
        with gzip.open(path, "rt", encoding="utf-8-sig") if path.suffix == ".gz" else path.open(encoding="utf-8-sig") as lines:
            return [line.strip() for line in lines if line.strip()]
    except (OSError, ValueError, EOFError) as error:
        raise FileError(f"cannot read {path} as text: {error}; check that the file is whole", path=path) from error


def need_numbers(frame: pd.DataFrame, names: Iterable[Hashable], path: object) -> pd.DataFrame:
    """Return the frame itself, or raise DataError with the first word in columns that hold numbers."""
    for name in names:
        column = frame[name]
        if pd.api.types.is_numeric_dtype(column):
            continue
        words = (pd.to_numeric(column, errors="coerce").isna() & column.notna()).to_numpy()
        if words.any():
            row = int(words.argmax())
            raise DataError(
                f"column {name!r} of {path} holds numbers, but {column.iloc[row]!r} in row {row}; mend or drop that row",
                columns=[str(name)],
            )
    return frame


def need_columns(frame: pd.DataFrame, names: Iterable[str], path: PathLike) -> pd.DataFrame:
    """Return the frame itself, or raise DataError when it lacks some of the columns."""
    missing = [name for name in names if name not in frame]
    if missing:
        raise DataError(f"{path} lacks the columns {shown(missing)}; it has {shown(list(map(str, frame)))}", columns=missing)
    return frame


def view_csv(con: duckdb.DuckDBPyConnection, path: Path, name: str, keys: Sequence[str], numbers: Sequence[str]) -> None:
    """Make a view of a text file with a header line, which may be larger than memory, or say which columns it lacks.

    The columns `numbers` are read as such; `rows_of` says where one of them holds a word.
    """
    with readable(path):
        columns = con.read_csv(str(path), header=True, sep=",").columns
    missing = [column for column in (*keys, *numbers) if column not in columns]
    if missing:
        raise DataError(f"{path} lacks the columns {shown(missing)}; it has {shown(columns)}", columns=missing)
    with readable(path):
        con.read_csv(str(path), header=True, sep=",", dtype=dict.fromkeys(numbers, "DOUBLE")).create_view(name)


def rows_of(con: duckdb.DuckDBPyConnection, query: str, path: Path, values: Mapping[str, object] | None = None) -> pa.Table:
    """Return the rows of a query over views of files, of which `path` is the first; raises FileError for what cannot be read."""
    with readable(path):
        return con.execute(query, dict(values or {})).to_arrow_table()


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what DuckDB says of a broken file into a FileError."""
    import duckdb as engine

    try:
        yield
    except engine.Error as error:
        # Of its many lines one names the column, where there is one to name.
        named = [line for line in str(error).splitlines() if line.startswith("Error when converting column")]
        told = ": ".join([first_line(error), *named[:1]])
        raise FileError(f"cannot read {path} as a table parted by commas: {told}; check that the file is whole", path=path) from error
