"""LiNG: linear models with feedback from non-Gaussian rows, against the model that drew them."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from causalsem.behaviour import BehaviourTable
from causalsem.discovery import FeedbackModel, FeedbackModels, LiNG, discover, ling
from causalsem.discovery.ling import admissible, coefficient_matrices
from causalsem.errors import CycleError, DataError, NotIdentifiedError, SettingError, UnknownNameError
from causalsem.graph import Knowledge

NAMES = ("traffic", "浏览", "rank", "buy", "review")
FEEDBACK = np.zeros((5, 5))
FEEDBACK[1, 0], FEEDBACK[2, 1], FEEDBACK[1, 2], FEEDBACK[3, 2], FEEDBACK[4, 3] = 0.8, 0.7, -0.6, 0.9, 0.5


def drawn(B: np.ndarray, n: int, seed: int, noise: str = "laplace") -> pd.DataFrame:
    """Rows of x = B x + e in equilibrium."""
    rng = np.random.default_rng(seed)
    e = rng.laplace(size=(n, len(B))) if noise == "laplace" else rng.uniform(-1, 1, (n, len(B)))
    return pd.DataFrame(e @ np.linalg.inv(np.eye(len(B)) - B).T, columns=list(NAMES[: len(B)]))


@pytest.mark.parametrize("noise", ["laplace", "uniform"])
def test_the_stable_model_is_the_one_that_drew_the_rows(noise: str) -> None:
    right = 0
    for seed in range(4):
        found = ling(drawn(FEEDBACK, 2000, seed, noise), LiNG(times=30, seed=seed))
        (stable,) = found.stable
        assert found[0] is stable
        right += bool(((stable.coefficients != 0) == (FEEDBACK != 0)).all())
        np.testing.assert_allclose(stable.coefficients, FEEDBACK, atol=0.15)
    assert right >= 3


def test_exact_components_give_the_model_and_its_twins_whatever_the_order_and_scale_of_the_rows() -> None:
    rng = np.random.default_rng(1)
    B = np.zeros((6, 6))
    B[1, 0], B[0, 1], B[3, 2], B[2, 3], B[4, 1], B[5, 4] = 0.5, 0.4, -0.7, 0.6, 0.9, 0.3  # two cycles that share nothing
    W = (rng.uniform(0.5, 2, (6, 1)) * rng.choice([-1, 1], (6, 1)) * (np.eye(6) - B))[rng.permutation(6)]
    found = list(coefficient_matrices(W))
    assert len(found) == 4  # each cycle either way round
    assert sum(np.allclose(one, B) for one in found) == 1
    (stable,) = (one for one in found if FeedbackModel(tuple("abcdef"), one).is_stable)
    np.testing.assert_allclose(stable, B, atol=1e-12)
    cov = [np.linalg.inv(np.eye(6) - one) for one in found]
    # All have the same distribution: the same independent sources, in another order and scale.
    for mixing in cov:
        overlap = np.abs(np.linalg.solve(mixing, cov[0]))
        assert ((overlap > 1e-9).sum(axis=0) == 1).all()


def test_orders_are_those_of_going_through_all_permutations() -> None:
    rng = np.random.default_rng(2)
    for _ in range(30):
        nonzero = rng.random((5, 5)) < 0.5
        every = {rows for rows in itertools.permutations(range(5)) if all(nonzero[rows[k], k] for k in range(5))}
        assert {tuple(rows) for rows in admissible(nonzero)} == every


def test_rows_without_feedback_give_one_model_and_its_graph() -> None:
    B = np.tril(FEEDBACK)
    found = ling(drawn(B, 2000, 5), LiNG(times=30))
    assert len(found) == 1
    assert found[0].is_acyclic
    assert found[0].spectral_radius == pytest.approx(0, abs=1e-6)
    assert found[0].graph() == discover(drawn(B, 2000, 5), "DirectLiNGAM")


def test_units_and_the_order_of_columns_change_nothing_but_the_units() -> None:
    frame = drawn(FEEDBACK, 1500, 7)
    scaled = frame[frame.columns[::-1]] * [3.0, 1.0, 0.01, 100.0, 1.0]
    first, second = (ling(one, LiNG(times=30)).stable[0] for one in (frame, scaled))
    unit = dict(zip(frame.columns[::-1], [3.0, 1.0, 0.01, 100.0, 1.0], strict=True))
    expected = {(a, b): value * unit[b] / unit[a] for a, b, value in first.edges}
    assert {(a, b) for a, b, _ in second.edges} == set(expected)
    for a, b, value in second.edges:
        assert value == pytest.approx(expected[a, b], rel=1e-3)


def test_what_is_known_leaves_models_out() -> None:
    frame = drawn(FEEDBACK, 2000, 0)
    both = ling(frame, LiNG(times=30))
    assert len(both) == 2
    (one,) = ling(frame, LiNG(times=30), knowledge=Knowledge(forbidden=[("review", "buy")], required=[("traffic", "浏览")]))
    assert one.is_stable
    with pytest.raises(NotIdentifiedError, match="none of them obeys the knowledge"):
        ling(frame, LiNG(times=30), knowledge=Knowledge(required=[("review", "traffic")]))
    table = BehaviourTable.from_frame(frame, tiers=[["traffic"], ["浏览", "rank"], ["buy"], ["review"]])
    told = ling(table, LiNG(times=30)).provenance
    assert told["background_knowledge"]["from"] == "the table"


def test_a_push_is_carried_round_the_cycle_until_it_settles() -> None:
    model = FeedbackModel(NAMES, FEEDBACK)
    assert model.spectral_radius == pytest.approx(np.sqrt(0.42))
    # Around the cycle: 0.7 · 1/(1 + 0.7·0.6), the sum of a geometric series.
    assert model.total("浏览", "rank") == pytest.approx(0.7 / 1.42)
    assert model.matrix.loc["rank", "浏览"] == -0.6
    assert "浏览 -> rank (0.7)" in str(model)
    assert not model.is_acyclic
    with pytest.raises(CycleError, match="directed cycle"):
        model.graph()
    with pytest.raises(UnknownNameError, match="did you mean 'buy'"):
        model.total("buyy", "rank")
    loud = FeedbackModel(("a", "b"), np.array([[0, 2.0], [1.0, 0]]))
    with pytest.raises(SettingError, match="does not settle"):
        loud.total("a", "b")
    with pytest.raises(DataError, match="diagonal of zeros"):
        FeedbackModel(("a", "b"), np.eye(2))


def test_models_are_told_as_a_table_and_by_the_same_seed_alike() -> None:
    frame = drawn(FEEDBACK, 1000, 3)
    found, again = ling(frame, LiNG(times=20)), ling(frame, LiNG(times=20))
    pd.testing.assert_frame_equal(found.table, again.table)
    assert list(found.table.columns) == ["model", "stable", "spectral_radius", "cause", "effect", "coefficient"]
    assert found.table["stable"].iloc[0]
    assert "fit alike, 1 stable" in repr(found)
    assert isinstance(found, FeedbackModels)


def test_bad_input_is_answered_with_the_cure() -> None:
    frame = drawn(FEEDBACK, 200, 0)
    with pytest.raises(DataError, match="missing values"):
        ling(frame.replace(frame.iloc[3, 0], np.nan))
    with pytest.raises(DataError, match="10 rows a variable"):
        ling(frame[:40])
    with pytest.raises(SettingError, match="10 resamples or more"):
        LiNG(times=3)
    with pytest.raises(SettingError, match="alpha"):
        LiNG(alpha=2)
