"""The contract of every method in the table: a new method is tested here before its author writes a line."""

import dataclasses
import importlib.util

import numpy as np
import pandas as pd
import pytest

from causalsem.effects import CausalForest, estimate_effect
from causalsem.effects.methods.table import METHODS
from causalsem.errors import NotInstalledError, SettingError, UnknownNameError


def quick(name):
    """Return the method with settings small enough for a test, or skip when its engine is absent."""
    if name == "CausalForest" and importlib.util.find_spec("econml") is None:
        pytest.skip("needs econml: pip install 'causalsem[cate]'")
    method = METHODS[name]()
    small = {"steps": 120, "trees": 100, "members": 2, "priors": (0.25,)}
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


@pytest.mark.parametrize("name", ["AIPW", "GBoost", "CausalNet", "CausalForest"])
def test_unit_effects_follow_the_true_ones(name, binary_world, given):
    table = binary_world(3000)
    estimate = estimate_effect(table, given(), quick(name))
    assert np.corrcoef(estimate.unit_effects, 1 + table["z1"])[0, 1] > 0.8
