"""A graph of users is no graph of pairs: the unit of its rows goes with it, through files too, and a mismatch is said."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

import causalsem as cs
from causalsem.errors import AssumptionWarning, MomentsError

QUERY = cs.Query("exposure", "buy")
SAID = "found on rows that are users, but these rows are user–item pairs"
GRAPH = "age -> exposure; age -> buy; exposure -> buy"


@pytest.fixture(scope="module")
def log() -> cs.EventLog:
    return cs.simulate_shop(users=120, items=24, seed=4).log


@pytest.fixture(scope="module")
def pairs(log) -> cs.BehaviourTable:
    return cs.behaviours(log, unit=("user", "item"))


@pytest.fixture(scope="module")
def of_users() -> cs.CausalGraph:
    return cs.CausalGraph.parse(GRAPH).with_provenance(unit="user")


def test_a_graph_tells_the_unit_of_the_rows_it_was_found_on(log, pairs) -> None:
    users = cs.behaviours(log, unit="user").select(["age", "exposure", "browse"])
    assert cs.discover(users).provenance["unit"] == "user"
    assert cs.discover(cs.moments(users), cs.BOSS()).provenance["unit"] == "user"
    assert cs.discover(pairs.select(["age", "exposure", "browse"]), "auto").provenance["unit"] == "pair"
    assert cs.bootstrap(users, times=2).provenance["unit"] == "user"
    assert "unit" not in cs.discover(users.frame).provenance  # a plain frame does not say


def test_the_unit_comes_back_from_the_files_of_graph_moments_and_adjustment_set(of_users, pairs, tmp_path) -> None:
    assert cs.CausalGraph.load(of_users.save(tmp_path / "graph.json")).provenance["unit"] == "user"
    m = cs.moments(pairs)
    assert cs.Moments.load(m.save(tmp_path / "moments.json")).origin == m.origin == pairs.origin
    for unit in ("user", "item", "pair"):
        found = cs.identify(of_users.with_provenance(unit=unit), QUERY)
        back = cs.AdjustmentSet.from_json(found.to_json(tmp_path / "adjust.json"))
        assert back.graph is not None
        assert back.graph.provenance["unit"] == unit


@pytest.mark.parametrize("step", ["fit_sem", "fit_sem of moments", "estimate_effect", "fit_outcome"])
def test_rows_of_another_unit_are_said_with_the_cure(step, of_users, pairs, tmp_path) -> None:
    adjust = cs.AdjustmentSet.from_json(Path(cs.identify(of_users, QUERY).to_json(tmp_path / "adjust.json")))
    steps = {
        "fit_sem": lambda: cs.fit_sem(of_users, pairs),
        "fit_sem of moments": lambda: cs.fit_sem(of_users, cs.moments(pairs), cluster=()),
        "estimate_effect": lambda: cs.estimate_effect(pairs, adjust, cs.Regression()),
        "fit_outcome": lambda: cs.fit_outcome(pairs, adjust, cs.TwoTower(dim=2, hidden=(4,)), epochs=1, correction=0),
    }
    with pytest.warns(AssumptionWarning, match=SAID) as said:
        steps[step]()
    message = str(said[0].message)
    assert "discover the graph on unit 'pair'" in message
    assert Path(said[0].filename).name == "test_units.py"


def test_rows_of_the_same_unit_or_of_none_are_no_matter(of_users, log, pairs) -> None:
    users, adjust = cs.behaviours(log, unit="user"), cs.identify(of_users, QUERY)
    frame = pairs.frame[["age", "exposure", "buy"]]
    with warnings.catch_warnings():
        warnings.simplefilter("error", AssumptionWarning)
        cs.fit_sem(of_users, users)
        cs.fit_sem(of_users, frame)
        cs.estimate_effect(users, adjust, cs.Regression())
        cs.estimate_effect(frame, adjust, cs.Regression())
        cs.estimate_effect(pairs, cs.identify(cs.CausalGraph.parse(GRAPH), QUERY), cs.Regression())
        cs.fit_sem("buy ~ exposure", pairs)


def test_shards_of_two_units_do_not_merge(log, pairs) -> None:
    users = cs.behaviours(log, unit="user").select(["age", "buy"])
    with pytest.raises(MomentsError, match="shards disagree on the unit: user and pair"):
        cs.moments(users) + cs.moments(pairs.select(["age", "buy"]))
    both = cs.moments(users) + cs.moments(users.frame)
    assert both.origin == users.origin


def test_traits_of_a_table_of_items_are_traits_of_items() -> None:
    import pandas as pd

    table = cs.BehaviourTable.from_frame(pd.DataFrame({"sku": [1, 2, 3], "price": [2.0, 3.0, 5.0]}), item="sku")
    assert table.levels["price"] == "item"
    assert table.origin.unit == "item"
