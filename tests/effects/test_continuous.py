"""Continuous treatments: which effect per unit each method tells, against theory and formulas."""

import numpy as np
import pandas as pd
import pytest

from causalsem.effects import AIPW, IPW, CausalForest, CausalNet, DRLearner, Linear, Regression, RLearner, estimate_effect, predict_effects
from causalsem.effects.methods.balancing import balance_columns, balanced_slope, entropy_balance
from causalsem.effects.methods.derivative import log_density_slope
from causalsem.errors import AssumptionWarning, OverlapError, SettingError

REPEATS = 150


def mild_world(n, seed=0, bend=0.0, pull=0.5):
    """z1 explains 20 % of a normal t (pull² / (1 + pull²)); E[Y | do(T = t)] is t + bend t²/2, the effect given z1 1 + z1."""
    rng = np.random.default_rng(seed)
    z1, z2 = rng.standard_normal((2, n))
    t = pull * z1 + rng.standard_normal(n)
    return pd.DataFrame({"z1": z1, "z2": z2, "t": t, "y": t * (1 + z1) + bend * t**2 / 2 + z1 + z2 + rng.standard_normal(n)})


@pytest.mark.parametrize("method", [IPW(), DRLearner(), RLearner()], ids=lambda m: type(m).__name__)
def test_intervals_of_a_continuous_treatment_cover_at_their_level(method, given):
    z = []
    for seed in range(REPEATS):
        estimate = estimate_effect(mild_world(500, seed), given(), method, seed=seed)
        z.append((estimate.value - 1.0) / estimate.se)
    # Three binomial standard errors below 95 %: 3 √(.95 · .05 / 150) = 0.053.
    assert np.mean(np.abs(z) < 1.96) >= 0.897
    assert abs(np.mean(z)) < 0.3


def test_methods_differ_where_effects_do_as_their_estimands_say(given):
    # y = t (1 + z1) + 2 t with more spread of t where z1 is high: least squares leans on those rows, averages do not.
    rng = np.random.default_rng(1)
    z1 = (rng.random(40_000) < 0.5).astype(float)
    t = rng.standard_normal(40_000) * (1 + z1)
    table = pd.DataFrame({"z1": z1, "t": t, "y": t * (1 + z1) + rng.standard_normal(40_000)})
    for method in (DRLearner(), RLearner()):
        assert abs(estimate_effect(table, given(["z1"]), method).value - 1.5) < 0.05, "the mean of 1 and 2"
    assert abs(estimate_effect(table, given(["z1"]), AIPW()).value - (1 + 2 * 4) / 5) < 0.05, "weighted by Var(T | z), 1 and 4"


def test_the_average_derivative_is_that_of_a_curved_dose_response(given):
    # E[d/dt (t + t³/3)] = 1 + E[t²], with t skewed (a centred gamma): its line has another slope.
    rng = np.random.default_rng(2)
    z1 = rng.standard_normal(20_000)
    t = 0.5 * z1 + rng.gamma(4.0, 0.5, 20_000) - 2
    table = pd.DataFrame({"z1": z1, "t": t, "y": t + t**3 / 3 + z1 + rng.standard_normal(20_000)})
    truth = 1 + 0.25 + 1.0
    estimate = estimate_effect(table, given(["z1"]), DRLearner())
    assert abs(estimate.value - truth) < 4 * estimate.se
    assert estimate.se < 0.05
    assert "average derivative" in estimate.notes[0]
    # With an outcome model that is plainly wrong (a line), the estimated density still carries it.
    crude = estimate_effect(table, given(["z1"]), DRLearner(outcome=Linear()))
    assert abs(crude.value - truth) < 0.1
    assert abs(estimate_effect(table, given(["z1"]), Regression()).value - truth) > 0.2


def test_unit_effects_per_unit_follow_the_true_ones(given):
    table, new = mild_world(3000), mild_world(300, 1)
    for method in (DRLearner(), RLearner()):
        assert np.corrcoef(estimate_effect(table, given(), method).unit_effects, 1 + table["z1"])[0, 1] > 0.9
        assert np.corrcoef(predict_effects(table, given(), new, method), 1 + new["z1"])[0, 1] > 0.9


def test_a_forest_tells_effects_per_unit(given):
    pytest.importorskip("econml", reason="needs econml: pip install 'causalsem[cate]'")
    table = mild_world(2000)
    estimate = estimate_effect(table, given(), CausalForest(trees=100))
    assert abs(estimate.value - 1) < 4 * estimate.se
    assert np.corrcoef(estimate.unit_effects, 1 + table["z1"])[0, 1] > 0.8


