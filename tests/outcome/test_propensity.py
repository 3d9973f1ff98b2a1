"""Propensities and the targeting step against theory and hand calculation."""

import numpy as np
import pytest
from scipy.special import expit, logit

from causalsem.behaviour import BehaviourTable
from causalsem.errors import AssumptionWarning, DataError, OverlapError
from causalsem.outcome import fit_outcome
from causalsem.outcome.answer import Scale
from causalsem.outcome.problem import Problem, target
from causalsem.outcome.propensity import arm_propensities, calibrate, check_overlap, check_propensities, effective_sample_size


def test_calibration_recovers_the_line_that_was_bent():
    rng = np.random.default_rng(0)
    x = rng.normal(-1, 1.5, 200_000)
    t = (rng.random(len(x)) < expit(0.4 + 0.7 * x)).astype(float)
    line = calibrate(expit(x), t)
    # Standard errors are about 0.007 and 0.005 at this size.
    assert line.intercept == pytest.approx(0.4, abs=0.03)
    assert line.slope == pytest.approx(0.7, abs=0.02)
    assert line(expit(x)).mean() == pytest.approx(t.mean(), abs=1e-6)


def test_calibration_of_a_constant_propensity_gives_the_share():
    t = np.array([0.0, 0.0, 0.0, 1.0] * 50)
    assert calibrate(np.full(200, 0.5), t)(np.array([0.5]))[0] == pytest.approx(0.25, abs=1e-4)


def test_the_floor_bounds_the_stabilised_weight_however_rare_the_arm():
    t = np.r_[np.ones(10), np.zeros(990)]
    e = arm_propensities(np.full(1000, 1e-6), t, 0.05)
    assert e[:, 1].min() == pytest.approx(0.05 * 0.01)
    assert (0.01 / e[:, 1]).max() == pytest.approx(20)
    np.testing.assert_allclose(arm_propensities(np.array([0.3]), np.array([0.0, 1.0]), 0.05), [[0.7, 0.3]])


def test_effective_sample_size_of_equal_weights_is_their_number():
    assert effective_sample_size(np.full(7, 3.0)) == pytest.approx(7)
    assert effective_sample_size(np.array([1.0, 0, 0])) == pytest.approx(1)
    assert effective_sample_size(np.zeros(3)) == 0


@pytest.mark.parametrize("bad", [0.0, -0.1, 1.1, np.nan])
def test_a_propensity_outside_its_range_is_named_with_its_row(bad):
    with pytest.raises(DataError, match=r"row 1 of column 'e'.*\(0, 1\]"):
        check_propensities(np.array([0.5, bad, 0.2]), "e")


def a_problem(y, t, binary=True):
    return Problem(t, y, np.ones(len(y), dtype=bool), Scale(binary))


def test_targeting_makes_weighted_residuals_vanish():
    rng = np.random.default_rng(0)
    n = 5000
    t, y = (rng.random((2, n)) < 0.3).astype(float)
    predictor = rng.normal(-2, 1, (n, 2))
    problem = a_problem(y, t)
    weights = problem.seen * rng.uniform(1, 5, (n, 2))
    scale = target(problem, predictor, weights)
    for arm in (0, 1):
        residual = weights[:, arm] @ (y - scale.mean(predictor[:, arm], arm))
        assert abs(residual) < 1e-5 * weights[:, arm].sum()


def test_targeting_of_a_continuous_outcome_is_the_weighted_mean_residual():
    y, t = np.array([1.0, 2.0, 4.0, 9.0]), np.array([0.0, 0.0, 1.0, 1.0])
    problem = a_problem(y, t, binary=False)
    scale = target(problem, np.zeros((4, 2)), problem.seen * np.array([[1.0], [3.0], [1.0], [1.0]]))
    assert scale.shift == pytest.approx((1.75, 6.5))


