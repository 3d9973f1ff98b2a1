"""The walk over orders behind graph_posterior, as machine code where numba is installed."""

from __future__ import annotations

import numpy as np

from causalsem._compiled import compiled
from causalsem._values import FloatArray, IntArray


@compiled
def walk(  # noqa: PLR0912  one visible loop
    tables: FloatArray,
    prior: FloatArray,
    slots: IntArray,
    order: IntArray,
    moves: IntArray,
    turns: IntArray,
    coins: FloatArray,
    burn: int,
    gap: int,
    hot: float,
) -> tuple[IntArray, IntArray]:
    """Return every `gap`-th order (m, p) after `burn` steps of a Metropolis walk, and the chance (m,) it stood at.

    tables[q, v, mask] is the log sum over parent sets of v within the mask of v's candidates that come before it, at
    chance q; slots[v, u] is u's bit in that mask, −1 when u is no candidate. A step takes a node to another place, by
    turns any and the one beside it (`moves`, `turns`); every fifth also tries the next chance. `coins` are log uniform.
    Over the first steps the walk cools from a temperature of 1 + `hot` to 1, so that much data do not catch it in the
    first good order it meets.
    """
    p, chances = len(order), len(prior)
    before = np.zeros(p, np.int64)
    for i in range(p):
        for j in range(i):
            if slots[order[i], order[j]] >= 0:
                before[order[i]] |= 1 << slots[order[i], order[j]]
    kept = (len(moves) - burn) // gap
    orders, stood = np.empty((kept, p), np.int64), np.empty(kept, np.int64)
    q = chances // 2
    for step in range(len(moves)):
        heat = 1.0 + hot * max(0.0, 1.0 - step / (0.8 * burn)) ** 3
        i, j = moves[step, 0], moves[step, 1]
        if step % 2:
            j = min(max(i + turns[step, 0], 0), p - 1)
        if i != j:
            # Node a passes all nodes between: they gain or lose it as one that comes before, and it them.
            a, way, gain, own = order[i], 1 if j > i else -1, 0.0, before[order[i]]
            for k in range(i + way, j + way, way):
                u = order[k]
                if slots[u, a] >= 0:
                    gain += tables[q, u, before[u] ^ (1 << slots[u, a])] - tables[q, u, before[u]]
                if slots[a, u] >= 0:
                    own ^= 1 << slots[a, u]
            gain += tables[q, a, own] - tables[q, a, before[a]]
            if gain >= heat * coins[step, 0]:
                for k in range(i + way, j + way, way):
                    u = order[k]
                    if slots[u, a] >= 0:
                        before[u] ^= 1 << slots[u, a]
                    order[k - way] = u
                order[j], before[a] = a, own
        r = q + turns[step, 1]
        if step % 5 == 0 and 0 <= r < chances:
            gain = prior[r] - prior[q]
            for v in range(p):
                gain += tables[r, v, before[v]] - tables[q, v, before[v]]
            if gain >= heat * coins[step, 1]:
                q = r
        if step >= burn and (step - burn + 1) % gap == 0:
            orders[(step - burn + 1) // gap - 1] = order
            stood[(step - burn + 1) // gap - 1] = q
    return orders, stood
