"""BOSS: best order score search, every variable moved to its best place until none gains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from causalsem.discovery.found import Found, Rules
from causalsem.discovery.ges import Space, delete_while_gaining
from causalsem.discovery.order_search import best_order
from causalsem.discovery.orient import class_of
from causalsem.discovery.scores import GaussianBIC, check_penalty, check_restarts
from causalsem.discovery.stack import Stack


@dataclass(frozen=True, slots=True, kw_only=True)
class BOSS:
    """Best order score search with grow-shrink parents and the Gaussian BIC (Andrews et al. 2023).

    A variable goes to its best place, among equals to one at random. After the first search, `restarts` more begin at
    the best order in which a neighbourhood of the graph has changed places (iterated local search, Wienöbst et al.
    2025); `seed` draws them. The best score wins, and edges whose deletion gains leave its class at the end.
    `penalty_discount` is in units of BIC.
    """

    penalty_discount: float = 2.0
    restarts: int = 5
    seed: int = 0
    engine: str = "causalsem"

    consumes: ClassVar[str] = "moments"
    returns: ClassVar[str] = "CPDAG"
    assumes: ClassVar[tuple[str, ...]] = ("acyclic", "no hidden confounders", "sparsest Markov", "linear relations with Gaussian noise")

    def __post_init__(self) -> None:
        check_penalty(self.penalty_discount)
        check_restarts(self.restarts)


def search(stack: Stack, settings: BOSS, rules: Rules) -> list[Found]:
    """Return the class that BOSS finds in each data set."""
    return [search_one(GaussianBIC(stack, b, settings.penalty_discount), settings, rules, stack.size) for b in range(stack.size)]


def search_one(score: GaussianBIC, settings: BOSS, rules: Rules, datasets: int = 1) -> Found:
    """Return the class that BOSS finds by a score, in one of `datasets` like it."""
    return pruned(best_order(score, rules, settings.restarts, settings.seed, datasets=datasets).masks, score, rules)


def pruned(dag: list[int], score: GaussianBIC, rules: Rules) -> Found:
    """Return the class of a DAG without the edges whose deletion gains (the backward phase of GES)."""
    space = Space(rules)
    member = delete_while_gaining(space.of_dag(dag), score, space).extension()
    assert member is not None  # the class of a DAG has one
    found = class_of(member, rules)
    return Found(found.marks, found.kind, (), (("score", score.total(member)),))
