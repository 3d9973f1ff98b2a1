"""FLOP: fast learning of order and parents, parents mended as variables move, restarts near the best order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from causalsem.discovery.boss import pruned
from causalsem.discovery.found import Found, Rules
from causalsem.discovery.order_search import best_order
from causalsem.discovery.orient import class_of
from causalsem.discovery.scores import GaussianBIC, check_penalty, check_restarts
from causalsem.discovery.stack import Stack


@dataclass(frozen=True, slots=True, kw_only=True)
class FLOP:
    """Fast learning of order and parents with the Gaussian BIC from Cholesky factors (Wienöbst et al. 2025).

    A variable walks through the order past one neighbour after the other, and both mend their parents by growing and
    shrinking; where no place is better it goes to one as good, and where no move gains, two variables at once may join
    parents. `restarts` more searches begin at an order of the best score in which a neighbourhood of the graph changes
    places, `seed` draws them, and edges whose deletion gains leave the best class at the end; with 0 the first search
    stands as it is. `penalty_discount` is in units of BIC.
    """

    penalty_discount: float = 2.0
    restarts: int = 20
    seed: int = 0
    engine: str = "causalsem"

    consumes: ClassVar[str] = "moments"
    returns: ClassVar[str] = "CPDAG"
    assumes: ClassVar[tuple[str, ...]] = ("acyclic", "no hidden confounders", "sparsest Markov", "linear relations with Gaussian noise")

    def __post_init__(self) -> None:
        check_penalty(self.penalty_discount)
        check_restarts(self.restarts)


def search(stack: Stack, settings: FLOP, rules: Rules) -> list[Found]:
    """Return the class that FLOP finds in each data set."""
    return [_search_one(GaussianBIC(stack, b, settings.penalty_discount), settings, rules, stack.size) for b in range(stack.size)]


def _search_one(score: GaussianBIC, settings: FLOP, rules: Rules, datasets: int) -> Found:
    best = best_order(score, rules, settings.restarts, settings.seed, warm=True, datasets=datasets)
    if settings.restarts:
        return pruned(best.masks, score, rules)
    found = class_of(best.masks, rules)
    return Found(found.marks, found.kind, (), (("score", best.score),))
