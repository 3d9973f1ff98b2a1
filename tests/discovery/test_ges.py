"""GES and BOSS against population truth, exhaustive search, causal-learn and their own invariants."""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
import pandas as pd
import pytest

from causalsem.behaviour import Moments
from causalsem.discovery import BOSS, FLOP, GES, GRaSP, discover, order_search
from causalsem.discovery.found import Rules
from causalsem.discovery.ges import Space, delete_while_gaining, insert_while_gaining
from causalsem.discovery.scores import GaussianBIC
from causalsem.discovery.stack import Stack
from causalsem.errors import SettingError
from causalsem.graph import to_cpdag
from causalsem.graph.causal_graph import find_cycle
from causalsem.graph.classes import extension, is_cpdag
from causalsem.graph.pdag import PDAG, to_masks
from tests.discovery.worlds import graph_of, names_of, population, random_dag, sample

METHODS = (GES(), BOSS(), FLOP(), GRaSP())


def bic(frame: pd.DataFrame, penalty_discount: float) -> GaussianBIC:
    return GaussianBIC(Stack(frame.corr().to_numpy()[None], len(frame)), 0, penalty_discount)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
def test_population_moments_give_exactly_the_equivalence_class(method: GES | BOSS | FLOP | GRaSP, monkeypatch: pytest.MonkeyPatch) -> None:
    # Five hundred small searches are one large one, worth machine code.
    monkeypatch.setattr(order_search, "PLAIN_SECONDS", 1e3)
    for seed in range(500):
        rng = np.random.default_rng(seed)
        dag = random_dag(int(rng.integers(2, 9)), rng.uniform(1, 4), rng)
        assert discover(population(dag, rng), method) == to_cpdag(graph_of(dag)), seed


def test_local_scores_are_the_log_likelihood_less_the_price_of_parents() -> None:
    rng = np.random.default_rng(0)
    frame = sample(random_dag(5, 2, rng), 400, rng)
    X = frame.to_numpy() - frame.to_numpy().mean(axis=0)
    score = bic(frame, 2.0)
    for parents in ([], [1], [1, 3, 4]):
        mask = sum(1 << k for k in parents)
        residual = X[:, 0] - X[:, parents] @ np.linalg.lstsq(X[:, parents], X[:, 0], rcond=None)[0]
        expected = -200 * np.log(residual.var() / X[:, 0].var()) - 2.0 * np.log(400) / 2 * len(parents)
        assert score.local(0, mask) == pytest.approx(expected, rel=1e-9, abs=1e-9)
        for new in {1, 2, 3, 4} - set(parents):
            gain = score.local(0, mask | (1 << new)) - score.local(0, mask)
            assert score.gain(0, mask, new) == pytest.approx(gain, abs=1e-6)


def test_markov_equivalent_dags_score_the_same() -> None:
    rng = np.random.default_rng(1)
    frame = sample(random_dag(4, 2, rng), 100, rng)
    score = bic(frame, 1.0)
    assert score.total([0, 1, 2, 0]) == pytest.approx(score.total([2, 4, 0, 0]), abs=1e-8)


@pytest.mark.parametrize(
    "method",
    [GES(penalty_discount=1), BOSS(penalty_discount=1), FLOP(penalty_discount=1), GRaSP(penalty_discount=1)],
    ids=lambda m: type(m).__name__,
)
def test_score_is_that_of_the_best_of_all_dags_in_most_small_samples(method: GES | BOSS | FLOP | GRaSP) -> None:
    best_found = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        frame = sample(random_dag(4, 2, rng), 300, rng)
        score = bic(frame, 1.0)
        best = max(score.total(list(masks)) for masks in all_dags(4))
        found = discover(frame, method)
        dag = extension(found.marks)
        assert dag is not None
        assert found.provenance["score"] == pytest.approx(score.total(to_masks(dag.T)), abs=1e-6)
        assert found.provenance["score"] <= best + 1e-6
        best_found += found.provenance["score"] > best - 1e-6
    assert best_found >= 16


