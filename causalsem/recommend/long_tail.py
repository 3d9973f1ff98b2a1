"""The long tail: for which items one ranking finds more than another."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from causalsem._values import FloatArray
from causalsem.behaviour import BehaviourTable
from causalsem.errors import DataError, SettingError, check_kind
from causalsem.recommend.metrics import Candidates, Ranking, labelled_pairs, scored_pairs
from causalsem.recommend.scores import Scores


def popularity_gain(
    scores: Scores | pd.DataFrame,
    baseline: Scores | pd.DataFrame,
    test: BehaviourTable | pd.DataFrame,
    popularity: Mapping[object, float],
    *,
    k: int = 10,
    groups: int = 10,
    label: str | None = None,
    candidates: Candidates = "auto",
) -> pd.DataFrame:
    """Return the recall at k of two rankings by decile of popularity, and their paired difference.

    `popularity` is what each item had in the log (events, exposures); the least popular tenth of the test's items is
    group 1. Columns: items, positives, recall, baseline, gain, se, low, high (95 %, users are the sample). A gain among the first
    groups paid for among the last is what undoing popularity bias looks like. Recall is positives of the group in the user's
    top k over all positives of the group, NaN in a group without any. Equal popularity is split in the order of the items.
    """
    if k < 1 or groups < 1:
        raise SettingError(f"k={k} and groups={groups} must be at least 1; raise them")
    for one, what in ((scores, "scores"), (baseline, "a baseline")):
        check_kind(one, (Scores, pd.DataFrame), what, "hand in what score(model) returned, or a frame of user, item and score")
    labelled = labelled_pairs(scores, test, label)
    ours, theirs = (Ranking.of(scored_pairs(one, labelled), labelled, candidates) for one in (scores, baseline))
    if not any(item in popularity for item in ours.items):
        raise DataError(f"none of the test's items, such as {str(ours.items[0])!r}, is in the popularity; use the same ids in both")
    order = np.argsort([float(popularity.get(item, 0.0)) for item in ours.items], kind="stable")
    group = np.empty(len(order), dtype=np.int64)
    group[order] = np.arange(len(order)) * groups // len(order)
    of_item = pd.Series(group, index=ours.items)
    found, positives = _found(ours, of_item, k, groups)
    base, _ = _found(theirs, of_item, k, groups)
    total = np.where(positives.sum(axis=0) > 0, positives.sum(axis=0), np.nan)
    recall, other = found.sum(axis=0) / total, base.sum(axis=0) / total
    # The influence of a user on a ratio of sums, the same users for both rankings.
    psi = (found - base - positives * (recall - other)) / total
    se = np.sqrt((psi**2).sum(axis=0) * len(psi) / max(1, len(psi) - 1))
    gain = recall - other
    half = 1.959963984540054 * se
    table = {"items": np.bincount(group, minlength=groups), "positives": positives.sum(axis=0).astype(np.int64)}
    table |= {"recall": recall, "baseline": other, "gain": gain, "se": se, "low": gain - half, "high": gain + half}
    return pd.DataFrame(table, index=pd.RangeIndex(1, groups + 1, name="popularity"))


def _found(r: Ranking, of_item: pd.Series, k: int, groups: int) -> tuple[FloatArray, FloatArray]:
    """Return each user's positives in the top k and in all, by group of the item: (users, groups) each, users in order."""
    group, users = of_item.loc[r.items[r.item]].to_numpy(), len(r.missed)
    cell, top = r.user * groups + group, r.place <= k
    hits, positives = (np.bincount(at, of, users * groups) for at, of in ((cell[top], r.expected[top]), (cell, r.label)))
    return np.asarray(hits, dtype=np.float64).reshape(users, groups), np.asarray(positives, dtype=np.float64).reshape(users, groups)
