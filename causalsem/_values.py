"""What every value shares: read-only arrays, canonical JSON, files that are whole or absent."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from causalsem.errors import FileError

if TYPE_CHECKING:
    import pandas as pd

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


def frozen(array: npt.ArrayLike, dtype: npt.DTypeLike = np.float64) -> npt.NDArray[Any]:
    """Return a read-only copy, so that a value cannot be changed from outside."""
    copy = np.array(array, dtype=dtype, copy=True)
    copy.setflags(write=False)
    return copy


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path` and rename it over `path` only when all went well.

    The temporary keeps the ending of `path`, because some writers choose their format by it.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise FileError(f"cannot write {target}: folder {target.parent} does not exist; make it first", path=target)
    handle, name = tempfile.mkstemp(prefix=".", suffix=f".part{target.suffix}", dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes files only their owner can read; a result is an ordinary file.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Write `text` as UTF-8 with LF line ends, whole or not at all, and return the path."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return Path(path)


def read_text(path: str | os.PathLike[str]) -> str:
    """Return the text of a UTF-8 file."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise FileError(f"no file {os.fspath(path)}; check the path", path=Path(path)) from None
    except UnicodeDecodeError as why:
        raise FileError(f"cannot read {os.fspath(path)}: it is no UTF-8 text; hand in the file that was meant", path=Path(path)) from why
    except OSError as why:
        raise FileError(f"cannot read {os.fspath(path)}: {why}", path=Path(path)) from why


def json_text(payload: object) -> str:
    """Return canonical JSON: fixed indent, keys as given, Unicode kept, NaN as null, LF at the end."""
    plain = json.loads(json.dumps(payload, default=_plain, ensure_ascii=False), parse_constant=lambda _: None)
    return json.dumps(plain, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read_json(path: str | os.PathLike[str], kind: str) -> dict[str, Any]:
    """Return the JSON object of a file whose "format" is `kind`."""
    try:
        payload = json.loads(read_text(path))
    except json.JSONDecodeError as why:
        raise FileError(f"{os.fspath(path)} is not JSON: {why}; was it cut short?", path=Path(path)) from why
    found = payload.get("format") if isinstance(payload, dict) else None
    if found != kind:
        raise FileError(f"{os.fspath(path)} holds {found!r}, not {kind!r}; hand in a file of that kind", path=Path(path))
    return payload


def write_parquet(path: str | os.PathLike[str], frame: pd.DataFrame, about: dict[str, Any] | None = None) -> Path:
    """Write a frame as Parquet, whole or not at all; `about` travels in its metadata."""
    frame = frame.copy(deep=False)
    frame.attrs = about or {}
    with whole_file(path) as temporary:
        frame.to_parquet(temporary, index=False)
    return Path(path)


def read_parquet(path: str | os.PathLike[str], kind: str | None = None) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the frame of a Parquet file and what its metadata say, whose "format" must be `kind` unless that is None."""
    import pandas as pd

    if not Path(path).is_file():
        raise FileError(f"no file {os.fspath(path)}; check the path", path=Path(path))
    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as why:
        raise FileError(f"{os.fspath(path)} is not Parquet: {why}; was it cut short?", path=Path(path)) from why
    about, frame.attrs = dict(frame.attrs), {}
    if kind is not None and about.get("format") != kind:
        raise FileError(f"{os.fspath(path)} holds {about.get('format')!r}, not {kind!r}; hand in a file of that kind", path=Path(path))
    return frame, about


def _plain(value: object) -> object:
    """Turn numpy scalars, arrays and sets into what JSON knows."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, (tuple, Path)):
        return str(value) if isinstance(value, Path) else list(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
