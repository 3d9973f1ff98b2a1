"""PC against population truth, a slow loop, causal-learn and its own invariants."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import norm

from causalsem._values import FloatArray
from causalsem.behaviour import Moments, moments
from causalsem.discovery import PC, discover
from causalsem.discovery.colliders import unshielded
from causalsem.discovery.skeleton import ConditioningSets, skeletons
from causalsem.discovery.stack import Stack
from causalsem.errors import SettingError
from causalsem.graph import to_cpdag
from causalsem.graph.classes import is_cpdag
from tests.discovery.worlds import graph_of, names_of, population, random_dag, sample

RULES = ("max-p", "majority", "conservative", "sepset")


@pytest.mark.parametrize("rule", RULES)
def test_population_moments_give_exactly_the_equivalence_class(rule: str) -> None:
    for seed in range(60):
        rng = np.random.default_rng(seed)
        dag = random_dag(int(rng.integers(2, 9)), rng.uniform(1, 4), rng)
        found = discover(population(dag, rng), PC(colliders=rule))
        assert found == to_cpdag(graph_of(dag)), (seed, str(found))
        assert not found.provenance["conflicts"]


def slow_skeleton(R: FloatArray, n: int, alpha: float) -> tuple[set[tuple[int, int]], dict[tuple[int, int], set[tuple[int, ...]]]]:
    """The stable skeleton by nested loops, and every separating set found at the size at which a pair fell."""
    p = len(R)
    adjacent = {i: set(range(p)) - {i} for i in range(p)}
    separating: dict[tuple[int, int], set[tuple[int, ...]]] = {}
    size = 0
    while any(len(a) - 1 >= size for a in adjacent.values()):
        frozen = {i: sorted(a) for i, a in adjacent.items()}
        for i in range(p):
            for j in frozen[i]:
                for S in combinations([k for k in frozen[i] if k != j], size):
                    index = [i, j, *S]
                    inverse = np.linalg.inv(R[np.ix_(index, index)])
                    r = -inverse[0, 1] / np.sqrt(inverse[0, 0] * inverse[1, 1])
                    if 2 * norm.sf(np.sqrt(n - size - 3) * abs(np.arctanh(r))) >= alpha:
                        adjacent[i].discard(j)
                        adjacent[j].discard(i)
                        separating.setdefault((min(i, j), max(i, j)), set()).add(S)
        size += 1
    return {(i, j) for i in range(p) for j in adjacent[i] if i < j}, separating


def test_batched_skeleton_and_sepsets_equal_nested_loops() -> None:
    for seed in range(15):
        rng = np.random.default_rng(seed)
        frame = sample(random_dag(8, 3, rng), 300, rng)
        R = frame.corr().to_numpy()
        edges, separating = slow_skeleton(R, 300, 0.05)
        no = np.zeros((8, 8), dtype=bool)
        found = skeletons(Stack(R[None], 300), float(norm.isf(0.025)), no, no, no, 8)
        assert {(int(i), int(j)) for i, j in np.argwhere(np.triu(found.adjacent[0]))} == edges
        assert set(found.sepsets(0)) == set(separating)
        for pair, S in found.sepsets(0).items():
            assert S in separating[pair]


def test_partial_correlations_equal_those_of_the_inverse() -> None:
    rng = np.random.default_rng(0)
    R = np.corrcoef(rng.normal(size=(50, 7)), rowvar=False)
    tests = ConditioningSets(Stack(R[None], 50), ~np.eye(7, dtype=bool)[None], np.zeros((7, 7), dtype=bool))
    pairs = np.array([[0, 1, 4], [0, 6, 2]])
    for size in range(6):
        for rows, sets, z in tests.of_size(pairs, size):
            r = tests.data.partial_correlations(pairs[rows], sets)
            assert z == pytest.approx(np.sqrt(50 - size - 3) * np.abs(np.arctanh(r)))
            for row, at in np.ndindex(r.shape):
                index = [*pairs[rows[row], 1:], *sets[row, at]]
                inverse = np.linalg.inv(R[np.ix_(index, index)])
                assert r[row, at] == pytest.approx(-inverse[0, 1] / np.sqrt(inverse[0, 0] * inverse[1, 1]), abs=1e-12)


@pytest.mark.parametrize("rule", RULES)
def test_result_is_a_cpdag_and_does_not_depend_on_column_order_sign_or_scale(rule: str) -> None:
    for seed in range(30):
        rng = np.random.default_rng(seed)
        frame = sample(random_dag(10, 3, rng), 150, rng)
        graph = discover(frame, PC(alpha=0.05, colliders=rule))
        assert graph.kind == "CPDAG"
        assert is_cpdag(graph.marks)
        order = rng.permutation(10)
        other = frame.iloc[:, order] * (rng.choice([-1, 1], 10) * rng.uniform(0.01, 100, 10)) + 5
        assert discover(other, PC(alpha=0.05, colliders=rule)) == graph, seed


def test_conflicts_are_told_by_name() -> None:
    told = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        frame = sample(random_dag(10, 3, rng), 150, rng).rename(columns={"v0": "浏览 量"})
        told += discover(frame, PC(alpha=0.05)).provenance["conflicts"]
    assert told
    assert all(line.startswith(("collider '", "'")) and ": " in line for line in told)
    assert any("浏览 量" in line for line in told)


def test_stack_of_correlations_gives_what_each_gives_alone() -> None:
    from causalsem.discovery.found import Rules
    from causalsem.discovery.pc import search

    rng = np.random.default_rng(3)
    frames = [sample(random_dag(7, 2, rng), 200, rng) for _ in range(5)]
    R = np.stack([frame.corr().to_numpy() for frame in frames])
    together = search(Stack(R, 200), PC(), Rules.of(None, names_of(7)))
    for frame, found in zip(frames, together, strict=True):
        assert np.array_equal(found.marks, discover(frame, PC()).marks)


def test_unshielded_triples_are_all_found() -> None:
    rng = np.random.default_rng(5)
    adjacent = np.stack([(d := random_dag(6, 3, rng)) | d.T for _ in range(3)])
    slow = {
        (b, i, m, j)
        for b in range(3)
        for m in range(6)
        for i, j in combinations(range(6), 2)
        if adjacent[b, i, m] and adjacent[b, m, j] and not adjacent[b, i, j]
    }
    assert {tuple(row) for row in unshielded(adjacent).tolist()} == slow


def test_cap_on_conditioning_sets_is_kept() -> None:
    rng = np.random.default_rng(1)
    frame = sample(random_dag(8, 3, rng), 500, rng)
    marginal = np.abs(np.arctanh(frame.corr().to_numpy() - np.eye(8))) * np.sqrt(500 - 3) > norm.isf(0.005)
    assert np.array_equal(discover(frame, PC(max_conditioning=0)).marks != 0, marginal)


def test_few_rows_end_the_search_where_tests_end() -> None:
    rng = np.random.default_rng(2)
    graph = discover(Moments.from_rows(rng.normal(size=(6, 5)), names_of(5)), PC())
    assert is_cpdag(graph.marks)


@pytest.mark.parametrize("wrong", [{"alpha": 0}, {"alpha": 1.5}, {"colliders": "best"}, {"max_conditioning": -1}])
def test_settings_out_of_range_say_what_to_choose(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingError, match=r"; (choose|use one of)"):
        PC(**wrong)  # type: ignore[arg-type]  # wrong on purpose


def test_moments_of_a_table_and_the_table_give_the_same_graph() -> None:
    rng = np.random.default_rng(4)
    frame = sample(random_dag(6, 2, rng), 200, rng)
    assert discover(frame, PC()) == discover(moments(frame), PC())
