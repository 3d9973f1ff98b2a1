"""CausalNet's batch of networks: one batch is many single ones, and its parts do what they say."""

import numpy as np
import pandas as pd
import pytest

from causalsem.effects import CausalNet, Regression, estimate_effect, predict_effects
from causalsem.errors import SettingError, UnknownNameError

torch = pytest.importorskip("torch", reason="torch is not installed")

from causalsem.effects.methods.distances import linear_mmd, wasserstein  # noqa: E402  after the check
from causalsem.effects.methods.net_training import Task, train_tasks  # noqa: E402  after the check

QUICK = CausalNet(members=2, steps=100, priors=(0.25,), batch=512)


def task(n, seed, new=30):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 3))
    T = (rng.random(n) < 0.4).astype(float)
    Y = X[:, 0] + T * (1 + X[:, 1]) + 0.3 * rng.standard_normal(n)
    return Task(X, T, Y, rng.standard_normal((new, 3)))


def test_a_result_does_not_depend_on_who_else_is_in_the_batch():
    tasks = [task(200, 0), task(150, 1, new=12), task(230, 2)]
    together = train_tasks(tasks, QUICK, classes=False, seed=3)
    for one, found in zip(tasks, together, strict=True):
        alone = train_tasks([one], QUICK, classes=False, seed=3)[0]
        for a, b in zip(alone, found, strict=True):
            np.testing.assert_allclose(a, b, atol=2e-3)
        assert found.outcome.shape == (2, len(one.new))


def test_effects_that_multiply_are_found_by_the_exponential_link():
    rng = np.random.default_rng(4)
    X = rng.standard_normal((700, 5))
    T = (rng.random(700) < 0.4).astype(float)
    index = X @ [0.8, -0.6, 0.4, 0.0, 0.0]
    Y = np.where(T > 0, index, np.exp(index)) + 0.3 * rng.standard_normal(700)
    new = rng.standard_normal((400, 5))
    index = new @ [0.8, -0.6, 0.4, 0.0, 0.0]
    error = {}
    for link in ("identity", "exponential"):
        found = train_tasks([Task(X, T, Y, new)], CausalNet(members=2, links=(link,), priors=(0.06,)), classes=False, seed=0)[0]
        error[link] = np.sqrt(np.mean((found.effect - (index - np.exp(index))) ** 2))
    assert error["exponential"] < 0.5 * error["identity"]
    assert error["exponential"] < 0.5  # the effects themselves have a standard deviation of about 3


def test_candidates_are_chosen_by_factual_outcomes_to_the_better_link():
    settings = CausalNet(members=2, priors=(0.06,))
    rng = np.random.default_rng(5)
    X, new = rng.standard_normal((600, 5)), rng.standard_normal((300, 5))
    T = (rng.random(600) < 0.5).astype(float)
    Y = np.exp(X[:, 0]) * (1 + T) + 0.2 * rng.standard_normal(600)
    both = train_tasks([Task(X, T, Y, new)], settings, classes=False, seed=0)[0]
    best = train_tasks([Task(X, T, Y, new)], CausalNet(members=2, priors=(0.06,), links=("exponential",)), classes=False, seed=0)[0]
    truth = np.exp(new[:, 0])
    both_off, best_off = (np.sqrt(np.mean((f.effect - truth) ** 2)) for f in (both, best))
    assert both_off < 1.5 * best_off


def test_the_distance_of_equal_arms_is_nought_and_grows_with_a_shift():
    generator = torch.Generator().manual_seed(0)
    half = torch.randn(2, 40, 3, generator=generator)
    phi, t, w = torch.cat([half, half], dim=1), torch.arange(80).expand(2, 80) // 40 * 1.0, torch.ones(2, 80)
    for distance in (linear_mmd, wasserstein):
        same, shifted = distance(phi, t, w - t), distance(phi + 2 * t[..., None], t, w - t)
        # The entropic plan of equal arms costs at most the regularisation, a tenth of the mean cost of 6, times log 40.
        assert (same < 0.1 * 6 * np.log(40)).all()
        assert distance is wasserstein or (same < 1e-10).all()
        # A shift of 2 in three dimensions: a squared distance of 12 between means and by the best plan alike.
        assert (1.001 * shifted >= 12).all()
        assert (shifted <= 12 + 0.1 * (6 + 12) * np.log(40)).all()


def test_wasserstein_is_the_cost_of_the_best_plan():
    from scipy.optimize import linear_sum_assignment

    rng = np.random.default_rng(6)
    a, b = rng.standard_normal((25, 2)), rng.standard_normal((25, 2)) * 0.5 + [3, 0]
    cost = ((a[:, None] - b[None]) ** 2).sum(2)
    rows, columns = linear_sum_assignment(cost)
    phi = torch.tensor(np.concatenate([a, b]), dtype=torch.float32)[None]
    t = torch.tensor(np.repeat([1.0, 0.0], 25))[None].float()
    found = wasserstein(phi, t, 1 - t, rounds=200).item()
    # The entropic plan is a little dearer than the best one: by at most the regularisation times log 25.
    assert cost[rows, columns].mean() <= found * 1.001
    assert found <= cost[rows, columns].mean() + 0.1 * cost.mean() * np.log(25)


