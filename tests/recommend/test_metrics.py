"""rank_metrics against scikit-learn, slow loops and its stated conventions."""

import math

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import ndcg_score, roc_auc_score

from causalsem.behaviour import BehaviourTable
from causalsem.errors import DataError, NoRowsError, SettingError, UnknownNameError
from causalsem.recommend import Scores, popularity_scores, rank_metrics
from causalsem.recommend.metrics import gini

USERS, ITEMS = 40, 16


@pytest.fixture(scope="module", params=["distinct", "tied"])
def ranked(request):
    """Scores of every pair and a test of 12 items a user; some users have no positives, scores may be tied."""
    rng = np.random.default_rng(0)
    grid = pd.DataFrame({"user": np.repeat([f"u{k}" for k in range(USERS)], ITEMS), "item": np.tile(np.arange(ITEMS), USERS)})
    score = rng.normal(size=len(grid))
    scores = grid.assign(score=np.round(score, 0) if request.param == "tied" else score)
    label = (rng.random(len(grid)) < 1 / (1 + np.exp(2 - score))).astype(float)
    label[:ITEMS] = 0
    test = grid.assign(label=label).groupby("user", group_keys=False).sample(12, random_state=0).sample(frac=1, random_state=1)
    return scores, test


def by_user(ranked):
    scores, test = ranked
    merged = test.merge(scores, on=["user", "item"])
    return [(g["label"].to_numpy(), g["score"].to_numpy()) for _, g in merged.groupby("user")]


def test_auc_is_that_of_scikit_learn(ranked):
    scores, test = ranked
    merged = test.merge(scores, on=["user", "item"])
    assert rank_metrics(*ranked).loc["auc", "value"] == pytest.approx(roc_auc_score(merged["label"], merged["score"]))


def test_gauc_is_the_average_of_each_users_auc_weighted_by_pairs(ranked):
    pairs = [(y, s) for y, s in by_user(ranked) if 0 < y.sum() < len(y)]
    by_hand = np.average([roc_auc_score(y, s) for y, s in pairs], weights=[len(y) for y, _ in pairs])
    found = rank_metrics(*ranked).loc["gauc"]
    assert found["value"] == pytest.approx(by_hand)
    assert found["n"] == len(pairs)


@pytest.mark.parametrize("k", [1, 5, 12, 50])
def test_ndcg_is_that_of_scikit_learn_averaged_over_users_with_positives(ranked, k):
    by_hand = [ndcg_score([y], [s], k=k) for y, s in by_user(ranked) if y.sum()]
    found = rank_metrics(*ranked, k=[k]).loc[f"ndcg@{k}"]
    assert found["value"] == pytest.approx(np.mean(by_hand))
    assert found["se"] == pytest.approx(np.std(by_hand, ddof=1) / math.sqrt(len(by_hand)))


def test_users_without_positives_are_skipped_or_counted_as_one(ranked):
    per_user = [ndcg_score([y], [s], k=5) if y.sum() else 1.0 for y, s in by_user(ranked)]
    assert rank_metrics(*ranked, empty="one").loc["ndcg@5", "value"] == pytest.approx(np.mean(per_user))
    assert rank_metrics(*ranked, empty="one").loc["ndcg@5", "n"] == USERS
    assert rank_metrics(*ranked).loc["ndcg@5", "n"] < USERS


def test_recall_and_precision_are_those_of_a_slow_loop_over_orders_of_ties(ranked):
    rng, k = np.random.default_rng(0), 5
    pairs = [(y, s) for y, s in by_user(ranked) if y.sum()]
    recall, precision = [], []
    for y, s in pairs:
        hits = []
        for _ in range(400):
            shuffle = rng.permutation(len(y))
            order = shuffle[np.argsort(-s[shuffle], kind="stable")]
            hits.append(y[order[:k]].sum())
        recall.append(np.mean(hits) / y.sum())
        precision.append(np.mean(hits) / k)
    found = rank_metrics(*ranked)
    # 400 shuffles × 40 users leave a Monte Carlo error below 0.003; without ties it is zero.
    assert found.loc["recall@5", "value"] == pytest.approx(np.mean(recall), abs=0.01)
    assert found.loc["precision@5", "value"] == pytest.approx(np.mean(precision), abs=0.01)


