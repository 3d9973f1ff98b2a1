"""What identification hands back: its words, its reasons, its files."""

from __future__ import annotations

import json
import pickle

import jsonschema
import numpy as np
import pytest

from causalsem.errors import FileError, ForbiddenVariableError, GraphError, InputError, NotIdentifiedError, SettingError, UnknownNameError
from causalsem.graph import CausalGraph, to_admg
from causalsem.identify import (
    AdjustmentSet,
    NullEffect,
    Query,
    adjustment_sets,
    export_adjustment_sets,
    identify,
    is_valid_adjustment,
    read_adjustment_sets,
)
from causalsem.identify.document import graph_from_block

FUNNEL = CausalGraph.parse(
    "age -> exposure; age -> browse; age -> buy; exposure -> browse; exposure -> buy; browse -> cart; cart -> buy; buy -> review"
)


def schema(root) -> jsonschema.Draft202012Validator:
    """Return the schema that this package documents."""
    path = root / "docs" / "schema" / "adjustment-sets-1.json"
    return jsonschema.Draft202012Validator(json.loads(path.read_text(encoding="utf-8")))


@pytest.fixture
def validator(request):
    return schema(request.config.rootpath)


def test_a_set_prints_as_one_honest_line():
    assert str(identify(FUNNEL, Query("browse", "buy"))) == "browse ⇒ buy | {age, exposure}  (optimal)"
    assert str(adjustment_sets(FUNNEL, ("age", "buy"))[0]) == "age ⇒ buy | {}  (minimal)"
    assert str(identify(FUNNEL, ("buy", "browse"))) == "buy ⇒ browse = 0  (no causal path from buy to browse)"


def test_forbidden_variables_come_with_their_path():
    forbidden = identify(FUNNEL, ("browse", "buy")).forbidden
    assert dict(forbidden) == {
        "buy": "the outcome itself",
        "cart": "mediator: on a causal path browse -> cart -> buy",
        "review": "descendant of the outcome buy: buy -> review",
    }
    unsure = identify(CausalGraph.parse("a -> x; b -> x; x -> m; x -> y; m -- y"), ("x", "y")).forbidden
    assert unsure["m"] == "mediator: on a possibly causal path x -> m -- y"


def test_forbidden_features_are_refused_with_reasons():
    adjust = identify(FUNNEL, ("browse", "buy"))
    adjust.require_allowed(["age", "exposure"])
    with pytest.raises(
        ForbiddenVariableError,
        match=r"'cart' \(mediator: on a causal path browse -> cart -> buy\), 'browse' \(the treatment itself\); leave",
    ) as caught:
        adjust.require_allowed(["age", "cart", "browse"])
    assert set(caught.value.reasons) == {"cart", "browse"}
    m_bias = CausalGraph.parse("A -> X; A -> M; B -> M; B -> Y; X -> Y")
    with pytest.raises(ForbiddenVariableError, match=r"'M' \(a collider: the path X <- A -> M <- B -> Y stays open"):
        adjustment_sets(m_bias, ("X", "Y"))[0].require_allowed(["M"])
    identify(m_bias, ("X", "Y")).require_allowed(["M"])


def test_the_naive_comparison_is_never_taken_for_an_identified_set():
    adjust = identify(FUNNEL, ("browse", "buy"))
    naive = adjust.without_adjustment()
    assert (naive.variables, naive.kind, naive.status, naive.query) == ((), "none", "unadjusted", adjust.query)
    assert "no_confounding" in naive.assumptions
    with pytest.raises(SettingError, match="no identified effect; export the adjustment set instead"):
        naive.to_json()


def test_nothing_to_adjust_for_and_no_way_to_adjust_look_different():
    nothing = adjustment_sets(CausalGraph.parse("x -> y"), ("x", "y"))
    cannot = adjustment_sets(CausalGraph.parse("x -> y; x <-> y"), ("x", "y"))
    no_effect = adjustment_sets(CausalGraph.parse("y -> x"), ("x", "y"))
    assert [s.variables for s in nothing] == [()]
    assert (list(cannot), cannot.status) == ([], "no_adjustment_set")
    assert str(cannot) == "no adjustment set (no_adjustment_set): the path x <-> y stays open whatever is adjusted for"
    assert (list(no_effect), no_effect.status) == ([], "no_effect")
    assert isinstance(identify(CausalGraph.parse("y -> x"), ("x", "y")), NullEffect)


