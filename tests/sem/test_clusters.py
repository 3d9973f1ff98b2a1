"""Rows in clusters of one and of two ways: against written-out sums, least squares, coverage in simulated worlds, and invariants."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from causalsem._clusters import Clusters, without_negative
from causalsem.behaviour import BehaviourTable, moments
from causalsem.errors import AssumptionWarning, DataError, SettingError, UnknownNameError
from causalsem.sem import SEMFit, fit_sem
from causalsem.sem.discrepancy import NormalPoint
from causalsem.sem.estimators import Setup
from causalsem.sem.fourth_moments import FourthMoments, are_worthwhile, summed_cross_products
from causalsem.sem.robust import cross_products, score_matrix

BOTH = ("user", "item")
CHAIN = "browse ~ a*exposure\nbuy ~ b*browse + exposure\nind := a*b"


def crossed(users: int, items: int, seed: int, *, kept: float = 1.0) -> pd.DataFrame:
    """Return pairs whose exposure and errors have parts of the user and of the item; true paths .5, .4 and .2."""
    rng = np.random.default_rng(seed)
    u, i = (k.ravel() for k in np.meshgrid(np.arange(users), np.arange(items), indexing="ij"))

    def drawn(of_user: float, of_item: float) -> np.ndarray:
        return of_user * rng.normal(size=users)[u] + of_item * rng.normal(size=items)[i] + rng.normal(size=len(u))

    exposure = drawn(0.7, 0.7)
    browse = 0.5 * exposure + drawn(0.6, 0.5)
    buy = 0.4 * browse + 0.2 * exposure + drawn(0.5, 0.6)
    frame = pd.DataFrame({"user": u, "item": i, "exposure": exposure, "browse": browse, "buy": buy})
    return frame[rng.random(len(frame)) < kept].reset_index(drop=True)


def pairs_of(frame: pd.DataFrame) -> BehaviourTable:
    return BehaviourTable.from_frame(frame, user="user", item="item")


def se(fit: SEMFit, *names: str) -> np.ndarray:
    return np.array([dict(zip(fit.names, fit.se, strict=True))[n] for n in names])


def test_the_spread_of_two_ways_is_that_of_users_plus_items_less_pairs() -> None:
    rng = np.random.default_rng(0)
    n = 60
    user, item, scores = rng.integers(0, 7, n), rng.integers(0, 5, n), rng.normal(size=(n, 3))

    def one_way(labels: list[object]) -> np.ndarray:
        same = np.array([[a == b for b in labels] for a in labels], dtype=float)
        groups = len(set(labels))
        return groups / (groups - 1) * scores.T @ same @ scores

    want = one_way(list(user)) + one_way(list(item)) - one_way(list(zip(user, item, strict=True)))
    np.testing.assert_allclose(Clusters.of({"user": user, "item": item}).spread(scores), want, rtol=1e-12)


def test_three_ways_count_each_pair_of_rows_that_shares_any_of_them_once() -> None:
    rng = np.random.default_rng(1)
    labels, scores = rng.integers(0, 4, (3, 50)), rng.normal(size=(50, 2))
    made = Clusters.of(dict(zip("abc", labels, strict=True)))
    # Without the factors of few clusters, inclusion and exclusion leave every pair that shares something.
    plain = sum(np.sign(t.factor) * _summed(t.member, scores) for t in made.terms())
    shares = (labels[:, :, None] == labels[:, None, :]).any(axis=0)
    np.testing.assert_allclose(plain, scores.T @ shares @ scores, rtol=1e-12)


def _summed(member: np.ndarray | None, scores: np.ndarray) -> np.ndarray:
    codes = np.arange(len(scores)) if member is None else member
    return scores.T @ (codes[:, None] == codes) @ scores


@pytest.mark.parametrize("cluster", ["user", BOTH])
@pytest.mark.parametrize("model", ["browse ~ exposure\nbuy ~ browse", "f =~ exposure + browse + buy"])
def test_one_pass_over_clusters_gives_the_spread_of_every_rows_scores(model: str, cluster: object) -> None:
    fit = fit_sem(model, crossed(30, 25, seed=3, kept=0.6), cluster=cluster)
    setup = Setup.build(fit.samples, fit.options)
    point = setup.discrepancy(fit.rams, fit.table.count).at(np.array(fit.theta))
    assert isinstance(point, NormalPoint)
    assert are_worthwhile(fit.samples)
    want = cross_products(score_matrix(point, fit.samples), fit.samples)
    got = summed_cross_products(point.groups, [FourthMoments.of(s) for s in fit.samples], point.count, centred=False)
    scale = np.sqrt(np.outer(np.diag(want), np.diag(want)))
    np.testing.assert_allclose(got / scale, want / scale, atol=1e-10)


def test_errors_of_a_regression_are_those_of_least_squares_with_a_two_way_sandwich() -> None:
    frame = crossed(40, 30, seed=4, kept=0.7)
    fit = fit_sem("buy ~ browse + exposure", frame, cluster=BOTH)
    X = np.column_stack([frame["browse"], frame["exposure"], np.ones(len(frame))])
    beta, *_ = np.linalg.lstsq(X, frame["buy"], rcond=None)
    scores = X * (frame["buy"].to_numpy() - X @ beta)[:, None]

    def meat(labels: pd.Series) -> np.ndarray:
        sums = pd.DataFrame(scores).groupby(labels.to_numpy()).sum().to_numpy()
        return len(sums) / (len(sums) - 1) * sums.T @ sums

    bread = np.linalg.inv(X.T @ X)
    pair = frame["user"].astype(str) + "/" + frame["item"].astype(str)
    V = bread @ (meat(frame["user"]) + meat(frame["item"]) - meat(pair)) @ bread
    np.testing.assert_allclose(se(fit, "buy~browse", "buy~exposure", "buy~1"), np.sqrt(np.diag(V)), rtol=1e-7)


def test_statsmodels_gives_the_same_two_way_errors() -> None:
    sm = pytest.importorskip("statsmodels.api")
    frame = crossed(40, 30, seed=4, kept=0.7)
    X = sm.add_constant(frame[["browse", "exposure"]])
    groups = frame[["user", "item"]].to_numpy()
    want = sm.OLS(frame["buy"], X).fit(cov_type="cluster", cov_kwds={"groups": groups}).bse[["browse", "exposure"]]
    fit = fit_sem("buy ~ browse + exposure", frame, cluster=BOTH)
    # Its correction has (n − 1)/(n − k) beside G/(G − 1).
    n = len(frame)
    np.testing.assert_allclose(se(fit, "buy~browse", "buy~exposure"), want * np.sqrt((n - 3) / (n - 1)), rtol=1e-7)


def test_items_of_one_row_each_leave_the_errors_of_users() -> None:
    frame = crossed(30, 20, seed=5).assign(item=np.arange(600))
    two, one = fit_sem(CHAIN, frame, cluster=BOTH), fit_sem(CHAIN, frame, cluster="user")
    np.testing.assert_allclose(two.se, one.se, rtol=1e-9)
    np.testing.assert_allclose(fit_sem(CHAIN, frame, cluster=("user", "user")).se, one.se, rtol=1e-9)


def test_rows_of_their_own_have_the_errors_of_independent_rows() -> None:
    frame = crossed(30, 20, seed=6).assign(user=np.arange(600), item=np.arange(600))
    one, none = fit_sem(CHAIN, frame, cluster=BOTH), fit_sem(CHAIN, frame, estimator="MLR", meanstructure=True)
    np.testing.assert_allclose(one.se, none.se * np.sqrt(600 / 599), rtol=1e-9)


def test_intervals_cover_the_truth_of_paths_and_indirect_effects_and_those_of_independent_rows_do_not() -> None:
    # A share of 150 worlds has the standard error .018; 120 and 100 clusters cost about one point of the .95.
    times, truth = 150, {"a": 0.5, "b": 0.4, "ind": 0.2}
    both, none = dict.fromkeys(truth, 0), dict.fromkeys(truth, 0)
    for seed in range(times):
        table = pairs_of(crossed(120, 100, seed=1000 + seed))
        for cluster, hit in ((None, both), ((), none)):
            fit = fit_sem(CHAIN, table, cluster=cluster)
            told = {n: (fit.coefficients[n], *se(fit, n)) for n in ("a", "b")} | {n: (v, e) for n, v, e in fit.defined}
            for name, true in truth.items():
                hit[name] += abs(told[name][0] - true) <= 1.96 * told[name][1]
    assert all(0.89 <= both[name] / times <= 0.996 for name in truth), both
    assert all(none[name] / times < 0.65 for name in truth), none


def test_the_scaled_test_of_a_true_model_rejects_about_as_often_as_it_says() -> None:
    rejected, plain, times = 0, 0, 150
    for seed in range(times):
        rng = np.random.default_rng(seed)
        frame = crossed(50, 40, seed=3000 + seed)
        frame["review"] = 0.5 * frame["buy"] + rng.normal(size=50)[frame["user"]] * 0.6 + rng.normal(size=40)[frame["item"]] * 0.6
        fit = fit_sem("browse ~ exposure\nbuy ~ browse + exposure\nreview ~ buy", pairs_of(frame))
        rejected += fit.exact_test[2] < 0.05
        plain += fit.measures["pvalue"] < 0.05
    assert 0.005 <= rejected / times <= 0.13, rejected
    assert plain / times > 0.5


def test_pairs_of_a_table_are_clustered_by_both_unless_told_otherwise() -> None:
    table = pairs_of(crossed(30, 25, seed=7))
    fit = fit_sem(CHAIN, table)
    assert dict(fit.clusters) == {"user": 30, "item": 25}
    assert "Standard errors are clustered by user (30) and item (25)." in fit.verdict
    assert "n = 750 clustered by user and item" in repr(fit)
    np.testing.assert_array_equal(fit.se, fit_sem(CHAIN, table, cluster=BOTH).se)
    plain = fit_sem(CHAIN, table, cluster=())
    assert not plain.clusters
    assert "independent" not in plain.verdict  # asked for
    np.testing.assert_allclose(plain.se, fit_sem(CHAIN, moments(table), cluster=()).se, rtol=1e-9)
    for options in ({"se": "standard"}, {"estimator": "GLS"}, {"se": "none"}, {"estimator": "MLM"}):
        other = fit_sem(CHAIN, table, **options)
        assert not other.clusters
        assert ("take user–item pairs as independent" in other.verdict) == (other.covariance is not None)
    assert not fit_sem(CHAIN, BehaviourTable.from_frame(crossed(30, 25, seed=7).drop(columns="item"), user="user")).clusters


def test_a_table_of_one_item_is_clustered_by_what_remains() -> None:
    table = pairs_of(crossed(30, 25, seed=7).assign(item=0))
    assert dict(fit_sem("buy ~ browse", table).clusters) == {"user": 30}


def test_moments_of_pairs_are_said_to_know_no_clusters() -> None:
    m = moments(pairs_of(crossed(30, 25, seed=7)))
    with pytest.warns(AssumptionWarning, match="neither user nor item"):
        fit_sem("buy ~ browse", m)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_sem("buy ~ browse", m, cluster=())


def test_a_fit_comes_back_from_its_file_with_its_clusters(tmp_path) -> None:
    fit = fit_sem(CHAIN, pairs_of(crossed(30, 25, seed=7)))
    back = SEMFit.load(fit.save(tmp_path / "fit.json"))
    assert dict(back.clusters) == dict(fit.clusters)
    assert back.options == fit.options
    assert back.effects("exposure", "buy").indirect.se == fit.effects("exposure", "buy").indirect.se


def test_names_of_any_language_and_order_of_rows_make_no_difference() -> None:
    frame = crossed(30, 25, seed=8, kept=0.8)
    renamed = frame.rename(columns={"user": "用户", "item": "物品 编号", "browse": "浏览", "buy": "购买"})
    renamed["用户"] = "顾客" + renamed["用户"].astype(str)
    shuffled = renamed.sample(frac=1.0, random_state=1)
    fit = fit_sem("购买 ~ 浏览", shuffled, cluster=["物品 编号", "用户"])
    assert list(fit.clusters) == ["物品 编号", "用户"]
    np.testing.assert_allclose(fit.se, fit_sem("buy ~ browse", frame, cluster=BOTH).se, rtol=1e-9)


def test_units_of_variables_make_no_difference_even_where_the_covariance_is_repaired() -> None:
    # Six items cannot carry nine parameters, so that the difference of matrices is not positive.
    with pytest.warns(AssumptionWarning, match="few clusters: 12 of 'user', 6 of 'item'"):
        fit = fit_sem(CHAIN, pairs_of(crossed(12, 6, seed=1)))
    assert np.linalg.eigvalsh(fit.covariance).min() > -1e-12
    frame = crossed(12, 6, seed=1).assign(browse=lambda d: 20 * d["browse"], buy=lambda d: 0.1 * d["buy"])
    with pytest.warns(AssumptionWarning, match="few clusters"):
        other = fit_sem(CHAIN, pairs_of(frame))
    np.testing.assert_allclose(other.parameters["z"].to_numpy(), fit.parameters["z"].to_numpy(), rtol=1e-5)


def test_the_repair_is_the_nearest_positive_matrix_and_leaves_positive_ones() -> None:
    V = np.diag([2.0, -1.0, 3.0])
    np.testing.assert_allclose(without_negative(V, np.ones(3)), np.diag([2.0, 0.0, 3.0]))
    good = np.array([[2.0, 0.5], [0.5, 1.0]])
    assert without_negative(good, np.ones(2)) is good


BAD = [
    (("user", "town"), UnknownNameError, "town"),
    (("usr", "item"), UnknownNameError, "did you mean 'user'"),
    (("user", "one"), DataError, "'one' has only one value"),
    (("user", "gap"), DataError, "'gap' has 2 missing values"),
]


@pytest.mark.parametrize(("cluster", "error", "words"), BAD)
def test_what_is_no_cluster_is_refused_by_name(cluster: tuple[str, ...], error: type[Exception], words: str) -> None:
    frame = crossed(30, 25, seed=7).assign(one=1, gap=[None, None] + [1] * 374 + [2] * 374)
    with pytest.raises(error, match=words):
        fit_sem("buy ~ browse", frame, cluster=cluster)


def test_two_ways_and_two_levels_do_not_go_together() -> None:
    with pytest.raises(SettingError, match="one column"):
        fit_sem("level: 1\nbuy ~ browse\nlevel: 2\nbuy ~~ buy", crossed(30, 25, seed=7), cluster=BOTH)
