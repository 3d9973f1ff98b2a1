"""Seeing, doing and imagining in a fitted model, against closed forms, simulation and the definitions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from causalsem.errors import DataError, SettingError, UnknownNameError
from causalsem.sem import bayesian_network, fit_sem

MODEL = "browse ~ ad + taste\ncart ~ browse\nbuy ~ cart + taste"


def rows(n: int = 3000, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    ad, taste = rng.normal(2, 1, n), rng.normal(-1, 1, n)
    browse = 1 + 0.5 * ad + 0.8 * taste + rng.normal(size=n)
    cart = 0.6 * browse + rng.normal(size=n)
    buy = 3 + 0.7 * cart + 0.9 * taste + rng.normal(size=n)
    return pd.DataFrame({"ad": ad, "taste": taste, "browse": browse, "cart": cart, "buy": buy})


def test_doing_moves_by_the_total_effect_and_seeing_by_the_regression() -> None:
    frame = rows()
    fit = fit_sem(MODEL, frame, preset="dag")
    net = bayesian_network(fit)
    total = float(fit.effects("browse", "buy").total)
    done = [net.distribution("buy", do={"browse": x}).mean[0] for x in (0.0, 1.0)]
    assert done[1] - done[0] == pytest.approx(total)
    seen = [net.distribution("buy", given={"browse": x}).mean[0] for x in (0.0, 1.0)]
    implied = fit.implied
    assert seen[1] - seen[0] == pytest.approx(implied.loc["browse", "buy"] / implied.loc["browse", "browse"])
    # Taste confounds: seeing someone browse says more about buying than making them browse.
    assert seen[1] - seen[0] > total + 0.1


@pytest.mark.parametrize("meanstructure", [False, True])
def test_without_questions_the_network_is_the_fitted_distribution(meanstructure: bool) -> None:
    frame = rows()
    fit = fit_sem(MODEL, frame, preset="dag", meanstructure=meanstructure)
    whole = bayesian_network(fit).distribution()
    np.testing.assert_allclose(whole.mean, frame[list(whole.names)].mean(), rtol=1e-10)
    np.testing.assert_allclose(whole.covariance, fit.implied, rtol=1e-10)


def test_seeing_a_cause_without_confounders_is_doing() -> None:
    net = bayesian_network(fit_sem(MODEL, rows(), preset="dag"))
    one, two = net.distribution("buy", do={"ad": 3.0}, given={"taste": 0.0}), net.distribution("buy", given={"ad": 3.0, "taste": 0.0})
    np.testing.assert_allclose(one.mean, two.mean)
    np.testing.assert_allclose(one.covariance, two.covariance)


def test_simulation_has_the_distribution_it_was_asked_for() -> None:
    net = bayesian_network(fit_sem(MODEL, rows(), preset="dag"))
    for do in ({}, {"browse": 2.0}):
        drawn, want = net.simulate(20_000, do=do, seed=1), net.distribution(do=do)
        np.testing.assert_allclose(drawn.mean(), want.mean, atol=4.5 * 1.6 / np.sqrt(20_000))
        np.testing.assert_allclose(drawn.cov(), want.covariance, atol=0.15)
    pd.testing.assert_frame_equal(net.simulate(5, seed=3), net.simulate(5, seed=3))
    share = float((net.simulate(20_000, do={"browse": 2.0}, seed=2)["buy"] > 4).mean())
    assert net.distribution("buy", do={"browse": 2.0}).above("buy", 4.0) == pytest.approx(share, abs=0.02)


def test_a_counterfactual_keeps_the_unit_and_changes_what_follows() -> None:
    frame = rows(200)
    fit = fit_sem(MODEL, frame, preset="dag")
    net, b = bayesian_network(fit), fit.coefficients
    would = net.counterfactuals(frame.iloc[:5], {"browse": 0.0}).droplevel("draw")
    # By hand: upstream stays, errors stay, the change travels along the arrows.
    change = 0.0 - frame["browse"].iloc[:5]
    np.testing.assert_allclose(would["ad"], frame["ad"].iloc[:5])
    np.testing.assert_allclose(would["cart"], frame["cart"].iloc[:5] + b["cart~browse"] * change)
    np.testing.assert_allclose(would["buy"], frame["buy"].iloc[:5] + b["buy~cart"] * b["cart~browse"] * change)


def test_setting_what_was_seen_changes_nothing() -> None:
    frame = rows(50)
    net = bayesian_network(fit_sem(MODEL, frame, preset="dag"))
    same = net.counterfactuals(frame, {"browse": frame["browse"].to_numpy()}, draws=2)
    np.testing.assert_allclose(same.xs(1, level="draw"), frame[list(same.columns)], atol=1e-9)


def test_what_was_not_seen_is_drawn_from_its_distribution_given_what_was() -> None:
    frame = rows()
    net = bayesian_network(fit_sem(MODEL, frame, preset="dag"))
    seen = {"browse": 3.0, "cart": 1.0}
    drawn = net.counterfactuals(seen, {}, draws=20_000, seed=0)
    want = net.distribution(given=seen)
    np.testing.assert_allclose(drawn.mean(), want.mean, atol=0.05)
    np.testing.assert_allclose(drawn.cov(), want.covariance, atol=0.06)
    missing = pd.DataFrame([seen, {"browse": np.nan, "cart": 1.0}])
    both = net.counterfactuals(missing, {"ad": 0.0}, draws=3, seed=0)
    assert np.isfinite(both.to_numpy()).all()
    assert both.xs(0)["browse"].nunique() == 3  # another ad, another browse: its error was open
    assert (both["ad"] == 0.0).all()


def test_latent_variables_are_inferred_before_they_act() -> None:
    rng = np.random.default_rng(2)
    taste = rng.normal(size=2000)
    frame = pd.DataFrame({n: w * taste + 0.5 * rng.normal(size=2000) for n, w in (("a", 1.0), ("b", 0.8), ("c", 1.2))})
    frame["buy"] = 0.7 * taste + 0.4 * frame["a"] + rng.normal(size=2000)
    net = bayesian_network(fit_sem("f =~ a + b + c\nbuy ~ f + a", frame))
    would = net.counterfactuals(frame.iloc[:3], {"f": 0.0}, draws=2000, seed=0).groupby("unit").mean()
    # Errors of the indicators are what the factor scores leave: E[e | y] = y − λ E[f | y].
    score = net.distribution("f", given=dict(frame.iloc[0])).mean[0]
    loading = net.conditional("c")["f"]
    assert would["c"].iloc[0] == pytest.approx(frame["c"].iloc[0] - loading * score, abs=0.05)
    assert set(net.distribution().names) == set(frame.columns)


def test_units_scale_with_the_data() -> None:
    frame = rows(500)
    scaled = frame * [1e2, 1.0, 1e2, 1e-1, 1.0]
    one = bayesian_network(fit_sem(MODEL, frame, preset="dag"))
    two = bayesian_network(fit_sem(MODEL, scaled, preset="dag"))
    a = one.counterfactuals(frame[["browse", "buy"]], {"browse": 1.0}, seed=4)
    b = two.counterfactuals(scaled[["browse", "buy"]], {"browse": 1e2}, seed=4)
    assert two.distribution("buy", given={"cart": 0.1}).mean[0] == pytest.approx(one.distribution("buy", given={"cart": 1.0}).mean[0])
    np.testing.assert_allclose(a["buy"].groupby("unit").mean(), b["buy"].groupby("unit").mean(), atol=1e-6)


def test_groups_have_networks_of_their_own() -> None:
    frame = rows().assign(platform=np.tile(["app", "web"], 1500))
    frame.loc[frame["platform"] == "web", "buy"] -= 0.5 * frame["cart"]
    fit = fit_sem(MODEL, frame, preset="dag", group="platform")
    app, web = (bayesian_network(fit, group=g).conditional("buy")["cart"] for g in (1, 2))
    assert app - web == pytest.approx(0.5, abs=0.1)


def test_questions_that_make_no_sense_are_refused() -> None:
    frame = rows(100)
    net = bayesian_network(fit_sem(MODEL, frame, preset="dag"))
    with pytest.raises(UnknownNameError, match="browse"):
        net.distribution("brows")
    with pytest.raises(SettingError, match="set or seen"):
        net.distribution("buy", do={"browse": 1.0}, given={"browse": 1.0})
    with pytest.raises(DataError, match="numbers"):
        net.counterfactuals(frame.assign(cart="much"), {"browse": 1.0})
    with pytest.raises(SettingError, match="draws"):
        net.counterfactuals(frame, {"browse": 1.0}, draws=0)
    with pytest.raises(SettingError, match="feedback"):
        bayesian_network(fit_sem("buy ~ cart + taste\ncart ~ buy + browse", frame))
