"""Files of public data, as their publishers name them: found plain or compressed, read, and checked."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pandas as pd

from causalsem.errors import DataError, FileError, shown

if TYPE_CHECKING:
    import duckdb

PathLike: TypeAlias = str | os.PathLike[str]


def the_file(folder: PathLike, *names: str) -> Path:
    """Return the first of some names (paths below `folder`, * for any text) that exists, plain or .gz; raises FileError.

    A path to a file is taken at its word.
    """
    root = Path(folder)
    if root.is_file():
        return root
    found = any_file(root, *names)
    if found is None:
        raise FileError(f"no {' or '.join(names)} (plain or .gz) in {root}; hand in the folder that holds it", path=root / names[0])
    return found


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
    """Return the numbers of a file of one row a line, parted by spaces, or raise DataError for words."""
    frame = read_csv(path, sep=r"\s+", header=None)
    words = [column for column in frame if not pd.api.types.is_numeric_dtype(frame[column])]
    if words:
        raise DataError(f"{path} holds words such as {frame[words[0]].iloc[0]!r}; it should be numbers parted by spaces")
    return frame


def need_columns(frame: pd.DataFrame, names: Iterable[str], path: PathLike) -> pd.DataFrame:
    """Return the frame itself, or raise DataError when it lacks some of the columns."""
    missing = [name for name in names if name not in frame]
    if missing:
        raise DataError(f"{path} lacks the columns {shown(missing)}; it has {shown(list(map(str, frame)))}", columns=missing)
    return frame


def view_csv(con: duckdb.DuckDBPyConnection, path: Path, name: str, need: Sequence[str]) -> None:
    """Make a view of a text file with a header line, which may be larger than memory, or say which columns it lacks."""
    import duckdb as engine

    try:
        relation = con.read_csv(str(path), header=True)
    except engine.Error as error:
        raise FileError(f"cannot read {path} as a table of text: {error}; check that the file is whole", path=path) from error
    missing = [column for column in need if column not in relation.columns]
    if missing:
        raise DataError(f"{path} lacks the columns {shown(missing)}; it has {shown(relation.columns)}", columns=missing)
    relation.create_view(name)