def test_an_effect_that_is_not_identified_says_the_path_and_what_to_measure():
    graph = CausalGraph.parse("intent -> browse; intent -> buy; browse -> buy; age -> intent", latent=["intent"])
    with pytest.raises(NotIdentifiedError) as caught:
        identify(graph, ("browse", "buy"))
    error = caught.value
    assert str(error) == (
        "the effect browse ⇒ buy is not identified by adjustment: the path browse <- intent -> buy stays open whatever is "
        "adjusted for; measure ['intent']"
    )
    assert error.open_path == ("browse", "intent", "buy")
    assert (error.status, error.measure, error.query) == ("no_adjustment_set", ("intent",), Query("browse", "buy"))
    around = CausalGraph.parse("rank -> click; click -> buy; rank <-> buy")
    with pytest.raises(NotIdentifiedError, match=r"use the front-door set \['click'\]"):
        identify(around, ("rank", "buy"))


def test_a_class_that_leaves_the_direction_open_says_which_edge():
    graph = CausalGraph.parse("x -- y; y -- z")
    with pytest.raises(NotIdentifiedError, match="the edge x -- y starts a possibly causal path, but may point either way") as caught:
        identify(graph, ("x", "y"))
    assert caught.value.status == "not_amenable"
    with pytest.raises(NotIdentifiedError, match="x -> y starts a possibly causal path, but may hide a common cause"):
        identify(CausalGraph.parse("x -> y", kind="MAG"), ("x", "y"))


def test_allowed_restricts_the_set_and_says_what_is_missing():
    graph = CausalGraph.parse("a -> x; a -> y; x -> y; b -> y")
    assert identify(graph, ("x", "y"), allowed=["a", "x"]).variables == ("a",)
    with pytest.raises(NotIdentifiedError, match=r"the path x <- a -> y stays open whatever is adjusted for; measure \['a'\]"):
        identify(graph, ("x", "y"), allowed=["b"])
    with pytest.raises(UnknownNameError, match="allowed variable 'bb'"):
        identify(graph, ("x", "y"), allowed=["bb"])


def test_explain_names_the_violated_condition():
    graph = CausalGraph.parse("a -> x; a -> y; x -> m; m -> y; l -> y", latent=["l"])
    told = {name: is_valid_adjustment(graph, ("x", "y"), [name], explain=True) for name in ("a", "m", "l", "x")}
    assert told["a"]
    assert str(told["a"]) == "valid"
    assert told["m"].condition == "forbidden set"
    assert "mediator: on a causal path x -> m -> y" in told["m"].reason
    assert told["l"].reason == "'l' is unobserved"
    assert told["x"].reason == "'x' is part of the query"
    empty = is_valid_adjustment(graph, ("x", "y"), [], explain=True)
    assert (empty.condition, empty.witness) == ("separation", ("x", "a", "y"))


def test_bad_queries_and_settings_are_refused():
    with pytest.raises(InputError, match=r"\['buy'\] is treatment and outcome at once"):
        Query("buy", "buy")
    with pytest.raises(UnknownNameError, match="unknown variable 'brwose' in the graph; did you mean 'browse'"):
        identify(FUNNEL, ("brwose", "buy"))
    with pytest.raises(GraphError, match=r"a graph of type str; hand in a CausalGraph, or CausalGraph.parse\(text\)"):
        identify("browse -> buy", ("browse", "buy"))
    with pytest.raises(SettingError, match="unknown kind 'best'"):
        adjustment_sets(FUNNEL, ("browse", "buy"), kind="best")
    with pytest.raises(SettingError, match=r"costs of \['age'\] are not positive"):
        adjustment_sets(FUNNEL, ("browse", "buy"), kind="min_cost", costs={"age": 0})
    with pytest.raises(SettingError, match="needs costs="):
        adjustment_sets(FUNNEL, ("browse", "buy"), kind="min_cost")
    with pytest.raises(SettingError, match="ask for at least 1 set"):
        adjustment_sets(FUNNEL, ("browse", "buy"), limit=0)
    with pytest.raises(SettingError, match="no engine 'dowhi' for identify"):
        identify(FUNNEL, ("browse", "buy"), engine="dowhi")
    with pytest.raises(SettingError, match=r"ask for `\.treatments`"):
        _ = Query(["browse", "cart"], "buy").treatment
    assert str(Query(["browse", "cart"], "buy")) == "{browse, cart} ⇒ buy"


