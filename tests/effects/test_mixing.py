"""Mixtures of predictions, and CausalNet's average with and without its partner."""

import dataclasses

import numpy as np
import pytest

from causalsem.effects import Boosted, CausalNet, GBoost, Linear, estimate_effect
from causalsem.effects.methods.mixing import Mixed, mixed_chance, mixed_mean
from causalsem.effects.nuisance import make_folds, predict_new


def test_a_mixture_of_means_is_the_least_squares_one():
    rng = np.random.default_rng(0)
    truth = rng.standard_normal(3000)
    one, other = truth + 0.5 * rng.standard_normal((2, 3000))
    y, seen = truth + rng.standard_normal(3000), rng.random(3000) < 0.6
    mixed = mixed_mean(y, one, other, seen)
    tried = [np.square(y - s * one - (1 - s) * other)[seen].mean() for s in np.linspace(0, 1, 1001)]
    assert np.square(y - mixed)[seen].mean() == pytest.approx(min(tried), rel=1e-6)
    assert np.square(truth - mixed).mean() < 0.6 * np.square(truth - one).mean()
    np.testing.assert_array_equal(mixed_mean(y, truth, truth, seen), truth)
    np.testing.assert_allclose(mixed_mean(truth, truth, other, seen), truth)


def test_a_mixture_of_chances_leans_to_the_likelier():
    rng = np.random.default_rng(1)
    p = rng.uniform(0.05, 0.95, 4000)
    happened = rng.random(4000) < p
    np.testing.assert_allclose(mixed_chance(happened, p, np.full(4000, 0.5)), p, atol=0.06)
    np.testing.assert_allclose(mixed_chance(happened, 1 - p, p), p, atol=0.06)


def test_a_partner_changes_the_average_only(binary_world, given):
    pytest.importorskip("torch", reason="torch is not installed")
    table, net = binary_world(500), CausalNet(members=2, priors=(0.25,), links=("identity",), steps=60)
    both, alone = (estimate_effect(table, given(), dataclasses.replace(net, **told), folds=2) for told in ({}, {"partner": None}))
    np.testing.assert_array_equal(both.unit_effects, alone.unit_effects)
    assert both.value != alone.value


def test_a_quick_net_covers_where_curves_confound(given):
    """Alone it covers .75 in benchmarks/effects.py's curved world; three binomial errors below 95 % of 20 are .80."""
    pytest.importorskip("torch", reason="torch is not installed")
    import pandas as pd
    from scipy.special import expit

    net, hits = CausalNet(members=2, priors=(0.25,), links=("identity",), steps=60), []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        z1, z2 = rng.standard_normal((2, 600))
        t = (rng.random(600) < expit(0.7 * z1 - 0.5 * z2 - 0.3 + 0.5 * (z1**2 - 1))) * 1.0
        y = t * (1 + z1) + 2 * z1 + z2 + 1.5 * (z1**2 - 1) + rng.standard_normal(600)
        estimate = estimate_effect(pd.DataFrame({"z1": z1, "z2": z2, "t": t, "y": y}), given(), net, seed=seed)
        hits.append(abs(estimate.value - 1) < 1.96 * estimate.se)
    assert np.mean(hits) >= 0.8


@pytest.mark.parametrize("steps", [False, True])
def test_mixed_learners_are_near_the_better_of_the_two(steps):
    rng = np.random.default_rng(2)
    Z, new = rng.standard_normal((800, 2)), rng.standard_normal((2000, 2))

    def mean(z):
        return 3.0 * (z[:, 0] > 0.3) * (z[:, 1] > 0) if steps else z @ [1.0, -1.0]

    y, folds = mean(Z) + rng.standard_normal(800), make_folds(800, 5, 0)
    everyone, both = np.ones(800, dtype=bool), Mixed(Boosted(), Linear())
    off = {name: np.square(one.on(Z)(y, everyone, folds, 0) - mean(Z)).mean() for name, one in (("b", Boosted()), ("l", Linear()))}
    assert np.square(both.on(Z)(y, everyone, folds, 0) - mean(Z)).mean() < 1.05 * min(off.values())
    # Of new rows too, though all rows of the problem are learnt from and boosting remembers those.
    alone = [np.square(predict_new(one, Z, y, new, 0) - mean(new)).mean() for one in (Boosted(), Linear())]
    assert np.square(predict_new(both, Z, y, new, 0) - mean(new)).mean() < 1.1 * min(alone)
    chances = both.on(Z)((y > 0) * 1.0, everyone, folds, 0)
    assert ((chances >= 0) & (chances <= 1)).all()


def test_a_partner_makes_boosting_surer_where_rows_are_few(binary_world, given):
    with_partner, alone = (
        np.array([(e.value, e.se) for e in (estimate_effect(binary_world(400, seed), given(), method, seed=seed) for seed in range(4))])
        for method in (GBoost(), GBoost(partner=None))
    )
    assert with_partner[:, 1].mean() < 0.85 * alone[:, 1].mean()
    assert (np.abs(with_partner[:, 0] - 1) < 4 * with_partner[:, 1]).all()
