"""Bootstrap frequencies against a slow loop, and the EdgeStability value."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from causalsem.behaviour import BehaviourTable, Moments, moments
from causalsem.discovery import BOSS, FCI, GES, METHODS, PC, DirectLiNGAM, EdgeStability, bootstrap, discover
from causalsem.discovery.bootstrap import Draws, draw_counts, items_of, resampled_correlations, units_of
from causalsem.errors import DataError, DataWarning, SettingError, UnknownNameError
from causalsem.graph import CausalGraph, Knowledge
from causalsem.graph.causal_graph import ARROW, NONE, TAIL
from causalsem.graph.classes import extension
from tests.discovery.worlds import names_of, random_dag, sample

every = pytest.mark.parametrize("method", [settings() for settings in METHODS], ids=lambda m: type(m).__name__)


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return sample(random_dag(6, 2.5, rng), 300, rng, "laplace")


def test_reweighted_correlations_equal_those_of_the_drawn_rows(frame: pd.DataFrame) -> None:
    rows = frame.to_numpy()
    R = resampled_correlations(rows, Draws(np.arange(300), 7, False, np.random.default_rng(1)))
    counts = draw_counts(300, 7, np.random.default_rng(1))
    for k in range(7):
        assert counts[k].sum() == 300
        assert R[k] == pytest.approx(np.corrcoef(np.repeat(rows, counts[k], axis=0), rowvar=False), abs=1e-10)


def test_rows_of_one_user_are_drawn_together(frame: pd.DataFrame) -> None:
    users = np.random.default_rng(2).integers(0, 40, 300)
    units = units_of(BehaviourTable.from_frame(frame.assign(who=users), user="who"))
    R = resampled_correlations(frame.to_numpy(), Draws(units, 5, False, np.random.default_rng(3)))
    counts = draw_counts(int(units.max()) + 1, 5, np.random.default_rng(3))
    for k in range(5):
        drawn = np.repeat(frame.to_numpy(), counts[k][units], axis=0)
        assert R[k] == pytest.approx(np.corrcoef(drawn, rowvar=False), abs=1e-10)


def test_users_and_items_of_pairs_are_drawn_and_a_pair_counts_as_often_as_both_together() -> None:
    rng = np.random.default_rng(5)
    user, item = rng.integers(0, 30, 400), rng.integers(0, 12, 400)
    rows = rng.normal(size=(400, 3)) + rng.normal(size=(30, 3))[user]
    table = BehaviourTable.from_frame(pd.DataFrame(rows, columns=list("abc")).assign(u=user, i=item), user="u", item="i")
    users, items = units_of(table), items_of(table)
    assert items is not None
    R = resampled_correlations(rows, Draws(users, 5, False, np.random.default_rng(6), items))
    rng = np.random.default_rng(6)
    of_user, of_item = draw_counts(30, 5, rng), draw_counts(12, 5, rng)
    drawn = list(Draws(users, 5, False, np.random.default_rng(6), items).rows())
    for k in range(5):
        index = np.repeat(np.arange(400), of_user[k][users] * of_item[k][items])
        np.testing.assert_array_equal(drawn[k], index)
        assert R[k] == pytest.approx(np.corrcoef(rows[index], rowvar=False), abs=1e-10)
    assert items_of(BehaviourTable.from_frame(table.frame.assign(u=user), user="u")) is None
    assert items_of(BehaviourTable.from_frame(table.frame.assign(u=user, i=0), user="u", item="i")) is None


def test_what_items_are_like_is_as_uncertain_as_the_items_are_few() -> None:
    # Every user meets every item: drawing users alone, the correlation of two traits of items would never vary.
    rng = np.random.default_rng(7)
    price, quality = rng.normal(size=(2, 60))
    user, item = np.repeat(np.arange(200), 60), np.tile(np.arange(60), 200)
    rows = np.column_stack([price[item], quality[item]])
    R = resampled_correlations(rows, Draws(user, 600, False, rng, item))[:, 0, 1]
    r = np.corrcoef(price, quality)[0, 1]
    assert R.std() == pytest.approx((1 - r**2) / np.sqrt(60), rel=0.25)
    assert resampled_correlations(rows, Draws(user, 20, False, rng))[:, 0, 1].std() < 1e-12


def test_random_blocks_have_the_spread_of_single_rows() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(45_000, 1))
    rows = np.hstack([x, 0.5 * x + rng.normal(size=x.shape)])
    R = resampled_correlations(rows, Draws(np.arange(len(rows)), 400, False, rng))[:, 0, 1]
    r = np.corrcoef(rows, rowvar=False)[0, 1]
    theory = (1 - r**2) / np.sqrt(len(rows))
    # The spread of 400 draws is known to 1/√800; four such errors are allowed.
    assert R.std() == pytest.approx(theory, rel=4 / np.sqrt(800))
    assert R.mean() == pytest.approx(r, abs=4 * theory / np.sqrt(400))


@pytest.mark.parametrize("method", [PC(), GES(), BOSS(), FCI(), DirectLiNGAM()], ids=lambda m: type(m).__name__)
def test_frequencies_equal_a_slow_loop_over_the_drawn_rows(frame: pd.DataFrame, method: PC) -> None:
    stability = bootstrap(frame, method, times=6, seed=5)
    rng = np.random.default_rng(5)
    if method.consumes == "rows":
        drawn = [np.asarray(rng.integers(0, 300, 300)) for _ in range(6)]
    else:
        drawn = [np.repeat(np.arange(300), c) for c in draw_counts(300, 6, rng)]
    graphs = [discover(frame.iloc[index].reset_index(drop=True), method) for index in drawn]
    for a in frame.columns:
        for b in frame.columns:
            if a == b:
                continue
            assert stability.frequency(a, b) == np.mean([b in g.adjacent(a) for g in graphs])
            assert stability.arrow(a, b) == np.mean([b in g.children(a) for g in graphs])
            assert stability.undirected(a, b) == np.mean([b in g.neighbours(a) for g in graphs])
            assert stability.bidirected(a, b) == np.mean([b in g.siblings(a) for g in graphs])


@every
def test_same_seed_same_frequencies_and_input_kept(frame: pd.DataFrame, method: PC) -> None:
    kept = frame.copy(deep=True)
    one, two, other = (bootstrap(frame, method, times=5, seed=seed) for seed in (7, 7, 8))
    assert np.array_equal(one.marks, two.marks)
    # A method that finds one graph in all resamples of a seed may find it in those of another.
    if (one.marks != one.marks[0]).any():
        assert not np.array_equal(one.marks, other.marks)
    pd.testing.assert_frame_equal(frame, kept)


@every
def test_knowledge_holds_in_every_resample_and_in_the_consensus(frame: pd.DataFrame, method: PC) -> None:
    known = Knowledge(tiers=[["v3", "v0"], ["v1"], ["v2", "v4", "v5"]], required=[("v3", "v5")])
    stability = bootstrap(frame, method, knowledge=known, times=8, seed=1)
    forbidden = known.forbidden_matrix(stability.nodes)
    assert stability.arrow("v3", "v5") == 1
    assert (stability.arrows[forbidden] == 0).all()
    consensus = stability.consensus()
    arrows = (consensus.marks == ARROW) & (consensus.marks.T == TAIL)
    assert not (arrows & forbidden).any()
    for k in range(stability.times):
        assert isinstance(stability.graph(k), CausalGraph)


def test_shares_of_the_kinds_of_edge_add_up(frame: pd.DataFrame) -> None:
    table = bootstrap(frame, "FCI", times=20, seed=2).table()
    kinds = table[["forward", "backward", "undirected", "bidirected", "circle", "absent"]].sum(axis=1)
    assert kinds.to_numpy() == pytest.approx(1)
    assert (table["forward"] >= table["backward"]).all()
    assert table["edge"].is_monotonic_decreasing


def test_consensus_keeps_frequent_edges_and_is_a_class_of_dags() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        data = sample(random_dag(8, 3, rng), 120, rng)
        stability = bootstrap(data, PC(alpha=0.1), times=20, seed=seed)
        for threshold in (0.3, 0.5, 1.0):
            graph = stability.consensus(threshold)
            assert np.array_equal(graph.marks != NONE, stability.present >= threshold)
            assert extension(graph.marks) is not None


def test_consensus_of_equal_graphs_is_that_graph(frame: pd.DataFrame) -> None:
    graph = discover(frame, "GES")
    same = EdgeStability(graph.nodes, np.stack([graph.marks] * 3), "CPDAG")
    assert np.array_equal(same.consensus().marks, graph.marks)


def test_saved_stability_comes_back_whole(frame: pd.DataFrame, tmp_path: Path) -> None:
    named = frame.set_axis(["浏览", "a b", "a:b", "x", "y", "购买"], axis=1)
    one = bootstrap(named, "FCI", times=4)
    two = EdgeStability.load(one.save(tmp_path / "stability.json"))
    assert (two.nodes, two.kind, dict(two.provenance)) == (one.nodes, one.kind, dict(one.provenance))
    assert np.array_equal(two.marks, one.marks)
    assert repr(two) == repr(one)


def test_stability_is_read_only_and_says_what_it_is(frame: pd.DataFrame) -> None:
    stability = bootstrap(frame, "GES", times=3)
    with pytest.raises(ValueError, match="read-only"):
        stability.marks[0, 0, 0] = 1
    assert repr(stability).startswith("EdgeStability(GES on 3 resamples, 6 nodes)")
    with pytest.raises(UnknownNameError, match="did you mean 'v1'"):
        stability.frequency("v11", "v0")
    with pytest.raises(SettingError, match="choose a share"):
        stability.consensus(0)


def test_resamples_with_a_constant_column_are_left_out_and_counted() -> None:
    rng = np.random.default_rng(6)
    rare = sample(random_dag(3, 2, rng), 60, rng).assign(rare=np.arange(60) == 3)
    with pytest.warns(DataWarning, match=r"\d+ of 40 resamples have a constant or collinear variable"):
        stability = bootstrap(rare, "GES", times=40, seed=0)
    # A row is missed by a resample with probability (1 − 1/60)^60 = 0.365.
    # Of 40 draws that is 14.6 ± 3.0; three such errors are allowed.
    assert 6 <= stability.provenance["left_out"] <= 23
    assert stability.times == 40 - stability.provenance["left_out"]


def test_moments_cannot_be_drawn_from(frame: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="given Moments; hand in the table itself"):
        bootstrap(moments(frame), "GES")  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(SettingError, match="draw at least one"):
        bootstrap(frame, "GES", times=0)


def test_frequencies_match_the_sampling_distribution_on_an_edge_of_middling_strength() -> None:
    # Whether a resample keeps x – y depends on its r; the share kept follows from r's normal approximation.
    from scipy.stats import norm

    rng = np.random.default_rng(8)
    x = rng.normal(size=2000)
    data = pd.DataFrame({"x": x, "y": 0.05 * x + rng.normal(size=2000)})
    share = bootstrap(data, PC(alpha=0.05), times=400, seed=0).frequency("x", "y")
    z = np.arctanh(data.corr().iloc[0, 1]) * np.sqrt(1997)
    expected = norm.sf(1.96 - z) + norm.cdf(-1.96 - z)
    assert share == pytest.approx(expected, abs=0.08)
    assert isinstance(moments(data), Moments)
    assert names_of(1) == ("v0",)
