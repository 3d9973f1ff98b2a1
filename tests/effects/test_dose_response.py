"""The dose–response: against the known curve, its intervals, and what it refuses."""

import numpy as np
import pandas as pd
import pytest

from causalsem.effects import Linear, dose_response
from causalsem.effects.dose_response import local_level
from causalsem.errors import AssumptionWarning, SettingError


def world(n, seed=0, skew=False):
    """E[Y | do(T = t)] is sin(2t) + t z1's mean of 0; z1 moves both."""
    rng = np.random.default_rng(seed)
    z1, z2 = rng.standard_normal((2, n))
    t = 0.6 * z1 + (rng.gamma(4.0, 0.5, n) - 2 if skew else rng.standard_normal(n))
    return pd.DataFrame({"z1": z1, "z2": z2, "t": t, "y": np.sin(2 * t) + t * z1 + 2 * z1 + z2 + rng.standard_normal(n)})


DOSES = [-1.0, 0.0, 1.0]


@pytest.mark.parametrize("skew", [False, True])
def test_the_curve_is_the_known_one_and_not_the_raw_mean(skew, given):
    table = world(8000, skew=skew)
    for dose, estimate in dose_response(table, given(), DOSES).items():
        assert abs(estimate.value - np.sin(2 * dose)) < 4 * estimate.se + 0.02
        assert estimate.se < 0.1
    near = table[(table["t"] - 1).abs() < 0.1]["y"]
    assert abs(near.mean() - np.sin(2)) > 0.5


def test_either_model_may_be_wrong(given):
    # A line for the outcome: the density carries the curve, up to the smoothing.
    for dose, estimate in dose_response(world(20_000), given(), DOSES, learner=Linear()).items():
        assert abs(estimate.value - np.sin(2 * dose)) < 0.15


def test_intervals_of_a_dose_and_of_a_difference_cover(given):
    hits, off = [], []
    for seed in range(80):
        found = dose_response(world(500, seed), given(), [-1.0, -0.5], seed=seed)
        low, high = found[-0.5].interval
        difference = found[-0.5] - found[-1.0]
        off.append(difference.value - np.sin(-1) + np.sin(-2))
        hits.append((low < np.sin(-1) < high, abs(off[-1]) < 1.96 * difference.se))
    assert np.mean(hits, axis=0).min() >= 0.87  # three binomial errors below 95 %: 0.073
    # Where the curve bends most, smoothing moved the difference by half its spread; a quadratic does not.
    assert abs(np.mean(off)) < 0.3 * np.std(off)


def test_the_local_level_is_that_of_a_weighted_quadratic_and_its_error_that_of_leaving_rows_out():
    rng = np.random.default_rng(1)
    u = rng.standard_normal(400)
    w = np.exp(-0.5 * u**2)
    y = 1 + u + u**2 + rng.standard_normal(400)
    level, own = local_level(u, y, w)
    assert level == pytest.approx(np.polyfit(u, y, 2, w=np.sqrt(w))[-1])
    assert local_level(u, 1 + u + u**2, w)[0] == pytest.approx(1)
    kept = [np.arange(400) != i for i in range(400)]
    left = np.array([local_level(u[k], y[k], w[k])[0] for k in kept])
    np.testing.assert_allclose(own / 400, level - left, atol=1e-10)


def test_a_flat_curve_is_flat_and_units_do_not_matter(given):
    table = world(2000).assign(y=lambda f: 2 * f["z1"])
    one = dose_response(table, given(), [0.0, 0.5])
    assert abs(one[0.5].value - one[0.0].value) < 0.05
    cents = dose_response(table.assign(t=100 * table["t"], y=3 * table["y"]), given(), [0.0, 50.0])
    assert cents[50.0].value == pytest.approx(3 * one[0.5].value, abs=1e-6)
    assert str(one[0.5]).startswith("Estimate: E[y | do(t = 0.5)] = ")


def test_doses_that_cannot_be_told_are_refused(given, binary_world):
    table = world(400)
    with pytest.raises(SettingError, match=r"doses \[99\] are outside those seen of 't'"):
        dose_response(table, given(), [0, 99])
    with pytest.raises(SettingError, match=r"doses is 1.0; hand in a list"):
        dose_response(table, given(), 1.0)
    with pytest.raises(SettingError, match="bandwidth is 0"):
        dose_response(table, given(), [0], bandwidth=0)
    with pytest.raises(SettingError, match="'t' is 0 or 1"):
        dose_response(binary_world(400), given(), [0])
    with pytest.warns(AssumptionWarning, match="effective rows are near 't' = "):
        dose_response(table, given(), [float(table["t"].max())])
