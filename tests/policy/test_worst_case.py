"""Intervals that hold the worst bias of cut weights: their theory, their choice of a cut, and that they cover."""

import math

import numpy as np
import pandas as pd
import pytest

from causalsem.effects import Estimate
from causalsem.errors import AssumptionWarning, SettingError
from causalsem.policy import (
    DoublyRobust,
    InversePropensity,
    LoggedFeedback,
    MoreRobustDoublyRobust,
    Policy,
    Reward,
    ShrunkDoublyRobust,
    evaluate_policy,
    logging_value,
)
from causalsem.policy.estimators import Evidence
from causalsem.policy.worst_case import ends_of, shortest_cut, tail_index

BUY = Reward(buy=1.0)


def test_the_ends_hold_the_value_of_every_reward_within_the_bounds():
    # Two actions, one context: the log takes them with 0.99 and 0.01, the policy always the second. All in expectations.
    p, pi = np.array([0.99, 0.01]), np.array([0.0, 1.0])
    w = pi / p
    for mean in ([0.2, 0.0], [0.2, 1.0], [0.9, 0.3]):
        r, value = np.array(mean), mean[1]
        for cut in (0.5, 10.0, 100.0):
            used = np.minimum(w, cut)
            # Each action as often as the log takes it: weight by p times the number of rows, two.
            low, high = (float((2 * p * terms).mean()) for terms in (used * r, 1 - used * (1 - r)))
            assert low - 1e-12 <= value <= high + 1e-12
            assert high - low == pytest.approx(1 - min(cut, 100) / 100)


def test_the_ends_are_their_formulas_and_meet_where_nothing_is_cut():
    rng = np.random.default_rng(1)
    r, w = rng.random(500), rng.exponential(size=500)
    w = w / w.mean()
    uncut = ends_of(r, w, w, 0.0, 1.0)
    np.testing.assert_allclose(uncut.values, (w * r).mean())
    cut = ends_of(r, w, np.minimum(w, 1.0), -1.0, 2.0)
    used = np.minimum(w, 1.0)
    np.testing.assert_allclose(cut.values, [(used * r).mean() - (1 - used.mean()), (used * r).mean() + 2 * (1 - used.mean())])
    np.testing.assert_allclose(cut.psi.mean(axis=1), 0, atol=1e-12)


def test_a_cut_is_chosen_where_few_rounds_carry_all_the_weight_and_narrow_bounds_cut_more():
    rng = np.random.default_rng(2)
    w = rng.pareto(1.2, 3000)
    w = w / w.mean()
    r = (rng.random(3000) < 0.02) * 1.0
    error = Evidence(r, w, r, r).se
    wide, narrow = shortest_cut(r, w, 0.0, 1.0, error), shortest_cut(r, w, 0.0, 0.05, error)
    assert narrow <= wide < w.max()
    flat = rng.uniform(0.5, 1.5, 3000)
    assert shortest_cut(r, flat / flat.mean(), 0.0, 1.0, error) > 1.2


@pytest.mark.parametrize("index", [0.2, 0.5, 0.9])
def test_the_tail_index_is_that_of_a_pareto_law(index):
    rng = np.random.default_rng(3)
    found = [tail_index(rng.pareto(1 / index, 20_000) + 1) for _ in range(20)]
    assert np.mean(found) == pytest.approx(index, abs=0.1)
    assert tail_index(rng.random(20_000)) < 0
    assert tail_index(np.full(100, 2.0)) == -math.inf
    assert tail_index(np.ones(8)) == math.inf  # too few to say


def heavy(bandit, by=3.0):
    target = bandit.target()
    return Policy(target.basis, by * target.coefficients, target.actions, target.context_names, BUY)


