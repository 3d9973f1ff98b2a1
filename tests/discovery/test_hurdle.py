"""Hurdle moments: blocks against canonical correlations, plain moments, and behaviour-like worlds with known truth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2, norm

from causalsem.behaviour import moments
from causalsem.discovery import BOSS, FCI, GES, PC, Auto, BlockMoments, VariableKind, bootstrap, discover, hurdle_moments, mixed_moments
from causalsem.discovery.discover import stacked
from causalsem.discovery.scores import GaussianBIC
from causalsem.discovery.skeleton import ConditioningSets
from causalsem.discovery.stack import Stack, block_z
from causalsem.errors import DataError, MomentsError, SettingError
from causalsem.graph import Knowledge, to_cpdag
from tests.discovery.worlds import graph_of, names_of, random_dag, sample


def shop_like(dag: np.ndarray, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Zero-inflated counts: whether, and if so how much, each depend on both parts of every cause."""
    p = len(dag)
    order = graph_of(dag).topological_order()
    values: dict[str, np.ndarray] = {}
    names = names_of(p)
    for name in order:
        child = names.index(name)
        push = np.zeros(n)
        for parent in np.flatnonzero(dag[:, child]):
            x = values[names[parent]]
            push += rng.choice([-1, 1]) * (1.0 * ((x > 0) - (x > 0).mean()) + 0.5 * (np.log1p(x) - np.log1p(x).mean()))
        happens = rng.random(n) < 1 / (1 + np.exp(-(push * 1.2)))
        amount = 1 + rng.poisson(np.exp(np.clip(0.8 + 0.5 * push + 0.5 * rng.normal(size=n), -5, 5)))
        values[name] = happens * amount
    return pd.DataFrame({name: values[name].astype(float) for name in names})


@pytest.fixture(scope="module")
def counts() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return shop_like(random_dag(5, 2, rng), 600, rng)


def columns_of(m: BlockMoments, names: list[str]) -> list[int]:
    return [m.moments.names.index(c) for name in names for c in m.columns[m.names.index(name)]]


def wilks(m: BlockMoments, a: str, b: str, given: list[str]) -> float:
    """1 − Λ of two blocks given others, by determinants of the unpadded correlations."""
    R = m.moments.correlation

    def det(names: list[str]) -> float:
        index = columns_of(m, names)
        return float(np.linalg.det(R[np.ix_(index, index)])) if index else 1.0

    return 1 - det([a, b, *given]) * det(given) / (det([a, *given]) * det([b, *given]))


def test_block_tests_equal_determinants_and_bartletts_chi_square(counts: pd.DataFrame) -> None:
    mixed = counts.assign(v4=np.random.default_rng(1).normal(size=600) + (counts["v0"] > 0))
    m = hurdle_moments(mixed)
    widths = [len(block) for block in m.columns]
    assert widths == [2, 2, 2, 2, 1]
    tests = ConditioningSets(stacked(m), ~np.eye(5, dtype=bool)[None], np.zeros((5, 5), dtype=bool))
    for pair in ([0, 0, 1], [0, 0, 4]):
        for size in range(4):
            for _, sets, z in tests.of_size(np.array([pair]), size):
                for S, told in zip(sets[0], z[0], strict=True):
                    given = [m.names[k] for k in S]
                    explained = wilks(m, m.names[pair[1]], m.names[pair[2]], given)
                    df = widths[pair[1]] * widths[pair[2]]
                    lost = sum(widths[k] for k in S)
                    chi = -(600 - lost - 2 - df / 4) * np.log1p(-explained)
                    assert told == pytest.approx(norm.isf(chi2.sf(chi, df) / 2), rel=1e-6, abs=1e-6)


def test_block_test_holds_its_level_when_blocks_are_independent() -> None:
    rng = np.random.default_rng(2)
    rejected = 0
    for _ in range(400):
        frame = pd.DataFrame({name: (rng.random(150) < 0.4) * (1.0 + rng.poisson(3, 150)) for name in "xy"})
        m = hurdle_moments(frame)
        tests = ConditioningSets(stacked(m), ~np.eye(2, dtype=bool)[None], np.zeros((2, 2), dtype=bool))
        ((_, _, z),) = tests.of_size(np.array([[0, 0, 1]]), 0)
        rejected += float(z[0, 0]) > norm.isf(0.025)
    # 400 draws at level 0.05: 20 ± 4.4; four such errors are allowed.
    assert 4 <= rejected <= 38


