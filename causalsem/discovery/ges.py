"""GES: greedy search over classes of DAGs by inserting, deleting and turning edges."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import ClassVar

import numpy as np

from causalsem._progress import progress
from causalsem.discovery.budget import out_of_time
from causalsem.discovery.found import Found, Rules
from causalsem.discovery.order_search import OrderSearch, in_order_of
from causalsem.discovery.orient import class_of, restrict
from causalsem.discovery.scores import GaussianBIC, check_penalty
from causalsem.discovery.stack import Stack
from causalsem.graph.pdag import PDAG, bits, from_masks, to_masks

# The first search turns edges each time that p / 4 have been inserted, but two at least, the second each time that 4 p have.
EARLY, FEWEST_INSERTIONS, LATE = 4, 2, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class GES:
    """Greedy equivalence search with the Gaussian BIC (Chickering 2002; with tiers as Bang & Didelez 2023).

    The score is log-likelihood − `penalty_discount`·log(n)/2·parameters: 1 is the usual BIC, 2 (the default) is
    nearer to the truth on most sample sizes. Insertions, deletions and turns alternate until none gains (the three
    phases of Hauser & Bühlmann 2012). Edges are turned many at once, by moving variables to better places in an order
    of the graph. There are two such searches, and the better one is the result: one turns after a few insertions, for
    what is inserted into a dense graph that points the wrong way is mostly wrong; one turns late.
    """

    penalty_discount: float = 2.0
    engine: str = "causalsem"

    consumes: ClassVar[str] = "moments"
    returns: ClassVar[str] = "CPDAG"
    assumes: ClassVar[tuple[str, ...]] = ("acyclic", "no hidden confounders", "faithfulness", "linear relations with Gaussian noise")

    def __post_init__(self) -> None:
        check_penalty(self.penalty_discount)


@dataclass(frozen=True, slots=True)
class Step:
    """An insertion or deletion of x – y with the neighbours `others` (mask) of y that it orients."""

    gain: float
    x: int
    y: int
    others: int


def search(stack: Stack, settings: GES, rules: Rules) -> list[Found]:
    """Return the class that GES finds in each data set."""
    return [search_one(GaussianBIC(stack, b, settings.penalty_discount), rules, stack.size) for b in range(stack.size)]


def search_one(score: GaussianBIC, rules: Rules, datasets: int = 1) -> Found:
    """Return the class that GES finds by a score, in one of `datasets` like it."""
    space, orders = Space(rules), OrderSearch(score, rules, 2 * datasets)
    dag, total = alternated(score, space, orders, max(score.p // EARLY, FEWEST_INSERTIONS))
    if not out_of_time():
        other, value = alternated(score, space, orders, LATE * score.p)
        if value > total + score.noise:
            dag, total = other, value
    found = class_of(dag, rules)
    return Found(found.marks, found.kind, (), (("score", total),))


def alternated(score: GaussianBIC, space: Space, orders: OrderSearch, most: int) -> tuple[list[int], float]:
    """Return the DAG, and its score, where `most` insertions at a time, deletions and turns no longer gain."""
    graph = space.of_dag(to_masks(space.rules.required.T))
    total = -np.inf
    for _ in progress(count(), "GES, rounds"):
        graph = insert_while_gaining(graph, score, space, most)
        graph = delete_while_gaining(graph, score, space)
        graph, dag, value = turned(graph, score, space, orders)
        if value <= total + score.noise or out_of_time():
            break
        total = value
    return dag, value


def turned(graph: PDAG, score: GaussianBIC, space: Space, orders: OrderSearch) -> tuple[PDAG, list[int], float]:
    """Return the class after variables have moved to better places, one of its DAGs and the score; the same if nothing gains."""
    dag = graph.extension()
    assert dag is not None  # every accepted step has one
    value = score.total(dag)
    if out_of_time():
        return graph, dag, value
    # What the graph's arrows leave open goes as the order searches begin.
    rank = np.argsort(orders.start()).astype(np.float64)
    found = orders.settled(in_order_of(rank, from_masks(graph.pa) | orders.before.T), warm=True)
    if found.score <= value + score.noise:
        return graph, dag, value
    return space.of_dag(found.masks), found.masks, found.score


class Space:
    """The classes of DAGs that obey the rules."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.p = len(rules.forbidden)
        self.free = rules.silent
        # may_cause[y]: who may point at y; must_cause[y]: whose arrow into y has to stay.
        self.may_cause = to_masks(~rules.forbidden.T & ~np.eye(self.p, dtype=bool))
        self.must_cause = to_masks(rules.required.T)

    def of_dag(self, dag: list[int]) -> PDAG:
        """Return the class of a DAG within the rules."""
        graph = PDAG.from_dag(dag)
        return graph if self.free else restrict(graph, self.rules)

    def obeys(self, dag: list[int]) -> bool:
        """Tell whether a DAG has every required and no forbidden arrow."""
        pairs = zip(dag, self.may_cause, self.must_cause, strict=True)
        return all(not pa & ~may and not must & ~pa for pa, may, must in pairs)

    def after(self, graph: PDAG, old: PDAG, score: GaussianBIC) -> PDAG | None:
        """Return the class of a changed graph, or None when no DAG has its edges, obeys the rules and gains in score."""
        if self.free:
            # Theorems 15 and 17 promise a DAG with the changed graph's skeleton and v-structures.
            return graph.completed()
        dag, before = graph.extension(), old.extension()
        if dag is None or before is None or not self.obeys(dag):
            return None
        changed = [k for k in range(self.p) if before[k] != dag[k]]
        gain = sum(score.local(k, dag[k]) - score.local(k, before[k]) for k in changed)
        return self.of_dag(dag) if gain > score.noise else None


