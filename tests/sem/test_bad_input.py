"""Bad input: each case gives a named diagnosis with a cure, as an error where the road ends and a warning where numbers stand."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from causalsem.behaviour import Moments
from causalsem.errors import (
    AssumptionWarning,
    CausalSEMError,
    DataError,
    DataWarning,
    GraphError,
    ModelSyntaxError,
    MomentsError,
    NoRowsError,
    NotConvergedError,
    NotIdentifiedError,
    SettingError,
    UnknownNameError,
)
from causalsem.graph import CausalGraph
from causalsem.sem import SEMFit, compare, fit_sem


def good(n: int = 120) -> pd.DataFrame:
    """Return rows of a funnel: exposure → browse → cart → buy, with a shop column of two values."""
    rng = np.random.default_rng(1)
    exposure = rng.normal(size=n)
    browse = 0.6 * exposure + rng.normal(size=n)
    cart = 0.5 * browse + rng.normal(size=n)
    buy = 0.7 * cart + 0.2 * browse + rng.normal(size=n)
    shop = np.where(np.arange(n) % 2, "east", "west")
    return pd.DataFrame({"exposure": exposure, "browse": browse, "cart": cart, "buy": buy, "shop": shop})


def binary() -> pd.DataFrame:
    """Return the funnel with buy as 0 or 1."""
    data = good()
    return data.assign(buy=(data["buy"] > 0).astype(int))


LEVELS = "level: 1\nbuy ~ cart\nlevel: 2\nbuy ~~ buy"
MODEL = "browse ~ exposure\ncart ~ browse\nbuy ~ cart"


def changed(**columns: Any) -> pd.DataFrame:
    return good().assign(**columns)


def with_value(row: int, column: str, value: object) -> pd.DataFrame:
    frame = good()
    frame[column] = frame[column].astype(object)
    frame.loc[row, column] = value
    return frame


def doubled() -> pd.DataFrame:
    frame = good()
    return pd.concat([frame, frame[["buy"]]], axis=1)


def runaway() -> tuple[str, pd.DataFrame]:
    """Return a feedback model that its data drive to infinity: the taste that moves both sides is left out of one."""
    rng = np.random.default_rng(0)
    ad, taste = rng.normal(2, 1, 100), rng.normal(-1, 1, 100)
    browse = 1 + 0.5 * ad + 0.8 * taste + rng.normal(size=100)
    cart = 0.6 * browse + rng.normal(size=100)
    buy = 3 + 0.7 * cart + 0.9 * taste + rng.normal(size=100)
    return "buy ~ cart + ad\ncart ~ buy + taste", pd.DataFrame({"ad": ad, "taste": taste, "cart": cart, "buy": buy})


def groups(**options: Any) -> SEMFit:
    return fit_sem(MODEL, good(), group="shop", group_equal=["regressions"], **options)


def loop() -> SEMFit:
    return fit_sem("cart ~ browse\nbuy ~ cart\nbrowse ~ buy", good())


def nothing_in_common() -> SEMFit:
    return fit_sem("f =~ a + b + c", Moments.from_covariance(np.eye(3), 100, ["a", "b", "c"]))


def nearly_twins() -> SEMFit:
    frame = good()
    return fit_sem("buy ~ cart + twin", frame.assign(twin=frame["cart"] + 1e-4 * frame["exposure"]))


Case = tuple[str, Callable[[], object], type[Exception], str]
ERRORS: list[Case] = [
    ("misspelt variable", lambda: fit_sem("buy ~ brwse", good()), UnknownNameError, "did you mean 'browse'"),
    (
        "misspelt variable in moments",
        lambda: fit_sem("buy ~ brwse", Moments.from_rows(good().iloc[:, :4], good().columns[:4])),
        UnknownNameError,
        "browse",
    ),
    ("unknown option", lambda: fit_sem(MODEL, good(), estimater="ML"), UnknownNameError, "did you mean 'estimator'"),
    ("unknown estimator", lambda: fit_sem(MODEL, good(), estimator="MAGIC"), SettingError, "not available"),
    ("many categories", lambda: fit_sem(MODEL, good(), ordered=["buy"]), DataError, "categories"),
    ("ML of ordered variables", lambda: fit_sem(MODEL, binary(), ordered=["buy"], estimator="ML"), SettingError, "not built for ordered"),
    ("a misspelt ordered variable", lambda: fit_sem(MODEL, binary(), ordered=["bui"]), UnknownNameError, "did you mean 'buy'"),
    ("a threshold of no number", lambda: fit_sem(MODEL + "\nbuy | low", binary()), ModelSyntaxError, "no threshold"),
    ("a threshold too many", lambda: fit_sem(MODEL + "\nbuy | t1 + t2", binary()), SettingError, "one threshold too many"),
    ("an ordered variable of one value", lambda: fit_sem(MODEL, good().assign(buy=1), ordered=["buy"]), DataError, "categories"),
    (
        "missing values of ordered variables kept",
        lambda: fit_sem(MODEL, binary(), ordered=["buy"], missing="fiml"),
        SettingError,
        "missing=",
    ),
    ("two levels without clusters", lambda: fit_sem(LEVELS, good()), SettingError, "cluster="),
    ("two levels by least squares", lambda: fit_sem(LEVELS, good(), cluster="shop", estimator="WLS"), SettingError, "two-level"),
    ("one level", lambda: fit_sem("level: 1\nbuy ~ cart", good(), cluster="shop"), SettingError, "write both"),
    ("a statement of no level", lambda: fit_sem("buy ~ cart\n" + LEVELS, good(), cluster="shop"), SettingError, "belong to no level"),
    ("a cluster for every row", lambda: fit_sem(LEVELS, good().assign(i=range(120)), cluster="i"), DataError, "two rows or more"),
    (
        "a constant within clusters",
        lambda: fit_sem(LEVELS, good().assign(i=np.repeat(range(40), 3), cart=np.repeat(np.arange(40.0) ** 2, 3)), cluster="i"),
        DataError,
        "does not vary within",
    ),
    (
        "a variable of level 2 that varies within clusters",
        lambda: fit_sem(LEVELS + "\nbuy ~ exposure", good().assign(i=np.repeat(range(40), 3)), cluster="i"),
        SettingError,
        "varies within",
    ),
    ("unknown preset", lambda: fit_sem(MODEL, good(), preset="best"), SettingError, "preset"),
    ("unknown engine", lambda: fit_sem(MODEL, good(), engine="lisrel"), SettingError, "engine"),
    ("unknown missing", lambda: fit_sem(MODEL, good(), missing="mean"), SettingError, "not available"),
    ("a level outside 0 to 1", lambda: fit_sem(MODEL, good(), level=95), SettingError, "confidence level"),
    ("two scaled tests", lambda: fit_sem(MODEL, good(), test=["satorra.bentler", "scaled.shifted"]), SettingError, "one of them"),
    ("no steps", lambda: fit_sem(MODEL, good(), max_steps=0), SettingError, "max_steps"),
    ("unknown group_equal", lambda: fit_sem(MODEL, good(), group="shop", group_equal=["slopes"]), SettingError, "not available"),
    ("unknown group column", lambda: fit_sem(MODEL, good(), group="shopp"), UnknownNameError, "did you mean 'shop'"),
    ("one group", lambda: fit_sem(MODEL, changed(shop="east"), group="shop"), DataError, "only one value"),
    ("missing groups", lambda: fit_sem(MODEL, with_value(3, "shop", None), group="shop"), DataError, "missing"),
    (
        "groups from moments",
        lambda: fit_sem(MODEL, Moments.from_covariance(np.eye(4), 50, list(good().columns[:4])), group="shop"),
        SettingError,
        "rows",
    ),
    ("a label too many", lambda: fit_sem("buy ~ c(a, b)*cart", good()), ModelSyntaxError, "2 values for 1 group"),
    ("FIML with MLM", lambda: fit_sem(MODEL, good(), missing="fiml", estimator="MLM"), SettingError, "goes with"),
    (
        "robust errors from moments",
        lambda: fit_sem(MODEL, Moments.from_covariance(np.eye(4) + 0.1, 50, list(good().columns[:4])), estimator="MLR"),
        SettingError,
        "rows",
    ),
    ("cluster with GLS", lambda: fit_sem(MODEL, good(), cluster="shop", estimator="GLS"), SettingError, "cluster"),
    ("unknown cluster", lambda: fit_sem(MODEL, good(), cluster="town"), UnknownNameError, "town"),
    ("text in a number column", lambda: fit_sem(MODEL, with_value(5, "buy", "many")), DataError, "row 5"),
    ("an infinite value", lambda: fit_sem(MODEL, with_value(7, "cart", np.inf)), DataError, "infinite in row 7"),
    ("a constant column", lambda: fit_sem(MODEL, changed(cart=1.0)), MomentsError, "constant"),
    ("a copied column", lambda: fit_sem("buy ~ cart + twin", changed(twin=good()["cart"])), MomentsError, "collinear"),
    (
        "a linear combination",
        lambda: fit_sem("buy ~ cart + browse + total", changed(total=good()["cart"] + good()["browse"])),
        MomentsError,
        "total",
    ),
    ("duplicate columns", lambda: fit_sem(MODEL, doubled()), DataError, "duplicate"),
    ("no rows", lambda: fit_sem(MODEL, good().iloc[:0]), NoRowsError, "no rows"),
    ("one row", lambda: fit_sem(MODEL, good().iloc[:1]), NoRowsError, "rows"),
    ("fewer rows than variables", lambda: fit_sem(MODEL, good().iloc[:4]), MomentsError, "4 rows for 4 variables"),
    ("all rows incomplete", lambda: quiet(lambda: fit_sem(MODEL, changed(buy=np.nan))), NoRowsError, "0 complete rows"),
    ("never seen with FIML", lambda: quiet(lambda: fit_sem(MODEL, changed(buy=np.nan), missing="fiml")), MomentsError, "no evidence"),
    ("data of another type", lambda: fit_sem(MODEL, good().to_numpy()), SettingError, "ndarray"),
    ("a model of another type", lambda: fit_sem(["buy ~ cart"], good()), SettingError, "list"),
    ("an empty model", lambda: fit_sem("  # nothing\n", good()), ModelSyntaxError, "no statement"),
    ("a variable as its own cause", lambda: fit_sem("buy ~ buy", good()), ModelSyntaxError, "both sides"),
    ("an equation stated twice", lambda: fit_sem("buy ~ cart\nbuy ~ cart", good()), ModelSyntaxError, "stated twice"),
    ("an unknown label", lambda: fit_sem("buy ~ a*cart\nd := a*bb", good()), UnknownNameError, "label 'bb'"),
    ("a parameter defined twice", lambda: fit_sem("buy ~ a*cart\nd := a\nd := a*2", good()), ModelSyntaxError, "defined twice"),
    (
        "a label with two values",
        lambda: fit_sem("buy ~ a*cart + 1*cart\nbrowse ~ a*exposure + 2*exposure", good()),
        SettingError,
        "label 'a'",
    ),
    ("contradictory bounds", lambda: fit_sem("buy ~ a*cart\na > 2\na < 1", good()), CausalSEMError, "contradict"),
    (
        "a covariance that is not symmetric",
        lambda: Moments.from_covariance([[1, 0.5], [0.2, 1]], 10, ["a", "b"]),
        MomentsError,
        "symmetric",
    ),
    ("a covariance that is not positive", lambda: Moments.from_covariance([[1, 2], [2, 1]], 10, ["a", "b"]), MomentsError, "positive"),
    ("a covariance with NaN", lambda: Moments.from_covariance([[1, np.nan], [np.nan, 1]], 10, ["a", "b"]), MomentsError, "finite"),
    ("a cyclic graph", lambda: CausalGraph.parse("a -> b; b -> a"), GraphError, "two edges|cycle"),
    ("a PAG", lambda: fit_sem(CausalGraph.parse("browse o-> buy"), good()), SettingError, "PAG"),
    ("an unidentified loop", lambda: fit_sem("buy ~ cart\ncart ~ buy", good()), NotIdentifiedError, "rank"),
    ("too few steps", lambda: fit_sem("f =~ browse + cart + buy + exposure", good(), max_steps=1), NotConvergedError, "max_steps"),
    ("an effect of an unknown variable", lambda: fit_sem(MODEL, good()).effects("brows", "buy"), UnknownNameError, "browse"),
    ("an effect on itself", lambda: fit_sem(MODEL, good()).effects("buy", "buy"), SettingError, "itself"),
    ("a group that is not there", lambda: fit_sem(MODEL, good()).effects("browse", "buy", group=2), SettingError, "group 2"),
    ("factor scores without factors", lambda: fit_sem(MODEL, good()).factor_scores(), SettingError, "latent"),
    ("one fit compared", lambda: compare(fit_sem(MODEL, good())), SettingError, "two fits"),
    ("fits of other data", lambda: compare(fit_sem(MODEL, good()), fit_sem("buy ~ cart", good(60))), SettingError, "different"),
    (
        "bootstrap of moments",
        lambda: fit_sem("a ~ b", Moments.from_covariance(np.eye(2), 50, ["a", "b"])).bootstrap(10),
        SettingError,
        "rows",
    ),
    ("a start value that is NaN", lambda: fit_sem("buy ~ start(nan)*cart", good()), ModelSyntaxError, "start\\(nan\\) is NaN.*finite"),
    ("a bound that is infinite", lambda: fit_sem("buy ~ upper(inf)*cart", good()), ModelSyntaxError, "infinite"),
    ("one resample", lambda: fit_sem(MODEL, good()).bootstrap(1), SettingError, "resamples"),
    (
        "bounds that contradict each other under one label",
        lambda: fit_sem("buy ~ lower(2)*a*cart\nbrowse ~ upper(1)*a*exposure", good()),
        SettingError,
        "'a' contradict each other: at least 2, at most 1",
    ),
    ("bounds that contradict each other", lambda: fit_sem("buy ~ lower(2)*upper(1)*cart", good()), SettingError, "buy~cart"),
    ("equalities that contradict each other", lambda: fit_sem("buy ~ a*cart\na == 1\na == 2", good()), SettingError, "contradict"),
    ("an error variance of zero", lambda: fit_sem("buy ~ cart\nbuy ~~ 0*buy", good()), SettingError, "fixed at 0 or below"),
    ("a negative error variance", lambda: fit_sem("buy ~ cart\nbuy ~~ -1*buy", good()), SettingError, "fixed at 0 or below"),
    ("absurd starts", lambda: fit_sem("buy ~ start(1e300)*cart", good()), NotConvergedError, "start"),
    ("a slope that runs away", lambda: fit_sem(*runaway()), NotConvergedError, "run away"),
    ("half a row", lambda: Moments.from_covariance(np.eye(2), 50.5, ["a", "b"]), MomentsError, "whole number"),
    ("complex numbers", lambda: fit_sem(MODEL, changed(cart=good()["cart"] + 1j)), DataError, "complex"),
    ("dates", lambda: fit_sem(MODEL, changed(cart=pd.date_range("2024-01-01", periods=120))), DataError, "dates"),
    ("numbers too large to square", lambda: fit_sem(MODEL, changed(cart=good()["cart"] * 1e160)), MomentsError, "finite"),
    ("one cluster", lambda: fit_sem(MODEL, changed(town=1), cluster="town"), DataError, "only one value"),
    ("rows without a cluster", lambda: fit_sem(MODEL, with_value(3, "shop", None), cluster="shop"), DataError, "missing"),
    ("a misspelt path left free", lambda: groups(group_partial=["buy~crt"]), UnknownNameError, "did you mean 'buy~cart'"),
    ("equal groups without groups", lambda: fit_sem(MODEL, good(), group_equal=["regressions"]), SettingError, "group="),
    ("steps in words", lambda: fit_sem(MODEL, good(), max_steps="many"), SettingError, "whole number"),
    ("a seed in words", lambda: fit_sem(MODEL, good(), seed="lucky"), SettingError, "whole number"),
    (
        "an ordered pair that is never mixed",
        lambda: fit_sem("u ~ v", pd.DataFrame({"u": [0, 1] * 50, "v": [0, 1] * 50}), ordered=["u", "v"]),
        CausalSEMError,
        "separates",
    ),
    ("an indicator of itself", lambda: fit_sem("f =~ f + cart", good()), ModelSyntaxError, "both sides"),
    ("an unmeasured factor", lambda: fit_sem("taste ~ cart\nbuy ~ taste", good()), UnknownNameError, "taste"),
    ("two indicators alone", lambda: fit_sem("f =~ cart + buy", good()), NotIdentifiedError, "one more indicator"),
    ("a bow", lambda: fit_sem("buy ~ cart\nbuy ~~ cart", good()), NotIdentifiedError, "instrument"),
]


def quiet(work: Callable[[], object]) -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return work()


@pytest.mark.parametrize(("work", "error", "said"), [pytest.param(*rest, id=name) for name, *rest in ERRORS])
def test_bad_input_is_a_named_error_with_its_evidence(work: Callable[[], object], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said) as caught:
        work()
    # What is wrong, and after a semicolon or colon what to do.
    assert ";" in str(caught.value) or "expected" in str(caught.value) or "did you mean" in str(caught.value)


def heywood() -> SEMFit:
    S = np.array([[1, 0.9, 0.5], [0.9, 1, 0.4], [0.5, 0.4, 1]])
    return fit_sem("f =~ a + b + c", Moments.from_covariance(S, 60, ["a", "b", "c"]), preset="cfa")


WARNINGS: list[tuple[str, Callable[[], SEMFit], type[Warning], str]] = [
    ("missing values", lambda: fit_sem(MODEL, with_value(2, "buy", None)), DataWarning, "1 of 120 rows"),
    (
        "scales far apart",
        lambda: fit_sem(MODEL, good().assign(buy=good()["buy"] * 1e-3, cart=good()["cart"] * 1e3)),
        DataWarning,
        "rescale",
    ),
    ("a Heywood case", heywood, AssumptionWarning, "Heywood"),
    ("two solutions", loop, AssumptionWarning, "2 solutions fit equally well"),
    ("a factor of nothing", nothing_in_common, AssumptionWarning, "hardly determine"),
    ("near twins", nearly_twins, DataWarning, r"nearly collinear variables \['cart', 'twin'\]"),
    ("a factor named like a column", lambda: fit_sem("buy =~ cart + browse + exposure", good()), DataWarning, "names of columns"),
    ("a value that is not defined", lambda: fit_sem("buy ~ a*cart\nd := 1/0", good()), AssumptionWarning, "'d'"),
    (
        "scales from 1e4 to 1e-2",
        lambda: fit_sem("buy ~ cart + browse", good().assign(cart=good()["cart"] * 1e4, browse=good()["browse"] * 1e-2)),
        DataWarning,
        "rescale",
    ),
    (
        "means that were not handed in",
        lambda: fit_sem("a ~ b", Moments.from_covariance(np.eye(2), 50, ["a", "b"]), meanstructure=True),
        DataWarning,
        "mean=",
    ),
]


@pytest.mark.parametrize(("work", "warning", "said"), [pytest.param(*rest, id=name) for name, *rest in WARNINGS])
def test_numbers_that_stand_come_with_a_warning(work: Callable[[], SEMFit], warning: type[Warning], said: str) -> None:
    with pytest.warns(warning, match=said):
        fit = work()
    assert np.isfinite(fit.theta).all()


def test_the_callers_data_are_not_changed() -> None:
    frame = good()
    before = frame.copy()
    fit_sem(MODEL, frame)
    pd.testing.assert_frame_equal(frame, before)


def test_the_table_holds_at_least_forty_cases() -> None:
    assert len(ERRORS) + len(WARNINGS) >= 40