def test_far_tails_of_block_tests_stay_finite_and_in_order() -> None:
    explained = np.array([0.0, 1e-6, 0.1, 0.9, 1 - 1e-15])
    for df in (1, 2, 4):
        z = block_z(explained, np.array(df), 1e9)
        assert np.isfinite(z).all()
        assert (np.diff(z) > 0).all()


@pytest.mark.parametrize("levels", [0, 4, 6])
def test_block_scores_are_determinants_less_the_price_and_gains_are_their_differences(counts: pd.DataFrame, levels: int) -> None:
    """With and without a nominal column, whose levels less one are the width of the widest block."""
    frame = counts.assign(v4=np.random.default_rng(1).normal(size=600))
    if levels:
        frame["v3"] = (frame["v3"].to_numpy() + np.random.default_rng(2).integers(0, levels, 600)) % levels
    m = mixed_moments(frame, kinds={"v3": "nominal"}) if levels else hurdle_moments(frame)
    assert max(len(block) for block in m.columns) == max(levels - 1, 2)
    score = GaussianBIC(stacked(m), 0, 2.0)
    R = m.moments.correlation
    widths = [len(block) for block in m.columns]

    def logdet(names: list[str]) -> float:
        index = columns_of(m, names)
        return float(np.linalg.slogdet(R[np.ix_(index, index)])[1]) if index else 0.0

    for node, parents in ((0, []), (0, [1, 4]), (4, [0, 1, 2]), (2, [3])):
        names, own = [m.names[k] for k in parents], m.names[node]
        mask = sum(1 << k for k in parents)
        change = logdet([own, *names]) - logdet(names) - logdet([own])
        expected = -300 * change - np.log(600) * widths[node] * sum(widths[k] for k in parents)
        assert score.local(node, mask) == pytest.approx(expected, abs=1e-8)
        for new in set(range(5)) - {node, *parents}:
            assert score.gain(node, mask, new) == pytest.approx(score.local(node, mask | 1 << new) - score.local(node, mask), abs=1e-7)


@pytest.mark.parametrize("method", [PC(), GES(), BOSS(), FCI()], ids=lambda m: type(m).__name__)
def test_without_counts_hurdle_moments_give_the_graph_of_plain_moments(method: PC) -> None:
    rng = np.random.default_rng(3)
    frame = sample(random_dag(6, 2, rng), 3000, rng)
    assert discover(hurdle_moments(frame), method) == discover(moments(frame), method)


def nominal_world(dag: np.ndarray, n: int, rng: np.random.Generator) -> tuple[pd.DataFrame, dict[str, VariableKind]]:
    """A DAG whose every other variable is one of 4 platforms: a cause shifts the chance of each, and each shifts its effects."""
    values: dict[str, np.ndarray] = {}
    kinds: dict[str, VariableKind] = {}
    names = names_of(len(dag))
    for name in graph_of(dag).topological_order():
        child, levels = names.index(name), 4
        push = np.zeros((n, levels))
        for parent in np.flatnonzero(dag[:, child]):
            x = values[names[parent]]
            shown_as = np.eye(levels)[x.astype(int)] if names[parent] in kinds else x[:, None] * np.ones((1, levels))
            push += shown_as @ rng.normal(0, 1.0, (levels, levels)) if names[parent] in kinds else shown_as * rng.normal(0, 0.9, levels)
        if child % 2:
            kinds[name] = "nominal"
            values[name] = (push + rng.gumbel(size=(n, levels))).argmax(axis=1).astype(float)
        else:
            x = push[:, 0] + rng.normal(size=n)
            values[name] = (x - x.mean()) / x.std()
    return pd.DataFrame({name: values[name] for name in names}), kinds


def test_nominal_causes_and_effects_are_found_as_blocks_and_auto_takes_them() -> None:
    missed = {"blocks": 0, "numbers": 0}
    for seed in range(6):
        rng = np.random.default_rng(seed)
        dag = random_dag(8, 2, rng)
        frame, kinds = nominal_world(dag, 2000, rng)
        graphs = {"blocks": discover(frame, Auto(kinds=kinds)), "numbers": discover(frame, BOSS())}
        assert graphs["blocks"].provenance["method"] == "BOSS"
        assert graphs["blocks"] == discover(mixed_moments(frame, kinds=kinds), BOSS())
        for name, graph in graphs.items():
            missed[name] += int(np.triu((graph.marks != 0) != (dag | dag.T)).sum())
    assert missed["blocks"] <= 6
    assert missed["blocks"] < 0.5 * missed["numbers"]


