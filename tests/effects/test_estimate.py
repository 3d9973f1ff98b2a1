import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from causalsem.behaviour import BehaviourTable
from causalsem.effects import AIPW, Estimate, Regression, estimate_effect, naive_effect, robustness_value
from causalsem.effects.estimate import standard_error
from causalsem.errors import DataError, FileError, SettingError
from causalsem.identify import Query


def test_the_standard_error_is_that_of_a_mean():
    y = np.random.default_rng(0).standard_normal(50)
    estimate = Estimate(y.mean(), y - y.mean())
    assert estimate.se == pytest.approx(y.std() / math.sqrt(50), rel=1e-12)
    assert estimate.interval[1] - estimate.interval[0] == pytest.approx(2 * 1.959963984540054 * estimate.se)
    assert estimate.confidence_interval(0.5)[1] < estimate.interval[1]


def test_clusters_of_copied_rows_have_the_error_of_the_rows_before_copying():
    y = np.random.default_rng(1).standard_normal(40)
    copied = np.repeat(y - y.mean(), 5)
    own = standard_error(copied, np.repeat(np.arange(40), 5))
    assert own == pytest.approx(y.std(ddof=1) / math.sqrt(40), rel=1e-12)
    assert own > 2 * standard_error(copied)


def test_users_and_items_add_their_variances_and_pairs_are_counted_once():
    rng = np.random.default_rng(4)
    user, item = np.repeat(np.arange(80), 60), np.tile(np.arange(60), 80)
    psi = rng.standard_normal(80)[user] + rng.standard_normal(60)[item] + rng.standard_normal(4800)
    psi -= psi.mean()
    both, of_user, of_item = (standard_error(psi, c) for c in (np.array([user, item]), user, item))
    assert both**2 == pytest.approx(of_user**2 + of_item**2 - 4800 / 4799 * standard_error(psi) ** 2, rel=1e-10)
    # The mean of 80 users' and 60 items' parts: its error is √(1/80 + 1/60), known to about 1/√(2 · 60).
    assert both == pytest.approx(math.sqrt(1 / 80 + 1 / 60), rel=0.25)


def test_effects_that_differ_between_items_of_the_catalogue_are_no_error():
    rng = np.random.default_rng(6)
    user, item = np.repeat(np.arange(80), 60), np.tile(np.arange(60), 80)
    ways, effects = np.array([user, item]), 1.0 + rng.standard_normal(60)[item]
    noise = rng.standard_normal(80)[user] + rng.standard_normal(4800)
    psi = effects + noise - (effects + noise).mean()
    whole, catalogue = standard_error(psi, ways), standard_error(psi, ways, effects)
    assert whole == pytest.approx(math.sqrt(1 / 80 + 1 / 60), rel=0.25)
    assert catalogue == pytest.approx(math.sqrt(1 / 80), rel=0.25)
    # A difference carries them on: twice an estimate less itself is that estimate.
    made = Estimate(1.0, psi, treatments=("t",), outcome="y", clusters=ways, unit_effects=effects)
    assert (2 * made - made).se == pytest.approx(made.se, rel=1e-12)
    constant = Estimate(1.0, noise - noise.mean(), clusters=ways)
    assert (made - constant).se == pytest.approx(0.0, abs=1e-9)


def test_a_difference_of_variances_below_nought_leaves_the_larger_of_users_and_items():
    # Every user and every item has the sum nought, so that their variances are less than that of the pairs.
    psi = np.array([1.0, -1.0, -1.0, 1.0])
    user, item = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    assert standard_error(psi, np.array([user, item])) == 0.0
    psi = np.array([1.0, -0.9, -1.0, 1.0])
    assert standard_error(psi, np.array([user, item])) == max(standard_error(psi, user), standard_error(psi, item))


