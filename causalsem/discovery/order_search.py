"""Search over orders: a start, moves until none gains, and restarts near the best order met."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count, islice

import numpy as np

from causalsem._compiled import machine_or_plain
from causalsem._progress import progress
from causalsem._values import BoolArray, FloatArray, IntArray
from causalsem.discovery.budget import out_of_time, while_in_time
from causalsem.discovery.found import Rules
from causalsem.discovery.order import precedence
from causalsem.discovery.scores import GaussianBIC
from causalsem.graph.pdag import to_masks

KERNELS = "causalsem.discovery.order_kernels"
# What plain Python takes, about, for one pair of dependent variables to pass each other in one place of an order; for
# blocks of w columns w³ times as long.
PLAIN_SECONDS = 1.5e-4
# Far more than searches need; where rounding makes a circle of moves among equals seem to gain, they end.
MOST_SWEEPS = 1000
# Machine code is asked for so many variables at a time, divided by p: between, a search looks at the clock.
STRETCH = 2000
# A restart moves about so many times ln p variables.
DISPLACED = 4


@dataclass(frozen=True, slots=True, eq=False)
class Ordered:
    """An order of the variables, the parents of each among those before it, and the score.

    `rows` (p, 3, p) and `losses` (p,) are as the kernels write them; a loss is −2 / n times a score, and a constant.
    """

    order: IntArray
    rows: BoolArray
    losses: FloatArray
    score: float

    @property
    def loss(self) -> float:
        """The summed loss."""
        return float(self.losses.sum())

    @property
    def parents(self) -> BoolArray:
        """[u, k] True when k is a parent of u."""
        return np.asarray(self.rows[:, 0])

    @property
    def masks(self) -> list[int]:
        """The parent masks."""
        return to_masks(self.parents)


class OrderSearch:
    """The orders of one data set's variables, by a score and within the rules."""

    def __init__(self, score: GaussianBIC, rules: Rules, passes: float = 1.0) -> None:
        """Take about how many passes over all pairs of places are to come."""
        p = score.p
        dependent = (score.n * score.strength**2 > 2 * score.price).sum() / 2
        seconds = PLAIN_SECONDS * score.block**3 * passes * p * float(dependent)
        self.kernels = machine_or_plain(KERNELS, "sweep", seconds)
        self.R = np.ascontiguousarray(score.R)
        self.stretch = max(STRETCH // p, 1)
        self.n, self.noise = score.n, 2 * score.noise / score.n
        self.tasks = [
            self.kernels.Task(
                R=self.R,
                toll=np.exp(np.minimum(2 * score.price / score.n * score.coefficients, 600.0)),
                may=np.ascontiguousarray(~rules.forbidden.T & ~np.eye(p, dtype=bool)),
                must=np.ascontiguousarray(rules.required.T),
                before=np.ascontiguousarray(precedence(rules)),
                limit=float(np.exp(-self.noise)),
                noise=self.noise,
                warm=warm,
            )
            for warm in (False, True)
        ]
        self.loss_of_none = float(np.log(_determinants(own_blocks(self.R, p))).sum())

    @property
    def before(self) -> BoolArray:
        """[i, j] True when i has to come before j."""
        return np.asarray(self.tasks[0].before)

    def start(self) -> IntArray:
        """Return a good order to begin with, whatever the order of the columns."""
        return least_explained_first(self.R, self.before)

    def parents_of(self, order: IntArray) -> Ordered:
        """Return the grow-shrink parents of every variable of an order."""
        rows, loss = self._rows(order, False)
        return self._ordered(order, rows, loss)

    def tucks(self, here: Ordered, near: BoolArray, every: bool) -> tuple[tuple[int, int] | None, IntArray]:
        """Return the places of parent and child of the first tuck that gains, if one does, and those (k, 2) that lose nothing.

        Tried are edges at `near` variables, only covered ones unless `every`.
        """
        equals, met = np.empty((int(here.parents.sum()), 2), dtype=np.int64), 0
        for last in range(len(near) - 1, 0, -self.stretch):
            first = max(last - self.stretch + 1, 1)
            start, stop, more = self.kernels.tucks(
                self.tasks[False], here.order, here.rows, here.losses, near, every, last, first, equals[met:]
            )
            met += more
            if start >= 0:
                return (start, stop), equals[:met]
            if out_of_time():
                break
        return None, equals[:met]

    def tucked(self, here: Ordered, start: int, stop: int) -> tuple[Ordered, BoolArray]:
        """Return the order in which the variable at `stop` is tucked before the one at `start`, and whose parents it changes."""
        order, rows, losses = here.order.copy(), here.rows.copy(), here.losses.copy()
        changed, work = np.zeros(len(order), dtype=bool), self.kernels.room(len(order), len(self.R) // len(order))
        self.kernels.tuck(here.order, rows, start, stop, order)
        self.kernels.refit(self.tasks[False], work, here.order, order, start, stop, rows, losses, changed)
        return self._ordered(order, rows, losses), changed

    def settled(self, order: IntArray, warm: bool, draw: int = 1) -> Ordered:
        """Return where moving variables to their best places leads; with `warm`, parents are mended, else chosen anew.

        `draw`, 1 … 2³¹ − 2, decides among equal places; with 0 a variable stays unless another place is better.
        """
        rows, loss = self._rows(order, warm)
        return self._swept(order.copy(), rows, loss, warm, draw)

    def _swept(self, order: IntArray, rows: BoolArray, loss: FloatArray, warm: bool, draw: int) -> Ordered:
        """Return where sweeps lead, and, to mended parents, pairs that join where no move gains any more; arrays change."""
        task, idle, dice = self.tasks[warm], 0, np.array([draw], dtype=np.int64)
        for _ in progress(islice(count(), MOST_SWEEPS), "sweeps over the order"):
            queue = order.copy()
            for place in range(0, len(order), self.stretch):
                idle = self.kernels.sweep(task, queue[place : place + self.stretch], order, rows, loss, idle, dice)
                if idle >= len(order) or out_of_time():
                    break
            if idle >= len(order) and warm and self.kernels.pair_up(task, order, rows, loss):
                idle = 0
            if idle >= len(order) or out_of_time():
                break
        return self._ordered(order, rows, loss)

    def _ordered(self, order: IntArray, rows: BoolArray, losses: FloatArray) -> Ordered:
        return Ordered(order, rows, losses, -self.n / 2 * (float(losses.sum()) - self.loss_of_none))

    def _rows(self, order: IntArray, warm: bool) -> tuple[BoolArray, FloatArray]:
        """Return rows (p, 3, p) and losses (p,) of the variables of an order, as `fit` writes them."""
        rows, loss = np.zeros((len(order), 3, len(order)), dtype=bool), np.zeros(len(order))
        self.kernels.parents_of(self.tasks[warm], order, 0, len(order), rows, loss)
        return rows, loss

    def best(self, restarts: int, seed: int, warm: bool) -> Ordered:
        """Return the best of a first search and of `restarts` more, each from the last order that was no worse than the best.

        Such an order is redrawn among those of its DAG, then a neighbourhood of the DAG changes places: a search that
        is undone in one region keeps what it has found elsewhere.
        """
        here = best = self.settled(self.start(), warm)
        # Random draws act on variables by their place in the order, so that column order does not matter.
        rng = np.random.default_rng(seed)
        for _ in while_in_time(range(restarts), "restarts"):
            found = self.settled(displaced(here, self.before, rng), warm, int(rng.integers(1, 2**31 - 1)))
            if found.loss < best.loss + self.noise:
                here = found
            if found.loss < best.loss - self.noise:
                best = found
        if out_of_time():
            return best
        # No move gains from where it ends, which those among equals do not promise.
        return self._swept(best.order.copy(), best.rows.copy(), best.losses.copy(), warm, 0)


def least_explained_first(R: FloatArray, before: BoolArray) -> IntArray:
    """Return an order within the precedence that takes next whoever those before explain least (pivoted Cholesky).

    Causes tend to be explained less than their effects (Reisach et al. 2023). The first is the most correlated one.
    R (w·p, w·p) are the correlations of p variables of w columns.
    """
    p = len(before)
    w = len(R) // p
    # X[:m] = L⁻¹ R[those placed], so that what they leave of a block is its variance less XᵀX.
    X, left = np.empty_like(R), own_blocks(R, p)
    whole, waits = _determinants(left), before.sum(axis=0)
    share = (R**2).reshape(p, w, -1).sum(axis=(1, 2))
    order = np.empty(p, dtype=np.int64)
    for place in range(p):
        k = order[place] = int(np.argmax(np.where(waits == 0, share, -np.inf)))
        for m, column in enumerate(range(w * k, w * k + w), w * place):
            row = R[column] - X[:m, column] @ X[:m]
            X[m] = row / np.sqrt(max(row[column], 1e-300))
            blocks = X[m].reshape(p, w)
            left -= blocks[:, :, None] * blocks[:, None, :]
        share = _determinants(left) / whole
        waits = waits - before[k]
        waits[k] = p
    return order


def own_blocks(R: FloatArray, p: int) -> FloatArray:
    """Return the blocks (p, w, w) of correlations R (w·p, w·p) on the diagonal."""
    w = len(R) // p
    return R.reshape(p, w, p, w)[np.arange(p), :, np.arange(p), :].copy()


def _determinants(blocks: FloatArray) -> FloatArray:
    """Return the determinants of blocks (p, w, w)."""
    if blocks.shape[1] == 1:
        return blocks[:, 0, 0].copy()
    if blocks.shape[1] > 2:
        return np.asarray(np.linalg.det(blocks))
    return np.asarray(blocks[:, 0, 0] * blocks[:, 1, 1] - blocks[:, 0, 1] * blocks[:, 1, 0])


def in_order_of(keys: FloatArray, first: BoolArray) -> IntArray:
    """Return the order that takes next whoever has the least key among those whose `first` [u, k] (k before u) are placed."""
    order, waits = np.empty(len(keys), dtype=np.int64), first.sum(axis=1)
    for place in range(len(order)):
        k = order[place] = int(np.argmin(np.where(waits == 0, keys, np.inf)))
        waits = waits - first[:, k]
        waits[k] = len(order)
    return order


def redrawn(found: Ordered, before: BoolArray, rng: np.random.Generator) -> IntArray:
    """Return a random order of the same DAG, within the precedence."""
    draw = np.empty(len(before))
    draw[found.order] = rng.random(len(before))
    return in_order_of(draw, found.parents | before.T)


def displaced(found: Ordered, before: BoolArray, rng: np.random.Generator) -> IntArray:
    """Return a random order of the same DAG in which about 4 ln p neighbours have changed places, within the precedence."""
    order, p = redrawn(found, before, rng), len(before)
    region = neighbourhood(found.order, found.parents | found.parents.T, min(round(DISPLACED * np.log(max(p, 2))), p), rng)
    places = np.argsort(order)
    places[region] = places[region[rng.permutation(len(region))]]
    return in_order_of(places.astype(np.float64), before.T)


def neighbourhood(order: IntArray, adjacent: BoolArray, size: int, rng: np.random.Generator) -> IntArray:
    """Return `size` variables: a random one and those nearest to it in the graph; where a component ends, another begins."""
    rank = np.empty(len(order))
    rank[order] = rng.random(len(order))
    region: list[int] = []
    met = np.zeros(len(order), dtype=bool)
    for read in range(size):
        if read == len(region):
            region.append(int(np.argmin(np.where(met, np.inf, rank))))
            met[region[-1]] = True
        around = np.flatnonzero(adjacent[region[read]] & ~met)
        region += around[np.argsort(rank[around])].tolist()
        met[around] = True
    return np.array(region[:size], dtype=np.int64)


def best_order(score: GaussianBIC, rules: Rules, restarts: int, seed: int, *, warm: bool = False, datasets: int = 1) -> Ordered:
    """Return the best order and DAG that the search meets, in one of `datasets` like it."""
    return OrderSearch(score, rules, datasets * (1 + restarts)).best(restarts, seed, warm)
