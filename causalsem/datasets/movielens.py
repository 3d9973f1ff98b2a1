"""MovieLens: ratings of films, in the formats of 100K, 1M and the later ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    users: tuple[str, Mapping[int, str]] | None
    films: tuple[str, str]


RATINGS = ("userId", "movieId", "rating", "timestamp")
# Place of the column → its name, in the users' files of the two old editions.
FORMATS = {
    "u.data": Format("\t", RATINGS, ("u.user", {0: "userId", 1: "age", 2: "gender"}), ("u.item", "|")),
    "ratings.dat": Format("::", RATINGS, ("users.dat", {0: "userId", 2: "age", 1: "gender"}), ("movies.dat", "::")),
    "ratings.csv": Format(",", None, None, ("movies.csv", ",")),
}
GENRES = [
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy"),
    *("Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
]


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
    named = {} if told.ratings is None else {"header": None, "names": list(told.ratings)}
    ratings = read_csv(file, sep=told.separator, engine="python" if len(told.separator) > 1 else "c", **named)
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
    frame = read_csv(path, sep=r"\|" if separator == "|" else separator, engine="python", header=None, encoding="latin-1")
    frame = frame.rename(columns=dict(told.users[1]))
    return frame[["userId", "age"]].assign(female=(frame["gender"] == "F") * 1.0)


def _films(folder: Path, told: Format) -> pd.DataFrame | None:
    name, separator = told.films
    path = any_file(folder, name)
    if path is None:
        return None
    if separator == "|":
        frame = read_csv(path, sep=r"\|", engine="python", header=None, encoding="latin-1")
        return frame[[0, *frame.columns[-len(GENRES) :]]].set_axis(["movieId", *GENRES], axis=1)
    if separator == "::":
        frame = read_csv(path, sep=separator, engine="python", header=None, encoding="latin-1", names=["movieId", "title", "genres"])
    else:
        frame = read_csv(path)
    return pd.concat([frame[["movieId"]], frame["genres"].str.get_dummies("|").astype(float)], axis=1)
