"""Number-functions of matrix factorisation, in machine code where numba is installed."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from causalsem._compiled import compiled
from causalsem._values import IntArray

Reals: TypeAlias = npt.NDArray[np.floating[Any]]  # all of a call in one precision


@compiled
def als_half_step(solved: Reals, other: Reals, gram: Reals, starts: IntArray, columns: IntArray, weights: Reals, rounds: int) -> None:
    """Bring each row of `solved` (n, f) nearer to its ridge solution given `other` (m, f), in place; all of one dtype.

    Hu, Koren & Volinsky (2008): row u minimises Σ_i c_ui (p_ui − x·y_i)² + penalty ‖x‖², c = 1 + w where seen (p = 1) and 1
    elsewhere, by `rounds` of conjugate gradients from where it is (Takács, Pilászy & Tikk 2011). `gram` (f, f) is
    otherᵀ other + penalty I. Row u has seen columns[starts[u]:starts[u + 1]] with weights w.
    """
    for u in range(len(starts) - 1):
        low, high = starts[u], starts[u + 1]
        if low == high:
            solved[u, :] = 0
            continue
        seen = other[columns[low:high]]  # (n_u, f)
        w = weights[low:high]
        x = solved[u].copy()
        # b − A x with A = gram + Σ w y yᵀ and b = Σ (1 + w) y.
        error = w * (seen @ x)
        for k in range(len(w)):
            error[k] = 1 + w[k] - error[k]
        residual = error @ seen - gram @ x
        direction = residual.copy()
        size = residual @ residual
        for _ in range(rounds):
            if size < 1e-20:
                break
            moved = gram @ direction + (w * (seen @ direction)) @ seen
            step = size / (direction @ moved)
            x += step * direction
            residual -= step * moved
            new = residual @ residual
            direction = residual + (new / size) * direction
            size = new
        solved[u, :] = x


@compiled
def bpr_epoch(
    users: Reals,
    items: Reals,
    bias: Reals,
    rows: IntArray,
    columns: IntArray,
    starts: IntArray,
    drawn: IntArray,
    rate: float,
    penalty: float,
    candidates: int,
) -> None:
    """Take one step of Bayesian personalised ranking per seen pair, in place (Rendle et al. 2009).

    A step draws an unseen item, the best scored of `candidates` draws (Zhang et al. 2013), and raises the seen item's score above
    it: x_u += rate (σ(−d)(y_i − y_j) − penalty x_u), and so on, d = score(u, i) − score(u, j). `drawn` holds random
    numbers: a seen pair, then `candidates` items, per step; columns[starts[u]:starts[u + 1]] are sorted.
    """
    f = users.shape[1]
    m = len(items)
    width = candidates + 1
    for k in range(len(rows)):
        pair = drawn[k * width] % len(rows)
        u, i = rows[pair], columns[pair]
        j, best = -1, -1e30
        for c in range(candidates):
            candidate = drawn[k * width + 1 + c] % m
            low, high = starts[u], starts[u + 1]
            while low < high:
                middle = (low + high) // 2
                if columns[middle] < candidate:
                    low = middle + 1
                else:
                    high = middle
            if low < starts[u + 1] and columns[low] == candidate:
                continue
            told = bias[candidate]
            for q in range(f):
                told += users[u, q] * items[candidate, q]
            if told > best:
                j, best = candidate, told
        if j < 0:
            continue
        ahead = bias[i] - best
        for q in range(f):
            ahead += users[u, q] * items[i, q]
        pull = 1.0 / (1.0 + np.exp(ahead))
        for q in range(f):
            x, y, z = users[u, q], items[i, q], items[j, q]
            users[u, q] += rate * (pull * (y - z) - penalty * x)
            items[i, q] += rate * (pull * x - penalty * y)
            items[j, q] += rate * (-pull * x - penalty * z)
        bias[i] += rate * (pull - penalty * bias[i])
        bias[j] += rate * (-pull - penalty * bias[j])
