"""FCI: what can be said about causes when some may be hidden."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from causalsem._values import BoolArray
from causalsem.discovery.colliders import ColliderRule, check_colliders, collider_claims
from causalsem.discovery.found import Conflict, Found, Rules
from causalsem.discovery.independence.row_tests import IndependenceTest, check_test
from causalsem.discovery.order import precedence, reachable
from causalsem.discovery.pc import check_alpha, check_cap
from causalsem.discovery.possible_d_sep import Late, late_separations
from causalsem.discovery.skeleton import Sepsets, Skeleton, skeletons
from causalsem.discovery.stack import Stack, Tests, z_of_level
from causalsem.graph.causal_graph import ARROW, CIRCLE, TAIL, MarkArray
from causalsem.graph.pag import PAG
from causalsem.graph.pdag import from_masks


class Orienting(Protocol):
    """What orienting a skeleton reads of a method's settings."""

    @property
    def alpha(self) -> float:
        """The level of each test."""

    @property
    def colliders(self) -> ColliderRule:
        """Which triples become colliders."""

    @property
    def max_conditioning(self) -> int | None:
        """The largest conditioning set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FCI:
    """Fast causal inference with Fisher's z: hidden common causes are allowed (Spirtes et al. 1995; rules: Zhang 2008).

    `alpha`, `colliders`, `max_conditioning` and `test` as in PC. A forbidden arrow i → j (and the tiers) is read as: i is no
    ancestor of j, so their edge has an arrowhead at i; a hidden common cause i ↔ j stays possible.
    """

    alpha: float = 0.01
    colliders: ColliderRule = "majority"
    max_conditioning: int | None = None
    test: IndependenceTest | None = None
    engine: str = "causalsem"

    consumes: ClassVar[str] = "moments"
    returns: ClassVar[str] = "PAG"
    assumes: ClassVar[tuple[str, ...]] = ("acyclic", "faithfulness", "linear relations with Gaussian noise")

    def __post_init__(self) -> None:
        check_alpha(self.alpha)
        check_colliders(self.colliders)
        check_cap(self.max_conditioning)
        check_test(self.test)


def search(stack: Tests, settings: FCI, rules: Rules) -> list[Found]:
    """Return the PAG that FCI finds in each data set."""
    threshold = z_of_level(settings.alpha)
    most = stack.p if settings.max_conditioning is None else settings.max_conditioning
    never = precedence(rules).T
    first = skeletons(stack, threshold, np.zeros_like(never), rules.joined, never, most)
    late = Late(rules.joined, threshold)
    if not isinstance(stack, Stack):
        return [pag_of_skeleton(stack, settings, rules, first, first.sepsets(0), late, never)]
    parts = [(stack.part(b, b + 1), _slice(first, b), first.sepsets(b)) for b in range(stack.size)]
    return [pag_of_skeleton(one, settings, rules, found, sepsets, late, never) for one, found, sepsets in parts]


def _slice(found: Skeleton, b: int) -> Skeleton:
    """Return the skeleton of one data set of a stack."""
    one = slice(b, b + 1)
    return Skeleton(found.adjacent[one].copy(), found.level[one], found.weakest[one], (), found.depth)


def pag_of_skeleton(
    data: Tests, settings: Orienting, rules: Rules, found: Skeleton, sepsets: Sepsets, late: Late, never: BoolArray
) -> Found:
    """Return the PAG of one data set: colliders, late separations, colliders anew where there were any, and the ten rules."""
    threshold = z_of_level(settings.alpha)
    most = data.p if settings.max_conditioning is None else settings.max_conditioning
    conflicts: list[Conflict] = []
    graph = _start(data, threshold, settings, rules, found, sepsets, conflicts)
    removed = late_separations(data, most, graph.marks(), late, never)
    for (i, j), separating in removed.items():
        found.adjacent[0, i, j] = found.adjacent[0, j, i] = False
        sepsets[i, j] = separating
    if removed:
        conflicts.clear()
        graph = _start(data, threshold, settings, rules, found, sepsets, conflicts)
    graph.close(lambda d, b, c: b in sepsets.get((min(d, c), max(d, c)), ()))
    return as_pag(graph, rules, conflicts)


def as_pag(graph: PAG, rules: Rules, conflicts: list[Conflict]) -> Found:
    """Return an oriented graph as the result of a search, without the cycles that contradictory tests make."""
    return Found(_ancestral(graph, rules, conflicts).marks(), "PAG", tuple(conflicts))


def knowledge_ends(graph: PAG, rules: Rules) -> None:
    """Mark the ends that knowledge decides."""
    if rules.silent:
        return
    for i, j in np.argwhere(rules.required).tolist():
        graph.put_arrow(i, j)
    for i, j in np.argwhere(rules.forbidden & from_masks(graph.adj)).tolist():
        graph.put_head(j, i)
    graph.settle()


def _start(
    data: Tests,
    threshold: float,
    settings: Orienting,
    rules: Rules,
    found: Skeleton,
    sepsets: Sepsets,
    conflicts: list[Conflict],
) -> PAG:
    """Return the skeleton with circles, what knowledge says about its ends, and colliders (rule 0)."""
    graph = PAG(found.adjacent[0])
    knowledge_ends(graph, rules)
    claims = collider_claims(data, threshold, settings.colliders, rules, found)[0]
    conflicts += claims.ambiguous
    # Subsets of neighbours say nothing about pairs that only a possible-d-sep set separates.
    late = [(i, m, j) for i, m, j in claims.unjudged if m not in sepsets.get((i, j), (m,))]
    for i, m, j in [(c.a, c.middle, c.b) for c in claims.colliders] + late:
        graph.put_head(i, m)
        graph.put_head(j, m)
    graph.settle()
    return graph


def _ancestral(graph: PAG, rules: Rules, conflicts: list[Conflict]) -> PAG:
    """Return the graph with circles for the tails that make a cycle a → … → b with b → a or a ↔ b.

    Only contradictory tests make such cycles; all arrows on them are weakened alike, required ones excepted.
    """
    arrow, closes = _cycles(graph.marks())
    for a, b in np.argwhere(arrow & ~rules.required).tolist():
        graph.tail[a] ^= 1 << b
        graph.circ[a] ^= 1 << b
        conflicts.append(Conflict("{0} -> {1} weakened to {0} o-> {1}", (a, b), "the tests make a cycle through it"))
    # What is left is made of required arrows, and of a bidirected edge between an ancestor and its descendant.
    arrow, closes = _cycles(graph.marks())
    for a, b in np.argwhere(closes).tolist():
        graph.head[a] ^= 1 << b
        graph.circ[a] ^= 1 << b
        conflicts.append(Conflict("{0} <-> {1} weakened to {0} o-> {1}", (a, b), "required arrows lead from {0} to {1}"))
    return graph


def _cycles(marks: MarkArray) -> tuple[BoolArray, BoolArray]:
    """Return the arrows on a cycle, and the pairs (a, b) with a directed path a … b that b → a or a ↔ b closes."""
    arrow = (marks == ARROW) & (marks.T == TAIL)
    reach = reachable(arrow)
    closes = reach & ((marks == ARROW) & (marks.T != CIRCLE)).T
    onto = (reach | np.eye(len(marks), dtype=bool)).astype(np.float32)
    # An arrow u → v is on a cycle when some a leads to u, v leads to b and (a, b) closes.
    return np.asarray(arrow & ((onto.T @ closes.astype(np.float32) @ onto.T) > 0)), closes
