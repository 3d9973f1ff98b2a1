"""FCI against brute force over all ancestral graphs, and against hidden truth."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest

from causalsem._values import BoolArray, FloatArray
from causalsem.behaviour import Moments
from causalsem.discovery import BOSSFCI, FCI, PC, discover
from causalsem.discovery.boss_fci import without_mediators
from causalsem.discovery.order import reachable
from causalsem.discovery.stack import Stack
from causalsem.graph import CausalGraph, Knowledge, to_pag
from causalsem.graph.causal_graph import ARROW, CIRCLE, TAIL, MarkArray, find_cycle
from tests.discovery.worlds import ENDLESS, names_of, population, population_covariance, random_dag, sample


def independences(S: FloatArray) -> BoolArray:
    """Return which partial correlations vanish, over all pairs and all conditioning sets."""
    p = len(S)
    told = []
    for size in range(p - 1):
        index = np.array(
            [(i, j, *s) for i, j in combinations(range(p), 2) for s in combinations([k for k in range(p) if k not in (i, j)], size)]
        )
        inverse = np.linalg.inv(S[index[:, :, None], index[:, None, :]])
        told.append(np.abs(inverse[:, 0, 1] / np.sqrt(inverse[:, 0, 0] * inverse[:, 1, 1])) < 1e-8)
    return np.concatenate(told)


def covariance_of(marks: MarkArray, rng: np.random.Generator) -> FloatArray:
    """Return the covariance of a random linear model on a directed mixed graph."""
    p = len(marks)
    size = rng.uniform(0.3, 1, (p, p)) * rng.choice([-1, 1], (p, p))
    B = np.where((marks == ARROW) & (marks.T == TAIL), size, 0)
    omega = np.where(np.triu((marks == ARROW) & (marks.T == ARROW)), size, 0)
    omega = omega + omega.T
    omega += np.diag(np.abs(omega).sum(axis=0) + rng.uniform(0.3, 1, p))
    paths = np.linalg.inv(np.eye(p) - B)
    return np.asarray(paths.T @ omega @ paths)


def invariant_marks(skeleton: BoolArray, truth: BoolArray, rng: np.random.Generator) -> MarkArray:
    """Return the marks that all ancestral graphs on a skeleton with these independences share, circles where they differ."""
    pairs = np.argwhere(np.triu(skeleton))
    seen = []
    for ends in product(((TAIL, ARROW), (ARROW, TAIL), (ARROW, ARROW)), repeat=len(pairs)):
        marks = np.zeros(skeleton.shape, dtype=np.int8)
        for (i, j), (at_i, at_j) in zip(pairs, ends, strict=True):
            marks[j, i], marks[i, j] = at_i, at_j
        directed = (marks == ARROW) & (marks.T == TAIL)
        if find_cycle(directed) is not None or (reachable(directed) & (marks == ARROW) & (marks.T == ARROW)).any():
            continue
        if np.array_equal(independences(covariance_of(marks, rng)), truth):
            seen.append(marks)
    stack = np.stack(seen)
    return np.where((stack == stack[0]).all(axis=0), stack[0], CIRCLE).astype(np.int8)


def test_marks_are_exactly_those_all_equivalent_ancestral_graphs_share() -> None:
    done = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        p, latent = int(rng.integers(4, 6)), int(rng.integers(1, 3))
        dag = random_dag(p + latent, 2.6, rng)
        keep = rng.permutation(p + latent)[:p]
        S = population_covariance(dag, rng)[np.ix_(keep, keep)]
        graph = discover(Moments.from_covariance(S, ENDLESS, names_of(p)), FCI())
        skeleton = graph.marks != 0
        if skeleton.sum() > 12:
            continue
        assert np.array_equal(graph.marks, invariant_marks(skeleton, independences(S), rng)), (seed, str(graph))
        done += 1
    assert done >= 40


def test_a_hidden_common_cause_is_shown_by_a_bidirected_edge() -> None:
    rng = np.random.default_rng(0)
    dag = np.zeros((5, 5), dtype=bool)
    for i, j in [(0, 1), (4, 1), (4, 2), (3, 2)]:
        dag[i, j] = True
    S = population_covariance(dag, rng)[:4, :4]
    graph = discover(Moments.from_covariance(S, ENDLESS, names_of(4)), FCI())
    assert str(graph) == "v0 o-> v1; v1 <-> v2; v3 o-> v2"


def test_marks_hold_in_the_hidden_truth_of_larger_graphs() -> None:
    for seed in range(60):
        rng = np.random.default_rng(seed)
        p, latent = int(rng.integers(6, 10)), int(rng.integers(1, 4))
        dag = random_dag(p + latent, 3, rng)
        keep = rng.permutation(p + latent)[:p]
        S = population_covariance(dag, rng)[np.ix_(keep, keep)]
        marks = discover(Moments.from_covariance(S, ENDLESS, names_of(p)), FCI()).marks
        ancestor = reachable(dag)[np.ix_(keep, keep)]
        assert not ((marks.T == TAIL) & ~ancestor).any(), seed
        assert not ((marks == ARROW) & ancestor.T).any(), seed


def test_skeleton_is_that_of_pc_when_nothing_is_hidden() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        m = population(random_dag(7, 3, rng), rng)
        assert np.array_equal(discover(m, FCI()).marks != 0, discover(m, PC()).marks != 0)


def test_starting_from_boss_changes_nothing_on_population_moments_and_helps_on_samples() -> None:
    wrong = {"FCI": 0, "BOSSFCI": 0}
    for seed in range(60):
        rng = np.random.default_rng(seed)
        p, latent = int(rng.integers(5, 9)), int(rng.integers(0, 3))
        dag = random_dag(p + latent, 2.3, rng)
        keep = rng.permutation(p + latent)[:p]
        S = population_covariance(dag, rng)[np.ix_(keep, keep)]
        m = Moments.from_covariance(S, ENDLESS, names_of(p))
        truth = discover(m, FCI())
        assert discover(m, BOSSFCI()) == truth, seed
        rows = Moments.from_rows(rng.multivariate_normal(np.zeros(p), S, 1000), names_of(p))
        for method in (FCI(), BOSSFCI()):
            marks = discover(rows, method).marks
            wrong[type(method).__name__] += int(np.triu((marks != truth.marks) | (marks.T != truth.marks.T)).sum())
    assert wrong["BOSSFCI"] < wrong["FCI"]


@pytest.mark.parametrize("method", [*(FCI(alpha=0.05, colliders=r) for r in ("max-p", "majority", "sepset")), BOSSFCI(alpha=0.05)], ids=str)
def test_result_does_not_depend_on_column_order_sign_or_scale(method: FCI) -> None:
    for seed in range(30):
        rng = np.random.default_rng(seed)
        frame = sample(random_dag(9, 3, rng), 150, rng).iloc[:, 1:]
        graph = discover(frame, method)
        assert graph.is_acyclic()
        order = rng.permutation(8)
        other = frame.iloc[:, order] * (rng.choice([-1, 1], 8) * rng.uniform(0.01, 100, 8)) + 5
        assert discover(other, method) == graph, seed


def test_tiers_put_arrowheads_at_the_later_end_and_leave_hidden_causes_possible() -> None:
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=5000)
    frame = sample(random_dag(2, 0, rng), 5000, rng)
    frame = frame + hidden[:, None] * 0.8
    graph = discover(frame, FCI(), knowledge=Knowledge(tiers=[["v0"], ["v1"]]))
    assert str(graph) == "v0 o-> v1"
    within = Knowledge(tiers=[["v0", "v1"]], forbidden_within_tiers=True)
    assert str(discover(frame, FCI(), knowledge=within)) == "v0 <-> v1"


def test_500_random_graphs_give_the_pag_of_their_ancestral_graph() -> None:
    undecided = 0
    for seed in range(500):
        rng = np.random.default_rng([seed, 1])
        p, latent = int(rng.integers(4, 9)), int(rng.integers(0, 4))
        dag = random_dag(p + latent, rng.uniform(1.5, 3.2), rng)
        order = rng.permutation(p + latent)
        nodes = names_of(p + latent)
        hidden = [nodes[k] for k in order[p:]]
        marks = np.where(dag, ARROW, np.where(dag.T, TAIL, 0)).astype(np.int8)
        truth = to_pag(CausalGraph(nodes, marks, "DAG", hidden))
        keep = sorted(order[:p])
        S = population_covariance(dag, rng)[np.ix_(keep, keep)]
        graph = discover(Moments.from_covariance(S, ENDLESS, [nodes[k] for k in keep]), FCI())
        assert graph == truth, seed
        undecided += int((graph.marks == CIRCLE).any())
    assert undecided >= 100


def test_causal_learn_finds_the_same_pags() -> None:
    for seed in range(25):
        rng = np.random.default_rng([seed, 2])
        p = int(rng.integers(4, 7))
        dag = random_dag(p + 2, 2.4, rng)
        keep = rng.permutation(p + 2)[:p]
        m = Moments.from_covariance(population_covariance(dag, rng)[np.ix_(keep, keep)], ENDLESS, names_of(p))
        assert discover(m, FCI(engine="causal-learn")) == discover(m, FCI()), seed


def test_selection_shows_as_lines_by_rules_five_to_seven() -> None:
    # A Markov network that no DAG without selection has: a square, with a tail hanging from one corner.
    lines = np.zeros((6, 6))
    for a, b in ((0, 1), (1, 2), (2, 3), (3, 0), (0, 4), (4, 5)):
        lines[a, b] = lines[b, a] = 0.3
    S = np.linalg.inv(np.eye(6) + lines)
    graph = discover(Moments.from_covariance(S, ENDLESS, names_of(6)), FCI())
    assert str(graph) == "v0 -- v1; v0 -- v3; v4 o-- v0; v1 -- v2; v2 -- v3; v5 o-- v4"


def hidden_rows(seed: int, n: int) -> tuple[Moments, CausalGraph]:
    """Return moments of 13 of the 15 variables of a random linear model, and the PAG of the truth."""
    rng = np.random.default_rng([seed, 3])
    dag = random_dag(15, 3, rng)
    nodes = names_of(15)
    hidden = [nodes[k] for k in rng.choice(15, 2, replace=False)]
    marks = np.where(dag, ARROW, np.where(dag.T, TAIL, 0)).astype(np.int8)
    seen = sample(dag, n, rng).drop(columns=hidden)
    return Moments.from_rows(seen.to_numpy(), list(seen.columns)), to_pag(CausalGraph(nodes, marks, "DAG", hidden))


def test_an_order_search_first_halves_the_distance_of_fci_to_the_true_pag() -> None:
    wrong = {"FCI": 0, "BOSSFCI": 0}
    for seed in range(15):
        m, truth = hidden_rows(seed, 2000)
        for method in (FCI(), BOSSFCI()):
            marks = discover(m, method).marks
            wrong[type(method).__name__] += int(np.triu((marks != truth.marks) | (marks.T != truth.marks.T)).sum())
    assert wrong["BOSSFCI"] < 0.6 * wrong["FCI"]


def test_an_arrow_falls_when_parents_without_a_mediator_separate_its_ends() -> None:
    # a -> b <- h -> c, h hidden, in the order a, b, c: b looks like a mediator, and a -> c makes up for it.
    directed = np.zeros((4, 4), dtype=bool)
    directed[[0, 0, 1, 3], [1, 2, 2, 2]] = True
    S = np.array([[1, 0.6, 0, 0], [0.6, 1, 0.3, 0], [0, 0.3, 1, 0.4], [0, 0, 0.4, 1]])
    no = np.zeros((4, 4), dtype=bool)
    data = Stack(S[None], 1000)
    assert list(without_mediators(data, directed, 2.5, no, 4)) == [((0, 2), (3,))]
    assert list(without_mediators(data, directed, 2.5, no, 0)) == []
    joined = no.copy()
    joined[0, 2] = joined[2, 0] = True
    assert list(without_mediators(data, directed, 2.5, joined, 4)) == []


def test_results_on_few_rows_are_legal_pags() -> None:
    for seed in range(20):
        m, _ = hidden_rows(seed, 60)
        for method in (FCI(alpha=0.1), BOSSFCI(alpha=0.1, penalty_discount=1)):
            assert discover(m, method).kind == "PAG"