def test_many_sets_are_found_as_they_are_looked_at():
    """30 confounders, each behind a chain of two: 3^30 minimal sets."""
    edges = [e for k in range(30) for e in ((f"c{k}", f"d{k}"), (f"d{k}", "x"), (f"c{k}", f"e{k}"), (f"e{k}", "y"))]
    sets = adjustment_sets(CausalGraph.from_edges([*edges, ("x", "y")]), ("x", "y"), limit=40)
    assert sets[0].variables == tuple(sorted(f"d{k}" for k in range(30)))
    assert len(sets) == len(set(sets)) == 40
    assert sets.truncated
    assert not adjustment_sets(FUNNEL, ("browse", "buy")).truncated
    cheap = adjustment_sets(
        CausalGraph.from_edges([*edges, ("x", "y")]), ("x", "y"), kind="min_cost", costs={f"e{k}": 0.5 for k in range(30)}
    )
    assert cheap[0].variables == tuple(sorted(f"e{k}" for k in range(30)))
    assert cheap[0].cost == 15


def test_a_set_survives_pickling_for_workers():
    adjust = identify(FUNNEL, ("browse", "buy"))
    again = pickle.loads(pickle.dumps(adjust))  # noqa: S301  our own bytes
    assert (again, dict(again.forbidden), hash(again)) == (adjust, dict(adjust.forbidden), hash(adjust))


def test_a_kind_that_does_not_exist_here_is_told_from_no_set_at_all():
    graph = CausalGraph.parse("l -> x; l -> z; z -> y; x -> y", latent=["l"])
    with pytest.raises(NotIdentifiedError, match="no valid set is of kind 'parents'; ask for kind 'minimal'"):
        identify(graph, ("x", "y"), kind="parents")
    assert identify(graph, ("x", "y"), kind="minimal").variables == ("z",)


def test_the_shared_example_is_reproduced(shared, tmp_path, validator):
    """Graph hash, sets and forbidden variables of the reference file; the written file obeys both schemas."""
    folder = shared / "reference"
    example = json.loads((folder / "adjustment-sets.example.json").read_text(encoding="utf-8"))
    graph = graph_from_block(example["graph"], "the example")
    queries = [Query(e["treatment"], e["outcome"]) for e in example["effects"]]
    units = {v["name"]: {"unit": v["unit"], "as_of": v["as_of"]} for v in example["variables"]}
    path = export_adjustment_sets(graph, queries, tmp_path / "sets.json", variables=units)
    ours = json.loads(path.read_text(encoding="utf-8"))
    validator.validate(ours)
    jsonschema.Draft202012Validator(json.loads((folder / "adjustment-sets.schema.json").read_text(encoding="utf-8"))).validate(ours)
    assert ours["graph"]["sha256"] == example["graph"]["sha256"]
    assert ours["variables"] == example["variables"]
    for mine, theirs in zip(ours["effects"], example["effects"], strict=True):
        assert {key: mine[key] for key in theirs} == theirs


def test_json_goes_there_and_back_byte_for_byte(tmp_path, validator):
    graph = CausalGraph.parse('"浏览 <x>" -> buy; "a b" -> buy; "a b" -> "浏览 <x>"; u -> "a b"', latent=["u"])
    adjust = identify(graph.with_provenance(method="GES", settings={"alpha": 0.01}, n=500), ("浏览 <x>", "buy"))
    text = adjust.to_json()
    validator.validate(json.loads(text))
    again = AdjustmentSet.from_json(text)
    assert (again, again.forbidden, again.assumptions, again.graph_sha256) == (
        adjust,
        adjust.forbidden,
        adjust.assumptions,
        adjust.graph_sha256,
    )
    assert again.to_json() == text
    path = adjust.to_json(tmp_path / "adjust.json")
    assert AdjustmentSet.from_json(path).to_json(tmp_path / "again.json").read_bytes() == path.read_bytes()
    assert "&lt;x&gt;" in adjust._repr_html_()
    assert "<x>" not in adjust._repr_html_()


