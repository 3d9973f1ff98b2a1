"""Where events come from: CSV and Parquet files or any frame Narwhals knows, seen as one DuckDB view."""

from __future__ import annotations

import contextlib
import glob
import gzip
import os
import tempfile
import uuid
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from causalsem.errors import DataError, FileError, NoRowsError, SettingError, shown

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
FORMATS = {".csv": "csv", ".tsv": "csv", ".csv.gz": "csv", ".tsv.gz": "csv", ".parquet": "parquet", ".pq": "parquet"}


@dataclass(frozen=True, slots=True)
class DuckDB:
    """How much the embedded database may use: `memory` before it spills to the folder `spill`, and `threads`.

    Without `spill` a folder beside the system's temporary files is made when it is needed and removed afterwards.
    """

    memory: str = "2GB"
    spill: str | os.PathLike[str] | None = None
    threads: int | None = None

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Return a fresh in-memory database that never goes to the network; raises SettingError for odd settings."""
        import duckdb

        spill = self.spill or Path(tempfile.gettempdir()) / f"causalsem-{uuid.uuid4().hex}"
        config: dict[str, Any] = {
            "memory_limit": self.memory,
            "temp_directory": os.fspath(spill),
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
        if self.threads is not None:
            config["threads"] = self.threads
        try:
            con = duckdb.connect(":memory:", config=config)
        except duckdb.Error as why:
            raise SettingError(f"cannot start DuckDB with {self}: {first_line(why)}; write memory like '2GB'") from why
        con.execute("SET TimeZone = 'UTC'")
        # DuckDB draws a bar for slow queries even where nobody watches.
        with contextlib.suppress(duckdb.InvalidInputException):  # Jupyter without ipywidgets: there is no bar to turn off
            con.execute("SET enable_progress_bar = false")
        return con


@dataclass(frozen=True, slots=True)
class Source:
    """A view in the database: its name there, the people's `columns` in order, their DuckDB `types`, and a `label`.

    `typed` is False where everything is text because the format has no types (CSV).
    """

    view: str
    columns: tuple[str, ...]
    types: tuple[str, ...]
    label: str
    typed: bool


def first_line(why: Exception) -> str:
    """Return the first line of an outside error, for the middle of a message."""
    return str(why).strip().splitlines()[0]


def open_files(con: duckdb.DuckDBPyConnection, paths: Paths, view: str, columns: Sequence[str] | None = None) -> Source:
    """Make `view` over CSV or Parquet files; `columns` names the columns of CSV files without a header line."""
    import duckdb

    files = find_files(paths)
    kinds = {_format(file) for file in files}
    if len(kinds) > 1:
        raise FileError(f"{shown(map(str, files))} mix {shown(sorted(kinds))}; read one format at a time", path=files[0])
    label = str(files[0]) if len(files) == 1 else f"{files[0]} … {files[-1]} ({len(files)} files)"
    # The names are plain file names by now; DuckDB would expand the brackets and stars in them once more.
    names = [glob.escape(str(file)) for file in files]
    is_csv = kinds == {"csv"}
    if columns is not None and not is_csv:
        raise SettingError(f"columns= names the columns of CSV without a header, but {label} is Parquet; leave columns= out")
    try:
        relation = _csv(con, names, files, columns) if is_csv else con.read_parquet(names, union_by_name=True)
        relation.create_view(view)
    except duckdb.Error as why:
        raise FileError(f"cannot read {label}: {first_line(why)}; check that it is whole and UTF-8", path=files[0]) from why
    return Source(view, tuple(relation.columns), tuple(str(t) for t in relation.types), label, typed=not is_csv)


def open_frame(con: duckdb.DuckDBPyConnection, frame: Any, view: str) -> Source:
    """Make `view` over a native frame that Narwhals supports (pandas, Polars, PyArrow, DuckDB, Ibis, PySpark …)."""
    table = arrow_table(frame)
    names = tuple(str(name) for name in table.column_names)
    _check_unique(names)
    # Safe names inside: DuckDB cannot tell 'A' from 'a'.
    con.register(view, table.rename_columns([f"c{k}" for k in range(len(names))]))
    types = con.execute(f"DESCRIBE {view}").fetchall()
    return Source(view, names, tuple(str(row[1]) for row in types), "the frame", typed=True)


@contextlib.contextmanager
def whole_source(source: Source) -> Iterator[None]:
    """Turn what DuckDB says of broken content or too little memory into our errors."""
    import duckdb

    try:
        yield
    except duckdb.OutOfMemoryException as why:
        raise SettingError(f"{source.label} needs more memory than allowed: {first_line(why)}; raise engine=DuckDB(memory=…)") from why
    except (duckdb.InvalidInputException, duckdb.IOException, duckdb.ConversionException) as why:
        raise FileError(f"cannot read {source.label}: {first_line(why)}; check that it is whole and UTF-8", path=source.label) from why


def find_files(paths: Paths) -> list[Path]:
    """Return the files of a path, a glob or a list of both, sorted within each glob; raises FileError for none."""
    listed = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    if not listed:
        raise FileError("an empty list of files; hand in at least one path")
    return [file for path in listed for file in _expand(Path(path))]


def _expand(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if path.is_dir():
        raise FileError(f"{path} is a folder; name its files, as in {path / '*.parquet'}", path=path)
    if not glob.has_magic(str(path)):
        raise FileError(f"no file {path}; check the path", path=path)
    found = [Path(name) for name in sorted(glob.glob(str(path), recursive=True)) if Path(name).is_file()]
    if not found:
        raise FileError(f"no file matches {path}; check the folder and the pattern", path=path)
    return found


def _format(path: Path) -> str:
    ending = "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix
    found = FORMATS.get(ending.lower())
    if found is None:
        raise FileError(f"{path} ends in {ending!r}, which is no known format; hand in one of {shown(FORMATS)}", path=path)
    return found


def _csv(con: duckdb.DuckDBPyConnection, names: list[str], files: list[Path], columns: Sequence[str] | None) -> duckdb.DuckDBPyRelation:
    for file in files:
        _check_gzip(file)
    head = first_text_line(files[0])
    if not head:
        raise NoRowsError(f"{files[0]} is empty; hand in a file with events", path=files[0])
    separator = max(",\t;|", key=head.count)
    # Everything as text: types guessed from a sample would make the first odd row an unnamed error.
    if columns is None:
        return con.read_csv(names, sep=separator, header=True, all_varchar=True)
    width = head.count(separator) + 1
    if len(columns) != width and '"' not in head:
        raise DataError(f"columns= names {len(columns)} columns, but {files[0]} has {width}; name every one", columns=list(columns))
    return con.read_csv(names, sep=separator, header=False, all_varchar=True, names=list(columns))


def _check_gzip(path: Path) -> None:
    """Raise FileError when a gzipped file is cut short or damaged; DuckDB 1.5 would read what there is and say nothing."""
    if path.suffix != ".gz":
        return
    try:
        with gzip.open(path) as content:
            while content.read(2**20):
                pass
    except (OSError, EOFError, zlib.error) as why:
        raise FileError(f"cannot read {path}: {first_line(why)}; check that it is whole and UTF-8", path=path) from why


def first_text_line(path: Path) -> str:
    """Return the first line of a plain or gzipped text file."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8-sig") as lines:
            return str(lines.readline()).rstrip("\r\n")
    except (OSError, EOFError, UnicodeDecodeError) as why:
        raise FileError(f"cannot read {path}: {first_line(why)}; check that it is whole and UTF-8", path=path) from why


