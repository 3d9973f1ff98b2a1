"""Domain-adversarial balancing: the critic against theory, and a fresh one of another kind against what it left."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expit
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from causalsem.behaviour import BehaviourTable
from causalsem.effects.methods.distances import critic, discrimination
from causalsem.errors import SettingError
from causalsem.identify import AdjustmentSet, Query
from causalsem.networks import Multilevel, TwoTower
from causalsem.outcome import Naive, OutcomeModel, fit_outcome
from causalsem.outcome.balancing import WEIGHTS, random_waves

NAMES = tuple(f"{side}{k}" for side in "ui" for k in range(4))
ASKED = AdjustmentSet(Query("shown", "buy"), NAMES, "given")


def pushed_world(users=200, items=60, seed=0):
    """Half of the traits push exposure, the other half purchases, one of each side both; returns pairs and chances under do(shown = 1)."""
    rng = np.random.default_rng(seed)
    of = {"u": rng.standard_normal((users, 4)), "i": rng.standard_normal((items, 4))}
    user, item = np.repeat(np.arange(users), items), np.tile(np.arange(items), users)
    U, V = of["u"][user], of["i"][item]
    shown = (rng.random(len(user)) < expit(-1 + 0.6 * (U[:, :2] + V[:, :2]).sum(axis=1))) * 1.0
    eta = -1 + 0.2 * (U[:, 0] + V[:, 0]) + 0.4 * (U[:, 2:] + V[:, 2:]).sum(axis=1)
    buy = (rng.random(len(user)) < expit(eta + 0.7 * shown)) * 1.0
    frame = pd.DataFrame({"user": user, "item": item, "shown": shown, "buy": buy} | dict(zip(NAMES, np.hstack([U, V]).T, strict=True)))
    levels = {name: "user" if name[0] == "u" else "item" for name in NAMES}
    return BehaviourTable.from_frame(frame, user="user", item="item", levels=levels), expit(eta + 0.7)


@pytest.fixture(scope="module")
def halves():
    """Pairs to learn from, and as many that no network sees."""
    pairs, _ = pushed_world()
    mixed = np.random.default_rng(1).permutation(len(pairs))
    return pairs.rows(np.sort(mixed[: len(mixed) // 2])), pairs.rows(np.sort(mixed[len(mixed) // 2 :]))


def two_arms(n, rng, shift=1.0):
    arm = torch.as_tensor(rng.random((1, n)) < 0.2).float()
    phi = torch.as_tensor(rng.standard_normal((1, n, 3))).float()
    phi[..., 0] += shift * arm
    return phi, arm


def test_the_critic_of_two_normals_finds_their_mahalanobis_distance_whatever_the_scale_of_the_representation():
    phi, arm = two_arms(60_000, np.random.default_rng(0))
    # Two normals d apart with equal weights: R² = d²/4 / (1 + d²/4), so that −½ log(1 − R²) = ½ log(1 + d²/4).
    assert discrimination(phi, arm, 1 - arm).item() == pytest.approx(np.log(1.25) / 2, rel=0.03)
    mixed = phi @ torch.tensor([[1e-3, 2.0, 0.0], [0.0, 50.0, 1.0], [0.0, 0.0, 3.0]])
    assert discrimination(1e-2 * phi, arm, 1 - arm).item() == pytest.approx(discrimination(phi, arm, 1 - arm).item(), rel=1e-3)
    assert discrimination(mixed, arm, 1 - arm).item() == pytest.approx(discrimination(phi, arm, 1 - arm).item(), rel=0.02)


def test_the_critic_is_the_ridge_regression_of_the_arm():
    rng = np.random.default_rng(1)
    phi, arm = two_arms(400, rng)
    one, zero = (a[0].double().numpy() for a in (arm, 1 - arm))
    w = one / one.sum() / 2 + zero / zero.sum() / 2
    x = phi[0].double().numpy() - w @ phi[0].double().numpy()
    ridge = 3 * (1 / one.sum() + 1 / zero.sum()) / 4 + 1e-4
    by_hand = np.linalg.solve(x.T @ (w[:, None] * x) + ridge * np.eye(3), x.T @ (w * (one - zero)))
    np.testing.assert_allclose(critic(phi, arm, 1 - arm)[0, :, 0].numpy(), by_hand, rtol=1e-4, atol=1e-6)


def test_waves_see_arms_that_differ_in_no_mean_and_no_size():
    rng = np.random.default_rng(2)
    arm = torch.as_tensor(rng.random((1, 4000)) < 0.5).float()
    phi = torch.as_tensor(rng.standard_normal((1, 4000, 2))).float()
    phi[..., 1] = torch.where(arm == 1, phi[..., 0], -phi[..., 0])  # only the product of both columns tells
    waves = random_waves(2, 32, torch.Generator().manual_seed(0))
    assert discrimination(phi, arm, 1 - arm).item() < 0.01
    assert discrimination(phi, arm, 1 - arm, waves).item() > 0.3


def test_no_difference_is_none_beyond_noise_even_in_few_rows():
    phi, arm = two_arms(300, np.random.default_rng(3), shift=0.0)
    waves = random_waves(3, 64, torch.Generator().manual_seed(0))
    assert discrimination(phi, arm, 1 - arm, waves).item() < 0.1


def fresh_auc(model, unseen):
    """Return the AUC of boosted trees, taught on half of the unseen pairs as the first member represents them, on the other half."""
    treated, phi = unseen.column("shown"), model.represent(unseen)[0]
    learn = np.arange(len(unseen)) % 2 == 0
    trees = HistGradientBoostingClassifier(max_iter=30, max_leaf_nodes=15, random_state=0).fit(phi[learn], treated[learn])
    return roc_auc_score(treated[~learn], trees.predict_proba(phi[~learn])[:, 1])


def test_the_heavier_the_critic_the_less_a_fresh_one_tells_of_unseen_pairs(halves):
    learnt, unseen = halves
    models = [fit_outcome(learnt, ASKED, TwoTower(balance=w), loss="naive", members=2, epochs=12) for w in (0.0, 0.3, 3.0)]
    plain, some, much = (fresh_auc(model, unseen) for model in models)
    assert plain > 0.7
    assert plain - some > 0.01
    assert some - much > 0.03
    assert plain - much > 0.07
    assert [model.balance_weight for model in models] == [0, 0.3, 3]
    # Its own account, by a critic of closed form on the folds, tells the same story; without balancing it is not made.
    assert not models[0].told_apart
    assert models[2].told_apart[3.0] < models[1].told_apart[0.3]
    # The propensities were learnt before and stay as good as they were.
    np.testing.assert_array_equal(models[2].propensity, models[0].propensity)


@pytest.mark.parametrize("bar", [-1e9, 1e9])
def test_a_size_is_kept_where_its_gain_clears_the_bar_and_else_the_fit_is_the_plain_one(bar, small, adjust, tmp_path, monkeypatch):
    monkeypatch.setattr("causalsem.outcome.by_steps.BAR", bar)
    told = {"loss": "dr", "members": 2, "epochs": 2}
    plain = fit_outcome(small.pairs, adjust, TwoTower(), **told)
    free = fit_outcome(small.pairs, adjust, TwoTower(balance="auto", adversarial="auto"), **told)
    for name, size in (("balance", free.balance_weight), ("adversarial", free.adversarial_size)):
        gain, se = free.gains[name]
        assert (size > 0) == (gain > bar * se) == (bar < 0)
    assert np.array_equal(free.fitted, plain.fitted) == (bar > 0)
    assert np.array_equal(free.predict(small.pairs), plain.predict(small.pairs)) == (bar > 0)
    assert list(free.told_apart) == [0, *WEIGHTS]
    loaded = OutcomeModel.load(free.save(tmp_path / "model.safetensors"))
    assert repr(loaded) == repr(free)
    assert dict(loaded.told_apart) == dict(free.told_apart)
    np.testing.assert_array_equal(loaded.represent(small.pairs), free.represent(small.pairs))


class Stopping(Naive):
    """The naive loss, which raises after some objectives, as a kill would."""

    left = 10**9

    def objective(self, heads, batch):
        type(self).left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return super().objective(heads, batch)


@pytest.mark.parametrize("steps", [3, 15, 33])
def test_a_fit_killed_while_it_balances_resumes_to_the_numbers_of_an_unbroken_one(steps, small, adjust, tmp_path):
    told = {"loss": Stopping(), "members": 2, "epochs": 2, "batch_size": 128}
    network = TwoTower(dim=4, hidden=(8,), balance="auto")
    Stopping.left = 10**9
    unbroken = fit_outcome(small.pairs, adjust, network, **told)
    Stopping.left = steps
    with pytest.raises(KeyboardInterrupt):
        fit_outcome(small.pairs, adjust, network, checkpoint=tmp_path / "c.safetensors", **told)
    Stopping.left = 10**9
    resumed = fit_outcome(small.pairs, adjust, network, checkpoint=tmp_path / "c.safetensors", **told)
    np.testing.assert_array_equal(resumed.fitted, unbroken.fitted)
    assert resumed.gains == unbroken.gains
    assert dict(resumed.told_apart) == dict(unbroken.told_apart)


@pytest.mark.parametrize("size", [-1, float("nan"), float("inf"), "much"])
def test_a_weight_that_is_none_is_refused(size):
    with pytest.raises(SettingError, match=r"balance=.*weight of a critic.*'auto'"):
        TwoTower(balance=size)


def test_a_multilevel_model_has_no_representation_and_says_so(small, adjust):
    model = fit_outcome(small.pairs, adjust, Multilevel(), members=2)
    with pytest.raises(SettingError, match=r"no representation.*TwoTower\(\)"):
        model.represent(small.pairs)
