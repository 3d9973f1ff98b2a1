"""Calibrated edges, stability selection, sensitivity, held-out checks, sortability, time limits."""

from __future__ import annotations

import itertools
import signal
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from causalsem.behaviour import Moments, moments
from causalsem.discovery import (
    BOSS,
    BOSSFCI,
    DAGMA,
    FCI,
    FLOP,
    GES,
    NOTEARS,
    PC,
    RFCI,
    GRaSP,
    bootstrap,
    budget,
    discover,
    edge_probabilities,
    hurdle_moments,
    markov_check,
    r2_sortability,
    sensitivity,
    varsortability,
)
from causalsem.discovery.calibration import drawn_correlations, frequencies, hidden_worlds, random_correlation
from causalsem.discovery.found import Evidence, Rules
from causalsem.discovery.posterior import coefficients
from causalsem.errors import DataError, GraphError, OutOfTimeError, SettingError
from causalsem.graph import CausalGraph, Knowledge, to_cpdag, to_pag
from causalsem.graph.causal_graph import ARROW, TAIL
from tests.discovery.worlds import graph_of, names_of, population, random_dag, sample


@pytest.mark.parametrize("method", [PC(), GES()], ids=["PC", "GES"])
def test_probabilities_of_edges_are_nearer_the_truth_than_how_often_a_search_returns_them(method: PC) -> None:
    brier = {"raw": np.zeros(4), "told": np.zeros(4)}
    stated, true = [], []
    for seed in range(12):
        rng = np.random.default_rng([seed, 200])
        dag = random_dag(8, 2.5, rng)
        stability = bootstrap(sample(dag, 200, rng), method, times=60, seed=seed)
        told = edge_probabilities(stability, draws=300, seed=seed)
        truth = frequencies(to_cpdag(graph_of(dag)).marks[None])
        shares = np.stack([told.edge, told.arrow, told.line, told.head])
        brier["raw"] += ((frequencies(stability.marks) - truth) ** 2).sum(axis=(1, 2))
        brier["told"] += ((shares - truth) ** 2).sum(axis=(1, 2))
        off = ~np.eye(8, dtype=bool)
        stated.append(shares[:3, off].ravel())
        true.append(truth[:3, off].ravel())
    assert (brier["told"] < brier["raw"]).all()
    p, y = np.concatenate(stated), np.concatenate(true)
    for low, high in ((0.0, 0.2), (0.2, 0.8), (0.8, 1.01)):
        some = (p >= low) & (p < high)
        # 0.1 is the goal; twice the standard error of the bin's share is its chance deviation.
        assert abs(p[some].mean() - y[some].mean()) <= 0.1 + 2 * np.sqrt(0.25 / some.sum())


def test_marks_of_a_pag_are_nearer_the_truth_than_how_often_fci_returns_them() -> None:
    brier = {"raw": np.zeros(4), "told": np.zeros(4)}
    for seed in range(6):
        rng = np.random.default_rng([seed, 201])
        dag = random_dag(10, 2.5, rng)
        hidden = tuple(names_of(10)[k] for k in rng.choice(10, 2, replace=False))
        stability = bootstrap(sample(dag, 200, rng).drop(columns=list(hidden)), FCI(), times=40, seed=seed)
        told = edge_probabilities(stability, worlds=12, times=20, seed=seed)
        truth = frequencies(to_pag(CausalGraph(names_of(10), graph_of(dag).marks, "DAG", hidden)).marks[None])
        brier["raw"] += ((frequencies(stability.marks) - truth) ** 2).sum(axis=(1, 2))
        brier["told"] += ((np.stack([told.edge, told.arrow, told.line, told.head]) - truth) ** 2).sum(axis=(1, 2))
    assert (brier["told"] <= brier["raw"]).all()


