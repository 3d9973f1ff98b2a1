"""GRaSP: greedy relaxations of the sparsest permutation, edges tucked until the score gains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from causalsem._values import IntArray
from causalsem.discovery.boss import pruned
from causalsem.discovery.budget import out_of_time
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
    that is not covered. `penalty_discount` is in units of BIC.
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
    while not out_of_time():
        better = _chain(orders, best, best.loss, depth, {best.parents.tobytes()}, True)
        if better is None:
            break
        best = better
    return best


def _chain(orders: OrderSearch, here: Ordered, loss: float, depth: int, seen: set[bytes], first: bool) -> Ordered | None:
    """Return an order with less loss at the end of a chain of at most `depth` tucks, or None; `seen` are the DAGs met."""
    parents = here.masks
    # The latest first: what is behind them hardly changes.
    for child in here.order[::-1].tolist():
        # By their place in the order, so that column order does not matter.
        for parent in here.order[here.parents[child][here.order]].tolist():
            covered = parents[child] == parents[parent] | (1 << parent)
            if not (covered or first) or out_of_time():
                continue
            order = tucked(here.order, parents, parent, child)
            if order is None or not orders.allows(order):
                continue
            there = orders.after(here, order)
            if there.loss < loss - orders.noise:
                return there
            if depth > 1 and there.loss < loss + orders.noise and (dag := there.parents.tobytes()) not in seen:
                seen.add(dag)
                found = _chain(orders, there, loss, depth - 1, seen, False)
                if found is not None:
                    return found
    return None


def tucked(order: IntArray, parents: list[int], parent: int, child: int) -> IntArray:
    """Return the order in which the child, and its ancestors among those between, come before the parent."""
    start, stop = (int(np.flatnonzero(order == k)[0]) for k in (parent, child))
    between = order[start : stop + 1].tolist()
    ancestors = 1 << child
    for node in reversed(between):
        if (ancestors >> node) & 1:
            ancestors |= parents[node] & ~(1 << parent)
    first = [k for k in between if (ancestors >> k) & 1]
    return np.concatenate([order[:start], first, [k for k in between if not (ancestors >> k) & 1], order[stop + 1 :]]).astype(np.int64)
