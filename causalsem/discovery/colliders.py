"""Which unshielded triples are colliders: what the tests given sets with and without the middle say."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal, NamedTuple, get_args

import numpy as np
from scipy.special import comb, log_ndtr

from causalsem._compiled import COMPILED
from causalsem._values import BoolArray, FloatArray, IntArray
from causalsem.discovery.found import Conflict, Rules
from causalsem.discovery.orient import Collider
from causalsem.discovery.scan import collider_correlations
from causalsem.discovery.scan_blocks import collider_tests
from causalsem.discovery.skeleton import ConditioningSets, Skeleton, in_time_slices
from causalsem.discovery.stack import Stack, Tests, z_of_log_p
from causalsem.errors import SettingError, shown

ColliderRule = Literal["max-p", "majority", "conservative", "sepset"]


def check_colliders(rule: str) -> None:
    """Raise SettingError unless the collider rule is known."""
    if rule not in get_args(ColliderRule):
        raise SettingError(f"unknown collider rule {rule!r}; use one of {shown(get_args(ColliderRule))}")


def unshielded(adjacent: BoolArray) -> IntArray:
    """Return the rows (b, i, m, j), i < j, of all i – m – j with i, j not adjacent."""
    p = adjacent.shape[1]
    flat = adjacent.reshape(-1, p)
    node, member = np.nonzero(flat)
    count = flat.sum(axis=1)
    # members (nodes, most neighbours): each node's neighbours in order, then −1.
    members = np.full((len(flat), max(int(count.max(initial=0)), 1)), -1, dtype=np.int64)
    members[node, np.arange(len(node)) - np.repeat(np.cumsum(count) - count, count)] = member
    first, second = np.triu_indices(members.shape[1], 1)
    i, j = members[:, first], members[:, second]
    b = np.arange(len(flat))[:, None] // p
    where, pair = np.nonzero((j >= 0) & ~adjacent[b, i, j])
    return np.column_stack([where // p, i[where, pair], where % p, j[where, pair]])


class Claims(NamedTuple):
    """The colliders claimed, the triples that stay ambiguous, and the triples (i, m, j) that no test speaks about."""

    colliders: list[Collider]
    ambiguous: list[Conflict]
    unjudged: list[tuple[int, int, int]]


def collider_claims(data: Tests, threshold: float, rule: ColliderRule, rules: Rules, found: Skeleton) -> list[Claims]:
    """Return, per data set, the colliders claimed and the triples that stay ambiguous."""
    triples = unshielded(found.adjacent)
    claims = [Claims([], [], []) for _ in range(data.size)]
    inside, outside, separating = _evidence(data, threshold, rule, rules, found, triples)
    # Where no test separates i and j, something else keeps them apart, such as knowledge: nothing is said about m.
    judged = np.minimum(inside, outside) <= threshold
    for b, i, m, j in triples[~judged].tolist():
        claims[b].unjudged.append((i, m, j))
    without, total = separating[:, 0], separating.sum(axis=1)
    if rule in ("max-p", "sepset"):
        collider, unclear = outside < inside, np.zeros(len(triples), dtype=bool)
    elif rule == "majority":
        collider, unclear = 2 * without > total, (total > 0) & (2 * without == total)
    else:
        collider, unclear = (total > 0) & (without == total), (without > 0) & (without < total)
    told = np.flatnonzero(judged & collider)
    strength = np.minimum(inside[told], threshold) - outside[told]
    for (b, i, m, j), value in zip(triples[told].tolist(), strength.tolist(), strict=True):
        claims[b].colliders.append(Collider(i, m, j, value))
    for at in np.flatnonzero(judged & unclear).tolist():
        b, i, m, j = triples[at].tolist()
        why = f"{without[at]} of {total[at]} separating sets are without {{1}}; no collider is claimed"
        claims[b].ambiguous.append(Conflict("{0} - {1} - {2} is ambiguous", (i, m, j), why))
    return claims


def _evidence(
    data: Tests, threshold: float, rule: ColliderRule, rules: Rules, found: Skeleton, triples: IntArray
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Return per triple (b, i, m, j) the smallest |z| of i, j given sets with m, that without m, and separating counts.

    Counts (t, 2) are of separating sets without and with m.
    """
    least = np.full((len(triples), 2), np.inf)
    separating = np.zeros((len(triples), 2), dtype=np.int64)
    tests = ConditioningSets(data, found.adjacent, rules.forbidden)
    # The sizes at which a triple is tested, first and last.
    own = found.level[triples[:, 0], triples[:, 1], triples[:, 3]]
    last = min(found.depth, int(np.ceil(data.n)) - 4)
    sizes = np.tile([0, last], (len(triples), 1))
    if rule == "sepset":
        sizes = np.where(own[:, None] < 0, [0, -1], np.column_stack([own, own]))
    if COMPILED and isinstance(data, Stack):
        _scan(data, tests, triples, sizes, threshold, least, separating)
        return least[:, 1], least[:, 0], separating
    for rows, size, sets, z in _tests_of(tests, triples, sizes):
        with_middle = (sets == triples[rows, 2][:, None, None]).any(axis=2)
        for side, mask in enumerate((~with_middle, with_middle)):
            least[rows, side] = np.minimum(least[rows, side], np.where(mask, z, np.inf).min(axis=1))
            # The empty set is met once for both ends, every other set once per end.
            separating[rows, side] += (mask & (z <= threshold)).sum(axis=1) * (2 if size == 0 else 1)
    return least[:, 1], least[:, 0], separating


