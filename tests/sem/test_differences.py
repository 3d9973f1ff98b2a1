"""Scaled differences, standardised residuals and scores of ordered indicators: identities, simulation, another optimiser."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import ndtr

from causalsem.errors import SettingError
from causalsem.sem import compare, fit_sem

CFA = "f =~ a + b + c + d"
PAIRS = "a ~~ b + c + d\nb ~~ c + d\nc ~~ d"


def items(n: int = 400, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    f = rng.normal(size=n)
    return pd.DataFrame({name: load * f + 0.8 * rng.normal(size=n) for name, load in zip("abcd", (1.0, 0.8, 0.7, 0.9), strict=True)})


def ordered(n: int = 400) -> pd.DataFrame:
    return items(n).apply(lambda column: pd.cut(column, [-np.inf, -0.7, 0.4, np.inf], labels=False))


def test_the_difference_to_a_saturated_model_is_the_test_itself() -> None:
    data = ordered()
    small, large = (fit_sem(model, data, ordered=True) for model in (CFA, PAIRS))
    assert large.measures["df"] == 0
    assert compare(small, large)["chisq_diff"].iloc[1] == pytest.approx(small.measures["chisq.scaled"], rel=1e-7)


@pytest.mark.parametrize("estimator", ["MLM", "MLR"])
def test_all_scaled_differences_are_near_each_other_and_each_is_its_own(estimator: str) -> None:
    data = np.exp(items() / 2)
    wide, narrow = (fit_sem(model, data, estimator=estimator) for model in (CFA, "f =~ a + l*b + l*c + d"))
    methods = ("satorra.bentler.2001", "satorra.bentler.2010") + (("satorra.2000",) if estimator == "MLM" else ())
    found = [compare(wide, narrow, method=m)["chisq_diff"].iloc[1] for m in methods]
    assert len({round(v, 6) for v in found}) == len(found)
    assert max(found) < 1.5 * min(found)


def test_an_unknown_method_is_named_with_the_known_ones() -> None:
    fits = [fit_sem(model, items()) for model in (CFA, "f =~ a + l*b + l*c + d")]
    with pytest.raises(SettingError, match=r"satorra\.2000"):
        compare(*fits, method="wald")


def test_standardised_residuals_have_unit_spread_where_the_model_holds() -> None:
    draws = []
    for seed in range(150):
        table = fit_sem(CFA, items(300, seed)).residual_table("standardized")
        draws.append(table.to_numpy()[np.tril_indices(4, -1)])
    # The standard deviation of 150 draws has a relative error of 6 %.
    np.testing.assert_allclose(np.std(draws, axis=0), 1.0, atol=0.25)


def test_a_saturated_model_leaves_no_residual() -> None:
    for kind in ("raw", "cor.bentler", "cor.bollen"):
        assert np.abs(fit_sem(PAIRS, items()).residual_table(kind).to_numpy()).max() < 1e-9


def test_scores_of_ordered_items_are_the_mode_of_the_posterior() -> None:
    data = ordered(60)
    fit = fit_sem(CFA, ordered(), ordered=True)
    table = fit.parameters.set_index(["lhs", "op", "rhs"])["est"]
    got = fit.factor_scores(data)

    def loss(eta: float, row: pd.Series) -> float:
        total = 0.5 * eta**2 / table["f", "~~", "f"]
        for name in "abcd":
            walls = [-np.inf, table[name, "|", "t1"], table[name, "|", "t2"], np.inf]
            sd, mean = np.sqrt(table[name, "~~", name]), table["f", "=~", name] * eta
            k = int(row[name])
            total -= np.log(ndtr((walls[k + 1] - mean) / sd) - ndtr((walls[k] - mean) / sd))
        return float(total)

    for i in range(5):
        best = minimize(lambda e, i=i: loss(float(e[0]), data.iloc[i]), [0.0], tol=1e-12)
        assert got["f"].iloc[i] == pytest.approx(float(best.x[0]), abs=1e-5)


def test_scores_do_not_depend_on_the_parameterisation() -> None:
    data = ordered()
    delta, theta = (fit_sem(CFA, data, ordered=True, std_lv=True, parameterization=kind) for kind in ("delta", "theta"))
    np.testing.assert_allclose(delta.factor_scores(), theta.factor_scores(), atol=1e-5)


def test_scores_without_a_prior_have_no_number_for_extreme_rows() -> None:
    data = ordered()
    scores = fit_sem(CFA, data, ordered=True).factor_scores(method="ml")
    extreme = (data == 0).all(axis=1) | (data == 2).all(axis=1)
    assert scores["f"].isna().equals(extreme)


def test_coefficients_free_of_exogenous_units_keep_those_units() -> None:
    data = items().assign(x=np.random.default_rng(5).normal(size=400))
    fit = fit_sem(CFA + "\nf ~ x", data)
    rows = fit.parameters.set_index(["lhs", "op", "rhs"])
    sd = np.sqrt(fit.samples[0].covariance[-1, -1])
    assert rows.loc[("f", "~", "x"), "std_nox"] == pytest.approx(rows.loc[("f", "~", "x"), "std_all"] / sd)
    assert rows.loc[("f", "=~", "b"), "std_nox"] == pytest.approx(rows.loc[("f", "=~", "b"), "std_all"])