def test_probabilities_are_told_by_pair_and_as_a_table() -> None:
    rng = np.random.default_rng(1)
    told = edge_probabilities(bootstrap(sample(random_dag(5, 2, rng), 300, rng), PC(), times=30), draws=100)
    table = told.table()
    assert len(table) == 10
    first = table.iloc[0]
    assert told.probability(first["source"], first["target"]) == first["edge"]
    assert told.curve is None
    with pytest.raises(SettingError, match="unknown kind 'tail'"):
        told.probability("v0", "v1", "tail")
    by_worlds = edge_probabilities(bootstrap(sample(random_dag(4, 2, rng), 100, rng), FCI(), times=3), worlds=3, times=3)
    assert set(by_worlds.curve["kind"]) <= {"edge", "arrow", "line", "head"}
    with pytest.raises(DataError, match="no evidence"):
        edge_probabilities(bootstrap(sample(random_dag(4, 2, rng), 100, rng), PC(), times=3, half=True))


def test_simulated_worlds_agree_with_what_is_known() -> None:
    rng = np.random.default_rng(2)
    dag = np.zeros((6, 6), dtype=bool)
    dag[[3, 1, 0], [1, 0, 2]] = True
    R = population(dag, rng).correlation
    known = Knowledge(tiers=[["v3"], ["v0", "v1", "v2", "v4", "v5"]], required=[("v3", "v1")])
    for S in hidden_worlds(Evidence(R, 400.0, Rules.of(known, names_of(6))), 5, rng):
        assert np.linalg.eigvalsh(S)[0] > 0
        assert np.diag(S) == pytest.approx(np.ones(6))
        assert S[3, 1] != 0


def test_random_correlations_are_those_of_a_model_with_the_given_coefficients() -> None:
    rng = np.random.default_rng(3)
    dag = random_dag(5, 2, rng)
    S = random_correlation(dag, np.array([0.3]), rng)
    assert np.abs(coefficients(S, dag)) == pytest.approx(0.3)
    drawn = drawn_correlations(S, 200, 4000, rng)
    assert drawn.mean(axis=0) == pytest.approx(S, abs=0.01)
    assert drawn[:, 0, 1].std() == pytest.approx((1 - S[0, 1] ** 2) / np.sqrt(200), rel=0.1)


def test_stability_selection_keeps_its_promise_on_noise_and_finds_strong_edges() -> None:
    false = 0
    for seed in range(20):
        noise = pd.DataFrame(np.random.default_rng(seed).normal(size=(200, 8)), columns=list(names_of(8)))
        false += len(list(bootstrap(noise, PC(alpha=0.05), half=True, times=50, seed=seed).selected(expected_false=1).edges))
    assert false / 20 <= 1
    rng = np.random.default_rng(3)
    frame = sample(random_dag(8, 1.5, rng), 1000, rng)
    stability = bootstrap(frame, PC(alpha=0.001), half=True, times=50)
    assert stability.provenance["half"]
    kept = stability.selected(expected_false=3)
    assert ((kept.marks != 0) <= (discover(frame, PC(alpha=0.001)).marks != 0)).all()
    assert (kept.marks != 0).any()
    with pytest.raises(SettingError, match="cannot promise 1e-05"):
        stability.selected(expected_false=1e-5)


