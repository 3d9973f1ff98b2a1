"""Number functions of the order searches: parents by grow-shrink, the best place of a variable in an order, tucks.

With numba these are machine code, without it the same numbers in plain Python; loops stand where numpy has a word for
it, because they take numba a fraction of the time to translate. Everything that one of them calls stands in this file,
long as it is: numba looks at no other when it decides whether its code on disk is still good.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from causalsem._compiled import compiled
from causalsem._values import BoolArray, FloatArray, IntArray

TINY = 1e-300


class Task(NamedTuple):
    """What is searched: p variables of w columns each (1, or more for blocks).

    R (w·p, w·p) are their correlations. `toll[u, k]` is exp(2·price / n) of k as a parent of u, so that k gains when
    Λ·toll < 1, with Λ the share of u's residual (generalised) variance that k leaves unexplained. `may[u, k]`,
    `must[u, k]`: k may be, has to be a parent of u. `before[i, j]`: i has to come before j. A loss is −2 / n times a
    local score; less than `noise` of it is rounding, and `limit` is exp(−noise). With `warm`, parents are mended
    instead of chosen anew.
    """

    R: FloatArray
    toll: FloatArray
    may: BoolArray
    must: BoolArray
    before: BoolArray
    limit: float
    noise: float
    warm: bool


class Work(NamedTuple):
    """Room to calculate in: X (w·p, w·p), V (p, w, w), C (w, w·p), left (p,), places (p,)."""

    X: FloatArray
    V: FloatArray
    C: FloatArray
    left: FloatArray
    places: IntArray


@compiled
def room(p: int, w: int) -> Work:
    """Return room for p variables of w columns."""
    return Work(np.empty((w * p, w * p)), np.empty((p, w, w)), np.zeros((w, w * p)), np.empty(p), np.empty(p, dtype=np.int64))


@compiled
def eliminated(D: FloatArray, start: int, stop: int) -> float:
    """Take the rows start … stop − 1 of a symmetric matrix D out of those after them, and return the product of their pivots."""
    product = 1.0
    for k in range(start, stop):
        pivot = max(D[k, k], TINY)
        product *= pivot
        for i in range(k + 1, len(D)):
            factor = D[i, k] / pivot
            for j in range(k + 1, len(D)):
                D[i, j] -= factor * D[k, j]
    return product


@compiled
def unexplained_wide(V: FloatArray, C: FloatArray, k: int, node: int) -> float:
    """Return what `unexplained` does, for blocks of any width: determinants by elimination."""
    w = C.shape[0]
    D = np.empty((2 * w, 2 * w))
    for c in range(w):
        for d in range(w):
            D[c, d], D[w + c, w + d] = V[node, c, d], V[k, c, d]
            D[c, w + d] = D[w + d, c] = C[c, w * k + d]
    before = eliminated(V[k].copy(), 0, w)
    eliminated(D, 0, w)
    return eliminated(D, w, 2 * w) / max(before, TINY)


@compiled
def unexplained_pair(V: FloatArray, C: FloatArray, k: int, node: int) -> float:
    """Return what `unexplained` does, for blocks of two columns."""
    a, b, c = V[node, 0, 0], V[node, 1, 1], V[node, 0, 1]
    s, t, u = V[k, 0, 0], V[k, 1, 1], V[k, 0, 1]
    first, second, third, fourth = C[0, 2 * k], C[0, 2 * k + 1], C[1, 2 * k], C[1, 2 * k + 1]
    before = s * t - u * u
    det = max(a * b - c * c, TINY)
    # Λ = det(B − Mᵀ A⁻¹ M) / det B with A the node's own block, B the other's and M their covariance.
    s -= (b * first * first - 2 * c * first * third + a * third * third) / det
    t -= (b * second * second - 2 * c * second * fourth + a * fourth * fourth) / det
    u -= (b * first * second - c * (first * fourth + third * second) + a * third * fourth) / det
    return (s * t - u * u) / max(before, TINY)


@compiled
def unexplained_block(V: FloatArray, C: FloatArray, k: int, node: int) -> float:
    """Return what `unexplained` does, for blocks."""
    return unexplained_pair(V, C, k, node) if C.shape[0] == 2 else unexplained_wide(V, C, k, node)


@compiled
def unexplained(V: FloatArray, C: FloatArray, k: int, node: int) -> float:
    """Return Wilks' Λ of block k and the node's own, from what is left of their variances V and covariances C.

    V (p, w, w) are the blocks' covariances, C (w, w·p) those of the node's columns with all; with w = 1, Λ is
    1 − partial correlation².
    """
    if C.shape[0] > 1:
        return unexplained_block(V, C, k, node)
    return 1.0 - C[0, k] * C[0, k] / max(V[k, 0, 0] * V[node, 0, 0], TINY)


@compiled
def all_unexplained(V: FloatArray, C: FloatArray, node: int, may: BoolArray, parents: BoolArray, left: FloatArray) -> None:
    """Write what `unexplained` tells of all who may become parents to `left` (p,); single columns in a loop without calls, for speed."""
    if C.shape[0] == 1:
        for k in range(len(left)):
            left[k] = 1.0 - C[0, k] * C[0, k] / max(V[k, 0, 0] * V[node, 0, 0], TINY)
    else:
        for k in range(len(left)):
            left[k] = unexplained_block(V, C, k, node) if may[k] and not parents[k] else 1.0


@compiled
def join(R: FloatArray, work: Work, m: int, k: int, node: int) -> int:
    """Condition on variable k: one more whitened row in X per column, and what that leaves of V and C; returns the rows.

    The first m rows of X are L⁻¹ R[given] with L the Cholesky factor of the given columns' correlations.
    """
    X, V, C = work.X, work.V, work.C
    w, q = C.shape
    for column in range(w * k, w * k + w):
        row = X[m]
        for j in range(q):
            row[j] = R[column, j]
        for s in range(m):
            weight = X[s, column]
            for j in range(q):
                row[j] -= weight * X[s, j]
        scale = 1 / np.sqrt(max(row[column], TINY))
        for j in range(q):
            row[j] *= scale
        for c in range(w):
            weight = row[w * node + c]
            for j in range(q):
                C[c, j] -= weight * row[j]
        for j in range(q // w):
            for c in range(w):
                for d in range(w):
                    V[j, c, d] -= row[w * j + c] * row[w * j + d]
        m += 1
    return m


@compiled
def condition(R: FloatArray, work: Work, parents: BoolArray, node: int) -> int:
    """Set V and C to what the parents leave of every variable and of its covariance with the node; returns the rows of X."""
    V, C = work.V, work.C
    w, q = C.shape
    for j in range(q // w):
        for c in range(w):
            for d in range(w):
                V[j, c, d] = R[w * j + c, w * j + d]
    for c in range(w):
        for j in range(q):
            C[c, j] = R[w * node + c, j]
    m = 0
    for k in range(q // w):
        if parents[k]:
            m = join(R, work, m, k, node)
    return m


@compiled
def generalised_variance(V: FloatArray, k: int) -> float:
    """Return the variance of a variable, or the determinant of its block."""
    if V.shape[1] == 1:
        return V[k, 0, 0]
    if V.shape[1] > 2:
        return eliminated(V[k].copy(), 0, V.shape[1])
    return V[k, 0, 0] * V[k, 1, 1] - V[k, 0, 1] * V[k, 1, 0]


@compiled
def precision(R: FloatArray, X: FloatArray, index: IntArray, m: int, w: int) -> None:
    """Write the inverse of the correlations of the first m blocks of `index` to X (Gauss & Jordan, no pivoting: R is definite)."""
    q = m * w
    for i in range(q):
        for j in range(q):
            X[i, j] = R[w * index[i // w] + i % w, w * index[j // w] + j % w]
    for k in range(q):
        pivot = 1 / X[k, k]
        X[k, k] = 1.0
        for j in range(q):
            X[k, j] *= pivot
        for i in range(q):
            if i != k:
                factor = X[i, k]
                X[i, k] = 0.0
                for j in range(q):
                    X[i, j] -= factor * X[k, j]


@compiled
def most_useless(task: Task, work: Work, parents: BoolArray, node: int) -> tuple[int, float]:
    """Return the parent of the node whose removal gains most (−1: none) and its Λ·toll.

    In the precision matrix of parents and node, Λ of two blocks is that given all the other parents.
    """
    X, V, C, index = work.X, work.V, work.C, work.places
    toll, must = task.toll[node], task.must[node]
    w, m = C.shape[0], 0
    for k in range(len(parents)):
        if parents[k]:
            index[m] = k
            m += 1
    index[m] = node
    precision(task.R, X, index, m + 1, w)
    for k in range(m + 1):
        for c in range(w):
            for d in range(w):
                V[k, c, d] = X[w * k + c, w * k + d]
                C[c, w * k + d] = X[w * m + c, w * k + d]
    which, worst = -1, 1.0
    for k in range(m):
        value = unexplained(V, C, k, m) * toll[index[k]]
        if value >= worst and not must[index[k]]:
            which, worst = index[k], value
    return which, worst


@compiled
def most_useful(task: Task, work: Work, free: BoolArray, parents: BoolArray, node: int) -> int:
    """Return the free variable whose joining the parents gains most (−1: there is none); work.left gets everybody's Λ·toll."""
    V, C, left = work.V, work.C, work.left
    toll, may = task.toll[node], task.may[node]
    which, least = -1, np.inf
    all_unexplained(V, C, node, may, parents, left)
    for k in range(len(parents)):
        left[k] *= toll[k]
        if parents[k] or not may[k]:
            left[k] = np.inf
        elif free[k] and left[k] < least:
            which, least = k, left[k]
    return which


