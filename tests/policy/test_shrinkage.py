"""Estimators that shrink weights or bend the reward model: limits, formulas, choices, and what they earn."""

import math

import numpy as np
import pytest

from causalsem.errors import SettingError
from causalsem.policy import (
    DirectMethod,
    DoublyRobust,
    Policy,
    Reward,
    SelfNormalizedDoublyRobust,
    ShrunkDoublyRobust,
    SwitchDoublyRobust,
    evaluate_policy,
)
from causalsem.policy.estimators import Evidence
from causalsem.policy.evaluate import _evidence, _rounds
from causalsem.policy.least_variance import Corrections, _cross_fitted, least_variance
from causalsem.policy.reward_model import fit_reward_model
from causalsem.policy.tuning import by_mse, by_slope, levels_of

BUY = Reward(buy=1.0)


def drawn(n=400, seed=3):
    rng = np.random.default_rng(seed)
    w = np.exp(rng.standard_normal(n) * 1.5)
    return Evidence(rng.random(n), w / w.mean(), rng.random(n), rng.random(n))


shrunk = pytest.mark.parametrize(
    "kind",
    [SwitchDoublyRobust, ShrunkDoublyRobust, lambda **told: ShrunkDoublyRobust(kind="pessimistic", **told)],
    ids=["switch", "os", "ps"],
)


@shrunk
def test_no_shrinking_is_doubly_robust_and_all_of_it_the_reward_model(kind):
    evidence = drawn()
    for level, limit in ((math.inf, DoublyRobust()), (1e12, DoublyRobust()), (0.0, DirectMethod())):
        value, psi = kind(level=level).estimate(evidence)
        other, expected = limit.estimate(evidence)
        assert value == pytest.approx(other, rel=1e-6)
        np.testing.assert_allclose(psi, expected, atol=1e-5)


def test_the_shrunk_weights_are_their_formulas():
    w = np.array([0.0, 0.5, 2.0, 50.0])
    np.testing.assert_allclose(SwitchDoublyRobust(level=2.0).weights(w), [0, 0.5, 2, 0])
    np.testing.assert_allclose(ShrunkDoublyRobust(level=4.0).weights(w), [4 * x / (x * x + 4) for x in w])
    np.testing.assert_allclose(ShrunkDoublyRobust(level=4.0, kind="pessimistic").weights(w), [0, 0.5, 2, 4])
    evidence = drawn()
    assert ShrunkDoublyRobust(level=3.0, kind="pessimistic").estimate(evidence)[0] == DoublyRobust(clip=3.0).estimate(evidence)[0]


def test_an_optimistic_weight_is_the_best_for_its_penalty():
    # Su et al. (2020), section 4: ŵ minimises λ (ŵ − w)² + w² ŵ² / … up to scale: λ w / (w² + λ).
    w, level = 3.0, 5.0
    tried = np.linspace(0, 4, 4001)
    loss = level * (tried - w) ** 2 + w**2 * tried**2
    assert ShrunkDoublyRobust(level=level).weights(np.array([w]))[0] == pytest.approx(tried[loss.argmin()], abs=1e-3)


def test_without_a_model_self_normalised_doubly_robust_is_self_normalised_weighting():
    evidence = drawn()
    bare = Evidence(evidence.r, evidence.w, np.zeros(400), np.zeros(400))
    assert SelfNormalizedDoublyRobust().estimate(bare)[0] == pytest.approx((bare.w * bare.r).sum() / bare.w.sum())
    # A reward that is the model's own constant has no error at all.
    flat = Evidence(np.full(400, 0.3), evidence.w, np.full(400, 0.3), np.full(400, 0.3))
    value, psi = SelfNormalizedDoublyRobust().estimate(flat)
    assert (value, np.abs(psi).max()) == pytest.approx((0.3, 0), abs=1e-12)


def test_slope_stops_where_an_interval_misses_those_before():
    values = np.array([1.0, 1.2, 1.1, 3.0, 1.1])
    assert by_slope(values, np.array([0.5, 0.4, 0.3, 0.1, 0.01])) == 2
    assert by_slope(values, np.full(5, 10.0)) == 4
    assert by_slope(values, np.zeros(5)) == 0


def test_the_mse_takes_the_noise_of_the_bias_off_it():
    values, errors = np.array([1.0, 1.3, 2.0]), np.array([0.5, 0.2, 0.01])
    # Biases 0.3 (all noise) and 1.0 (far beyond it): 0.25, 0 + 0.04, 0.84 + 0.0001.
    assert by_mse(values, errors, np.array([0.0, 0.35, 0.4])) == 1
    assert by_mse(values, errors, np.array([0.0, 0.0, 0.0])) == 1  # 0.09 + 0.04 < 0.25
    assert by_mse(values, np.array([0.1, 0.09, 0.01]), np.zeros(3)) == 0


def test_levels_are_spread_over_the_weights():
    w = np.array([0.0, 0.1, 1.0, 8.0])
    levels = levels_of(w)
    assert levels[0] == pytest.approx(8)
    assert (np.diff(levels) < 0).all()
    assert levels_of(np.zeros(3)).tolist() == [1.0]


