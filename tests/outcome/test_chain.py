"""Chains of behaviours: their doors, their chances against enumeration, and fits against a simulated truth."""

import dataclasses
import itertools
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch

from causalsem.behaviour import BehaviourTable
from causalsem.errors import AssumptionWarning, DataError, ForbiddenVariableError, SettingError, UnknownNameError
from causalsem.graph import CausalGraph
from causalsem.identify import AdjustmentSet, Query, identify
from causalsem.networks import TwoTower
from causalsem.networks.heads import Heads
from causalsem.outcome import DR, ESMM, OutcomeModel, fit_outcome
from causalsem.outcome.batches import Batches
from causalsem.outcome.chain import ARMS, Chain, Stage, direct, learn_chain
from causalsem.outcome.chances import chances, predictors
from causalsem.outcome.journey import Journey
from causalsem.outcome.losses import LOSSES
from causalsem.outcome.stages import find_stages
from causalsem.recommend import score
from tests.outcome.worlds import CHAIN_GRAPH, STAGES, make_chain

FEW = pytest.mark.filterwarnings("ignore:stage .* happened in only:causalsem.errors.AssumptionWarning")

LINE = Chain((Stage("browse"), Stage("cart", (0,), (((1,),),)), Stage("buy", (0, 1), (((1, 1),),)), Stage("review", (2,), (((1,),),))))
FORK = Chain(
    (
        Stage("browse"),
        Stage("cart", (0,), (((1,),),)),
        Stage("favourite", (0,), (((1,),),)),
        Stage("buy", (0, 1, 2), (((1, 1, 0), (1, 1, 1)), ((1, 0, 1),), ((0, 0, 0), (1, 0, 0)))),
        Stage("review", (3,), (((1,),),)),
    )
)


@pytest.fixture(scope="module")
def chained():
    return make_chain()


@pytest.fixture(scope="module")
def asked():
    return AdjustmentSet(Query("shown", "buy"), ("activity", "popularity"), "given")


@pytest.fixture(scope="module")
def drawn():
    return identify(CHAIN_GRAPH, Query("shown", "buy"))


@pytest.fixture(scope="module")
def model(chained, drawn):
    return fit_outcome(chained.pairs, drawn, TwoTower(), loss="escm_dr", stages=STAGES)


# Chances.


def enumerated(chain, q):
    """Chances of every stage and door by going through all 2^K ends of a pair; q (doors, arms) conditional chances."""
    stage, door = np.zeros((len(chain.stages), ARMS)), np.zeros((chain.doors, ARMS))
    for state in itertools.product((0, 1), repeat=len(chain.stages)):
        total, at = np.ones(ARMS), []
        for k, (step, first) in enumerate(zip(chain.stages, chain.first_doors, strict=True)):
            d = step.door(state)
            chance = np.zeros(ARMS) if d is None else q[first + d]
            total = total * (chance if state[k] else 1 - chance)
            at += [] if d is None else [first + d]
        for k, happened in enumerate(state):
            stage[k] += total * happened
        for d in at:
            door[d] += total
    return stage, door