@compiled
def grow(task: Task, work: Work, free: BoolArray, node: int, rows: BoolArray) -> None:
    """Let the free variables join the parents rows[0], the best first, while they gain; fill rows[1] and rows[2] as `fit` tells."""
    parents, grown, touch, left = rows[0], rows[1], rows[2], work.left
    for k in range(len(parents)):
        touch[k] = False
    m = condition(task.R, work, parents, node)
    gains = True
    while gains:
        which = most_useful(task, work, free, parents, node)
        gains = which >= 0 and left[which] < task.limit
        if not (gains and task.warm):
            bar = left[which] if gains else task.limit
            for k in range(len(parents)):
                touch[k] |= left[k] < bar
        if gains:
            parents[which] = True
            m = join(task.R, work, m, which, node)
    for k in range(len(parents)):
        grown[k] = parents[k]


@compiled
def fit(task: Task, work: Work, free: BoolArray, start: BoolArray, node: int, rows: BoolArray) -> float:
    """Write the node's best parents among `free` to rows[0] (of (3, p)) and return their loss.

    Grow from `start` by the variable that gains most, then shrink; a warm start grows and shrinks until neither gains.
    rows[1] gets those whose leaving `free` would change the result, rows[2] those whose joining it would: whoever
    would be picked on the way, or, from a warm start, whoever would gain at the end.
    """
    parents, toll, must = rows[0], task.toll[node], task.must[node]
    for k in range(len(parents)):
        parents[k] = (start[k] and free[k]) or must[k]
    shrunk = True
    loss = 0.0
    while shrunk:
        grow(task, work, free, node, rows)
        loss = np.log(max(generalised_variance(work.V, node), TINY))
        spare = False
        for k in range(len(parents)):
            if parents[k]:
                loss += np.log(toll[k])
                spare |= not must[k]
        shrunk = False
        while spare:
            useless, ratio = most_useless(task, work, parents, node)
            spare = useless >= 0
            if spare:
                parents[useless] = False
                loss -= np.log(ratio)
                shrunk = task.warm
    return loss


