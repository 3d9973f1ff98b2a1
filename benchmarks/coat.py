"""Ranking on real, randomly assigned test ratings: python benchmarks/coat.py --train FILE --test FILE --features FOLDER --json OUT

Protocol "honest": every setting is fixed here or chosen by `fit_outcome` on the self-selected log, and the unbiased test
is scored once. A rating of 3 or more is a positive (also printed: 4 or more; without the test pairs that are in the log).
Intervals are 95 %, from a bootstrap over users, the same users for every model, so that differences are paired.
`ndcg5` counts users without positives as 1, as published code does; `ndcg5_skip` leaves them out.

`--protocol published` adds a table that only serves to read papers' tables beside: matrix factorisation and its corrections
as published code fits them, with propensities whose marginal comes from the test and the prior that does best on the test.
Its numbers know the test and may not be compared with the others.

The rows of the table are steps of one ladder: ids alone, traits and random slopes, all five levels of the rating (as numbers
and by their order), debiasing, depth; each is compared with the default.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from causalsem.behaviour import BehaviourTable
from causalsem.datasets.public_files import read_matrix, the_file
from causalsem.errors import AssumptionWarning, InputError
from causalsem.identify import AdjustmentSet, Query
from causalsem.networks import Multilevel, TwoTower
from causalsem.outcome import NaiveBayes, fit_outcome, ridits
from causalsem.recommend import rank_metrics

GOOD = 3
DEFAULT = "default"
# Name: (outcome, with traits, network, loss); None leaves the choice to fit_outcome.
MODELS = {
    DEFAULT: ("liking", True, None, None),
    "ratings as numbers": ("rating", True, None, None),
    "one-hot logistic": ("good", False, Multilevel(), "naive"),
    "multilevel logistic": ("good", True, Multilevel(), "naive"),
    "multilevel logistic snips": ("good", True, Multilevel(), "snips"),
    "multilevel ratings": ("rating", True, Multilevel(), "naive"),
    "two towers": ("good", True, TwoTower(), "naive"),
    "two towers ratings": ("rating", True, TwoTower(), "naive"),
    "two towers dr": ("good", True, TwoTower(), "dr"),
    "wide towers": ("good", True, TwoTower(wide=True), "naive"),
    "wide towers ratings dr": ("rating", True, TwoTower(wide=True), "dr"),
}
# A model is no news unless it beats the simplest one.
ALWAYS = (DEFAULT, "one-hot logistic")
# Published code: factors of ids alone, one loss a row; the prior of the ids is chosen by the test.
PUBLISHED = {"MF": "naive", "MF-IPS": "ips", "MF-SNIPS": "snips", "MF-DR": "dr", "MF-DR-JL": "dr_jl", "MF-MRDR": "mrdr"}
PRIORS = (0.2, 0.4, 0.8)
METRICS = ("auc", "gauc", "ndcg5", "ndcg5_skip")


def read(train: Path, test: Path, folder: Path) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Return the ratings given and asked for, (users, items), 0 where there is none, and the features of both sides."""
    for file in (train, test):
        if not file.is_file():
            raise SystemExit(f"no file {file}; check the path")
    ratings, asked = (read_matrix(file).to_numpy(float) for file in (train, test))
    if ratings.shape != asked.shape:
        raise SystemExit(
            f"{train} has {ratings.shape} users and items, {test} {asked.shape}; both need a row per user and a column per item, "
            "the same ones in the same order, and 0 where there is no rating"
        )
    for file, matrix in ((train, ratings), (test, asked)):
        if not np.isin(matrix, range(6)).all():
            raise SystemExit(f"{file} holds {matrix[~np.isin(matrix, range(6))][0]:g}; ratings are 1 to 5, and 0 where there is none")
    for file, good in ((train, ratings[ratings > 0] >= GOOD), (test, asked[asked > 0] >= GOOD)):
        if len(np.unique(good)) < 2:
            raise SystemExit(f"{file} has no ratings on both sides of {GOOD} ({good.sum()} of {len(good)} are positive); nothing to rank")
    sides = {}
    for side, count in zip(("user", "item"), ratings.shape, strict=True):
        file = the_file(folder, f"{side}_features.ascii")
        sides[side] = read_matrix(file).to_numpy(float)
        if len(sides[side]) != count:
            raise SystemExit(f"{file} has {len(sides[side])} rows for {count} {side}s of {train}; it needs one for each")
    return ratings, asked, sides