def sharp(bandit, by=3.0):
    target = bandit.target()
    return Policy(target.basis, by * target.coefficients, target.actions, target.context_names, BUY)


@shrunk
@pytest.mark.parametrize("choose", ["mse", "slope"])
def test_a_chosen_level_is_said_and_given_again_makes_the_same_number(kind, choose, bandit):
    feedback, policy = bandit.draw(500), sharp(bandit)
    found = evaluate_policy(policy, feedback, kind(choose=choose), seed=2)
    assert any(note.startswith("weights shrunk at level") for note in found.notes)
    evidence = _evidence(policy, feedback, BUY.of(feedback), fit_reward_model(feedback, BUY.of(feedback), folds=5, seed=2))
    level = kind(choose=choose).settled(evidence).level
    assert evaluate_policy(policy, feedback, kind(level=level), seed=2).value == found.value
    assert any("the interval takes the worst case" in text for text in found.assumptions)


def test_shrinking_errs_less_where_few_rounds_count(bandit):
    policy, truth = sharp(bandit), bandit.value(sharp(bandit), BUY)
    off = {"dr": [], "switch": [], "os": []}
    for seed in range(60):
        feedback = bandit.draw(250, seed)
        evidence = _evidence(policy, feedback, BUY.of(feedback), fit_reward_model(feedback, BUY.of(feedback), folds=5, seed=seed))
        for name, estimator in (("dr", DoublyRobust()), ("switch", SwitchDoublyRobust()), ("os", ShrunkDoublyRobust())):
            off[name].append(estimator.settled(evidence).estimate(evidence)[0] - truth)
    rmse = {name: np.sqrt(np.mean(np.square(values))) for name, values in off.items()}
    assert rmse["switch"] < rmse["dr"]
    assert rmse["os"] < rmse["dr"]


def test_the_least_variance_is_reached_and_the_mean_kept(bandit):
    # Of all corrections in the columns' span, least squares of the terms on w φ − Σ π φ leaves the least variance.
    feedback, policy = bandit.draw(10_000), sharp(bandit, 2.0)
    reward = BUY.of(feedback)
    model = fit_reward_model(feedback, reward * 0, folds=5, seed=0)  # knows nothing: the correction has all to learn
    evidence = _evidence(policy, feedback, reward, model)
    bent = least_variance(feedback, evidence, model, lambda: _rounds(policy, feedback), DoublyRobust().weights)
    plain, better = DoublyRobust().estimate(evidence), DoublyRobust().estimate(bent)
    columns, pi = Corrections.of(feedback, model), policy.probabilities(feedback)
    rows = np.arange(10_000)
    taken = columns.mean(rows, (feedback.action[:, None] == np.arange(6)) * 1.0)
    c, terms = evidence.w[:, None] * taken - columns.mean(rows, pi), evidence.w * reward
    least = terms - c @ np.linalg.lstsq(c, terms, rcond=None)[0]
    assert least.std() < better[1].std() < 1.06 * least.std() < 0.95 * plain[1].std()
    assert abs(better[0] - plain[0]) < 3 * (better[1] - plain[1]).std() / np.sqrt(10_000)
    # Whatever the correction, the model's mean under the policy is that of its predictions, so no bias can come in.
    np.testing.assert_allclose(c.mean(axis=0), 0, atol=6 * c.std(axis=0).max() / np.sqrt(10_000))


def test_a_round_is_not_in_its_own_correction(monkeypatch):
    monkeypatch.setattr("causalsem.policy.least_variance.RIDGES", (0.01,))
    rng = np.random.default_rng(1)
    c, y = rng.standard_normal((3, 50, 2)), rng.standard_normal((3, 50))
    gram, moment = np.einsum("kni,knj->kij", c, c), np.einsum("kni,kn->ki", c, y)
    found = _cross_fitted(gram, moment, (y**2).sum(axis=1), 150)
    moment[1] += 5
    changed = _cross_fitted(gram, moment, (y**2).sum(axis=1), 150)
    np.testing.assert_array_equal(found[1], changed[1])
    assert np.abs(found[0] - changed[0]).min() > 0.01
    both = np.concatenate([c[0], c[2]]), np.concatenate([y[0], y[2]])
    scale = (c**2).sum(axis=(0, 1)) / 150
    by_hand = np.linalg.solve(both[0].T @ both[0] + 0.01 * 150 * np.diag(scale), both[0].T @ both[1])
    np.testing.assert_allclose(found[1], by_hand)


def test_levels_and_choices_out_of_range_are_refused():
    for told, words in (({"level": -1.0}, "level is -1"), ({"choose": "luck"}, "unknown choice 'luck'"), ({"folds": 1}, "folds is 1")):
        with pytest.raises(SettingError, match=words):
            SwitchDoublyRobust(**told)
    with pytest.raises(SettingError, match="unknown kind 'hopeful'"):
        ShrunkDoublyRobust(kind="hopeful")