Act = Callable[[PDAG, Step], PDAG | None]


def insert_while_gaining(graph: PDAG, score: GaussianBIC, space: Space, most: int) -> PDAG:
    """Insert the best edge until none gains, `most` at most."""

    def act(old: PDAG, step: Step) -> PDAG | None:
        new = _insert(old, step)
        return None if new is None else space.after(new, old, score)

    return _while_gaining(graph, lambda g, y: _insertions(g, y, score, space), act, most)


def delete_while_gaining(graph: PDAG, score: GaussianBIC, space: Space) -> PDAG:
    """Delete the edge that the score misses least until each is missed."""
    return _while_gaining(graph, lambda g, y: _deletions(g, y, score, space), lambda old, step: space.after(_delete(old, step), old, score))


def _while_gaining(graph: PDAG, propose: Callable[[PDAG, int], list[Step]], act: Act, most: int | None = None) -> PDAG:
    """Take the best legal step until there is none, `most` at most; `propose` lists the gaining steps into a node, the best first."""
    p = len(graph.pa)
    steps = [propose(graph, y) for y in range(p)]
    for _ in count() if most is None else range(most):
        if out_of_time():
            break
        following = _best(graph, steps, act)
        if following is None:
            return graph
        new, step = following
        # Steps into y depend on y's parents and neighbours, and on who is adjacent to these.
        stale = graph.ne[step.x] | graph.ne[step.y] | new.ne[step.x] | new.ne[step.y] | (1 << step.x) | (1 << step.y)
        for y in range(p):
            if (stale >> y) & 1 or graph.pa[y] != new.pa[y] or graph.ne[y] != new.ne[y]:
                steps[y] = propose(new, y)
        graph = new
    return graph


def _best(graph: PDAG, steps: list[list[Step]], act: Act) -> tuple[PDAG, Step] | None:
    """Return the graph after the best legal step, and that step; `steps` are sorted by gain for every y."""
    heads = [(-some[0].gain, y, 0) for y, some in enumerate(steps) if some]
    heapq.heapify(heads)
    while heads:
        _, y, k = heapq.heappop(heads)
        new = act(graph, steps[y][k])
        if new is not None:
            return new, steps[y][k]
        if k + 1 < len(steps[y]):
            heapq.heappush(heads, (-steps[y][k + 1].gain, y, k + 1))
    return None


def _insertions(graph: PDAG, y: int, score: GaussianBIC, space: Space) -> list[Step]:
    """Return the insertions x → y that gain and keep a clique (Chickering 2002, theorem 15, first condition), best first."""
    steps: list[Step] = []
    around, far = graph.ne[y], space.may_cause[y] & ~graph.adjacent(y)
    near = 0
    for k in bits(around):
        near |= graph.adjacent(k)
    groups: dict[int, int] = {0: far & ~near}
    for x in bits(far & near):
        common = graph.adjacent(x) & around
        groups[common] = groups.get(common, 0) | (1 << x)
    for common, xs in groups.items():
        for clique in _cliques(graph, common, around & ~common):
            if out_of_time():
                return []
            gains = score.gains(y, graph.pa[y] | clique)
            gaining = np.flatnonzero(gains > score.noise).tolist()
            steps += [Step(float(gains[x]), x, y, clique & ~common) for x in gaining if (xs >> x) & 1]
    return sorted(steps, key=lambda step: -step.gain)


def _insert(graph: PDAG, step: Step) -> PDAG | None:
    """Return the graph with x → y inserted, or None when a path from y to x stays open (theorem 15, second condition)."""
    blocked = (graph.ne[step.y] & graph.adjacent(step.x)) | step.others
    if graph.semi_directed(step.y, step.x, blocked):
        return None
    new = graph.copy()
    new.add_arrow(step.x, step.y)
    for t in bits(step.others):
        new.orient(t, step.y)
    return new


def _deletions(graph: PDAG, y: int, score: GaussianBIC, space: Space) -> list[Step]:
    """Return the deletions of x – y or x → y that gain and keep a clique (theorem 17), best first."""
    steps: list[Step] = []
    for x in bits((graph.ne[y] | graph.pa[y]) & ~space.must_cause[y]):
        common = graph.ne[y] & graph.adjacent(x)
        for clique in _cliques(graph, 0, common):
            if out_of_time():
                return []
            gain = -score.gain(y, (graph.pa[y] | clique) & ~(1 << x), x)
            if gain > score.noise:
                steps.append(Step(gain, x, y, common & ~clique))
    return sorted(steps, key=lambda step: -step.gain)


def _delete(graph: PDAG, step: Step) -> PDAG:
    """Return the graph without the edge of x and y, its common neighbours `others` turned away from both."""
    new = graph.copy()
    new.remove(step.x, step.y)
    for h in bits(step.others):
        new.orient(step.y, h)
        if (new.ne[step.x] >> h) & 1:
            new.orient(step.x, h)
    return new


def _cliques(graph: PDAG, core: int, more: int) -> Iterator[int]:
    """Yield every clique that holds `core` and otherwise only nodes of `more`; nothing when `core` is none."""
    for k in bits(core):
        if core & ~graph.adjacent(k) & ~(1 << k):
            return
        more &= graph.adjacent(k)
    stack = [(core, more)]
    while stack:
        clique, rest = stack.pop()
        yield clique
        for k in bits(rest):
            # Later nodes only, so that every clique comes once.
            stack.append((clique | (1 << k), rest & graph.adjacent(k) & ~((2 << k) - 1)))
