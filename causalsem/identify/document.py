"""The blocks of an adjustment-sets document (docs/schema/adjustment-sets-1.json): graph, variables, effects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from causalsem.behaviour.origin import unit_told
from causalsem.errors import FileError, SettingError, check_names, shown
from causalsem.graph import CausalGraph
from causalsem.graph.formats import edge_list, edges_from_list, graph_sha256
from causalsem.graph.text import SIGNS
from causalsem.identify.query import Query
from causalsem.identify.sets import AdjustmentSet, NullEffect

FORMAT = "causalsem-adjustment-sets"
VERSION = "1.2.0"
UNITS = ("user", "item", "user_item", "session", "context")
# What one row of the data was, in our words and in those of the schema.
UNIT_OF_ROWS = {"user": "user", "item": "item", "pair": "user_item"}
VARIABLE_FACTS = ("column", "table", "unit", "dtype", "as_of", "cost", "observed")


def document(graph: CausalGraph, effects: Iterable[Mapping[str, Any]], variables: Mapping[str, Mapping[str, Any]] | None) -> dict[str, Any]:
    """Return a whole document: who made it, the graph, its variables and the effects."""
    try:
        made_by = version("causalsem")
    except PackageNotFoundError:  # run from a source tree that was never installed
        made_by = "0.0.0"
    return {
        "format": FORMAT,
        "version": VERSION,
        "producer": {"name": "causalsem", "version": made_by},
        "graph": graph_block(graph),
        "variables": variable_blocks(graph, variables or {}),
        "effects": list(effects),
    }


# -- graph -----------------------------------------------------------------------------


def graph_block(graph: CausalGraph, probability: Mapping[tuple[str, str], float] | None = None) -> dict[str, Any]:
    """Return the graph with its hash and where it comes from; `probability` maps (from, to) to how often the edge returns."""
    edges: list[dict[str, Any]] = [dict(edge) for edge in edge_list(graph)]
    for edge in edges:
        if probability is not None:
            edge["probability"] = probability[edge["from"], edge["to"]]
    block: dict[str, Any] = {"class": graph.kind, "nodes": list(graph.nodes), "edges": edges}
    if graph.latent:
        block["latent"] = list(graph.latent)
    if graph.provenance.get("background_knowledge"):
        block["background_knowledge"] = graph.provenance["background_knowledge"]
    block["sha256"] = graph_sha256(graph)
    discovery = _discovery(graph.provenance)
    if discovery:
        block["discovery"] = discovery
    return block


def _discovery(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return how the graph was found, in the words of the schema."""
    if "discovery" in provenance:
        return dict(provenance["discovery"])
    settings = provenance.get("settings", {})
    facts = {
        "algorithm": provenance.get("method"),
        "test_or_score": settings.get("test") or settings.get("score"),
        "alpha": settings.get("alpha"),
        "n_rows": provenance.get("n"),
        "unit": UNIT_OF_ROWS.get(unit_told(provenance) or ""),
        "data_sha256": provenance.get("data_sha256"),
        "n_bootstrap": provenance.get("times"),
        "seed": provenance.get("seed"),
    }
    return {key: value for key, value in facts.items() if value is not None}


def graph_from_block(block: Mapping[str, Any], where: str) -> CausalGraph:
    """Return the graph of a block; raises FileError when it is incomplete or does not match its hash."""
    missing = [key for key in ("class", "nodes", "edges", "sha256") if key not in block]
    if missing:
        raise FileError(f"{where}: the graph lacks {shown(missing)}; was the file cut short?")
    unit = next((ours for ours, theirs in UNIT_OF_ROWS.items() if theirs == block.get("discovery", {}).get("unit")), None)
    told = {key: block[key] for key in ("discovery", "background_knowledge") if key in block}
    graph = CausalGraph.from_edges(
        edges_from_list(block["edges"], where),
        [str(n) for n in block["nodes"]],
        kind=block["class"],
        latent=block.get("latent", ()),
        provenance=told | ({"unit": unit} if unit else {}),
    )
    if graph_sha256(graph) != block["sha256"]:
        raise FileError(f"{where}: the graph does not match its sha256 {block['sha256'][:12]}…; it was changed after it was written")
    return graph


def edge_shares(graph: CausalGraph, nodes: tuple[str, ...], marks: Any) -> dict[tuple[str, str], float]:
    """Return, per edge of the graph, the share of sampled graphs (times, p, p) that have it with the same marks."""
    check_names(graph.observed, nodes, where="the sampled graphs")
    place = {name: k for k, name in enumerate(nodes)}
    codes = {mark: code for code, mark in enumerate(("none", "circle", "arrow", "tail"))}
    shares = {}
    for edge in edge_list(graph):
        a, b = edge["from"], edge["to"]
        at_a, at_b = SIGNS[edge["edge"]]
        i, j = place[a], place[b]
        shares[a, b] = float(((marks[:, j, i] == codes[at_a]) & (marks[:, i, j] == codes[at_b])).mean())
    return shares


# -- variables -------------------------------------------------------------------------


def variable_blocks(graph: CausalGraph, facts: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return one block per node: its column, the unit it is measured on (else that of the graph's rows, else user), and further facts."""
    check_names(facts, graph.nodes, what="described variable", where="the graph")
    latent, unit = set(graph.latent), UNIT_OF_ROWS.get(unit_told(graph.provenance) or "", "user")
    blocks = []
    for name in graph.nodes:
        told = dict(facts.get(name, {}))
        check_names(told, VARIABLE_FACTS, what="fact", where=f"the description of {name!r}")
        block = {"name": name, "column": told.pop("column", name), "unit": told.pop("unit", unit)}
        if block["unit"] not in UNITS:
            raise SettingError(f"{name!r} has the unit {block['unit']!r}; use one of {shown(UNITS)}")
        blocks.append(block | {key: told[key] for key in VARIABLE_FACTS if key in told} | ({"observed": False} if name in latent else {}))
    return blocks


# -- effects ---------------------------------------------------------------------------


def effect_block(
    result: AdjustmentSet | NullEffect, sets: Iterable[AdjustmentSet] | None = None, *, recommended: str | None = None
) -> dict[str, Any]:
    """Return the block of one identified effect: `sets` (default the result itself), what is forbidden, what is assumed."""
    if isinstance(result, NullEffect):
        return query_block(result.query, "no_effect") | {"reason": result.reason, "adjustment_sets": [], "forbidden": []}
    chosen = [result] if sets is None else list(sets)
    blocks = [set_block(one, recommend=one.kind == (recommended or result.kind)) for one in chosen]
    return query_block(result.query, "adjustment") | {
        "adjustment_sets": blocks,
        "forbidden": list(result.forbidden),
        "forbidden_reasons": dict(result.forbidden),
        "assumptions": list(result.assumptions),
    }


def query_block(query: Query, status: str) -> dict[str, Any]:
    """Return the start of an effect's block."""
    return {"treatment": list(query.treatments), "outcome": list(query.outcomes), "estimand": "ATE", "status": status}


def set_block(one: AdjustmentSet, *, recommend: bool) -> dict[str, Any]:
    """Return the block of one adjustment set; raises SettingError for a naive comparison, which nothing identifies."""
    if one.kind == "none":
        raise SettingError(f"{one.query} without adjustment is no identified effect; export the adjustment set instead")
    block: dict[str, Any] = {"kind": one.kind, "variables": list(one.variables), "criterion": one.criterion}
    if recommend:
        block["recommended"] = True
    if one.cost is not None:
        block["cost"] = one.cost
    return block
