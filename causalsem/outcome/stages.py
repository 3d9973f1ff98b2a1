"""Which behaviours are the stages between treatment and outcome and beyond, and which earlier ones each looks at."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from causalsem.behaviour import BehaviourTable
from causalsem.errors import AssumptionWarning, ForbiddenVariableError, SettingError, check_kind, check_names, shown
from causalsem.graph import CausalGraph
from causalsem.graph.separation import m_separated

if TYPE_CHECKING:
    from causalsem.identify import AdjustmentSet

Parents = dict[str, tuple[int, ...]]


def find_stages(pairs: BehaviourTable, adjust: AdjustmentSet, stages: Sequence[str] | str | None, inputs: Sequence[str]) -> Parents | None:
    """Return the places of the earlier stages that each stage looks at, or None where the outcome alone was asked for.

    `stages` names behaviours in order, or "all" for every one that the graph, else the table's tiers, places after the
    treatment; `inputs` are the columns that enter the network. A stage looks at every earlier one, except where a DAG, ADMG
    or MAG says that it does not depend on it, given the treatment, the inputs and the other earlier stages.
    Raises ForbiddenVariableError for a stage among the inputs, SettingError for an order against graph or tiers.
    """
    if stages is None:
        return None
    names = _named(pairs, adjust, stages)
    _check_targets(adjust, names, inputs)
    _check_order(pairs, adjust, names)
    _warn_of_unidentified(adjust, names)
    return {name: _parents(adjust, names[:k], name, inputs) for k, name in enumerate(names)}


def _named(pairs: BehaviourTable, adjust: AdjustmentSet, stages: Sequence[str] | str) -> tuple[str, ...]:
    """Return the stages by name, the treatment left out."""
    if isinstance(stages, str) and stages != "all":
        raise SettingError(f"stages={stages!r} names no chain; hand in behaviours in order, such as ('browse', 'cart', 'buy'), or 'all'")
    check_kind(stages, (str, Sequence), "stages", "hand in behaviours in order, such as ('browse', 'cart', 'buy'), or 'all'")
    names = _after_treatment(pairs, adjust) if stages == "all" else tuple(stages)
    check_names(names, pairs.names, what="stage", where="the pairs")
    if len(set(names)) < len(names):
        raise SettingError(f"stages {shown(names)} name one twice; name each once, in order")
    names = names[1:] if names[:1] == (adjust.treatment,) else names
    if adjust.treatment in names:
        raise SettingError(f"the treatment {adjust.treatment!r} comes before every stage; leave it out of {shown(names)} or name it first")
    if adjust.outcome not in names:
        raise SettingError(f"the outcome {adjust.outcome!r} is not among the stages {shown(names)}; add it at its place")
    return names


def _after_treatment(pairs: BehaviourTable, adjust: AdjustmentSet) -> tuple[str, ...]:
    """Return what the graph places after the treatment, causes first, else what the table's tiers do."""
    graph, own = _readable(adjust.graph), set(pairs.names) - {adjust.treatment}
    if graph is not None:
        later = graph.descendants(adjust.treatment)
        return tuple(name for name in graph.topological_order() if name in later and name in own)
    place = _tiers(pairs)
    if adjust.treatment not in place:
        raise SettingError(
            f"stages='all' needs a graph (DAG, ADMG or MAG) behind the adjustment set, or the treatment {adjust.treatment!r} in the "
            "table's tiers; name the stages in order instead"
        )
    behind = [n for n in place if place[n] > place[adjust.treatment] and pairs.roles[n] != "trait"]
    return tuple(sorted(behind, key=place.__getitem__))


def _tiers(pairs: BehaviourTable) -> Mapping[str, int]:
    return {name: place for place, tier in enumerate(pairs.tiers) for name in tier}


def _readable(graph: CausalGraph | None) -> CausalGraph | None:
    """Return a graph off which separation is read, or None."""
    return graph if graph is not None and graph.kind in ("DAG", "ADMG", "MAG") else None


def _check_targets(adjust: AdjustmentSet, names: Sequence[str], inputs: Sequence[str]) -> None:
    """Raise ForbiddenVariableError when a stage, which lies behind the treatment, would enter the network."""
    both = [name for name in names if name in inputs]
    if both:
        raise ForbiddenVariableError(
            f"{shown(both)} would be input and target at once for {adjust.query}; a stage behind the treatment is a head: "
            "leave it out of the features and of the adjustment set",
            reasons=dict.fromkeys(both, "a stage behind the treatment"),
        )


def _check_order(pairs: BehaviourTable, adjust: AdjustmentSet, names: Sequence[str]) -> None:
    """Raise SettingError for a stage that the graph, or without one the tiers, places before an earlier one."""
    whole = (adjust.treatment, *names)
    graph, place = adjust.graph, _tiers(pairs)
    for k, later in enumerate(whole):
        for earlier in whole[:k]:
            if graph is not None and {earlier, later} <= set(graph.nodes):
                wrong, why = later in graph.ancestors(earlier), "the graph leads from"
            else:
                wrong, why = place.get(later, k) < place.get(earlier, -1) and {earlier, later} <= set(place), "the tiers lead from"
            if wrong:
                raise SettingError(
                    f"{later!r} comes after {earlier!r} in the chain {' → '.join(whole)}, but {why} {later!r} to {earlier!r}; "
                    "put them in that order"
                )


def _warn_of_unidentified(adjust: AdjustmentSet, names: Sequence[str]) -> None:
    """Warn when the set does not identify the effect of the treatment on some other stage."""
    from causalsem.identify import Query, is_valid_adjustment

    graph = adjust.graph
    if graph is None or adjust.kind == "none":
        return
    for name in names:
        if name == adjust.outcome or name not in graph.nodes or not set(adjust.variables) <= set(graph.nodes):
            continue
        verdict = is_valid_adjustment(graph, Query(adjust.treatment, name), adjust.variables, explain=True)
        if not verdict:
            warnings.warn(
                f"{{{', '.join(adjust.variables)}}} does not identify {adjust.treatment} ⇒ {name} ({verdict.reason}); believe its chance "
                "under do() only if that does not matter, or identify a set for it",
                AssumptionWarning,
                stacklevel=5,
            )


def _parents(adjust: AdjustmentSet, earlier: Sequence[str], name: str, inputs: Sequence[str]) -> tuple[int, ...]:
    """Return the places of the earlier stages that a stage depends on."""
    graph, kept = _readable(adjust.graph), list(earlier)
    if graph is None or not {*earlier, name, adjust.treatment} <= set(graph.nodes):
        return tuple(range(len(earlier)))
    fixed = {adjust.treatment, *(set(inputs) & set(graph.nodes))}
    for stage in earlier:
        others = [other for other in kept if other != stage]
        if m_separated(graph, stage, name, {*fixed, *others}):
            kept = others
    return tuple(k for k, stage in enumerate(earlier) if stage in kept)
