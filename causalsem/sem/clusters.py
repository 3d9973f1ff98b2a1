"""Rows in clusters as what a two-level likelihood needs of them: deviations within, and the cluster means by size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from causalsem._values import FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class SizeClass:
    """The clusters of one size: their numbers, and their means over the clustered variables (count, p)."""

    size: int
    clusters: IntArray
    means: FloatArray

    @property
    def mean(self) -> FloatArray:
        """The mean of the cluster means."""
        return np.asarray(self.means.mean(axis=0))

    @property
    def covariance(self) -> FloatArray:
        """Their covariance, with the number of clusters as divisor; singular where they are few."""
        centred = self.means - self.mean
        return np.asarray(centred.T @ centred / len(centred))


@dataclass(frozen=True, slots=True, eq=False)
class Clustered:
    """One group's rows in clusters: variables of the first level, then those of the second alone.

    `deviations` (n, within) are rows less their cluster's mean; `member` numbers the cluster of each row.
    """

    names: tuple[str, ...]
    within: int
    deviations: FloatArray
    member: IntArray
    classes: tuple[SizeClass, ...]

    @classmethod
    def of(cls, rows: FloatArray, names: Sequence[str], within: int, labels: npt.NDArray[Any]) -> Clustered:
        """Return the sums of rows (n, p) whose first `within` columns vary within clusters."""
        _, member = np.unique(labels, return_inverse=True)
        member = member.ravel()
        sizes = np.bincount(member)
        means = np.zeros((len(sizes), rows.shape[1]))
        np.add.at(means, member, rows)
        means /= sizes[:, None]
        classes = tuple(SizeClass(int(s), np.flatnonzero(sizes == s), means[sizes == s]) for s in np.unique(sizes))
        return cls(tuple(names), within, rows[:, :within] - means[member, :within], member, classes)

    @property
    def n(self) -> int:
        """How many rows there are."""
        return len(self.deviations)

    @property
    def count(self) -> int:
        """How many clusters there are."""
        return sum(len(c.clusters) for c in self.classes)

    @property
    def pooled(self) -> FloatArray:
        """The pooled within-cluster covariance (divisor n − J)."""
        return np.asarray(self.deviations.T @ self.deviations / max(self.n - self.count, 1))

    @property
    def constant(self) -> float:
        """What the log-likelihood has beside the discrepancy: ln 2π and the Jacobian of cluster means."""
        values = self.n * self.within + self.count * (len(self.names) - self.within)
        spread = sum(len(c.clusters) * self.within * math.log(c.size) for c in self.classes)
        dimensions = (self.n - self.count) * self.within + self.count * len(self.names)
        return -0.5 * (values * math.log(2 * math.pi) + spread + dimensions)
