"""BOSS-FCI: an order search first, then the tests that tell an arrow from what stands for hidden causes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import numpy as np

from causalsem._values import BoolArray, IntArray
from causalsem.discovery.budget import out_of_time
from causalsem.discovery.colliders import ColliderRule
from causalsem.discovery.fci import pag_of_skeleton
from causalsem.discovery.found import Found, Rules
from causalsem.discovery.order import precedence, reachable
from causalsem.discovery.order_search import best_order
from causalsem.discovery.pc import check_alpha, check_cap
from causalsem.discovery.possible_d_sep import Late
from causalsem.discovery.scores import GaussianBIC, check_penalty, check_restarts
from causalsem.discovery.skeleton import Sepsets, skeletons
from causalsem.discovery.stack import Stack, z_of_level
from causalsem.graph.pdag import bits, from_masks

# Possible-d-sep sets are searched up to this many of a size: among more, one that seems to separate is found by chance.
FEW_SETS = 50
# Of so many edges that the score wants and no set without some mediators separates, one is no edge: with 100 and 100,000
# rows of simulated worlds the search among all sets takes 17 true edges of 65 (seed 601), without it 3 are missed.
RARELY = 10_000
# Up to so many mediators all their subsets are left out in turn, of more one or two.
FEW_MEDIATORS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class BOSSFCI:
    """FCI that starts from the class BOSS finds, for hidden common causes at small samples (Raghu et al. 2018; Andrews et al. 2023).

    An order search joins a and c without need where it takes a collider b of a and c for a mediator: a → b → c and
    a → c stand for a *→ b ↔ c. So an arrow a → c falls when some of c's other parents, without one or more of the
    mediators, separate the two at level `alpha`. Any other set takes an edge away only where BIC prefers independence
    10,000 to 1, which takes 100 million rows: among so many sets, one seems to separate by chance.
    """

    alpha: float = 0.01
    penalty_discount: float = 2.0
    restarts: int = 0
    seed: int = 0
    max_conditioning: int | None = None
    engine: str = "causalsem"

    consumes: ClassVar[str] = "moments"
    returns: ClassVar[str] = "PAG"
    assumes: ClassVar[tuple[str, ...]] = ("acyclic", "faithfulness", "linear relations with Gaussian noise")
    colliders: ClassVar[ColliderRule] = "sepset"

    def __post_init__(self) -> None:
        check_alpha(self.alpha)
        check_penalty(self.penalty_discount)
        check_cap(self.max_conditioning)
        check_restarts(self.restarts)


def search(stack: Stack, settings: BOSSFCI, rules: Rules) -> list[Found]:
    """Return the PAG that BOSS-FCI finds in each data set."""
    # Knowledge forbids arrows only; a hidden common cause may still join what no arrow may, so pairs stay joined in BOSS.
    ordered = Rules(precedence(rules).T, rules.required)
    found = []
    for b in range(stack.size):
        one = stack.part(b, b + 1)
        score = GaussianBIC(one, 0, settings.penalty_discount)
        dag = best_order(score, ordered, settings.restarts, settings.seed, datasets=stack.size).masks
        found.append(_from_dag(one, dag, settings, rules))
    return found


def _from_dag(data: Stack, dag: list[int], settings: BOSSFCI, rules: Rules) -> Found:
    """Return the PAG of one data set, given the parents (masks) that the order search found."""
    never, most = precedence(rules).T, data.p if settings.max_conditioning is None else settings.max_conditioning
    directed = from_masks(dag).T
    sepsets = parents_that_separate(dag, directed)
    near = directed | directed.T | rules.joined
    for (i, j), separating in without_mediators(data, directed, z_of_level(settings.alpha), rules.joined, most):
        near[i, j] = near[j, i] = False
        sepsets[i, j] = separating
    # A minimal DAG of the observed has more edges than the MAG only where it shields a collider: in triangles.
    joined = rules.joined | (near & ~in_triangles(directed | directed.T))
    sure = np.log(data.n) - 2 * np.log(RARELY)
    threshold = float(np.sqrt(max(sure, 0.0)))
    found = skeletons(data, threshold, ~near, joined, never, most if sure > 0 else -1)
    sepsets.update(found.sepsets(0))
    late = Late(joined if sure > 0 else near, threshold, FEW_SETS)
    return pag_of_skeleton(data, settings, rules, found, sepsets, late, never)


def in_triangles(near: BoolArray) -> BoolArray:
    """Return which pairs of neighbours (p, p) have a neighbour in common."""
    return np.asarray(near & ((near.astype(np.int64) @ near.astype(np.int64)) > 0))


def parents_that_separate(dag: list[int], directed: BoolArray) -> Sepsets:
    """Return, for the pairs i < j without an edge, the parents of the one that is no ancestor of the other."""
    reach, sepsets = reachable(directed), Sepsets(len(dag))
    for i, j in np.argwhere(np.triu(~(directed | directed.T), 1)).tolist():
        sepsets[i, j] = bits(dag[i] if reach[j, i] else dag[j])
    return sepsets


def without_mediators(
    data: Stack, directed: BoolArray, threshold: float, joined: BoolArray, most: int
) -> Iterator[tuple[tuple[int, int], tuple[int, ...]]]:
    """Yield the pairs i < j with an arrow that parents without mediators separate (|z| ≤ threshold), and the best such set.

    All pairs are tested in the same DAG, so column order does not matter.
    """
    for a, c in np.argwhere(directed & ~joined).tolist():
        others = np.flatnonzero(directed[:, c] & (np.arange(len(directed)) != a))
        mediators = others[directed[a, others]]
        least = threshold
        best: tuple[int, ...] | None = None
        for sets in _leaving_out(others, mediators):
            if sets.shape[1] > most or data.n - sets.shape[1] - 3 <= 0 or out_of_time():
                continue
            z = data.z(np.array([[0, a, c]]), sets[None])[0]
            if z.min() <= least:
                least, best = float(z.min()), tuple(sets[z.argmin()].tolist())
        if best is not None:
            yield (min(a, c), max(a, c)), best


def _leaving_out(others: IntArray, mediators: IntArray) -> Iterator[IntArray]:
    """Yield the sets (k, size) of the others without 1, 2 … of the mediators."""
    for left_out in range(1, (len(mediators) if len(mediators) <= FEW_MEDIATORS else 2) + 1):
        yield np.array([np.setdiff1d(others, some) for some in combinations(mediators.tolist(), left_out)])
