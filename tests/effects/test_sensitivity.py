import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from causalsem.effects import (
    AIPW,
    IPW,
    DRLearner,
    Estimate,
    Regression,
    RLearner,
    confounding_bound,
    e_value,
    estimate_effect,
    negative_control,
    placebo_treatment,
    random_common_cause,
    robustness_value,
    subset,
)
from causalsem.effects.confounding import robustness
from causalsem.effects.methods.table import METHODS
from causalsem.errors import SettingError


def test_the_e_value_is_that_of_the_papers_example():
    # VanderWeele & Ding (2017): a risk ratio of 3.9 (95 % 1.8 … 8.7) has E-values 7.26 and 3.0.
    effect = Estimate(0.1 * (3.9 - 1), se=0.1 * (3.9 - 1.8) / 1.959963984540054, n=100, diagnostics={"mean_untreated": 0.1})
    found = e_value(effect)
    assert found.point == pytest.approx(7.26, abs=0.005)
    assert found.limit == pytest.approx(3.0, abs=0.005)
    assert "7.26" in repr(found)


def test_a_protective_effect_has_the_e_value_of_its_inverse_and_none_has_one():
    protects = Estimate(0.1 - 0.4, se=0.01, n=100, diagnostics={"mean_untreated": 0.4})
    assert e_value(protects).point == pytest.approx(4 + math.sqrt(12))
    unsure = Estimate(0.1, se=0.2, n=100, diagnostics={"mean_untreated": 0.4})
    assert e_value(unsure).limit == 1
    with pytest.raises(SettingError, match="mean_untreated"):
        e_value(Estimate(0.1, se=0.2, n=100))


@pytest.mark.parametrize("none", [0.0, 1e-14, -1e-17])
def test_an_outcome_that_no_untreated_row_has_counts_as_half_an_event(none):
    found = e_value(Estimate(0.2, se=0.01, n=1000, diagnostics={"mean_untreated": none}))
    assert found.risk_ratio == pytest.approx((0.0005 + 0.2) / 0.0005)
    assert found.point == pytest.approx(401 + math.sqrt(401 * 400))


def test_a_confounder_as_strong_as_the_robustness_value_takes_the_effect_away(given):
    # Build y and t with a hidden u that explains exactly RV of what is left of each: adjusting for it must give zero.
    rng = np.random.default_rng(0)
    n = 500
    table = pd.DataFrame({"z1": rng.standard_normal(n)})
    table["t"] = 0.5 * table["z1"] + rng.standard_normal(n)
    table["y"] = 0.4 * table["t"] + table["z1"] + rng.standard_normal(n)
    rv = robustness_value(table, given(["z1"])).point
    X = np.column_stack([np.ones(n), table["z1"]])

    def residual(v, basis):
        return v - basis @ np.linalg.lstsq(basis, v, rcond=None)[0]

    t = residual(table["t"].to_numpy(), X)
    t /= np.linalg.norm(t)
    y = residual(residual(table["y"].to_numpy(), X), t[:, None])
    y /= np.linalg.norm(y)
    noise = residual(rng.standard_normal(n), np.column_stack([X, t, y]))
    noise /= np.linalg.norm(noise)
    # u with R²(u ~ t) = RV and, given t, R²(u ~ y) = RV.
    u = math.sqrt(rv) * t + math.sqrt(1 - rv) * (math.sqrt(rv) * y + math.sqrt(1 - rv) * noise)
    # The same by the bound that every method with an outcome model has: here it is reached.
    bound = confounding_bound(estimate_effect(table, given(["z1"]), Regression()))
    assert bound.point == pytest.approx(rv, rel=1e-9)
    assert bound.bias(rv, rv) == pytest.approx(bound.value)
    left = estimate_effect(table.assign(u=u), given(["z1", "u"]), Regression())
    assert left.value == pytest.approx(0, abs=1e-10)
    weaker = estimate_effect(table.assign(u=u), given(["z1"]), Regression())
    assert weaker.value > 0.3


def test_benchmarks_are_partial_r2_of_the_measured_variables(linear_world, given):
    table = linear_world(400)
    found = robustness_value(table, given())
    assert list(found.benchmarks["variable"]) == ["z1", "z2"]
    X = table[["z2"]].assign(one=1.0).to_numpy()

    def residual(v):
        return v - X @ np.linalg.lstsq(X, v, rcond=None)[0]

    r = np.corrcoef(residual(table["z1"].to_numpy()), residual(table["t"].to_numpy()))[0, 1]
    assert found.benchmarks["with_treatment"][0] == pytest.approx(r**2)
    assert 0 < found.limit < found.point < 1


