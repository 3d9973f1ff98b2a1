import math

import numpy as np
import pandas as pd
import pytest

from causalsem.effects import (
    AIPW,
    Estimate,
    Regression,
    e_value,
    estimate_effect,
    negative_control,
    placebo_treatment,
    random_common_cause,
    robustness_value,
    subset,
)
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
