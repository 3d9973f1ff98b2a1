"""Scores against the back-door formula by hand, and what they promise."""

import numpy as np
import pandas as pd
import pytest

from causalsem.behaviour import BehaviourTable
from causalsem.errors import AssumptionWarning, DataError, FileError, SettingError, UnknownNameError
from causalsem.identify import AdjustmentSet, Query
from causalsem.outcome import fit_outcome
from causalsem.recommend import Scores, rank_metrics, score
from tests.outcome.worlds import make_world


@pytest.fixture(scope="module")
def world():
    return make_world(80, 30, seed=2)


@pytest.fixture(scope="module")
def model(world):
    return fit_outcome(world.pairs, AdjustmentSet(Query("shown", "buy"), ("activity", "mood", "popularity"), "optimal"), epochs=15)


@pytest.fixture(scope="module")
def scores(model):
    return score(model)


def at_mood(world, value):
    return BehaviourTable(world.pairs.frame.assign(mood=float(value)), world.pairs.keys, {}, (), world.pairs.levels)


def test_the_score_is_the_back_door_formula_by_hand(world, model, scores):
    share = world.pairs.column("mood").mean()
    expected = {t: share * model.predict(at_mood(world, 1), t) + (1 - share) * model.predict(at_mood(world, 0), t) for t in (0, 1)}
    by_hand = world.pairs.keys.assign(by_hand=expected[1], lift=expected[1] - expected[0])
    merged = scores.frame.merge(by_hand, on=["user", "item"])
    assert len(merged) == 80 * 30
    np.testing.assert_allclose(merged["score"], merged["by_hand"], rtol=1e-6)
    np.testing.assert_allclose(merged["lift_x"], merged["lift_y"], rtol=1e-5, atol=1e-9)


def test_the_standard_error_is_the_jackknife_over_members(world, model):
    # Without a pair block nothing is integrated, so members' predictions are members' scores.
    plain = fit_outcome(world.pairs, AdjustmentSet(Query("shown", "buy"), ("activity", "popularity"), "optimal"), epochs=2)
    shown, unshown = (plain.predict_members(plain.encode(world.pairs), arm) for arm in (1, 0))
    for name, members in (("se", shown), ("lift_se", shown - unshown)):
        by_hand = np.sqrt(4 / 5 * ((members - members.mean(axis=0)) ** 2).sum(axis=0))
        merged = score(plain).frame.merge(world.pairs.keys.assign(by_hand=by_hand), on=["user", "item"])
        np.testing.assert_allclose(merged[name], merged["by_hand"], rtol=1e-4, atol=1e-7)


def test_scores_rank_pairs_as_the_truth_does(world, scores):
    mood = world.pairs.column("mood")
    # A pair's truth with mood integrated out, from the two counterfactual pairs.
    truth = world.pairs.keys.assign(p1=world.p1, mood=mood, activity=world.pairs.column("activity"))
    merged = scores.frame.merge(truth, on=["user", "item"])
    for value in (0, 1):
        part = merged[merged["mood"] == value]
        assert part["score"].corr(part["p1"], method="spearman") > 0.95


def test_ranks_run_from_one_within_each_user(scores):
    for _, own in scores.frame.groupby("user"):
        assert own["rank"].tolist() == list(range(1, 31))
        assert own["score"].is_monotonic_decreasing


def test_top_keeps_each_users_best(model, scores):
    top = score(model, top=3)
    pd.testing.assert_frame_equal(top.frame, scores.top(3).frame)
    assert len(top) == 80 * 3
    assert top.frame["rank"].max() == 3


def test_chunks_do_not_change_the_scores(monkeypatch, model, scores):
    monkeypatch.setattr("causalsem.recommend.scores.CHUNK", 1000)
    np.testing.assert_allclose(score(model).frame["score"], scores.frame["score"], rtol=1e-6)


def test_scoring_given_pairs_agrees_with_scoring_all(world, model, scores):
    some = world.pairs.rows(np.arange(0, 2400, 7)).select(["activity", "popularity"])
    merged = score(model, some).frame.merge(scores.frame, on=["user", "item"])
    assert len(merged) == len(some)
    np.testing.assert_allclose(merged["score_x"], merged["score_y"], rtol=1e-5)


def test_many_pair_level_values_are_integrated_by_seeded_draws(world):
    rng = np.random.default_rng(0)
    table = BehaviourTable(world.pairs.frame.assign(mood=rng.normal(size=2400)), world.pairs.keys, {}, (), world.pairs.levels)
    model = fit_outcome(table, AdjustmentSet(Query("shown", "buy"), ("activity", "mood"), "optimal"), epochs=1)
    first, again, other = (score(model, seed=s).frame["score"].to_numpy() for s in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_strangers_are_scored_from_traits_and_counted(model):
    frame = pd.DataFrame({"u": [900, 900, 901], "i": ["物0", "物99", "物1"], "activity": [1.0, 1.0, -1.0], "popularity": [0.1, 2.0, 0.2]})
    table = BehaviourTable.from_frame(frame, user="u", item="i", levels={"activity": "user", "popularity": "item"})
    with pytest.warns(AssumptionWarning, match="unseen in training"):
        found = score(model, table)
    assert (found.cold_users, found.cold_items) == (2, 1)
    assert "answered from traits: 2 users, 1 items" in repr(found)
    assert found.for_user(900)["item"].iloc[0] == "物99"  # more popular


def test_scores_survive_a_file(tmp_path, scores):
    path = scores.top(5).save(tmp_path / "scores.parquet")
    loaded = Scores.load(path)
    pd.testing.assert_frame_equal(loaded.frame, scores.top(5).frame)
    assert repr(loaded) == repr(scores.top(5))
    path.write_bytes(b"no")
    with pytest.raises(FileError, match="not Parquet"):
        Scores.load(path)
    with pytest.raises(FileError, match="no file"):
        Scores.load(tmp_path / "none.parquet")
    scores.frame.to_parquet(tmp_path / "other.parquet")
    with pytest.raises(FileError, match="holds None, not 'causalsem-scores'"):
        Scores.load(tmp_path / "other.parquet")


def test_a_failed_save_leaves_the_earlier_file(tmp_path, monkeypatch, scores):
    path = scores.top(2).save(tmp_path / "scores.parquet")
    before = path.read_bytes()

    def broken(self, *_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", broken)
    with pytest.raises(OSError, match="disk full"):
        scores.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_ranking_by_the_debiased_score_beats_chance_on_fresh_draws(world, scores):
    fresh = world.pairs.keys.assign(label=(np.random.default_rng(9).random(2400) < world.p1).astype(float))
    found = rank_metrics(scores, fresh, k=[5])
    assert found.loc["auc", "low"] > 0.6
    assert found.loc["gauc", "low"] > 0.55


def test_messages(model, scores):
    with pytest.raises(SettingError, match="top"):
        score(model, top=0)
    with pytest.raises(SettingError, match="top of type str"):
        score(model, top="3")
    with pytest.raises(DataError, match="pairs of type DataFrame"):
        score(model, scores.frame)
    with pytest.raises(SettingError, match="top 0"):
        scores.top(0)
    with pytest.raises(UnknownNameError, match="unknown user"):
        scores.for_user("nobody")
    with pytest.raises(DataError, match="1 pairs have no score"):
        Scores(pd.DataFrame({"user": [1], "item": [1], "score": [np.nan]}))
    with pytest.raises(UnknownNameError, match="score"):
        Scores(pd.DataFrame({"user": [1], "item": [1]}))
