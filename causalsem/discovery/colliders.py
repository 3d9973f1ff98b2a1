"""Which unshielded triples are colliders: what the tests given sets with and without the middle say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple, get_args

import numpy as np
from scipy.special import log_ndtr

from causalsem._compiled import COMPILED
from causalsem._values import BoolArray, FloatArray, IntArray
from causalsem.discovery.found import Conflict, Rules
from causalsem.discovery.orient import Collider
from causalsem.discovery.scan import collider_tests
from causalsem.discovery.skeleton import ConditioningSets, Skeleton
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
    """The colliders claimed, the triples that stay ambiguous, and all triples (i, m, j) that tests speak about."""

    colliders: list[Collider]
    ambiguous: list[Conflict]
    judged: set[tuple[int, int, int]]


def collider_claims(data: Tests, threshold: float, rule: ColliderRule, rules: Rules, found: Skeleton) -> list[Claims]:
    """Return, per data set, the colliders claimed and the triples that stay ambiguous."""
    triples = unshielded(found.adjacent)
    claims = [Claims([], [], set()) for _ in range(data.size)]
    inside, outside, separating = _evidence(data, threshold, rule, rules, found, triples)
    for at, (b, i, m, j) in enumerate(triples.tolist()):
        if min(inside[at], outside[at]) > threshold:
            # Knowledge, not a test, keeps i and j apart, so nothing is said about m.
            continue
        claims[b].judged.add((i, m, j))
        without, total = int(separating[at, 0]), int(separating[at].sum())
        if rule in ("max-p", "sepset"):
            collider, unclear = bool(outside[at] < inside[at]), False
        elif rule == "majority":
            collider, unclear = 2 * without > total, total > 0 and 2 * without == total
        else:
            collider, unclear = total > 0 and without == total, 0 < without < total
        if collider:
            claims[b].colliders.append(Collider(i, m, j, min(inside[at], threshold) - outside[at]))
        if unclear:
            why = f"{without} of {total} separating sets are without {{1}}; no collider is claimed"
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
    """Write the evidence on triples by the machine code, which tells blocks' dependence as −log p."""
    limit = threshold if data.widths is None else -float(np.log(2) + log_ndtr(-threshold))
    collider_tests(data.R, data.columns, data.n, tests.members, tests.count, triples, sizes, limit, least, separating)
    if data.widths is not None:
        met = np.isfinite(least)
        least[met] = z_of_log_p(-least[met])


def _tests_of(tests: ConditioningSets, triples: IntArray, sizes: IntArray) -> Iterator[tuple[IntArray, int, IntArray, FloatArray]]:
    """Yield (rows of triples, size, sets, |z|) over the sets that speak about a triple."""
    for size in range(int(sizes[:, 1].max(initial=-1)) + 1):
        chosen = np.flatnonzero((sizes[:, 0] <= size) & (size <= sizes[:, 1]))
        for ends in ((0, 1, 3), (0, 3, 1)) if size else ((0, 1, 3),):
            for rows, sets, z in tests.of_size(triples[chosen][:, ends], size):
                yield chosen[rows], size, sets, z