def test_coverage_novelty_and_gini_are_those_of_a_slow_loop():
    scores = pd.DataFrame({"user": [1, 1, 1, 2, 2, 2], "item": list("abcabc"), "score": [3, 2, 1, 3, 1, 2.0]})
    test = scores[["user", "item"]].assign(label=[1, 0, 1, 1, 0, 0])
    found = rank_metrics(scores, test, k=[1, 2], popularity={"a": 6, "b": 2})["value"]
    assert found["coverage@1"] == pytest.approx(1 / 3)
    assert found["coverage@2"] == 1
    # Counts plus one: a 7, b 3, c 1 of 11. Top 2: user 1 a, b; user 2 a, c.
    assert found["novelty@2"] == pytest.approx(-np.mean([np.mean(np.log2([7 / 11, 3 / 11])), np.mean(np.log2([7 / 11, 1 / 11]))]))
    assert found["gini@1"] == pytest.approx(2 / 3)  # one of three items has everything
    by_hand = np.abs(np.subtract.outer([2, 1, 1], [2, 1, 1])).mean() / (2 * 4 / 3)
    assert found["gini@2"] == pytest.approx(by_hand)


def test_gini_is_zero_for_equal_counts_and_the_mean_difference_otherwise():
    counts = np.random.default_rng(0).poisson(3, 50).astype(float)
    assert gini(np.full(9, 4.0)) == pytest.approx(0)
    assert gini(counts) == pytest.approx(np.abs(np.subtract.outer(counts, counts)).mean() / (2 * counts.mean()))


def test_the_order_of_rows_changes_nothing(ranked):
    scores, test = ranked
    shuffled = rank_metrics(scores.sample(frac=1, random_state=3), test.sample(frac=1, random_state=4))
    pd.testing.assert_frame_equal(rank_metrics(scores, test), shuffled)


def test_all_scored_items_are_candidates_when_the_test_holds_positives_only(ranked):
    scores, test = ranked
    positives = test[test["label"] == 1]
    merged = scores.merge(positives, on=["user", "item"], how="left").fillna({"label": 0.0})
    merged = merged[merged["user"].isin(positives["user"])]
    found = rank_metrics(scores, positives)
    assert found.loc["auc", "value"] == pytest.approx(roc_auc_score(merged["label"], merged["score"]))
    by_hand = [ndcg_score([g["label"]], [g["score"]], k=5) for _, g in merged.groupby("user")]
    assert found.loc["ndcg@5", "value"] == pytest.approx(np.mean(by_hand))
    assert found.loc["coverage@5", "n"] == ITEMS


def test_a_positive_without_a_score_counts_as_missed():
    scores = pd.DataFrame({"user": [1, 1], "item": ["a", "b"], "score": [2.0, 1.0]})
    test = pd.DataFrame({"user": [1, 1], "item": ["a", "z"], "label": [1, 1]})
    found = rank_metrics(scores, test, k=[2], candidates="all")["value"]
    assert found["recall@2"] == 0.5
    assert found["ndcg@2"] == pytest.approx(1 / (1 + 1 / math.log2(3)))


def test_the_standard_error_of_the_auc_covers_the_truth():
    # Positives are N(1, 1), negatives N(0, 1): the AUC is Φ(1/√2). Users share a taste, which clusters their pairs.
    from scipy.stats import norm

    truth, covered = norm.cdf(1 / math.sqrt(2 + 2 * 0.25)), 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        user = np.repeat(np.arange(60), 10)
        label = (rng.random(600) < 0.4).astype(float)
        score = label + rng.normal(size=600) + 0.5 * rng.normal(size=60)[user]
        frame = pd.DataFrame({"user": user, "item": np.tile(np.arange(10), 60), "score": score, "label": label})
        row = rank_metrics(frame[["user", "item", "score"]], frame[["user", "item", "label"]], k=[1]).loc["auc"]
        covered += row["low"] <= truth <= row["high"]
    # Nominal 95 % of 60 is 57; four binomial standard errors are 7.
    assert covered >= 50


