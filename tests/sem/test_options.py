"""Options by lavaan's names: what each does, against theory and against each other."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from causalsem.errors import AssumptionWarning, SettingError
from causalsem.sem import fit_sem

CFA = "f =~ a + b + c\ng =~ d + e + h"


def items(n: int = 300, seed: int = 4) -> pd.DataFrame:
    """Return six items of two correlated factors in two shops, skewed so that robust errors differ from plain ones."""
    rng = np.random.default_rng(seed)
    f = rng.exponential(size=n)
    g = 0.6 * f + rng.normal(size=n)
    out = {name: (1 - 0.1 * k) * (f if k < 3 else g) + rng.normal(size=n) + k for k, name in enumerate("abcdeh")}
    return pd.DataFrame(out).assign(shop=np.where(np.arange(n) % 2, "east", "west"))


def test_effect_coding_averages_loadings_to_one_and_intercepts_to_zero() -> None:
    plain = fit_sem(CFA, items(), meanstructure=True)
    coded = fit_sem(CFA, items(), effect_coding=True, meanstructure=True)
    rows = coded.parameters
    for factor, names in (("f", list("abc")), ("g", list("deh"))):
        assert rows[(rows["op"] == "=~") & (rows["lhs"] == factor)]["est"].mean() == pytest.approx(1.0, abs=1e-9)
        assert rows[(rows["op"] == "~1") & rows["lhs"].isin(names)]["est"].mean() == pytest.approx(0.0, abs=1e-9)
    assert coded.measures["chisq"] == pytest.approx(plain.measures["chisq"], rel=1e-8)
    assert coded.measures["df"] == plain.measures["df"]


def test_effect_coding_and_standardised_latents_exclude_each_other() -> None:
    with pytest.raises(SettingError, match="choose one"):
        fit_sem(CFA, items(), effect_coding=["loadings"], std_lv=True)


def test_bounds_keep_a_heywood_case_at_zero() -> None:
    data = pd.DataFrame(np.random.default_rng(1).normal(size=(60, 3)) @ np.linalg.cholesky([[1, 0.9, 0.5], [0.9, 1, 0.4], [0.5, 0.4, 1]]).T)
    data.columns = list("abc")
    with pytest.warns(AssumptionWarning, match="negative variance"):
        free = fit_sem("f =~ a + b + c", data)
    with pytest.warns(AssumptionWarning, match="bind"):
        bound = fit_sem("f =~ a + b + c", data, bounds="pos.var")
    assert free.parameters.query("op == '~~'")["est"].min() < 0
    assert bound.parameters.query("op == '~~'")["est"].min() == pytest.approx(0.0, abs=1e-9)
    # As in lavaan, a bound gives no degree of freedom.
    assert bound.measures["df"] == free.measures["df"]


def test_least_squares_let_exogenous_variables_vary_unless_told_otherwise() -> None:
    model = "b ~ a\nc ~ b"
    assert fit_sem(model, items()).measures["npar"] == 4
    assert fit_sem(model, items(), estimator="GLS").measures["npar"] == 5
    assert fit_sem(model, items(), estimator="GLS", fixed_x=True).measures["npar"] == 4


def test_robust_errors_of_groups_are_those_of_groups_alone() -> None:
    # Without equality the groups share nothing: together they have the errors of each alone.
    data = items()
    both = fit_sem(CFA, data, group="shop", estimator="MLM").parameters
    east = fit_sem(CFA, data[data["shop"] == "west"], estimator="MLM", meanstructure=True).parameters
    np.testing.assert_allclose(both[both["group"] == 1]["se"], east["se"], rtol=1e-7)


def test_clustered_errors_of_groups_are_those_of_groups_alone() -> None:
    data = items().assign(town=np.repeat(np.arange(30), 10)).sort_values("shop")
    data["town"] = data["town"].astype(str) + data["shop"]
    both = fit_sem(CFA, data, group="shop", cluster="town").parameters
    west = fit_sem(CFA, data[data["shop"] == "east"], cluster="town").parameters
    np.testing.assert_allclose(both[both["group"] == 1]["se"], west["se"], rtol=1e-7)


def test_a_bound_that_binds_leaves_the_errors_of_the_others_as_they_are() -> None:
    free = fit_sem("f =~ a + l*b + c", items())
    edge = float(free.coefficients["l"]) + 1e-4
    with pytest.warns(AssumptionWarning, match="bind"):
        bound = fit_sem(f"f =~ a + l*b + c\nf =~ lower({edge})*b", items())
    np.testing.assert_allclose(bound.se, free.se, rtol=1e-2)


def test_wishart_weighs_by_rows_less_one() -> None:
    normal, wishart = (fit_sem(CFA, items(), likelihood=kind) for kind in ("normal", "wishart"))
    assert wishart.measures["chisq"] == pytest.approx(normal.measures["chisq"] * 299 / 300, rel=1e-9)


@pytest.mark.parametrize("name", ["robust", "robust.sem"])
def test_robust_errors_of_plain_ml_are_those_of_mlm(name: str) -> None:
    np.testing.assert_allclose(fit_sem(CFA, items(), se=name).se, fit_sem(CFA, items(), estimator="MLM").se, rtol=1e-10)


def test_weighted_least_squares_by_any_name_minimise_their_own_discrepancy() -> None:
    data = items()
    by_name = {name: fit_sem(CFA, data, estimator=name) for name in ("WLS", "DWLS", "ULS", "WLSMV", "ULSMV")}
    assert by_name["DWLS"].measures["chisq"] == pytest.approx(by_name["WLSMV"].measures["chisq"], rel=1e-12)
    assert by_name["ULS"].measures["chisq"] == pytest.approx(by_name["ULSMV"].measures["chisq"], rel=1e-12)
    for name in ("WLSMV", "ULSMV"):
        m = by_name[name].measures
        assert m["chisq.scaled"] == pytest.approx(m["chisq"] / m["chisq.scaling.factor"] + m["chisq.shift.parameters"], rel=1e-12)


def test_ordered_groups_equate_intercepts_with_thresholds() -> None:
    data = items()
    ordered = data.assign(**{n: pd.qcut(data[n], 3, labels=False) for n in "abc"})
    fits = [
        fit_sem("f =~ a + b + c", ordered, ordered=True, group="shop", group_equal=["loadings", e]) for e in ("thresholds", "intercepts")
    ]
    assert fits[0].measures["chisq"] == pytest.approx(fits[1].measures["chisq"], rel=1e-10)
    free = fits[0].parameters.query("op == '~*~' and group == 2")
    assert (free["se"] > 0).all()
