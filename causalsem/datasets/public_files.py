"""Files of public data, as their publishers name them: found plain or compressed, read, and checked."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from causalsem.errors import DataError, FileError, shown

ENDINGS = ("", ".gz", ".zip")


def the_file(folder: str | os.PathLike[str], *names: str) -> Path:
    """Return the first of some names (paths below `folder`) that exists, plain or compressed; raises FileError."""
    root = Path(folder)
    if root.is_file():
        return root
    for name in names:
        for ending in ENDINGS:
            if (root / f"{name}{ending}").is_file():
                return root / f"{name}{ending}"
    raise FileError(f"no {' or '.join(names)} (plain, .gz or .zip) in {root}; hand in the folder that holds it", path=root / names[0])


def read_csv(path: str | os.PathLike[str], **settings: Any) -> pd.DataFrame:
    """Return the table of a text file, compressed or not, or raise FileError."""
    try:
        return pd.read_csv(path, **settings)
    except (OSError, ValueError, EOFError) as error:
        raise FileError(f"cannot read {path} as a table of text: {error}; check that the file is whole", path=Path(path)) from error


def need_columns(frame: pd.DataFrame, names: Iterable[str], path: str | os.PathLike[str]) -> pd.DataFrame:
    """Return the frame itself, or raise DataError when it lacks some of the columns."""
    missing = [name for name in names if name not in frame]
    if missing:
        raise DataError(f"{path} lacks the columns {shown(missing)}; it has {shown(list(map(str, frame)))}", columns=missing)
    return frame
