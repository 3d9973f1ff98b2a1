"""Row tests against scipy, closed forms, each other and their level; kinds of columns; missing values."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2, chi2_contingency, norm

from causalsem._values import FloatArray
from causalsem.behaviour import moments
from causalsem.discovery import (
    FCI,
    KCI,
    PC,
    RFCI,
    TESTS,
    ChiSquare,
    ConditionalGaussian,
    FisherZ,
    GSquare,
    RegressionTest,
    bootstrap,
    degenerate_moments,
    discover,
    mixed_moments,
    rank_moments,
    variable_kinds,
)
from causalsem.discovery.discover import stacked
from causalsem.discovery.independence.row_tests import RowTests
from causalsem.errors import DataError, InputError, SettingError, UnknownNameError
from causalsem.graph.classes import is_cpdag
from tests.discovery.worlds import random_dag, sample


def p_value(rows: FloatArray, test: Any) -> float:
    """The p-value of columns 0 and 1 given the others."""
    tests = RowTests(rows, test)
    z = tests.z(np.array([[0, 0, 1]]), np.arange(2, rows.shape[1]).reshape(1, 1, -1))
    return float(2 * norm.sf(z[0, 0]))


def zero_inflated(rng: np.random.Generator, push: FloatArray) -> FloatArray:
    happens = rng.random(len(push)) < 1 / (1 + np.exp(-push))
    return np.asarray(happens * (1.0 + rng.poisson(np.exp(np.clip(0.5 + 0.7 * push, -4, 4)))))


def standard(x: FloatArray) -> FloatArray:
    x = np.log1p(x)
    return np.asarray((x - x.mean()) / x.std())


@pytest.mark.parametrize(("test", "power"), [(GSquare(), "log-likelihood"), (ChiSquare(), "pearson")])
def test_contingency_tests_are_scipys_summed_over_strata(test: Any, power: str) -> None:
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.integers(0, 3, 900), rng.integers(0, 4, 900), rng.integers(0, 2, 900)]).astype(float)
    rows[:, 1] = (rows[:, 1] + rows[:, 0] * (rng.random(900) < 0.1)) % 4
    statistic, df = 0.0, 0
    for stratum in (0, 1):
        told = chi2_contingency(pd.crosstab(*rows[rows[:, 2] == stratum, :2].T), correction=False, lambda_=power)
        statistic, df = statistic + told.statistic, df + told.dof
    assert p_value(rows, test) == pytest.approx(chi2.sf(statistic, df), rel=1e-6)


def test_fisher_z_on_rows_is_fisher_z_from_moments() -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        frame = sample(random_dag(6, 2.5, rng), 200, rng)
        for method in (PC, FCI, RFCI):
            assert discover(frame, method(test=FisherZ())) == discover(frame, method())


def test_conditional_gaussian_is_wilks_on_numbers_and_g_square_on_classes() -> None:
    rng = np.random.default_rng(1)
    rows = sample(random_dag(4, 2, rng), 300, rng).to_numpy()
    inverse = np.linalg.inv(np.corrcoef(rows, rowvar=False))
    r = inverse[0, 1] / np.sqrt(inverse[0, 0] * inverse[1, 1])
    assert p_value(rows, ConditionalGaussian()) == pytest.approx(chi2.sf(-300 * np.log1p(-(r**2)), 1), rel=1e-4)
    classes = (rows > 0).astype(float)
    assert p_value(classes, ConditionalGaussian()) == pytest.approx(p_value(classes, GSquare()), rel=1e-6)


Draw = Callable[[np.random.Generator], FloatArray]


def counts(rng: np.random.Generator) -> FloatArray:
    """x and y zero-inflated, independent given a zero-inflated z that moves both."""
    z = zero_inflated(rng, rng.normal(size=400))
    return np.column_stack([zero_inflated(rng, 1.2 * standard(z)), zero_inflated(rng, 1.2 * standard(z)), z])


def mixed(rng: np.random.Generator) -> FloatArray:
    """A number and a binary, independent given a class."""
    z = rng.integers(0, 3, 400)
    return np.column_stack([z + rng.normal(size=400), rng.random(400) < 0.2 + 0.3 * z, z]).astype(float)


def classes(rng: np.random.Generator) -> FloatArray:
    x = mixed(rng)
    x[:, 0] = np.digitize(x[:, 0], [0.5, 1.5])
    return x


@pytest.mark.parametrize(
    ("draw", "test"),
    [(counts, RegressionTest()), (mixed, RegressionTest()), (mixed, ConditionalGaussian()), (classes, GSquare()), (classes, ChiSquare())],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_tests_hold_their_level_on_data_of_their_kind_and_see_a_relation(draw: Draw, test: Any) -> None:
    rejected = seen = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        rows = draw(rng)
        rejected += p_value(rows, test) < 0.05
        # Without z the two depend.
        seen += p_value(rows[:, :2], test) < 0.05
    # 200 draws at 0.05: 10 ± 3.1; four such errors are allowed.
    assert rejected <= 22
    assert seen >= 180


def test_plain_fisher_z_is_far_off_where_blocks_hold_the_level() -> None:
    rejected = {"raw": 0, "blocks": 0}
    for seed in range(200):
        rng = np.random.default_rng(seed)
        z = zero_inflated(rng, rng.normal(size=2000))
        push = 2.0 * (z > 0) - 1
        frame = pd.DataFrame({"x": zero_inflated(rng, push), "y": zero_inflated(rng, push), "z": z})
        for name, m in (("raw", moments(frame)), ("blocks", mixed_moments(frame))):
            value = stacked(m).z(np.array([[0, 0, 1]]), np.array([[[2]]]))[0, 0]
            rejected[name] += 2 * norm.sf(value) < 0.05
    assert rejected["blocks"] <= 22
    assert rejected["raw"] >= 150


def test_kernels_see_a_parabola_that_correlations_do_not() -> None:
    rng = np.random.default_rng(3)
    x = rng.uniform(-1, 1, 300)
    rows = np.column_stack([x, x**2 + 0.1 * rng.normal(size=300), rng.normal(size=300)])
    assert p_value(rows, KCI(rows=200)) < 1e-6
    assert p_value(rows, FisherZ()) > 0.01
    assert p_value(rows[:, [0, 2, 1]], KCI(rows=200)) > 0.01


@pytest.mark.parametrize("test", [test() for test in TESTS if test is not KCI], ids=lambda t: type(t).__name__)
def test_pc_by_every_test_is_a_cpdag_whatever_the_column_order_and_takes_missing_values(test: Any) -> None:
    rng = np.random.default_rng(4)
    frame = (sample(random_dag(5, 2, rng), 500, rng) * 1.2).round().clip(-2, 2)
    frame = frame.mask(pd.DataFrame(rng.random(frame.shape) < 0.05, columns=frame.columns))
    graph = discover(frame, PC(test=test))
    assert is_cpdag(graph.marks)
    assert discover(frame[["v3", "v1", "v4", "v0", "v2"]], PC(test=test)) == graph
    assert graph.provenance["settings"]["test"]["test"] == type(test).__name__
    assert set(test.assumes) <= set(graph.provenance["assumes"])


def test_a_test_needs_rows_that_vary_and_is_one_of_the_table() -> None:
    rng = np.random.default_rng(5)
    frame = sample(random_dag(3, 2, rng), 60, rng)
    with pytest.raises(DataError, match=r"PC\(test=GSquare\(\)\) needs rows, but was given Moments"):
        discover(moments(frame), PC(test=GSquare()))
    with pytest.raises(DataError, match=r"constant variables \['v1'\]; drop"):
        discover(frame.assign(v1=1.0), PC(test=GSquare()))
    with pytest.raises(InputError, match=r"not an independence test; hand in one of FisherZ\(\)"):
        PC(test="gsquare")  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(SettingError, match="none of our tests"):
        discover(frame, PC(test=GSquare(), engine="causal-learn"))


def test_bootstrap_draws_rows_for_tests_that_read_them() -> None:
    rng = np.random.default_rng(6)
    binary = (sample(random_dag(3, 2, rng), 300, rng) > 0).astype(float)
    stability = bootstrap(binary, PC(test=GSquare()), times=5)
    assert stability.times == 5


def test_rank_moments_do_not_depend_on_monotone_scales_and_see_through_them() -> None:
    rng = np.random.default_rng(7)
    frame = sample(random_dag(5, 2.5, rng), 3000, rng)
    bent = np.exp(2 * frame)
    assert rank_moments(bent).covariance == pytest.approx(rank_moments(frame).covariance)
    assert rank_moments(bent).covariance == pytest.approx(moments(frame).correlation, abs=0.05)
    assert discover(rank_moments(bent), "PC") == discover(moments(frame), "PC")


def test_em_moments_undo_the_bias_of_values_missing_by_what_is_seen() -> None:
    rng = np.random.default_rng(8)
    x = rng.normal(size=20_000)
    y = 0.8 * x + 0.6 * rng.normal(size=20_000)
    frame = pd.DataFrame({"x": x, "y": np.where((x > 0) & (rng.random(20_000) < 0.9), np.nan, y)})
    m = moments(frame, missing="em")
    assert m.correlation[0, 1] == pytest.approx(0.8, abs=0.02)
    assert m.mean[1] == pytest.approx(0, abs=0.03)
    assert abs(moments(frame.dropna()).mean[1]) > 0.3
    assert m.n == int(frame.notna().all(axis=1).sum())
    with pytest.raises(SettingError, match="missing='em' does not go with many tables"):
        moments(iter([]), missing="em")


def test_kinds_of_columns_are_seen_or_said() -> None:
    rng = np.random.default_rng(9)
    frame = pd.DataFrame(
        {
            "clicked": rng.integers(0, 2, 800),
            "stars": rng.integers(1, 6, 800),
            "platform": rng.integers(0, 4, 800),
            "buys": rng.poisson(0.8, 800),
            "items": 5 + rng.poisson(30, 800),
            "spent": np.exp(rng.normal(size=800)),
            "gain": rng.standard_t(2, 800),
            "age": rng.normal(40, 9, 800),
        }
    )
    told = variable_kinds(frame, {"platform": "nominal"})
    kinds = ("binary", "ordinal", "nominal", "zero-inflated", "count", "skewed", "heavy-tailed", "continuous")
    assert tuple(told.values()) == kinds
    m = mixed_moments(frame, kinds={"platform": "nominal"})
    assert m.columns[2] == ("platform = 1", "platform = 2", "platform = 3")
    assert m.columns[5:] == (("log(1 + spent)",), ("normal scores of gain",), ("age",))
    assert degenerate_moments(frame).columns[1] == tuple(f"stars = {k}" for k in range(2, 6))
    same = mixed_moments(frame.head(400), like=m) + mixed_moments(frame.tail(400), like=m)
    assert same.columns == m.columns
    with pytest.raises(UnknownNameError, match="did you mean 'buys'"):
        variable_kinds(frame, {"buy": "count"})
    with pytest.raises(SettingError, match="unknown kinds"):
        variable_kinds(frame, {"buys": "numbers"})  # type: ignore[dict-item]  # wrong on purpose


def test_blocks_of_indicators_see_a_class_that_numbers_do_not() -> None:
    rng = np.random.default_rng(10)
    platform = rng.integers(0, 4, 1500)
    frame = pd.DataFrame({"platform": platform, "buys": np.isin(platform, [0, 3]) * 0.8 + rng.normal(size=1500)})
    assert not list(discover(frame, "PC").edges)
    assert [e[:2] for e in discover(mixed_moments(frame, kinds={"platform": "nominal"}), "PC").edges] == [("platform", "buys")]
    for method in ("GES", "BOSS", "FLOP", "GRaSP"):
        assert [e[:2] for e in discover(mixed_moments(frame, kinds={"platform": "nominal"}), method).edges] == [("platform", "buys")]


def test_missing_values_are_said_where_they_cannot_be_used() -> None:
    rng = np.random.default_rng(11)
    frame = sample(random_dag(3, 2, rng), 60, rng)
    frame.iloc[3, 1] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DataError, match=r"missing values in \['v1'\]"):
            discover(frame, "PC")
    assert discover(frame, "auto").nodes == ("v0", "v1", "v2")
