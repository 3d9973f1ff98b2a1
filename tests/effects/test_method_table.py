"""The contract of every method in the table: a new method is tested here before its author writes a line."""

import dataclasses
import importlib.util

import numpy as np
import pandas as pd
import pytest

from causalsem.effects import (
    IPW,
    Boosted,
    CausalForest,
    CausalTree,
    GBoost,
    Regression,
    RLearner,
    estimate_effect,
    level_effects,
    predict_effects,
)
from causalsem.effects.methods.table import METHODS
from causalsem.errors import NotInstalledError, OverlapError, SettingError, UnknownNameError


def quick(name):
    """Return the method with settings small enough for a test, or skip when its engine is absent."""
    if name in {"CausalForest", "CausalTree"} and importlib.util.find_spec("econml") is None:
        pytest.skip("needs econml: pip install 'causalsem[cate]'")
    method = METHODS[name]()
    small = {"steps": 120, "trees": 100, "members": 2, "priors": (0.25,), "batch": 512}
    return dataclasses.replace(method, **{field: value for field, value in small.items() if hasattr(method, field)})


methods = pytest.mark.parametrize("name", METHODS)


@methods
def test_every_method_finds_the_effect_of_a_binary_treatment(name, binary_world, given):
    table = binary_world(3000).assign(y=lambda f: f["y"] - f["t"] * f["z1"])  # a constant effect, which every method assumes or allows
    estimate = estimate_effect(table, given(), quick(name), seed=1)
    assert abs(estimate.value - 1) < 4 * estimate.se
    assert estimate.se < 0.15
    assert estimate.method == name
    assert estimate.psi.shape == (3000,)
    assert estimate.psi.mean() == pytest.approx(0, abs=0.02 * estimate.se)
    assert estimate.assumptions


@methods
def test_every_method_gives_the_same_numbers_for_the_same_seed(name, binary_world, given):
    table = binary_world(600)
    before = table.copy()
    a, b, other = (estimate_effect(table, given(), quick(name), seed=seed) for seed in (4, 4, 5))
    assert a.value == b.value
    np.testing.assert_array_equal(a.psi, b.psi)
    assert abs(a.value - other.value) < 2 * a.se
    pd.testing.assert_frame_equal(table, before)


@methods
def test_every_method_takes_any_name_and_any_order_of_columns(name, binary_world, given):
    table = binary_world(600)
    names = {"z1": "年龄", "z2": "a b:`c`", "t": "浏览", "y": "🛒"}
    renamed = table.rename(columns=names)[["🛒", "a b:`c`", "浏览", "年龄"]]
    plain = estimate_effect(table, given(["z1", "z2"]), quick(name))
    odd = estimate_effect(renamed, given(["a b:`c`", "年龄"], treatment="浏览", outcome="🛒"), quick(name))
    assert abs(odd.value - plain.value) < plain.se  # columns swap places, which a learner's seed may notice
    assert odd.label == "浏览 ⇒ 🛒"


@methods
def test_every_method_measures_in_units_of_the_outcome(name, binary_world, given):
    table = binary_world(600)
    plain = estimate_effect(table, given(), quick(name))
    cents = estimate_effect(table.assign(y=100 * table["y"] + 7), given(), quick(name))
    assert cents.value == pytest.approx(100 * plain.value, abs=30 * plain.se)
    assert cents.se == pytest.approx(100 * plain.se, rel=0.1)


@methods
def test_every_method_answers_without_confounders(name, given):
    rng = np.random.default_rng(2)
    t = (rng.random(500) < 0.4).astype(float)
    table = pd.DataFrame({"t": t, "y": 2 * t + rng.standard_normal(500)})
    estimate = estimate_effect(table, given([]), quick(name))
    difference = table.groupby("t")["y"].mean().diff().iloc[-1]
    assert estimate.value == pytest.approx(difference, abs=0.5 * estimate.se)


@methods
def test_every_method_takes_a_continuous_treatment_or_says_what_does(name, linear_world, given):
    table = linear_world(1000)
    if METHODS[name].treatment == "any":
        estimate = estimate_effect(table, given(), quick(name))
        assert abs(estimate.value - 1.5) < 5 * estimate.se
    else:
        with pytest.raises(SettingError, match=r"'t' takes 1,000 values; use AIPW\(\) or Regression\(\)"):
            estimate_effect(table, given(), quick(name))