@pytest.mark.parametrize(
    "options",
    [{"targeted": 1.0}, {"balance": 0.5}, {"balance": 0.5, "distance": "wasserstein"}, {"balance": 0.5, "distance": "critic"}],
    ids=str,
)
def test_every_option_still_finds_the_effect(options, binary_world, given):
    estimate = estimate_effect(binary_world(800), given(), CausalNet(members=2, priors=(0.25,), steps=60, **options), folds=2)
    assert abs(estimate.value - 1) < 4 * estimate.se


def test_balancing_brings_the_arms_closer():
    rng = np.random.default_rng(7)
    X = rng.standard_normal((400, 4))
    T = (rng.random(400) < 1 / (1 + np.exp(-1.5 * X[:, 0]))).astype(float)
    Y = X[:, 1] + T + 0.3 * rng.standard_normal(400)
    # With the arms alike in the representation, nothing in it can tell who is treated.
    plain, balanced = (
        train_tasks([Task(X, T, Y, X)], CausalNet(members=2, steps=150, balance=weight), classes=False, seed=0)[0].propensity[1]
        for weight in (0.0, 30.0)
    )
    assert balanced.std() < 0.6 * plain.std()


def test_a_chance_is_modelled_as_a_chance(given):
    rng = np.random.default_rng(8)
    z1, z2 = rng.standard_normal((2, 3000))
    t = (rng.random(3000) < 1 / (1 + np.exp(-z1))).astype(float)
    y = (rng.random(3000) < 1 / (1 + np.exp(-(z1 + t - 1)))).astype(float)
    truth = np.mean(1 / (1 + np.exp(-z1)) - 1 / (1 + np.exp(-(z1 - 1))))
    table = pd.DataFrame({"z1": z1, "z2": z2, "t": t, "y": y})
    estimate = estimate_effect(table, given(), QUICK)
    assert abs(estimate.value - truth) < 4 * estimate.se
    assert (np.abs(estimate.unit_effects) < 1).all()


def test_minibatches_find_what_whole_batches_find(binary_world, given):
    table = binary_world(2500)
    small = estimate_effect(table, given(), CausalNet(members=2, priors=(0.25,), steps=200, batch=256))
    assert abs(small.value - 1) < 4 * small.se
    assert np.corrcoef(small.unit_effects, 1 + table["z1"])[0, 1] > 0.9


def test_effects_of_new_rows_follow_the_true_ones(binary_world, given):
    learn, new = binary_world(1500, 0), binary_world(300, 1)
    found = predict_effects(learn, given(), new[["z1", "z2"]], QUICK)
    assert np.corrcoef(found, 1 + new["z1"])[0, 1] > 0.95
    with pytest.raises(SettingError, match="Regression knows the average effect only; use one of"):
        predict_effects(learn, given(), new, Regression())
    with pytest.raises(UnknownNameError, match="z2"):
        predict_effects(learn, given(), new[["z1"]], QUICK)


def test_an_arm_of_few_rows_learns_its_difference_from_the_other():
    rng = np.random.default_rng(0)
    X, new = rng.standard_normal((2000, 4)), rng.standard_normal((500, 4))
    T = (np.arange(2000) % 40 == 0) * 1.0  # 50 of 2,000

    def base(x):
        return 2 * np.sin(1.5 * x[:, 0]) + x[:, 1] * x[:, 2]

    Y = base(X) + T * (1 + 0.5 * X[:, 0]) + rng.standard_normal(2000)
    off = {}
    for shared in (True, False):
        settings = CausalNet(members=2, priors=(0.25,), links=("identity",), shared=shared)
        found = train_tasks([Task(X, T, Y, new)], settings, classes=False, seed=0)[0]
        off[shared] = np.sqrt(np.mean((found.effect - 1 - 0.5 * new[:, 0]) ** 2))
    assert off[True] < 0.6 * off[False]
    assert off[True] < 0.5


def test_heads_apart_are_kept_where_the_arms_have_nothing_in_common():
    rng = np.random.default_rng(1)
    X, new = rng.standard_normal((1000, 3)), rng.standard_normal((400, 3))
    T = (rng.random(1000) < 0.5) * 1.0
    Y = np.where(T == 1, 3 * X[:, 1], 3 * X[:, 0]) + 0.3 * rng.standard_normal(1000)
    settings = CausalNet(members=2, priors=(0.25,), links=("identity",), steps=200)
    found = train_tasks([Task(X, T, Y, new)], settings, classes=False, seed=0)[0]
    assert np.sqrt(np.mean((found.effect - 3 * new[:, 1] + 3 * new[:, 0]) ** 2)) < 0.4