def test_an_estimate_of_pairs_survives_its_file_and_keeps_both_ways(tmp_path):
    rng = np.random.default_rng(5)
    ways = np.array([np.repeat(np.arange(10), 8), np.tile(np.arange(8), 10)])
    made = Estimate(1.0, rng.standard_normal(80), treatments=("t",), outcome="y", clusters=ways)
    back = Estimate.load(made.save(tmp_path / "effect.json"))
    np.testing.assert_array_equal(back.clusters, ways)
    assert back.cluster_sizes == {"user": 10, "item": 8}
    assert (back - 0.5 * made).se == pytest.approx(0.5 * made.se)


def test_a_difference_on_the_same_rows_has_the_error_of_paired_differences():
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((2, 200)) + rng.standard_normal(200) * 3
    difference = Estimate(a.mean(), a - a.mean()) - Estimate(b.mean(), b - b.mean())
    paired = a - b
    assert difference.value == pytest.approx(paired.mean())
    assert difference.se == pytest.approx(paired.std() / math.sqrt(200))


def test_the_error_of_naive_minus_adjusted_is_its_spread_over_repeated_samples(linear_world, given):
    differences, errors = [], []
    for seed in range(200):
        table = linear_world(300, seed)
        d = naive_effect(table, Query("t", "y")) - estimate_effect(table, given(), Regression())
        differences.append(d.value)
        errors.append(d.se)
    # A standard deviation of 200 draws has a relative error of 1/√400 = 5 %; three of them.
    assert np.std(differences) == pytest.approx(np.mean(errors), rel=0.15)


def test_estimates_of_other_rows_have_no_difference(linear_world, given):
    a, b = (estimate_effect(linear_world(n, 0), given(), Regression()) for n in (100, 120))
    with pytest.raises(DataError, match=r"different rows \(100 and 120\).*same table"):
        a - b


def test_sums_and_multiples_carry_their_errors():
    y = np.random.default_rng(3).standard_normal(30)
    a = Estimate(y.mean(), y - y.mean())
    assert (2 * a - a - a).se == pytest.approx(0, abs=1e-15)
    assert (-a).value == -a.value
    assert (3 * a).se == pytest.approx(3 * a.se)
    assert (a + a).se == pytest.approx(2 * a.se)


def test_an_estimate_survives_its_file(tmp_path, binary_world, given):
    estimate = estimate_effect(binary_world(400), given(), AIPW(), seed=3)
    back = Estimate.load(estimate.save(tmp_path / "effect.json"))
    assert repr(back) == repr(estimate)
    np.testing.assert_array_equal(back.psi, estimate.psi)
    np.testing.assert_array_equal(back.folds, estimate.folds)
    assert back.query == Query("t", "y")
    assert (back - estimate).se == 0
    assert back.to_dict() == json.loads(json.dumps(estimate.to_dict())) | {
        name: tuple(estimate.to_dict()[name]) for name in ("treatments", "adjustment", "assumptions", "notes")
    }


def test_without_the_arrays_a_loaded_estimate_still_says_its_interval(tmp_path, binary_world, given):
    estimate = estimate_effect(binary_world(400), given())
    estimate.save(tmp_path / "effect.json")
    (tmp_path / "effect.npz").unlink()
    back = Estimate.load(tmp_path / "effect.json")
    assert back.interval == estimate.interval
    with pytest.raises(DataError, match="influence function"):
        back - estimate


def test_a_torn_or_foreign_array_file_is_an_error(tmp_path, binary_world, given):
    estimate_effect(binary_world(400), given()).save(tmp_path / "effect.json")
    (tmp_path / "effect.npz").write_bytes(b"torn")
    with pytest.raises(FileError, match="cannot read"):
        Estimate.load(tmp_path / "effect.json")
    estimate_effect(binary_world(300), given()).save(tmp_path / "other.json")
    (tmp_path / "other.npz").replace(tmp_path / "effect.npz")
    with pytest.raises(FileError, match="another estimate"):
        Estimate.load(tmp_path / "effect.json")