def test_no_effect_has_no_robustness(given):
    rng = np.random.default_rng(1)
    table = pd.DataFrame(rng.standard_normal((300, 3)), columns=["z1", "t", "y"])
    assert robustness_value(table, given(["z1"])).limit == 0


@pytest.mark.parametrize("refuter", [placebo_treatment, random_common_cause, subset])
def test_refuters_pass_where_the_effect_is_real(refuter, binary_world, given):
    found = refuter(binary_world(2000), given(), AIPW(), seed=2)
    assert found.passed
    assert "passed" in repr(found)
    assert found.original.value == pytest.approx(1, abs=0.3)


def test_a_placebo_passes_about_as_often_as_it_should(binary_world, given):
    passed = [placebo_treatment(binary_world(300), given(), Regression(), seed=seed).passed for seed in range(100)]
    assert np.mean(passed) >= 0.94  # 99 % less five binomial errors of 1 %


def test_a_negative_control_betrays_confounding_that_is_left(binary_world, given):
    table = binary_world(2000)
    table["before"] = 2 * table["z1"] + np.random.default_rng(3).standard_normal(2000)
    assert negative_control(table, given(["z1", "z2"]), "before").passed
    betrayed = negative_control(table, given(["z2"]), "before")
    assert not betrayed.passed
    assert "FAILED" in repr(betrayed)


def test_the_robustness_value_is_that_published_for_darfur():
    # sensemakr's own test of the Darfur example: t = 4.184 on 783 degrees of freedom gives 13.8776 %, partial R² 2.2 %.
    t, df = 0.09731582 / 0.02325654, 783
    assert robustness(t / math.sqrt(df)) == pytest.approx(0.138776, abs=1e-5)
    assert t**2 / (t**2 + df) == pytest.approx(0.022, abs=5e-4)
    critical = student.ppf(0.975, df - 1) / math.sqrt(df - 1)
    assert robustness(t / math.sqrt(df) - critical) == pytest.approx(0.076, abs=5e-4)


@pytest.mark.parametrize("method", [AIPW(), RLearner(), Regression()], ids=lambda m: type(m).__name__)
def test_a_hidden_confounder_moves_the_estimate_by_no_more_than_its_bound(method, given):
    rng = np.random.default_rng(11)
    z1, u = rng.standard_normal((2, 6000))
    t = (rng.random(6000) < 1 / (1 + np.exp(-(0.5 * z1 + 0.7 * u)))) * 1.0
    table = pd.DataFrame({"z1": z1, "u": u, "t": t, "y": t + z1 + u + rng.standard_normal(6000)})
    short, full = (estimate_effect(table, given(names), method) for names in (["z1"], ["z1", "u"]))
    bound = confounding_bound(short)
    # Shares of the hidden one: residual variance 2 → 1 of the outcome (less what t tells of u), and of the weights.
    with_outcome = 1 - np.square(table["y"] - full.value * t - z1 - u).mean() / np.square(residual_of(table)).mean()
    weights = [np.square(np.where(t > 0, 1 / e, 1 / (1 - e))).mean() for e in (short.propensity, full.propensity) if e is not None]
    with_treatment = 1 - weights[0] / weights[1] if weights else 0.15
    off = abs(short.value - 1)
    assert 0.3 < off < 1.1 * bound.bias(with_treatment, with_outcome)
    low, high = bound.interval(with_treatment, with_outcome)
    assert low < 1 < high
    assert 0 < bound.limit < bound.point < 1


def residual_of(table):
    X = np.column_stack([np.ones(len(table)), table[["t", "z1"]]])
    return table["y"] - X @ np.linalg.lstsq(X, table["y"], rcond=None)[0]


def test_bounds_of_continuous_treatments_and_of_methods_without_an_outcome_model(linear_world, given):
    table = linear_world(3000)
    linear = robustness_value(table, given()).point
    for method in (AIPW(), RLearner(), DRLearner()):
        assert confounding_bound(estimate_effect(table, given(), method)).point == pytest.approx(linear, abs=0.03)
    with pytest.raises(SettingError, match="IPW has no outcome model"):
        confounding_bound(estimate_effect(table, given(), IPW()))
    bound = confounding_bound(estimate_effect(table, given()))
    assert bound.bias(0.0, 1.0) == 0
    assert "must explain" in repr(bound)
    with pytest.raises(SettingError, match="shares are 1"):
        bound.bias(1.0, 0.5)


