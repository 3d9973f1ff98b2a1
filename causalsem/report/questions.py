"""The questions a reader may put to a drawn graph: for each pair, what to adjust for, and which edges carry effect or bias."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from causalsem.graph import CausalGraph
from causalsem.identify import NullEffect, Query, identify_all
from causalsem.report.trails import Trails, mask_of

if TYPE_CHECKING:
    from causalsem.identify import AdjustmentSet
    from causalsem.identify.all_pairs import Effects

MOST_NODES = 40  # with more, the answers to all pairs would outweigh the page
STATUSES = ("adjustment", "no_effect", "not_amenable", "no_adjustment_set")


@dataclass(frozen=True, slots=True)
class Asked:
    """The answer to one question: how it ended, the set, what must stay out (nodes), causal and biasing edges (positions)."""

    treatments: tuple[int, ...]
    outcome: int
    status: str
    adjusted: int
    forbidden: int
    causal: int
    biasing: int

    @property
    def key(self) -> str:
        """The question as the page's script looks it up."""
        return f"{'+'.join(map(str, self.treatments))}>{self.outcome}"

    @property
    def packed(self) -> str:
        """The answer in one short text: the number of its status, then masks in hexadecimal."""
        masks = (self.adjusted, self.forbidden, self.causal, self.biasing)
        return ".".join([str(STATUSES.index(self.status)), *(f"{mask:x}" if mask else "" for mask in masks)])


def questions(graph: CausalGraph, chosen: AdjustmentSet | NullEffect | None = None, *, about: Sequence[str] | None = None) -> list[Asked]:
    """Return the answer for every pair of observed nodes, or those with a node of `about`; `chosen` knows its own query best.

    Beyond 40 nodes only the question of `chosen` is answered.
    """
    trails = Trails(graph)
    found: dict[str, Asked] = {}
    if len(graph.nodes) <= MOST_NODES:
        found = {one.key: one for one in _every_pair(trails, identify_all(graph), set(graph.nodes if about is None else about))}
    if chosen is not None and len(chosen.query.outcomes) == 1:
        one = _chosen(trails, chosen)
        found[one.key] = one
    return list(found.values())


def packed(answers: Iterable[Asked]) -> str:
    """Return the answers as JSON that holds numbers only, so that no name can end the element it stands in."""
    return json.dumps({one.key: one.packed for one in answers}, separators=(",", ":"))


def _every_pair(trails: Trails, effects: Effects, about: set[str]) -> Iterator[Asked]:
    for treatment, outcome in effects:
        if not about & {treatment, outcome}:
            continue
        found = effects[treatment, outcome]
        sets = (found.variables, tuple(found.forbidden)) if found is not None and not isinstance(found, NullEffect) else ((), ())
        yield _asked(trails, Query(treatment, outcome), effects.status(treatment, outcome), *sets)


def _chosen(trails: Trails, chosen: AdjustmentSet | NullEffect) -> Asked:
    if isinstance(chosen, NullEffect):
        return _asked(trails, chosen.query, "no_effect", (), ())
    return _asked(trails, chosen.query, "adjustment", chosen.variables, tuple(chosen.forbidden))


def _asked(trails: Trails, query: Query, status: str, adjusted: Sequence[str], forbidden: Sequence[str]) -> Asked:
    index = trails.graph.index
    treatments, outcome = tuple(map(index, query.treatments)), index(query.outcome)
    causal = mask_of(k for x in treatments for k in trails.causal(x, outcome))
    biasing = mask_of(k for x in treatments for k in trails.biasing(x, outcome)) & ~causal
    ends = {*query.treatments, query.outcome}
    out = mask_of(index(name) for name in forbidden if name not in ends)
    return Asked(treatments, outcome, status, mask_of(map(index, adjusted)), out, causal, biasing)
