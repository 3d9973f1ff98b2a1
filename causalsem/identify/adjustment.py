"""identify, adjustment_sets and is_valid_adjustment: which variables to adjust for."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, get_args, overload

from causalsem._engines import load_engine
from causalsem.errors import NotIdentifiedError, SettingError, check_names, shown
from causalsem.graph import CausalGraph
from causalsem.graph.links import both, flagged, flipped, members
from causalsem.graph.possible import closed_links
from causalsem.graph.text import path_text
from causalsem.identify.criterion import Reading, latent_nodes, read
from causalsem.identify.front_door import front_door
from causalsem.identify.optimal import optimal_set, optimal_with_hidden
from causalsem.identify.query import Query, as_query
from causalsem.identify.reasons import Reasons, assumptions_of, forbidden_reason
from causalsem.identify.separators import BackDoor
from causalsem.identify.sets import AdjustmentSet, AdjustmentSets, NullEffect, Verdict

SetKind = Literal["optimal", "minimal", "minimum", "min_cost", "parents", "canonical", "all"]
Costs = Mapping[str, float]


def identify(
    graph: CausalGraph,
    query: Query | tuple[str, str],
    *,
    kind: SetKind = "optimal",
    allowed: Iterable[str] | None = None,
    costs: Costs | None = None,
    engine: str = "causalsem",
    **options: Any,
) -> AdjustmentSet | NullEffect:
    """Return a set of variables to adjust for, or NullEffect when no causal path leads to the outcome.

    `kind` "optimal" gives the set of least asymptotic variance (Henckel, Perković & Maathuis 2022; with unobserved
    variables or `allowed` Runge 2021), or, where no one set is best in every model, the minimal set nearest to the
    outcome ("minimal_efficient").
    `allowed` restricts the set to these variables, `costs` serves kind "min_cost"; `options` go to the engine.
    Raises NotIdentifiedError, with `status`, `reason` and `open_path` as evidence, when no set is valid.
    """
    query = as_query(query)
    query.require_in(graph)
    if engine != "causalsem":
        answer: AdjustmentSet | NullEffect = load_engine("identify", engine)(
            graph, query, kind=kind, allowed=allowed, costs=costs, **options
        )
        return answer
    if options:
        raise SettingError(f"unknown options {shown(options)} for identify; leave them out")
    reading = read(graph, query)
    if not reading.has_effect:
        return NullEffect(query, no_effect_reason(query), graph)
    found = _found(reading, kind, allowed, costs, limit=1)
    if found:
        return found[0]
    raise _not_identified(reading, found, allowed)


def adjustment_sets(
    graph: CausalGraph,
    query: Query | tuple[str, str],
    *,
    kind: SetKind = "minimal",
    allowed: Iterable[str] | None = None,
    costs: Costs | None = None,
    limit: int | None = 1000,
) -> AdjustmentSets:
    """Return the valid adjustment sets of a kind: every "minimal" set, "all" sets, or the one set of another kind.

    Sets are found when looked at, with polynomial delay, and at most `limit` of them. An empty result says in
    `status` and `reason` whether nothing could be adjusted for or there is no effect.
    """
    query = as_query(query)
    return _found(read(graph, query), kind, allowed, costs, limit=limit)


@overload
def is_valid_adjustment(
    graph: CausalGraph, query: Query | tuple[str, str], names: Iterable[str], explain: Literal[False] = False
) -> bool: ...
@overload
def is_valid_adjustment(graph: CausalGraph, query: Query | tuple[str, str], names: Iterable[str], explain: Literal[True]) -> Verdict: ...
def is_valid_adjustment(graph: CausalGraph, query: Query | tuple[str, str], names: Iterable[str], explain: bool = False) -> bool | Verdict:
    """Tell whether adjusting for `names` gives the effect in every member of the class; `explain` says why not.

    Where treatment has no causal path to the outcome, a set is valid when it separates the two.
    """
    query = as_query(query)
    names = [names] if isinstance(names, str) else list(dict.fromkeys(names))
    reading = read(graph, query)
    check_names(names, graph.nodes, where="the graph")
    verdict = _verdict(reading, [graph.index(name) for name in names], explain)
    return verdict if explain else verdict.valid


def _verdict(reading: Reading, chosen: list[int], explain: bool) -> Verdict:
    names, latent = reading.graph.nodes, set(latent_nodes(reading.graph))
    for k in chosen:
        if k in reading.xs or k in reading.ys or k in latent:
            what = "unobserved" if k in latent else "part of the query"
            return Verdict(False, "observed covariates", f"{names[k]!r} is {what}", (names[k],))
    if reading.breach is not None:
        return Verdict(False, "amenability", _breach_reason(reading), tuple(names[k] for k in reading.breach))
    for k in chosen:
        if reading.forbidden[k]:
            why = forbidden_reason(reading, k) if explain else ""
            return Verdict(False, "forbidden set", f"{names[k]!r} is forbidden ({why})", (names[k],))
    stops = flagged(len(names), chosen)
    door = BackDoor(reading)
    if not explain:
        return Verdict(door.separates(stops))
    path = door.open_path(stops)
    if path is None:
        return Verdict(True)
    witness = tuple(names[k] for k in path)
    return Verdict(False, "separation", f"the path {path_text(reading.graph, witness, bow_first=True)} stays open", witness)


def _found(reading: Reading, kind: SetKind, allowed: Iterable[str] | None, costs: Costs | None, limit: int | None) -> AdjustmentSets:
    """Return the sets of a kind, found lazily, with the status an empty result would have."""
    if kind not in get_args(SetKind):
        raise SettingError(f"unknown kind {kind!r} of adjustment set; use one of {shown(get_args(SetKind))}")
    _check_limit(limit)
    may = reading.usable(_allowed_flags(reading.graph, allowed))
    prices = _checked_costs(reading.graph, costs, kind)
    if reading.breach is not None:
        return AdjustmentSets(iter(()), limit=limit, status="not_amenable", reason=_breach_reason(reading))
    door = BackDoor(reading)
    sets = (_adjustment_set(reading, chosen, told, prices) for chosen, told in _numbers(reading, door, kind, may, prices))
    first = next(sets, None)
    if first is None:
        status, reason = ("no_adjustment_set", _open_reason(reading, door, may, kind)) if reading.has_effect else _null(reading)
        return AdjustmentSets(iter(()), limit=limit, status=status, reason=reason)
    status, reason = ("adjustment", "") if reading.has_effect else _null(reading)
    return AdjustmentSets(itertools.chain([first], sets), limit=limit, status=status, reason=reason)


def _numbers(reading: Reading, door: BackDoor, kind: SetKind, may: bytearray, prices: Costs | None) -> Iterator[tuple[Iterable[int], str]]:
    """Yield the sets of a kind as node numbers, each with the kind it turned out to be."""
    nothing = bytearray(len(may))
    if kind == "optimal":
        best = optimal_set(reading)
        if best is None or not all(may[k] for k in best):
            best = optimal_with_hidden(reading, may)
        if best is not None and (_always_valid(reading) or door.separates(flagged(len(may), best))):
            yield best, "optimal"
        elif (nearest := door.minimal(may, near="outcome")) is not None:
            yield members(nearest), "minimal_efficient"
    elif kind == "minimal":
        yield from ((found, kind) for found in door.all_minimal(may))
    elif kind == "all":
        yield from ((found, "valid") for found in door.all_sets(may))
    elif kind == "parents":
        parents = {p for x in reading.xs for p in closed_links(reading.graph).parents[x]} - set(reading.xs)
        if all(may[p] for p in parents) and door.separates(flagged(len(may), parents)):
            yield parents, kind
    elif kind == "canonical":
        if (widest := door.separator(nothing, may)) is not None:
            yield members(widest), kind
    elif (cheapest := door.cheapest(may, prices)) is not None:
        yield members(cheapest), kind


def _always_valid(reading: Reading) -> bool:
    """Tell whether the optimal set needs no check: for one treatment it is valid whenever the parents are observed."""
    return reading.has_effect and len(reading.xs) == 1 and not reading.graph.latent


def _adjustment_set(reading: Reading, chosen: Iterable[int], kind: str, prices: Costs | None) -> AdjustmentSet:
    graph = reading.graph
    names = tuple(graph.nodes[k] for k in chosen)
    return AdjustmentSet(
        reading.query,
        names,
        kind,
        forbidden=Reasons(reading),
        assumptions=assumptions_of(graph),
        graph=graph,
        cost=None if prices is None else float(sum(prices.get(name, 1.0) for name in names)),
    )


# -- settings --------------------------------------------------------------------------


def _allowed_flags(graph: CausalGraph, allowed: Iterable[str] | None) -> bytearray | None:
    if allowed is None:
        return None
    names = [allowed] if isinstance(allowed, str) else list(allowed)
    check_names(names, graph.nodes, what="allowed variable", where="the graph")
    chosen = set(names)
    return bytearray(name in chosen for name in graph.nodes)


def _checked_costs(graph: CausalGraph, costs: Costs | None, kind: str) -> Costs | None:
    if kind == "min_cost" and costs is None:
        raise SettingError("kind 'min_cost' needs costs={name: cost}; give them, or ask for kind 'minimum'")
    if costs is not None:
        check_names(costs, graph.nodes, what="variable with a cost", where="the graph")
        wrong = [name for name, cost in costs.items() if not 0 < cost < float("inf")]
        if wrong:
            raise SettingError(f"costs of {shown(wrong)} are not positive numbers; give each a cost above 0")
    return costs if kind == "min_cost" else None


def _check_limit(limit: int | None) -> None:
    if limit is not None and limit < 1:
        raise SettingError(f"limit is {limit}; ask for at least 1 set, or None for all")


# -- words -----------------------------------------------------------------------------


def no_effect_reason(query: Query) -> str:
    """Return why the effect is zero, in words."""
    return f"no causal path from {', '.join(query.treatments)} to {', '.join(query.outcomes)}"


def _null(reading: Reading) -> tuple[str, str]:
    return "no_effect", no_effect_reason(reading.query)


def _breach_reason(reading: Reading) -> str:
    if reading.breach is None:
        return ""
    graph = reading.graph
    x, other = (graph.nodes[k] for k in reading.breach)
    edge = path_text(graph, (x, other))
    hidden = graph.kind in ("MAG", "PAG") and reading.breach[1] in graph.links.children[reading.breach[0]]
    doubt = "may hide a common cause (it is not visible)" if hidden else "may point either way"
    return f"the edge {edge} starts a possibly causal path, but {doubt}"


def _open_reason(reading: Reading, door: BackDoor, may: bytearray, kind: str) -> str:
    """Return which path stays open when all usable ancestors are adjusted for."""
    path = open_whatever(door, may)
    if path is None:
        return f"no valid set is of kind {kind!r}"
    told = path_text(reading.graph, [reading.graph.nodes[k] for k in path], bow_first=True)
    return f"the path {told} stays open whatever is adjusted for"


def open_whatever(door: BackDoor, may: bytearray) -> tuple[int, ...] | None:
    """Return a path that the widest usable set leaves open, or None when it separates."""
    within = door.ancestors()
    return door.open_path(both(within, may))


def _not_identified(reading: Reading, found: AdjustmentSets, allowed: Iterable[str] | None) -> NotIdentifiedError:
    """Return the error that says which condition fails, by which path, and what would help."""
    graph, query = reading.graph, reading.query
    path: tuple[str, ...] = ()
    measure: tuple[str, ...] = ()
    if reading.breach is not None:
        path = tuple(graph.nodes[k] for k in reading.breach)
        advice = f"find out the direction of {path[0]!r} – {path[1]!r} (knowledge, time order), or measure a common cause"
    else:
        door = BackDoor(reading)
        open_now = open_whatever(door, reading.usable(_allowed_flags(graph, allowed)))
        path = tuple(graph.nodes[k] for k in open_now or ())
        measure = missing_measurements(reading, door, allowed)
        advice = f"measure {shown(measure)}" if measure else "no further measurement of this graph's variables would make one"
        advice = advice if open_now is not None else "ask for kind 'minimal'"
    way_round = None if graph.kind not in ("DAG", "ADMG") else front_door(graph, query, allowed=allowed)
    advice = f"use the front-door set {shown(way_round.variables)} (front_door), or {advice}" if way_round else advice
    return NotIdentifiedError(
        f"the effect {query} is not identified by adjustment: {found.reason}; {advice}",
        query=query,
        status=found.status,
        reason=found.reason,
        open_path=path,
        measure=measure,
        front_door=way_round,
    )


def missing_measurements(reading: Reading, door: BackDoor, allowed: Iterable[str] | None = None) -> tuple[str, ...]:
    """Return the fewest unobserved or disallowed variables that would have to be measured for a valid set to exist."""
    graph = reading.graph
    may = flipped(reading.forbidden)
    for k in (*reading.xs, *reading.ys):
        may[k] = 0
    have = reading.usable(_allowed_flags(graph, allowed))
    # A variable to be measured costs more than all that are at hand together.
    prices = {name: 1.0 if have[k] else len(have) + 1.0 for k, name in enumerate(graph.nodes)}
    found = door.cheapest(may, prices)
    return () if found is None else tuple(graph.nodes[k] for k in members(found) if not have[k])
