"""Which paths transfer between platforms: known truth comes back, small samples stay undecided, the ladder is lavaan's."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from causalsem.errors import SettingError
from causalsem.sem import compare, compare_groups, fit_sem

MODEL = "cart ~ browse\nbuy ~ cart + browse"


def shops(n: int, seed: int = 0, *, cart: float = 0.5, buy: float = 0.3) -> pd.DataFrame:
    """Return n rows per platform; on the web the paths browse → cart and cart → buy are the given ones, else 0.5 and 0.3."""
    parts = []
    for k, platform in enumerate(("app", "web", "mini")):
        rng = np.random.default_rng((seed, k))
        browse = rng.normal(size=n)
        c = (cart if platform == "web" else 0.5) * browse + rng.normal(size=n)
        b = (buy if platform == "web" else 0.3) * c + 0.2 * browse + rng.normal(size=n)
        parts.append(pd.DataFrame({"browse": browse, "cart": c, "buy": b, "platform": platform}))
    return pd.concat(parts, ignore_index=True)


def test_a_path_that_differs_is_found_and_the_others_transfer() -> None:
    found = compare_groups(MODEL, shops(4000, cart=0.9))
    assert found.groups == ("app", "web", "mini")
    assert found.verdict("cart~browse") == "differs"
    assert found.verdict("buy~cart") == found.verdict("buy~browse") == "transfers"
    assert not found.ladder.loc["regressions", "holds"]
    assert found.table.set_index("path").loc["cart~browse", "web"] == pytest.approx(0.9, abs=0.06)
    assert "Differs: ['cart~browse']" in found.words


def test_a_difference_below_the_margin_transfers_however_significant() -> None:
    frame = shops(20_000, cart=0.55)
    found = compare_groups(MODEL, frame)
    one = next(p for p in found.paths if p.path == "cart~browse")
    assert one.pvalue < 1e-4
    assert one.verdict == "transfers"
    assert compare_groups(MODEL, frame, margin=0.02).verdict("cart~browse") == "differs"


def test_few_rows_leave_it_undecided() -> None:
    found = compare_groups(MODEL, shops(60))
    assert {p.verdict for p in found.paths} == {"undecided"}


def test_false_alarms_are_as_rare_as_alpha_says() -> None:
    # Equal truth in 60 samples of three paths: Holm keeps the chance of any false "differs" below 5 %.
    wrong = sum(any(p.verdict == "differs" for p in compare_groups(MODEL, shops(300, seed=s)).paths) for s in range(60))
    assert wrong <= 8  # P(more | 5 %) < 0.003


def test_the_wald_test_agrees_with_the_likelihood_ratio() -> None:
    frame = shops(1000, cart=0.6)
    found = compare_groups("cart ~ browse", frame)
    free, equal = fit_sem("cart ~ browse", frame, group="platform"), fit_sem("cart ~ c(k, k, k)*browse", frame, group="platform")
    ratio = compare(free, equal).iloc[1]
    (path,) = found.paths
    assert path.chisq == pytest.approx(ratio["chisq_diff"], rel=0.1)


def factors(n: int, loading: float) -> pd.DataFrame:
    parts = []
    for k, platform in enumerate(("app", "web")):
        rng = np.random.default_rng(k)
        ad = rng.normal(size=n)
        taste = 0.5 * ad + rng.normal(size=n)
        weights = {"a": 1.0, "b": 0.8, "c": loading if platform == "web" else 0.7}
        columns = {name: w * taste + 0.6 * rng.normal(size=n) for name, w in weights.items()}
        parts.append(pd.DataFrame({"ad": ad, **columns, "platform": platform}))
    return pd.concat(parts, ignore_index=True)


def test_paths_of_factors_are_compared_only_where_loadings_are_equal() -> None:
    model = "taste =~ a + b + c\ntaste ~ ad"
    same, other = compare_groups(model, factors(2000, 0.7)), compare_groups(model, factors(2000, -0.7))
    assert list(same.ladder.index)[:3] == ["configural", "loadings", "intercepts"]
    assert same.ladder.loc["loadings", "holds"]
    assert same.verdict("taste~ad") == "transfers"
    assert not other.ladder.loc["loadings", "holds"]
    assert other.verdict("taste~ad") == "not comparable"


def test_robust_tests_run_the_whole_ladder() -> None:
    found = compare_groups(MODEL, shops(500, cart=0.9), estimator="MLR")
    assert found.verdict("cart~browse") == "differs"
    assert np.isfinite(found.ladder["pvalue"].iloc[1:]).all()


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(SettingError, match="group_equal"):
        compare_groups(MODEL, shops(50), group_equal=["regressions"])
    with pytest.raises(SettingError, match="alpha"):
        compare_groups(MODEL, shops(50), alpha=0)
    with pytest.raises(SettingError, match="use one of"):
        compare_groups(MODEL, shops(50)).verdict("buy~ad")
