"""Gain by popularity against counts made by hand."""

import numpy as np
import pandas as pd
import pytest

from causalsem.errors import DataError, SettingError
from causalsem.recommend import popularity_gain


def test_recall_by_group_of_popularity_is_counted_by_hand():
    # Items a (rare) and b, c, d (ever more popular). Each user likes one rare and one popular item.
    test = pd.DataFrame({"user": np.repeat([1, 2], 4), "item": list("abcd") * 2, "label": [1, 0, 0, 1, 1, 0, 1, 0]})
    ours = test.assign(score=[4, 3, 2, 1, 4, 1, 3, 2])
    popular = test.assign(score=[1, 2, 3, 4] * 2)
    found = popularity_gain(ours, popular, test, {"a": 1, "b": 5, "c": 9, "d": 20}, k=2, groups=2)
    assert found["items"].tolist() == [2, 2]
    assert found["positives"].tolist() == [2, 2]
    assert found["recall"].tolist() == [1.0, 0.5]  # a twice; of d and c only c, by user 2
    assert found["baseline"].tolist() == [0.0, 1.0]
    assert found["gain"].tolist() == [1.0, -0.5]
    # Both users gain alike among the rare; among the popular one loses and one does not: ±½ about the mean of two.
    np.testing.assert_allclose(found["se"], [0.0, np.sqrt(2 * (0.25**2 + 0.25**2))])


def test_a_ranking_gains_nothing_over_itself_and_a_group_without_positives_is_unknown():
    test = pd.DataFrame({"user": [1, 1, 1], "item": list("abc"), "label": [0, 0, 1]})
    found = popularity_gain(test.assign(score=[1, 2, 3]), test.assign(score=[1, 2, 3]), test, {"a": 1, "b": 2, "c": 3}, k=1, groups=3)
    assert np.isnan(found["gain"]).tolist() == [True, True, False]
    assert found.loc[3, "gain"] == 0


def test_a_group_count_below_one_is_refused():
    test = pd.DataFrame({"user": [1], "item": ["a"], "label": [1]})
    with pytest.raises(SettingError, match="groups=0"):
        popularity_gain(test.assign(score=1.0), test.assign(score=1.0), test, {}, groups=0)


def test_a_popularity_of_other_items_is_refused():
    test = pd.DataFrame({"user": [1, 1], "item": [1, 2], "label": [1, 0]})
    scores = test.assign(score=[1.0, 2.0])
    with pytest.raises(DataError, match="none of the test's items, such as '2', is in the popularity"):
        popularity_gain(scores, scores, test, {"1": 5, "2": 3})
    with pytest.raises(SettingError, match="a baseline of type str"):
        popularity_gain(scores, "popular", test, {1: 5})
