"""What is known before the data speak: what the user says, else the tiers that a table brings along."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from causalsem.behaviour.origin import Origin
from causalsem.errors import check_kind
from causalsem.graph import Knowledge


def known_of(knowledge: Knowledge | None, origin: Origin) -> Knowledge:
    """Return `knowledge` itself, just that and no more, or, where none is given, the tiers of the data's table."""
    if knowledge is None:
        return Knowledge(tiers=origin.tiers)
    check_kind(knowledge, Knowledge, "knowledge", "hand in Knowledge(tiers=[…], required=[…], forbidden=[…])")
    return knowledge


def told_of(knowledge: Knowledge | None, origin: Origin) -> dict[str, Any]:
    """Return, for the provenance of a graph, the unit of the rows, what was known, and who said so."""
    told = {name: value for name, value in asdict(known_of(knowledge, origin)).items() if value}
    facts: dict[str, Any] = {"unit": origin.unit} if origin.unit else {}
    return facts | ({"background_knowledge": {"from": "the table" if knowledge is None else "the user", **_lists(told)}} if told else {})


def _lists(told: dict[str, Any]) -> dict[str, Any]:
    """Return tuples as lists, as they come back from a file."""
    return {name: [list(one) for one in value] if isinstance(value, tuple) else value for name, value in told.items()}