def test_an_arm_in_which_nobody_bought_keeps_a_finite_shift():
    t = np.r_[np.zeros(100), np.ones(100)]
    y = np.r_[np.zeros(100), np.ones(50), np.zeros(50)]
    problem = a_problem(y, t)
    scale = target(problem, np.zeros((200, 2)), problem.seen)
    assert scale.mean(np.zeros(1), 0)[0] == pytest.approx(0.5 / 100, rel=1e-6)
    assert scale.shift[1] == pytest.approx(0, abs=1e-6)


def test_base_rates_are_those_of_the_arms():
    t = np.r_[np.zeros(1000), np.ones(1000)]
    y = np.r_[np.ones(100), np.zeros(900), np.ones(300), np.zeros(700)]
    np.testing.assert_allclose(a_problem(y, t).base, [logit(100.5 / 1001), logit(300.5 / 1001)])


def overlap(share, n=1000):
    """Pairs of which a share, those with mood 1, are never treated."""
    mood = (np.arange(n) < share * n).astype(float)
    e = np.where(mood == 1, 1e-6, 0.5)
    t = np.where(np.arange(n) % 2 == 0, 1.0, 0.0)
    return e, arm_propensities(e, t, 0.05), t, np.column_stack([np.arange(n) % 3, mood]), ["other", "mood"]


def test_pairs_that_are_hardly_ever_treated_are_said_with_their_stratum():
    with pytest.warns(AssumptionWarning, match=r"20.0% of pairs .* being treated \('mood' is 1 on average there and 0 elsewhere\)"):
        check_overlap(*overlap(0.2))


def test_when_nearly_all_are_never_treated_it_is_refused():
    with pytest.raises(OverlapError, match="leave these pairs out") as told:
        check_overlap(*overlap(0.95))
    assert told.value.share == pytest.approx(0.95)
    assert "mood" in told.value.stratum


def test_a_few_pairs_without_overlap_pass_in_silence():
    check_overlap(*overlap(0.05))


@pytest.mark.parametrize(("arm", "what"), [(0, "treated"), (1, "untreated")])
def test_a_stratum_that_was_never_treated_or_always_is_named_however_small(arm, what, small, adjust):
    frame = small.pairs.frame.copy()
    rare = np.arange(len(frame)) % 16 == 0
    frame["mood"] = np.where(rare, 3.0, frame["mood"])
    frame.loc[rare, "shown"] = arm
    pairs = BehaviourTable(frame, small.pairs.keys, small.pairs.roles, (), small.pairs.levels)
    with pytest.warns(AssumptionWarning, match=rf"no pair with 'mood' = 3 \(75 pairs\) was ever {what}; .*leave these pairs out"):
        fit_outcome(pairs, adjust, epochs=1)


def test_a_stratum_that_chance_left_empty_passes_in_silence():
    t = np.where(np.arange(1000) % 10 == 0, 1.0, 0.0)
    rare = (np.arange(1000) % 100 == 1).astype(float)  # ten pairs, of which chance would treat one
    check_overlap(np.full(1000, 0.1), np.full((1000, 2), 0.05), t, rare[:, None], ["rare"])


@pytest.mark.parametrize("key", ["user", "item"])
def test_one_user_or_item_that_was_never_treated_is_named_where_chance_would_have_treated_many(key):
    owner = np.repeat([f"物{k}" for k in range(10)], 200)
    t = np.where((np.arange(2000) % 2 == 0) & (owner != "物7"), 1.0, 0.0)
    with pytest.warns(AssumptionWarning, match=rf"no pair with {key} = '物7' \(200 pairs\) was ever treated"):
        check_overlap(np.full(2000, 0.45), np.full((2000, 2), 0.4), t, np.empty((2000, 0)), [], {key: owner})
    few = np.arange(2000) % 200 < 50  # twenty-odd treated are too few to tell an idle user from an unlucky one
    check_overlap(np.full(500, 0.45), np.full((500, 2), 0.4), t[few], np.empty((500, 0)), [], {key: owner[few]})
