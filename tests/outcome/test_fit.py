"""fit_outcome against truth, closed forms and its promises."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from causalsem.behaviour import BehaviourTable
from causalsem.errors import (
    AssumptionWarning,
    DataError,
    FileError,
    ForbiddenVariableError,
    OverlapError,
    SettingError,
    TrainingError,
    UnknownNameError,
)
from causalsem.identify import AdjustmentSet, Query
from causalsem.networks import Multilevel, TwoTower
from causalsem.outcome import DR, Naive, OutcomeModel, fit_outcome
from causalsem.outcome.losses import LOSSES
from tests.outcome.worlds import make_world


@pytest.fixture(scope="module")
def model(small, adjust):
    return fit_outcome(small.pairs, adjust, TwoTower(), epochs=2)


@pytest.fixture(scope="module")
def full(world, adjust):
    return fit_outcome(world.pairs, adjust)


# Theory: simulated truth.


@pytest.mark.parametrize("name", [n for n in LOSSES if LOSSES[n].weighted])
def test_every_weighted_loss_undoes_a_confounder_the_network_cannot_see(name, world):
    # `mood` is hidden from the network; only the true propensities know it.
    hidden = AdjustmentSet(Query("shown", "buy"), ("activity", "popularity"), "optimal")
    model = fit_outcome(world.pairs, hidden, loss=name, propensity="truth", members=2, epochs=3, correction=1)
    # The standard error of the inverse-propensity estimate here is about 0.008, a third of mood's bias.
    naive = fit_outcome(world.pairs, hidden, loss="naive", members=2, epochs=3) if name == "dr" else None
    assert abs(model.lift - world.lift) < 0.016
    if naive is not None:
        assert abs(naive.lift - world.lift) > 2 * abs(model.lift - world.lift)


def test_the_default_cuts_the_bias_of_the_naive_difference_by_four_fifths_and_ranks_pairs_truly(world, full):
    model = full
    assert abs(model.lift - world.lift) < 0.2 * abs(world.naive - world.lift)
    p1, p0 = model.predict(world.pairs, 1), model.predict(world.pairs, 0)
    assert np.corrcoef(p1, world.p1)[0, 1] > 0.97
    assert np.corrcoef(p0, world.p0)[0, 1] > 0.97
    assert (p1 - p0).mean() == pytest.approx(world.lift, abs=0.2 * abs(world.naive - world.lift))
    assert np.corrcoef(model.propensity, world.e)[0, 1] > 0.97


def test_predicted_chances_are_calibrated_by_tenths(world, full):
    p1 = full.fitted[:, 1]
    for tenth in np.array_split(np.argsort(p1), 10):
        assert p1[tenth].mean() == pytest.approx(world.p1[tenth].mean(), abs=0.03)


def test_in_the_linear_limit_the_model_is_least_squares(adjust):
    world = make_world(60, 40, seed=3, continuous=True)
    linear = TwoTower(dim=1, hidden=(), id_prior=1e-3, weight_prior=100.0, id_dropout=0.0)
    model = fit_outcome(world.pairs, adjust, linear, loss=Naive(), epochs=40, learning_rate=0.05, patience=40)
    x = np.column_stack([np.ones(len(world.pairs)), world.pairs.matrix(["activity", "popularity", "mood"])])
    t, y = world.pairs.column("shown"), world.pairs.column("buy")
    for arm in (0, 1):
        beta = np.linalg.lstsq(x[t == arm], y[t == arm], rcond=None)[0]
        difference = model.predict(world.pairs, arm) - x @ beta
        # The tower's trait network may bend a little; a twentieth of the outcome's spread bounds it.
        assert np.abs(difference).mean() < 0.05 * y.std()


def test_the_multilevel_network_finds_the_truth_and_survives_a_file(tmp_path, world, adjust):
    model = fit_outcome(world.pairs, adjust, Multilevel(), members=2, epochs=3)
    assert abs(model.lift - world.lift) < 0.2 * abs(world.naive - world.lift)
    assert np.corrcoef(model.predict(world.pairs, 1), world.p1)[0, 1] > 0.95
    loaded = OutcomeModel.load(model.save(tmp_path / "model.safetensors"))
    np.testing.assert_array_equal(loaded.predict(world.pairs), model.predict(world.pairs))
    assert loaded.lift == model.lift
    assert loaded.scale == model.scale


def test_the_naive_loss_learns_from_observed_outcomes_however_few_they_are(small, adjust):
    # A quarter of the pairs have an outcome; the others would dilute every batch if they were in it.
    buy = np.where(small.pairs.column("shown") == 1, small.pairs.column("buy"), np.nan)
    pairs = BehaviourTable(small.pairs.frame.assign(buy=buy), small.pairs.keys, small.pairs.roles, (), small.pairs.levels)
    model = fit_outcome(pairs, adjust, loss="naive", propensity="truth")
    expected = small.p1[small.pairs.column("shown") == 1].mean()
    assert model.fitted[small.pairs.column("shown") == 1, 1].mean() == pytest.approx(expected, abs=0.05)
    assert np.corrcoef(model.predict(pairs, 1), small.p1)[0, 1] > 0.5


def test_outcomes_observed_in_one_arm_only_leave_the_other_unknown(small, adjust):
    buy = np.where(small.pairs.column("shown") == 1, small.pairs.column("buy"), np.nan)
    pairs = BehaviourTable(small.pairs.frame.assign(buy=buy), small.pairs.keys, small.pairs.roles, (), small.pairs.levels)
    model = fit_outcome(pairs, adjust, epochs=2)
    assert model.arms == (1,)
    assert "one arm" in repr(model)
    assert 0 < model.predict(pairs, 1).mean() < 1
    with pytest.raises(DataError, match=r"shown = 0.*ask for one of \(1,\)"):
        model.predict(pairs, 0)


# Invariants.


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(small, adjust):
    first, again, other = (fit_outcome(small.pairs, adjust, TwoTower(), epochs=2, seed=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(first.predict(small.pairs), again.predict(small.pairs))
    np.testing.assert_array_equal(first.fitted, again.fitted)
    assert first.history == again.history
    assert not np.allclose(first.predict(small.pairs), other.predict(small.pairs))


def test_global_random_state_is_neither_read_nor_touched(small, adjust):
    import torch

    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = fit_outcome(small.pairs, adjust, epochs=1)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(6)
    np.testing.assert_array_equal(first.fitted, fit_outcome(small.pairs, adjust, epochs=1).fitted)


def test_the_callers_table_is_left_as_it_was(small, adjust):
    before = small.pairs.frame.copy(deep=True)
    fit_outcome(small.pairs, adjust, epochs=1)
    pd.testing.assert_frame_equal(before, small.pairs.frame)


def test_every_pair_is_judged_by_the_member_that_never_saw_it(small, adjust, model):
    # Changing the outcomes of one fold must not change that fold's out-of-fold propensities, only other folds' outcomes.
    flipped = small.pairs.column("buy").copy()
    fold = model.folds == 2
    flipped[fold] = 1 - flipped[fold]
    pairs = BehaviourTable(small.pairs.frame.assign(buy=flipped), small.pairs.keys, small.pairs.roles, (), small.pairs.levels)
    other = fit_outcome(pairs, adjust, TwoTower(), epochs=2)
    np.testing.assert_array_equal(model.folds, other.folds)
    np.testing.assert_allclose(model.propensity, other.propensity)
    state, changed = model.net.state_dict(), other.net.state_dict()
    # Training of member 2 is blind to fold 2; where the best epoch is the same, so are its weights.
    assert model.history["outcome"] != other.history["outcome"]
    same_best = min(range(2), key=lambda k: model.history["outcome"][k][1]) == min(range(2), key=lambda k: other.history["outcome"][k][1])
    if same_best:
        np.testing.assert_allclose(state["heads.weight"][2], changed["heads.weight"][2], rtol=1e-3, atol=1e-4)
    assert not np.allclose(state["heads.weight"][1], changed["heads.weight"][1], rtol=1e-3, atol=1e-4)


def test_saving_and_loading_changes_no_number(tmp_path, small, model):
    path = model.save(tmp_path / "模型.safetensors")
    loaded = OutcomeModel.load(path)
    np.testing.assert_array_equal(loaded.predict(small.pairs), model.predict(small.pairs))
    np.testing.assert_array_equal(loaded.predict_propensity(small.pairs), model.predict_propensity(small.pairs))
    np.testing.assert_array_equal(loaded.folds, model.folds)
    assert repr(loaded) == repr(model)
    assert dict(loaded.history) == dict(model.history)
    assert dict(loaded.settings) == dict(model.settings)


def test_a_file_that_is_no_model_is_refused(tmp_path, model):
    path = model.save(tmp_path / "model.safetensors")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(FileError, match="cut short"):
        OutcomeModel.load(path)
    with pytest.raises(FileError, match="no file"):
        OutcomeModel.load(tmp_path / "nowhere.safetensors")


# A killed fit.


@dataclass(frozen=True)
class Stopping(DR):
    """DR that raises after some objectives, as a kill would."""

    left: ClassVar[int] = 10**9
    why: ClassVar[type[BaseException]] = KeyboardInterrupt

    def objective(self, heads, batch):
        type(self).left -= 1
        if self.left < 0:
            raise self.why
        return super().objective(heads, batch)


@dataclass(frozen=True)
class Poisoned(Stopping):
    """DR that turns into NaN after some objectives."""

    def objective(self, heads, batch):
        type(self).left -= 1
        return DR.objective(self, heads, batch) * (float("nan") if self.left < 0 else 1.0)


@pytest.mark.parametrize("steps", [0, 3, 6])
def test_a_killed_fit_resumes_to_the_numbers_of_an_unbroken_one(steps, tmp_path, small, adjust):
    unbroken = fit_outcome(small.pairs, adjust, TwoTower(), epochs=4)  # two steps an epoch
    Stopping.left = steps
    with pytest.raises(KeyboardInterrupt):
        fit_outcome(small.pairs, adjust, loss=Stopping(), epochs=4, checkpoint=tmp_path / "c.safetensors")
    Stopping.left = 10**9
    resumed = fit_outcome(small.pairs, adjust, loss=Stopping(), epochs=4, checkpoint=tmp_path / "c.safetensors")
    np.testing.assert_array_equal(resumed.predict(small.pairs), unbroken.predict(small.pairs))
    np.testing.assert_array_equal(resumed.fitted, unbroken.fitted)
    assert dict(resumed.history) == dict(unbroken.history)
    assert 10**9 - Stopping.left <= 8 - 2 * (steps // 2)


def test_a_finished_checkpoint_answers_again_without_training(tmp_path, small, adjust):
    Stopping.left = 10**9
    first = fit_outcome(small.pairs, adjust, loss=Stopping(), epochs=2, checkpoint=tmp_path / "c.safetensors")
    Stopping.left = 0
    again = fit_outcome(small.pairs, adjust, loss=Stopping(), epochs=2, checkpoint=tmp_path / "c.safetensors")
    np.testing.assert_array_equal(first.fitted, again.fitted)


def test_a_folder_is_no_checkpoint(tmp_path, small, adjust):
    with pytest.raises(FileError, match="is a folder; name a file in it"):
        fit_outcome(small.pairs, adjust, checkpoint=tmp_path)


def test_a_checkpoint_of_another_fit_is_refused(tmp_path, small, adjust):
    fit_outcome(small.pairs, adjust, TwoTower(), epochs=1, checkpoint=tmp_path / "c.safetensors")
    with pytest.raises(FileError, match="belongs to another fit"):
        fit_outcome(small.pairs, adjust, TwoTower(), epochs=1, seed=1, checkpoint=tmp_path / "c.safetensors")


def test_a_loss_that_turns_nan_stops_and_the_last_good_epoch_is_kept(tmp_path, small, adjust):
    path = tmp_path / "c.safetensors"
    Poisoned.left = 3
    with pytest.raises(TrainingError, match=r"became nan in epoch 2 of the outcome stage.*last good epoch is kept") as told:
        fit_outcome(small.pairs, adjust, loss=Poisoned(), epochs=4, checkpoint=path)
    assert told.value.checkpoint == path
    Poisoned.left = 10**9
    resumed = fit_outcome(small.pairs, adjust, loss=Poisoned(), epochs=4, checkpoint=path)
    assert np.isfinite(resumed.fitted).all()
    assert 10**9 - Poisoned.left == 6  # the first epoch was not trained again


def test_a_loss_that_is_nan_from_the_first_epoch_claims_no_checkpoint(tmp_path, small, adjust):
    path = tmp_path / "c.safetensors"
    with pytest.raises(TrainingError, match=r"in epoch 1 of the propensity stage \(no epoch before it was good\)"):
        fit_outcome(small.pairs, adjust, TwoTower(), loss="ips", learning_rate=1e30, epochs=2, checkpoint=path)
    assert not path.exists()


# Messages.


def replaced(pairs, **columns):
    return BehaviourTable(pairs.frame.assign(**columns), pairs.keys, pairs.roles, (), pairs.levels)


def test_a_forbidden_feature_is_refused_with_its_reason(small, adjust):
    with pytest.raises(ForbiddenVariableError, match=r"'cart'.*mediator") as told:
        fit_outcome(small.pairs, adjust, features=["cart"])
    assert told.value.reasons == {"cart": "a mediator"}
    for name in ("shown", "buy"):
        with pytest.raises(ForbiddenVariableError, match=name):
            fit_outcome(small.pairs, adjust, features=[name])


def test_an_allowed_feature_enters(small, adjust):
    taste = np.random.default_rng(0).normal(size=len(small.pairs))
    model = fit_outcome(replaced(small.pairs, taste=taste), adjust, features=["taste"], epochs=1)
    assert model.encoder.pair_names == ("mood", "taste")
    assert model.features == ("taste",)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_treatment_of_one_class_is_an_overlap_error(value, small, adjust):
    with pytest.raises(OverlapError, match="untreated pairs"):
        fit_outcome(replaced(small.pairs, shown=value), adjust)


def test_an_outcome_of_one_class_is_a_data_error(small, adjust):
    with pytest.raises(DataError, match="'buy' is 0 in every pair"):
        fit_outcome(replaced(small.pairs, buy=0.0), adjust)
    with pytest.raises(DataError, match="never observed"):
        fit_outcome(replaced(small.pairs, buy=np.nan), adjust)


def test_a_treatment_that_is_not_binary_is_refused(small, adjust):
    with pytest.raises(DataError, match=r"has the value 2.*threshold"):
        fit_outcome(replaced(small.pairs, shown=2 * small.pairs.column("shown")), adjust)


def test_rows_that_are_not_pairs_are_refused(adjust):
    users = BehaviourTable.from_frame(pd.DataFrame({"u": [1, 2], "shown": [0, 1], "buy": [0, 1]}), user="u")
    with pytest.raises(DataError, match="not pairs"):
        fit_outcome(users, adjust)


def test_two_treatments_at_once_are_refused(small):
    with pytest.raises(SettingError, match="one treatment"):
        fit_outcome(small.pairs, AdjustmentSet(Query(["shown", "cart"], "buy"), (), "optimal"))


def test_a_misspelt_feature_is_answered_with_the_nearest(small, adjust):
    with pytest.raises(UnknownNameError, match="did you mean 'activity'"):
        fit_outcome(small.pairs, adjust, features=["activty"])


def test_missing_values_in_the_adjustment_set_are_named(small, adjust):
    mood = small.pairs.column("mood").copy()
    mood[3] = np.nan
    with pytest.raises(DataError, match=r"missing values in \['mood'\] \(1 rows\)"):
        fit_outcome(replaced(small.pairs, mood=mood), adjust)


def test_bad_propensities_are_refused(small, adjust):
    bad = small.pairs.column("truth").copy()
    bad[7] = 0
    with pytest.raises(DataError, match="propensity 0 in row 7"):
        fit_outcome(replaced(small.pairs, truth=bad), adjust, propensity="truth")


@pytest.mark.parametrize(
    "wrong",
    [
        *({"members": 1}, {"members": "5"}, {"clip": 1.0}, {"clip": "low"}, {"epochs": 0}, {"epochs": 1.5}, {"batch_size": 0}),
        *({"learning_rate": 0}, {"learning_rate": np.inf}, {"patience": -1}, {"seed": -1}, {"seed": 0.5}, {"correction": 2}),
        *({"precision": "half"}, {"device": "moon"}, {"loop": "fast"}, {"stages": 3}, {"counterfactuals": "rows"}, {"propensity": 0.3}),
    ],
)
def test_a_setting_outside_its_range_is_refused_by_name(wrong, small, adjust):
    with pytest.raises(SettingError, match=next(iter(wrong))):
        fit_outcome(small.pairs, adjust, **wrong)


def test_a_pairwise_loss_needs_a_binary_outcome(adjust):
    world = make_world(30, 20, continuous=True)
    with pytest.raises(SettingError, match="'ubpr' needs a 0/1 outcome"):
        fit_outcome(world.pairs, adjust, loss="ubpr")


def test_a_trait_that_differs_within_its_owner_is_named(small, adjust):
    activity = small.pairs.column("activity").copy()
    activity[0] += 1
    with pytest.raises(DataError, match=r"'activity' is declared a trait of the user but differs within user"):
        fit_outcome(replaced(small.pairs, activity=activity), adjust)


def test_an_undeclared_trait_is_recognised_by_never_varying_within_its_owner(small, adjust):
    undeclared = BehaviourTable(small.pairs.frame, small.pairs.keys, small.pairs.roles)
    model = fit_outcome(undeclared, adjust, epochs=1)
    assert model.encoder.user.names == ("activity",)
    assert model.encoder.item.names == ("popularity",)
    assert model.encoder.pair_names == ("mood",)


def test_a_model_tells_where_its_weights_come_from_and_what_they_leave(small, adjust, model):
    line = model.calibration
    assert f"propensities by the network, logits calibrated to {line.intercept:.2f} + {line.slope:.2f} × logit, effective n" in repr(model)
    gain, se = model.gains["correction"]
    assert f"correction at strength {model.strength:g} (gain {gain:.2g} ± {se:.2g})" in repr(model)
    assert "propensities of column 'truth', effective n" in repr(fit_outcome(small.pairs, adjust, propensity="truth", members=2))
    assert "propensities by logistic, logits" in repr(fit_outcome(small.pairs, adjust, propensity="logistic", members=2))


def test_strangers_are_answered_from_traits_and_it_is_said(small, adjust, model):
    frame = pd.DataFrame(
        {"u": ["new", "new2"], "i": ["物0", "物new"], "activity": [2.0, -2.0], "popularity": [0.0, 0.0], "mood": [0.0, 0.0]}
    )
    table = BehaviourTable.from_frame(frame, user="u", item="i", levels={"activity": "user", "popularity": "item"})
    with pytest.warns(AssumptionWarning) as told:
        answers = model.predict(table)
    assert {str(w.message) for w in told} == {
        "2 users unseen in training are answered from their traits activity",
        "1 items unseen in training are answered from their traits popularity",
    }
    assert answers[0] > answers[1]
    with pytest.raises(DataError, match=r"2 users are unseen in training and have no \['activity'\]; add the columns"):
        model.predict(table.select(["mood", "popularity"]))
