"""The bootstrap: raw, standardised and defined values of the same resamples, each what fit_sem gives for those rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from causalsem.errors import ConvergenceWarning, SettingError
from causalsem.sem import fit_sem
from causalsem.sem.batched import fit_many
from causalsem.sem.estimators import Setup


def rows(n: int = 200, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    taste, ad = rng.normal(size=n), rng.exponential(size=n)
    browse, cart = taste + rng.normal(size=n), 0.8 * taste + 0.3 * ad + rng.normal(size=n)
    frame = {"ad": ad, "browse": browse, "cart": cart, "buy": 0.7 * taste + rng.normal(size=n)}
    return pd.DataFrame(frame).assign(shop=np.tile(["east", "west"], n // 2))


MODELS = [
    ("f =~ browse + cart + buy\nf ~ ad", {}),
    ("cart ~ a*browse + ad\nbuy ~ b*cart\nind := a*b", {}),
    ("cart ~ a*browse + ad\nbuy ~ b*cart\nind := a*b", {"meanstructure": True, "fixed_x": False}),
    ("f =~ browse + cart + buy", {"group": "shop", "group_equal": ["loadings", "intercepts"]}),
]


def resample(frame: pd.DataFrame, seed: int, times: int, k: int, groups: list[str]) -> pd.DataFrame:
    """Return the k-th resample, drawn as the documentation says: counts within each group, groups one after the other."""
    rng = np.random.default_rng(seed)
    parts = [frame[frame["shop"] == g] for g in groups] if groups else [frame]
    drawn = [rng.multinomial(len(p), np.full(len(p), 1 / len(p)), size=times)[k] for p in parts]
    return pd.concat([p.loc[np.repeat(p.index, c)] for p, c in zip(parts, drawn, strict=True)], ignore_index=True)


@pytest.mark.parametrize(("model", "options"), MODELS)
def test_each_draw_is_what_fit_sem_gives_for_the_resampled_rows(model: str, options: dict[str, object]) -> None:
    frame = rows()
    boot = fit_sem(model, frame, **options).bootstrap(4, seed=7)
    for k in range(4):
        again = fit_sem(model, resample(frame, 7, 4, k, ["east", "west"] if "group" in options else []), **options)
        np.testing.assert_allclose(boot.draws[k], [*again.theta, *(v for _, v, _ in again.defined)], rtol=1e-4, atol=1e-5)
        for kind in ("std_lv", "std_all"):
            np.testing.assert_allclose(boot.kinds[kind].draws[k], again.parameters[kind], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("model", "options"), MODELS)
def test_estimates_of_the_whole_sample_are_those_of_the_fit(model: str, options: dict[str, object]) -> None:
    fit = fit_sem(model, rows(), **options)
    boot = fit.bootstrap(3)
    for kind in ("std_lv", "std_all"):
        np.testing.assert_allclose(boot.kinds[kind].estimates, fit.parameters[kind], rtol=1e-10, atol=1e-12)


def test_acceleration_is_that_of_the_jackknife() -> None:
    # Efron (1987): the acceleration is the skewness of the influence; leaving out each row in turn shows it.
    frame, model = rows(60), "cart ~ a*browse + ad\nbuy ~ b*cart\nind := a*b"
    boot = fit_sem(model, frame).bootstrap(3)
    left_out = [fit_sem(model, frame.drop(index=k)) for k in range(60)]
    for kind in ("est", "std_all"):
        want = np.array([f.parameters[kind] for f in left_out])
        if kind == "est":
            want = np.array([[*f.theta, f.defined[0][1]] for f in left_out])
        u = want.mean(axis=0) - want
        free = np.abs(u).max(axis=0) > 1e-8
        jackknife = (u**3).sum(axis=0)[free] / (6 * (u**2).sum(axis=0)[free] ** 1.5)
        np.testing.assert_allclose(boot.kinds[kind].acceleration[free], jackknife, atol=0.03)


def test_intervals_of_standardised_values_stay_inside_their_range() -> None:
    boot = fit_sem("cart ~ browse\nbuy ~ cart", rows()).bootstrap(300, seed=1)
    table = boot.intervals("bca", of="std_all")
    assert (table.loc[["cart~browse", "buy~cart"], ["ci_lower", "ci_upper"]].abs() < 1).all().all()
    assert (table["ci_lower"] <= table["ci_upper"]).all()
    with pytest.raises(SettingError, match="std_all"):
        boot.intervals(of="standardised")
    with pytest.raises(SettingError, match="confidence"):
        boot.intervals(level=95)


def test_resamples_without_a_solution_are_counted_and_said() -> None:
    # One factor, nearly nothing in common: many resamples run away.
    rng = np.random.default_rng(5)
    taste = rng.normal(size=60)
    frame = pd.DataFrame({n: 0.35 * taste + rng.normal(size=60) for n in "abcd"})
    fit = fit_sem("f =~ a + b + c + d", frame)
    with pytest.warns(ConvergenceWarning, match="without an optimum"):
        boot = fit.bootstrap(100, seed=2)
    lost = np.isnan(boot.draws).all(axis=1)
    assert boot.failed == lost.sum() > 0
    assert boot.improper > 0
    assert len(boot.kinds["std_all"].good) == 100 - boot.failed
    assert np.isfinite(list(boot.se.values())).all()


def test_resamples_that_are_collinear_are_told_apart() -> None:
    frame = rows(12).drop(columns="shop")
    frame["cart"] = frame["browse"] + np.where(np.arange(12) < 2, 1.0, 0.0)
    with pytest.warns(ConvergenceWarning, match="collinear"):
        boot = fit_sem("buy ~ browse + cart", frame).bootstrap(200, seed=0)
    assert boot.failures["with collinear rows"] > 0


def test_a_batch_has_the_solvers_own_derivatives() -> None:
    # One step from the optimum's neighbourhood lands where the solver lands.
    for model, options in MODELS:
        fit = fit_sem(model, rows(), **options)
        moments = [(s.mean[None], s.covariance[None]) for s in fit.samples]
        start = np.array(fit.theta) * 1.02
        sizes = Setup.build(fit.samples, fit.options).sizes
        theta, solved = fit_many(fit.rams, moments, sizes, start, device="cpu")
        assert solved.all()
        np.testing.assert_allclose(theta[0], fit.theta, atol=1e-5)


def test_a_device_that_is_not_there_is_refused() -> None:
    fit = fit_sem("cart ~ browse", rows())
    with pytest.raises(SettingError, match="device"):
        fit.bootstrap(10, device="tpu")


def test_bounds_are_refused() -> None:
    fit = fit_sem("f =~ browse + cart + buy\nbuy ~~ lower(0)*buy", rows())
    with pytest.raises(SettingError, match="bounds"):
        fit.bootstrap(10)


def pairs(users: int, items: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    u, i = (k.ravel() for k in np.meshgrid(np.arange(users), np.arange(items), indexing="ij"))
    browse, buy = (rng.normal(size=users)[u] + 0.8 * rng.normal(size=items)[i] + rng.normal(size=len(u)) for _ in range(2))
    return pd.DataFrame({"user": u, "item": i, "browse": browse, "buy": 0.4 * browse + buy})


def test_whole_clusters_are_drawn_and_a_pair_counts_as_often_as_its_user_times_its_item() -> None:
    frame, times = pairs(30, 20, 0), 4
    boot = fit_sem("buy ~ browse", frame, cluster=("user", "item")).bootstrap(times, seed=3)
    rng = np.random.default_rng(3)
    of_user, of_item = (rng.multinomial(size, np.full(size, 1 / size), size=times) for size in (30, 20))
    for k in range(times):
        again = frame.loc[np.repeat(frame.index, of_user[k][frame["user"]] * of_item[k][frame["item"]])]
        np.testing.assert_allclose(boot.draws[k], fit_sem("buy ~ browse", again, meanstructure=True).theta, rtol=1e-5)


@pytest.mark.parametrize("cluster", ["user", ("user", "item")])
def test_the_bootstrap_of_clusters_has_the_errors_of_the_sandwich(cluster: object) -> None:
    fit = fit_sem("buy ~ browse", pairs(80, 60, 1), cluster=cluster)
    ratio = np.array(list(fit.bootstrap(600, seed=0).se.values())) / fit.se
    # 600 resamples know a standard error to 3 %; that of two ways counts what is the pair's own up to three times.
    np.testing.assert_allclose(ratio, 1.0, atol=0.15)


def test_acceleration_of_clusters_is_that_of_leaving_out_each() -> None:
    frame = pairs(25, 8, 2).assign(buy=lambda d: np.exp(d["buy"]))
    fit = fit_sem("buy ~ browse", frame, cluster="user")
    left_out = np.array([fit_sem("buy ~ browse", frame[frame["user"] != k], meanstructure=True).theta for k in range(25)])
    u = left_out.mean(axis=0) - left_out
    want = (u**3).sum(axis=0) / (6 * (u**2).sum(axis=0) ** 1.5)
    np.testing.assert_allclose(fit.bootstrap(3).kinds["est"].acceleration, want, atol=0.06)
