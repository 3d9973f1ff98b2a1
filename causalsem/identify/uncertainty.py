"""Adjustment sets when the graph itself is uncertain: how often each set is valid in sampled graphs."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import numpy as np

from causalsem._cards import mimebundle
from causalsem.errors import DataError, GraphError, SettingError, check_names
from causalsem.graph import CausalGraph
from causalsem.graph.causal_graph import inferred_kind
from causalsem.graph.classes import members_of, random_member
from causalsem.graph.links import flagged
from causalsem.graph.marks import MarkArray
from causalsem.identify.adjustment import SetKind, adjustment_sets
from causalsem.identify.criterion import Reading, read
from causalsem.identify.query import Query, as_query
from causalsem.identify.separators import BackDoor

if TYPE_CHECKING:
    import pandas as pd


# Of a class with more DAGs, this many random ones stand for it.
MOST_MEMBERS = 64
# DAGs drawn where the sampled graphs come with a posterior, and sets judged in them: those that most DAGs give.
DRAWN = 500
MOST_SETS = 64
Over = Literal["posterior", "members", "graphs"]


@runtime_checkable
class SampledGraphs(Protocol):
    """What a bootstrap of graphs looks like: end marks (times, p, p) over the same nodes."""

    @property
    def nodes(self) -> tuple[str, ...]: ...
    @property
    def marks(self) -> MarkArray: ...


class SampledDAGs(SampledGraphs, Protocol):
    """DAGs drawn from a posterior; `classes` returns the marks (times, p, p) of the class of each."""

    def classes(self) -> MarkArray: ...


@runtime_checkable
class WithPosterior(SampledGraphs, Protocol):
    """Sampled graphs that know what the data say: `posterior` draws DAGs, or is None for graphs with hidden causes."""

    def posterior(self, times: int = ..., *, seed: int = ...) -> SampledDAGs | None: ...


@dataclass(frozen=True, slots=True)
class SetProbabilities:
    """How often, in sampled graphs, each set is valid for a query; the most often valid (then smallest) set first.

    Counted `over` "posterior", a share is the probability that the set is valid in the true DAG; over "members" or
    "graphs" it says how often a search finds so. `identifiable` is the share of graphs (classes) in which some set is
    valid, `no_effect` the share without a causal path; `times` graphs were sampled, of which `illegal` are no graph of
    any kind and count as not identifying anything. A share has a Monte Carlo error of at most 0.5/√times.
    """

    query: Query
    sets: tuple[tuple[str, ...], ...]
    probabilities: tuple[float, ...]
    identifiable: float
    no_effect: float
    times: int
    illegal: int = field(default=0, repr=False)
    over: Over = "graphs"

    @property
    def best(self) -> tuple[str, ...]:
        """The set that is valid most often."""
        return self.sets[0]

    def __getitem__(self, names: Iterable[str]) -> float:
        return dict(zip(self.sets, self.probabilities, strict=True))[tuple(sorted(names))]

    def table(self) -> pd.DataFrame:
        """Return one row per set: its variables and the probability that it is valid."""
        import pandas as pd

        told = ["{" + ", ".join(one) + "}" for one in self.sets]
        return pd.DataFrame({"variables": told, "size": [len(one) for one in self.sets], "probability": self.probabilities})

    def __str__(self) -> str:
        lines = [f"  {share:.2f}  {{{', '.join(one)}}}" for one, share in zip(self.sets[:8], self.probabilities, strict=False)]
        head = f"{self.query}: some set is valid in {self.identifiable:.0%} of {self.times} graphs, no effect in {self.no_effect:.0%}"
        return "\n".join([head, *lines])

    _repr_mimebundle_ = mimebundle


def set_probabilities(
    graphs: SampledGraphs | Iterable[CausalGraph],
    query: Query | tuple[str, str],
    *,
    candidates: Iterable[Iterable[str]] = (),
    allowed: Iterable[str] | None = None,
    limit: int = 20,
    over: Over | None = None,
    seed: int = 0,
) -> SetProbabilities:
    """Return the probability that each adjustment set is valid, from sampled graphs (a bootstrap, a posterior).

    Judged are `candidates` and, of every sampled graph, its optimal, its canonical and up to `limit` minimal sets.
    Where a graph has no causal path, a set counts as valid when it separates treatment and outcome.

    `over` "posterior" (the default for a bootstrap that carries its evidence, see `EdgeStability.posterior`) counts
    over DAGs drawn from their posterior: stated probabilities come true at their rate. The other two only tell how
    often a search finds so, which is too often for sets that are small: "graphs" (the default for other graphs) counts
    a class when the set is valid in every member, "members" by the share of members (of at most MOST_MEMBERS, drawn
    with `seed`).
    """
    return Judge.of(graphs, over, seed).judged(as_query(query), candidates, allowed, limit)


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """Distinct sampled graphs with their counts, those that judge, and those that tell whether a set can be found."""

    over: Over
    graphs: tuple[tuple[CausalGraph, int], ...]
    classes: tuple[tuple[CausalGraph, int], ...]
    times: int
    illegal: int
    seed: int

    @classmethod
    def of(cls, graphs: SampledGraphs | Iterable[CausalGraph], over: Over | None = None, seed: int = 0) -> Judge:
        """Return the judge of sampled graphs; raises SettingError for an unknown `over`, DataError without graphs."""
        if over not in (None, "posterior", "members", "graphs"):
            raise SettingError(f"over is {over!r}; count over 'graphs', over their 'members' or over the 'posterior'")
        drawn = graphs.posterior(DRAWN, seed=seed) if over in (None, "posterior") and isinstance(graphs, WithPosterior) else None
        if over == "posterior" and drawn is None:
            raise SettingError(
                "these graphs carry no posterior; bootstrap a method that finds CPDAGs from moments, or count over 'members'"
            )
        counted, times, illegal = distinct_graphs(graphs if drawn is None else drawn)
        if not counted and not illegal:
            raise DataError("no sampled graphs; hand in at least one, such as a bootstrap")
        if drawn is None:
            return cls(over or "graphs", tuple(counted), tuple(counted), times, illegal, seed)
        classes, _, _ = _from_marks(drawn.nodes, drawn.classes())
        return cls("posterior", tuple(counted), tuple(classes), times, illegal, seed)

    def judged(
        self, query: Query, candidates: Iterable[Iterable[str]] = (), allowed: Iterable[str] | None = None, limit: int = 20
    ) -> SetProbabilities:
        """Return the probabilities of the sets of one query."""
        shares = {tuple(sorted(one)): 0.0 for one in candidates}
        nodes = self.graphs[0][0].nodes if self.graphs else ()
        check_names((name for one in shares for name in one), nodes, where="the sampled graphs")
        readings = [(read(graph, query), count) for graph, count in self.graphs]
        given = _sets_of(readings, None if allowed is None else tuple(allowed), limit)
        shares |= dict.fromkeys(given if self.over != "posterior" else [one for one, _ in Counter(given).most_common(MOST_SETS)], 0.0)
        rng = np.random.default_rng(self.seed)
        no_effect = 0
        for reading, count in readings:
            no_effect += count * (not reading.has_effect)
            members = [read(one, query) for one in some_members(reading.graph, rng)] if self.over == "members" else [reading]
            for member in members:
                for one, valid in zip(shares, _validities(member, shares), strict=True):
                    shares[one] += valid * count / len(members)
        order = sorted(shares, key=lambda one: (-shares[one], len(one), one))
        found = sum(count for graph, count in self.classes if _some_set(graph, query, allowed))
        probabilities = tuple(shares[one] / self.times for one in order)
        return SetProbabilities(
            query, tuple(order), probabilities, found / self.times, no_effect / self.times, self.times, self.illegal, self.over
        )


def _some_set(graph: CausalGraph, query: Query, allowed: Iterable[str] | None) -> bool:
    return bool(adjustment_sets(graph, query, kind="canonical", allowed=allowed, limit=1))


def _sets_of(readings: list[tuple[Reading, int]], allowed: tuple[str, ...] | None, limit: int) -> Iterator[tuple[str, ...]]:
    """Yield the empty set and the sets that some graph gives."""
    yield ()
    kinds: tuple[SetKind, ...] = ("optimal", "canonical", "minimal")
    for reading, _ in readings:
        for kind in kinds:
            for found in adjustment_sets(reading.graph, reading.query, kind=kind, allowed=allowed, limit=limit):
                yield found.variables


def _validities(reading: Reading, judged: Iterable[tuple[str, ...]]) -> list[bool]:
    """Tell of each set whether it is valid."""
    if reading.breach is not None:
        return [False for _ in judged]
    graph, may, door = reading.graph, reading.usable(), BackDoor(reading)
    numbers = [[graph.index(name) for name in one] for one in judged]
    return [all(may[k] for k in chosen) and door.separates(flagged(len(may), chosen)) for chosen in numbers]


def some_members(graph: CausalGraph, rng: np.random.Generator) -> list[CausalGraph]:
    """Return every DAG of a class, or MOST_MEMBERS random ones where there are more; other kinds stand for themselves."""
    if graph.kind not in ("CPDAG", "MPDAG"):
        return [graph]
    first = list(itertools.islice(members_of(graph), MOST_MEMBERS + 1))
    return first if len(first) <= MOST_MEMBERS else [random_member(graph, rng) for _ in range(MOST_MEMBERS)]


def distinct_graphs(graphs: SampledGraphs | Iterable[CausalGraph]) -> tuple[list[tuple[CausalGraph, int]], int, int]:
    """Return the different legal graphs with their counts, how many graphs there were, and how many were illegal."""
    if isinstance(graphs, CausalGraph):
        return [(graphs, 1)], 1, 0
    if isinstance(graphs, SampledGraphs):
        return _from_marks(graphs.nodes, np.asarray(graphs.marks))
    counts = Counter(graphs)
    return list(counts.items()), sum(counts.values()), 0


def _from_marks(nodes: tuple[str, ...], marks: MarkArray) -> tuple[list[tuple[CausalGraph, int]], int, int]:
    counts = Counter(one.tobytes() for one in np.ascontiguousarray(marks))
    found, illegal = [], 0
    for told, count in counts.items():
        try:
            found.append((_plainest(nodes, np.frombuffer(told, dtype=marks.dtype).reshape(marks.shape[1:])), count))
        except GraphError:
            illegal += count
    return found, len(marks), illegal


def _plainest(nodes: tuple[str, ...], marks: MarkArray) -> CausalGraph:
    """Return the graph of marks, as a CPDAG rather than an MPDAG where it is one."""
    loose = CausalGraph(nodes, marks, "PAG")
    return CausalGraph.from_links(nodes, loose.links, inferred_kind(loose.links))