def arrow_table(frame: Any) -> pa.Table:
    """Return any frame Narwhals knows as an Arrow table; a pandas column of mixed kinds becomes text."""
    import narwhals as nw

    try:
        wrapped = nw.from_native(frame)
    except nw.exceptions.DuplicateError:
        _check_unique([str(name) for name in frame.columns])
        raise
    except TypeError:
        hint = "hand in pandas, Polars, PyArrow, DuckDB, Ibis or PySpark"
        raise DataError(f"{type(frame).__name__} is no frame of events; {hint}") from None
    if isinstance(wrapped, nw.LazyFrame):
        return wrapped.collect("pyarrow").to_native()
    native = wrapped.to_native()
    if wrapped.implementation.is_pandas():
        return _from_pandas(native)
    return wrapped.to_arrow()


def _check_unique(names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"duplicate column names {shown(twice)} in the frame; rename or drop one of each", columns=twice)


def _is_foreign(kind: pa.DataType) -> bool:
    """Tell whether an Arrow type is an extension of Arrow's own, or a dictionary of one."""
    import pyarrow as pa

    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    return isinstance(inner, pa.BaseExtensionType)


def _from_pandas(frame: Any) -> pa.Table:
    import pyarrow as pa

    columns = []
    for position in range(frame.shape[1]):
        column = frame.iloc[:, position]
        try:
            array = pa.Array.from_pandas(column)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
            array = None
        # DuckDB knows none of pandas' own types, such as periods and intervals, alone or as the words of a categorical.
        if array is None or _is_foreign(array.type):
            array = pa.array([None if missing else str(cell) for cell, missing in zip(column, column.isna(), strict=True)], pa.string())
        columns.append(array)
    return pa.Table.from_arrays(columns, names=[str(name) for name in frame.columns])