@pytest.mark.parametrize("chain", [direct("buy"), LINE, FORK])
def test_chances_are_those_of_going_through_every_end_of_a_pair(chain):
    logits = torch.randn(3, 2 * chain.doors, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    told = chances(chain, logits)
    for row in range(3):
        stage, door = enumerated(chain, torch.sigmoid(logits[row]).numpy().reshape(-1, ARMS))
        np.testing.assert_allclose(told.stage[row].exp(), stage, rtol=1e-9)
        np.testing.assert_allclose(told.door[row].exp(), door, rtol=1e-9)
        np.testing.assert_allclose(torch.sigmoid(predictors(chain, logits)[row]), stage, rtol=1e-5)


def test_the_head_of_a_lone_stage_is_its_predictor_whatever_it_predicts():
    heads = torch.randn(4, 2)
    assert torch.equal(predictors(direct("stars"), heads)[:, 0], heads)


# Doors.


def test_doors_are_the_ways_by_which_a_stage_was_reached():
    for uncarted, names in (
        (True, ("browse", "cart | browse", "buy | browse, no cart", "buy | browse, cart")),
        (False, ("browse", "cart | browse", "buy | browse, cart")),
    ):
        world = make_chain(60, 40, uncarted=uncarted)
        values = world.pairs.matrix(STAGES[:3])
        chain = learn_chain(STAGES[:3], [(), (0,), (0, 1)], values, np.ones(values.shape, dtype=bool))
        assert chain.door_names == names
        at = chain.at(values, np.ones(values.shape, dtype=bool))
        browse, cart, buy = values.T
        by_hand = [np.ones(len(values)), browse, *([browse * (1 - cart)] if uncarted else []), browse * cart]
        np.testing.assert_array_equal(at, np.column_stack(by_hand))
        # Nobody who did not stand at a door of buying bought.
        assert not buy[at[:, 2:].sum(axis=1) == 0].any()


def test_rare_ways_share_a_door_and_pairs_of_unknown_past_stand_at_none():
    rng = np.random.default_rng(0)
    cart = (rng.random(1000) < 0.3).astype(float)
    buy = cart * (rng.random(1000) < 0.5)
    buy[np.flatnonzero(cart == 0)[:3]] = 1
    values, known = np.column_stack([cart, buy]), np.ones((1000, 2), dtype=bool)
    chain = learn_chain(("cart", "buy"), [(), (0,)], values, known)
    assert chain.door_names == ("cart", "buy | cart", "buy | no cart")
    known[:10, 0] = False
    assert (chain.at(values, known)[:10, 1:] == 0).all()


# Losses over chains.


def a_chain_batch(chained, asked, rows=200):
    pairs = chained.pairs.rows(np.arange(rows * 2))
    parents = find_stages(pairs, asked, STAGES, asked.variables)
    journey = Journey.of(pairs, "shown", "buy", parents)
    e = np.random.default_rng(0).uniform(0.1, 0.9, (len(pairs), journey.heads))
    batch_of = Batches.of(journey, e, torch.zeros(len(pairs), dtype=torch.long))
    g = torch.Generator().manual_seed(1)
    rows = torch.stack([torch.arange(rows), torch.arange(rows) + rows])
    draw = [torch.randn(2, rows.shape[1], journey.heads, generator=g, requires_grad=True) for _ in range(2)]
    return journey, Heads(draw[0], draw[1], torch.randn(2, rows.shape[1], generator=g, requires_grad=True)), batch_of(rows)


@FEW
@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_takes_a_chain_and_keeps_members_apart(name, chained, asked):
    _, heads, batch = a_chain_batch(chained, asked)
    value = LOSSES[name]().objective(heads, batch)
    assert value.shape == (2,)
    assert torch.isfinite(value).all()
    value[0].backward()
    assert heads.outcome.grad[0].abs().sum() > 0
    assert heads.outcome.grad[1].abs().max() == 0
    assert torch.isfinite(LOSSES[name]().judge(heads, batch)).all()


@FEW
def test_esmm_is_the_hand_written_cross_entropy_of_the_treatment_and_of_every_joint_stage(chained, asked):
    journey, heads, batch = a_chain_batch(chained, asked)
    member = 0
    e = torch.sigmoid(heads.propensity[member]).detach().double().numpy()
    q = torch.sigmoid(heads.outcome[member]).detach().double().numpy()
    t, done = batch.arm[member, :, 1].numpy(), batch.stage[member].numpy()
    total = 0.0
    for n in range(len(e)):
        total -= np.log(e[n] if t[n] else 1 - e[n])
        chance, _ = enumerated(journey.chain, q[n].reshape(-1, ARMS))
        for k, arm in itertools.product(range(len(STAGES)), (0, 1)):
            joint = (e[n] if arm else 1 - e[n]) * chance[k, arm]
            total -= np.log(joint if t[n] == arm and done[n, k] else 1 - joint)
    assert float(ESMM().objective(heads, batch)[member].detach()) == pytest.approx(total / len(e), rel=1e-5)


@pytest.mark.parametrize(("name", "unbiased"), [("escm_ips", True), ("escm_dr", True), ("ips", True), ("naive", False)])
def test_a_head_past_the_first_stage_learns_of_all_pairs_though_only_some_reach_its_door(name, unbiased):
    # Who browses is who buys: among browsers the chance to buy is .6, among all pairs .4. A constant head placed at the
    # truth of all pairs has no expected gradient exactly if the loss undoes the selection into browsing.
    n, rng = 200_000, np.random.default_rng(0)
    x = rng.integers(0, 2, n)
    browse_chance, buy_chance = np.where(x, 0.8, 0.2), np.where(x, 0.7, 0.1)
    shown = rng.integers(0, 2, n)
    browse = (rng.random(n) < browse_chance).astype(float)
    buy = browse * (rng.random(n) < buy_chance)
    frame = pd.DataFrame({"u": np.arange(n), "i": 0, "shown": shown, "browse": browse, "buy": buy})
    pairs = BehaviourTable.from_frame(frame, user="u", item="i")
    journey = Journey.of(pairs, "shown", "buy", {"browse": (), "buy": (0,)})
    here = np.column_stack([np.full((n, 2), 0.5), np.tile(0.5 * browse_chance[:, None], 2)])
    batch = Batches.of(journey, here, torch.zeros(n, dtype=torch.long))(torch.arange(n)[None])
    of_browse = torch.tensor(np.log(browse_chance / (1 - browse_chance)), dtype=torch.float32)[None, :, None].expand(1, n, 2)
    of_buy = torch.full((1, 1, 2), float(np.log(0.4 / 0.6)), requires_grad=True)
    heads = Heads(torch.cat([of_browse, of_buy.expand(1, n, 2)], dim=-1), torch.zeros(1, n, 4), torch.zeros(1, n))
    loss = LOSSES[name](**({"joint": 0.0} if name.startswith("escm") else {}))
    loss.objective(heads, batch).sum().backward()
    # One term is bounded by weight 10 × residual 1: the mean's error is below √(10 × .25 / n) ≈ .004 a standard error.
    bias = of_buy.grad.abs().max().item()
    assert bias < 0.015 if unbiased else bias > 0.05


# Fits.


def test_lifts_of_all_stages_lose_the_bias_of_the_naive_difference(chained, model):
    assert model.stages == STAGES
    for stage in STAGES:
        assert abs(model.lifts[stage] - chained.lift(stage)) < 0.2 * abs(chained.naive(stage) - chained.lift(stage)), stage
    assert model.lift == model.lifts["buy"]


def test_each_head_is_the_chance_of_its_stage_given_those_before_it(chained, model):
    for arm in (0, 1):
        told = model.predict_steps(chained.pairs, arm)
        assert set(told) == set(chained.steps[arm])
        for name, truth in chained.steps[arm].items():
            assert np.corrcoef(told[name], truth)[0, 1] > (0.5 if "no cart" in name or "review" in name else 0.8), name
            # A head learns from hundreds to thousands of pairs: three standard errors of such a share.
            assert told[name].mean() == pytest.approx(truth.mean(), abs=0.08), name


def test_chances_of_stages_follow_the_truth_and_can_be_scored(chained, model):
    for stage in STAGES:
        told = model.predict(chained.pairs, 1, stage=stage)
        assert np.corrcoef(told, chained.chance[stage][:, 1])[0, 1] > 0.9
        assert told.mean() == pytest.approx(chained.chance[stage][:, 1].mean(), abs=0.02)
    scores = score(model, chained.pairs, stage="review")
    assert scores.outcome == "review"
    np.testing.assert_array_equal(scores.frame.sort_values(["user", "item"])["score"], model.predict(chained.pairs, 1, stage="review"))
    np.testing.assert_array_equal(model.predict(chained.pairs), model.predict(chained.pairs, stage="buy"))
    with pytest.raises(UnknownNameError, match="did you mean 'cart'"):
        model.predict(chained.pairs, stage="carts")


def test_the_multilevel_model_and_a_plain_loss_take_a_chain_too(chained, asked):
    grid = fit_outcome(chained.pairs, asked, stages=STAGES[:3], members=2)
    plain = fit_outcome(chained.pairs, asked, TwoTower(), loss="dr", stages=STAGES[:3], members=2, epochs=4)
    for model in (grid, plain):
        assert np.corrcoef(model.predict(chained.pairs, 1), chained.chance["buy"][:, 1])[0, 1] > 0.9
        assert abs(model.lift - chained.lift("buy")) < 0.2 * abs(chained.naive("buy") - chained.lift("buy"))


@pytest.mark.parametrize("correction", [0, 0.5, 1])
def test_a_chain_takes_any_strength_of_its_correction_and_its_heads_are_those_of_the_last_fit(correction, asked):
    pairs = make_chain(60, 30).pairs
    model = fit_outcome(pairs, asked, TwoTower(), loss="escm_dr", stages=STAGES[:3], members=2, epochs=2, correction=correction)
    assert model.strength == correction
    # The network that answers is the one whose answers out of fold were kept.
    for member in range(2):
        fold = model.folds == member
        told = model.predict_members(model.encode(pairs), 1)[member, fold]
        np.testing.assert_allclose(told, model.fitted[fold, 1], rtol=1e-5)


def test_the_outcome_as_its_only_stage_gives_the_numbers_of_no_stages(small, adjust):
    plain, staged = (fit_outcome(small.pairs, adjust, TwoTower(), loss="escm_dr", epochs=2, stages=stages) for stages in (None, ["buy"]))
    np.testing.assert_array_equal(plain.fitted, staged.fitted)
    np.testing.assert_array_equal(plain.predict(small.pairs), staged.predict(small.pairs))


def test_saving_and_loading_a_chain_changes_no_number(tmp_path, chained, model):
    loaded = OutcomeModel.load(model.save(tmp_path / "链.safetensors"))
    assert loaded.chain == model.chain
    assert loaded.lifts == model.lifts
    assert repr(loaded) == repr(model)
    assert "browse → cart → buy → review" in repr(model)
    for stage in STAGES:
        np.testing.assert_array_equal(loaded.predict(chained.pairs, 0, stage=stage), model.predict(chained.pairs, 0, stage=stage))


@dataclasses.dataclass(frozen=True)
class Stopping(DR):
    """DR that raises after some objectives, as a kill would."""

    left: ClassVar[int] = 10**9

    def objective(self, heads, batch):
        type(self).left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return super().objective(heads, batch)


def test_a_killed_fit_of_a_chain_resumes_to_the_numbers_of_an_unbroken_one(tmp_path, asked):
    pairs, told = make_chain(60, 30).pairs, {"stages": STAGES[:3], "members": 2, "epochs": 4}
    unbroken = fit_outcome(pairs, asked, TwoTower(), loss="dr", **told)
    Stopping.left = 5
    with pytest.raises(KeyboardInterrupt):
        fit_outcome(pairs, asked, TwoTower(), loss=Stopping(), **told, checkpoint=tmp_path / "c.safetensors")
    Stopping.left = 10**9
    resumed = fit_outcome(pairs, asked, TwoTower(), loss=Stopping(), **told, checkpoint=tmp_path / "c.safetensors")
    np.testing.assert_array_equal(resumed.fitted, unbroken.fitted)
    assert dict(resumed.history) == dict(unbroken.history)


# Which stages.


def test_all_means_what_the_graph_or_the_tiers_place_behind_the_treatment(chained, asked, drawn):
    without_tiers = BehaviourTable(chained.pairs.frame, chained.pairs.keys, {})
    by_graph = find_stages(without_tiers, drawn, "all", drawn.variables)
    assert by_graph == {"browse": (), "cart": (0,), "buy": (0, 1), "review": (2,)}
    by_tiers = find_stages(chained.pairs, asked, "all", asked.variables)
    assert by_tiers == {"browse": (), "cart": (0,), "buy": (0, 1), "review": (0, 1, 2)}
    assert find_stages(chained.pairs, asked, ("shown", "browse", "buy"), ()) == {"browse": (), "buy": (0,)}
    with pytest.raises(SettingError, match="needs a graph"):
        find_stages(without_tiers, asked, "all", ())


def test_a_cause_of_two_stages_that_the_network_does_not_see_keeps_the_earlier_one_in_sight(chained, drawn):
    # Popular items are browsed and reviewed: without popularity a review tells of browsing even among buyers.
    assert find_stages(chained.pairs, drawn, STAGES, ("activity",))["review"] == (0, 1, 2)


@pytest.mark.parametrize("stages", [("cart", "browse", "buy"), ("browse", "buy", "cart")])
def test_an_order_against_graph_or_tiers_is_refused(stages, chained, asked, drawn):
    with pytest.raises(SettingError, match="put them in that order"):
        fit_outcome(chained.pairs, asked, stages=stages)
    without_tiers = BehaviourTable(chained.pairs.frame, chained.pairs.keys, {})
    with pytest.raises(SettingError, match="the graph leads from"):
        find_stages(without_tiers, drawn, stages, ())


def test_a_stage_is_a_target_and_never_an_input(chained, asked):
    with pytest.raises(ForbiddenVariableError, match="input and target at once"):
        fit_outcome(chained.pairs, asked, stages=STAGES, features=["cart"])
    mediator = AdjustmentSet(Query("shown", "buy"), ("activity", "cart"), "given")
    with pytest.raises(ForbiddenVariableError, match="'cart'"):
        fit_outcome(chained.pairs, mediator, stages=STAGES)


def changed(pairs, **columns):
    return BehaviourTable(pairs.frame.assign(**columns), pairs.keys, pairs.roles, pairs.tiers, pairs.levels)


def test_a_stage_that_is_a_rating_or_never_happened_is_named(chained, asked):
    stars = np.where(chained.pairs.column("review") == 1, 4.0, 0.0)
    with pytest.raises(DataError, match="stage 'review' has the value 4; a stage happened or it did not"):
        fit_outcome(changed(chained.pairs, review=stars), asked, stages=STAGES)
    with pytest.raises(DataError, match="stage 'cart' never happened"):
        fit_outcome(changed(chained.pairs, cart=0.0), asked, stages=STAGES)
    with pytest.raises(DataError, match="stage 'cart' was never observed"):
        fit_outcome(changed(chained.pairs, cart=np.nan), asked, stages=STAGES)


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ("buy", "names no chain"),
        (("browse", "cart"), "the outcome 'buy' is not among the stages"),
        (("browse", "shown", "buy"), "comes before every stage"),
        (("browse", "browse", "buy"), "name one twice"),
    ],
)
def test_a_chain_that_cannot_be_is_refused(stages, message, chained, asked):
    with pytest.raises(SettingError, match=message):
        fit_outcome(chained.pairs, asked, stages=stages)