def test_a_behaviour_table_is_a_test_and_names_its_label():
    frame = pd.DataFrame({"u": [1, 1, 2, 2], "i": ["a", "b", "a", "b"], "购买": [1, 0, 0, 1]})
    table = BehaviourTable.from_frame(frame, user="u", item="i")
    scores = Scores(pd.DataFrame({"user": [1, 1, 2, 2], "item": ["a", "b", "a", "b"], "score": [1, 0, 1, 0.5]}), "曝光", "购买")
    assert rank_metrics(scores, table)["value"]["gauc"] == 0.5
    assert rank_metrics(scores.frame, table, label="购买")["value"]["gauc"] == 0.5


def test_popularity_is_the_share_of_an_items_pairs_with_the_outcome():
    frame = pd.DataFrame({"u": [1, 1, 2, 2, 3], "i": ["a", "b", "a", "b", "a"], "buy": [1, 0, 1, 1, 0]})
    scores = popularity_scores(BehaviourTable.from_frame(frame, user="u", item="i"), "buy")
    assert len(scores) == 6
    assert scores.for_user(3)["score"].tolist() == pytest.approx([2 / 3, 1 / 2])
    assert scores.for_user(3)["item"].tolist() == ["a", "b"]


# Messages.


def test_a_test_pair_without_a_score_is_named(ranked):
    scores, test = ranked
    lacking = scores[~((scores["user"] == "u3") & (scores["item"] == test[test["user"] == "u3"]["item"].iloc[0]))]
    with pytest.raises(DataError, match=r"1 of 480 test pairs have no score .*'u3'.*without top"):
        rank_metrics(lacking, test)


def test_one_class_is_refused(ranked):
    scores, test = ranked
    with pytest.raises(DataError, match="no positive pair"):
        rank_metrics(scores, test.assign(label=0))
    with pytest.raises(DataError, match="no negative pair"):
        rank_metrics(scores, test.assign(label=1), candidates="test")


def test_a_rating_must_be_cut_first(ranked):
    scores, test = ranked
    with pytest.raises(DataError, match="cut it at a threshold"):
        rank_metrics(scores, test.assign(label=3.0))


def test_a_pair_twice_is_named(ranked):
    scores, test = ranked
    user, item = test.iloc[0][["user", "item"]]
    with pytest.raises(DataError, match=f"user '{user}' and item '{item}' occur twice in the test"):
        rank_metrics(scores, pd.concat([test, test.iloc[:1]]))


def test_ids_of_two_types_an_empty_test_and_a_depth_in_words_are_refused(ranked):
    scores, test = ranked
    with pytest.raises(DataError, match="the items are text in the test alone; bring scores and test to one type"):
        rank_metrics(scores, test.assign(item="物" + test["item"].astype(str)))
    with pytest.raises(NoRowsError, match="the test has no pairs"):
        rank_metrics(scores, test.iloc[:0])
    with pytest.raises(SettingError, match="a depth in k of type str"):
        rank_metrics(scores, test, k=["5"])


def test_unknown_settings_are_refused(ranked):
    with pytest.raises(SettingError, match="empty"):
        rank_metrics(*ranked, empty="zero")
    with pytest.raises(SettingError, match="candidates"):
        rank_metrics(*ranked, candidates="some")
    with pytest.raises(SettingError, match="k=0"):
        rank_metrics(*ranked, k=[0])
    with pytest.raises(UnknownNameError, match="label column"):
        rank_metrics(*ranked, label="clicked")


def test_what_a_top_list_left_out_ranks_below_it() -> None:
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"user": np.repeat(np.arange(30), 20), "item": np.tile(np.arange(20), 30), "score": rng.normal(size=600)})
    test = frame[["user", "item"]].assign(label=(rng.random(600) < 0.3).astype(float))
    whole, cut = Scores(frame), Scores(frame).top(6)
    by_hand = frame.assign(
        score=np.where(
            whole.frame.set_index(["user", "item"])["rank"].loc[list(zip(frame["user"], frame["item"], strict=True))] <= 6,
            frame["score"],
            -99.0,
        )
    )
    pd.testing.assert_frame_equal(rank_metrics(cut, test, k=(5,)), rank_metrics(by_hand, test, k=(5,)))
    assert rank_metrics(cut, test, k=(5,)).loc["ndcg@5", "value"] == pytest.approx(rank_metrics(whole, test, k=(5,)).loc["ndcg@5", "value"])
