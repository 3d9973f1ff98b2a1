"""What a graph says about data that can be put to the test: conditional independences, and their test on Gaussian data."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from causalsem._cards import mimebundle
from causalsem.graph import CausalGraph
from causalsem.graph.links import members
from causalsem.graph.possible import adjacency
from causalsem.identify.criterion import latent_nodes, uncut
from causalsem.identify.query import Query
from causalsem.identify.separators import BackDoor


class Testable(Protocol):
    """Data that tell how dependent two variables are given others: Moments, or block moments."""

    def dependence(self, x: str, y: str, given: Sequence[str] = ()) -> tuple[float, float]:
        """Return the partial correlation, or for blocks the one that is as unlikely, and the p-value of independence."""


@dataclass(frozen=True, slots=True)
class Independence:
    """x and y are independent given a set; `p_value` and `partial_correlation` once data were asked."""

    x: str
    y: str
    given: tuple[str, ...]
    partial_correlation: float | None = field(default=None, compare=False)
    p_value: float | None = field(default=None, compare=False)

    def __str__(self) -> str:
        given = f" | {', '.join(self.given)}" if self.given else ""
        asked = "" if self.p_value is None else f"  (p = {self.p_value:.3g})"
        return f"{self.x} ⫫ {self.y}{given}{asked}"

    _repr_mimebundle_ = mimebundle


def implied_independences(
    graph: CausalGraph, data: Testable | None = None, *, about: Iterable[str] | None = None, limit: int | None = None
) -> list[Independence]:
    """Return, per pair of observed nodes that some observed set separates, one minimal such independence.

    With `data` over the observed variables each is tested: Moments by Fisher's z (Gaussian data), block moments (see
    `mixed_moments`) by canonical correlations. `about` asks only for pairs with one of these variables, `limit` for so
    many at most, in the order of the nodes.
    """
    wanted = None if about is None else {graph.index(name) for name in about}
    found = list(itertools.islice(_independences(graph, wanted), limit))
    return found if data is None else [tested(one, data) for one in found]


def _independences(graph: CausalGraph, about: set[int] | None) -> Iterator[Independence]:
    around, hidden = adjacency(graph), set(latent_nodes(graph))
    usable = bytearray(k not in hidden for k in range(len(graph.nodes)))
    for a, b in _pairs(len(graph.nodes), about):
        if a in hidden or b in hidden or b in around[a]:
            continue
        may = bytearray(usable)
        may[a] = may[b] = 0
        chosen = BackDoor(uncut(graph, Query(graph.nodes[a], graph.nodes[b]))).minimal(may)
        if chosen is not None:
            yield Independence(graph.nodes[a], graph.nodes[b], tuple(sorted(graph.nodes[k] for k in members(chosen))))


def _pairs(p: int, about: set[int] | None) -> Iterator[tuple[int, int]]:
    """Yield the pairs a < b of p nodes in order, or those with a node of `about`."""
    for a in range(p):
        within = range(a + 1, p) if about is None or a in about else sorted(k for k in about if k > a)
        yield from ((a, b) for b in within)


def tested(claim: Independence, data: Testable) -> Independence:
    """Return the claim with how far the data are from it, and the p-value; raises DataError with too few rows."""
    r, p = data.dependence(claim.x, claim.y, claim.given)
    return replace(claim, partial_correlation=r, p_value=p)


def failing(claims: Iterable[Independence], level: float = 0.05) -> list[Independence]:
    """Return the tested claims that the data reject at `level`, after Holm's (1979) correction for their number."""
    asked = sorted((one for one in claims if one.p_value is not None), key=lambda one: one.p_value or 0.0)
    rejected = []
    for k, one in enumerate(asked):
        if (one.p_value or 0.0) > level / (len(asked) - k):
            break
        rejected.append(one)
    return rejected