def test_the_density_slope_of_a_normal_sample_is_a_line_and_of_a_logistic_one_an_s():
    rng = np.random.default_rng(3)
    normal = 2 * rng.standard_normal(50_000)
    middle = np.abs(normal) < 5
    np.testing.assert_allclose(log_density_slope(normal)[middle], -normal[middle] / 4, atol=0.05)
    logistic = rng.logistic(size=50_000)
    inside = np.abs(logistic) < 4
    np.testing.assert_allclose(log_density_slope(logistic)[inside], -np.tanh(logistic[inside] / 2), atol=0.1)


def arrays(table):
    """Return T, X (n, 2) and Y."""
    return table["t"].to_numpy(), table[["z1", "z2"]].to_numpy(), table["y"].to_numpy()


def balanced(T, X, ridge=1e-8):
    columns = balance_columns((T - T.mean()) / T.std(), (X - X.mean(axis=0)) / X.std(axis=0))
    return columns, entropy_balance(columns.C, ridge, np.inf)


def test_weights_balance_a_continuous_treatment_and_keep_its_and_the_confounders_spread():
    T, X, _ = arrays(mild_world(800))
    _, found = balanced(T, X)
    T, X = (T - T.mean()) / T.std(), (X - X.mean(axis=0)) / X.std(axis=0)
    assert found.remaining < 1e-6
    w = found.w / found.w.sum()
    assert abs(np.corrcoef(T, X[:, 0])[0, 1]) > 0.3
    for moment in (w @ T, w @ X[:, 0], w @ (T * X[:, 0]), w @ (T**2 * X[:, 0]), w @ (T * X[:, 0] ** 2), w @ T**2 - 1, w @ X[:, 0] ** 2 - 1):
        assert moment == pytest.approx(0, abs=1e-5)


def test_balancing_weights_of_normal_variables_are_the_ratio_of_their_densities():
    # The ratio f(T)/f(T | z) of normal variables is the exponential of what is balanced, so many rows find it.
    from scipy.stats import norm

    rng = np.random.default_rng(5)
    z = rng.standard_normal(200_000)
    t = (0.3 * z + rng.standard_normal(200_000)) / np.sqrt(1.09)
    _, found = balanced(t, z[:, None])
    ratio = norm.pdf(t) / norm.pdf(t, 0.3 * z / np.sqrt(1.09), 1 / np.sqrt(1.09))
    middle = (np.abs(t) < 2) & (np.abs(z) < 2)
    np.testing.assert_allclose(found.w[middle], ratio[middle], rtol=0.05)


def test_the_error_of_a_balanced_slope_is_that_of_leaving_rows_out():
    n = 1000
    T, X, Y = arrays(mild_world(n, pull=0.2))
    value, psi = balanced_slope(T, Y, *balanced(T, X))
    left = [balanced_slope(T[k], Y[k], *balanced(T[k], X[k]))[0] for k in (np.arange(n) != i for i in range(150))]
    jackknife = (n - 1) * (value - np.array(left))
    assert np.corrcoef(jackknife, psi[:150])[0, 1] > 0.99
    assert np.polyfit(psi[:150], jackknife, 1)[0] == pytest.approx(1, abs=0.05)
    assert psi.mean() == pytest.approx(0, abs=1e-10)


def test_the_weighted_line_is_that_of_the_dose_response(given):
    # The nearest line to t + t²/2 under t ~ N(0, 1.25) has slope 1 + Cov(t, t²)/2 / Var(t) = 1.
    estimate = estimate_effect(mild_world(20_000, bend=1.0), given(), IPW())
    assert abs(estimate.value - 1) < 4 * estimate.se
    assert estimate.se < 0.05
    assert 0 < estimate.diagnostics["effective_rows"] < 20_000


def test_a_treatment_that_cannot_be_balanced_is_refused(given):
    for pull in (3.0, 20.0):
        with pytest.raises(OverlapError, match=r"no weights free 't' of \['z1', 'z2'\].*use AIPW\(\) or Regression\(\)"):
            estimate_effect(mild_world(400, pull=pull), given(), IPW())
    with pytest.warns(AssumptionWarning, match=r"the 400 rows count for only .* after weighting by 't''s propensity"):
        estimate_effect(mild_world(400, pull=1.5), given(), IPW())
    cut = estimate_effect(mild_world(500), given(), IPW(clip=0.4))
    assert any("of 500 weights cut to 2.5" in note for note in cut.notes)


def test_what_is_of_arms_only_is_said(linear_world, given):
    with pytest.raises(SettingError, match=r"CausalNet compares treated with untreated rows, but 't' takes 300 values; use AIPW"):
        estimate_effect(linear_world(300), given(), CausalNet())
    with pytest.raises(SettingError, match="weights='overlap' are of two arms"):
        estimate_effect(linear_world(300), given(), IPW(weights="overlap"))
