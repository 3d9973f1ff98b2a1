"""Scores over uncertain graphs against one set's scores and the mixture's variance by hand."""

import numpy as np
import pandas as pd
import pytest

from causalsem.errors import DataError, NotIdentifiedError, SettingError
from causalsem.graph import CausalGraph
from causalsem.identify import Query, identify
from causalsem.outcome import fit_outcome
from causalsem.recommend import Scores, average_scores, score, score_over_graphs
from causalsem.recommend.averaging import frequent_sets
from tests.outcome.worlds import make_world

QUERY = Query("shown", "buy")
FULL = CausalGraph.parse("activity -> shown; popularity -> shown; activity -> buy; popularity -> buy; shown -> buy")
PART = CausalGraph.parse("activity -> shown; activity -> buy; popularity -> buy; shown -> buy; popularity -> activity")
NONE = CausalGraph.parse("buy -> shown; activity -> shown; popularity -> shown; activity -> buy")


def some_scores(value, se, lift=0.0):
    return Scores(pd.DataFrame({"user": [1, 1, 2], "item": ["a", "b", "a"], "score": value, "se": se, "lift": lift}), "shown", "buy")


def test_the_average_has_the_variance_of_the_mixture():
    one, other = some_scores([0.1, 0.2, 0.3], [0.01, 0.02, 0.03]), some_scores([0.3, 0.2, 0.1], [0.02, 0.02, 0.02], 0.2)
    frame = average_scores([one, other], [3, 1]).frame.sort_values(["user", "item"])
    np.testing.assert_allclose(frame["score"], [0.15, 0.2, 0.25])
    np.testing.assert_allclose(frame["lift"], 0.05)
    between = 0.75 * 0.05**2 + 0.25 * 0.15**2
    np.testing.assert_allclose(frame["se"].iloc[0], np.sqrt(0.75 * 0.01**2 + 0.25 * 0.02**2 + between))
    np.testing.assert_allclose(frame["se"].iloc[1], 0.02)
    assert frame["rank"].tolist() == [2, 1, 1]
    # The lifts 0 and 0.2 have no error of their own here: what is left is between them.
    one, other = (Scores(s.frame.assign(lift_se=0.0), "shown", "buy") for s in (one, other))
    np.testing.assert_allclose(average_scores([one, other], [3, 1]).frame["lift_se"], np.sqrt(0.75 * 0.05**2 + 0.25 * 0.15**2))


def test_sets_are_counted_over_the_graphs_and_graphs_without_one_are_left_out():
    found = frequent_sets([FULL, PART, FULL, NONE], QUERY)
    assert [(set(adjust.variables), count) for adjust, count in found] == [({"activity", "popularity"}, 3)]


def test_graphs_that_agree_score_as_one_set_does():
    world = make_world(40, 15, seed=2)
    alone = score(fit_outcome(world.pairs, identify(FULL, QUERY)))
    averaged = score_over_graphs(world.pairs, [FULL, FULL, NONE], QUERY)
    merged = averaged.frame.merge(alone.frame, on=["user", "item"])
    np.testing.assert_allclose(merged["score_x"], merged["score_y"])
    np.testing.assert_allclose(merged["se_x"], merged["se_y"])
    assert len(score_over_graphs(world.pairs, [FULL], QUERY, top=2)) == 80


def test_graphs_that_differ_make_scores_less_sure():
    world = make_world(40, 15, seed=2)
    less = CausalGraph.parse("activity -> shown; activity -> buy; shown -> buy; popularity")
    doubt = score_over_graphs(world.pairs, [FULL, less], QUERY).frame.sort_values(["user", "item"])
    sure = score(fit_outcome(world.pairs, identify(FULL, QUERY))).frame.sort_values(["user", "item"])
    other = score(fit_outcome(world.pairs, identify(less, QUERY))).frame.sort_values(["user", "item"])
    apart = (sure["score"].to_numpy() - other["score"].to_numpy()) / 2
    expected = (sure["se"].to_numpy() ** 2 + other["se"].to_numpy() ** 2) / 2 + apart**2
    np.testing.assert_allclose(doubt["se"] ** 2, expected, rtol=1e-6)


def test_messages():
    world = make_world(20, 10, seed=2)
    with pytest.raises(NotIdentifiedError, match="nothing to score by"):
        score_over_graphs(world.pairs, [NONE], QUERY)
    with pytest.raises(NotIdentifiedError, match="nothing to score by"):
        score_over_graphs(world.pairs, NONE, QUERY)  # one graph is a sample of one
    with pytest.raises(SettingError, match="most"):
        score_over_graphs(world.pairs, [FULL], QUERY, most=0)
    with pytest.raises(DataError, match="different pairs"):
        average_scores([some_scores([1.0, 2, 3], 0.1), some_scores([1.0, 2, 3], 0.1).top(1)])
    with pytest.raises(DataError, match="at least one"):
        average_scores([])
    with pytest.raises(SettingError, match="weights"):
        average_scores([some_scores([1.0, 2, 3], 0.1)], [-1])