def pairs_of(ratings: np.ndarray, sides: dict[str, np.ndarray]) -> tuple[BehaviourTable, tuple[str, ...]]:
    """Return every user × item with `rated`, `rating`, its ridit `liking`, `good` (NaN where not rated) and the features of both sides."""
    users, items = ratings.shape
    at = {"user": np.repeat(np.arange(users), items), "item": np.tile(np.arange(items), users)}
    flat = ratings.ravel()
    columns = {"user": at["user"], "item": at["item"], "rated": (flat > 0) * 1.0}
    columns |= {"rating": np.where(flat > 0, flat, np.nan), "good": np.where(flat > 0, flat >= GOOD, np.nan)}
    columns["liking"] = ridits(columns["rating"])
    levels = {f"{side}{k}": side for side, table in sides.items() for k in range(table.shape[1])}
    for name, side in levels.items():
        columns[name] = sides[side][at[side], int(name.removeprefix(side))]
    return BehaviourTable.from_frame(pd.DataFrame(columns), user="user", item="item", levels=levels), tuple(levels)


def trivial(ratings: np.ndarray) -> dict[str, np.ndarray]:
    """Return the scores of predictors without a model: chance, item mean, user mean + item mean (shrunk by one rating)."""
    seen, middle = ratings > 0, ratings[ratings > 0].mean()
    item = (ratings.sum(axis=0) + middle) / (seen.sum(axis=0) + 1)
    user = (ratings.sum(axis=1) + middle) / (seen.sum(axis=1) + 1)
    return {
        "random": np.random.default_rng(0).random(ratings.shape),
        "item mean": np.broadcast_to(item, ratings.shape),
        "user mean + item mean": user[:, None] + item,
    }


def fitted(ratings: np.ndarray, sides: dict[str, np.ndarray], names: list[str]) -> dict[str, np.ndarray]:
    """Return the score matrix of some models, learnt from the self-selected ratings alone."""
    pairs, features = pairs_of(ratings, sides)
    found = {}
    for name in names:
        outcome, traits, network, loss = MODELS[name]
        adjust = AdjustmentSet(Query("rated", outcome), features if traits else (), "given")
        start = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AssumptionWarning)  # overlap is told by the effective sample size below
            model = fit_outcome(pairs, adjust, network, loss=loss)
        found[name] = model.predict(pairs, 1).reshape(ratings.shape)
        kind = f"{model.settings['network']['kind']}, {model.settings['loss']}"
        told = f"strength of the correction {model.strength:g}, effective n {model.effective_n[1]:.0f} of {int((ratings > 0).sum())}"
        told += "".join(f", {choice} gains {gain:.2g} ± {se:.2g} on held-out pairs" for choice, (gain, se) in model.gains.items())
        print(f"{name} ({kind}): {time.process_time() - start:.1f} CPU s, {told}", flush=True)
    return found


