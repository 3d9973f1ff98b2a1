"""RFCI: hidden common causes without the search through possible-d-sep sets."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import ClassVar

import numpy as np

from causalsem._values import BoolArray
from causalsem.discovery.budget import out_of_time
from causalsem.discovery.colliders import unshielded
from causalsem.discovery.fci import as_pag, knowledge_ends
from causalsem.discovery.found import Found, Rules
from causalsem.discovery.independence.row_tests import IndependenceTest, check_test
from causalsem.discovery.order import precedence
from causalsem.discovery.pc import check_alpha, check_cap
from causalsem.discovery.skeleton import Sepsets, skeletons
from causalsem.discovery.stack import Tests, z_of_level
from causalsem.graph.pag import PAG, InSepset
from causalsem.graph.pdag import bits

# Pairs that tests separate, with their sets.
Separated = dict[tuple[int, int], tuple[int, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RFCI:
    """Really fast causal inference with Fisher's z: hidden common causes, few tests more than PC (Colombo et al. 2012).

    The skeleton is PC's; before a separating set orients anything, the edges it speaks about are tested given that
    set. The graph may have edges more than FCI's; its marks mean the same. All edges that such tests remove go at
    once, so that column order does not matter. Settings as in FCI.
    """

    alpha: float = 0.01
    max_conditioning: int | None = None
    test: IndependenceTest | None = None
    engine: str = "causalsem"

    consumes: ClassVar[str] = "moments"
    returns: ClassVar[str] = "PAG"
    assumes: ClassVar[tuple[str, ...]] = ("acyclic", "faithfulness", "linear relations with Gaussian noise")

    def __post_init__(self) -> None:
        check_alpha(self.alpha)
        check_cap(self.max_conditioning)
        check_test(self.test)


def search(data: Tests, settings: RFCI, rules: Rules) -> list[Found]:
    """Return the PAG that RFCI finds in each data set."""
    threshold = z_of_level(settings.alpha)
    most = data.p if settings.max_conditioning is None else settings.max_conditioning
    never = precedence(rules).T
    found = skeletons(data, threshold, np.zeros_like(never), rules.joined, never, most)
    return [_Edges(data, b, threshold, rules, found.adjacent[b].copy(), found.sepsets(b)).oriented() for b in range(data.size)]


class _Edges:
    """The skeleton of one data set with its separating sets, from which tests take further edges."""

    def __init__(self, data: Tests, b: int, threshold: float, rules: Rules, adjacent: BoolArray, sepsets: Sepsets) -> None:
        self.data, self.b, self.threshold, self.rules = data, b, threshold, rules
        self.adjacent, self.sepsets = adjacent, sepsets

    def oriented(self) -> Found:
        """Return the PAG: triples are made sure of, rules applied, and both again while tests on a rule's path take edges."""
        while True:
            self.make_triples_sure()
            graph = _CheckedPAG(self.adjacent, self)
            knowledge_ends(graph, self.rules)
            for _, i, m, j in unshielded(self.adjacent[None]).tolist():
                if m not in self.sepsets.get((i, j), (m,)):
                    graph.put_head(i, m)
                    graph.put_head(j, m)
            graph.settle()
            graph.close(lambda d, b, c: b in self.sepset(d, c))
            if not self.take(graph.independent):
                return as_pag(graph, self.rules, [])

    def make_triples_sure(self) -> None:
        """Take edges i – m that a set without m, separating i and j of an unshielded i – m – j, separates too (lemma 3.1)."""
        gone: Separated = {(-1, -1): ()}
        while gone and not out_of_time():
            gone = {}
            for _, i, m, j in unshielded(self.adjacent[None]).tolist():
                separating = self.sepsets.get((i, j))
                for end in (i, j) if separating is not None else ():
                    gone |= self.separated(end, m, tuple(k for k in separating or () if k not in (end, m)))
            self.take(gone)

    def sepset(self, i: int, j: int) -> tuple[int, ...]:
        """Return the set that separates two nodes."""
        return self.sepsets.get((min(i, j), max(i, j)), ())

    def separated(self, i: int, j: int, given: tuple[int, ...]) -> Separated:
        """Return i, j with a smallest subset of `given` that separates them, or nothing when the whole set does not."""
        return {} if self._z(i, j, given) > self.threshold else self.smallest(i, j, given)

    def smallest(self, i: int, j: int, given: tuple[int, ...]) -> Separated:
        """Return i, j with the smallest subset of `given` that separates them, of several the best; nothing when none does."""
        if self.rules.joined[i, j]:
            return {}
        for size in range(len(given) + 1):
            z, best = min((self._z(i, j, some), some) for some in combinations(given, size))
            if z <= self.threshold:
                return {(min(i, j), max(i, j)): best}
        return {}

    def take(self, gone: Separated) -> bool:
        """Remove edges, keep what separates them, and tell whether there were any."""
        for (i, j), separating in gone.items():
            self.adjacent[i, j] = self.adjacent[j, i] = False
            self.sepsets[i, j] = separating
        return bool(gone)

    def _z(self, i: int, j: int, given: tuple[int, ...]) -> float:
        pair = np.array([[self.b, min(i, j), max(i, j)]])
        return float(self.data.z(pair, np.array(given, dtype=np.int64).reshape(1, 1, -1))[0, 0])


class _CheckedPAG(PAG):
    """A PAG whose rule 4 first tests every edge of a discriminating path given subsets of the separating set (lemma 3.2)."""

    def __init__(self, adjacent: BoolArray, edges: _Edges) -> None:
        super().__init__(adjacent)
        self.edges = edges
        self.independent: Separated = {}
        self.tested: dict[tuple[int, int, tuple[int, ...]], Separated] = {}

    def _r4(self, in_sepset: InSepset) -> None:
        for b in range(self.p):
            for c in bits(self.circ[b]):
                for path in self.discriminating(b, c):
                    whole, given = [*path, c], self.edges.sepset(path[0], c)
                    for u, v in pairwise(whole):
                        self.independent |= self._separated(u, v, tuple(k for k in given if k not in (u, v)))
        if not self.independent:
            super()._r4(in_sepset)

    def _separated(self, i: int, j: int, given: tuple[int, ...]) -> Separated:
        key = (i, j, given)
        if key not in self.tested:
            self.tested[key] = self.edges.smallest(i, j, given)
        return self.tested[key]
