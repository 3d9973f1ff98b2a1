"""graph_posterior(): DAGs drawn from their posterior given moments, by a walk over orders of the variables.

Within an order each node draws its parents among the nodes before it, independently of the others, so the weight of an
order is a product of sums over parent sets, and a walk over orders needs no walk over graphs (Friedman & Koller 2003).
Beforehand a DAG is as likely as it is to come about when arrows are drawn along a random order, each with chance q;
q is drawn along with the order. The likelihood is that of a linear Gaussian model.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from causalsem._values import BoolArray, FloatArray, IntArray
from causalsem.behaviour import Moments, as_moments
from causalsem.discovery.found import Evidence, Rules
from causalsem.discovery.known import known_of
from causalsem.discovery.stability import EdgeStability
from causalsem.errors import DataError, SettingError
from causalsem.graph import Knowledge
from causalsem.graph.marks import ARROW, TAIL, MarkArray

# A node's parents are looked for among this many candidates: 2 ** MOST sets each.
MOST = 11
# Chances of an arrow that the walk moves between, equally likely beforehand.
CHANCES = np.array([0.03, 0.08, 0.15, 0.25, 0.4, 0.55, 0.7, 0.85])
# Walks from different random orders.
WALKS = 2
# The right price of an arrow is not known: the draws come in equal parts from prices that differ by this much.
SPREAD = (-1.2, 0.0, 1.2)
# Rows that one degree more of the walk's first temperature makes up for.
HOT = 100
# DAGs of a first round, which tell how large effects are.
FIRST = 40


def graph_posterior(
    data: Moments, *, knowledge: Knowledge | None = None, names: Iterable[str] | None = None, times: int = 1000, seed: int = 0
) -> EdgeStability:
    """Return `times` DAGs drawn from their posterior given moments, within what is known: the shares are probabilities.

    Without `knowledge`, the tiers of the moments' table hold. Assumes linear relations, Gaussian noise and no hidden
    common cause. A node has its parents among the 11 other nodes that are nearest to it. Raises as `discover` does for
    moments that are not regular.
    """
    moments = as_moments(data).require_regular()
    moments = moments if names is None else moments.select(names)
    evidence = Evidence(moments.correlation, moments.n, Rules.of(known_of(knowledge, moments.origin), moments.names))
    return posterior_of(evidence, moments.names, times, seed)


def posterior_of(evidence: Evidence, names: tuple[str, ...], times: int, seed: int, *, doubt: bool = False) -> EdgeStability:
    """Return the drawn DAGs as a value; `doubt` as in `parent_scores`."""
    if times < 1:
        raise SettingError(f"times is {times}; draw at least one graph")
    marks = drawn_dags(evidence, times, np.random.default_rng(seed), doubt=doubt)
    facts = {"method": "graph_posterior", "n": float(evidence.n), "seed": seed}
    return EdgeStability(names, marks, "DAG", facts, evidence)


def drawn_dags(evidence: Evidence, times: int, rng: np.random.Generator, *, doubt: bool = False) -> MarkArray:
    """Return end marks (times, p, p) of DAGs from the posterior; `doubt` as in `parent_scores`."""
    if len(evidence.R) == 1:
        return np.zeros((times, 1, 1), dtype=np.int8)
    first = _drawn(evidence, np.log(evidence.n) / 2, FIRST, rng, doubt)
    price = price_of_an_arrow(evidence.n, typical_size(evidence.R, first))
    each = -(-times // len(SPREAD))
    drawn = np.concatenate([_drawn(evidence, max(price + more, 0.5), each, rng, doubt) for more in SPREAD])
    return drawn[rng.permutation(len(drawn))[:times]]


def price_of_an_arrow(n: float, size: float) -> float:
    """Return what an arrow must add to the log-likelihood to be as likely as not: log n + 2 log size − ½.

    `size` is the typical coefficient. BIC's log(n) / 2 stands for effects as likely to be near zero as anywhere. Where
    arrows mean effects of some size, the evidence against a needless one grows like 3/2 log(n size²) instead (moment
    priors, Johnson & Rossell 2010); log(n size²) − ½ was closest to the truth in simulated worlds of 100 to 3,000 rows
    with coefficients from .05 to 2 (seeds 5, 12 and 1000; docs/benchmarks.md measures on others).
    """
    return float(max(np.log(n) + 2 * np.log(size) - 0.5, 0.5))


def typical_size(R: FloatArray, marks: MarkArray) -> float:
    """Return the root mean square of the standardised coefficients of DAGs (times, p, p)."""
    found = np.concatenate([coefficients(R, heads) for heads in marks == ARROW])
    return float(np.sqrt(np.mean(found**2))) if len(found) else 0.3


def coefficients(R: FloatArray, dag: BoolArray) -> FloatArray:
    """Return the standardised coefficients of all arrows of a DAG, given correlations R."""
    found = [np.zeros(0)]
    for v in range(len(R)):
        parents = np.flatnonzero(dag[:, v])
        if len(parents):
            found.append(np.linalg.solve(R[np.ix_(parents, parents)], R[parents, v]))
    return np.concatenate(found)


def _drawn(evidence: Evidence, price: float, times: int, rng: np.random.Generator, doubt: bool = False) -> MarkArray:
    p = len(evidence.R)
    candidates = candidate_parents(evidence)
    scores = [parent_scores(evidence, v, candidates[v], price, doubt) for v in range(p)]
    odds = np.log(CHANCES) - np.log1p(-CHANCES)
    slots = np.full((p, p), -1)
    for v, around in enumerate(candidates):
        slots[v, around] = np.arange(len(around))
    free = p * (p - 1) / 2 - np.triu(evidence.rules.apart, 1).sum()
    tables = np.stack([sums_below(one, odds) for one in scores], axis=1)
    orders, at = _orders(tables, free * np.log1p(-CHANCES), slots, evidence.rules.required, times, evidence.n / HOT, rng)
    rank = np.argsort(orders, axis=1)
    marks = np.zeros((times, p, p), dtype=np.int8)
    for v, around in enumerate(candidates):
        chosen = drawn_parents(scores[v], rank[:, around] < rank[:, [v]], odds[at], rng)
        marks[:, around, v] = np.where(chosen, ARROW, marks[:, around, v])
        marks[:, v, around] = np.where(chosen, TAIL, marks[:, v, around])
    return marks


# -- parent sets -----------------------------------------------------------------------


def candidate_parents(evidence: Evidence) -> list[IntArray]:
    """Return, per node, the numbers of the nodes that may be its parents: the MOST nearest by (partial) correlation."""
    R, rules = evidence.R, evidence.rules
    precision = np.linalg.inv(R)
    partial = np.abs(precision) / np.sqrt(np.outer(np.diag(precision), np.diag(precision)))
    near = np.where(rules.required, 2.0, np.maximum(partial, np.abs(R) / 2))
    near[rules.forbidden] = -1.0
    np.fill_diagonal(near, -1.0)
    ranked = np.argsort(-near, axis=0, kind="stable")[:MOST]
    return [np.sort(ranked[near[ranked[:, v], v] >= 0, v]) for v in range(len(R))]


def parent_scores(evidence: Evidence, v: int, candidates: IntArray, price: float, doubt: bool = False) -> FloatArray:
    """Return the score (2 ** K,) of each set of K candidates, a mask, as parents of v; −inf without a required one.

    That is the gain in log-likelihood less the price of each arrow. With `doubt` weak arrows cost more and strong ones
    less, Σ log 2 (1 + z²) / (2 + z² + 2 · price) with z the arrows' z-values: effects near zero are then less likely than
    effects of some size (as in moment priors, Johnson & Rossell 2010, but bounded, so that no strong arrow is cheap). It
    makes the shares of edges truer, and those of valid adjustment sets, which hang on weak arrows, less true
    (docs/benchmarks.md), so each is drawn its own way.
    """
    inside = _inside(len(candidates))
    size = inside.sum(axis=1)
    scores = -price * size
    for k in range(1, len(candidates) + 1):
        some = np.flatnonzero(size == k)
        sets = candidates[np.nonzero(inside[some])[1].reshape(len(some), k)]
        row = evidence.R[v][sets]
        inverse = np.linalg.inv(evidence.R[sets[:, :, None], sets[:, None, :]])
        weights = np.einsum("sij,sj->si", inverse, row)
        left = 1 - np.clip(np.einsum("sk,sk->s", row, weights), 0.0, 1 - 1e-15)
        squared_z = evidence.n * weights**2 / (left[:, None] * np.einsum("sii->si", inverse))
        scores[some] -= evidence.n / 2 * np.log(left)
        if doubt:
            scores[some] += np.log(2 * (1 + squared_z) / (2 + squared_z + 2 * price)).sum(axis=1)
    scores[(inside < evidence.rules.required[candidates, v]).any(axis=1)] = -np.inf
    return np.asarray(scores)


def sums_below(scores: FloatArray, odds: FloatArray) -> FloatArray:
    """Return log Σ over subsets of each mask of exp(score + size · odds), (len(odds), 2 ** MOST), for all log odds."""
    K = len(scores).bit_length() - 1
    sums = scores + odds[:, None] * _inside(K).sum(axis=1)
    for bit in range(K):
        halves = sums.reshape(len(odds), -1, 2, 2**bit)
        halves[:, :, 1] = np.logaddexp(halves[:, :, 1], halves[:, :, 0])
    return np.pad(sums, ((0, 0), (0, 2**MOST - 2**K)), constant_values=-np.inf)


def drawn_parents(scores: FloatArray, before: BoolArray, odds: FloatArray, rng: np.random.Generator) -> BoolArray:
    """Return parents (times, K) drawn among the candidates that come `before` (times, K), at log odds (times,)."""
    inside = _inside(before.shape[1])
    size, masks = inside.sum(axis=1), np.arange(len(inside))
    may = before @ (1 << np.arange(before.shape[1]))
    uniform, drawn = rng.random(len(may)), np.zeros(len(may), dtype=np.int64)
    kinds, which = np.unique(np.stack([may, odds], axis=1), axis=0, return_inverse=True)
    for k, (mask, log_odds) in enumerate(kinds):
        below = masks[(masks & ~int(mask)) == 0]
        weights = scores[below] + log_odds * size[below]
        shares = np.cumsum(np.exp(weights - weights.max()))
        rows = which.ravel() == k
        drawn[rows] = below[np.searchsorted(shares, uniform[rows] * shares[-1], side="right").clip(max=len(below) - 1)]
    return inside[drawn]


def _inside(K: int) -> BoolArray:
    """Return which of K candidates are in each mask, (2 ** K, K)."""
    return ((np.arange(2**K)[:, None] >> np.arange(K)) & 1).astype(bool)


# -- orders ----------------------------------------------------------------------------


def _orders(
    tables: FloatArray, prior: FloatArray, slots: IntArray, required: BoolArray, times: int, hot: float, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Return orders (times, p) of the nodes and the number of the chance (times,) they were drawn with."""
    from causalsem.discovery.posterior_walk import walk

    p = len(slots)
    each = -(-times // WALKS)
    gap, burn = max(20, 4 * p), 2500 + 60 * p * p
    found = []
    for _ in range(WALKS):
        steps = burn + gap * each
        start = order_within(required, rng)
        moves = rng.integers(0, p, (steps, 2))
        turns = rng.choice(np.array([-1, 1]), (steps, 2))
        found.append(walk(tables, prior, slots, start, moves, turns, np.log(rng.random((steps, 2))), burn, gap, hot))
    return np.concatenate([orders for orders, _ in found])[:times], np.concatenate([at for _, at in found])[:times]


def order_within(required: BoolArray, rng: np.random.Generator) -> IntArray:
    """Return a random order in which required parents come first."""
    waiting, order = rng.permutation(len(required)).tolist(), []
    while waiting:
        ready = next((v for v in waiting if not required[waiting, v].any()), None)
        if ready is None:
            raise DataError("the required arrows close a cycle; drop one of them")
        order.append(ready)
        waiting.remove(ready)
    return np.array(order, dtype=np.int64)
