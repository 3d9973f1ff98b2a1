"""identify_all: every pair of variables at once, on bit masks, sharing what the pairs of one graph have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from causalsem.errors import check_names
from causalsem.graph import CausalGraph
from causalsem.graph.links import Lists, flagged
from causalsem.graph.pdag import bits
from causalsem.graph.possible import closed_links, is_visible, member_links, possible_steps
from causalsem.identify.adjustment import adjustment_sets, no_effect_reason
from causalsem.identify.criterion import latent_nodes, read
from causalsem.identify.optimal import optimal_with_hidden
from causalsem.identify.query import Query
from causalsem.identify.reasons import Reasons, assumptions_of
from causalsem.identify.sets import AdjustmentSet, NullEffect

if TYPE_CHECKING:
    import pandas as pd

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of one pair: its status, and the minimal and the optimal set as bit masks (None where none is)."""

    status: str
    minimal: int | None = None
    optimal: int | None = None
    optimal_kind: str = "optimal"


class Effects(Mapping[Pair, AdjustmentSet | NullEffect | None]):
    """The answer for every pair (treatment, outcome): an optimal AdjustmentSet, a NullEffect, or None where there is neither.

    `status(a, b)` tells why; `minimal(a, b)` gives the minimal set nearest to the treatment; `table()` shows all.
    """

    def __init__(self, graph: CausalGraph, answers: dict[tuple[int, int], Answer]) -> None:
        self.graph = graph
        self._answers = answers

    def _answer(self, pair: Pair) -> Answer:
        return self._answers[self.graph.index(pair[0]), self.graph.index(pair[1])]

    def __getitem__(self, pair: Pair) -> AdjustmentSet | NullEffect | None:
        answer = self._answer(pair)
        if answer.status == "no_effect":
            return NullEffect(Query(*pair), no_effect_reason(Query(*pair)), self.graph)
        return None if answer.optimal is None else self._set(pair, answer.optimal, answer.optimal_kind)

    def __iter__(self) -> Iterator[Pair]:
        return ((self.graph.nodes[a], self.graph.nodes[b]) for a, b in self._answers)

    def __len__(self) -> int:
        return len(self._answers)

    def status(self, treatment: str, outcome: str) -> str:
        """Return "adjustment", "no_effect", "not_amenable" or "no_adjustment_set"."""
        return self._answer((treatment, outcome)).status

    def minimal(self, treatment: str, outcome: str) -> AdjustmentSet | None:
        """Return the minimal set nearest to the treatment, or None."""
        found = self._answer((treatment, outcome)).minimal
        return None if found is None else self._set((treatment, outcome), found, "minimal")

    def _set(self, pair: Pair, mask: int, kind: str) -> AdjustmentSet:
        names, query = tuple(self.graph.nodes[k] for k in bits(mask)), Query(*pair)
        return AdjustmentSet(
            query, names, kind, forbidden=Reasons(read(self.graph, query)), assumptions=assumptions_of(self.graph), graph=self.graph
        )

    def table(self) -> pd.DataFrame:
        """Return one row per pair: treatment, outcome, status, minimal, optimal (sets as text, missing where there is none)."""
        import pandas as pd

        nodes = self.graph.nodes

        def told(mask: int | None) -> str | None:
            return None if mask is None else "{" + ", ".join(sorted(nodes[k] for k in bits(mask))) + "}"

        rows = [(nodes[a], nodes[b], one.status, told(one.minimal), told(one.optimal)) for (a, b), one in self._answers.items()]
        return pd.DataFrame(rows, columns=["treatment", "outcome", "status", "minimal", "optimal"])

    def __repr__(self) -> str:
        counts: dict[str, int] = {}
        for answer in self._answers.values():
            counts[answer.status] = counts.get(answer.status, 0) + 1
        return f"Effects({len(self)} pairs: {', '.join(f'{count} {status}' for status, count in sorted(counts.items()))})"


def identify_all(
    graph: CausalGraph,
    *,
    treatments: Iterable[str] | None = None,
    outcomes: Iterable[str] | None = None,
    allowed: Iterable[str] | None = None,
) -> Effects:
    """Return, for every pair of observed variables (or of `treatments` and `outcomes`), a minimal and an optimal set.

    The answers are those of `adjustment_sets`, found together in a fraction of the time.
    """
    xs = _numbers(graph, treatments)
    ys = _numbers(graph, outcomes)
    may = _mask(_numbers(graph, None))
    may &= may if allowed is None else _mask(_numbers(graph, allowed))
    shared = Masks(graph)
    return Effects(graph, {(x, y): shared.answer(x, y, may) for x in xs for y in ys if x != y})


