"""One pass over the rows gives the same cross-products of scores as the scores of every row."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from causalsem.sem import fit_sem, fourth_moments
from causalsem.sem.discrepancy import NormalPoint
from causalsem.sem.estimators import Setup
from causalsem.sem.fourth_moments import FourthMoments, are_worthwhile, summed_cross_products
from causalsem.sem.robust import cross_products, score_matrix
from causalsem.sem.scores import rows_of


def skewed(n: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    taste = rng.exponential(size=n)
    # Units that differ by orders of magnitude, and two indicators that nearly coincide.
    frame = {"a": taste + rng.normal(size=n), "b": 1e2 * (taste + rng.normal(size=n)), "c": 1e-1 * (taste + rng.normal(size=n))}
    frame["d"] = frame["a"] + 3e-2 * rng.normal(size=n)
    return pd.DataFrame(frame).assign(shop=np.tile(["east", "west"], n // 2))


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("f =~ a + b + c", {}),
        ("b ~ a + d\nc ~ b", {"fixed_x": False}),
        ("f =~ a + b + c", {"group": "shop", "group_equal": ["loadings", "intercepts"]}),
        ("f =~ a + b + c\na ~ 0*1\nb ~ 0*1\nc ~ 0*1\nf ~ 1", {}),
    ],
)
@pytest.mark.parametrize("centred", [False, True])
def test_one_pass_gives_the_cross_products_of_every_rows_scores(model: str, options: dict[str, object], centred: bool) -> None:
    fit = fit_sem(model, skewed(), **options)
    setup = Setup.build(fit.samples, fit.options)
    point = setup.discrepancy(fit.rams, fit.table.count).at(np.array(fit.theta))
    assert isinstance(point, NormalPoint)
    assert are_worthwhile(fit.samples)
    want = cross_products(score_matrix(point, fit.samples, of_moments=centred), fit.samples)
    got = summed_cross_products(point.groups, [FourthMoments.of(s) for s in fit.samples], point.count, centred=centred)
    scale = np.sqrt(np.outer(np.diag(want), np.diag(want)))
    np.testing.assert_allclose(got / scale, want / scale, atol=1e-9)


def test_missing_values_go_row_by_row() -> None:
    frame = skewed()
    frame.loc[::7, "c"] = np.nan
    incomplete = fit_sem("b ~ a\nc ~ b", frame, missing="fiml")
    assert not are_worthwhile(incomplete.samples)
    assert len(rows_of(incomplete.samples[0], "this test")) == 400


def test_blocks_and_chunks_of_any_size_add_up_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = skewed()[["a", "b", "c"]].assign(user=np.arange(400) % 37, item=np.arange(400) // 11)
    fit = fit_sem("b ~ a\nc ~ b", frame, cluster=("user", "item"))
    whole = FourthMoments.of(fit.samples[0]).sums
    for block, chunk in ((3, 2), (50, 7), (399, 400)):
        monkeypatch.setattr(fourth_moments, "BLOCK", block)
        monkeypatch.setattr(fourth_moments, "CHUNK", chunk)
        np.testing.assert_allclose(FourthMoments.of(fit.samples[0]).sums, whole, atol=1e-9 * np.abs(whole).max())
