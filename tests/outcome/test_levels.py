"""The multilevel model on the grid against ridge regression, simulated variances and its own network."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from causalsem.errors import SettingError
from causalsem.identify import AdjustmentSet, Query
from causalsem.networks import Multilevel, TwoTower
from causalsem.networks.build import build
from causalsem.networks.net import Shape
from causalsem.outcome import fit_outcome
from causalsem.outcome.closed_form import GridFit
from causalsem.outcome.correction import choose_strength, paired_gain, tempered
from causalsem.outcome.encoder import Encoded
from causalsem.outcome.levels import Grid, Levels, Variances, fit_levels, groups_of
from causalsem.outcome.tensors import inputs_of
from tests.outcome.worlds import make_world


def a_grid(users=6, items=5, seed=0, *, binary=False, members=1, sizes=(0.5, 0.4, 0.3)):
    """A grid drawn from the model itself: user and item coefficients of the given spreads, noise 1 (or a coin)."""
    rng = np.random.default_rng(seed)
    f = np.column_stack([np.ones(items), rng.standard_normal((items, 2))])
    g = np.column_stack([np.ones(users), rng.standard_normal((users, 1))])
    eta = rng.normal(0, sizes[0], (users, 3)) @ f.T + g @ rng.normal(0, sizes[1], (items, 2)).T + g @ rng.normal(0, sizes[2], (2, 3)) @ f.T
    y = (rng.random(eta.shape) < 1 / (1 + np.exp(-eta))) * 1.0 if binary else eta + rng.standard_normal(eta.shape)
    weight = (rng.random((members, users, items)) < 0.8) * rng.uniform(0.5, 2, (members, users, items))
    real = [torch.tensor(array, dtype=torch.float64) for array in (weight, y, f, g, rng.standard_normal((users, items, 1)))]
    return Grid(*real, torch.tensor([0, 1, 2]), torch.tensor([0, 1]), binary)


def design(grid):
    """The matrix of all coefficients, one row a cell: users, items, crosses and pair block."""
    f, g, z = (t.numpy() for t in (grid.f, grid.g, grid.z))
    rows = []
    for u in range(len(g)):
        for i in range(len(f)):
            of_user, of_item = np.zeros((len(g), f.shape[1])), np.zeros((len(f), g.shape[1]))
            of_user[u], of_item[i] = f[i], g[u]
            rows.append(np.concatenate([of_user.ravel(), of_item.ravel(), np.outer(g[u], f[i]).ravel(), z[u, i]]))
    return np.array(rows)


def test_with_given_variances_the_levels_are_generalised_ridge_regression(monkeypatch):
    monkeypatch.setattr("causalsem.outcome.levels.TOLERANCE", 0.0)
    grid, v = (
        a_grid(),
        Variances(*(torch.tensor(x, dtype=torch.float64) for x in ([0.5, 0.2, 0.1], [0.3, 0.1], [5, 0.4, 0.2, 0.4, 0.2, 0.1, 1]))),
    )
    v = Variances(v.users, v.items, v.shared, noise=0.7)
    levels, _ = fit_levels(grid, v, 3000)
    x, w = design(grid), grid.weight[0].numpy().ravel() / 0.7
    prior = np.concatenate([np.tile(v.users, 6), np.tile(v.items, 5), v.shared])
    beta = np.linalg.solve((x * w[:, None]).T @ x + np.diag(1 / prior), x.T @ (w * grid.y.numpy().ravel()))
    np.testing.assert_allclose(levels.predictor(grid)[0].numpy().ravel(), x @ beta, atol=1e-6)


def test_with_given_variances_a_binary_grid_ends_where_the_penalised_score_is_zero(monkeypatch):
    monkeypatch.setattr("causalsem.outcome.levels.TOLERANCE", 0.0)
    grid = a_grid(binary=True)
    v = Variances(*(torch.full((n,), 0.3, dtype=torch.float64) for n in (3, 2, 7)))
    levels, _ = fit_levels(grid, v, 3000)
    x, beta = design(grid), np.concatenate([levels.users.ravel(), levels.items.ravel(), levels.shared.ravel()])
    score = x.T @ (grid.weight[0].numpy() * (grid.y.numpy() - 1 / (1 + np.exp(-levels.predictor(grid)[0].numpy())))).ravel()
    np.testing.assert_allclose(score, beta / 0.3, atol=1e-6)


def test_variances_are_learnt_from_the_data_about_as_they_were_drawn():
    grid = a_grid(120, 100, seed=1, sizes=(0.5, 0.3, 0.2))
    _, v = fit_levels(grid, None, 60, learn=True)
    # The spread of 240 (or 200) coefficients is known to a tenth; estimating them costs as much again.
    np.testing.assert_allclose(v.users.sqrt(), [0.5, 0.5, 0.5], rtol=0.25)
    np.testing.assert_allclose(v.items.sqrt(), [0.3, 0.3], rtol=0.25)
    assert v.noise == pytest.approx(1.0, rel=0.05)


def test_slow_variances_arrive_in_few_sweeps():
    # The item level says nothing and six observations a coefficient say so: plain EM crawls towards zero.
    grid = a_grid(40, 30, seed=2, sizes=(0.5, 0.0, 0.0))
    few, many = (fit_levels(grid, None, sweeps, learn=True)[1] for sweeps in (40, 300))
    assert float(few.items.max()) < 0.02
    np.testing.assert_allclose(few.users, many.users, rtol=0.1)
    assert few.noise == pytest.approx(many.noise, rel=0.02)


def test_a_level_that_says_nothing_is_shrunk_away():
    grid = a_grid(120, 100, seed=2, sizes=(0.5, 0.0, 0.0))
    _, v = fit_levels(grid, None, 60, learn=True)
    assert v.items.sqrt().max() < 0.1


def a_grid_of_tastes(angle, users=150, items=40, seen=0.4, seed=5):
    """Users whose slopes on two item traits have standard deviation 1 and the correlation sin(angle); noise 1."""
    rng = np.random.default_rng(seed)
    f = np.column_stack([np.ones(items), rng.standard_normal((items, 2))])
    slopes = rng.standard_normal((users, 2)) @ np.array([[1.0, np.sin(angle)], [0.0, np.cos(angle)]])
    eta = slopes @ f[:, 1:].T
    weight = (rng.random((1, users, items)) < seen) * 1.0
    real = [torch.tensor(array, dtype=torch.float64) for array in (weight, eta + rng.standard_normal(eta.shape), f, np.ones((users, 1)))]
    nothing = torch.zeros(users, items, 0, dtype=torch.float64)
    return Grid(*real, nothing, torch.tensor([0, 1, 2]), torch.tensor([0]), binary=False), eta


def test_slopes_that_go_together_are_learnt_and_help_where_little_was_seen():
    plenty, _ = a_grid_of_tastes(1.2)
    _, v = fit_levels(plenty, None, 60, learn=True)
    scale = v.together.diagonal().sqrt()
    correlation = v.together / scale[:, None] / scale
    # 150 users against the 24 of the prior, which pulls towards 0; sin 1.2 = .93.
    assert 0.6 < correlation[1, 2] < 0.95
    assert correlation[0, 1:].abs().max() < 0.2
    for angle, least, most in ((1.2, 0.5, 0.99), (0.0, 0.98, 1.02)):
        little, eta = a_grid_of_tastes(angle, items=200, seen=0.02)
        _, known = fit_levels(little, None, 60, learn=True)
        together, alone = (fit_levels(little, v, 60)[0].predictor(little)[0].numpy() for v in (known, replace(known, together=None)))
        assert least < ((together - eta) ** 2).mean() / ((alone - eta) ** 2).mean() < most


def test_settled_members_have_the_fit_of_all_pairs_as_their_mean():
    rng = np.random.default_rng(0)
    user, item = np.repeat(np.arange(8), 6), np.tile(np.arange(6), 8)
    encoded = Encoded(user, item, np.zeros((48, 0)), rng.standard_normal((8, 2)), rng.standard_normal((6, 1)), {"user": 0, "item": 0})
    net, y = build(Shape(8, 6, 2, 1, 0, 2, 3), Multilevel(), torch.Generator()), rng.standard_normal(48)
    fit = GridFit(encoded, np.arange(48) % 3, 3, torch.device("cpu"))
    variances = fit.fit(net, 0, y, np.ones(48), binary=False)
    inputs = inputs_of(encoded, slice(0, 48), 3, torch.device("cpu"))
    blind = net(inputs).outcome[..., 0].detach()
    fit.settle(net)
    settled = net(inputs).outcome[..., 0].detach()
    grid = fit.grid(y, np.ones(48), binary=False)
    everything = replace(grid, weight=torch.ones(1, 8, 6, dtype=torch.float64))
    told = fit_levels(everything, variances, 60)[0].predictor(everything).reshape(48)
    np.testing.assert_allclose(settled.mean(dim=0), told, atol=1e-3)
    torch.testing.assert_close(settled - settled.mean(dim=0), blind - blind.mean(dim=0), atol=1e-5, rtol=0)


def test_members_are_blind_to_their_fold_and_to_each_other():
    rng = np.random.default_rng(0)
    user, item = np.repeat(np.arange(8), 6), np.tile(np.arange(6), 8)
    encoded = Encoded(user, item, np.zeros((48, 0)), rng.standard_normal((8, 2)), rng.standard_normal((6, 1)), {"user": 0, "item": 0})
    folds, y = np.arange(48) % 3, rng.standard_normal(48)
    changed = np.where(folds == 1, -y, y)
    shape, nets = Shape(8, 6, 2, 1, 0, 2, 3), []
    for outcome in (y, changed):
        net = build(shape, Multilevel(), torch.Generator())
        fit = GridFit(encoded, folds, 3, torch.device("cpu"))
        fit.variances[0] = Variances(*(torch.full((n,), 0.3, dtype=torch.float64) for n in (2, 3, 6)))
        grid = fit.grid(outcome, np.ones(48), binary=False)
        fit._write(net, 0, fit_levels(grid, fit.variances[0], 40)[0])
        nets.append(net)
        # What was written is what the levels say, head 0 alone.
        heads = net(inputs_of(encoded, slice(0, 48), 3, torch.device("cpu")))
        told = fit_levels(grid, fit.variances[0], 40)[0].predictor(grid).reshape(3, 48)
        np.testing.assert_allclose(heads.outcome[..., 0].detach(), told, atol=1e-5)
        assert heads.outcome[..., 1].abs().max() == 0
    assert torch.equal(nets[0].user[1], nets[1].user[1])
    assert not torch.allclose(nets[0].user[0], nets[1].user[0])


def test_one_hot_columns_share_a_variance_and_others_have_their_own():
    kind = np.eye(3)[[0, 1, 2, 0, 1, 2, 0]]
    alone = np.array([0.0, 1, 1, 0, 0, 1, 0])
    price = np.linspace(-1, 1, 7)
    traits = np.column_stack([price, kind, alone, price**2])
    standard = (traits - traits.mean(axis=0)) / traits.std(axis=0)
    group, scale = groups_of(standard)
    assert group.tolist() == [1, 2, 2, 2, 3, 4]
    np.testing.assert_allclose(scale, [1, *traits.std(axis=0)[1:4], 1, 1])


def test_tempered_weights_run_from_equal_to_full_and_average_one():
    w = np.array([[0.0, 4.0], [2.0, 0.0], [8.0, 0.0]])
    np.testing.assert_allclose(tempered(w, 0.0), [[0, 1], [1, 0], [1, 0]])
    np.testing.assert_allclose(tempered(w, 1.0), [[0, 1], [0.4, 0], [1.6, 0]])


def test_a_correction_is_believed_only_beyond_its_paired_standard_error():
    rng = np.random.default_rng(0)
    user, weights = np.repeat(np.arange(50), 4), rng.uniform(0.5, 2, (200, 1))
    naive = rng.uniform(0, 1, (200, 1))
    better, noise = naive - 0.05, naive + rng.normal(0, 0.3, (200, 1)) + 0.05
    assert choose_strength({0.0: naive, 0.5: better, 1.0: noise}, weights, user) == 0.5
    assert choose_strength({0.0: naive, 1.0: noise}, weights, user) == 0.0
    # A gain twice as large that rests on three users is less sure than one that all have.
    larger = np.where(user[:, None] < 3, naive - 1.7, naive)
    assert paired_gain(naive, larger, weights, user).value > 1.5 * paired_gain(naive, better, weights, user).value
    assert choose_strength({0.0: naive, 0.5: better, 1.0: larger}, weights, user) == 0.5


def test_the_network_not_asked_for_suits_the_loss(small, adjust):
    def kind(**told):
        return fit_outcome(small.pairs, adjust, epochs=1, **told).settings["network"]["kind"]

    assert kind() == "Multilevel"
    assert kind(loss="naive") == "Multilevel"
    assert kind(loss="dr") == "TwoTower"


def test_where_no_correction_is_needed_the_default_does_no_harm(adjust):
    # All that drives exposure is in the model: weights could only add variance.
    world = make_world(150, 60, seed=4)
    free, naive = (fit_outcome(world.pairs, adjust, loss=loss) for loss in (None, "naive"))

    def losses(model):
        p = model.predict(world.pairs, 1)
        return -(world.p1 * np.log(p) + (1 - world.p1) * np.log(1 - p)).reshape(150, 60).mean(axis=1)

    gap = losses(free) - losses(naive)
    assert gap.mean() <= gap.std(ddof=1) / np.sqrt(len(gap))
    assert f"correction at strength {free.strength:g}" in repr(free)
    assert fit_outcome(world.pairs, adjust, correction=0.5).strength == 0.5
    with pytest.raises(SettingError, match="correction"):
        fit_outcome(world.pairs, adjust, correction=2.0)


def test_a_large_grid_and_other_networks_go_by_the_loop(monkeypatch, small, adjust):
    monkeypatch.setattr("causalsem.outcome.closed_form.LARGEST_GRID", 100)
    looped = fit_outcome(small.pairs, adjust, Multilevel(), loss="naive", epochs=2)
    assert len(looped.history["outcome"]) == 2
    assert fit_outcome(small.pairs, adjust, epochs=1).settings["network"]["kind"] == TwoTower.__name__


def test_the_levels_of_a_start_know_the_mean():
    grid = a_grid()
    mean = (grid.weight * grid.y).sum() / grid.weight.sum()
    torch.testing.assert_close(Levels.start(grid).predictor(grid), mean.expand(1, 6, 5))


def test_ids_alone_are_a_multilevel_model_too(world):
    model = fit_outcome(world.pairs, AdjustmentSet(Query("shown", "buy"), (), "optimal"), loss="naive")
    assert model.settings["network"]["kind"] == "Multilevel"
    # Activity and popularity are learnt from the ids; mood, which belongs to the pair, cannot be.
    assert np.corrcoef(model.predict(world.pairs, 1), world.p1)[0, 1] > 0.6