class Masks:
    """One graph on bit masks: relations of its member, and what could cause what in its class."""

    def __init__(self, graph: CausalGraph) -> None:
        self.graph = graph
        self.size = len(graph.nodes)
        member, links = member_links(graph), closed_links(graph)
        self.pa, self.ch, self.sib = _masks(member.parents), _masks(member.children), _masks(member.siblings)
        self.sure_parents = _masks(links.parents)
        self.plain = graph.kind in ("DAG", "ADMG") or not (any(links.neighbours) or any(links.circles) or graph.kind == "MAG")
        self.fully_observed = graph.kind in ("DAG", "CPDAG", "MPDAG") and not latent_nodes(graph)
        self.slow = graph.kind == "MPDAG" or any(member.neighbours)
        self.above = closures(self.pa)
        self.below = closures(self.ch)
        self.treatment = -1
        if not (self.plain or self.slow):
            self.onward = _masks(possible_steps(graph, forward=True))
            self.backward = _masks(possible_steps(graph, forward=False))
            self.possibly_below = closures(self.onward)

    def answer(self, x: int, y: int, may: int) -> Answer:
        """Return the answer for one pair; sets hold nodes of `may` only."""
        if self.slow:
            return self._generic(x, y, may)
        status, causal, forbidden = self._plain_reading(x, y) if self.plain else self._class_reading(x, y)
        if status != "adjustment":
            return Answer(status)
        usable = may & ~forbidden & ~(1 << x) & ~(1 << y)
        within = self.above[x] | self.above[y]
        minimal = self._nearest(x, y, usable & within, causal, x)
        if minimal is None:
            return Answer("no_adjustment_set")
        best = self._optimal(x, forbidden, causal)
        if best is None or best & ~usable:
            best = self._optimal_with_hidden(x, y, usable)
        if best is not None and not best & ~usable and (self.fully_observed or self._separates(x, y, best, causal)):
            return Answer("adjustment", minimal, best)
        return Answer("adjustment", minimal, self._nearest(y, x, usable & within, causal, x), "minimal_efficient")

    # -- the criterion -------------------------------------------------------------

    def _plain_reading(self, x: int, y: int) -> tuple[str, int, int]:
        """Return status, causal nodes and forbidden nodes where every edge is an arrow or <->."""
        # Nothing below x has a path to y through x: that would be a cycle.
        causal = self.below[x] & self.above[y] & ~(1 << x)
        if not causal:
            return "no_effect", 0, 0
        forbidden = 0
        for child in bits(self.ch[x] & causal):
            forbidden |= self.below[child]
        # What lies below another causal node lies below a child on a causal path too.
        return "adjustment", causal, forbidden

    def _class_reading(self, x: int, y: int) -> tuple[str, int, int]:
        """Return the same for a CPDAG, MAG or PAG: possible causes, and edges that must be visible arrows."""
        if x != self.treatment:
            self._turn_to(x)
        if self.doubtful >> y & 1:
            return "not_amenable", 0, 0
        if not self.reached >> y & 1:
            return "no_effect", 0, 0
        causal = self.reached & flood(self.backward, 1 << y, ~(1 << x))
        forbidden = 0
        for node in bits(causal):
            forbidden |= self.possibly_below[node]
        return "adjustment", causal, forbidden

    def _turn_to(self, x: int) -> None:
        """Note what x may reach by a sure first step, and by a doubtful one, on paths that do not come back."""
        self.treatment, out = x, ~(1 << x)
        links = self.graph.links
        sure = _mask(v for v in links.children[x] if is_visible(self.graph, x, v))
        self.reached = flood(self.onward, sure, out)
        self.doubtful = flood(self.onward, self.onward[x] & ~sure, out)

    def _optimal(self, x: int, forbidden: int, causal: int) -> int | None:
        if self.graph.kind not in ("DAG", "CPDAG"):
            return None
        best = 0
        for node in bits(causal):
            best |= self.sure_parents[node]
        return best & ~forbidden & ~(1 << x)

    def _optimal_with_hidden(self, x: int, y: int, usable: int) -> int | None:
        if self.graph.kind not in ("DAG", "ADMG"):
            return None
        query = Query(self.graph.nodes[x], self.graph.nodes[y])
        found = optimal_with_hidden(read(self.graph, query), flagged(self.size, bits(usable)))
        return None if found is None else _mask(found)

    def _generic(self, x: int, y: int, may: int) -> Answer:
        """Answer one pair as `adjustment_sets` does."""
        names = self.graph.nodes
        allowed = [names[k] for k in bits(may)]
        query = Query(names[x], names[y])
        if not read(self.graph, query).has_effect:
            return Answer("no_effect")
        minimal = adjustment_sets(self.graph, query, allowed=allowed, limit=1)
        if not minimal:
            return Answer(minimal.status)
        best = adjustment_sets(self.graph, query, kind="optimal", allowed=allowed, limit=1)[0]
        small, wide = (_mask(self.graph.index(name) for name in one.variables) for one in (minimal[0], best))
        return Answer("adjustment", small, wide, best.kind)

    # -- separation ----------------------------------------------------------------

    def _nearest(self, start: int, goal: int, stops: int, causal: int, x: int) -> int | None:
        """Return the minimal separator within `stops` (all of them ancestors) that is nearest to `start`, or None."""
        within = self.above[start] | self.above[goal]
        seen = self._reach(start, goal, stops, within, causal, x)
        if seen >> goal & 1:
            return None
        stops &= seen
        return stops & self._reach(goal, start, stops, within, causal, x)

    def _separates(self, x: int, y: int, stops: int, causal: int) -> bool:
        within = self.above[x] | self.above[y]
        for node in bits(stops & ~within):
            within |= self.above[node]
        return not self._reach(x, y, stops, within, causal, x) >> y & 1

    def _reach(self, start: int, goal: int, stops: int, within: int, causal: int, x: int) -> int:
        """Return what walks from `start` touch, as `BackDoor.reach` does with every collider open; stop at `goal`.

        No walk enters x: from x itself it could only start anew, and on the way back from y nothing leads there.
        """
        pa, ch, sib = self.pa, self.ch, self.sib
        keep, end = within & ~(1 << x), 1 << goal
        by_tail = pa[start] & keep
        by_arrow = (ch[start] & ~(causal if start == x else 0) | sib[start]) & keep
        waiting, left, collided = by_tail | by_arrow, 1 << start, 0
        while waiting and not (by_tail | by_arrow) & end:
            low = waiting & -waiting
            waiting ^= low
            node = low.bit_length() - 1
            if low & ~stops & ~left:
                left |= low
                tails, heads = pa[node], ch[node] | sib[node]
            elif low & stops & by_arrow & ~collided:
                collided |= low
                tails, heads = pa[node], sib[node]
            else:
                continue
            tails &= keep & ~by_tail
            heads &= keep & ~by_arrow
            by_tail |= tails
            by_arrow |= heads
            waiting |= tails | heads
        return by_tail | by_arrow | 1 << start


def closures(step: list[int]) -> list[int]:
    """Return, per node, the mask of itself and all that steps lead to."""
    return [flood(step, 1 << node, -1) for node in range(len(step))]


def flood(step: list[int], start: int, keep: int) -> int:
    """Return the mask of what steps lead to from `start`, staying within `keep`."""
    seen = front = start & keep
    while front:
        low = front & -front
        front ^= low
        fresh = step[low.bit_length() - 1] & keep & ~seen
        seen |= fresh
        front |= fresh
    return seen


def _masks(lists: Lists) -> list[int]:
    return [_mask(around) for around in lists]


def _mask(nodes: Iterable[int]) -> int:
    mask = 0
    for node in nodes:
        mask |= 1 << node
    return mask


def _numbers(graph: CausalGraph, names: Iterable[str] | None) -> list[int]:
    if names is None:
        hidden = set(latent_nodes(graph))
        return [k for k in range(len(graph.nodes)) if k not in hidden]
    chosen = [names] if isinstance(names, str) else list(names)
    check_names(chosen, graph.nodes, where="the graph")
    return [graph.index(name) for name in chosen]