def test_a_name_stands_for_a_method_and_a_misspelt_one_gets_a_suggestion(binary_world, given):
    table = binary_world(200)
    assert estimate_effect(table, given(), "Regression").method == "Regression"
    with pytest.raises(UnknownNameError, match="did you mean 'Regression'"):
        estimate_effect(table, given(), "Regresion")
    with pytest.raises(SettingError, match="not a method"):
        estimate_effect(table, given(), 3)


def test_a_causal_forest_without_econml_says_how_to_install_it(binary_world, given):
    if importlib.util.find_spec("econml") is not None:
        pytest.skip("econml is installed here")
    with pytest.raises(NotInstalledError, match=r"causalsem\[cate\]"):
        estimate_effect(binary_world(200), given(), CausalForest())


@pytest.mark.parametrize("name", ["AIPW", "GBoost", "CausalNet", "CausalForest", "DRLearner", "RLearner"])
def test_unit_effects_follow_the_true_ones(name, binary_world, given):
    table = binary_world(3000)
    estimate = estimate_effect(table, given(), quick(name))
    assert np.corrcoef(estimate.unit_effects, 1 + table["z1"])[0, 1] > 0.8


@methods
def test_every_method_compares_two_levels_whatever_they_are_called(name, binary_world, given):
    table = binary_world(800)
    plain = estimate_effect(table, given(), quick(name))
    named = estimate_effect(table.assign(t=np.where(table["t"] == 1, 7.0, 3.0)), given(), quick(name), contrast=(3, 7))
    assert named.value == pytest.approx(plain.value, abs=1e-9)
    assert "7 against 3" in named.notes


@methods
def test_every_method_compares_two_levels_of_three(name, given):
    table, truth = three_levels(3000)
    method = Regression(interactions=True) if name == "Regression" else quick(name)  # effects differ by z1
    estimate = estimate_effect(table, given(), method, contrast=(0, 2))
    assert abs(estimate.value - truth) < 4 * estimate.se
    assert estimate.se < 0.2
    back = estimate_effect(table, given(), method, contrast=(2, 0))
    # The same rows are in the same folds, so only the order in which a learner meets the arms can differ.
    # (IPW's ridge shrinks towards equal chances of each level and the first of the contrast.)
    near = {"Regression": 1e-8, "AIPW": 1e-8, "DRLearner": 1e-8, "RLearner": 1e-8, "IPW": 0.1 * estimate.se}
    assert abs(back.value + estimate.value) < near.get(name, estimate.se)


def three_levels(n, seed=0):
    """Level 2 of t does 3 + 1.5 z1 more than level 0, level 1 does 10 more; who gets which goes by z1, z2."""
    rng = np.random.default_rng(seed)
    z1, z2 = rng.standard_normal((2, n))
    odds = np.column_stack([np.zeros(n), 0.6 * z1, 0.5 * z2 - 0.3 * z1]) + rng.gumbel(size=(n, 3))
    t = odds.argmax(axis=1)
    y = np.where(t == 2, 3.0 + 1.5 * z1, np.where(t == 1, 10.0, 0.0)) + 2 * z1 + z2 + rng.standard_normal(n)
    return pd.DataFrame({"z1": z1, "z2": z2, "t": t.astype(float), "y": y}), 3.0


@pytest.mark.parametrize("name", [name for name, kind in METHODS.items() if hasattr(kind, "effects_at")])
def test_unit_effects_of_two_levels_of_three_follow_the_true_ones(name, given):
    table, _ = three_levels(3000)
    new, _ = three_levels(400, 1)
    told = predict_effects(table, given(), new[["z1", "z2"]], quick(name), contrast=(0, 2))
    assert np.corrcoef(told, 3 + 1.5 * new["z1"])[0, 1] > 0.7
    own = estimate_effect(table, given(), quick(name), contrast=(0, 2)).unit_effects
    assert np.corrcoef(own, 3 + 1.5 * table["z1"])[0, 1] > 0.7


@methods
def test_level_effects_are_the_contrasts_with_the_reference(name, given):
    table, _ = three_levels(900)
    found = level_effects(table, given(), quick(name), reference=1)
    assert list(found) == [0.0, 2.0]
    assert found[2.0].value == estimate_effect(table, given(), quick(name), contrast=(1, 2)).value


def test_levels_differ_by_what_each_differs_from_the_reference(given):
    table, _ = three_levels(3000)
    found = level_effects(table, given())
    assert list(found) == [1.0, 2.0]
    difference, own = found[2.0] - found[1.0], estimate_effect(table, given(), contrast=(1, 2))
    assert difference.value == pytest.approx(own.value)
    assert difference.se == pytest.approx(own.se)
    assert abs(difference.value + 7) < 4 * difference.se
    with pytest.raises(SettingError, match=r"the reference is 5, but the levels of 't' are"):
        level_effects(table, given(), reference=5)
    with pytest.raises(SettingError, match=r"'y' takes 3,000 values, more than the 20 levels"):
        level_effects(table, given(treatment="y", outcome="t"))


