"""Rows that may depend on each other: clusters of one way or several (users, items), and the spread of sums over them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from causalsem._values import FloatArray, IntArray, frozen


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """One term of the spread: `factor` times Σ over clusters of (Σ of their rows)²; `member` None says that each row is its own."""

    factor: float
    member: IntArray | None


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """Which cluster every row is in, in each way: `codes` (ways, n) from 0 up, and the `ways` by name.

    Rows that share a cluster in any way may depend on each other; all others are taken as independent.
    """

    ways: tuple[str, ...]
    codes: IntArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "codes", frozen(self.codes, np.int64))

    @classmethod
    def of(cls, labels: Mapping[str, npt.ArrayLike]) -> Clusters:
        """Return the clusters of labels (n,) per way; rows without a label are one cluster."""
        codes = [pd.factorize(np.asarray(column), use_na_sentinel=False)[0] for column in labels.values()]
        return cls(tuple(labels), np.array(codes))

    @property
    def sizes(self) -> dict[str, int]:
        """How many clusters each way has."""
        return {way: int(codes.max()) + 1 for way, codes in zip(self.ways, self.codes, strict=True)}

    def apart(self) -> tuple[Clusters, ...]:
        """Return the clusters of each way alone."""
        return tuple(Clusters((way,), codes[None]) for way, codes in zip(self.ways, self.codes, strict=True))

    def terms(self) -> tuple[Term, ...]:
        """Return what the spread consists of (Cameron, Gelbach & Miller 2011).

        Two ways: that of users, plus that of items, less that of their pairs; more ways by inclusion and exclusion.
        Each is multiplied by G/(G − 1) for its own G clusters.
        """
        chosen = [some for k in range(1, len(self.ways) + 1) for some in itertools.combinations(range(len(self.ways)), k)]
        return tuple(_term(_crossed(self.codes[list(some)]), 1.0 if len(some) % 2 else -1.0) for some in chosen)

    def spread(self, scores: FloatArray) -> FloatArray:
        """Return Σ over pairs of rows that share a cluster of sᵢsⱼᵀ, (k, k), of scores (n, k), by the terms."""
        parts = [term.factor * _gram(scores if term.member is None else sums_by(term.member, scores)) for term in self.terms()]
        return np.asarray(sum(parts))

    def resampled(self, times: int, rng: np.random.Generator) -> FloatArray:
        """Return how often each row counts in resamples of clusters, (times, n).

        Clusters are drawn with replacement in each way; of several ways, a row counts as often as all its clusters together
        (the pigeonhole bootstrap, Owen 2007).
        """
        counts = np.ones((times, self.codes.shape[1]))
        for codes, size in zip(self.codes, self.sizes.values(), strict=True):
            counts *= rng.multinomial(size, np.full(size, 1.0 / size), size=times)[:, codes]
        return counts

    def summed(self, values: FloatArray) -> FloatArray:
        """Return the sums of values (n, k) over the clusters of each way, one way below the other."""
        return np.vstack([sums_by(codes, values) for codes in self.codes])


def sums_by(member: IntArray, values: FloatArray) -> FloatArray:
    """Return the sums of values (n, k) by cluster, (G, k)."""
    count = int(member.max()) + 1
    return np.column_stack([np.bincount(member, weights=column, minlength=count) for column in values.T])


def without_negative(V: FloatArray, scale: FloatArray) -> FloatArray:
    """Return V (k, k) with its negative eigenvalues put to 0 (Cameron, Gelbach & Miller 2011), in units of `scale` (k,).

    A difference of positive matrices need not be positive. The units make the repair the same whatever the variables' are.
    """
    unit = np.where(scale > 0, scale, 1.0)
    values, vectors = np.linalg.eigh(V / unit / unit[:, None])
    if values[0] >= 0:
        return V
    return np.asarray((vectors * np.maximum(values, 0.0)) @ vectors.T * unit * unit[:, None])


def _term(member: IntArray, sign: float) -> Term:
    count = int(member.max()) + 1
    return Term(sign * count / max(count - 1, 1), None if count == len(member) else member)


def _crossed(codes: IntArray) -> IntArray:
    """Return a code (n,) from 0 up per combination of codes (ways, n) that occurs."""
    crossed: npt.NDArray[Any] = codes[0]
    for more in codes[1:]:
        crossed = pd.factorize(crossed * (int(more.max()) + 1) + more)[0]
    return np.asarray(crossed, dtype=np.int64)


def _gram(values: FloatArray) -> FloatArray:
    return np.asarray(values.T @ values)
