"""What is known before the data speak: what the user says, just that, else the tiers that a table brings along."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from causalsem.behaviour import BehaviourTable, moments
from causalsem.discovery import BOSS, FCI, GES, PC, DirectLiNGAM, bootstrap, discover, graph_posterior, hurdle_moments
from causalsem.graph import CausalGraph, Knowledge

NAMES = ("buy", "browse", "age")
TIERS = (("age",), ("browse",), ("buy",))
METHODS = [PC(), GES(), BOSS(), FCI(), DirectLiNGAM(), "auto"]


@pytest.fixture(scope="module")
def table() -> BehaviourTable:
    """A chain age → browse → buy, whose class has no arrow; tiers turn both."""
    rng = np.random.default_rng(3)
    age = rng.standard_exponential(800)
    browse = age + rng.standard_exponential(800)
    frame = pd.DataFrame({"buy": browse + rng.standard_exponential(800), "browse": browse, "age": age})
    return BehaviourTable.from_frame(frame, tiers=TIERS)


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_the_tiers_of_a_table_hold_where_nothing_else_is_said(table, method) -> None:
    assert discover(table, method) == discover(table.frame, method, knowledge=Knowledge(tiers=TIERS))
    told = discover(table, method).provenance["background_knowledge"]
    assert told == {"from": "the table", "tiers": [["age"], ["browse"], ["buy"]]}


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_knowledge_that_is_given_means_just_that(table, method) -> None:
    backwards = Knowledge(tiers=[["buy"], ["age"]])
    graph = discover(table, method, knowledge=backwards)
    assert graph == discover(table.frame, method, knowledge=backwards)
    assert graph.provenance["background_knowledge"]["from"] == "the user"
    assert discover(table, method, knowledge=Knowledge()) == discover(table.frame, method)
    assert "background_knowledge" not in discover(table, method, knowledge=Knowledge()).provenance


def test_moments_and_blocks_bring_the_tiers_of_their_table_along(table) -> None:
    arrows = CausalGraph.parse("age -> browse; browse -> buy")
    for data in (moments(table), hurdle_moments(table), moments([table.rows(slice(0, 300)), table.rows(slice(300, 800))])):
        assert set(discover(data, BOSS()).edges) == set(arrows.edges)
    assert set(discover(moments(table) + moments(table), BOSS()).edges) == set(arrows.edges)
    assert discover(table, BOSS(), names=["buy", "browse"]).provenance["background_knowledge"]["tiers"] == [["browse"], ["buy"]]


def test_resampled_graphs_and_drawn_ones_are_within_the_tiers_too(table) -> None:
    for found in (bootstrap(table, PC(), times=20, seed=1), bootstrap(table, "auto", times=20), graph_posterior(moments(table), times=50)):
        assert found.arrow("age", "browse") > 0.9
        assert (found.arrow("buy", "browse"), found.arrow("browse", "age")) == (0.0, 0.0)
    free = bootstrap(table, PC(), knowledge=Knowledge(), times=20, seed=1)
    same = bootstrap(table.frame, PC(), times=20, seed=1)
    np.testing.assert_array_equal(free.marks, same.marks)
    assert bootstrap(table, PC(), times=2).provenance["background_knowledge"]["from"] == "the table"


def test_what_was_known_is_among_the_assumptions_of_an_adjustment_set(table) -> None:
    from causalsem.identify import identify

    assert "background_knowledge" in identify(discover(table, BOSS()), ("browse", "buy")).assumptions
    assert "background_knowledge" not in identify(CausalGraph.parse("browse -> buy"), ("browse", "buy")).assumptions
