"""Which pairs a member learns from and is judged on, and how many of them make a step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causalsem._values import BoolArray, IntArray

SMALLEST_BATCH, STEPS_PER_EPOCH = 512, 32
FEWEST_EPOCHS, FEWEST_PATIENCE = 4, 2


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a stage trains unless the caller says: for `steps` or more, and on for one in `patience` of its epochs without progress."""

    steps: int = 128
    patience: int = 4

    def cut(self, n: int, batch_size: int, epochs: int | None) -> tuple[int, int]:
        """Return pairs per step and epochs over n pairs: small data need small steps, and enough of them to arrive."""
        batch = min(batch_size, max(SMALLEST_BATCH, n // STEPS_PER_EPOCH))
        steps = -(-n // batch)
        return batch, epochs if epochs is not None else max(FEWEST_EPOCHS, -(-self.steps // steps))

    def waits(self, epochs: int) -> int:
        """Return how many epochs without progress are borne."""
        return max(FEWEST_PATIENCE, epochs // self.patience)


USUAL = Pace()


def fold_ids(n: int, folds: int, rng: np.random.Generator) -> IntArray:
    """Return a fold for each of n pairs, of equal sizes up to one: (n,)."""
    return rng.permutation(np.arange(n) % folds).astype(np.int64)


def fold_rows(folds: IntArray, members: int, teaching: BoolArray) -> tuple[IntArray, IntArray]:
    """Return the rows each member learns from and is judged on, of those that teach, cut to equal lengths: (M, n_train), (M, n_held)."""
    learn = [np.flatnonzero((folds != m) & teaching) for m in range(members)]
    judge = [np.flatnonzero((folds == m) & teaching) for m in range(members)]
    shortest = min(map(len, learn)), min(map(len, judge))
    return np.stack([r[: shortest[0]] for r in learn]), np.stack([r[: shortest[1]] for r in judge])