def test_counts_with_known_truth_are_found_much_better_as_blocks() -> None:
    wrong = {"hurdle": 0, "plain": 0}
    right_edges = found_edges = true_edges = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        dag = random_dag(8, 2.5, rng)
        frame = shop_like(dag, 3000, rng)
        truth = to_cpdag(graph_of(dag)).marks
        for name, m in (("hurdle", hurdle_moments(frame)), ("plain", moments(frame))):
            marks = discover(m, BOSS()).marks
            wrong[name] += int(np.triu((marks != truth) | (marks.T != truth.T)).sum())
            if name == "hurdle":
                right_edges += int(np.triu((marks != 0) & (truth != 0)).sum())
                found_edges += int(np.triu(marks != 0).sum())
                true_edges += int(np.triu(truth != 0).sum())
    assert 2 * right_edges / (found_edges + true_edges) >= 0.95
    assert wrong["hurdle"] < 0.5 * wrong["plain"]


def test_shards_merge_exactly(counts: pd.DataFrame) -> None:
    whole = hurdle_moments(counts)
    merged = hurdle_moments(counts.head(250), like=whole) + hurdle_moments(counts.tail(350), like=whole)
    assert merged.moments.covariance == pytest.approx(whole.moments.covariance, rel=1e-10)
    assert discover(merged, BOSS()) == discover(whole, BOSS())


def test_bootstrap_of_blocks_equals_a_slow_loop(counts: pd.DataFrame) -> None:
    from causalsem.discovery.bootstrap import draw_counts

    stability = bootstrap(counts, PC(), hurdle=True, times=4, seed=3)
    like = hurdle_moments(counts)
    for k, drawn in enumerate(draw_counts(600, 4, np.random.default_rng(3))):
        resample = counts.iloc[np.repeat(np.arange(600), drawn)].reset_index(drop=True)
        assert np.array_equal(discover(hurdle_moments(resample, like=like), PC()).marks, stability.marks[k])


def test_column_order_does_not_matter_and_knowledge_holds(counts: pd.DataFrame) -> None:
    known = Knowledge(tiers=[["v3"], ["v0", "v1", "v2", "v4"]])
    for method in (PC(), GES(), BOSS(), FCI()):
        graph = discover(hurdle_moments(counts), method, knowledge=known)
        assert discover(hurdle_moments(counts[["v4", "v2", "v0", "v1", "v3"]]), method, knowledge=known) == graph
        assert not graph.parents("v3")


def test_kinds_of_columns_are_told_by_the_column_names() -> None:
    rng = np.random.default_rng(4)
    frame = pd.DataFrame(
        {
            "buy": rng.poisson(0.7, 500),
            "clicked": rng.integers(0, 2, 500),
            "spent": np.exp(rng.normal(size=500)),
            "age": rng.normal(40, 9, 500),
        }
    )
    told = hurdle_moments(frame).columns
    assert told == (("buy > 0", "log buy | buy > 0"), ("clicked",), ("log(1 + spent)",), ("age",))


def test_what_hurdle_moments_cannot_do_is_said(counts: pd.DataFrame) -> None:
    m = hurdle_moments(counts)
    with pytest.raises(SettingError, match="takes no hurdle moments"):
        discover(m, GES(engine="causal-learn"))
    with pytest.raises(DataError, match="needs rows"):
        discover(m, "DirectLiNGAM")
    with pytest.raises(MomentsError, match="disagree"):
        m + hurdle_moments(counts[["v0", "v1"]])  # asked for its error
    with pytest.raises(DataError, match="missing values"):
        hurdle_moments(counts.mask(counts > 20))
    assert Stack(m.moments.correlation[None], 5).p == len(m.moments.names)


def test_columns_that_are_zero_together_do_not_share_an_indicator() -> None:
    rng = np.random.default_rng(6)
    buys = rng.poisson(0.8, 800)
    frame = pd.DataFrame({"buys": buys, "spent": buys * rng.exponential(10, 800), "views": buys + rng.poisson(1, 800)})
    assert hurdle_moments(frame).columns == (("log(1 + buys)",), ("log(1 + spent)",), ("views > 0", "log views | views > 0"))
    assert {e[:2] for e in discover(hurdle_moments(frame), BOSS()).edges} >= {("buys", "spent")}
