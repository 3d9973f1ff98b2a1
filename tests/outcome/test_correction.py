"""How much of a correction is believed, by networks that train in steps."""

import numpy as np
import pandas as pd
import pytest

from causalsem.behaviour import BehaviourTable
from causalsem.identify import AdjustmentSet, Query
from causalsem.networks import Multilevel, TwoTower
from causalsem.outcome import fit_outcome
from causalsem.outcome.correction import paired_gain, softened
from tests.outcome.worlds import make_world


def test_a_gain_is_a_weighted_mean_with_the_error_of_its_users():
    before, after = np.array([[1.0], [2.0], [3.0], [9.0]]), np.array([[0.5], [2.0], [1.0], [0.0]])
    weights, user = np.array([[1.0], [1.0], [2.0], [0.0]]), np.array([0, 0, 1, 2])
    gain = paired_gain(before, after, weights, user)
    assert gain.value == pytest.approx((0.5 + 2 * 2.0) / 4)
    # The sum over two users of .5 and 4; the third has no weight. √2 × their standard deviation is their distance.
    assert gain.se == pytest.approx((4 - 0.5) / 4)
    assert gain.clears()
    assert not gain.clears(2.0)
    assert not paired_gain(after, before, weights, user).clears()


def test_softened_propensities_weigh_one_on_average_and_are_themselves_at_full_strength():
    rng = np.random.default_rng(0)
    e = rng.uniform(0.1, 0.9, 500)
    both, taken = np.column_stack([1 - e, e]), rng.random(500) < e
    seen = np.column_stack([~taken, taken]) * 1.0
    for strength in (0.0, 0.3, 0.8):
        np.testing.assert_allclose((seen / softened(both, seen, strength)).mean(axis=0), 1)
    np.testing.assert_array_equal(softened(both, seen, 1.0), both)
    np.testing.assert_allclose(softened(both, seen, 0.0), np.broadcast_to(seen.mean(axis=0), both.shape))


def test_stepwise_networks_end_as_one_of_the_two_fits_they_choose_between(small, adjust):
    told = {"epochs": 2, "members": 2}
    free = fit_outcome(small.pairs, adjust, TwoTower(), loss="dr", **told)
    full = fit_outcome(small.pairs, adjust, TwoTower(), loss="dr", correction=1, **told)
    naive = fit_outcome(small.pairs, adjust, TwoTower(), loss="dr", correction=0, **told)
    assert free.history["naive"] == naive.history["outcome"]
    assert free.history["outcome"] == full.history["outcome"]
    chosen = {0.0: naive, 1.0: full}[free.strength]
    np.testing.assert_array_equal(free.fitted, chosen.fitted)
    np.testing.assert_array_equal(free.predict(small.pairs), chosen.predict(small.pairs))
    # Without a correction each pair's prediction is that of the loss "naive", level and all; the lift stays doubly robust.
    believed = fit_outcome(small.pairs, adjust, TwoTower(), loss="naive", **told)
    assert believed.history["outcome"] == naive.history["outcome"]
    np.testing.assert_array_equal(believed.predict(small.pairs), naive.predict(small.pairs))
    assert believed.lift != naive.lift
    assert free.lift == chosen.lift


def test_a_stepwise_network_does_no_harm_where_propensities_are_noise(adjust):
    world = make_world(100, 40, seed=4)
    noise = np.random.default_rng(0).uniform(0.02, 0.98, len(world.pairs))
    own = world.pairs
    pairs = BehaviourTable(own.frame.assign(noise=noise), own.keys, own.roles, (), own.levels)
    free, naive = (fit_outcome(pairs, adjust, TwoTower(), loss=loss, propensity="noise", members=2) for loss in ("dr", "naive"))

    def losses(model):
        p = np.clip(model.fitted[:, 1], 1e-9, 1 - 1e-9)
        return -(world.p1 * np.log(p) + (1 - world.p1) * np.log(1 - p)).reshape(100, 40).mean(axis=1)

    gap = losses(free) - losses(naive)
    assert gap.mean() <= gap.std(ddof=1) / np.sqrt(len(gap))


@pytest.mark.parametrize("network", [TwoTower(), Multilevel()])
def test_the_lift_is_the_targeted_estimate_even_where_no_correction_is_believed(network, adjust):
    # The log misleads about the level alone: a hidden mood, unrelated to every column, raises exposure and purchase.
    world = make_world(200, 60, seed=5)
    rng = np.random.default_rng(0)
    mood = rng.integers(0, 2, len(world.pairs))
    e = np.where(mood, 0.7, 0.3)
    shown, p = (rng.random(len(e)) < e) * 1.0, np.where(mood, 0.6, 0.2)
    own = world.pairs
    frame = own.frame.assign(e=e, shown=shown, buy=(rng.random(len(e)) < p) * 1.0)
    pairs = BehaviourTable(frame, own.keys, own.roles, (), own.levels)
    model = fit_outcome(pairs, adjust, network, loss="snips", propensity="e", correction=0, members=2)
    naive = frame["buy"][shown == 1].mean() - frame["buy"][shown == 0].mean()
    assert naive > 0.12
    assert abs(model.lift) < 0.03
    assert model.fitted[:, 1].mean() == pytest.approx(frame["buy"][shown == 1].mean(), abs=0.03)


def test_a_correction_is_believed_where_the_log_alone_misleads():
    # A hidden mood makes people buy. Half the items are shown to the good-humoured, half to the others: naively the first
    # half sells better, in truth all sell alike. The true propensities know the mood.
    rng = np.random.default_rng(0)
    user, item = np.repeat(np.arange(200), 40), np.tile(np.arange(40), 200)
    mood, kind = rng.integers(0, 2, 8000), np.where(item % 2, 1.0, -1.0)
    e = 0.5 + 0.35 * (2 * mood - 1) * kind
    frame = pd.DataFrame({"u": user, "i": item, "kind": kind, "e": e, "shown": (rng.random(8000) < e) * 1.0})
    frame["buy"] = (rng.random(8000) < np.where(mood, 0.7, 0.2)) * 1.0
    pairs = BehaviourTable.from_frame(frame, user="u", item="i", levels={"kind": "item"})
    asked = AdjustmentSet(Query("shown", "buy"), ("kind",), "given")
    free, naive = (fit_outcome(pairs, asked, TwoTower(), loss=loss, propensity="e", members=2) for loss in ("dr", "naive"))
    assert free.strength == 1
    gap, believed = (abs(np.subtract(*(m.fitted[kind == k, 1].mean() for k in (1, -1)))) for m in (free, naive))
    assert gap < 0.1
    assert believed > 0.25
