"""Adjustment sets in and out of files that other recommenders can read."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from causalsem._values import json_text, read_json, write_text
from causalsem.errors import FileError, GraphError, NotIdentifiedError, SettingError, check_kind, shown
from causalsem.graph import CausalGraph
from causalsem.identify.adjustment import SetKind, adjustment_sets, missing_measurements, no_effect_reason
from causalsem.identify.class_effects import class_effects
from causalsem.identify.criterion import read
from causalsem.identify.document import FORMAT, VERSION, document, edge_shares, effect_block, graph_block, graph_from_block, query_block
from causalsem.identify.front_door import front_door
from causalsem.identify.id_algorithm import id_expression
from causalsem.identify.implications import Independence, Testable, implied_independences
from causalsem.identify.instruments import instruments
from causalsem.identify.query import Query, as_query
from causalsem.identify.reasons import Reasons, assumptions_of
from causalsem.identify.roles import roles
from causalsem.identify.separators import BackDoor
from causalsem.identify.sets import AdjustmentSet, AdjustmentSets, NullEffect
from causalsem.identify.uncertainty import Judge, SampledGraphs

if TYPE_CHECKING:
    from causalsem.behaviour import Moments

Result = AdjustmentSet | NullEffect
# A sparse graph has one independence per missing edge; more than these per effect nobody reads.
MOST_IMPLICATIONS = 50
# A class that splits into more parts at the treatment comes without its effects.
MOST_PARTS = 256


@dataclass(frozen=True, slots=True)
class _Extras:
    """What every effect of a document is told with."""

    kinds: tuple[SetKind, ...]
    allowed: tuple[str, ...] | None
    judge: Judge | None
    moments: Moments | None
    implications: int
    claims: Callable[[str], list[Independence]]


def export_adjustment_sets(
    graph: CausalGraph,
    queries: Iterable[Query | Result | tuple[str, str]],
    path: str | os.PathLike[str],
    *,
    kinds: Iterable[SetKind] = ("minimal", "optimal", "parents"),
    allowed: Iterable[str] | None = None,
    variables: Mapping[str, Mapping[str, Any]] | None = None,
    stability: SampledGraphs | None = None,
    moments: Moments | None = None,
    tests: Testable | None = None,
    implications: int = MOST_IMPLICATIONS,
    sensitivity: Mapping[str, float] | None = None,
    weights: Mapping[str, Any] | None = None,
) -> Path:
    """Write the adjustment sets of many effects as one document of the versioned schema, and return the path.

    Per effect: its status, the first set of each kind, forbidden variables, the role of each variable, the
    assumptions, and up to `implications` independences about its treatment or outcome that data can refute.
    `variables` maps a name to facts: column, table, unit, dtype, as_of, cost, observed. `stability` (graphs of a
    bootstrap) adds how often each edge returns, each set is valid and the effect is identifiable; `moments` adds the
    linear effects that the class allows (DAG, CPDAG, MPDAG; one treatment) and the p-value of each independence,
    which `tests` (block moments, where discovery worked on them) gives in place of the moments.
    With both or either the document tells the hash of the moments, the number of resamples and their seed. `sensitivity`
    (e_value, robustness_value) goes to the first effect, `weights` says where the weights of its rows are kept.
    Raises MomentsError when an observed variable is collinear or constant in the moments.
    """
    check_kind(graph, CausalGraph, "a graph", "hand in a CausalGraph, or CausalGraph.parse(text)", GraphError)
    if implications < 0:
        raise SettingError(f"implications is {implications}; ask for at least 0")
    if moments is not None:
        moments = moments.select(graph.observed).require_regular()
    # The claims about one variable serve all its effects.
    claims = functools.cache(lambda name: implied_independences(graph, tests or moments, about=[name], limit=implications))
    judge = None if stability is None else Judge.of(stability)
    extras = _Extras(tuple(kinds), None if allowed is None else tuple(allowed), judge, moments, implications, claims)
    asked = [entry.query if isinstance(entry, AdjustmentSet | NullEffect) else as_query(entry) for entry in queries]
    whole = document(graph, [_effect(graph, query, extras) for query in asked], variables)
    if stability is not None:
        whole["graph"] = graph_block(graph, edge_shares(graph, stability.nodes, stability.marks))
    discovery = whole["graph"].get("discovery", {}) | _data_facts(moments, stability)
    whole["graph"] |= {"discovery": discovery} if discovery else {}
    if sensitivity and whole["effects"]:
        whole["effects"][0]["sensitivity"] = {name: float(value) for name, value in sensitivity.items()}
    whole |= {"weights": dict(weights)} if weights else {}
    return write_text(path, json_text(whole))


def _data_facts(moments: Moments | None, stability: SampledGraphs | None) -> dict[str, Any]:
    """Return what ties a document to its data: their hash, how often they were drawn again, and the seed."""
    facts: dict[str, Any] = {} if moments is None else {"n_rows": moments.n, "data_sha256": moments.sha256}
    if stability is not None:
        facts["n_bootstrap"] = len(stability.marks)
        facts["seed"] = getattr(stability, "provenance", {}).get("seed")
    return {key: value for key, value in facts.items() if value is not None}


def read_adjustment_sets(path: str | os.PathLike[str]) -> tuple[CausalGraph, list[Result]]:
    """Return the graph of a file, and of each identified effect every set (and each effect that is zero)."""
    payload = read_json(path, FORMAT)
    return _results(payload, os.fspath(path))


def set_json(result: Result, path: str | os.PathLike[str] | None) -> str | Path:
    """Return the document of one result as text, or write it and return the path."""
    if result.graph is None:
        raise FileError(f"{result.query} comes without its graph, which the file must hold; identify it again")
    text = json_text(document(result.graph, [effect_block(result)], None))
    return text if path is None else write_text(path, text)


def read_set(source: str | os.PathLike[str]) -> AdjustmentSet:
    """Return the recommended (else first) set of the first effect of a file or of JSON text."""
    if isinstance(source, str) and source.lstrip().startswith("{"):
        payload, where = _parsed(source), "the JSON text"
    else:
        payload, where = read_json(source, FORMAT), os.fspath(source)
    _, results = _results(payload, where)
    if not results or isinstance(results[0], NullEffect):
        why = str(results[0]) if results else "no effect in it is identified by adjustment"
        raise FileError(f"{where} holds no adjustment set: {why}; export an effect that has one")
    first = [one for one in results if isinstance(one, AdjustmentSet) and one.query == results[0].query]
    marked = payload["effects"][0]["adjustment_sets"]
    return next((one for one, told in zip(first, marked, strict=False) if told.get("recommended")), first[0])


def _parsed(text: str) -> dict[str, Any]:
    try:
        payload: dict[str, Any] = json.loads(text)
    except json.JSONDecodeError as why:
        raise FileError(f"the text is not JSON: {why}; was it cut short?") from why
    return payload


def _results(payload: Mapping[str, Any], where: str) -> tuple[CausalGraph, list[Result]]:
    if payload.get("format") != FORMAT:
        raise FileError(f"{where} holds {payload.get('format')!r}, not {FORMAT!r}; hand in a file of that kind")
    told = str(payload.get("version", "?"))
    if told.split(".", maxsplit=1)[0] != VERSION.split(".", maxsplit=1)[0]:
        raise FileError(
            f"{where} is of schema version {told}, this package reads {VERSION}; export it again with a package of that version"
        )
    missing = [key for key in ("graph", "effects") if key not in payload]
    if missing:
        raise FileError(f"{where} lacks {shown(missing)}; was it cut short?")
    graph = graph_from_block(payload["graph"], where)
    results: list[Result] = []
    for effect in payload["effects"]:
        query = Query(effect["treatment"], effect["outcome"])
        if effect["status"] == "no_effect":
            results.append(NullEffect(query, effect.get("reason", "no causal path"), graph))
        for one in effect["adjustment_sets"]:
            results.append(_set_of(graph, query, one, effect))
    return graph, results


def _set_of(graph: CausalGraph, query: Query, told: Mapping[str, Any], effect: Mapping[str, Any]) -> AdjustmentSet:
    return AdjustmentSet(
        query,
        tuple(told["variables"]),
        told["kind"],
        told.get("criterion", "generalized_adjustment"),
        forbidden=Reasons(read(graph, query)),
        assumptions=tuple(effect.get("assumptions", assumptions_of(graph))),
        graph=graph,
        cost=told.get("cost"),
    )


def _effect(graph: CausalGraph, query: Query, extras: _Extras) -> dict[str, Any]:
    """Return the block of one effect, whatever its status."""
    reading = read(graph, query)
    found = [adjustment_sets(graph, query, kind=kind, allowed=extras.allowed, limit=1) for kind in extras.kinds]
    sets = [one[0] for one in found if one]
    if not reading.has_effect:
        block = effect_block(NullEffect(query, no_effect_reason(query), graph))
    elif not sets:
        block = _without_set(graph, query, found[0], extras)
    else:
        best = next((one for one in sets if one.kind in ("optimal", "minimal_efficient")), sets[0])
        block = effect_block(best, sets) | {"roles": roles(reading)}
    if extras.judge is not None:
        judged = extras.judge.judged(query, [one.variables for one in sets], extras.allowed, limit=1)
        block["probability_identifiable"] = judged.identifiable
        for one in block["adjustment_sets"]:
            one["validity_probability"] = judged[one["variables"]]
    return block | _effect_set(graph, query, extras.moments) | _implications(query, extras)


def _without_set(graph: CausalGraph, query: Query, found: AdjustmentSets, extras: _Extras) -> dict[str, Any]:
    """Return the block of an effect that no set adjusts for: what else identifies it, or what would have to be measured."""
    reading, others = read(graph, query), alternatives(graph, query)
    identified = any(others.get(way) for way in ("frontdoor", "id_expression"))
    # Only for DAGs and ADMGs does the ID algorithm settle that nothing identifies it (Huang & Valtorta 2006).
    hopeless = found.status == "no_adjustment_set" and graph.kind in ("DAG", "ADMG") and not identified
    block = query_block(query, "not_identified" if hopeless else found.status)
    block |= {"reason": found.reason, "adjustment_sets": [], "forbidden": list(Reasons(reading))}
    if reading.breach is None:
        missing = missing_measurements(reading, BackDoor(reading), extras.allowed)
        block |= {"measure": list(missing)} if missing else {}
    return block | {"roles": roles(reading), "alternatives": others, "assumptions": list(assumptions_of(graph))}


def _effect_set(graph: CausalGraph, query: Query, moments: Moments | None) -> dict[str, Any]:
    """Return the linear effects that the class allows, smallest first, where they are told by moments."""
    told = graph.kind in ("DAG", "CPDAG", "MPDAG") and not graph.latent and len(query.treatments) == len(query.outcomes) == 1
    if moments is None or not told:
        return {}
    try:
        found = class_effects(graph, query, moments, limit=MOST_PARTS)
    except SettingError:  # more parts than anyone would read
        return {}
    values = sorted(row[0] for row in found.values)
    return {"effect_set": {"estimator": f"{found.method} IDA", "values": values, "lower": values[0], "upper": values[-1]}}


def _implications(query: Query, extras: _Extras) -> dict[str, Any]:
    """Return the independences about treatment, then outcome, that data can refute, with p-values where there are moments."""
    claims = dict.fromkeys(claim for name in (*query.treatments, *query.outcomes) for claim in extras.claims(name))
    blocks = [
        {"x": one.x, "y": one.y, "given": list(one.given)} | ({} if one.p_value is None else {"p_value": one.p_value})
        for one in itertools.islice(claims, extras.implications)
    ]
    return {"testable_implications": blocks} if blocks else {}


def alternatives(graph: CausalGraph, query: Query) -> dict[str, Any]:
    """Return what else identifies an effect: a front-door set, instruments, the expression of the ID algorithm."""
    if graph.kind not in ("DAG", "ADMG"):
        return {}
    found: dict[str, Any] = {}
    way_round = front_door(graph, query)
    if way_round is not None:
        found["frontdoor"] = [list(way_round.variables)]
    if len(query.treatments) == len(query.outcomes) == 1:
        found["instruments"] = [{"instrument": one.instrument, "given": list(one.given)} for one in instruments(graph, query, limit=5)]
    with contextlib.suppress(NotIdentifiedError):
        found["id_expression"] = id_expression(graph, query).text
    return found