def test_a_stratum_without_a_level_is_named_by_the_level(given):
    table, _ = three_levels(2000)
    kind = (table["z1"] > 0.5) * 1.0
    table = table.assign(z1=kind)[(kind == 0) | (table["t"] != 2)]
    with pytest.raises(OverlapError, match=r"none of the .* rows with 'z1' = 1 has 't' = 2"):
        estimate_effect(table, given(), RLearner(), contrast=(0, 2))
    assert estimate_effect(table, given(), RLearner(), contrast=(0, 1)).se < 0.3


def test_a_contrast_that_cannot_be_is_refused(given):
    table, _ = three_levels(300)
    with pytest.raises(SettingError, match=r"contrast is \(0, 5\), but the levels of 't' are"):
        estimate_effect(table, given(), contrast=(0, 5))
    with pytest.raises(SettingError, match="weights='overlap' are of two arms"):
        estimate_effect(table, given(), IPW(weights="overlap"), contrast=(0, 2))
    with pytest.raises(SettingError, match="one treatment"):
        estimate_effect(table.assign(u=table["t"] % 2), given(treatment=["t", "u"]), contrast=(0, 2))


@pytest.mark.parametrize("name", [name for name, kind in METHODS.items() if hasattr(kind, "effects_at")])
def test_effects_of_new_rows_are_near_the_true_ones(name, binary_world, given):
    new = binary_world(400, 1)
    found = predict_effects(binary_world(2500), given(), new[["z1", "z2"]], quick(name))
    # Trees tell z1 in steps; the others follow it.
    assert np.corrcoef(found, 1 + new["z1"])[0, 1] > (0.7 if name in {"CausalTree", "GBoost"} else 0.85)
    assert found.mean() == pytest.approx(1 + new["z1"].mean(), abs=0.3)


@pytest.mark.parametrize("method", [IPW(), RLearner()], ids=["IPW", "RLearner"])
def test_intervals_of_two_levels_of_three_cover_at_their_level(method, given):
    z = []
    for seed in range(150):
        table, truth = three_levels(500, seed)
        estimate = estimate_effect(table, given(), method, contrast=(0, 2), seed=seed)
        z.append((estimate.value - truth) / estimate.se)
    # Three binomial standard errors around 95 %: 3 √(.95 · .05 / 150) = 0.053.
    assert np.mean(np.abs(z) < 1.96) >= 0.897
    assert np.std(z) == pytest.approx(1, abs=0.2)


def test_the_groups_of_a_causal_tree_are_honest(binary_world, given):
    pytest.importorskip("econml", reason="needs econml: pip install 'causalsem[cate]'")
    table = binary_world(4000)
    estimate = estimate_effect(table, given(), CausalTree(depth=2))
    leaves = estimate.diagnostics["leaves"]
    assert sum(leaf["rows"] for leaf in leaves) == 4000
    assert all("z1" in leaf["rule"] for leaf in leaves)  # z2 changes no effect
    for leaf in leaves:
        inside = table.query(leaf["rule"].replace("≤", "<="))
        assert len(inside) == pytest.approx(leaf["rows"], abs=3)  # thresholds are rounded in words
        assert abs(leaf["effect"] - (1 + inside["z1"]).mean()) < 4 * leaf["se"]


def test_the_r_learner_finds_effects_per_unit_that_differ_between_rows(linear_world, given):
    table = linear_world(4000)
    table["y"] += table["t"] * table["z2"]
    estimate = estimate_effect(table, given(), RLearner())
    assert np.corrcoef(estimate.unit_effects, 1.5 + table["z2"])[0, 1] > 0.95
    assert abs(estimate.value - 1.5) < 4 * estimate.se


def test_both_boosters_agree(binary_world, given):
    pytest.importorskip("lightgbm", reason="needs lightgbm: pip install 'causalsem[cate]'")
    table = binary_world(3000)
    a, b = (estimate_effect(table, given(), GBoost(Boosted(engine=engine))) for engine in ("scikit-learn", "lightgbm"))
    assert abs((a - b).value) < 2 * a.se
    assert np.corrcoef(a.propensity, b.propensity)[0, 1] > 0.9
    with pytest.raises(SettingError, match="no engine 'xgboost' for boost"):
        estimate_effect(table, given(), GBoost(Boosted(engine="xgboost")))