def test_a_misspelt_stage_is_answered_with_the_nearest(chained, asked):
    with pytest.raises(UnknownNameError, match="did you mean 'browse'"):
        fit_outcome(chained.pairs, asked, stages=("brows", "buy"))


def test_a_stage_whose_effect_the_set_does_not_identify_is_said(chained):
    graph = CausalGraph.parse(
        "activity -> shown; activity -> browse; shown -> browse -> buy -> review; popularity -> shown; popularity -> review"
    )
    adjust = AdjustmentSet(Query("shown", "buy"), ("activity",), "given", graph=graph)
    with pytest.warns(AssumptionWarning, match=r"does not identify shown ⇒ review"):
        find_stages(chained.pairs, adjust, ("browse", "buy", "review"), ("activity",))


def test_a_stage_that_hardly_happened_is_said_with_its_counts_and_what_to_do(chained, asked):
    frame = chained.pairs.frame.copy()
    shown, rare = frame["shown"].to_numpy(), frame["review"].to_numpy().copy()
    for arm, kept in ((0, 3), (1, 19)):
        rare[np.flatnonzero((shown == arm) & (rare == 1))[kept:]] = 0
    pairs = BehaviourTable(frame.assign(review=rare), chained.pairs.keys, chained.pairs.roles, chained.pairs.tiers, chained.pairs.levels)
    told = (
        r"'review' happened in only 3 of [\d,]+ pairs with shown = 0 and 19 of [\d,]+ pairs with shown = 1.*longer window, or leave it out"
    )
    with pytest.warns(AssumptionWarning, match=told):
        Journey.of(pairs, "shown", "buy", {"browse": (), "buy": (0,), "review": (1,)})
    rare[np.flatnonzero((shown == 0) & (frame["review"] == 1))[:20]] = 1
    rare[np.flatnonzero((shown == 1) & (frame["review"] == 1))[:20]] = 1
    enough = BehaviourTable(frame.assign(review=rare), chained.pairs.keys, chained.pairs.roles, chained.pairs.tiers, chained.pairs.levels)
    Journey.of(enough, "shown", "buy", {"browse": (), "buy": (0,), "review": (1,)})  # warnings are errors
