"""Ordered variables: the bivariate normal, two-stage moments and their errors against theory, simulation and each other."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.special import ndtr

from causalsem.errors import AssumptionWarning, DataWarning
from causalsem.sem import SEMFit, fit_sem
from causalsem.sem.bivariate_normal import density, density_slope, distribution, rectangle
from causalsem.sem.estimators import Setup
from causalsem.sem.margins import ordered_margin
from causalsem.sem.ordinal_model import OrdinalPoint
from causalsem.sem.ordinal_moments import ordinal_moments
from causalsem.sem.pair_correlations import correlate

CFA = "f =~ a + b + c + d"
NONE = np.zeros((0, 0))


def responses(n: int = 600, seed: int = 3) -> pd.DataFrame:
    """Return four ordered items of one factor, a covariate x, a numeric outcome y and two shops."""
    rng = np.random.default_rng(seed)
    x, shop = rng.normal(size=n), np.arange(n) % 2
    f = 0.5 * x + rng.normal(size=n)
    out: dict[str, object] = {"x": x, "shop": np.where(shop, "east", "west")}
    for name, loading in zip("abcd", (1.0, 0.8, 0.7, 0.9), strict=True):
        star = loading * f + 0.8 * rng.normal(size=n)
        out[name] = 1 + (star > -0.6).astype(int) + (star > 0.5)
    out["y"] = 0.6 * f + rng.normal(size=n)
    return pd.DataFrame(out)


@pytest.mark.parametrize("rho", [-0.99, -0.5, 0.0, 0.3, 0.899, 0.95, 0.999])
def test_the_bivariate_normal_is_the_integral_of_its_conditional(rho: float) -> None:
    for h, k in itertools.product((-1.3, 0.0, 0.7), (-0.4, 0.0, 2.1)):
        root = np.sqrt(1 - rho * rho)

        def inside(x: float, k: float = k, root: float = root) -> float:
            return float(np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi) * ndtr((k - rho * x) / root))

        want = quad(inside, -38, h, epsabs=1e-13, limit=400, points=[min(h, k / rho if rho else 0.0)])[0]
        assert distribution(np.array([h]), np.array([k]), rho)[0] == pytest.approx(want, abs=1e-12)


def test_a_rectangle_has_one_probability_by_either_formula() -> None:
    rng = np.random.default_rng(0)
    (a, b), (c, d) = np.sort(rng.normal(size=(2, 2, 50)), axis=1)
    for rho in (-0.8, 0.2, 0.89, 0.95):
        corners = distribution(b, d, rho) - distribution(a, d, rho) - distribution(b, c, rho) + distribution(a, c, rho)
        np.testing.assert_allclose(rectangle(a, b, c, d, rho), corners, atol=1e-14)


def test_the_density_is_the_slope_of_the_distribution_in_the_correlation() -> None:
    h, k, step = np.array([0.4, -1.0]), np.array([-0.3, 0.8]), 1e-5
    slope = (distribution(h, k, 0.35 + step) - distribution(h, k, 0.35 - step)) / (2 * step)
    np.testing.assert_allclose(slope, density(h, k, 0.35), rtol=1e-8)
    second = (density(h, k, 0.35 + step) - density(h, k, 0.35 - step)) / (2 * step)
    np.testing.assert_allclose(second, density(h, k, 0.35) * density_slope(h, k, 0.35), rtol=1e-7)


def test_a_table_at_the_medians_has_the_tetrachoric_correlation_of_sheppard() -> None:
    # Thresholds of 0 on both sides: π₁₁ = 1/4 + asin(ρ)/2π.
    codes = np.repeat([0, 0, 1, 1], [30, 20, 20, 30]), np.repeat([0, 1, 0, 1], [30, 20, 20, 30])
    a, b = (ordered_margin(c, 2, np.zeros((100, 0))) for c in codes)
    assert correlate(a, b, np.zeros((100, 0))).rho == pytest.approx(np.sin(2 * np.pi * 0.3 - np.pi / 2), abs=1e-10)


def test_ordinal_moments_are_consistent_and_their_errors_are_those_of_a_simulation() -> None:
    R = np.array([[1.0, 0.5, 0.4], [0.5, 1.0, 0.3], [0.4, 0.3, 1.0]])
    L, n, draws, errors = np.linalg.cholesky(R), 500, [], []
    for seed in range(120):
        star = np.random.default_rng(seed).normal(size=(n, 3)) @ L.T
        Y = np.column_stack([np.searchsorted([-0.5, 0.6], star[:, 0]), star[:, 1] > 0.2, 2.0 * star[:, 2]]).astype(float)
        m = ordinal_moments(Y, np.array([True, True, False]), [3, 2, 0], np.zeros((n, 0)), "abc")
        draws.append(m.vector)
        errors.append(np.sqrt(np.diag(m.gamma) / n))
    want = np.array([-0.5, 0.6, 0.2, 0.0, 4.0, 0.5, 0.8, 0.6])
    spread = np.std(draws, axis=0)
    assert np.abs((np.mean(draws, axis=0) - want) / spread * np.sqrt(120)).max() < 4
    # The standard deviation of 120 draws has a relative error of 6.5 %.
    assert np.abs(np.mean(errors, axis=0) / spread - 1).max() < 0.25


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (CFA, {"ordered": list("abcd")}),
        (CFA, {"ordered": list("abcd"), "parameterization": "theta"}),
        (CFA + "\nf ~ x\ny ~ f + x", {"ordered": list("abcd")}),
        ("a ~ x\nb ~ a + x\ny ~ b", {"ordered": ["a", "b"], "parameterization": "theta"}),
        (CFA, {"ordered": list("abcd"), "group": "shop", "group_equal": ["loadings", "thresholds"]}),
    ],
)
def test_the_jacobian_of_ordinal_moments_is_that_of_differences(model: str, options: dict[str, object]) -> None:
    fit = fit_sem(model, responses(), **options)
    problem = Setup.build(fit.samples, fit.options).discrepancy(fit.rams, fit.table.count)
    theta = np.array(fit.theta)

    def implied(at: np.ndarray) -> np.ndarray:
        point = problem.at(at)
        assert isinstance(point, OrdinalPoint)
        return np.concatenate([m.vector - e for m, e in zip(point.problem.moments, point.residuals(), strict=True)])

    point = problem.at(theta)
    assert isinstance(point, OrdinalPoint)
    got = np.vstack(point.jacobians())
    for k in range(len(theta)):
        step = np.zeros(len(theta))
        step[k] = 1e-6
        np.testing.assert_allclose(got[:, k], (implied(theta + step) - implied(theta - step)) / 2e-6, atol=2e-8)


def test_delta_and_theta_are_one_model_in_two_units() -> None:
    delta, theta = (fit_sem(CFA + "\nf ~ x", responses(), ordered=list("abcd"), parameterization=kind) for kind in ("delta", "theta"))
    for key in ("chisq", "chisq.scaled", "df", "srmr"):
        assert theta.measures[key] == pytest.approx(delta.measures[key], rel=1e-6)
    loadings = (fit.parameters.query("op == '=~'")["std_all"].to_numpy() for fit in (delta, theta))
    np.testing.assert_allclose(*loadings, rtol=1e-6)
    rows = theta.parameters.query("op == '~~' and lhs in ['a', 'b', 'c', 'd']")
    assert (rows["est"] == 1.0).all()


def test_thresholds_in_the_text_and_ordered_columns_of_pandas_make_a_variable_ordered() -> None:
    data = responses()
    told = fit_sem(CFA, data, ordered=True)
    written = fit_sem(CFA + "\n" + "\n".join(f"{n} | t1 + t2" for n in "abcd"), data)
    typed = fit_sem(CFA, data.assign(**{n: pd.Categorical(data[n], ordered=True) for n in "abcd"}))
    assert told.options.estimator == written.options.estimator == "WLSMV"
    for other in (written, typed):
        assert other.measures["chisq"] == pytest.approx(told.measures["chisq"], rel=1e-10)


def test_an_ordered_mediator_gets_the_theta_parameterisation_and_the_fit_says_so() -> None:
    fit = fit_sem("a ~ x\ny ~ a", responses(), ordered=["a"])
    assert fit.options.parameterization == "theta"
    assert "theta" in fit.verdict


def test_empty_cells_are_named_in_a_warning() -> None:
    data = responses(80)
    data.loc[(data["a"] == 3) & (data["b"] == 1), "b"] = 2
    with pytest.warns(DataWarning, match="a × b"):
        fit_sem(CFA, data, ordered=list("abcd"))


def test_an_ordinal_fit_is_the_same_after_saving(tmp_path: object) -> None:
    fit = fit_sem(CFA, responses(), ordered=list("abcd"))
    back = SEMFit.load(fit.save(f"{tmp_path}/fit.json"))
    pd.testing.assert_frame_equal(back.parameters, fit.parameters)


def test_bounds_and_defined_values_work_on_thresholds() -> None:
    model = "f =~ a + b + c + d\na | s*t1 + t*t2\ngap := t - s"
    fit = fit_sem(model, responses(), ordered=list("abcd"))
    rows = fit.parameters.set_index("label")
    assert rows.loc["gap", "est"] == pytest.approx(rows.loc["t", "est"] - rows.loc["s", "est"])
    with pytest.warns(AssumptionWarning, match="bind"):
        bound = fit_sem(model + "\ngap > 1.5" if rows.loc["gap", "est"] < 1.5 else model + "\ngap < 0.5", responses(), ordered=list("abcd"))
    assert bound.measures["chisq"] > fit.measures["chisq"]


@pytest.mark.parametrize("kind", ["delta", "theta"])
def test_lavaan_text_of_an_ordinal_fit_gives_the_same_fit(kind: str) -> None:
    fit = fit_sem(CFA + "\nf ~ x", responses(), ordered=list("abcd"), parameterization=kind)
    again = fit_sem(fit.to_lavaan(), responses(), preset="lavaan", parameterization=kind)
    assert again.measures["chisq"] == pytest.approx(fit.measures["chisq"], rel=1e-9)
    assert again.measures["df"] == fit.measures["df"]


def test_chinese_names_and_a_graph_work_with_ordered_variables() -> None:
    from causalsem.graph import CausalGraph

    data = responses().rename(columns={"x": "年龄", "a": "购买"})
    fit = fit_sem(CausalGraph.parse("年龄 -> 购买"), data, ordered=["购买"])
    assert fit.coefficients["购买~年龄"] > 0


def test_a_threshold_fixed_in_the_text_keeps_its_place_among_the_others() -> None:
    free = fit_sem(CFA, responses(), ordered=list("abcd"))
    t2 = float(free.coefficients["a|t2"])
    fixed = fit_sem(CFA + f"\na | {t2}*t2", responses(), ordered=list("abcd"))
    assert fixed.measures["chisq"] == pytest.approx(free.measures["chisq"], abs=1e-8)
    assert fixed.coefficients["a|t1"] == pytest.approx(free.coefficients["a|t1"], abs=1e-8)