def as_published(ratings: np.ndarray, asked: np.ndarray, sides: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the score matrix of every model of `PUBLISHED`, with the test used as published code uses it."""
    pairs, adjust = pairs_of(ratings, sides)[0], AdjustmentSet(Query("rated", "good"), (), "given")
    test, share = Test(asked, GOOD), float((asked[asked > 0] >= GOOD).mean())
    found = {}
    for name, loss in PUBLISHED.items():
        best = -np.inf
        for prior in PRIORS:
            network, propensity = TwoTower(hidden=(), id_prior=prior), NaiveBayes({0: 1 - share, 1: share})
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", AssumptionWarning)
                model = fit_outcome(pairs, adjust, network, loss=loss, propensity=propensity, correction=1)
            matrix = model.predict(pairs, 1).reshape(ratings.shape)
            auc = weighted_auc(matrix[test.user, test.item], test.label, np.ones(len(test.label)))
            if auc > best:
                best, found[name] = auc, matrix
    return found


class Test:
    """Test pairs, one row a pair, sorted by user; the metrics of a score under any multiplicity of the users."""

    def __init__(self, asked: np.ndarray, threshold: int, left_out: np.ndarray | None = None) -> None:
        self.user, self.item = np.nonzero(asked if left_out is None else np.where(left_out, 0, asked))
        self.label = (asked[self.user, self.item] >= threshold) * 1.0
        self.users, self.code = np.unique(self.user, return_inverse=True)

    def per_user(self, score: np.ndarray) -> pd.DataFrame:
        """Return ndcg@5 and gauc of every user as `rank_metrics` defines them, NaN where a metric skips the user, and the user's pairs."""
        rows = []
        for who in range(len(self.users)):
            own, label = score[self.code == who], self.label[self.code == who]
            n, positives = len(own), label.sum()
            rows.append({"pairs": n, "gauc": np.nan, "ndcg5_skip": np.nan, "ndcg5": 1.0})
            if positives:
                _, tie = np.unique(-own, return_inverse=True)
                expected = (np.bincount(tie, label) / np.bincount(tie))[tie][np.argsort(tie, kind="stable")]
                discount = 1 / np.log2(np.arange(2, 7))[: min(5, n)]
                ndcg = expected[:5] @ discount / discount[: int(min(5, positives))].sum()
                rows[-1] |= {"ndcg5_skip": ndcg, "ndcg5": ndcg}
            if 0 < positives < n:
                rows[-1]["gauc"] = weighted_auc(own, label, np.ones(n))
        return pd.DataFrame(rows)

    def metrics(self, score: np.ndarray, times: np.ndarray) -> pd.DataFrame:
        """Return the metrics under user multiplicities `times` (bootstraps, users): one row a bootstrap."""
        own, found = self.per_user(score), {}
        for name in ("gauc", "ndcg5", "ndcg5_skip"):
            has = own[name].notna().to_numpy()
            weight = times[:, has] * (own["pairs"].to_numpy()[has] if name == "gauc" else 1)
            found[name] = weight @ own.loc[has, name].to_numpy() / weight.sum(axis=1)
        return pd.DataFrame({"auc": [weighted_auc(score, self.label, t[self.code]) for t in times]} | found)[list(METRICS)]


def multiplicities(users: int, times: int) -> np.ndarray:
    """Return how often each user is in each of some bootstrap samples of users: (times, users)."""
    return np.random.default_rng(0).multinomial(users, np.full(users, 1 / users), size=times).astype(float)


def weighted_auc(score: np.ndarray, label: np.ndarray, weight: np.ndarray) -> float:
    """Return the chance that a positive outranks a negative, ties one half, rows counted `weight` times."""
    _, place = np.unique(score, return_inverse=True)
    positive, negative = (np.bincount(place, weight * side) for side in (label, 1 - label))
    below = np.cumsum(negative) - negative / 2
    return float(positive @ below / (positive.sum() * negative.sum()))


def table_of(scores: dict[str, np.ndarray], test: Test, draws: np.ndarray) -> dict[str, dict[str, dict[str, float]]]:
    """Return value, low, high of every metric and model, and the paired difference to the default with its interval."""
    once = np.ones((1, len(test.users)))
    own = {name: matrix[test.user, test.item] for name, matrix in scores.items()}
    check(own[DEFAULT], test)
    points = {name: test.metrics(score, once).iloc[0] for name, score in own.items()}
    spreads = {name: test.metrics(score, draws) for name, score in own.items()}
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name, spread in spreads.items():
        gap, off = points[name] - points[DEFAULT], spread - spreads[DEFAULT]
        found[name] = {
            m: {
                "value": float(points[name][m]),
                "low": float(spread[m].quantile(0.025)),
                "high": float(spread[m].quantile(0.975)),
                "minus_default": float(gap[m]),
                "minus_default_low": float(off[m].quantile(0.025)),
                "minus_default_high": float(off[m].quantile(0.975)),
            }
            for m in METRICS
        }
    return found


def check(score: np.ndarray, test: Test) -> None:
    """Stop unless the quick metrics of this file are those of `rank_metrics`."""
    frame = pd.DataFrame({"user": test.user, "item": test.item, "score": score, "label": test.label})
    told, quick = rank_metrics(frame, frame, k=[5])["value"], test.metrics(score, np.ones((1, len(test.users)))).iloc[0]
    np.testing.assert_allclose(told[["auc", "gauc", "ndcg@5"]], quick[["auc", "gauc", "ndcg5_skip"]], rtol=1e-9)


def shown(found: dict[str, dict[str, dict[str, float]]], *, intervals: bool) -> str:
    """Return a table of the metrics, with intervals and the paired difference of AUC to the default if asked for."""
    rows = {}
    for name, row in found.items():
        rows[name] = {m: f"{v['value']:.3f}" + (f" [{v['low']:.3f}, {v['high']:.3f}]" if intervals else "") for m, v in row.items()}
        for metric in ("auc", "ndcg5_skip") if intervals else ():
            v = row[metric]
            rows[name][f"{metric} − default"] = f"{v['minus_default']:+.3f} [{v['minus_default_low']:+.3f}, {v['minus_default_high']:+.3f}]"
    return pd.DataFrame(rows).T.to_string()


def main() -> None:
    """Fit, score once, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("train", "test", "features"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--times", type=int, default=500, help="bootstrap samples of users")
    parser.add_argument("--protocol", choices=("honest", "published"), default="honest", help="published adds a table that knows the test")
    parser.add_argument("--models", help="names separated by commas; " + " and ".join(ALWAYS) + " are always among them")
    chosen = parser.parse_args()
    wanted = chosen.models.split(",") if chosen.models else list(MODELS)
    if odd := set(wanted) - set(MODELS):
        parser.error(f"unknown models {', '.join(sorted(odd))}; they are {', '.join(MODELS)}")
    if chosen.json and not chosen.json.parent.is_dir():
        parser.error(f"cannot write {chosen.json}: folder {chosen.json.parent} does not exist; make it first")
    try:
        ratings, asked, sides = read(chosen.train, chosen.test, chosen.features)
    except InputError as error:
        raise SystemExit(str(error)) from error
    scores = trivial(ratings) | fitted(ratings, sides, [name for name in MODELS if name in (*ALWAYS, *wanted)])
    again = {"": None, ", without pairs of the log": ratings > 0}
    written = {}
    for threshold in (GOOD, GOOD + 1):
        for how, left_out in again.items():
            test = Test(asked, threshold, left_out)
            if len(np.unique(test.label)) < 2:
                print(f"\nrating ≥ {threshold}{how}: {test.label.sum():.0f} of {len(test.label)} are positive, so there is nothing to rank")
                continue
            draws = multiplicities(len(test.users), chosen.times)
            key = f"rating ≥ {threshold}{how}"
            written[key] = table_of(scores, test, draws)
            print(f"\n{key}: {len(test.label):,} pairs of {len(test.users)} users, {test.label.mean():.1%} positive")
            print(shown(written[key], intervals=threshold == GOOD and left_out is None))
    told = {"default": DEFAULT, "protocol": "honest", "models": written[f"rating ≥ {GOOD}"], "variants": written}
    if chosen.protocol == "published":
        test = Test(asked, GOOD)
        draws = multiplicities(len(test.users), chosen.times)
        told["published"] = table_of(as_published(ratings, asked, sides) | {DEFAULT: scores[DEFAULT]}, test, draws)
        print(f"\nprotocol published, rating ≥ {GOOD}: settings and propensities of all but the default know the test")
        print(shown(told["published"], intervals=False))
    if chosen.json:
        chosen.json.write_text(json.dumps(told, indent=1, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
