"""Counterfactual rows: drawn by the definition, used only where unseen folds say that they help."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expit

from causalsem.behaviour import BehaviourTable, moments
from causalsem.errors import DataError, SettingError, UnknownNameError
from causalsem.identify import AdjustmentSet, Query
from causalsem.networks import Multilevel, TwoTower
from causalsem.networks.heads import Heads
from causalsem.outcome import Naive, OutcomeModel, fit_outcome
from causalsem.outcome.batches import Batches
from causalsem.outcome.by_steps import imagination
from causalsem.outcome.counterfactuals import counterfactuals
from causalsem.outcome.journey import Journey
from causalsem.outcome.problem import Problem
from causalsem.sem import fit_sem
from tests.outcome.worlds import STAGES, make_chain

ASKED = AdjustmentSet(Query("shown", "buy"), ("z",), "given", forbidden={"browse": "a mediator"})
MODEL = "browse ~ shown\nbuy ~ shown + browse + z\nshown ~ z"


def linear_world(users=60, items=30, *, treated=0.5, taste=1.0, flip=False, seed=0):
    """Users and items differ in taste; being shown adds 1 directly and 1 by way of `browse` (`flip`: for even items it takes 3)."""
    rng = np.random.default_rng(seed)
    user, item = np.repeat(np.arange(users), items), np.tile(np.arange(items), users)
    z = rng.standard_normal(len(user))
    shown = (rng.random(len(user)) < np.clip(treated * (1 + 0.5 * np.tanh(z)), 0, 1)) * 1.0
    base = taste * (rng.standard_normal(users)[user] + rng.standard_normal(items)[item]) + 0.5 * z
    lift = np.where(flip & (item % 2 == 0), -4.0, 1.0)
    browse = shown + 0.3 * rng.standard_normal(len(user))
    buy = base + lift * shown + browse + 0.5 * rng.standard_normal(len(user))
    frame = pd.DataFrame({"u": user, "i": item, "z": z, "shown": shown, "browse": browse, "buy": buy})
    return BehaviourTable.from_frame(frame, user="u", item="i"), base + lift + 1


def sem_of(pairs):
    return fit_sem(MODEL, moments(pairs), cluster=())


def alone(pairs):
    return Journey.of(pairs, "shown", "buy", None)


def rows_of(pairs, model=MODEL):
    fit = fit_sem(model, moments(pairs), cluster=())
    return fit, counterfactuals(fit, pairs, "shown", ("z",), alone(pairs), seed=0)


def test_without_mediators_a_row_is_its_outcome_moved_by_the_coefficient():
    pairs, _ = linear_world()
    fit, rows = rows_of(pairs, "buy ~ shown + z\nshown ~ z")
    t, y, problem = pairs.column("shown"), pairs.column("buy"), Problem.of(pairs, "shown", "buy")
    expected = (y + (1 - 2 * t) * fit.coefficients["buy~shown"] - problem.scale.centre) / problem.scale.scale
    np.testing.assert_allclose(rows.y[:, 0], expected, atol=1e-9)
    np.testing.assert_array_equal(rows.arm, np.column_stack([t, 1 - t]))


def test_a_mediator_is_drawn_and_its_own_values_are_never_read():
    pairs, _ = linear_world()
    fit, rows = rows_of(pairs)
    problem = Problem.of(pairs, "shown", "buy")
    moved = (rows.y[:, 0] - problem.y) * problem.scale.scale * (1 - 2 * problem.treatment)
    assert moved.mean() == pytest.approx(fit.effects("shown", "buy").total.value, abs=0.02)
    shuffled = np.random.default_rng(1).permutation(pairs.column("browse"))
    other = BehaviourTable(pairs.frame.assign(browse=shuffled), pairs.keys, pairs.roles, (), pairs.levels)
    again = counterfactuals(fit, other, "shown", ("z",), alone(other), seed=0)
    np.testing.assert_array_equal(again.y, rows.y)


def test_a_binary_outcome_stays_a_chance_and_a_missing_one_teaches_nothing():
    pairs, _ = linear_world()
    buy = (pairs.column("buy") > 1) * 1.0
    whole = BehaviourTable(pairs.frame.assign(buy=buy), pairs.keys, pairs.roles, (), pairs.levels)
    buy = np.where(np.arange(len(buy)) % 3, buy, np.nan)
    partial = BehaviourTable(pairs.frame.assign(buy=buy), pairs.keys, pairs.roles, (), pairs.levels)
    rows = counterfactuals(sem_of(whole), partial, "shown", ("z",), alone(partial), seed=0)
    assert rows.y.min() >= 0
    assert rows.y.max() <= 1
    np.testing.assert_array_equal(rows.arm.sum(axis=1), ~np.isnan(buy))


# Two towers shrink tastes more than they should here, with or without the rows.
@pytest.mark.parametrize(("network", "share"), [(Multilevel(), 0.8), (TwoTower(), 1.0)])
def test_where_the_sem_is_right_and_few_are_treated_rows_are_used_and_help(network, share):
    pairs, truth = linear_world(treated=0.06)
    plain, more = (fit_outcome(pairs, ASKED, network, loss="naive", members=2, counterfactuals=c) for c in (None, sem_of(pairs)))
    assert more.counterfactual_weight > 0
    gain, se = more.gains["counterfactuals"]
    assert gain > 2 * se > 0
    off = [np.sqrt(np.mean((m.predict(pairs, 1) - truth) ** 2)) for m in (plain, more)]
    assert off[1] < share * off[0]
    assert "counterfactual rows at weight" in repr(more)


@pytest.mark.parametrize("network", [Multilevel(), TwoTower()])
def test_where_the_sem_is_wrong_rows_are_left_out_and_nothing_changes(network):
    pairs, _ = linear_world(flip=True, taste=0.3)
    told = {"loss": "naive", "members": 2}
    plain, more = (fit_outcome(pairs, ASKED, network, counterfactuals=c, **told) for c in (None, sem_of(pairs)))
    gain, se = more.gains["counterfactuals"]
    assert gain <= 2 * se
    assert more.counterfactual_weight == 0
    np.testing.assert_array_equal(more.fitted, plain.fitted)
    np.testing.assert_array_equal(more.predict(pairs), plain.predict(pairs))


EQUATIONS = (
    "browse ~ shown + activity + popularity\ncart ~ browse + activity + popularity\nbuy ~ browse + cart + activity + popularity\n"
    "review ~ buy + popularity\nshown ~ activity + popularity"
)
TO_BUY = AdjustmentSet(Query("shown", "buy"), ("activity", "popularity"), "given")


def chain_and_equations(users, seed, model=EQUATIONS):
    chained = make_chain(users, 60, seed)
    return chained, fit_sem(model, moments(chained.pairs), cluster=())


def journey_of(pairs):
    return Journey.of(pairs, "shown", "buy", {"browse": (), "cart": (0,), "buy": (0, 1), "review": (2,)})


def test_the_rows_of_a_chain_are_its_stages_moved_along_the_paths_of_the_sem():
    chained, fit = chain_and_equations(100, 0)
    rows = counterfactuals(fit, chained.pairs, "shown", ("activity", "popularity"), journey_of(chained.pairs), seed=0)
    step = 1 - 2 * chained.pairs.column("shown")
    for k, stage in enumerate(STAGES):
        moved = chained.pairs.column(stage) + step * fit.effects("shown", stage).total.value
        np.testing.assert_allclose(rows.y[:, k], np.clip(moved, 0, 1), atol=1e-9)


def test_the_rows_of_a_chain_teach_the_chance_of_each_stage_whatever_the_door():
    chained, fit = chain_and_equations(30, 0)
    rng, journey = np.random.default_rng(0), journey_of(chained.pairs)
    rows = counterfactuals(fit, chained.pairs, "shown", ("activity", "popularity"), journey, seed=0)
    n, chain = len(chained.pairs), journey.chain
    heads = torch.tensor(rng.standard_normal((1, n, journey.heads)), dtype=torch.float32)
    batch = Batches.of(journey, np.full((n, journey.heads), 0.5), torch.zeros(n, dtype=torch.int64))(torch.arange(n)[None])
    told = imagination(SimpleNamespace(imagined=rows, device=torch.device("cpu")))
    found = told(Heads(heads, heads, heads[..., 0]), batch, torch.arange(n)[None])
    p = expit(heads[0].double().numpy()).reshape(n, chain.doors, 2)
    name = {door: k for k, door in enumerate(chain.door_names)}
    browse = p[:, name["browse"]]
    cart = browse * p[:, name["cart | browse"]]
    buy = cart * p[:, name["buy | browse, cart"]] + (browse - cart) * p[:, name["buy | browse, no cart"]]
    by_hand = 0.0
    for k, chance in enumerate((browse, cart, buy, buy * p[:, name["review | buy"]])):
        y = rows.y[:, k, None]
        by_hand += (-(y * np.log(chance) + (1 - y) * np.log1p(-chance)) * rows.arm).sum(axis=0) @ (1 / rows.arm.sum(axis=0))
    assert found.item() == pytest.approx(by_hand, rel=1e-4)


def test_rows_of_a_chain_are_used_where_they_help():
    chained, fit = chain_and_equations(100, 1)
    told = {"loss": "esmm", "stages": STAGES, "members": 2}
    plain, more = (fit_outcome(chained.pairs, TO_BUY, TwoTower(), counterfactuals=c, **told) for c in (None, fit))
    gain, se = more.gains["counterfactuals"]
    assert (more.counterfactual_weight > 0) == (gain > 2 * se)
    off = [[np.mean((m.predict(chained.pairs, 1, stage=s) - chained.chance[s][:, 1]) ** 2) for s in STAGES] for m in (plain, more)]
    assert np.sum(off[1]) <= np.sum(off[0])


def test_rows_of_a_chain_need_every_stage_in_the_sem_and_heads_that_learn_together():
    chained, fit = chain_and_equations(30, 0)
    for network in (Multilevel(), TwoTower(wide=True)):
        with pytest.raises(SettingError, match=r"each of its doors alone.*TwoTower\(\) without wide=True"):
            fit_outcome(chained.pairs, TO_BUY, network, stages=STAGES, counterfactuals=fit)
    _, lacking = chain_and_equations(30, 0, "buy ~ shown + activity")
    with pytest.raises(UnknownNameError, match=r"'browse'.*SEM of the counterfactuals"):
        fit_outcome(chained.pairs, TO_BUY, stages=STAGES, counterfactuals=lacking)


def test_correction_and_rows_are_chosen_one_after_the_other_and_kept_in_the_file(tmp_path):
    pairs, _ = linear_world(30, 20, treated=0.3)
    model = fit_outcome(pairs, ASKED, TwoTower(), loss="dr", members=2, epochs=2, counterfactuals=sem_of(pairs))
    assert set(model.gains) == {"correction", "counterfactuals"}
    loaded = OutcomeModel.load(model.save(tmp_path / "model.safetensors"))
    assert loaded.gains == model.gains
    assert repr(loaded) == repr(model)


def test_an_arm_without_outcomes_and_a_sem_of_other_things_are_refused():
    pairs, _ = linear_world(20, 10)
    other = BehaviourTable.from_frame(pairs.frame.rename(columns={"buy": "bought"}).assign(u=pairs.keys["user"]), user="u")
    fit = fit_sem("bought ~ shown", moments(other, ["bought", "shown"]))
    with pytest.raises(UnknownNameError, match="SEM of the counterfactuals"):
        fit_outcome(pairs, ASKED, counterfactuals=fit)
    buy = np.where(pairs.column("shown") == 1, pairs.column("buy"), np.nan)
    one_arm = BehaviourTable(pairs.frame.assign(buy=buy), pairs.keys, pairs.roles, (), pairs.levels)
    with pytest.raises(DataError, match=r"shown = 0.*both arms"):
        fit_outcome(one_arm, ASKED, counterfactuals=sem_of(pairs))


@dataclass(frozen=True)
class Stopping(Naive):
    """The naive loss, which raises after some objectives, as a kill would."""

    left: ClassVar[int] = 10**9

    def row_weights(self, seen, propensity):
        return None

    def objective(self, heads, batch):
        type(self).left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return super().objective(heads, batch)


@pytest.mark.parametrize("steps", [1, 3, 9, 14])
def test_a_fit_killed_in_any_attempt_resumes_to_the_numbers_of_an_unbroken_one(steps, tmp_path):
    pairs, _ = linear_world(30, 20, treated=0.3)
    told = {"loss": Stopping(), "members": 2, "epochs": 2, "batch_size": 128, "counterfactuals": sem_of(pairs)}
    Stopping.left = 10**9
    unbroken = fit_outcome(pairs, ASKED, TwoTower(), **told)
    Stopping.left = steps
    with pytest.raises(KeyboardInterrupt):
        fit_outcome(pairs, ASKED, TwoTower(), checkpoint=tmp_path / "c.safetensors", **told)
    Stopping.left = 10**9
    resumed = fit_outcome(pairs, ASKED, TwoTower(), checkpoint=tmp_path / "c.safetensors", **told)
    np.testing.assert_array_equal(resumed.fitted, unbroken.fitted)
    assert resumed.gains == unbroken.gains
    assert dict(resumed.history) == dict(unbroken.history)
