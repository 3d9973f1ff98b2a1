"""What every discovery method promises: knowledge, names, input checks, provenance."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest

from causalsem.behaviour import BehaviourTable, Moments, moments
from causalsem.discovery import (
    BOSS,
    BOSSFCI,
    DAGMA,
    FCI,
    FLOP,
    GES,
    METHODS,
    NOTEARS,
    PC,
    RFCI,
    GRaSP,
    GSquare,
    degenerate_moments,
    discover,
    hurdle_moments,
)
from causalsem.discovery.methods import as_method
from causalsem.errors import AssumptionWarning, DataError, InputError, KnowledgeError, MomentsError, SettingError, UnknownNameError
from causalsem.graph import CausalGraph, Knowledge, to_cpdag, with_knowledge
from causalsem.graph.causal_graph import ARROW, TAIL, Kind
from causalsem.graph.classes import extension
from tests.discovery.worlds import graph_of, names_of, population, random_dag, sample

EVERY = [settings() for settings in METHODS]
# The engine too, for every method it carries out.
ENGINES = [settings(engine="causal-learn") for settings in METHODS if settings.__name__ in ("PC", "GES", "DirectLiNGAM")]
every = pytest.mark.parametrize("method", EVERY, ids=lambda m: type(m).__name__)
every_engine = pytest.mark.parametrize("method", EVERY + ENGINES, ids=lambda m: f"{type(m).__name__}-{m.engine}")


def assert_obeys(graph: CausalGraph, knowledge: Knowledge) -> None:
    """Assert that no arrow is forbidden, all required ones are there, and some DAG of a class obeys all of it."""
    arrows = (graph.marks == ARROW) & (graph.marks.T == TAIL)
    forbidden = knowledge.forbidden_matrix(graph.nodes)
    assert not (arrows & forbidden).any(), str(graph)
    assert (arrows | ~knowledge.required_matrix(graph.nodes)).all(), str(graph)
    if graph.kind != "PAG":
        member = extension(graph.marks)
        assert member is not None
        assert not (member & forbidden).any()
        assert not ((graph.marks == TAIL) & (graph.marks.T == TAIL) & forbidden).any()


def wild_knowledge(p: int, rng: np.random.Generator) -> Knowledge:
    """Knowledge drawn without looking at the data, so that it often contradicts them."""
    names = rng.permutation(list(names_of(p))).tolist()
    cut = int(rng.integers(1, p))
    tiers = [names[:cut], names[cut:]] if rng.random() < 0.7 else []
    required = [(names[0], names[-1])] if rng.random() < 0.6 else []
    forbidden = [(names[a], names[b]) for a, b in rng.integers(0, p, (3, 2)) if a != b and (names[a], names[b]) not in required]
    return Knowledge(tiers=tiers, required=required, forbidden=forbidden, forbidden_within_tiers=bool(rng.random() < 0.2))


@every_engine
def test_knowledge_is_always_obeyed(method: Any) -> None:
    seeds = 8 if method.engine != "causalsem" else 3 if hasattr(method, "hidden") else 30
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        frame = sample(random_dag(7, 3, rng), 200, rng, "laplace")
        knowledge = wild_knowledge(7, rng)
        graph = discover(frame, method, knowledge=knowledge)
        assert_obeys(graph, knowledge)


@pytest.mark.parametrize("name", ["PC", "GES", "BOSS"])
def test_true_tiers_on_population_moments_give_exactly_the_restricted_class(name: str) -> None:
    for seed in range(60):
        rng = np.random.default_rng(seed)
        p = int(rng.integers(3, 9))
        dag = random_dag(p, rng.uniform(1, 3.5), rng)
        truth = graph_of(dag)
        order = truth.topological_order()
        cut = int(rng.integers(1, p))
        known = Knowledge(tiers=[order[:cut], order[cut:]], required=[next(iter(truth.edges))[:2]] if dag.any() else [])
        assert discover(population(dag, rng), name, knowledge=known) == with_knowledge(to_cpdag(truth), known), seed


@every_engine
def test_input_is_never_modified_and_the_graph_repeats(method: Any) -> None:
    rng = np.random.default_rng(0)
    frame = sample(random_dag(6, 2, rng), 200, rng, "laplace")
    kept = frame.copy(deep=True)
    first = discover(frame, method)
    pd.testing.assert_frame_equal(frame, kept)
    again = discover(frame, method)
    assert again == first
    assert again.provenance["conflicts"] == first.provenance["conflicts"]


@every
def test_settings_are_frozen_values_that_say_what_they_consume_return_and_assume(method: Any) -> None:
    assert method.consumes in ("moments", "rows")
    assert method.returns in get_args(Kind)
    assert method.assumes
    assert all(isinstance(line, str) for line in method.assumes)
    assert type(method).__doc__.rstrip().count("(") >= 1, "the docstring cites the paper"
    with pytest.raises((FrozenInstanceError, AttributeError)):
        setattr(method, fields(method)[0].name, 1)


@every_engine
def test_any_unicode_name_works(method: Any) -> None:
    rng = np.random.default_rng(1)
    strange = ["浏览", "a b", "a:b", "🛒", "x-y", "购买"]
    frame = sample(random_dag(6, 2, rng), 300, rng, "laplace")
    plain = discover(frame, method, knowledge=Knowledge(tiers=[["v0"], ["v5"]]))
    graph = discover(frame.set_axis(strange, axis=1), method, knowledge=Knowledge(tiers=[["浏览"], ["购买"]]))
    assert graph.nodes == tuple(strange)
    assert np.array_equal(graph.marks, plain.marks)


@every
def test_provenance_says_method_settings_rows_and_names(method: Any) -> None:
    rng = np.random.default_rng(2)
    graph = discover(sample(random_dag(4, 2, rng), 123, rng), method)
    facts = graph.provenance
    assert facts["method"] == type(method).__name__
    assert facts["settings"]["engine"] == "causalsem"
    assert (facts["n"], tuple(facts["names"])) == (123, names_of(4))
    assert facts["assumes"] == list(method.assumes)


@every
def test_a_string_stands_for_default_settings(method: Any) -> None:
    name = type(method).__name__
    assert as_method(name) == as_method(name.lower()) == method
    assert as_method("direct_lingam") == as_method("DirectLiNGAM")


def test_a_misspelt_method_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown method 'GESS'.*did you mean 'GES'"):
        as_method("GESS")
    with pytest.raises(InputError, match=r"not a discovery method; hand in one of PC\(\)"):
        as_method(3)  # type: ignore[arg-type]  # wrong on purpose


@every
def test_variables_can_be_chosen_by_name(method: Any) -> None:
    rng = np.random.default_rng(3)
    frame = sample(random_dag(5, 2, rng), 200, rng, "laplace")
    assert discover(frame, method, names=["v3", "v1", "v4"]) == discover(frame[["v3", "v1", "v4"]], method)
    with pytest.raises(UnknownNameError, match="did you mean 'v1'"):
        discover(frame, method, names=["v11"])


@every
def test_a_misspelt_name_in_knowledge_suggests_the_nearest(method: Any) -> None:
    frame = sample(random_dag(3, 1, np.random.default_rng(0)), 50, np.random.default_rng(0)).rename(columns={"v0": "browse"})
    with pytest.raises(UnknownNameError, match="'brwose' in the knowledge; did you mean 'browse'"):
        discover(frame, method, knowledge=Knowledge(required=[("brwose", "v1")]))


@every
def test_data_no_method_can_use_are_refused_with_the_columns_named(method: Any) -> None:
    rng = np.random.default_rng(4)
    good = sample(random_dag(4, 2, rng), 60, rng)
    bad = {
        "constant variables .*'v1'.*drop": (good.assign(v1=3.0), MomentsError),
        "collinear variables .*'v0'.*'v2'.*drop one": (good.assign(v2=2 * good["v0"]), MomentsError),
        "4 rows for 4 variables": (good.head(4), MomentsError),
        r"missing values in \['v3'\] \(1 rows\)": (good.mask(good.index.to_numpy()[:, None] * 4 + np.arange(4) == 7), DataError),
    }
    for message, (frame, error) in bad.items():
        with pytest.raises(error, match=message):
            discover(frame, method)


@every
def test_an_unknown_engine_is_refused(method: Any) -> None:
    frame = sample(random_dag(3, 1, np.random.default_rng(0)), 50, np.random.default_rng(0))
    with pytest.raises(SettingError, match="no engine 'tetrad' for discover"):
        discover(frame, type(method)(engine="tetrad"))


def test_contradictory_knowledge_is_refused_before_any_search() -> None:
    with pytest.raises(KnowledgeError, match="required"):
        Knowledge(tiers=[["a"], ["b"]], required=[("b", "a")])


def test_only_discrete_rows_warn_and_name_a_better_method() -> None:
    rng = np.random.default_rng(5)
    binary = (sample(random_dag(4, 2, rng), 300, rng) > 0).astype(float)
    with pytest.warns(AssumptionWarning, match=r"at most 5 values.*use PC\(test=GSquare\(\)\)"):
        discover(binary, "PC")
    # What the warning advises does not warn.
    discover(binary, PC(test=GSquare()))
    discover(degenerate_moments(binary), PC())
    # Mixed tables and moments are used as they are: warnings are errors here.
    discover(binary.assign(v0=rng.normal(size=300)), "PC")
    discover(moments(binary), "PC")


def test_a_behaviour_table_and_its_frame_give_the_same_graph() -> None:
    rng = np.random.default_rng(6)
    frame = sample(random_dag(4, 2, rng), 300, rng)
    table = BehaviourTable.from_frame(frame.assign(who=np.arange(300)), user="who")
    assert discover(table, "GES") == discover(frame, "GES")


@every
def test_one_variable_and_independent_variables_have_no_edges(method: Any) -> None:
    rng = np.random.default_rng(7)
    frame = pd.DataFrame(rng.laplace(size=(4000, 3)), columns=["a", "b", "c"])
    assert not list(discover(frame, method).edges)
    assert discover(frame[["a"]], method).nodes == ("a",)


def test_moments_of_merged_shards_give_the_graph_of_all_rows() -> None:
    rng = np.random.default_rng(8)
    frame = sample(random_dag(6, 2, rng), 400, rng)
    merged = moments(frame.head(150)) + moments(frame.tail(250))
    assert discover(merged, "GES") == discover(Moments.from_rows(frame.to_numpy(), tuple(frame.columns)), "GES")


@pytest.mark.parametrize(
    "method", [PC(), FCI(), RFCI(), GES(), BOSS(), FLOP(), GRaSP(), BOSSFCI(), DAGMA(), NOTEARS()], ids=lambda m: type(m).__name__
)
def test_no_more_rows_than_columns_is_said_with_what_to_do(method: PC) -> None:
    rng = np.random.default_rng(3)
    frame = sample(random_dag(8, 2, rng), 8, rng)
    able = {"PC": PC, "FCI": FCI, "RFCI": RFCI}
    own = next((name for name in able if name == type(method).__name__), "FCI" if isinstance(method, BOSSFCI) else "PC")
    with pytest.raises(MomentsError, match=rf"8 rows for 8 variables; use {own}\(max_conditioning=2\).*fewer variables"):
        discover(frame, method)
    assert discover(frame, able[own](max_conditioning=2)).nodes == names_of(8)
    if not isinstance(method, DAGMA | NOTEARS):
        counts = pd.DataFrame((rng.random((12, 8)) < 0.6) * rng.exponential(size=(12, 8)), columns=list(names_of(8)))
        with pytest.raises(MomentsError, match=r"12 rows for 16 columns; use .*fewer columns"):
            discover(hurdle_moments(counts), method)
