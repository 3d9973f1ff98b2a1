"""Wide and deep: towers on top of levels add what levels cannot say, and nothing where there is nothing to add."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expit

from causalsem.behaviour import BehaviourTable
from causalsem.errors import SettingError
from causalsem.identify import AdjustmentSet, Query
from causalsem.networks import Multilevel, TwoTower
from causalsem.networks.build import build
from causalsem.networks.net import Inputs, Shape
from causalsem.outcome import Loop, OutcomeModel, closed_form, correction, fit_outcome
from causalsem.outcome.losses import LOSSES
from tests.outcome.worlds import STAGES, World, make_chain, make_world

WIDE = TwoTower(wide=True)
NARROW = TwoTower(wide=True, dim=4)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def make_bent(users=300, items=80, seed=0, factors=0.0):
    """Pairs whose outcome bends with the traits, and follows tastes that no trait tells of size `factors`."""
    draw = np.random.default_rng(seed)
    activity, popularity = draw.standard_normal(users), draw.standard_normal(items)
    a, p = np.repeat(activity, items), np.tile(popularity, users)
    taste = draw.standard_normal((users, 2)) @ draw.standard_normal((2, items))
    e = expit(-0.3 + 0.5 * a + 0.5 * p)
    shown = (draw.random(len(e)) < e) * 1.0
    eta = 1.5 * np.sin(2 * a) * np.sign(p) - 0.5 + factors * taste.ravel()
    p0, p1 = expit(eta), expit(eta + 0.5)
    buy = (draw.random(len(e)) < np.where(shown == 1, p1, p0)) * 1.0
    frame = pd.DataFrame({"u": np.repeat(np.arange(users), items), "i": np.tile(np.arange(items), users)})
    frame = frame.assign(activity=a, popularity=p, shown=shown, buy=buy)
    levels = {"activity": "user", "popularity": "item"}
    return World(BehaviourTable.from_frame(frame, user="u", item="i", levels=levels), p1, p0, e)


def excess(model, world):
    """How far the predicted chances are from the true ones: the mean Kullback-Leibler divergence."""
    p, q = np.clip(model.predict(world.pairs, 1), 1e-9, 1 - 1e-9), world.p1
    return float((q * np.log(q / p) + (1 - q) * np.log((1 - q) / (1 - p))).mean())


@pytest.fixture(scope="module")
def bent_adjust():
    return AdjustmentSet(Query("shown", "buy"), ("activity", "popularity"), "given")


@pytest.fixture(scope="module")
def bent(bent_adjust):
    world = make_bent(seed=1)
    return world, fit_outcome(world.pairs, bent_adjust, NARROW, loss="naive", members=3)


# What depth earns.


def test_depth_stays_where_outcomes_bend_in_ways_that_no_level_follows(bent, bent_adjust):
    world, model = bent
    levels = fit_outcome(world.pairs, bent_adjust, Multilevel(), loss="naive", members=3)
    gain, se = model.gains["depth"]
    assert model.depth > 0
    assert gain > 3 * se
    assert excess(model, world) < 0.75 * excess(levels, world)


def test_depth_learns_tastes_that_no_trait_tells(bent_adjust):
    world = make_bent(factors=0.8, seed=1)
    models = [fit_outcome(world.pairs, bent_adjust, network, loss="naive", members=3) for network in (Multilevel(), NARROW)]
    assert excess(models[1], world) < 0.8 * excess(models[0], world)


def test_where_levels_say_everything_depth_does_no_harm(world, adjust):
    levels, wide = (fit_outcome(world.pairs, adjust, network, loss="naive", members=3) for network in (Multilevel(), WIDE))
    assert excess(wide, world) < 1.05 * excess(levels, world) + 1e-5
    assert np.corrcoef(wide.predict(world.pairs), world.p1)[0, 1] > 0.99


@pytest.mark.parametrize("loss", ["naive", "snips"])
def test_without_depth_wide_towers_are_the_multilevel_model(loss, small, adjust, monkeypatch):
    monkeypatch.setattr(correction.Gain, "clears", lambda self, bar=1.0: False)
    levels, wide = (fit_outcome(small.pairs, adjust, network, loss=loss, members=3, epochs=1) for network in (Multilevel(), WIDE))
    assert wide.depth == 0
    assert wide.strength == levels.strength
    np.testing.assert_allclose(wide.fitted, levels.fitted, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(wide.propensity, levels.propensity, rtol=1e-6)
    np.testing.assert_allclose(wide.predict(small.pairs), levels.predict(small.pairs), rtol=1e-5, atol=1e-7)
    assert wide.lift == pytest.approx(levels.lift, rel=1e-5)


def test_the_share_kept_is_in_the_predictions_and_in_the_file(tmp_path, bent):
    world, model = bent
    own = model.predict_members(model.encode(world.pairs), 1)
    np.testing.assert_allclose(own[model.folds, np.arange(len(world.pairs))], model.fitted[:, 1], rtol=1e-5)
    loaded = OutcomeModel.load(model.save(tmp_path / "model.safetensors"))
    assert (loaded.depth, loaded.gains) == (model.depth, model.gains)
    np.testing.assert_array_equal(loaded.predict(world.pairs), model.predict(world.pairs))
    assert f"depth at share {model.depth:g} (gain " in repr(model)


# The network.


def a_wide_net(members=2):
    net = build(Shape(5, 4, 2, 3, 1, 2, members), TwoTower(wide=True, hidden=(6,)), rng())
    for parameter in net.wide.parameters():
        parameter.data.normal_(0, 0.5, generator=rng(1))
    index = torch.arange(6).expand(members, -1)
    pair = torch.randn(members, 6, 1, generator=rng(2))
    return net, Inputs(index % 6, index % 5, pair, torch.randn(6, 2, generator=rng(3)), torch.randn(5, 3, generator=rng(4)))


def test_towers_start_at_zero_on_top_of_their_levels_strangers_included():
    net, inputs = a_wide_net()
    told, levels = net(inputs), net.wide(inputs)
    for name in ("outcome", "imputed", "propensity"):
        assert torch.equal(getattr(told, name), getattr(levels, name))


def test_levels_are_not_rounded_where_towers_are():
    net, inputs = a_wide_net()
    with torch.autocast("cpu", torch.bfloat16):
        told = net(inputs)
    assert torch.equal(told.outcome, net.wide(inputs).outcome)


def test_only_towers_learn_and_only_they_are_shrunk():
    net, inputs = a_wide_net()
    net(inputs).outcome.sum().backward()
    assert all(parameter.grad is None for parameter in net.wide.parameters())
    assert net.heads.weight.grad.abs().sum() > 0
    before = net.penalty(torch.full((5,), 10.0))
    net.wide.user_weight.data.add_(1)
    assert torch.equal(net.penalty(torch.full((5,), 10.0)), before)


# Every loss, every loop.


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_trains_towers_on_levels(name, small, adjust):
    model = fit_outcome(small.pairs, adjust, WIDE, loss=name, members=2, epochs=1, correction=1)
    assert np.isfinite(model.fitted).all()
    assert np.isfinite(model.gains["depth"]).all()
    assert model.settings["network"]["wide"]


def test_numbers_and_chains_of_stages_take_depth_too(adjust):
    numbers = make_world(60, 20, seed=2, continuous=True)
    model = fit_outcome(numbers.pairs, adjust, WIDE, loss="dr", members=2, epochs=2)
    assert np.corrcoef(model.predict(numbers.pairs), numbers.p1)[0, 1] > 0.9
    chain = make_chain(80, 40)
    given = AdjustmentSet(Query("shown", "buy"), ("activity", "popularity"), "given")
    model = fit_outcome(chain.pairs, given, WIDE, loss="escm_dr", stages=STAGES, members=2, epochs=2)
    assert "depth" in model.gains
    assert abs(model.lifts["browse"] - chain.lift("browse")) < abs(chain.naive("browse") - chain.lift("browse")) / 2


def test_loops_run_wide_towers_as_they_run_plain_ones(small, adjust):
    told = {"loss": "naive", "members": 2, "epochs": 2}
    plain, recorded, rowwise = (
        fit_outcome(small.pairs, adjust, WIDE, **told, loop=loop)
        for loop in (Loop("dense"), Loop("dense", graph=True), Loop("rowwise", graph=True))
    )
    assert dict(plain.history) == dict(recorded.history)
    np.testing.assert_allclose(rowwise.history["depth"], plain.history["depth"], rtol=0.05)


def test_a_compiled_wide_step_is_one_graph(monkeypatch, small, adjust):
    from functools import partial

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager", fullgraph=True))
    told = {"loss": "dr", "epochs": 1, "members": 2}
    plain, compiled = (fit_outcome(small.pairs, adjust, WIDE, **told, loop=Loop("rowwise", compile=made)) for made in (False, True))
    np.testing.assert_allclose(plain.fitted, compiled.fitted, rtol=1e-5, atol=1e-6)


def test_a_killed_wide_fit_resumes_to_the_numbers_of_an_unbroken_one(tmp_path, small, adjust, killed_after):
    told = {"loss": "dr", "epochs": 4, "members": 2}
    unbroken = fit_outcome(small.pairs, adjust, WIDE, **told)
    with pytest.raises(KeyboardInterrupt), killed_after(5):
        fit_outcome(small.pairs, adjust, WIDE, **told, checkpoint=tmp_path / "c.safetensors")
    resumed = fit_outcome(small.pairs, adjust, WIDE, **told, checkpoint=tmp_path / "c.safetensors")
    np.testing.assert_array_equal(resumed.fitted, unbroken.fitted)
    assert dict(resumed.history) == dict(unbroken.history)


def test_pairs_that_are_no_grid_are_refused_with_a_way_out(small, adjust, monkeypatch):
    monkeypatch.setattr(closed_form, "LARGEST_GRID", 1000)
    with pytest.raises(SettingError, match=r"60 users × 20 items × 2 members .* wide=False"):
        fit_outcome(small.pairs, adjust, WIDE, members=2)
    with pytest.raises(SettingError, match="vector_prior is a standard deviation"):
        TwoTower(wide=True, vector_prior=0)
    for choice in ({"balance": 0.3}, {"balance": "auto"}, {"adversarial": "auto"}):
        with pytest.raises(SettingError, match="levels that no critic can balance"):
            TwoTower(wide=True, **choice)