@compiled
def copy_rows(source: BoolArray, target: BoolArray) -> None:
    """Copy (3, p) truths."""
    for i in range(source.shape[0]):
        for k in range(source.shape[1]):
            target[i, k] = source[i, k]


@compiled
def best_pair(task: Task, work: Work, free: BoolArray, parents: BoolArray, node: int) -> tuple[int, int]:
    """Return the two free variables of one column each whose joining the parents together gains most, or (−1, −1)."""
    V, C, X, toll, may = work.V, work.C, work.X, task.toll[node], task.may[node]
    m = condition(task.R, work, parents, node)
    p, row, least, first, second = len(parents), X[m], task.limit, -1, -1
    for j in range(p):
        if not (free[j] and may[j] and not parents[j]):
            continue
        for k in range(j):
            row[k] = task.R[j, k]
        for s in range(m):
            for k in range(j):
                row[k] -= X[s, j] * X[s, k]
        a, c = V[j, 0, 0], C[0, j]
        for k in range(j):
            det = a * V[k, 0, 0] - row[k] * row[k]
            if free[k] and may[k] and not parents[k] and det > 1e-6 * a * V[k, 0, 0]:
                explained = c * c * V[k, 0, 0] - 2 * c * C[0, k] * row[k] + C[0, k] * C[0, k] * a
                value = (1.0 - explained / (det * V[node, 0, 0])) * toll[j] * toll[k]
                if value < least:
                    least, first, second = value, j, k
    return first, second


