"""SEMFit as a value: names, tables, saving, text for other programs, Unicode, HTML."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from causalsem.behaviour import Moments
from causalsem.errors import FileError
from causalsem.graph import CausalGraph
from causalsem.sem import SEMFit, fit_sem

ODD = ["浏览", "a b", "c:d", "🛒", "x<script>"]


def rows(seed: int = 0, n: int = 200) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n)
    out = {"曝光": z}
    for name in ODD:
        z = 0.6 * z + rng.normal(size=n)
        out[name] = z
    return pd.DataFrame(out)


CHAIN = "浏览 ~ p*曝光\n`a b` ~ q*浏览\n`c:d` ~ `a b`\n🛒 ~ `c:d`\n`x<script>` ~ 🛒\nind := p*q"


def test_any_unicode_name_works_from_text_and_from_graph() -> None:
    text = fit_sem(CHAIN, rows())
    names = ["曝光", *ODD]
    graph = fit_sem(CausalGraph.from_edges(list(itertools.pairwise(names))), rows())
    assert text.effects("曝光", "🛒").total == pytest.approx(float(graph.effects("曝光", "🛒").total))
    assert text.measures["chisq"] == pytest.approx(graph.measures["chisq"])


def test_parameters_have_lavaans_columns() -> None:
    frame = fit_sem(CHAIN, rows()).parameters
    want = ["lhs", "op", "rhs", "label", "est", "se", "z", "pvalue", "ci_lower", "ci_upper", "std_lv", "std_all", "std_nox"]
    assert [c for c in frame.columns if c in want] == [c for c in frame.columns if c != "group"]
    assert set(want) == set(frame.columns)
    row = frame.iloc[0]
    assert row["z"] == pytest.approx(row["est"] / row["se"])
    assert row["ci_upper"] - row["est"] == pytest.approx(1.959963985 * row["se"])
    assert frame.iloc[-1]["lhs"] == "ind"


def test_groups_have_a_column() -> None:
    frame = rows().assign(shop=np.tile(["east", "west"], 100))
    fit = fit_sem("浏览 ~ c(p, p)*曝光", frame, group="shop")
    table = fit.parameters
    assert sorted(table["group"].unique()) == [1, 2]
    slopes = table[table["label"] == "p"]["est"].to_numpy()
    assert slopes[0] == slopes[1]
    assert set(fit.implied) == {"east", "west"}


@pytest.mark.parametrize("model", [CHAIN, "f =~ 浏览 + `a b` + `c:d`\nf ~ 曝光\n浏览 ~~ `a b`"])
def test_a_saved_fit_is_the_same_fit(tmp_path: Path, model: str) -> None:
    fit = fit_sem(model, rows())
    again = SEMFit.load(fit.save(tmp_path / "fit.json"))
    pd.testing.assert_frame_equal(again.parameters, fit.parameters)
    assert dict(again.measures) == pytest.approx(dict(fit.measures), nan_ok=True)
    assert again.verdict == fit.verdict
    assert again.effects("曝光", "`a b`".strip("`")).total == pytest.approx(float(fit.effects("曝光", "a b").total))
    assert again.options == fit.options


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text('{"format": "something"}', encoding="utf-8")
    with pytest.raises(FileError, match="causalsem-sem"):
        SEMFit.load(path)


@pytest.mark.parametrize(
    "model",
    [
        CHAIN,
        "f =~ 浏览 + `a b` + `c:d`\nf ~ 曝光\n浏览 ~~ `a b`",
        "f =~ 浏览 + k*`a b` + k*`c:d`\n🛒 ~ f",
        "🛒 ~ 0.5*`c:d` + 浏览",
    ],
)
def test_lavaan_text_of_a_fit_fits_the_same_model(model: str) -> None:
    fit = fit_sem(model, rows())
    again = fit_sem(fit.to_lavaan(), rows(), preset="lavaan")
    assert again.measures["chisq"] == pytest.approx(fit.measures["chisq"], abs=1e-7)
    assert again.measures["df"] == fit.measures["df"]


def test_html_escapes_names() -> None:
    html = fit_sem(CHAIN, rows())._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_repr_is_one_line_and_frozen() -> None:
    fit = fit_sem(CHAIN, rows())
    assert "\n" not in repr(fit)
    with pytest.raises(dataclasses.FrozenInstanceError):
        fit.theta = np.zeros(1)  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        fit.theta[0] = 1.0


def test_verdict_names_what_fits_badly() -> None:
    S = np.array([[1, 0.5, 0.5, 0.5], [0.5, 1, 0.5, 0.5], [0.5, 0.5, 1, 0.9], [0.5, 0.5, 0.9, 1]])
    fit = fit_sem("b ~ a\nc ~ b\nd ~ a", Moments.from_covariance(S, 500, list("abcd")), preset="dag")
    assert "rejected" in fit.verdict
    assert "'c' and 'd'" in fit.verdict or "'d' and 'c'" in fit.verdict
    saturated = fit_sem("b ~ a", Moments.from_covariance(S, 500, list("abcd")))
    assert "saturated" in saturated.verdict


def test_modification_indices_are_what_freeing_brings() -> None:
    # The index is a score test: close to the χ² difference when the misfit is small.
    rng = np.random.default_rng(2)
    n = 4000
    x = rng.normal(size=n)
    y = 0.5 * x + rng.normal(size=n)
    z = 0.5 * y + 0.1 * x + rng.normal(size=n)
    frame = pd.DataFrame({"x": x, "y": y, "z": z})
    fit = fit_sem("y ~ x\nz ~ y", frame)
    top = fit.modification_indices().query("lhs == 'z' and op == '~' and rhs == 'x'").iloc[0]
    freed = fit_sem("y ~ x\nz ~ y + x", frame)
    assert top["mi"] == pytest.approx(fit.measures["chisq"] - freed.measures["chisq"], rel=0.05)
    assert top["epc"] == pytest.approx(freed.coefficients["z~x"], rel=0.05)


def test_bootstrap_is_reproducible_and_counts_failures() -> None:
    fit = fit_sem("浏览 ~ a*曝光\n`a b` ~ b*浏览\nind := a*b", rows())
    one, two = fit.bootstrap(50, seed=3), fit.bootstrap(50, seed=3)
    np.testing.assert_array_equal(one.draws, two.draws)
    assert one.failed == 0
    np.testing.assert_allclose(one.draws[:, -1], one.draws[:, 0] * one.draws[:, 1], rtol=1e-12)
    assert not np.array_equal(one.draws, fit.bootstrap(50, seed=4).draws)


def test_a_resample_is_fitted_as_fit_sem_would() -> None:
    rng = np.random.default_rng(5)
    taste = rng.normal(size=100)
    frame = pd.DataFrame({n: w * taste + 0.6 * rng.normal(size=100) for n, w in (("a", 1.0), ("b", 0.8), ("c", 1.2), ("d", 0.9))})
    fit = fit_sem("f =~ a + b + c + d", frame)
    draws = fit.bootstrap(5, seed=6).draws
    counts = np.random.default_rng(6).multinomial(100, np.full(100, 0.01), size=5)
    for k in range(5):
        again = fit_sem("f =~ a + b + c + d", frame.loc[np.repeat(np.arange(100), counts[k])])
        np.testing.assert_allclose(draws[k], again.theta, rtol=1e-4, atol=1e-5)
