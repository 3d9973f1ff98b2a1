"""Two-level models: against the likelihood written out cluster by cluster, against one-level answers, and invariants."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from causalsem.errors import DataWarning, SettingError
from causalsem.sem import SEMFit, fit_sem
from causalsem.sem.estimators import Setup
from causalsem.sem.two_level import TwoLevelML

MODEL = "level: 1\nf =~ a + b + c\nf ~ x\nlevel: 2\ng =~ a + b + c\ng ~ w\nd ~ g"


def shops(seed: int = 2, clusters: int = 40) -> pd.DataFrame:
    """Return customers in shops of 1 to 7: a factor of three items on each level, x within, w and d of the shop."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 8, clusters)
    shop = np.repeat(np.arange(clusters), sizes)
    n, w = len(shop), rng.normal(size=clusters)
    g = 0.6 * w + 0.7 * rng.normal(size=clusters)
    x = 0.8 + rng.normal(size=n)
    f = 0.5 * x + rng.normal(size=n)
    out: dict[str, object] = {"shop": shop, "x": x, "w": w[shop], "d": (0.7 * g + rng.normal(size=clusters))[shop]}
    for k, name in enumerate("abc"):
        out[name] = (1 - 0.1 * k) * (f + g[shop]) + 0.3 * rng.normal(size=clusters)[shop] + rng.normal(size=n) + k
    return pd.DataFrame(out)


def dense_logl(fit: SEMFit, data: pd.DataFrame) -> float:
    """Return the log-likelihood of every cluster's rows as one long normal vector."""
    within, between = fit.at(1), fit.at(2)
    w, b = fit.samples[0].names, fit.samples[1].names
    total = 0.0
    for _, part in data.groupby("shop"):
        s = len(part)
        cells = [(n, i) for n in w for i in range(s)] + [(n, -1) for n in b if n not in w]
        mean, V, y = np.zeros(len(cells)), np.zeros((len(cells),) * 2), np.zeros(len(cells))
        for r, (n, i) in enumerate(cells):
            y[r] = part[n].iloc[max(i, 0)]
            mean[r] = (within.mu[w.index(n)] if i >= 0 else 0.0) + (between.mu[b.index(n)] if n in b else 0.0)
            for c, (m, j) in enumerate(cells):
                if n in b and m in b:
                    V[r, c] += between.sigma[b.index(n), b.index(m)]
                if i == j >= 0:
                    V[r, c] += within.sigma[w.index(n), w.index(m)]
        off = y - mean
        total -= 0.5 * (len(y) * np.log(2 * np.pi) + np.linalg.slogdet(V)[1] + off @ np.linalg.solve(V, off))
    return float(total)


def problem_of(fit: SEMFit) -> TwoLevelML:
    found = Setup.build(fit.samples, fit.options).discrepancy(fit.rams, fit.table.count)
    assert isinstance(found, TwoLevelML)
    return found


def test_the_likelihood_is_that_of_whole_clusters() -> None:
    data = shops()
    fit = fit_sem(MODEL, data, cluster="shop", fixed_x=False)
    assert fit.measures["logl"] == pytest.approx(dense_logl(fit, data), abs=1e-8)


def test_scores_of_clusters_sum_to_the_gradient() -> None:
    fit = fit_sem(MODEL, shops(), cluster="shop")
    problem, off = problem_of(fit), np.array(fit.theta) + 0.05
    point = problem.at(off)
    assert point is not None
    np.testing.assert_allclose(problem.scores(off).sum(axis=0), -fit.n * point.derivatives().gradient, atol=1e-8)


