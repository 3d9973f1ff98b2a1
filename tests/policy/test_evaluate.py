import numpy as np
import pandas as pd
import pytest

from causalsem.errors import AssumptionWarning, DataError, SettingError, UnknownNameError
from causalsem.policy import (
    DirectMethod,
    DoublyRobust,
    InversePropensity,
    LoggedFeedback,
    Policy,
    Reward,
    SelfNormalized,
    evaluate_policy,
    logging_value,
)
from causalsem.policy.context import ContextBasis
from causalsem.policy.estimator_table import ESTIMATORS
from causalsem.policy.estimators import Evidence
from causalsem.policy.reward_model import fit_reward_model, round_folds

REPEATS = 120


@pytest.fixture(scope="module")
def repeated(bandit):
    """Estimates of the target policy's value over repeated logs, by every estimator, and the true value."""
    policy = bandit.target()
    found = {name: [] for name in ESTIMATORS}
    for seed in range(REPEATS):
        feedback = bandit.draw(1000, seed)
        for name, estimator in ESTIMATORS.items():
            found[name].append(evaluate_policy(policy, feedback, estimator(), seed=seed))
    return found, bandit.value(policy, Reward(buy=1.0))


UNBIASED = ["InversePropensity", "SelfNormalized", "DoublyRobust", "SelfNormalizedDoublyRobust", "MoreRobustDoublyRobust"]


@pytest.mark.parametrize("name", UNBIASED)
def test_estimators_are_unbiased_and_their_intervals_cover(name, repeated):
    found, truth = repeated
    values = np.array([e.value for e in found[name]])
    assert abs(values.mean() - truth) < 3.5 * values.std() / np.sqrt(REPEATS) + 0.0003
    assert np.mean([e.se for e in found[name]]) == pytest.approx(values.std(), rel=0.2)
    covered = np.mean([e.interval[0] <= truth <= e.interval[1] for e in found[name]])
    assert covered >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / REPEATS)


def test_doubly_robust_is_surer_than_weighting_alone(repeated):
    found, _ = repeated
    spread = {name: np.std([e.value for e in estimates]) for name, estimates in found.items()}
    assert spread["DoublyRobust"] < 0.95 * spread["InversePropensity"]
    assert spread["DoublyRobust"] < 1.1 * spread["SelfNormalized"]


def test_estimators_are_their_formulas_in_a_loop():
    rng = np.random.default_rng(3)
    n, A = 30, 4
    r, p, q = rng.random(n), rng.uniform(0.1, 0.9, n), rng.random((n, A))
    pi, a = rng.dirichlet(np.ones(A), n), rng.integers(A, size=n)
    w = np.array([pi[i, a[i]] / p[i] for i in range(n)])
    evidence = Evidence(r, w, q[np.arange(n), a], (pi * q).sum(axis=1))
    ips = snips_top = snips_bottom = dm = dr = 0.0
    for i in range(n):
        ips += w[i] * r[i] / n
        snips_top += w[i] * r[i]
        snips_bottom += w[i]
        inner = sum(pi[i, b] * q[i, b] for b in range(A))
        dm += inner / n
        dr += (inner + w[i] * (r[i] - q[i, a[i]])) / n
    expected = {"InversePropensity": ips, "SelfNormalized": snips_top / snips_bottom, "DirectMethod": dm, "DoublyRobust": dr}
    for name, formula in expected.items():
        value, psi = ESTIMATORS[name]().estimate(evidence)
        assert value == pytest.approx(formula)
        assert psi.mean() == pytest.approx(0, abs=1e-12)


def test_the_logging_policy_is_worth_its_mean_reward(bandit):
    feedback = bandit.draw(5000)
    found = logging_value(feedback, Reward(buy=1.0))
    assert found.value == feedback.outcomes["buy"].mean()
    assert abs(found.value - bandit.logging_value()) < 4 * found.se


def test_a_gain_over_logging_has_the_error_of_paired_rounds(bandit):
    feedback, policy = bandit.draw(3000), bandit.target()
    gain = evaluate_policy(policy, feedback, DoublyRobust()) - logging_value(feedback, Reward(buy=1.0))
    assert abs(gain.value - (bandit.value(policy, Reward(buy=1.0)) - bandit.logging_value())) < 4 * gain.se
    other = bandit.draw(3000, seed=1)
    with pytest.raises(DataError, match="different rows"):
        evaluate_policy(policy, feedback) - logging_value(other, Reward(buy=1.0))


def test_rounds_of_one_user_count_as_one(bandit):
    feedback = bandit.draw(400)
    five = {name: np.repeat(getattr(feedback, name), 5, axis=0) for name in ("context", "action", "propensity")}
    outcomes = feedback.outcomes.loc[np.repeat(np.arange(400), 5)]
    copied = LoggedFeedback(**five, outcomes=outcomes, user=np.repeat(np.arange(400), 5), action_features=feedback.features)
    own = evaluate_policy(bandit.target(), feedback, InversePropensity())
    assert evaluate_policy(bandit.target(), copied, InversePropensity()).se == pytest.approx(own.se * np.sqrt(400 / 399))


