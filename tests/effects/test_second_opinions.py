"""Against other implementations: statsmodels' robust errors, dowhy's estimators."""

import warnings

import numpy as np
import pandas as pd
import pytest

from causalsem.behaviour import BehaviourTable
from causalsem.effects import IPW, Regression, estimate_effect

sm = pytest.importorskip("statsmodels.api", reason="statsmodels, which dowhy brings, is not installed")


def test_regression_and_its_error_are_statsmodels_hc1(linear_world, given):
    table = linear_world(250)
    fit = sm.OLS(table["y"], sm.add_constant(table[["t", "z1", "z2"]])).fit(cov_type="HC1")
    estimate = estimate_effect(table, given(), Regression())
    assert estimate.value == pytest.approx(fit.params["t"], rel=1e-10)
    assert estimate.se == pytest.approx(fit.bse["t"], rel=1e-10)


def test_errors_clustered_by_user_and_item_are_statsmodels(linear_world, given):
    table = linear_world(1000)
    user, item = np.repeat(np.arange(40), 25), np.tile(np.arange(25), 40)
    rng = np.random.default_rng(11)
    table = table.assign(**{name: table[name] + rng.normal(size=40)[user] + rng.normal(size=25)[item] for name in ("t", "y")})
    kind = {"cov_type": "cluster", "cov_kwds": {"groups": np.column_stack([user, item])}}
    fit = sm.OLS(table["y"], sm.add_constant(table[["t", "z1", "z2"]])).fit(**kind)
    pairs = BehaviourTable.from_frame(table.assign(u=user, i=item), user="u", item="i")
    estimate = estimate_effect(pairs, given(), Regression())
    # statsmodels' factor is G/(G − 1) · (n − 1)/(n − k), ours G/(G − 1) · n/(n − k).
    assert estimate.se * np.sqrt(999 / 1000) == pytest.approx(fit.bse["t"], rel=1e-8)
    one_item = BehaviourTable.from_frame(table.assign(u=user, i=0), user="u", item="i")
    by_user = sm.OLS(table["y"], sm.add_constant(table[["t", "z1", "z2"]])).fit(cov_type="cluster", cov_kwds={"groups": user})
    assert estimate_effect(one_item, given(), Regression()).se * np.sqrt(999 / 1000) == pytest.approx(by_user.bse["t"], rel=1e-8)


@pytest.mark.slow
def test_dowhy_gives_the_same_regression_and_weighting(binary_world, given):
    pytest.importorskip("dowhy", reason="needs dowhy: pip install dowhy")
    table = binary_world(3000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # dowhy's own, about its insides
        from dowhy import CausalModel

        graph = "digraph {z1 -> t; z2 -> t; z1 -> y; z2 -> y; t -> y;}"
        model = CausalModel(table.assign(t=table["t"] > 0), treatment="t", outcome="y", graph=graph)
        found = model.identify_effect(proceed_when_unidentifiable=True)
        line = model.estimate_effect(found, method_name="backdoor.linear_regression", effect_modifiers=[])
        settings = {"weighting_scheme": "ips_normalized_weight", "min_ps_score": 0.0, "max_ps_score": 1.0}
        weighted = model.estimate_effect(
            found, method_name="backdoor.propensity_score_weighting", effect_modifiers=[], method_params=settings
        )
    ours = estimate_effect(table, given(), Regression())
    assert ours.value == pytest.approx(line.value, rel=1e-6)
    inverse = estimate_effect(table, given(), IPW(clip=0.0))
    # Both logistic regressions are slightly penalised, on other scales: far less than a standard error apart.
    assert abs(inverse.value - weighted.value) < 0.1 * inverse.se


def test_a_logistic_regression_is_statsmodels(binary_world):
    from causalsem.effects.regressions import logistic, logistic_influence

    table = binary_world(500)
    X = sm.add_constant(table[["z1", "z2"]]).to_numpy()
    fit = sm.Logit(table["t"], X).fit(disp=0)
    beta = logistic(X, table["t"].to_numpy(), ridge=0.0)
    np.testing.assert_allclose(beta, fit.params, atol=1e-7)
    influence = logistic_influence(X, table["t"].to_numpy(), beta, ridge=0.0)
    robust = sm.Logit(table["t"], X).fit(disp=0, cov_type="HC0")
    np.testing.assert_allclose(np.sqrt((influence**2).sum(axis=0)) / 500, robust.bse, rtol=1e-5)
    assert isinstance(table, pd.DataFrame)