def test_a_file_with_every_status_is_read_back(tmp_path, validator):
    graph = CausalGraph.parse("rank -> click; click -> buy; pref -> rank; pref -> buy; z -> click", latent=["pref"])
    queries = [("rank", "buy"), ("rank", "click"), ("buy", "rank"), ("click", "buy")]
    path = export_adjustment_sets(graph, queries, tmp_path / "sets.json")
    payload = json.loads(path.read_text(encoding="utf-8"))
    validator.validate(payload)
    told = payload["effects"]
    assert [e["status"] for e in told] == ["no_adjustment_set", "adjustment", "no_effect", "adjustment"]
    assert told[0]["alternatives"]["frontdoor"] == [["click"]]
    assert told[0]["alternatives"]["id_expression"].startswith("Σ_{click, z} P(z) P(click | rank, z) (Σ_{rank′} P(rank′) P(buy | ")
    assert told[3]["roles"] == {"rank": "confounder", "z": "instrument"}
    found_graph, results = read_adjustment_sets(path)
    assert found_graph == graph
    assert [type(r).__name__ for r in results].count("NullEffect") == 1
    with pytest.raises(FileError, match="holds no adjustment set"):
        AdjustmentSet.from_json(identify(graph, ("buy", "rank")).to_json())


def test_an_effect_that_nothing_identifies_says_so_and_what_to_measure(tmp_path, validator):
    graph = CausalGraph.parse("u -> x; u -> y; x -> y; z -> y; x <-> w", latent=["u"])
    path = export_adjustment_sets(graph, [("x", "y"), ("z", "y")], tmp_path / "sets.json")
    payload = json.loads(path.read_text(encoding="utf-8"))
    validator.validate(payload)
    hopeless, easy = payload["effects"]
    assert (hopeless["status"], hopeless["measure"], hopeless["alternatives"].get("id_expression")) == ("not_identified", ["u"], None)
    assert easy["status"] == "adjustment"
    found = export_adjustment_sets(CausalGraph.parse("c -> x; c -> y; x -> y"), [("x", "y")], tmp_path / "few.json", allowed=["x"])
    assert json.loads(found.read_text(encoding="utf-8"))["effects"][0]["measure"] == ["c"]


def test_a_file_of_another_version_or_an_altered_graph_is_refused(tmp_path):
    payload = json.loads(identify(FUNNEL, ("browse", "buy")).to_json())
    with pytest.raises(FileError, match=r"is of schema version 2\.0\.0, this package reads 1"):
        AdjustmentSet.from_json(json.dumps({**payload, "version": "2.0.0"}))
    payload["graph"]["edges"].pop()
    with pytest.raises(FileError, match="does not match its sha256"):
        AdjustmentSet.from_json(json.dumps(payload))
    with pytest.raises(FileError, match="not JSON"):
        AdjustmentSet.from_json('{"format": ')
    with pytest.raises(FileError, match="no file"):
        AdjustmentSet.from_json(tmp_path / "absent.json")