def test_the_reward_model_never_saw_the_rounds_it_predicts(bandit):
    feedback = bandit.draw(600)
    reward = feedback.outcomes["buy"].to_numpy()
    folds = round_folds(feedback, 3, seed=5)
    one = fit_reward_model(feedback, reward, folds=3, seed=5)
    other = fit_reward_model(feedback, np.where(folds == 1, 1 - reward, reward), folds=3, seed=5)
    np.testing.assert_array_equal(one.coefficients[1], other.coefficients[1])
    assert np.abs(one.coefficients[0] - other.coefficients[0]).max() > 0.01


def test_the_reward_model_shrinks_rare_actions_and_finds_frequent_ones():
    rng = np.random.default_rng(4)
    A, n = 40, 20_000
    action = np.where(rng.random(n) < 0.99, rng.integers(20, size=n), rng.integers(20, A, size=n))
    liking = rng.standard_normal(A)
    reward = liking[action] + rng.standard_normal(n)
    feedback = LoggedFeedback(rng.standard_normal((n, 1)), action, pd.DataFrame({"r": reward}), np.full(n, 0.5), actions=tuple(range(A)))
    q = fit_reward_model(feedback, reward, folds=2, seed=0).predict(np.zeros((1, 1)), 0)[0]
    assert np.abs(q[:20] - liking[:20]).max() < 0.2
    assert np.abs(q[20:] - liking[20:]).mean() < 0.5


def test_clipping_bounds_the_weights(bandit):
    found = evaluate_policy(bandit.target(), bandit.draw(500), InversePropensity(clip=2.0))
    assert found.diagnostics["largest_weight"] == 2.0
    with pytest.raises(SettingError, match="clip is 0"):
        InversePropensity(clip=0)


def test_few_effective_rounds_warn(bandit):
    sharp = bandit.target()
    sharp = Policy(sharp.basis, 8 * sharp.coefficients, sharp.actions, sharp.context_names, sharp.reward)
    with pytest.warns(AssumptionWarning, match=r"weak support: 300 rounds count for only .*largest weight"):
        evaluate_policy(sharp, bandit.draw(300), SelfNormalized())


def test_wrong_propensities_warn(bandit):
    feedback = bandit.draw(2000)
    wrong = LoggedFeedback(feedback.context, feedback.action, feedback.outcomes, feedback.propensity / 2, action_features=feedback.features)
    with pytest.warns(AssumptionWarning, match=r"the weights' mean is .* but it is 1 if the propensities are right"):
        evaluate_policy(bandit.target(), wrong, InversePropensity())


def test_the_estimate_says_what_it_is(bandit):
    found = evaluate_policy(bandit.target(), bandit.draw(500), DirectMethod())
    assert repr(found).startswith("Estimate: value of the policy (Reward(1 buy)) = ")
    assert "effective rounds, largest weight" in found.notes[0]
    assert "leaves out its own error" in found.assumptions[0]


def test_bad_questions_are_refused(bandit):
    policy, feedback = bandit.target(), bandit.draw(100)
    with pytest.raises(UnknownNameError, match="did you mean 'DoublyRobust'"):
        evaluate_policy(policy, feedback, "DoublyRobst")
    with pytest.raises(SettingError, match="no estimator"):
        evaluate_policy(policy, feedback, 7)
    with pytest.raises(UnknownNameError, match="unknown reward 'bu'"):
        evaluate_policy(policy, feedback, reward=Reward(bu=1))
    bare = Policy(policy.basis, policy.coefficients, policy.actions, policy.context_names)
    with pytest.raises(SettingError, match="learnt for"):
        evaluate_policy(bare, feedback)
    other = LoggedFeedback(feedback.context[:, :1], feedback.action, feedback.outcomes, feedback.propensity)
    with pytest.raises(DataError, match="same shop"):
        evaluate_policy(policy, other)
    with pytest.raises(DataError, match="2 variables were learnt"):
        policy.probabilities(np.zeros((3, 5)))


def test_probabilities_are_a_softmax_by_hand(bandit):
    policy = bandit.target()
    context = np.array([[0.3, -1.0]])
    logits = [policy.coefficients[0, a] + 0.3 * policy.coefficients[1, a] - policy.coefficients[2, a] for a in range(6)]
    by_hand = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(policy.probabilities(context)[0], by_hand)
    assert policy.greedy(context)[0] == by_hand.argmax()
    assert policy.recommend(context, top=2)[0][0] == by_hand.argmax()


def test_a_constant_context_changes_nothing():
    basis = ContextBasis.of(np.column_stack([np.full(50, 7.0), np.arange(50.0)]))
    X = basis(np.array([[1e9, 10.0], [7.0, 10.0]]))
    np.testing.assert_array_equal(X[0], X[1])
