"""Windows of a log, VARLiNGAM, context variables, CD-NOD."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from causalsem.behaviour import BehaviourTable
from causalsem.discovery import CDNOD, FCI, PC, bootstrap, cd_nod, discover, lagged, var_lingam, with_contexts
from causalsem.errors import DataError, SettingError, UnknownNameError
from causalsem.graph import Knowledge

USERS = 500


def windows(rng: np.random.Generator, count: int = 4) -> list[BehaviourTable]:
    """browse(t − 1) → browse(t) → buy(t), and buy(t − 1) → browse(t), with Laplace noise; the first is drawn at its own."""
    browse, buy = rng.laplace(size=(2, USERS))
    told = []
    for _ in range(count):
        browse = 0.5 * browse + 0.4 * buy + rng.laplace(size=USERS)
        buy = 0.7 * browse + rng.laplace(size=USERS)
        told.append(BehaviourTable.from_frame(pd.DataFrame({"who": np.arange(USERS), "浏览": browse, "buy": buy}), user="who"))
    return told


def test_windows_become_columns_of_rows_that_follow_each_other() -> None:
    some = windows(np.random.default_rng(0))
    some[2] = some[2].rows(np.arange(USERS) > 9)
    table, known = lagged(some)
    assert table.names == ("浏览", "buy", "浏览 (1 before)", "buy (1 before)")
    # Ten users are missing in window 2, and so in the pairs (1, 2) and (2, 3).
    assert len(table) == 3 * USERS - 20
    first = table.frame.iloc[:USERS]
    assert np.array_equal(first["buy"], some[1].column("buy"))
    assert np.array_equal(first["buy (1 before)"], some[0].column("buy"))
    assert known.tiers == (("浏览 (1 before)", "buy (1 before)"), ("浏览", "buy"))
    assert table.tiers == known.tiers
    assert lagged(some, lags=2)[0].names[-1] == "buy (2 before)"


def test_lagged_pc_finds_effects_across_windows_and_none_into_the_past() -> None:
    table, known = lagged(windows(np.random.default_rng(1)))
    graph = discover(table, PC(), knowledge=known)
    into_now = {edge[:2] for edge in graph.edges if edge[1] in ("浏览", "buy")}
    assert into_now == {("浏览 (1 before)", "浏览"), ("buy (1 before)", "浏览"), ("浏览", "buy")}
    assert bootstrap(table, PC(), knowledge=known, times=5).arrow("浏览 (1 before)", "浏览") == 1


def test_var_lingam_orders_what_happens_within_a_window() -> None:
    right = 0
    for seed in range(6):
        table, _ = lagged(windows(np.random.default_rng(seed)))
        graph = var_lingam(table)
        right += {edge[:2] for edge in graph.edges} == {("浏览 (1 before)", "浏览"), ("buy (1 before)", "浏览"), ("浏览", "buy")}
    assert right >= 5
    turned = var_lingam(table, knowledge=Knowledge(tiers=[["buy"], ["浏览"]]))
    assert ("buy", "浏览") in {edge[:2] for edge in turned.edges}


def test_what_windows_cannot_be_is_said() -> None:
    some = windows(np.random.default_rng(2), 2)
    with pytest.raises(DataError, match="2 windows are too few for 2 lags; hand in 3"):
        lagged(some, lags=2)
    with pytest.raises(SettingError, match="lags is 0"):
        lagged(some, lags=0)
    with pytest.raises(DataError, match=r"window 1 and the first differ in \['buy'\]"):
        lagged([some[0], some[1].select(["浏览"])])
    with pytest.raises(DataError, match=r"no lagged columns.*lagged"):
        var_lingam(some[0])


def pooled(rng: np.random.Generator) -> pd.DataFrame:
    """Two platforms; the second changes how much people browse, and nothing else."""
    platform = rng.integers(0, 2, 1500)
    browse = 1.2 * platform + rng.normal(size=1500)
    return pd.DataFrame({"browse": browse, "buy": 0.8 * browse + rng.normal(size=1500), "platform": platform})


def test_a_context_orients_what_one_population_leaves_open() -> None:
    frame = pooled(np.random.default_rng(3))
    assert str(discover(frame[["browse", "buy"]], PC())) == "browse -- buy"
    known = with_contexts(["platform"], list(frame.columns))
    assert {e[:2] for e in discover(frame, PC(), knowledge=known).edges} == {("platform", "browse"), ("browse", "buy")}
    graph = discover(frame, FCI(), knowledge=known)
    # platform may be confounded with browse, but nothing observed causes it.
    assert ("buy", "platform") not in {edge[:2] for edge in graph.edges}
    assert graph.marks[graph.index("browse"), graph.index("platform")] != graph.marks[graph.index("platform"), graph.index("browse")]


def test_contexts_join_other_knowledge_and_are_checked() -> None:
    names = ["a", "b", "week", "platform"]
    known = with_contexts(["week", "platform"], names, Knowledge(tiers=[["a", "week"], ["b"]]), randomised=True)
    assert known.why_forbidden("b", "a")
    assert known.why_forbidden("a", "week")
    assert known.why_forbidden("week", "platform")
    assert not known.why_forbidden("week", "b")
    with pytest.raises(UnknownNameError, match="did you mean 'week'"):
        with_contexts(["weak"], names)


def test_cd_nod_by_causal_learn_says_what_changes_with_the_context() -> None:
    frame = pooled(np.random.default_rng(4))
    graph = cd_nod(frame, "platform", CDNOD(alpha=0.001))
    assert {e[:2] for e in graph.edges} == {("platform", "browse"), ("browse", "buy")}
    assert graph.provenance["method"] == "CDNOD"
    with pytest.raises(UnknownNameError, match="did you mean 'platform'"):
        cd_nod(frame, "plattform")