@compiled
def pair_up(task: Task, order: IntArray, rows: BoolArray, loss: FloatArray) -> bool:
    """Let two variables at once join parents where both together gain; tell whether any did. Not for blocks: there none does.

    Growing by one at a time stops before two causes whose effects cancel in what each shows alone.
    """
    p = len(order)
    if task.R.shape[0] != p:
        return False
    work, seen, trial = room(p, 1), np.zeros(p, dtype=np.bool_), np.zeros((3, p), dtype=np.bool_)
    gained = False
    for u in order:
        first, second = best_pair(task, work, seen, rows[u, 0], u)
        while first >= 0:
            start = rows[u, 0].copy()
            start[first], start[second] = True, True
            new = fit(task, work, seen, start, u, trial)
            if new > loss[u] - task.noise:
                break
            gained, loss[u] = True, new
            copy_rows(trial, rows[u])
            first, second = best_pair(task, work, seen, rows[u, 0], u)
        seen[u] = True
    return gained


@compiled
def parents_of(task: Task, order: IntArray, start: int, stop: int, rows: BoolArray, loss: FloatArray) -> None:
    """Write rows (p, 3, p) and losses (p,) of the variables at places start … stop − 1 of an order."""
    p = len(order)
    work = room(p, task.R.shape[0] // p)
    seen = np.zeros(p, dtype=np.bool_)
    for i in range(stop):
        u = order[i]
        if i >= start:
            loss[u] = fit(task, work, seen, task.must[u], u, rows[u])
        seen[u] = True


class Trail(NamedTuple):
    """What a walk leaves: the walker's rows at its best place (3, p), rows and losses of those passed, who of them changed.

    `dice` (1,) is the state of the generator that draws among equally good places.
    """

    best: BoolArray
    passed: BoolArray
    passed_loss: FloatArray
    changed: BoolArray
    dice: IntArray


@compiled
def trail_of(p: int, dice: IntArray) -> Trail:
    """Return room for a walk among p variables."""
    return Trail(np.zeros((3, p), dtype=np.bool_), np.zeros((p, 3, p), dtype=np.bool_), np.zeros(p), np.zeros(p, dtype=np.bool_), dice)


@compiled
def one_in(count: int, dice: IntArray) -> bool:
    """Return True once in `count` times (Lehmer's generator; Park, Miller & Stockmeyer 1993)."""
    dice[0] = dice[0] * 48271 % 2147483647
    return dice[0] * count < 2147483647


@compiled
def walk(
    task: Task,
    work: Work,
    order: IntArray,
    place: int,
    right: bool,
    rows: BoolArray,
    loss: FloatArray,
    so_far: tuple[float, int, float, int],
    trail: Trail,
) -> tuple[float, int, float, int]:
    """Walk the variable at `place` to one end of the order, or as far as it may go.

    Return the gain, place and own loss where it gains most, at random among equals, and how many these are: at first
    those `so_far`. Its rows there and what became of those passed are in the trail.
    """
    p, node, step = len(order), order[place], 1 if right else -1
    seen, own, before = np.zeros(p, dtype=np.bool_), np.empty((3, p), dtype=np.bool_), task.before
    passed, passed_loss, changed = trail.passed, trail.passed_loss, trail.changed
    copy_rows(rows[node], own)
    for i in range(place):
        seen[order[i]] = True
    gain, own_loss, i = 0.0, loss[node], place + step
    best_gain, best_place, best_loss, equals = so_far
    while 0 <= i < p:
        u = order[i]
        if before[node, u] if right else before[u, node]:
            break
        # The one passed no longer has, or now has, the walker before it.
        seen[u] = False
        changed[u] = rows[u, 1, node] if right else rows[u, 2, node]
        if changed[u]:
            seen[node] = not right
            start = rows[u, 0] if task.warm else task.must[u]
            passed_loss[u] = fit(task, work, seen, start, u, passed[u])
            seen[node] = False
            gain += loss[u] - passed_loss[u]
        # The walker now has, or no longer has, the one passed before it.
        seen[u] = right
        if own[2, u] if right else own[1, u]:
            start = own[0] if task.warm else task.must[node]
            own_loss = fit(task, work, seen, start, node, own)
        total = gain + loss[node] - own_loss
        if total > best_gain - task.noise:
            better = total > best_gain + task.noise
            equals = 1 if better else equals + 1
            if better or (trail.dice[0] > 0 and one_in(equals, trail.dice)):
                best_gain, best_place, best_loss = total, i, own_loss
                copy_rows(own, trail.best)
        i += step
    return best_gain, best_place, best_loss, equals


@compiled
def sweep(task: Task, nodes: IntArray, order: IntArray, rows: BoolArray, loss: FloatArray, idle: int, dice: IntArray) -> int:
    """Move some variables in turn to their best places, until p in a row gained nothing; order, rows (p, 3, p), losses (p,) change.

    Return how many gained nothing since the last that did; `idle` of them before this sweep. Passing a neighbour
    changes the candidates of these two only, and most often not their parents. Among places as good as its own a
    variable goes to one at random (`dice` (1,) is the generator's state): an order's moves reach only some of the
    DAGs near by, and what stops in one order of a plateau goes on from another.
    """
    p = len(order)
    work, trail = room(p, task.R.shape[0] // p), trail_of(p, dice)
    for node in nodes:
        if idle >= p:
            break
        place = 0
        while order[place] != node:
            place += 1
        most, to, to_loss, equals = 0.0, place, loss[node], 1
        for side in range(2):
            most, to, to_loss, equals = walk(task, work, order, place, side == 0, rows, loss, (most, to, to_loss, equals), trail)
        idle = 0 if most > task.noise else idle + 1
        if to != place:
            step = 1 if to > place else -1
            for i in range(place, to, step):
                u = order[i + step]
                order[i] = u
                if trail.changed[u]:
                    copy_rows(trail.passed[u], rows[u])
                    loss[u] = trail.passed_loss[u]
            copy_rows(trail.best, rows[node])
            order[to], loss[node] = node, to_loss
    return idle


@compiled
def tuck(order: IntArray, rows: BoolArray, start: int, stop: int, new_order: IntArray) -> None:
    """Write the order in which the variable at `stop`, and its ancestors among those between, come before the one at `start`."""
    ancestors = np.zeros(len(order), dtype=np.bool_)
    ancestors[order[stop]] = True
    for i in range(stop, start, -1):
        if ancestors[order[i]]:
            for k in range(len(order)):
                ancestors[k] |= rows[order[i], 0, k]
    for i in range(len(order)):
        new_order[i] = order[i]
    ancestors[order[start]] = False
    place = start
    for first in (True, False):
        for i in range(start, stop + 1):
            if ancestors[order[i]] == first:
                new_order[place] = order[i]
                place += 1


@compiled
def keeps(before: BoolArray, order: IntArray, start: int, stop: int) -> bool:
    """Tell whether nobody at the places start … stop comes before one that has to come first."""
    for i in range(start, stop):
        for j in range(i + 1, stop + 1):
            if before[order[j], order[i]]:
                return False
    return True


@compiled
def refit(
    task: Task,
    work: Work,
    order: IntArray,
    new_order: IntArray,
    start: int,
    stop: int,
    rows: BoolArray,
    loss: FloatArray,
    changed: BoolArray,
) -> float:
    """Choose parents anew, in rows and losses, at the places start … stop of a new order where it matters who was passed.

    `changed` (p,) tells of whom; return the gain.
    """
    p = len(order)
    was, seen = np.empty(p, dtype=np.int64), np.zeros(p, dtype=np.bool_)
    for i in range(p):
        was[order[i]] = i
        changed[i] = False
    for i in range(start):
        seen[new_order[i]] = True
    gain = 0.0
    for i in range(start, stop + 1):
        u = new_order[i]
        for j in range(start, stop + 1):
            v = new_order[j]
            if (was[v] < was[u]) != (j < i) and rows[u, 2 if j < i else 1, v]:
                changed[u] = True
        if changed[u]:
            old = loss[u]
            loss[u] = fit(task, work, seen, task.must[u], u, rows[u])
            gain += old - loss[u]
        seen[u] = True
    return gain


@compiled
def covered(rows: BoolArray, parent: int, child: int) -> bool:
    """Tell whether the child's parents are the parent and the parent's own."""
    alike = True
    for k in range(len(rows)):
        alike &= k == parent or rows[child, 0, k] == rows[parent, 0, k]
    return alike


@compiled
def tucks(
    task: Task, order: IntArray, rows: BoolArray, loss: FloatArray, near: BoolArray, every: bool, last: int, first: int, equals: IntArray
) -> tuple[int, int, int]:
    """Try the tucks of the edges at `near` variables (of covered ones only, unless `every`) into the places last … first, from the last on.

    Return the places of parent and child of the first that gains, else −1; `equals` gets the places of those met that
    lose nothing, and how many is returned too.
    """
    p = len(order)
    work, new_order, changed = room(p, task.R.shape[0] // p), np.empty_like(order), np.zeros(p, dtype=np.bool_)
    new_rows, new_loss, count = rows.copy(), loss.copy(), 0
    for stop in range(last, first - 1, -1):
        child = order[stop]
        for start in range(stop):
            parent = order[start]
            if not (rows[child, 0, parent] and (near[child] or near[parent]) and (every or covered(rows, parent, child))):
                continue
            tuck(order, rows, start, stop, new_order)
            if not keeps(task.before, new_order, start, stop):
                continue
            gain = refit(task, work, order, new_order, start, stop, new_rows, new_loss, changed)
            if gain > task.noise:
                return start, stop, count
            if gain > -task.noise:
                equals[count, 0], equals[count, 1] = start, stop
                count += 1
            for u in range(p):
                if changed[u]:
                    copy_rows(rows[u], new_rows[u])
                    new_loss[u] = loss[u]
    return -1, -1, count