def test_adjusting_gives_the_total_effect_in_linear_gaussian_worlds():
    """The coefficient of x in the population regression of y on x and the set is the sum over causal paths."""
    rng = np.random.default_rng(0)
    checked = 0
    while checked < 400:
        p = int(rng.integers(4, 10))
        names = [f"v{k}" for k in range(p)]
        edges = [(names[i], names[j]) for i in range(p) for j in range(i + 1, p) if rng.random() < 0.4]
        B = np.zeros((p, p))
        for a, b in edges:
            B[int(a[1:]), int(b[1:])] = rng.uniform(0.3, 1.5) * rng.choice([-1, 1])
        total = np.linalg.inv(np.eye(p) - B)
        sigma = total.T @ np.diag(rng.uniform(0.5, 2, p)) @ total
        x, y = (int(k) for k in sorted(rng.permutation(p)[:2]))
        latent = [n for k, n in enumerate(names) if k not in (x, y) and rng.random() < 0.2]
        graph = CausalGraph.from_edges(edges, names, latent=latent)
        for kind in ("optimal", "minimal", "parents", "canonical", "minimum"):
            for one in adjustment_sets(graph, (names[x], names[y]), kind=kind, limit=3):
                index = [x, *(graph.index(v) for v in one.variables)]
                slope = np.linalg.solve(sigma[np.ix_(index, index)], sigma[index, y])[0]
                assert slope == pytest.approx(total[x, y], abs=1e-9), (graph, one)
                checked += 1


def test_joint_adjustment_gives_the_joint_effects_with_the_latents_hidden():
    """Sets claimed for the ADMG of the observed nodes: slopes of the treatments are path sums that meet no other treatment."""
    rng = np.random.default_rng(8)
    checked = 0
    while checked < 150:
        p, hidden = int(rng.integers(5, 8)), int(rng.integers(1, 4))
        names = [f"v{k}" for k in range(p)] + [f"h{k}" for k in range(hidden)]
        order = rng.permutation(p)
        edges = [(names[a], names[b]) for i, a in enumerate(order) for b in order[i + 1 :] if rng.random() < 0.35]
        edges += [(f"h{k}", names[v]) for k in range(hidden) for v in rng.choice(p, 2, replace=False)]
        graph = CausalGraph.from_edges(edges, names, latent=names[p:])
        B = np.zeros((len(names), len(names)))
        for a, b in edges:
            B[graph.index(a), graph.index(b)] = rng.uniform(0.3, 1.5) * rng.choice([-1, 1])
        total = np.linalg.inv(np.eye(len(names)) - B)
        sigma = total.T @ np.diag(rng.uniform(0.5, 2, len(names))) @ total
        xs, y = [int(k) for k in rng.permutation(p)[:2]], int(rng.permutation(p)[2])
        if y in xs:
            continue
        held = B.copy()
        held[:, xs] = 0
        joint = np.linalg.inv(np.eye(len(names)) - held)[xs, y]
        for one in adjustment_sets(to_admg(graph), ([names[x] for x in xs], names[y]), kind="all", limit=6):
            index = [*xs, *(graph.index(v) for v in one.variables)]
            slopes = np.linalg.solve(sigma[np.ix_(index, index)], sigma[index, y])[:2]
            np.testing.assert_allclose(slopes, joint, atol=1e-8, err_msg=str((graph, one)))
            checked += 1


def test_the_optimal_set_has_the_least_asymptotic_variance():
    """Henckel et al. (2022): σ_yy.xz / σ_xx.z is smallest for the optimal set among all valid sets."""
    rng = np.random.default_rng(1)
    checked = 0
    while checked < 60:
        p = 7
        names = [f"v{k}" for k in range(p)]
        edges = [(names[i], names[j]) for i in range(p) for j in range(i + 1, p) if rng.random() < 0.4]
        graph = CausalGraph.from_edges(edges, names)
        best = adjustment_sets(graph, (names[1], names[5]), kind="optimal")
        if best.status != "adjustment":
            continue
        B = np.zeros((p, p))
        for a, b in edges:
            B[int(a[1:]), int(b[1:])] = rng.uniform(0.3, 1.5) * rng.choice([-1, 1])
        total = np.linalg.inv(np.eye(p) - B)
        sigma = total.T @ np.diag(rng.uniform(0.5, 2, p)) @ total

        def left(k, given, sigma=sigma):
            return sigma[k, k] - sigma[k, given] @ np.linalg.solve(sigma[np.ix_(given, given)], sigma[given, k]) if given else sigma[k, k]

        def variance(one, left=left, graph=graph):
            given = [graph.index(v) for v in one.variables]
            return left(5, [1, *given]) / left(1, given)

        rivals = [variance(one) for one in adjustment_sets(graph, (names[1], names[5]), kind="all")]
        assert variance(best[0]) <= min(rivals) + 1e-9
        checked += 1
