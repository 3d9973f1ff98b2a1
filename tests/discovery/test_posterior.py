"""DAGs drawn from their posterior: against a sum over all orders, within what is known, and how many rows data are worth."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from causalsem import GES, Knowledge, bootstrap, graph_posterior, moments
from causalsem.behaviour import BehaviourTable
from causalsem.discovery import FCI, EdgeStability
from causalsem.discovery.bootstrap import Draws, effective_rows, resampled_correlations
from causalsem.discovery.found import Evidence, Rules
from causalsem.discovery.posterior import CHANCES, _drawn, parent_scores, price_of_an_arrow
from causalsem.errors import SettingError
from causalsem.graph import CausalGraph
from causalsem.graph.classes import is_cpdag
from causalsem.graph.marks import ARROW


def rows_of(seed: int, n: int = 300) -> pd.DataFrame:
    """Return a -> b -> d, a -> c -> d with middling effects."""
    rng = np.random.default_rng(seed)
    a, noise = rng.normal(size=n), rng.normal(size=(3, n))
    b, c = 0.3 * a + noise[0], 0.25 * a + noise[1]
    return pd.DataFrame({"a": a, "b": b, "c": c, "d": 0.4 * b + 0.2 * c + noise[2]})


def arrow_shares_by_hand(evidence: Evidence, price: float) -> np.ndarray:
    """Return the exact probability of every arrow: a sum over all orders, chances and parent sets."""
    p = len(evidence.R)
    others = [np.array([u for u in range(p) if u != v]) for v in range(p)]
    scores = [parent_scores(evidence, v, others[v], price) for v in range(p)]
    shares, total = np.zeros((p, p)), 0.0
    for chance, order in itertools.product(CHANCES, itertools.permutations(range(p))):
        weight, arrows = 1.0, np.zeros((p, p))
        for at, v in enumerate(order):
            sets = [s for k in range(at + 1) for s in itertools.combinations(order[:at], k)]
            masks = [sum(1 << int(np.flatnonzero(others[v] == u)[0]) for u in s) for s in sets]
            each = np.array(
                [np.exp(scores[v][m]) * chance ** len(s) * (1 - chance) ** (at - len(s)) for m, s in zip(masks, sets, strict=True)]
            )
            weight *= each.sum()
            for share, s in zip(each / each.sum(), sets, strict=True):
                arrows[list(s), v] += share
        shares += weight * arrows
        total += weight
    return shares / total


def test_drawn_dags_have_each_arrow_as_often_as_the_sum_over_all_orders_says():
    for seed in (1, 2):
        R = np.corrcoef(rows_of(seed).to_numpy(), rowvar=False)
        evidence = Evidence(R, 300.0, Rules.of(None, "abcd"))
        marks = _drawn(evidence, 3.0, 4000, np.random.default_rng(seed))
        exact = arrow_shares_by_hand(evidence, 3.0)
        # Draws a few steps apart are not independent: allow four times the error of 1,000 of them.
        np.testing.assert_allclose((marks == ARROW).mean(axis=0), exact, atol=4 * 0.5 / np.sqrt(1000))


def test_a_score_is_the_gain_in_log_likelihood_less_the_price_of_the_arrows_and_with_doubt_weak_ones_pay_more():
    rows = rows_of(3).to_numpy()
    rows = rows - rows.mean(axis=0)
    evidence = Evidence(np.corrcoef(rows, rowvar=False), 300.0, Rules.of(None, "abcd"))
    scores, doubted = (parent_scores(evidence, 3, np.arange(3), 2.5, doubt) for doubt in (False, True))
    for mask in range(8):
        X = rows[:, [k for k in range(3) if mask >> k & 1]]
        weights = np.linalg.lstsq(X, rows[:, 3], rcond=None)[0]
        left = rows[:, 3] - X @ weights
        squared_z = weights**2 / (np.diag(np.linalg.inv(X.T @ X)) * (left @ left) / 300)
        gain = -150 * np.log(left @ left / (rows[:, 3] @ rows[:, 3]))
        assert scores[mask] == pytest.approx(gain - 2.5 * X.shape[1])
        assert doubted[mask] == pytest.approx(gain - 2.5 * X.shape[1] + np.log(2 * (1 + squared_z) / (2 + squared_z + 5)).sum())


def test_drawn_dags_obey_what_is_known():
    known = Knowledge(tiers=[["b"], ["a", "c"], ["d"]], required=[("b", "d")], forbidden=[("a", "d")])
    drawn = graph_posterior(moments(rows_of(4)), knowledge=known, times=200, seed=1)
    for k in range(0, drawn.times, 10):
        graph = drawn.graph(k)
        assert graph.kind == "DAG"
        assert "b" in graph.parents("d")
        assert "a" not in graph.parents("d")
        assert not set(graph.parents("b"))
    assert all(CausalGraph(drawn.nodes, one, "MPDAG") for one in drawn.classes()[:20])


def test_the_same_seed_draws_the_same_graphs_and_the_column_order_does_not_matter():
    m = moments(rows_of(5))
    one, again = (graph_posterior(m, times=50, seed=7) for _ in range(2))
    np.testing.assert_array_equal(one.marks, again.marks)
    turned = graph_posterior(m.select(["d", "b", "a", "c"]), times=2000, seed=7)
    straight = graph_posterior(m, times=2000, seed=7)
    for a, b in itertools.permutations("abcd", 2):
        assert turned.arrow(a, b) == pytest.approx(straight.arrow(a, b), abs=0.08)


def test_a_bootstrap_carries_evidence_that_survives_a_file(tmp_path):
    known = Knowledge(forbidden=[("d", "a")])
    graphs = bootstrap(rows_of(6), GES(), knowledge=known, times=30, seed=0)
    drawn = graphs.posterior(100)
    assert isinstance(drawn, EdgeStability)
    assert drawn is graphs.posterior(100)
    assert drawn.arrow("d", "a") == 0
    again = EdgeStability.load(graphs.save(tmp_path / "graphs.json"))
    np.testing.assert_array_equal(again.posterior(100).marks, drawn.marks)
    plain = bootstrap(rows_of(6), GES(), times=30).posterior(50)
    assert all(is_cpdag(one) for one in plain.classes())
    assert bootstrap(rows_of(6), FCI(), times=2).posterior() is None
    with pytest.raises(SettingError, match="classes are those of DAGs"):
        graphs.classes()


def test_rows_of_one_user_are_worth_less_than_as_many_users():
    rng = np.random.default_rng(0)
    single = rng.normal(size=(4000, 3))
    copied = np.repeat(single[:500], 8, axis=0)
    for rows, units, worth in ((single, np.arange(4000), 4000), (copied, np.repeat(np.arange(500), 8), 500)):
        R = np.corrcoef(rows, rowvar=False)
        assert effective_rows(R, resampled_correlations(rows, Draws(units, 200, False, rng)), 4000) == pytest.approx(worth, rel=0.2)
    keys = pd.DataFrame({"user": np.repeat(np.arange(500), 8)})
    frame = pd.DataFrame(copied, columns=list("abc"))
    table = BehaviourTable.from_frame(pd.concat([keys, frame], axis=1), user="user")
    assert 350 < bootstrap(table, GES(), times=200).evidence.n < 650


def test_the_price_of_an_arrow_grows_with_the_rows_and_the_size_of_effects():
    assert price_of_an_arrow(1000, 0.5) == pytest.approx(np.log(1000) + 2 * np.log(0.5) - 0.5)
    assert price_of_an_arrow(100, 0.01) == 0.5


def test_a_strong_v_structure_is_near_certain_and_a_chain_is_split_between_its_members():
    shares = []
    for seed in range(8):
        a, b, noise = np.random.default_rng([seed, 4]).normal(size=(3, 4000))
        sure = graph_posterior(moments(pd.DataFrame({"a": a, "b": b, "c": a + b + noise})), times=300, seed=seed)
        shares += [sure.arrow("a", "c"), sure.arrow("b", "c")]
    assert np.mean(shares) > 0.9
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 2000))
    chain = pd.DataFrame({"a": a, "b": a + b, "c": a + b + rng.normal(size=2000)})
    drawn = graph_posterior(moments(chain), times=2000)
    assert drawn.frequency("a", "c") < 0.1
    # Of the four orders' worth of prior weight, a <- b -> c has two.
    assert drawn.arrow("b", "a") == pytest.approx(0.75, abs=0.06)