@pytest.mark.parametrize("name", METHODS)
def test_every_refuter_takes_every_method_and_two_levels_of_many(name, given):
    if name in {"CausalForest", "CausalTree"}:
        pytest.importorskip("econml", reason="needs econml: pip install 'causalsem[cate]'")
    small = {"steps": 20, "trees": 20, "members": 2, "priors": (0.25,), "links": ("identity",)}
    method = METHODS[name]()
    method = dataclasses.replace(method, **{k: v for k, v in small.items() if hasattr(method, k)})
    rng = np.random.default_rng(5)
    z1 = rng.standard_normal(600)
    t = np.digitize(0.3 * z1 + rng.standard_normal(600), [-0.5, 0.5]) * 1.0
    table = pd.DataFrame({"z1": z1, "t": t, "y": t + z1 + rng.standard_normal(600), "before": z1 + rng.standard_normal(600)})
    told = {"contrast": (0, 2), "seed": 1}
    original = estimate_effect(table, given(["z1"]), method, **told)
    found = [refuter(table, given(["z1"]), method, original=original, **told) for refuter in (placebo_treatment, random_common_cause)]
    found += [subset(table, given(["z1"]), method, **told), negative_control(table, given(["z1"]), "before", method, **told)]
    assert all(f.original.value == original.value for f in found)
    assert [f.expected for f in found] == [0, original.value, original.value, 0]
    assert abs(found[0].refuted.value) < 4 * found[0].refuted.se
    assert e_value(original).point > 1


def test_settings_outside_their_range_are_refused(binary_world, given):
    with pytest.raises(SettingError, match="share is 2"):
        subset(binary_world(100), given(), share=2)
    with pytest.raises(SettingError, match="share is 0"):
        robustness_value(binary_world(100), given(), share=0)


def test_bounds_are_those_published_for_darfur():
    from causalsem.effects.sensitivity import _adjusted

    # Cinelli & Hazlett (2020): effect 0.097 (0.023, 783 df); a confounder once, twice, three times as strong as gender leaves these.
    r2d, f2y = 0.009164 / 1.009164, 0.12237
    for times, with_d, with_y, value in ((1, 0.009, 0.125, 0.075), (2, 0.018, 0.249, 0.053), (3, 0.027, 0.374, 0.030)):
        found = _adjusted(0.09732, 0.02326, 783, r2d, f2y / (1 + f2y), times)
        assert found[:3] == pytest.approx((with_d, with_y, value), abs=0.0006)


def test_a_confounder_strong_enough_takes_the_estimate_past_zero():
    from causalsem.effects.sensitivity import _adjusted

    values = [_adjusted(0.1, 0.02, 800, 0.05, 0.2, times)[2] for times in (0.5, 1, 2, 3)]
    assert values[0] > 0 > values[-1]
    assert values == sorted(values, reverse=True)
    assert [_adjusted(-0.1, 0.02, 800, 0.05, 0.2, times)[2] for times in (0.5, 1, 2, 3)] == [-value for value in values]


def test_leaving_out_a_measured_confounder_moves_the_estimate_as_its_partial_r2_say(given):
    rng = np.random.default_rng(4)
    n = 4000
    z1, u = rng.standard_normal((2, n))
    t = 0.5 * z1 + 0.5 * u + rng.standard_normal(n)
    table = pd.DataFrame({"z1": z1, "u": u, "t": t, "y": 0.4 * t + z1 + u + rng.standard_normal(n)})
    # u is as strong as z1 and left out: the bound by z1 takes the estimate back to about the truth.
    bound = robustness_value(table, given(["z1"])).bounds()
    assert robustness_value(table, given(["z1"])).value > 0.7
    assert bound["value"][0] == pytest.approx(0.4, abs=0.12)
    assert bound["value"][0] < robustness_value(table, given(["z1"])).bounds(0.5)["value"][0]
    with pytest.raises(SettingError, match="times is 0"):
        robustness_value(table, given(["z1"])).bounds(0)
