"""The order searches' kernels against plain loops, machine code against plain Python, and the searches' own promises."""

from __future__ import annotations

import importlib
import sys
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from causalsem._compiled import machine_or_plain, plain
from causalsem.behaviour import moments
from causalsem.discovery import BOSS, FLOP, GES, DirectLiNGAM, GRaSP, discover
from causalsem.discovery.found import Rules
from causalsem.discovery.order_search import KERNELS, OrderSearch, displaced, least_explained_first, neighbourhood, redrawn
from causalsem.discovery.scores import GaussianBIC
from causalsem.discovery.stack import Stack
from causalsem.engines.pseudo_rows import penalty_for, pseudo_rows
from causalsem.errors import SettingError
from causalsem.graph import CausalGraph, Knowledge
from causalsem.graph.causal_graph import ARROW, TAIL
from causalsem.graph.classes import extension
from causalsem.graph.pdag import bits, to_masks
from tests.discovery.worlds import names_of, random_dag, sample

MACHINE = importlib.import_module(KERNELS)


def bic(p: int, n: int, rng: np.random.Generator, penalty_discount: float = 1.0, blocks: int = 1) -> GaussianBIC:
    """Return the score of a random sample; with `blocks` of 2 or more columns as variables, some of these dummies."""
    R = sample(random_dag(blocks * p, 4, rng), n, rng).corr().to_numpy().copy()
    if blocks == 1:
        return GaussianBIC(Stack(R[None], n), 0, penalty_discount)
    widths = rng.integers(1, blocks + 1, p)
    for k in range(p):
        for column in range(blocks * k + widths[k], blocks * (k + 1)):
            R[column], R[:, column] = 0, 0
            R[column, column] = 1
    return GaussianBIC(Stack(R[None], n, widths), 0, penalty_discount)


def no_rules(p: int) -> Rules:
    return Rules.of(None, names_of(p))


def plain_grow_shrink(score: GaussianBIC, node: int, candidates: list[int]) -> int:
    """The parents (mask) by the definition: local scores of whole parent sets, nothing updated."""
    parents = 0
    while True:
        trials = [(score.local(node, parents | (1 << k)), k) for k in candidates if not (parents >> k) & 1]
        if not trials or max(trials)[0] <= score.local(node, parents) + score.noise:
            break
        parents |= 1 << max(trials)[1]
    while parents:
        value, k = max((score.local(node, parents & ~(1 << k)), k) for k in bits(parents))
        if value < score.local(node, parents):
            break
        parents &= ~(1 << k)
    return parents


@pytest.mark.parametrize("blocks", [1, 2, 4])
def test_parents_of_an_order_equal_grow_shrink_by_whole_scores(blocks: int) -> None:
    for seed in range(15):
        rng = np.random.default_rng(seed)
        score = bic(7, 150, rng, blocks=blocks)
        order = rng.permutation(7)
        found = OrderSearch(score, no_rules(7)).parents_of(order)
        for place, node in enumerate(order.tolist()):
            assert found.masks[node] == plain_grow_shrink(score, node, order[:place].tolist()), seed
        assert found.score == pytest.approx(score.total(found.masks), abs=1e-6)


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_machine_code_and_plain_python_give_identical_orders_and_parents(blocks: int, warm: bool) -> None:
    pytest.importorskip("numba", reason="pip install numba")
    for seed in range(8 if blocks < 3 else 2):
        rng = np.random.default_rng(seed)
        score = bic(8, 200, rng, blocks=blocks)
        search = OrderSearch(score, no_rules(8), 10**6)
        results = []
        for module in (MACHINE, plain(KERNELS)):
            search.kernels = module
            results.append(search.best(2, seed, warm))
        a, b = results
        assert np.array_equal(a.order, b.order), seed
        assert np.array_equal(a.parents, b.parents), seed
        assert a.score == pytest.approx(b.score, abs=1e-7)


