"""What the directed paths of a graph say about a question: why a variable is adjusted for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from causalsem.graph import CausalGraph


@dataclass(frozen=True, slots=True)
class WhyIn:
    """Why a variable is in an adjustment set: its shortest directed path to a treatment, and to the outcome around them."""

    name: str
    to_treatment: tuple[str, ...]
    to_outcome: tuple[str, ...]

    @property
    def key(self) -> str:
        """The key of the words that tell this reason."""
        if self.to_treatment and self.to_outcome:
            return "why_common"
        return "why_outcome" if self.to_outcome else "why_treatment" if self.to_treatment else "why_block"


def why_in(graph: CausalGraph, name: str, treatments: Iterable[str], outcomes: Iterable[str]) -> WhyIn:
    """Return how a variable of an adjustment set is tied to treatment and outcome."""
    treatments = tuple(treatments)
    return WhyIn(name, shortest_directed(graph, name, treatments), shortest_directed(graph, name, outcomes, around=treatments))


def shortest_directed(graph: CausalGraph, start: str, goals: Iterable[str], around: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the shortest directed path from `start` to a goal that avoids `around`; empty when there is none."""
    goals, seen = set(goals), {start, *around}
    fronts: list[tuple[str, ...]] = [(start,)]
    while fronts:
        longer = []
        for path in fronts:
            for child in graph.children(path[-1]):
                if child in goals and child not in set(around):
                    return (*path, child)
                if child not in seen:
                    seen.add(child)
                    longer.append((*path, child))
        fronts = longer
    return ()
