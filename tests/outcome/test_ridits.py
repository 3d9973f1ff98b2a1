"""Ridits against their definition."""

import numpy as np
import pytest

from causalsem.outcome import ridits


def test_a_ridit_is_the_chance_that_a_value_of_the_log_is_smaller():
    rating = np.random.default_rng(0).integers(1, 6, 200).astype(float)
    below, ties = (rating[None] < rating[:, None]).mean(axis=1), (rating[None] == rating[:, None]).mean(axis=1)
    np.testing.assert_allclose(ridits(rating), below + ties / 2)
    assert ridits(rating).mean() == pytest.approx(0.5)


def test_ridits_know_the_order_alone_and_leave_gaps():
    values = np.array([3.0, np.nan, 1.0, 3.0, 40.0])
    np.testing.assert_array_equal(ridits(values), ridits(np.log(values)))
    np.testing.assert_allclose(ridits(values), [0.5, np.nan, 0.125, 0.5, 0.875])
    assert np.isnan(ridits([np.nan])).all()