def test_derivatives_are_those_of_differences() -> None:
    fit = fit_sem(MODEL, shops(), cluster="shop")
    problem, theta = problem_of(fit), np.array(fit.theta) + 0.05
    at = problem.normal.at(theta)
    assert at is not None
    exact = at.derivatives(hessian=True)
    assert exact.hessian is not None
    for k in range(len(theta)):
        step = np.zeros(len(theta))
        step[k] = 1e-5
        up, down = problem.at(theta + step), problem.at(theta - step)
        assert up is not None
        assert down is not None
        assert exact.gradient[k] == pytest.approx((up.value - down.value) / 2e-5, abs=1e-8)
        np.testing.assert_allclose(exact.hessian[k], (up.derivatives().gradient - down.derivatives().gradient) / 2e-5, atol=1e-6)


@pytest.mark.parametrize("estimator", ["ML", "MLR"])
def test_moving_a_covariate_moves_intercepts_only(estimator: str) -> None:
    # lavaan 0.6-14 fails this for MLR: its scores leave out the within means.
    data = shops()
    one = fit_sem(MODEL, data, cluster="shop", estimator=estimator)
    two = fit_sem(MODEL, data.assign(x=data["x"] - 3), cluster="shop", estimator=estimator)
    rows = one.parameters["op"] != "~1"
    np.testing.assert_allclose(one.parameters.loc[rows, "est"], two.parameters.loc[rows, "est"], rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(one.parameters.loc[rows, "se"], two.parameters.loc[rows, "se"], rtol=1e-5, atol=1e-8)


def test_levels_have_a_column_and_names_of_their_own() -> None:
    fit = fit_sem(MODEL, shops(), cluster="shop")
    assert set(fit.parameters["level"]) == {1, 2}
    assert "a~~a" in fit.names
    assert "a~~a.l2" in fit.names
    assert set(fit.residuals) == {"within", "between"}
    assert fit.n == len(shops())


def test_a_two_level_fit_is_the_same_after_saving(tmp_path: object) -> None:
    fit = fit_sem(MODEL, shops(), cluster="shop")
    pd.testing.assert_frame_equal(SEMFit.load(fit.save(f"{tmp_path}/fit.json")).parameters, fit.parameters)


def test_equal_loadings_across_levels_are_one_parameter() -> None:
    fit = fit_sem("level: 1\nf =~ a + l*b + c\nlevel: 2\ng =~ a + l*b + c", shops(), cluster="shop")
    rows = fit.parameters.query("label == 'l'")
    assert list(rows["level"]) == [1, 2]
    assert rows["est"].iloc[0] == rows["est"].iloc[1]


def test_rows_with_missing_values_are_left_out_with_a_warning() -> None:
    data = shops()
    data.loc[3, "a"] = np.nan
    with pytest.warns(DataWarning, match="1 of"):
        fit_sem(MODEL, data, cluster="shop")


def test_lavaan_text_of_a_two_level_fit_gives_the_same_fit() -> None:
    fit = fit_sem(MODEL, shops(), cluster="shop")
    again = fit_sem(fit.to_lavaan(), shops(), cluster="shop", preset="lavaan")
    assert again.measures["chisq"] == pytest.approx(fit.measures["chisq"], rel=1e-9)
    assert again.measures["df"] == fit.measures["df"]


def test_modification_indices_tell_the_level() -> None:
    frame = fit_sem(MODEL, shops(), cluster="shop").modification_indices()
    assert set(frame["level"]) == {1, 2}
    assert "group" not in frame


def test_a_two_level_fit_says_why_it_has_no_bootstrap() -> None:
    with pytest.raises(SettingError, match=r"whole clusters.*MLR"):
        fit_sem(MODEL, shops(), cluster="shop").bootstrap(10)


@pytest.mark.filterwarnings("ignore::causalsem.errors.AssumptionWarning")
def test_a_variable_that_does_not_vary_between_clusters_is_named() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal(400)
    data = pd.DataFrame({"x": x, "y": 0.5 * x + rng.standard_normal(400), "c": np.arange(400) // 10})
    with pytest.warns(DataWarning, match=r"\['y'\] vary no more between clusters than their units do by chance"):
        fit_sem("level: 1\ny ~ x\nlevel: 2\ny ~~ y\n", data, cluster="c")
