"""Ranking metrics, defined once: ties at their expected value, users without positives by a stated convention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Literal

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from causalsem._values import FloatArray, IntArray
from causalsem.behaviour import BehaviourTable
from causalsem.behaviour.table import with_pandas
from causalsem.errors import DataError, NoRowsError, SettingError, UnknownNameError, check_kind, check_names, shown
from causalsem.recommend.scores import Scores

Empty = Literal["skip", "one"]
Candidates = Literal["auto", "test", "all"]


def rank_metrics(
    scores: Scores | pd.DataFrame,
    test: BehaviourTable | pd.DataFrame,
    *,
    k: Sequence[int] = (5, 10),
    label: str | None = None,
    candidates: Candidates = "auto",
    empty: Empty = "skip",
    popularity: Mapping[object, float] | None = None,
) -> pd.DataFrame:
    """Return how well `scores` rank the test pairs: index metric; columns value, se, low, high (95 %), n.

    `test` has user, item and a 0/1 `label` (as a BehaviourTable: the named variable, or the scores' outcome). The
    candidates that a user's items are ranked among are the "test" pairs, or "all" scored items, every pair not
    positive in the test then counting as negative; "auto" takes "all" when the test holds positives only.

    auc: chance that a positive pair outranks a negative one, over all pairs, ties one half (Mann–Whitney).
    gauc: the auc within a user, averaged over users with both classes, weighted by their pairs (Zhu et al. 2017).
    ndcg@k: Σ_{r ≤ k} label_r / log2(r + 1) over its best possible value (Järvelin & Kekäläinen 2002).
    recall@k: positives in the top k / positives; precision@k: positives in the top k / k.
    coverage@k: share of all candidate items in somebody's top k; gini@k: Gini coefficient of how often each of them
    is in a top k (0: all alike, 1: one item only); novelty@k: mean of −log2(share of the item in `popularity`, by default
    the test's positives; one is added to each count).

    Equal scores count at the average over their orders. ndcg, recall and precision average over users with a
    positive; with `empty="one"` ndcg also counts the others, as 1, as some published code does. Standard errors
    treat users as the sample; n is how many users (or, for coverage and gini, items) a value rests on.
    Pairs that a top list (`Scores.cut`) left out rank below it, equal among themselves.
    Raises DataError when another test pair has no score, or when there is no positive or no negative pair.
    """
    if empty not in {"skip", "one"}:
        raise SettingError(f"empty={empty!r} is no convention; use 'skip' or 'one'")
    scores, test = with_pandas(scores), with_pandas(test)
    check_kind(scores, (Scores, pd.DataFrame), "scores", "hand in what score(model) returned, or a frame of user, item and score")
    pairs = "hand in its pairs, behaviours(log, unit=('user', 'item')), or a frame of user, item and label"
    check_kind(test, (BehaviourTable, pd.DataFrame), "a test", pairs)
    check_kind(k, (tuple, list, range), "k", "hand in depths, such as k=(5, 10)")
    labelled = labelled_pairs(scores, test, label)
    ranking = Ranking.of(scored_pairs(scores, labelled), labelled, candidates)
    rows = {"auc": _auc(ranking), "gauc": _gauc(ranking)}
    for depth in k:
        check_kind(depth, Integral, "a depth in k", "hand in whole numbers, such as k=(5, 10)")
        if depth < 1:
            raise SettingError(f"k={depth} ranks nothing; ask for at least 1")
        rows |= _at(ranking, int(depth), empty, popularity)
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["value", "se", "n"])
    table.insert(2, "low", table["value"] - 1.959963984540054 * table["se"])
    table.insert(3, "high", table["value"] + 1.959963984540054 * table["se"])
    table["n"] = table["n"].astype(np.int64)
    return table.rename_axis("metric")


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """Candidate pairs sorted by user and falling score: `user`, `item` codes, `label`, `score`, `place` (1 = best), all (n,).

    `expected` is the label averaged over pairs of the same user and score: what a fair coin between them would give.
    `missed` (users,) counts positives without a score; they rank below everything.
    """

    user: IntArray
    item: IntArray
    label: FloatArray
    score: FloatArray
    place: IntArray
    expected: FloatArray
    missed: FloatArray
    items: pd.Index

    @classmethod
    def of(cls, scores: pd.DataFrame, test: pd.DataFrame, candidates: Candidates) -> Ranking:
        """Return the ranking of the candidates."""
        if candidates not in {"auto", "test", "all"}:
            raise SettingError(f"candidates={candidates!r} is unknown; use 'auto', 'test' or 'all'")
        every = candidates == "all" or (candidates == "auto" and bool((test["label"] > 0).all()))
        merged, missed_users = _join(scores, test, every)
        if not (merged["label"] > 0).any() or (merged["label"] > 0).all():
            kind = "negative" if (merged["label"] > 0).all() else "positive"
            raise DataError(f"no {kind} pair among {len(merged):,} candidates; there is nothing to rank: check the label column")
        merged = merged.sort_values(["user", "score", "item"], ascending=[True, False, True], kind="stable", ignore_index=True)
        user, users = pd.factorize(merged["user"])
        catalogue = pd.Index(scores["item"].unique()) if every else pd.Index(merged["item"].unique())
        sizes = np.bincount(user)
        place = np.arange(len(user)) - np.repeat(np.cumsum(sizes) - sizes, sizes) + 1
        expected = merged.groupby([user, merged["score"]], sort=False)["label"].transform("mean")
        missed = pd.Series(missed_users).value_counts().reindex(users, fill_value=0).to_numpy(dtype=np.float64)
        return cls(
            user,
            catalogue.get_indexer(merged["item"]),
            merged["label"].to_numpy(dtype=np.float64),
            merged["score"].to_numpy(dtype=np.float64),
            place,
            expected.to_numpy(dtype=np.float64),
            missed,
            catalogue,
        )

    @property
    def positives(self) -> FloatArray:
        """How many positives each user has, scored or not: (users,)."""
        return np.bincount(self.user, weights=self.label, minlength=len(self.missed)) + self.missed


def _join(scores: pd.DataFrame, test: pd.DataFrame, every: bool) -> tuple[pd.DataFrame, FloatArray]:
    """Return candidates with label and score, and the users of positives that have no score."""
    if every:
        merged = scores.merge(test, on=["user", "item"], how="left")
        merged = merged[merged["user"].isin(test["user"].unique())]
        merged["label"] = merged["label"].fillna(0.0)
        found = test.merge(scores, on=["user", "item"], how="left", indicator=True)
        lost = found[(found["_merge"] == "left_only") & (found["label"] > 0)]
        return merged, lost["user"].to_numpy()
    merged = test.merge(scores, on=["user", "item"], how="left")
    unscored = merged["score"].isna()
    if unscored.any():
        user, item = (str(merged.loc[unscored.idxmax(), key]) for key in ("user", "item"))
        raise DataError(
            f"{int(unscored.sum()):,} of {len(test):,} test pairs have no score (the first is user {user!r}, item {item!r}); "
            "score without top, hand these pairs to score(), or use candidates='all'",
            rows=np.flatnonzero(unscored)[:8].tolist(),
        )
    return merged, np.zeros(0)


def _auc(r: Ranking) -> tuple[float, float, int]:
    """Return the pooled AUC with a standard error clustered by user (DeLong et al. 1988 placements, summed per user)."""
    positive = r.label > 0
    n1, n0 = int(positive.sum()), int((~positive).sum())
    overall, within = rankdata(r.score), np.empty(len(r.score))
    within[positive], within[~positive] = rankdata(r.score[positive]), rankdata(r.score[~positive])
    placement = np.where(positive, (overall - within) / n0, 1 - (overall - within) / n1)  # mean over either class is the auc
    auc = float(placement[positive].mean())
    psi = (placement - auc) / np.where(positive, n1, n0)
    per_user = np.asarray(np.bincount(r.user, weights=psi), dtype=np.float64)
    return auc, _clustered(per_user), len(per_user)


def _gauc(r: Ranking) -> tuple[float, float, int]:
    """Return the average of within-user AUCs, weighted by pairs; NaN when no user has both classes."""
    users = len(r.missed)
    size = np.bincount(r.user, minlength=users).astype(np.float64)
    positives = np.bincount(r.user, weights=r.label, minlength=users).astype(np.float64)
    # Rank within the user from below, ties at the middle: (pairs of lower score) + (ties + 1) / 2.
    tied = pd.DataFrame({"u": r.user, "s": r.score, "place": r.place}).groupby(["u", "s"], sort=False)["place"].transform("mean").to_numpy()
    below = size[r.user] + 1 - tied
    total = np.bincount(r.user, weights=below * (r.label > 0), minlength=users)
    both = (positives > 0) & (positives < size)
    if not both.any():
        return float("nan"), float("nan"), 0
    p, n = positives[both], size[both]
    auc = (total[both] - p * (p + 1) / 2) / (p * (n - p))
    mean = float(np.average(auc, weights=n))
    return mean, _clustered(n * (auc - mean) / n.sum()), int(both.sum())


def _at(r: Ranking, k: int, empty: Empty, popularity: Mapping[object, float] | None) -> dict[str, tuple[float, float, int]]:
    """Return every metric of the top k."""
    users, top = len(r.missed), r.place <= k
    positives = r.positives
    has = positives > 0
    hits = np.bincount(r.user[top], weights=r.expected[top], minlength=users)
    gain = np.bincount(r.user[top], weights=r.expected[top] / np.log2(r.place[top] + 1), minlength=users)
    ideal = np.cumsum(np.concatenate([[0.0], 1 / np.log2(np.arange(2, k + 2))]))
    best = ideal[np.minimum(positives, k).astype(np.int64)]
    ndcg = np.where(has, gain / np.where(has, best, 1), 1.0)
    shown_often = np.bincount(r.item[top], minlength=len(r.items)).astype(np.float64)
    count = _popularity(r, popularity) + 1
    surprise = -np.log2(count / count.sum())[r.item[top]]
    novelty = np.bincount(r.user[top], weights=surprise, minlength=users) / np.bincount(r.user[top], minlength=users)
    return {
        f"ndcg@{k}": _mean(ndcg if empty == "one" else ndcg[has]),
        f"recall@{k}": _mean(hits[has] / positives[has]),
        f"precision@{k}": _mean(hits[has] / k),
        f"coverage@{k}": (float((shown_often > 0).mean()), float("nan"), len(r.items)),
        f"novelty@{k}": _mean(novelty),
        f"gini@{k}": (gini(shown_often), float("nan"), len(r.items)),
    }


def gini(counts: FloatArray) -> float:
    """Return the Gini coefficient of non-negative counts: mean absolute difference over twice the mean."""
    ordered = np.sort(counts)
    n, total = len(ordered), ordered.sum()
    return float((2 * np.arange(1, n + 1) - n - 1) @ ordered / (n * total)) if total > 0 else float("nan")


def _popularity(r: Ranking, popularity: Mapping[object, float] | None) -> FloatArray:
    if popularity is None:
        return np.asarray(np.bincount(r.item, weights=r.label, minlength=len(r.items)), dtype=np.float64)
    return np.array([float(popularity.get(item, 0.0)) for item in r.items])


def _mean(values: FloatArray) -> tuple[float, float, int]:
    """Return mean, standard error and count over users."""
    n = len(values)
    return float(values.mean()), float(values.std(ddof=1) / n**0.5) if n > 1 else float("nan"), n


def _clustered(psi: FloatArray) -> float:
    """Return the standard error of a sum of per-user influences (users,)."""
    n = len(psi)
    return float(np.sqrt(n / (n - 1) * ((psi - psi.mean()) ** 2).sum())) if n > 1 else float("nan")


def scored_pairs(scores: Scores | pd.DataFrame, test: pd.DataFrame) -> pd.DataFrame:
    """Return the scores as user, item, score; test pairs that a top list left out come with a score below all others."""
    frame = scores.frame if isinstance(scores, Scores) else scores
    check_names(("user", "item", "score"), frame.columns, what="column", where="the scores")
    _once(frame, "scores")
    frame = frame[["user", "item", "score"]]
    for key in ("user", "item"):
        text = [name for name, side in (("scores", frame), ("test", test)) if len(side) and isinstance(side[key].iloc[0], str)]
        if len(text) == 1:
            raise DataError(f"the {key}s are text in the {text[0]} alone; bring scores and test to one type", columns=[key])
    if not isinstance(scores, Scores) or scores.cut is None:
        return frame
    asked = test.loc[test["user"].isin(frame["user"].unique()), ["user", "item"]]
    listed = pd.MultiIndex.from_frame(asked).isin(pd.MultiIndex.from_frame(frame[["user", "item"]]))
    return pd.concat([frame, asked[~listed].assign(score=frame["score"].min() - 1)], ignore_index=True)


def labelled_pairs(scores: Scores | pd.DataFrame, test: BehaviourTable | pd.DataFrame, label: str | None) -> pd.DataFrame:
    """Return the test as user, item, label (0/1)."""
    if isinstance(test, BehaviourTable):
        name = label or (scores.outcome if isinstance(scores, Scores) else "label")
        frame = test.keys.assign(label=test.complete([name])[:, 0])
    else:
        name = label or "label"
        if name not in test.columns:
            raise UnknownNameError(name, test.columns, what="label column", where="the test")
        frame = test[["user", "item"]].assign(label=test[name].to_numpy(dtype=np.float64))
    if frame.empty:
        raise NoRowsError("the test has no pairs; check the filter or the file it came from")
    odd = ~frame["label"].isin((0.0, 1.0))
    if odd.any():
        values = frame.loc[odd, "label"].unique()[:3]
        raise DataError(f"label {name!r} has values {shown(values)}; cut it at a threshold to 0 and 1 first", columns=[name])
    _once(frame, "test")
    return frame.reset_index(drop=True)


def _once(frame: pd.DataFrame, what: str) -> None:
    twice = frame.duplicated(["user", "item"])
    if twice.any():
        user, item = frame[["user", "item"]].iloc[int(twice.to_numpy().argmax())]
        raise DataError(
            f"user {str(user)!r} and item {str(item)!r} occur twice in the {what} ({int(twice.sum()):,} such rows); keep one of each"
        )
