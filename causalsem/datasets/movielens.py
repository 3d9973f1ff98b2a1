"""MovieLens: ratings of films, in the formats of 100K, 1M and the later ones."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from causalsem.behaviour import DuckDB, EventLog
from causalsem.datasets.public_files import PathLike, any_file, need_columns, read_csv, the_file
from causalsem.errors import DataError


class Format(NamedTuple):
    """How one edition writes its ratings, users and films: separator and columns, none where a header line names them."""

    separator: str
    ratings: Sequence[str] | None
    users: tuple[str, Sequence[str]] | None
    films: tuple[str, str]


RATINGS = ("userId", "movieId", "rating", "timestamp")
FILMS = ("movieId", "title", "genres")
FORMATS = {
    "u.data": Format("\t", RATINGS, ("u.user", ("userId", "age", "gender", "occupation", "zip")), ("u.item", "|")),
    "ratings.dat": Format("::", RATINGS, ("users.dat", ("userId", "gender", "age", "occupation", "zip")), ("movies.dat", "::")),
    "ratings.csv": Format(",", None, None, ("movies.csv", ",")),
}
GENRES = [
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy"),
    *("Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
]
OLD_FILMS = ("movieId", "title", "released", "released on video", "address", *GENRES)


def load_movielens(path: PathLike, *, engine: DuckDB | None = None) -> EventLog:
    """Return MovieLens as an event log: every rating is a `review` with its stars as value.

    `path` is u.data (100K), ratings.dat (1M, 10M) or ratings.csv (20M and later), or the folder. Users' `age` and `female` and the
    films' genres (0/1) are traits where their files lie beside it. Cite Harper & Konstan (2015); research use, not to be
    redistributed without leave.
    """
    file = the_file(path, *FORMATS)
    told = FORMATS.get(file.name.removesuffix(".gz"))
    if told is None:
        raise DataError(f"{file.name} is none of MovieLens' files; hand in u.data, ratings.dat or ratings.csv")
    ratings = read_csv(file) if told.ratings is None else _headless(file, told.separator, told.ratings, "utf-8")
    return EventLog.from_frame(
        need_columns(ratings, RATINGS, file)[list(RATINGS)].assign(type="review"),
        user="userId",
        item="movieId",
        behaviour="type",
        time="timestamp",
        value="rating",
        users=_users(file.parent, told),
        items=_films(file.parent, told),
        engine=engine,
    )


def _users(folder: Path, told: Format) -> pd.DataFrame | None:
    if told.users is None or (path := any_file(folder, told.users[0])) is None:
        return None
    separator = "|" if told.users[0] == "u.user" else told.separator
    frame = _headless(path, separator, told.users[1])
    return frame[["userId", "age"]].assign(female=(frame["gender"] == "F") * 1.0)


def _films(folder: Path, told: Format) -> pd.DataFrame | None:
    name, separator = told.films
    path = any_file(folder, name)
    if path is None:
        return None
    if separator == "|":
        return _headless(path, separator, OLD_FILMS)[["movieId", *GENRES]]
    frame = _headless(path, separator, FILMS) if separator == "::" else need_columns(read_csv(path), FILMS, path)
    genres = frame["genres"].astype("string").str.get_dummies("|").astype(float)
    return pd.concat([frame[["movieId"]], genres], axis=1)


def _headless(path: Path, separator: str, columns: Sequence[str], encoding: str = "latin-1") -> pd.DataFrame:
    """Return the table of a file without a header line, or raise DataError when it has more or fewer columns."""
    frame = read_csv(path, sep=re.escape(separator), engine="python", header=None, encoding=encoding)
    if frame.shape[1] != len(columns):
        raise DataError(f"{path} has {frame.shape[1]} columns; MovieLens has {len(columns)} there, parted by {separator!r}")
    return frame.set_axis(list(columns), axis=1)
