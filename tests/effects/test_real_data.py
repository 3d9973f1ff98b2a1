"""Sanity on data whose truth is simulated or experimental."""

import numpy as np
import pandas as pd
import pytest

from causalsem.effects import AIPW, IPW, Regression, estimate_effect, naive_effect
from causalsem.identify import AdjustmentSet, Query

TRAITS = ("age", "educ", "black", "hisp", "marr", "nodegree", "re74", "re75")


@pytest.fixture
def lalonde(shared):
    folder = shared / "data" / "lalonde"
    if not folder.is_dir():
        pytest.skip("needs ../shared/data/lalonde, which is absent here")
    experiment = pd.read_csv(folder / "nsw_mixtape.csv").drop(columns="data_id")
    survey = pd.read_csv(folder / "cps_mixtape.csv.gz").drop(columns="data_id")
    return experiment, pd.concat([experiment[experiment["treat"] == 1], survey], ignore_index=True)


def test_adjusting_in_the_experiment_changes_little(lalonde):
    experiment, _ = lalonde
    adjust = AdjustmentSet(Query("treat", "re78"), TRAITS, "given")
    naive = naive_effect(experiment, adjust.query)
    assert naive.value == pytest.approx(1794, abs=1)
    for method in (Regression(), IPW(), AIPW()):
        assert abs((estimate_effect(experiment, adjust, method) - naive).value) < 2 * naive.se


def test_the_training_that_looks_harmful_in_the_survey_is_not_once_adjusted(lalonde):
    _, survey = lalonde
    adjust = AdjustmentSet(Query("treat", "re78"), TRAITS, "given")
    assert naive_effect(survey, adjust.query).value < -8000
    adjusted = estimate_effect(survey, adjust, IPW(weights="treated"))
    assert adjusted.interval[0] < 1794 < adjusted.interval[1]


def test_ihdp_average_effects_are_covered(shared):
    folder = shared / "data" / "ihdp"
    if not folder.is_dir():
        pytest.skip("needs ../shared/data/ihdp, which is absent here")
    names = ["t", "y", "cf", "mu0", "mu1", *(f"x{k}" for k in range(1, 26))]
    adjust = AdjustmentSet(Query("t", "y"), tuple(names[5:]), "given")
    misses, errors, naive = 0, [], []
    for k in range(1, 11):
        table = pd.read_csv(folder / f"ihdp_npci_{k}.csv.gz", header=None, names=names)
        truth = (table["mu1"] - table["mu0"]).mean()
        estimate = estimate_effect(table, adjust, AIPW())
        misses += not estimate.interval[0] - 0.01 <= truth <= estimate.interval[1] + 0.01
        errors.append(abs(estimate.value - truth))
        naive.append(abs(naive_effect(table, adjust.query).value - truth))
    assert misses <= 3  # 4 of 10 misses have a chance of 1 in 1,000 at 95 %
    assert np.mean(errors) < 0.7 * np.mean(naive)
