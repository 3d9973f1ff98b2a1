"""The subsets of a node's candidates, in lexicographic order, for loops in machine code."""

from __future__ import annotations

from causalsem._compiled import compiled
from causalsem._values import IntArray


@compiled
def candidates_of(members: IntArray, count: int, other: int, into: IntArray) -> int:
    """Write the first `count` members other than `other` to `into`, and return how many they are."""
    m = 0
    for s in range(count):
        if members[s] != other:
            into[m] = members[s]
            m += 1
    return m


@compiled
def first_subset(place: IntArray, size: int, m: int) -> int:
    """Set `place` to the first subset of range(m) of one size; return 0, or −1 when there is none."""
    for s in range(size):
        place[s] = s
    return 0 if size <= m else -1


@compiled
def next_subset(place: IntArray, size: int, m: int) -> int:
    """Move `place` to the next subset of range(m) in lexicographic order; return the first place that changed, −1 at the end."""
    s = size - 1
    while s >= 0 and place[s] == m - size + s:
        s -= 1
    if s < 0:
        return -1
    place[s] += 1
    for t in range(s + 1, size):
        place[t] = place[t - 1] + 1
    return s