@cache
def all_dags(p: int) -> tuple[tuple[int, ...], ...]:
    """Every DAG on p nodes, as parent masks."""
    dags = []
    for masks in product(*([m for m in range(1 << p) if not (m >> k) & 1] for k in range(p))):
        matrix = np.array([[bool((masks[j] >> i) & 1) for j in range(p)] for i in range(p)])
        if find_cycle(matrix) is None:
            dags.append(masks)
    assert len(dags) == 543
    return tuple(dags)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
def test_result_is_a_cpdag_and_does_not_depend_on_column_order_sign_or_scale(method: GES | BOSS | FLOP | GRaSP) -> None:
    for seed in range(30):
        rng = np.random.default_rng(seed)
        frame = sample(random_dag(10, 3, rng), 150, rng)
        graph = discover(frame, method)
        assert graph.kind == "CPDAG"
        assert is_cpdag(graph.marks)
        order = rng.permutation(10)
        other = frame.iloc[:, order] * (rng.choice([-1, 1], 10) * rng.uniform(0.01, 100, 10)) + 5
        assert discover(other, method) == graph, seed


def test_a_higher_penalty_never_gives_more_edges_on_these_samples() -> None:
    rng = np.random.default_rng(9)
    frame = sample(random_dag(10, 3, rng), 300, rng)
    counts = [len(list(discover(frame, GES(penalty_discount=c)).edges)) for c in (0.5, 1, 2, 8, 200)]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == 0


def test_boss_reaches_at_least_the_score_of_ges_on_dense_graphs() -> None:
    wins = 0
    for seed in range(5):
        rng = np.random.default_rng(seed)
        frame = sample(random_dag(15, 5, rng), 1000, rng)
        wins += discover(frame, BOSS()).provenance["score"] >= discover(frame, GES()).provenance["score"] - 1e-6
    assert wins >= 4


def without_turns(score: GaussianBIC) -> tuple[list[int], float]:
    """The DAG and the score where insertions and deletions alone no longer gain."""
    space = Space(Rules.of(None, names_of(score.p)))
    graph, total = space.of_dag([0] * score.p), -np.inf
    while True:
        graph = delete_while_gaining(insert_while_gaining(graph, score, space, 10**6), score, space)
        member = graph.extension()
        assert member is not None
        if score.total(member) <= total + score.noise:
            return member, total
        total = score.total(member)


def test_turning_gains_on_insertions_and_deletions_alone_and_never_loses() -> None:
    higher = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        frame = sample(random_dag(9, 4, rng), 300, rng)
        total = without_turns(bic(frame, 2.0))[1]
        found = discover(frame, GES()).provenance["score"]
        assert found >= total - 1e-6, seed
        higher += found > total + 1e-6
    assert higher >= 8


def test_turning_finds_dense_graphs_that_insertions_and_deletions_alone_do_not() -> None:
    wrong = {"with": 0, "without": 0}
    for seed in range(5):
        rng = np.random.default_rng(seed)
        dag = random_dag(20, 8, rng)
        frame = sample(dag, 5000, rng)
        truth = to_cpdag(graph_of(dag)).marks
        plain = PDAG.from_dag(without_turns(bic(frame, 2.0))[0]).marks()
        for name, marks in (("with", discover(frame, GES()).marks), ("without", plain)):
            wrong[name] += int(np.triu((marks != truth) | (marks.T != truth.T)).sum())
    assert wrong["without"] > 100
    assert wrong["with"] < 0.1 * wrong["without"]


@pytest.mark.parametrize("settings", [GES, BOSS, FLOP, GRaSP])
def test_a_penalty_that_is_not_positive_is_refused(settings: type) -> None:
    with pytest.raises(SettingError, match="choose a positive number"):
        settings(penalty_discount=0)


def test_scores_read_the_number_of_rows_from_moments() -> None:
    rng = np.random.default_rng(8)
    m = Moments.from_rows(sample(random_dag(6, 3, rng), 100, rng).to_numpy(), names_of(6))
    fewer = Moments.from_covariance(m.covariance, 10, m.names)
    assert len(list(discover(fewer, GES()).edges)) < len(list(discover(m, GES()).edges))