@pytest.mark.filterwarnings("ignore:weak support")  # few rounds count: that is what is tested
def test_intervals_cover_whatever_the_cut_leaves_out(bandit):
    policy, truth = heavy(bandit, -4.0), bandit.value(heavy(bandit, -4.0), BUY)
    held = {"dr": [], "auto": [], "os": []}
    for seed in range(60):
        feedback = bandit.draw(300, seed)
        for name, estimator in (
            ("dr", DoublyRobust(clip=3.0)),
            ("auto", MoreRobustDoublyRobust(clip="auto")),
            ("os", ShrunkDoublyRobust()),
        ):
            found = evaluate_policy(policy, feedback, estimator, seed=seed)
            low, high = found.interval
            assert low <= found.value <= high
            held[name].append(low <= truth <= high)
    assert min(np.mean(held["dr"]), np.mean(held["auto"]), np.mean(held["os"])) >= 0.87  # three binomial errors below 95 %: 0.084


def test_light_tails_leave_the_weights_and_the_interval_as_they_are(bandit):
    feedback, policy = bandit.draw(2000), bandit.target()
    found, plain = (evaluate_policy(policy, feedback, MoreRobustDoublyRobust(clip=clip), seed=1) for clip in ("auto", None))
    assert found.ends is None
    assert found.interval == plain.interval


def cut(bandit, **told):
    return evaluate_policy(bandit.target(), bandit.draw(500), InversePropensity(clip=1.0), **told)


def test_bounds_narrow_the_interval_and_bad_ones_are_refused(bandit):
    wide, narrow = cut(bandit), cut(bandit, bounds=(0, 0.3))
    assert narrow.interval[1] < wide.interval[1]
    assert "mean rewards being 0 to 0.3" in narrow.notes[-1]
    for bounds in ((1, 0), (0, math.inf), (0.5, 0.5), (0,), "ab", 1.0):
        with pytest.raises(SettingError, match=r"bounds are .*such as \(0, 1\)"):
            cut(bandit, bounds=bounds)


@pytest.mark.parametrize("clip", [0, -1.0, math.nan, True, "always"])
def test_a_clip_that_is_no_weight_is_refused(clip):
    with pytest.raises(SettingError, match=r"clip is .*; use a weight above 0, such as 100, 'auto' or None"):
        DoublyRobust(clip=clip)


def test_rounds_without_a_single_reward_are_said(bandit):
    feedback = bandit.draw(600)
    bare = LoggedFeedback(feedback.context, feedback.action, 0 * feedback.outcomes, feedback.propensity, action_features=feedback.features)
    with pytest.warns(AssumptionWarning, match="every one of the 600 rounds earned 0, so they cannot tell"):
        evaluate_policy(bandit.target(), bare, InversePropensity())


def test_a_reward_ranges_over_what_its_outcomes_can_be():
    outcomes = pd.DataFrame({"buy": [0.0, 0.0, 0.0], "stars": [2.0, 5.0, 4.0], "back": [0.0, 1.0, 0.0]})
    feedback = LoggedFeedback(np.zeros((3, 1)), np.array([0, 1, 0]), outcomes, np.full(3, 0.5))
    assert Reward(buy=1.0).range_in(feedback) == (0.0, 1.0)  # nobody bought, yet somebody might
    assert Reward(buy=10.0, stars=1.0, back=-3.0).range_in(feedback) == (2 - 3.0, 10 + 5.0)


def test_a_gain_over_the_log_lies_between_the_gains_of_the_ends(bandit):
    value, log = cut(bandit), logging_value(bandit.draw(500), BUY)
    gain, loss = value - log, log - value
    low, high = value.ends
    assert gain.ends[0].value == pytest.approx(low.value - log.value)
    assert gain.interval[1] == pytest.approx((high - log).interval[1])
    assert loss.interval == pytest.approx((-gain.interval[1], -gain.interval[0]))
    assert (-gain).interval == pytest.approx(loss.interval)
    assert (2 * value).interval == pytest.approx((2 * value.interval[0], 2 * value.interval[1]))
    assert gain.z == 0 if gain.ends[0].value <= 0 <= gain.ends[1].value else gain.z != 0


def test_ends_are_saved_and_loaded(bandit, tmp_path):
    value = cut(bandit)
    value.save(tmp_path / "value.json")
    back = Estimate.load(tmp_path / "value.json")
    assert back.interval == value.interval
    log = logging_value(bandit.draw(500), BUY)
    assert (back - log).interval == (value - log).interval
    (tmp_path / "value.npz").unlink()
    assert Estimate.load(tmp_path / "value.json").interval == value.interval
