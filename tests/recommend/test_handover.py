"""Weights of pairs against the textbook, and ready files read by the recommenders they are for."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from causalsem.behaviour import BehaviourTable
from causalsem.errors import AssumptionWarning, DataError, FileError, SettingError, UnknownNameError
from causalsem.identify import AdjustmentSet, Query
from causalsem.outcome import fit_outcome
from causalsem.recommend import PairWeights, hand_over, pair_weights
from causalsem.recommend.handover import TARGETS
from causalsem.recommend.weights import stabilised_weights
from tests.outcome.worlds import make_world


@pytest.fixture(scope="module")
def world():
    return make_world(80, 30, seed=2)


@pytest.fixture(scope="module")
def model(world):
    return fit_outcome(world.pairs, AdjustmentSet(Query("shown", "buy"), ("activity", "mood", "popularity"), "optimal"), epochs=15)


@pytest.fixture(scope="module")
def weights(model, world):
    return pair_weights(model, world.pairs, graph_sha256="0" * 64)


def by_hand(rows: list[tuple], **columns: object) -> PairWeights:
    """Return weights from rows (user, item, treatment, outcome, weight)."""
    frame = pd.DataFrame(rows, columns=["user", "item", "treatment", "outcome", "weight"]).assign(propensity=0.5, **columns)
    return PairWeights(frame, "shown", "buy", tuple(columns))


def test_stabilised_weights_are_the_share_of_the_arm_over_its_chance():
    e, treated = np.array([0.8, 0.2, 0.5, 0.1]), np.array([1.0, 1.0, 0.0, 0.0])
    plain = np.array([0.5 / 0.8, 0.5 / 0.2, 0.5 / 0.5, 0.5 / 0.9])
    expected = np.concatenate([plain[:2] / plain[:2].mean(), plain[2:] / plain[2:].mean()])
    np.testing.assert_allclose(stabilised_weights(e, treated, 0.01), expected)
    # A chance of 0.001 is floored at 0.1 × 0.5.
    floored = stabilised_weights(np.array([0.001, 0.5, 0.5, 0.5]), treated, 0.1)
    assert floored[0] / floored[1] == pytest.approx(0.5 / 0.05)


def test_weighted_shown_pairs_look_like_all_pairs(weights, world):
    """Popular items and active users are shown more; weighting undoes it (balance within a tenth of a standard deviation)."""
    shown = weights.shown
    for name in ("activity", "popularity", "mood"):
        everyone = world.pairs.column(name)
        naive = shown[name].mean() - everyone.mean()
        weighted = np.average(shown[name], weights=shown["weight"]) - everyone.mean()
        assert abs(weighted) < 0.1 * everyone.std() < abs(naive)
    assert weights.frame.groupby("treatment")["weight"].mean().to_numpy() == pytest.approx([1, 1])
    assert np.corrcoef(weights.frame["propensity"], world.e)[0, 1] > 0.8


def test_no_feature_is_something_the_treatment_can_have_changed(weights):
    assert set(weights.features) == {"activity", "popularity", "mood"}


def test_weights_survive_a_file(weights, tmp_path):
    again = PairWeights.load(weights.save(tmp_path / "weights.parquet"))
    pd.testing.assert_frame_equal(again.frame, weights.frame)
    assert (again.treatment, again.outcome, again.features, again.facts) == ("shown", "buy", weights.features, weights.facts)
    assert again.facts["graph_sha256"] == "0" * 64
    assert "PairWeights(2,400 pairs" in repr(again)
    pd.DataFrame({"x": [1]}).to_parquet(tmp_path / "other.parquet")
    for name, match in (("other.parquet", "holds None, not 'causalsem-pair-weights'"), ("none.parquet", "no file")):
        with pytest.raises(FileError, match=match):
            PairWeights.load(tmp_path / name)


def test_other_pairs_than_the_trained_are_judged_by_every_network_and_say_so(model, world):
    some = world.pairs.rows(np.arange(300))
    with pytest.warns(AssumptionWarning, match="300 pairs, but the model was trained on 2,400"):
        pair_weights(model, some)
    assert len(pair_weights(model, some, out_of_fold=False)) == 300
    with pytest.raises(SettingError, match="leave out_of_fold out"):
        pair_weights(model, some, out_of_fold=True)
    with pytest.raises(SettingError, match="clip is 0"):
        pair_weights(model, some, clip=0)
    users = BehaviourTable(some.frame, some.keys[["user"]], {})
    with pytest.raises(DataError, match="unit"):
        pair_weights(model, users, out_of_fold=False)


def test_recbole_reads_an_atomic_file_with_a_weight_field(weights, tmp_path):
    """RecBole itself cannot be installed beside this package: the file is held to its documented format."""
    paths = hand_over(weights, "recbole", tmp_path / "recbole")
    lines = paths["inter"].read_text(encoding="utf-8").splitlines()
    fields = [field.split(":") for field in lines[0].split("\t")]
    assert fields == [["user_id", "token"], ["item_id", "token"], ["label", "float"], ["propensity", "float"], ["weight", "float"]]
    assert len(lines) == 1 + len(weights.shown)
    rows = pd.read_csv(paths["inter"], sep="\t")
    np.testing.assert_allclose(rows["weight:float"], weights.shown["weight"])
    assert rows["item_id:token"].tolist() == weights.shown["item"].tolist()
    assert paths["inter"].parent.name == paths["inter"].stem
    assert "inter: [user_id, item_id, label, propensity, weight]" in paths["settings"].read_text(encoding="utf-8")
    with pytest.raises(DataError, match="holds a tab"):
        hand_over(by_hand([("a\tb", 1, 1, 1, 1.0)]), "recbole", tmp_path)


def test_implicit_trains_on_the_weighted_matrix(weights, tmp_path):
    implicit = pytest.importorskip("implicit", reason="needs implicit: pip install implicit")
    from scipy.sparse import load_npz

    paths = hand_over(weights, "implicit", tmp_path)
    matrix = load_npz(paths["matrix"])
    users, items = (json.loads(paths[name].read_text(encoding="utf-8")) for name in ("users", "items"))
    assert matrix.format == "csr"
    assert matrix.shape == (len(users), len(items))
    bought = weights.shown[weights.shown["outcome"] > 0]
    assert matrix.nnz == len(bought)
    one = bought.iloc[3]
    assert matrix[users.index(one["user"]), items.index(one["item"])] == pytest.approx(one["weight"], rel=1e-5)
    model = implicit.als.AlternatingLeastSquares(factors=4, iterations=2, random_state=0)
    model.fit(matrix, show_progress=False)
    assert model.user_factors.shape == (len(users), 4)


def test_lightgbm_finds_weights_and_groups_beside_its_data(weights, tmp_path):
    lightgbm = pytest.importorskip("lightgbm", reason="needs lightgbm: pip install lightgbm")
    paths = hand_over(weights, "lightgbm", tmp_path)
    data = lightgbm.Dataset(str(paths["data"]), params={"verbose": -1}).construct()
    shown = weights.shown.sort_values("user", kind="stable", ignore_index=True)
    np.testing.assert_allclose(data.get_weight(), shown["weight"], rtol=1e-6)
    np.testing.assert_array_equal(data.get_group(), shown.groupby("user").size())
    np.testing.assert_array_equal(data.get_label(), shown["outcome"])
    about = json.loads(paths["columns"].read_text(encoding="utf-8"))
    assert about["features"] == list(weights.features)
    assert about["pairs"] == [[int(u), i] for u, i in zip(shown["user"], shown["item"], strict=True)]
    ranker = lightgbm.train({"objective": "lambdarank", "verbose": -1, "num_threads": 1}, data, num_boost_round=5)
    assert ranker.num_feature() == len(weights.features)
    with pytest.raises(DataError, match="grades 0, 1, 2"):
        hand_over(by_hand([(1, 1, 1, 0.5, 1.0)], x=1.0), "lightgbm", tmp_path)
    with pytest.raises(DataError, match="no features"):
        hand_over(by_hand([(1, 1, 1, 1, 1.0)]), "lightgbm", tmp_path)


def test_sparks_als_gets_whole_numbers_and_who_is_who(weights, tmp_path):
    """What Spark's ALS asks for: integer ids within 32 bits and a float rating; here read by pyarrow."""
    import pyarrow.parquet as pq

    paths = hand_over(weights, "spark_als", tmp_path)
    table = pq.read_table(paths["ratings"])
    assert [str(field.type) for field in table.schema] == ["int32", "int32", "float"]
    frame = table.to_pandas()
    users, items = (json.loads(paths[name].read_text(encoding="utf-8")) for name in ("users", "items"))
    assert [users[u] for u in frame["user"]] == weights.shown["user"].tolist()
    assert [items[i] for i in frame["item"]] == weights.shown["item"].tolist()
    np.testing.assert_allclose(frame["rating"], weights.shown["outcome"] * weights.shown["weight"], rtol=1e-6)


@pytest.mark.parametrize("target", list(TARGETS))
def test_names_in_any_script_go_through_every_file(target, tmp_path):
    names = ["浏览", "a b", "<img onerror=x>", "class", "emoji 🛒", "a:b", "ü,é"]
    rows = [(name, f"物{k}", 1, k % 2, 1.0 + k) for k, name in enumerate(names)]
    assert all(path.stat().st_size for path in hand_over(by_hand(rows, x=1.0), target, tmp_path).values())


def test_what_nothing_can_be_made_of_is_refused(tmp_path):
    with pytest.raises(UnknownNameError, match="recbole"):
        hand_over(by_hand([(1, 1, 1, 1, 1.0)]), "recbol", tmp_path)
    with pytest.raises(DataError, match="no pair has shown = 1"):
        hand_over(by_hand([(1, 1, 0, 1, 1.0)]), "implicit", tmp_path)
    with pytest.raises(DataError, match="weight holds numbers below 0"):
        by_hand([(1, 1, 1, 1, -1.0)])