def test_plain_kernels_know_nothing_of_numba() -> None:
    assert plain(KERNELS) is plain(KERNELS)
    assert plain(KERNELS).sweep is not MACHINE.sweep
    assert type(plain(KERNELS).fit).__name__ == "function"


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_who_is_said_to_change_nothing_changes_nothing(warm: bool, blocks: int) -> None:
    """The shortcut of the walk: parents are chosen again only for those whom a passing variable concerns."""
    kernels = plain(KERNELS)
    p = 7
    for seed in range(10):
        rng = np.random.default_rng(seed)
        search = OrderSearch(bic(p, 120, rng, blocks=blocks), no_rules(p))
        task, work = search.tasks[warm], kernels.room(p, len(search.R) // p)
        node = int(rng.integers(p))
        free = rng.random(p) < 0.6
        free[node] = False

        def fit(free: Any, start: Any, rows: Any, node: int = node, task: Any = task, work: Any = work) -> float:
            return kernels.fit(task, work, free, start, node, rows)

        rows = np.zeros((3, p), dtype=bool)
        loss = fit(free, task.must[node], rows)
        start = rows[0].copy() if warm else task.must[node]
        for k in range(p):
            if k == node or (rows[1, k] if free[k] else rows[2, k]):
                continue
            other, again = free.copy(), np.zeros((3, p), dtype=bool)
            other[k] = not free[k]
            assert fit(other, start, again) == pytest.approx(loss, abs=1e-12)
            assert np.array_equal(again, rows), (seed, k)


@pytest.mark.parametrize("warm", [False, True])
def test_no_single_move_improves_the_order_found(warm: bool) -> None:
    for seed in range(6):
        rng = np.random.default_rng(seed)
        score = bic(7, 200, rng)
        search = OrderSearch(score, no_rules(7))
        found = search.best(0, 0, warm)
        assert found.score == pytest.approx(score.total(found.masks), abs=1e-6)
        if warm:
            continue
        for node in range(7):
            rest = [k for k in found.order.tolist() if k != node]
            for place in range(7):
                moved = np.array([*rest[:place], node, *rest[place:]])
                assert search.parents_of(moved).score <= found.score + 1e-5


def test_the_first_order_takes_the_least_explained_next() -> None:
    rng = np.random.default_rng(0)
    R = sample(random_dag(9, 4, rng), 300, rng).corr().to_numpy()
    order = least_explained_first(R, np.zeros((9, 9), dtype=bool)).tolist()
    for place in range(1, 8):
        before, rest = order[:place], order[place:]
        left = {k: 1 - R[k, before] @ np.linalg.solve(R[np.ix_(before, before)], R[before, k]) for k in rest}
        assert max(left, key=lambda k: left[k]) == order[place]


def test_orders_keep_to_the_precedence_at_the_start_and_when_displaced() -> None:
    known = Knowledge(tiers=[["v5", "v1"], ["v0", "v3", "v2"], ["v4"]], required=[("v3", "v2")])
    for seed in range(20):
        rng = np.random.default_rng(seed)
        search = OrderSearch(bic(6, 100, rng), Rules.of(known, names_of(6)))
        order = search.start()
        for _ in range(5):
            assert not np.tril(search.before[np.ix_(order, order)]).any()
            assert sorted(order.tolist()) == list(range(6))
            order = displaced(search.parents_of(order), search.before, rng)


def test_a_redrawn_order_is_one_of_the_same_dag_within_the_precedence_and_all_of_them_come_up() -> None:
    rng = np.random.default_rng(0)
    search = OrderSearch(bic(6, 100, rng), Rules.of(Knowledge(tiers=[["v5", "v1"], ["v0", "v3", "v2"], ["v4"]]), names_of(6)))
    found = search.settled(search.start(), True)
    first = found.parents.T | search.before
    possible = {order for order in permutations(range(6)) if not np.tril(first[np.ix_(order, order)]).any()}
    assert len(possible) > 1
    assert {tuple(redrawn(found, search.before, rng).tolist()) for _ in range(60 * len(possible))} == possible


def test_a_neighbourhood_is_what_is_nearest_to_one_variable_and_starts_anew_where_a_component_ends() -> None:
    chain = np.eye(9, k=1, dtype=bool) | np.eye(9, k=-1, dtype=bool)
    chain[4, 5] = chain[5, 4] = False  # 0 – 1 – 2 – 3 – 4 and 5 – 6 – 7 – 8
    for seed in range(30):
        region = neighbourhood(np.arange(9), chain, 4, np.random.default_rng(seed)).tolist()
        assert max(region) - min(region) == 3
        assert max(region) < 5 or min(region) >= 5
    everyone = neighbourhood(np.arange(9), chain, 9, np.random.default_rng(1)).tolist()
    assert sorted(everyone) == list(range(9))
    assert {k < 5 for k in everyone[: 5 if everyone[0] < 5 else 4]} == {everyone[0] < 5}


def test_two_causes_that_cancel_each_alone_are_found_together() -> None:
    """y = a − b of two causes that correlate .97: each alone says nothing of y, and growing by one at a time stops at none."""
    R = np.array([[1.0, 0.97, 0.0], [0.97, 1.0, 0.0], [0.0, 0.0, 1.0]])
    a, b = 2.0, -2.0
    R[2, :2] = R[:2, 2] = (a + 0.97 * b) * np.array([1, -1]) / np.sqrt(1 + 4 * 2 * 0.03)
    score = GaussianBIC(Stack(R[None], 600), 0, 2.0)
    search = OrderSearch(score, no_rules(3))
    order = np.arange(3)
    assert search.parents_of(order).masks[2] == 0
    assert score.local(2, 0b011) > score.local(2, 0) + 1
    assert max(score.local(2, 0b001), score.local(2, 0b010)) < score.local(2, 0)
    assert search.settled(order, True).score >= score.total([0, 1, 3]) - 1e-9


@pytest.mark.parametrize("compiled", [False, True])
def test_pairs_join_exactly_where_both_together_gain(compiled: bool) -> None:
    if compiled:
        pytest.importorskip("numba", reason="pip install numba")
    kernels: Any = MACHINE if compiled else plain(KERNELS)
    joined = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        score = bic(6, 60, rng, penalty_discount=6.0)
        search = OrderSearch(score, no_rules(6))
        order, task = rng.permutation(6), search.tasks[True]
        node, before = int(order[-1]), order[:-1].tolist()
        free, parents = np.isin(np.arange(6), before), np.zeros(6, dtype=bool)
        # A poor set of parents, so that there are pairs to be found.
        parents[before[:1]] = True
        mask = 1 << before[0]
        gains = {
            (j, k): score.local(node, mask | 1 << j | 1 << k) - score.local(node, mask) for k in before[1:] for j in before[1:] if j > k
        }
        best = max(gains, key=lambda pair: gains[pair])
        told = kernels.best_pair(task, kernels.room(6, 1), free, parents, node)
        assert told == (best if gains[best] > score.noise else (-1, -1)), seed
        joined += told != (-1, -1)
    assert 10 <= joined < 40


def test_moves_among_equals_leave_a_plateau_and_keep_the_score_of_every_step() -> None:
    """A sweep that gains nothing still changes orders of a class, and losses stay those of the rows."""
    rng = np.random.default_rng(4)
    search = OrderSearch(bic(8, 400, rng), no_rules(8))
    found = search.settled(search.start(), True)
    order, rows, losses = found.order.copy(), found.rows.copy(), found.losses.copy()
    dice = np.array([7])
    orders = set()
    for _ in range(10):
        assert search.kernels.sweep(search.tasks[True], order.copy(), order, rows, losses, 0, dice) == 8
        orders.add(tuple(order.tolist()))
        again = search.parents_of(order)
        assert losses.sum() == pytest.approx(again.loss, abs=1e-9)
    assert len(orders) > 3


def plain_tuck(order: list[int], masks: list[int], parent: int, child: int) -> list[int]:
    """The order in which the child and its ancestors among those between come before the parent, by the definition."""
    start, stop = order.index(parent), order.index(child)
    ancestors, front = {child}, [child]
    while front:
        front = [k for u in front for k in bits(masks[u]) if k not in ancestors and start < order.index(k)]
        ancestors |= set(front)
    between = order[start : stop + 1]
    return [*order[:start], *(k for k in between if k in ancestors), *(k for k in between if k not in ancestors), *order[stop + 1 :]]


@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_tucks_equal_a_slow_search_that_chooses_all_parents_anew(blocks: int) -> None:
    known = Knowledge(tiers=[["v1", "v4", "v2"], ["v0", "v3", "v5"]], required=[("v4", "v2")])
    for seed in range(8):
        rng = np.random.default_rng(seed)
        search = OrderSearch(bic(6, 150, rng, blocks=blocks), Rules.of(known if seed % 2 else None, names_of(6)), 10**6 * (seed % 4 > 1))
        here = search.parents_of(redrawn(search.parents_of(search.start()), search.before, rng))
        near, every = rng.random(6) < 0.7, bool(seed % 3)
        masks, equal, gaining = here.masks, [], None
        for stop, start in ((b, a) for b in range(5, 0, -1) for a in range(b)):
            parent, child = int(here.order[start]), int(here.order[stop])
            is_covered = masks[child] == masks[parent] | 1 << parent
            if not (masks[child] >> parent & 1 and (near[child] or near[parent]) and (every or is_covered)):
                continue
            order = np.array(plain_tuck(here.order.tolist(), masks, parent, child))
            if np.tril(search.before[np.ix_(order, order)]).any():
                continue
            there, anew = search.tucked(here, start, stop)[0], search.parents_of(order)
            assert np.array_equal(there.order, order)
            assert there.masks == anew.masks
            assert there.losses == pytest.approx(anew.losses, abs=1e-12)
            if anew.loss < here.loss - search.noise:
                gaining = (start, stop)
                break
            if anew.loss < here.loss + search.noise:
                equal.append([start, stop])
        told, equals = search.tucks(here, near, every)
        assert told == gaining, seed
        assert equals.tolist() == equal, seed


def test_tiers_spare_the_search_wrong_turns() -> None:
    """With the true tiers, no sample's graph is further from the truth on average than without."""
    with_tiers = without = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        dag = random_dag(15, 4, rng)
        frame = sample(dag, 200, rng)
        order = [int(k) for k in np.argsort(np.linalg.inv(np.eye(15) - dag).sum(axis=0), kind="stable")]
        known = Knowledge(tiers=[[f"v{k}" for k in order[:7]], [f"v{k}" for k in order[7:]]])
        skeleton = dag | dag.T
        for knowledge in (known, None):
            wrong = int(np.triu((discover(frame, FLOP(restarts=2), knowledge=knowledge).marks != 0) != skeleton).sum())
            with_tiers, without = with_tiers + wrong * (knowledge is not None), without + wrong * (knowledge is None)
    assert with_tiers <= without


@pytest.mark.parametrize("method", [BOSS, FLOP])
def test_restarts_never_lower_the_score_and_repeat_with_the_seed(method: Any) -> None:
    rng = np.random.default_rng(7)
    frame = sample(random_dag(15, 5, rng), 200, rng)
    plain_, more, again = (discover(frame, method(restarts=r, seed=3)) for r in (0, 5, 5))
    assert more.provenance["score"] >= plain_.provenance["score"]
    assert more == again
    with pytest.raises(SettingError, match="choose 0 or more"):
        method(restarts=-1)


def score_of(graph: CausalGraph, frame: pd.DataFrame, penalty_discount: float = 2.0) -> float:
    """Return the score of a class, by one of its members."""
    member = extension(graph.marks)
    assert member is not None
    return GaussianBIC(Stack(frame.corr().to_numpy()[None], len(frame)), 0, penalty_discount).total(to_masks(member.T))


@pytest.mark.parametrize(("method", "engine"), [(FLOP, "flopsearch"), (BOSS, "andrey"), (GRaSP, "andrey"), (GES, "andrey")])
def test_engines_agree_mostly_and_where_they_do_not_ours_scores_more_on_average(method: Any, engine: str) -> None:
    """All are local searches: they differ where one stops at a poorer order, which the score, the same for all, tells."""
    pytest.importorskip(engine, reason=f"pip install {engine}")
    same, ahead = 0, 0.0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        frame = sample(random_dag(8, 2, rng), 1000, rng)
        ours, theirs = discover(frame, method()), discover(frame, method(engine=engine))
        same += ours == theirs
        difference = score_of(ours, frame) - score_of(theirs, frame)
        ahead += difference
        assert ours == theirs or abs(difference) > 1e-6, seed
    assert same >= 10
    assert ahead >= -3


def test_andrey_honours_knowledge_through_the_adapter() -> None:
    pytest.importorskip("andrey", reason="pip install andrey-core")
    rng = np.random.default_rng(3)
    frame = sample(random_dag(6, 3, rng), 300, rng, "laplace")
    known = Knowledge(tiers=[["v3", "v1"], ["v0", "v2", "v4", "v5"]], required=[("v1", "v0")], forbidden=[("v0", "v5")])
    for method in (BOSS(engine="andrey"), GES(engine="andrey"), DirectLiNGAM(engine="andrey")):
        marks = discover(frame, method, knowledge=known).marks
        arrows = (marks == ARROW) & (marks.T == TAIL)
        assert not (arrows & known.forbidden_matrix(names_of(6))).any()
        assert arrows[1, 0]


def test_engines_that_cannot_say_so() -> None:
    pytest.importorskip("flopsearch", reason="pip install flopsearch")
    pytest.importorskip("andrey", reason="pip install andrey-core")
    rng = np.random.default_rng(0)
    frame = sample(random_dag(4, 2, rng), 100, rng)
    with pytest.raises(SettingError, match="flopsearch takes no knowledge"):
        discover(frame, FLOP(engine="flopsearch"), knowledge=Knowledge(tiers=[["v0"], ["v1"]]))
    with pytest.raises(SettingError, match="flopsearch does not carry out BOSS"):
        discover(frame, BOSS(engine="flopsearch"))
    with pytest.raises(SettingError, match="andrey does not carry out FLOP"):
        discover(frame, FLOP(engine="andrey"))


def test_pseudo_rows_have_exactly_the_moments_and_weigh_like_all_rows() -> None:
    rng = np.random.default_rng(0)
    frame = sample(random_dag(6, 3, rng), 500, rng)
    m = moments(frame)
    rows = pseudo_rows(m)
    assert np.corrcoef(rows, rowvar=False) == pytest.approx(m.correlation, abs=1e-12)
    whole, few = bic_of(m.correlation, m.n, 2.0), bic_of(m.correlation, len(rows), penalty_for(m, rows, 2.0))
    masks = [0, 1, 3, 5, 0, 8]
    assert whole.total(masks) / m.n == pytest.approx(few.total(masks) / len(rows), rel=1e-9)


def bic_of(R: Any, n: int, penalty_discount: float) -> GaussianBIC:
    return GaussianBIC(Stack(R[None], n), 0, penalty_discount)


def test_small_work_stays_in_plain_python_and_large_work_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba", reason="pip install numba")
    monkeypatch.delitem(sys.modules, KERNELS)
    assert machine_or_plain(KERNELS, "sweep", 0.01) is plain(KERNELS)
    assert machine_or_plain(KERNELS, "sweep", 60.0) is not plain(KERNELS)


def test_work_that_is_done_before_a_translation_is_does_not_wait_for_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    numba = pytest.importorskip("numba", reason="pip install numba")
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.delitem(sys.modules, KERNELS)
    assert machine_or_plain(KERNELS, "sweep", 1.0) is plain(KERNELS)
