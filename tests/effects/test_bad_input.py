import numpy as np
import pandas as pd
import pytest

from causalsem.effects import AIPW, CausalNet, Estimate, Regression, estimate_effect, naive_effect
from causalsem.errors import DataError, ForbiddenVariableError, InputError, SettingError, UnknownNameError
from causalsem.graph import CausalGraph
from causalsem.identify import Query, identify


def test_an_unknown_column_gets_a_suggestion(binary_world, given):
    with pytest.raises(UnknownNameError, match=r"'z11'.*did you mean 'z1'"):
        estimate_effect(binary_world(100), given(["z11"]))


def test_missing_values_are_named_with_their_rows(binary_world, given):
    table = binary_world(100)
    table.loc[[3, 7], "z2"] = np.nan
    with pytest.raises(DataError, match=r"missing values in \['z2'\] \(2 rows\); impute or drop"):
        estimate_effect(table, given())


@pytest.mark.parametrize("column", ["t", "y"])
def test_a_constant_treatment_or_outcome_has_no_effect_to_estimate(column, binary_world, given):
    with pytest.raises(DataError, match=f"column '{column}' is 1 in all 100 rows"):
        estimate_effect(binary_world(100).assign(**{column: 1.0}), given())


def test_a_constant_confounder_changes_nothing(binary_world, given):
    table = binary_world(300).assign(c=5.0)
    for method in (Regression(), AIPW()):
        assert estimate_effect(table, given(["z1", "z2", "c"]), method).value == pytest.approx(
            estimate_effect(table, given(), method).value
        )


def test_treatment_or_outcome_as_their_own_control_is_forbidden(binary_world, given):
    with pytest.raises(ForbiddenVariableError, match="leave it out") as caught:
        estimate_effect(binary_world(100), given(["z1", "t"]))
    assert caught.value.reasons == {"t": "it is the treatment itself"}


def test_a_copy_of_the_treatment_among_the_controls_is_named(linear_world, given):
    table = linear_world(200).assign(twin=lambda f: 2 * f["t"] + 1)
    for method in (Regression(), AIPW()):
        with pytest.raises(DataError, match="its own effect cannot be told; drop the copy"):
            estimate_effect(table, given(["z1", "twin"]), method)


def test_too_few_rows_folds_or_treated_are_said(binary_world, given):
    with pytest.raises(DataError, match="7 rows for 4 variables"):
        estimate_effect(binary_world(7), given())
    with pytest.raises(SettingError, match="folds is 1"):
        estimate_effect(binary_world(100), given(), folds=1)
    rare = binary_world(100).assign(t=np.eye(100)[0])
    with pytest.raises(DataError, match="only 1 rows are treated with 't'"):
        estimate_effect(rare, given())


def test_what_is_no_adjustment_set_is_refused(binary_world):
    with pytest.raises(SettingError, match="identify"):
        estimate_effect(binary_world(100), Query("t", "y"))
    with pytest.raises(InputError, match="treatment and outcome at once"):
        naive_effect(binary_world(100), ("t", "t"))


def test_no_directed_path_is_an_exact_zero_with_its_reason(binary_world):
    null = identify(CausalGraph.parse("y -> t; z1 -> t; z2"), Query("t", "y"))
    estimate = estimate_effect(binary_world(100), null)
    assert isinstance(estimate, Estimate)
    assert (estimate.value, estimate.se, estimate.pvalue) == (0, 0, 1)
    assert estimate.exact
    assert "0 exactly (no causal path from t to y)" in repr(estimate)
    naive = naive_effect(binary_world(100), null)
    assert (naive - estimate).se == pytest.approx(naive.se)


def test_the_spine_runs_from_a_graph(binary_world):
    adjust = identify(CausalGraph.parse("z1 -> t; z1 -> y; z2 -> t; z2 -> y; t -> y"), Query("t", "y"))
    estimate = estimate_effect(binary_world(2000), adjust)
    assert estimate.adjustment == ("z1", "z2")
    assert abs(estimate.value - 1) < 4 * estimate.se
    assert set(adjust.assumptions) <= set(estimate.assumptions)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"width": 0}, "1 or more"),
        ({"members": 1}, "at least 2"),
        ({"priors": ()}, "standard deviations above 0"),
        ({"links": ("log",)}, "'identity', 'exponential'"),
        ({"balance": -1.0}, "weights of 0 or more"),
        ({"distance": "far"}, "unknown distance 'far'"),
    ],
)
def test_networks_that_cannot_be_are_refused(settings, words):
    with pytest.raises(SettingError, match=words):
        CausalNet(**settings)


def test_clip_out_of_range_is_refused(binary_world, given):
    with pytest.raises(SettingError, match=r"clip is 0\.7"):
        estimate_effect(binary_world(100), given(), AIPW(clip=0.7))
    with pytest.raises(SettingError, match="clip is 'much'; use a bound"):
        estimate_effect(binary_world(100), given(), AIPW(clip="much"))


def test_a_dataframe_and_its_behaviour_table_give_the_same(binary_world, given):
    from causalsem.behaviour import BehaviourTable

    frame = binary_world(300)
    a, b = (estimate_effect(data, given()) for data in (frame, BehaviourTable.from_frame(frame)))
    assert (a - b).se == 0
    assert isinstance(frame, pd.DataFrame)


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"seed": "zero"}, {"folds": "five"}, {"folds": 1}, {"contrast": (0, 1, 2)}])
def test_a_setting_no_fit_can_use_is_refused_by_name(wrong, binary_world, given):
    with pytest.raises(SettingError, match=next(iter(wrong))):
        estimate_effect(binary_world(100), given(), **wrong)