def test_half_of_the_users_are_drawn_once_each() -> None:
    from causalsem.discovery.bootstrap import Draws

    draws = Draws(np.repeat(np.arange(10), 3), 4, True, np.random.default_rng(0))
    assert (draws.counts(10).sum(axis=1) == 5).all()
    for index in draws.rows():
        assert len(index) == len(set(index)) == 15
        assert len(set(index // 3)) == 5


def test_sensitivity_tells_the_graph_at_every_value() -> None:
    rng = np.random.default_rng(4)
    frame = sample(random_dag(6, 2.5, rng), 300, rng)
    told = sensitivity(frame, PC(), values=[0.1, 0.01, 0.0001])
    assert told.provenance["setting"] == "alpha"
    for k, alpha in enumerate((0.1, 0.01, 0.0001)):
        assert np.array_equal(told.graph(k).marks, discover(frame, PC(alpha=alpha)).marks)
    edges = [(m != 0).sum() for m in sensitivity(moments(frame), BOSS()).marks]
    assert edges == sorted(edges, reverse=True)
    assert sensitivity(frame).provenance["method"] == "BOSS"
    with pytest.raises(SettingError, match="GES has no alpha"):
        sensitivity(frame, GES(), setting="alpha")


def test_held_out_rows_refute_a_wrong_graph_and_not_the_true_one() -> None:
    rng = np.random.default_rng(5)
    dag = random_dag(8, 2, rng)
    frame = sample(dag, 4000, rng)
    right, wrong = markov_check(graph_of(dag), frame), markov_check(graph_of(np.zeros((8, 8), dtype=bool)), frame)
    assert right.rejected <= 0.2
    assert wrong.rejected > 0.3
    assert wrong.uniform < 1e-3 < right.uniform
    assert len(right.table) == 8 * 7 / 2 - dag.sum()
    # All members of a class imply the same.
    assert markov_check(to_cpdag(graph_of(dag)), frame).rejected == pytest.approx(right.rejected, abs=0.1)
    with pytest.raises(GraphError, match="a PAG has no parents"):
        markov_check(CausalGraph.parse("v0 o-o v1", kind="PAG"), frame)


def test_sortability_is_one_when_scales_grow_down_the_order_half_when_standardised_and_survives_in_r2() -> None:
    chain = CausalGraph.parse("a -> b; b -> c", kind="DAG")
    rng = np.random.default_rng(6)
    a = rng.normal(size=5000)
    b = a + rng.normal(size=5000)
    frame = pd.DataFrame({"a": a, "b": b, "c": b + rng.normal(size=5000)})
    assert varsortability(chain, frame) == 1
    scaled = frame / frame.std()
    assert varsortability(chain, moments(scaled)) == pytest.approx(0.5)
    assert r2_sortability(chain, scaled) == pytest.approx(r2_sortability(chain, frame))
    assert varsortability(CausalGraph.parse("a; b; c", kind="DAG"), frame) == 0.5
    with pytest.raises(GraphError, match="no single causal order"):
        varsortability(CausalGraph.parse("a -- b", kind="CPDAG"), frame)


SEARCHES = [PC(), GES(), BOSS(), FLOP(), GRaSP(), FCI(), RFCI(), BOSSFCI(), DAGMA(), NOTEARS()]


@pytest.mark.parametrize("method", SEARCHES, ids=lambda m: type(m).__name__)
def test_a_time_limit_ends_a_search_with_a_legal_graph_and_says_so(method: PC) -> None:
    rng = np.random.default_rng(7)
    m = Moments.from_rows(sample(random_dag(30, 4, rng), 500, rng).to_numpy(), names_of(30))
    graph = discover(m, method, seconds=1e-6)
    assert graph.provenance["stopped"] == "time limit"
    assert graph.is_acyclic()
    few = m.select(names_of(6))
    assert "stopped" not in discover(few, method, seconds=1000).provenance


@pytest.mark.parametrize("method", [GES(), BOSS(), FLOP(), GRaSP(), DAGMA(), NOTEARS()], ids=lambda m: type(m).__name__)
def test_a_search_cut_short_keeps_what_it_has_within_what_is_known(method: GES, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock moves on when it is looked at; the more looks there are, the nearer the result is to the whole search's."""
    rng = np.random.default_rng(17)
    m = Moments.from_rows(sample(random_dag(20, 5, rng), 400, rng).to_numpy(), names_of(20))
    known = Knowledge(tiers=[names_of(20)[:10], names_of(20)[10:]], required=[("v0", "v15")])
    whole = discover(m, method, knowledge=known)
    assert "stopped" not in whole.provenance
    apart = []
    for looks in (2, 12):
        ticks = itertools.count()
        monkeypatch.setattr(budget, "time", SimpleNamespace(monotonic=lambda ticks=ticks: float(next(ticks))))
        cut = discover(m, method, knowledge=known, seconds=looks)
        assert cut.provenance["stopped"] == "time limit"
        assert cut.is_acyclic()
        arrows = (cut.marks == ARROW) & (cut.marks.T == TAIL)
        assert not (arrows & known.forbidden_matrix(m.names)).any()
        assert "v0" in cut.parents("v15")
        apart.append(int(np.triu((cut.marks != 0) != (whole.marks != 0)).sum()))
    assert apart[1] <= apart[0]
    assert apart[0] > 0 or isinstance(method, BOSS | FLOP)


@pytest.mark.parametrize("method", [GES(), BOSS(), FLOP(), GRaSP(), NOTEARS()], ids=lambda m: type(m).__name__)
def test_a_time_limit_holds_inside_a_long_search(method: GES) -> None:
    """On 120 variables with 25 neighbours each, a single round of any of these takes many seconds."""
    rng = np.random.default_rng(18)
    m = Moments.from_rows(sample(random_dag(120, 25, rng), 500, rng).to_numpy(), names_of(120))
    discover(m, method, seconds=0.3)  # what is loaded once does not count
    begun = time.process_time()
    assert discover(m, method, seconds=0.3).provenance["stopped"] == "time limit"
    assert time.process_time() - begun < 4


@pytest.mark.parametrize("method", [PC(), PC(colliders="max-p"), FCI(), RFCI()], ids=str)
@pytest.mark.parametrize("blocks", [False, True], ids=["columns", "blocks"])
def test_a_time_limit_holds_inside_a_long_scan_of_sets(method: PC | FCI | RFCI, blocks: bool) -> None:
    """One hidden cause of 100 variables leaves all pairs adjacent, with millions of sets to a pair."""
    rng = np.random.default_rng(18)
    rows = pd.DataFrame(rng.standard_normal((400, 1)) + rng.standard_normal((400, 100)), columns=names_of(100))
    if blocks:
        rows = rows.clip(lower=0)
    data = hurdle_moments(rows) if blocks else moments(rows)
    discover(data, method, seconds=0.3)  # what is loaded once does not count
    begun = time.process_time()
    assert discover(data, method, seconds=0.3).provenance["stopped"] == "time limit"
    assert time.process_time() - begun < 4


def test_a_time_limit_keeps_the_resamples_done_or_says_that_there_are_none(monkeypatch) -> None:
    rng = np.random.default_rng(8)
    frame = sample(random_dag(20, 3, rng), 300, rng)
    with pytest.raises(OutOfTimeError, match="no resample was done before the time limit; give more seconds"):
        bootstrap(frame, BOSS(), seconds=1e-6)
    # A clock that moves on when it is looked at: the test does not depend on how busy the machine is.
    ticks = itertools.count()
    monkeypatch.setattr(budget, "time", SimpleNamespace(monotonic=lambda: float(next(ticks))))
    cut = bootstrap(frame, BOSS(), times=5000, seconds=30)
    assert 0 < cut.times < 5000
    assert cut.provenance["stopped"] == f"time limit after {cut.times} of 5000 resamples"


def test_the_first_interrupt_ends_a_search_and_a_second_one_raises() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        done = []
        with budget.budget(None) as limit:
            for item in budget.while_in_time(range(10), "searching"):
                done.append(item)
                if item == 3:
                    signal.raise_signal(signal.SIGINT)
            assert (done, limit.stopped) == ([0, 1, 2, 3], "interrupted")
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_interrupted_bootstrap_keeps_the_resamples_done(monkeypatch) -> None:
    rng = np.random.default_rng(9)
    frame = sample(random_dag(20, 3, rng), 300, rng)
    looks = itertools.count()

    def interrupted_at_the_thirtieth_look() -> float:
        if next(looks) == 30:
            signal.raise_signal(signal.SIGINT)
        return 0.0

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(budget, "time", SimpleNamespace(monotonic=interrupted_at_the_thirtieth_look))
    try:
        cut = bootstrap(frame, BOSS(), times=8000)
    finally:
        signal.signal(signal.SIGINT, before)
    assert 0 < cut.times < 8000
    assert cut.provenance["stopped"].startswith("interrupted after")
