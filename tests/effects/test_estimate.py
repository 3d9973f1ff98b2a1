import json
import math

import numpy as np
import pytest

from causalsem.effects import AIPW, Estimate, Regression, estimate_effect, naive_effect
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
