"""GRaSP: greedy relaxations of the sparsest permutation, edges tucked until the score gains."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import ClassVar

import numpy as np

from causalsem._values import BoolArray
from causalsem.discovery.boss import pruned
from causalsem.discovery.budget import out_of_time, while_in_time
from causalsem.discovery.found import Found, Rules
from causalsem.discovery.order_search import Ordered, OrderSearch
from causalsem.discovery.scores import GaussianBIC, check_penalty
from causalsem.discovery.stack import Stack
from causalsem.errors import SettingError


@dataclass(frozen=True, slots=True, kw_only=True)
class GRaSP:
    """Greedy relaxation of the sparsest permutation with the Gaussian BIC (Lam, Andrews & Ramsey 2022).

    A tuck moves the parent of an edge, with what lies between, behind the child. Chains of up to `depth` tucks that
    leave the score as it is are followed in search of one that gains; only the first of a chain may be of an edge
    that is not covered, and the others are around what the one before changed. `penalty_discount` is in units of BIC.
    """

    penalty_discount: float = 2.0
    depth: int = 3
    engine: str = "causalsem"

    consumes: ClassVar[str] = "moments"
    returns: ClassVar[str] = "CPDAG"
    assumes: ClassVar[tuple[str, ...]] = ("acyclic", "no hidden confounders", "sparsest Markov", "linear relations with Gaussian noise")

    def __post_init__(self) -> None:
        check_penalty(self.penalty_discount)
        if self.depth < 1:
            raise SettingError(f"depth is {self.depth}; choose 1 or more tucks in a row")


def search(stack: Stack, settings: GRaSP, rules: Rules) -> list[Found]:
    """Return the class that GRaSP finds in each data set."""
    results = []
    for b in range(stack.size):
        score = GaussianBIC(stack, b, settings.penalty_discount)
        orders = OrderSearch(score, rules, stack.size * settings.depth)
        results.append(pruned(_improved(orders, settings.depth).masks, score, rules))
    return results


def _improved(orders: OrderSearch, depth: int) -> Ordered:
    """Return the order from which no chain of tucks gains."""
    best = orders.parents_of(orders.start())
    for _ in while_in_time(count(), "GRaSP, tucks"):
        better = _chain(orders, best, depth, np.ones(len(best.order), dtype=bool), {_dag(best): depth}, True)
        if better is None:
            break
        best = better
    return best


def _chain(orders: OrderSearch, here: Ordered, depth: int, near: BoolArray, met: dict[bytes, int], first: bool) -> Ordered | None:
    """Return an order with less loss at the end of a chain of at most `depth` tucks, or None.

    `met` are the DAGs met and how many tucks were left there. After the first, only edges around what the last tuck
    changed are tucked: others gain no more than they would have before it.
    """
    gaining, equals = orders.tucks(here, near, first)
    if gaining is not None:
        return orders.tucked(here, *gaining)[0]
    for start, stop in equals.tolist() if depth > 1 else ():
        there, changed = orders.tucked(here, start, stop)
        if met.get(dag := _dag(there), 0) >= depth - 1 or out_of_time():
            continue
        met[dag] = depth - 1
        around = changed | there.parents[changed].any(axis=0) | there.parents[:, changed].any(axis=1)
        found = _chain(orders, there, depth - 1, around, met, False)
        if found is not None:
            return found
    return None


def _dag(found: Ordered) -> bytes:
    return found.parents.tobytes()
