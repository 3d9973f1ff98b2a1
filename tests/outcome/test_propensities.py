"""Every propensity method of the table against its contract, and each against what it should find."""

import numpy as np
import pytest

from causalsem.errors import DataError, SettingError, UnknownNameError
from causalsem.outcome import Boosted, Logistic, NaiveBayes, Popularity, fit_outcome
from causalsem.outcome.encoder import Encoder
from causalsem.outcome.propensities import PROPENSITIES, Exposures
from causalsem.outcome.propensities.table import propensity_of
from tests.outcome.worlds import make_world

SETTINGS = {"naive_bayes": {"marginal": {0: 0.8, 1: 0.2}}}


def exposures_of(world):
    encoder = Encoder.learn(world.pairs, ["activity", "mood", "popularity"], 0)
    return Exposures(encoder.encode(world.pairs), world.pairs.column("shown"), world.pairs.column("buy"))


@pytest.fixture(scope="module")
def exposures(world):
    return exposures_of(world)


@pytest.mark.parametrize("name", PROPENSITIES)
def test_every_method_gives_probabilities_learnt_from_the_other_folds(name, small):
    exposures, method = exposures_of(small), PROPENSITIES[name](**SETTINGS.get(name, {}))
    folds = np.arange(len(exposures.y)) % 3
    e = method.cross_fitted(exposures, folds)
    assert e.shape == folds.shape
    assert ((e > 0) & (e <= 1)).all()
    np.testing.assert_array_equal(e, method.cross_fitted(exposures, folds))
    flipped = np.where(folds == 1, 1 - exposures.treatment, exposures.treatment)
    other = method.cross_fitted(Exposures(exposures.encoded, flipped, exposures.y), folds)
    # A pair's own fold is unseen: only which pairs have an outcome (naive Bayes) may differ there.
    if method.calibrated:
        np.testing.assert_allclose(e[folds == 1], other[folds == 1])
    assert not np.allclose(e[folds == 0], other[folds == 0])


@pytest.mark.parametrize("name", PROPENSITIES)
def test_every_method_is_a_setting_of_its_name_and_serves_a_fit(name, small, adjust):
    method = PROPENSITIES[name](**SETTINGS.get(name, {}))
    assert method.name == name
    assert method == PROPENSITIES[name](**SETTINGS.get(name, {}))
    model = fit_outcome(small.pairs, adjust, propensity=method, members=2)
    assert model.settings["propensity"]["method"] == name
    assert np.isfinite(model.lift)
    assert 0 < model.effective_n[1] <= small.pairs.column("shown").sum() + 1e-9


@pytest.mark.parametrize(("method", "least"), [(Logistic(), 0.97), (Boosted(), 0.93)])
def test_methods_that_read_the_traits_find_the_true_propensity(method, least, world, exposures):
    e = method.cross_fitted(exposures, np.arange(len(exposures.y)) % 3)
    assert np.corrcoef(e, world.e)[0, 1] > least


def test_popularity_is_the_items_share_of_treated_pairs_among_those_it_learns_from():
    exposures, learn = exposures_of(make_world(50, 8, seed=3)), np.arange(400) % 3 > 0
    e = Popularity(strength=1e-9).predict(exposures, learn)
    for k in (0, 17, 399):
        assert e[k] == pytest.approx(exposures.treatment[learn & (exposures.encoded.item == exposures.encoded.item[k])].mean())


def test_naive_bayes_recovers_propensities_that_depend_on_the_outcome_alone(small):
    rng = np.random.default_rng(0)
    n = 200_000
    y = rng.choice([1.0, 2.0, 3.0], size=n, p=[0.5, 0.3, 0.2])
    true = np.array([0.05, 0.1, 0.4])[y.astype(int) - 1]
    t = (rng.random(n) < true) * 1.0
    method = NaiveBayes({1: 0.5, 2: 0.3, 3: 0.2})
    e = method.predict(Exposures(exposures_of(small).encoded, t, np.where(t == 1, y, np.nan)), np.ones(n, dtype=bool))
    for value, chance in ((1, 0.05), (2, 0.1), (3, 0.4)):
        # 5,000 treated pairs or more per value: a relative error of some 1.5 %.
        assert e[(t == 1) & (y == value)].mean() == pytest.approx(chance, rel=0.06)


def test_messages(exposures):
    with pytest.raises(SettingError, match="no distribution"):
        NaiveBayes({1: 0.5})
    with pytest.raises(DataError, match="leaves out"):
        NaiveBayes({5: 1.0}).predict(exposures, np.ones(len(exposures.y), dtype=bool))
    for method, wrong in ((Popularity, "power"), (Logistic, "penalty"), (Boosted, "rounds")):
        with pytest.raises(SettingError, match=wrong):
            method(**{wrong: 0})


def test_a_string_stands_for_a_column_else_for_a_method_and_a_misspelt_one_is_answered_with_the_nearest():
    assert propensity_of("logistic", ["truth"]) == Logistic()
    assert propensity_of("truth", ["truth"]) == "truth"
    with pytest.raises(SettingError, match=r"'popularity' is a column and a method; hand in Popularity\(\)"):
        propensity_of("popularity", ["popularity"])
    assert propensity_of(None, []) is None
    with pytest.raises(UnknownNameError, match="did you mean 'popularity'"):
        propensity_of("popularty", ["truth"])
    with pytest.raises(UnknownNameError, match="did you mean 'truth'"):
        propensity_of("trth", ["truth"])
    with pytest.raises(SettingError, match="propensity of type ABCMeta"):
        propensity_of(Popularity, [])