def test_print_is_one_honest_line_and_the_card_is_escaped(binary_world):
    from causalsem.identify import AdjustmentSet

    table = binary_world(300).rename(columns={"t": "<浏览>"})
    estimate = estimate_effect(table, AdjustmentSet(Query("<浏览>", "y"), ("z1", "z2"), "given"))
    assert repr(estimate).startswith("Estimate: <浏览> ⇒ y = ")
    assert "AIPW given {z1, z2}, n = 300" in repr(estimate)
    assert "\n" not in repr(estimate)
    assert "&lt;浏览&gt;" in estimate._repr_html_()
    assert "<浏览>" not in estimate._repr_html_()


def test_impossible_estimates_are_refused():
    with pytest.raises(DataError, match="nan"):
        Estimate(math.nan, np.zeros(3))
    with pytest.raises(DataError, match="folds has shape"):
        Estimate(1.0, np.zeros(3), folds=np.zeros(2))
    with pytest.raises(DataError, match="one cluster"):
        Estimate(1.0, np.zeros(3), clusters=np.zeros(3))
    with pytest.raises(SettingError, match="between 0 and 1"):
        Estimate(1.0, np.zeros(3)).confidence_interval(95)


def test_the_callers_arrays_are_neither_kept_nor_changed():
    psi = np.array([1.0, -1.0])
    estimate = Estimate(0.0, psi)
    psi[0] = 99
    assert estimate.psi[0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        estimate.psi[0] = 2


def test_a_rating_is_said_to_count_as_a_number_and_a_count_is_not(binary_world, given):
    table = binary_world(400)
    stars = table.assign(y=np.clip(np.round(table["y"]) + 3, 1, 5))
    assert any("levels of 'y' count as numbers" in note for note in estimate_effect(stars, given()).notes)
    for other in (table, stars.assign(y=stars["y"] - 1), stars.assign(y=1.0 * (stars["y"] > 3))):
        assert not any("count as numbers" in note for note in estimate_effect(other, given()).notes)


def crossed(users, items, seed):
    """Return pairs of a shop in which items differ in how often they are shown, and users and items in how much is bought."""
    rng = np.random.default_rng(seed)
    u, i = np.repeat(np.arange(users), items), np.tile(np.arange(items), users)
    z = rng.standard_normal(len(u))
    t = 0.5 * z + rng.standard_normal(items)[i] + 0.5 * rng.standard_normal(users)[u] + rng.standard_normal(len(u))
    y = 0.3 * t + z + 0.7 * rng.standard_normal(items)[i] + 0.7 * rng.standard_normal(users)[u] + rng.standard_normal(len(u))
    return BehaviourTable.from_frame(pd.DataFrame({"user": u, "item": i, "z1": z, "t": t, "y": y}), user="user", item="item")


def test_intervals_of_pairs_cover_the_truth_and_those_by_users_alone_do_not(given):
    # A share of 150 worlds has the standard error .018; 80 items cost about one point of the .95.
    found = [estimate_effect(crossed(100, 80, seed), given(["z1"]), Regression()) for seed in range(150)]
    by_user = [replace(e, se=math.nan, clusters=e.clusters[0]) for e in found]
    assert 0.89 <= np.mean([e.interval[0] <= 0.3 <= e.interval[1] for e in found]) <= 0.996
    assert np.mean([e.interval[0] <= 0.3 <= e.interval[1] for e in by_user]) < 0.75


def test_the_robustness_of_an_effect_on_pairs_knows_of_users_and_items(given):
    table = crossed(100, 80, 0)
    pairs, rows = robustness_value(table, given(["z1"])), robustness_value(table.frame, given(["z1"]))
    assert pairs.point == pytest.approx(rows.point, rel=1e-12)
    assert pairs.limit < rows.limit
    # Regression's error is that one times √(n/(n − k)), for a treatment and two more columns.
    error = estimate_effect(table, given(["z1"]), Regression()).se
    assert pairs.inflation * pairs.se == pytest.approx(error * math.sqrt(7997 / 8000), rel=1e-8)
    # A confounder that leaves just that share of both brings the interval's end to nought.
    off = pairs.se * math.sqrt(pairs.df * pairs.limit**2 / (1 - pairs.limit))
    end = abs(pairs.value) - off - 1.96 * pairs.inflation * pairs.se
    assert end == pytest.approx(0.0, abs=2e-5)
