"""Ready files for other recommenders: RecBole, implicit, LightGBM's ranker, Spark's ALS.

Each writer takes PairWeights and a folder (made if absent), uses the pairs that were shown, and returns what it wrote.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from causalsem._values import IntArray, json_text, whole_file, write_parquet, write_text
from causalsem.errors import DataError, UnknownNameError
from causalsem.recommend.weights import PairWeights

Written = dict[str, Path]


def hand_over(weights: PairWeights, target: str, folder: str | os.PathLike[str]) -> Written:
    """Write the files that `target` ("recbole", "implicit", "lightgbm", "spark_als") reads; return their paths by name.

    Raises UnknownNameError for another target, DataError when no pair was shown or a value does not fit the format.
    """
    writer = TARGETS.get(target)
    if writer is None:
        raise UnknownNameError(target, list(TARGETS), what="recommender", where="the exports")
    if weights.shown.empty:
        raise DataError(f"no pair has {weights.treatment} = 1, so there is nothing a recommender could learn from; widen the log")
    home = Path(folder)
    home.mkdir(parents=True, exist_ok=True)
    return writer(weights, home)


def recbole(weights: PairWeights, home: Path) -> Written:
    """Write causalsem/causalsem.inter, RecBole's atomic file with a weight per interaction, and the settings that load it.

    A model that weights its loss reads the field "weight"; the label is the outcome.
    """
    shown = weights.shown
    columns = {
        "user_id:token": _tokens(shown["user"]),
        "item_id:token": _tokens(shown["item"]),
        "label:float": shown["outcome"],
        "propensity:float": shown["propensity"],
        "weight:float": shown["weight"],
    }
    data = home / "causalsem"
    data.mkdir(exist_ok=True)
    with whole_file(data / "causalsem.inter") as temporary:
        pd.DataFrame(columns).to_csv(temporary, sep="\t", index=False, lineterminator="\n", encoding="utf-8")
    settings = (
        "dataset: causalsem\n"
        "data_path: .\n"
        "USER_ID_FIELD: user_id\n"
        "ITEM_ID_FIELD: item_id\n"
        "LABEL_FIELD: label\n"
        "load_col:\n"
        "  inter: [user_id, item_id, label, propensity, weight]\n"
    )
    return {"inter": data / "causalsem.inter", "settings": write_text(home / "recbole.yaml", settings)}


def implicit(weights: PairWeights, home: Path) -> Written:
    """Write a users × items CSR matrix of outcome × weight (the confidence that implicit's models take), and who is who.

    `scipy.sparse.load_npz` reads it; row k is the k-th of users.json, column k the k-th of items.json.
    """
    from scipy.sparse import csr_matrix, save_npz

    shown = weights.shown
    rows, users = _codes(shown["user"])
    columns, items = _codes(shown["item"])
    worth = (shown["outcome"] * shown["weight"]).to_numpy(dtype=np.float32)
    # Pairs that occur twice add up; a pair without the outcome is no entry.
    matrix = csr_matrix((worth, (rows, columns)), shape=(len(users), len(items)))
    matrix.eliminate_zeros()
    with whole_file(home / "implicit.npz") as temporary:
        save_npz(temporary, matrix)
    return {"matrix": home / "implicit.npz", **_who(users, items, home)}


def lightgbm(weights: PairWeights, home: Path) -> Written:
    """Write rows grouped by user: label and features, and beside them the weights and group sizes that LightGBM finds.

    `lightgbm.Dataset("lightgbm.tsv")` reads lightgbm.tsv.weight and lightgbm.tsv.query by itself. Labels of a ranker are
    whole numbers (relevance grades), so the outcome must be; raises DataError otherwise, or without features.
    """
    shown = weights.shown.sort_values("user", kind="stable", ignore_index=True)
    label = shown["outcome"].to_numpy()
    if not (np.isfinite(label) & (label >= 0) & (label == np.round(label))).all():
        raise DataError(f"{weights.outcome!r} is not a whole number in every pair; a ranker's labels are grades 0, 1, 2 …: round or bin it")
    if not weights.features:
        raise DataError("the weights carry no features to rank by; fit the outcome model with traits or adjustment variables")
    table = pd.concat([pd.Series(label.astype(int), name="label"), shown[list(weights.features)]], axis=1)
    path = home / "lightgbm.tsv"
    with whole_file(path) as temporary:
        table.to_csv(temporary, sep="\t", index=False, header=False, lineterminator="\n", encoding="utf-8")
    sizes = shown.groupby("user", sort=False).size()
    about = {"label": weights.outcome, "features": list(weights.features), "pairs": json_ids(shown[["user", "item"]])}
    return {
        "data": path,
        "weight": write_text(home / "lightgbm.tsv.weight", "".join(f"{w!r}\n" for w in shown["weight"].tolist())),
        "query": write_text(home / "lightgbm.tsv.query", "".join(f"{size}\n" for size in sizes.tolist())),
        "columns": write_text(home / "lightgbm.json", json_text(about)),
    }


def spark_als(weights: PairWeights, home: Path) -> Written:
    """Write Parquet for Spark's ALS (implicitPrefs): whole-number user and item, rating = outcome × weight, and who is who."""
    shown = weights.shown
    user, users = _codes(shown["user"])
    item, items = _codes(shown["item"])
    rating = (shown["outcome"] * shown["weight"]).to_numpy(dtype=np.float32)
    table = pd.DataFrame({"user": user.astype(np.int32), "item": item.astype(np.int32), "rating": rating})
    return {"ratings": write_parquet(home / "als.parquet", table), **_who(users, items, home)}


TARGETS: Mapping[str, Callable[[PairWeights, Path], Written]] = {
    "recbole": recbole,
    "implicit": implicit,
    "lightgbm": lightgbm,
    "spark_als": spark_als,
}


def json_ids(frame: pd.DataFrame) -> list[list[Any]]:
    """Return the rows of identifiers as JSON can hold them."""
    return [[_plain(value) for value in row] for row in frame.itertuples(index=False)]


def _who(users: list[Any], items: list[Any], home: Path) -> Written:
    return {
        "users": write_text(home / "users.json", json_text([_plain(one) for one in users])),
        "items": write_text(home / "items.json", json_text([_plain(one) for one in items])),
    }


def _plain(value: Any) -> Any:
    """Return an identifier as a number or text."""
    value = value.item() if isinstance(value, np.generic) else value
    return value if isinstance(value, (int, float, str)) else str(value)


def _codes(column: pd.Series) -> tuple[IntArray, list[Any]]:
    """Return each row's number (n,), and the values in the order of their numbers."""
    codes, values = pd.factorize(column, sort=True)
    return np.asarray(codes, dtype=np.int64), list(values)


def _tokens(column: pd.Series) -> pd.Series:
    """Return identifiers as texts that an atomic file can hold: fields are parted by tabs, rows by line breaks."""
    told = column.astype(str)
    bad = told[told.str.contains(r"[\t\r\n\"]", regex=True)]
    if len(bad):
        raise DataError(
            f"the identifier {bad.iloc[0]!r} holds a tab, a line break or a quotation mark, which RecBole's files cannot; rename it"
        )
    return told