def _scan(
    data: Stack, tests: ConditioningSets, triples: IntArray, sizes: IntArray, threshold: float, least: FloatArray, separating: IntArray
) -> None:
    """Write the evidence on triples by the machine code, which tells blocks' dependence as −log p; none on those left when time is up."""
    most = 2 * sum(math.comb(int(tests.count.max(initial=0)), size) for size in range(int(sizes[:, 1].max(initial=-1)) + 1))
    if data.widths is None:
        order = np.lexsort((triples[:, 3], triples[:, 1], triples[:, 0]))
        ends = triples[order][:, [0, 1, 3]]
        group = (
            np.append(np.flatnonzero(np.append(True, (ends[1:] != ends[:-1]).any(axis=1))), len(ends)) if len(ends) else np.zeros(1, int)
        )
        told, sets = least[order], separating[order]
        triples, sizes = triples[order], sizes[order]
        firsts = group[:-1]
        for some in in_time_slices(
            len(firsts), most, lambda: _count_tests(tests, triples[firsts], sizes[firsts]), data, "tests of colliders"
        ):
            mine = group[some.start : some.stop + 1]
            collider_correlations(data.R, data.n, tests.members, tests.count, triples, mine, sizes, threshold, told, sets)
        least[order], separating[order] = told, sets
        return
    limit = -float(np.log(2) + log_ndtr(-threshold))
    for some in in_time_slices(len(triples), most, lambda: _count_tests(tests, triples, sizes), data, "tests of colliders"):
        told, sets = least[some], separating[some]
        collider_tests(data.R, data.columns, data.n, tests.members, tests.count, triples[some], sizes[some], limit, told, sets)
    met = np.isfinite(least)
    least[met] = z_of_log_p(-least[met])


def _count_tests(tests: ConditioningSets, triples: IntArray, sizes: IntArray) -> FloatArray:
    """Return how many sets speak about each triple (b, i, m, j), at sizes (t, 2) from first to last."""
    total = np.zeros(len(triples))
    choices = [tests.choices(triples[:, ends]) for ends in ((0, 1, 3), (0, 3, 1))]
    for size in range(int(sizes[:, 1].max(initial=-1)) + 1):
        asked = (sizes[:, 0] <= size) & (size <= sizes[:, 1])
        total += asked * (comb(choices[0], size) + comb(choices[1], size))
    return total


def _tests_of(tests: ConditioningSets, triples: IntArray, sizes: IntArray) -> Iterator[tuple[IntArray, int, IntArray, FloatArray]]:
    """Yield (rows of triples, size, sets, |z|) over the sets that speak about a triple."""
    for size in range(int(sizes[:, 1].max(initial=-1)) + 1):
        chosen = np.flatnonzero((sizes[:, 0] <= size) & (size <= sizes[:, 1]))
        for ends in ((0, 1, 3), (0, 3, 1)) if size else ((0, 1, 3),):
            for rows, sets, z in tests.of_size(triples[chosen][:, ends], size):
                yield chosen[rows], size, sets, z
