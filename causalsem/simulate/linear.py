"""Linear structural equations with known coefficients: rows, and the population they come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd

from causalsem._cards import mimebundle
from causalsem._values import FloatArray, frozen
from causalsem.behaviour import Moments
from causalsem.errors import GraphError, SettingError, shown
from causalsem.graph import CausalGraph

Draw = Callable[[np.random.Generator, tuple[int, int]], FloatArray]

# Every noise has mean 0 and variance 1.
NOISES: Mapping[str, Draw] = MappingProxyType(
    {
        "gaussian": lambda rng, shape: rng.standard_normal(shape),
        "laplace": lambda rng, shape: rng.laplace(0, 1 / np.sqrt(2), shape),
        "uniform": lambda rng, shape: rng.uniform(-np.sqrt(3), np.sqrt(3), shape),
        "exponential": lambda rng, shape: rng.exponential(1, shape) - 1,
    }
)


@dataclass(frozen=True, slots=True, eq=False)
class LinearWorld:
    """A linear model x_j = Σ_i B[i, j] x_i + ε_j with everything known, and `frame`, rows of its observed nodes.

    `coefficients` B and `noise_covariance` Ω are (p, p) over all nodes of `graph`, in their order.
    """

    graph: CausalGraph
    coefficients: FloatArray
    noise_covariance: FloatArray
    frame: pd.DataFrame

    def __post_init__(self) -> None:
        object.__setattr__(self, "coefficients", frozen(self.coefficients))
        object.__setattr__(self, "noise_covariance", frozen(self.noise_covariance))
        object.__setattr__(self, "frame", self.frame.copy())

    @property
    def total_effects(self) -> FloatArray:
        """The effect of do(x_i + 1) on x_j, (I − B)⁻¹, shape (p, p)."""
        p = len(self.graph.nodes)
        return np.asarray(np.linalg.solve(np.eye(p) - self.coefficients, np.eye(p)))

    @property
    def covariance(self) -> FloatArray:
        """The population covariance of all nodes, (I − B)⁻ᵀ Ω (I − B)⁻¹, shape (p, p)."""
        effects = self.total_effects
        return np.asarray(effects.T @ self.noise_covariance @ effects)

    def effect(self, cause: str, effect: str) -> float:
        """Return the total effect of one node on another."""
        return float(self.total_effects[self.graph.index(cause), self.graph.index(effect)])

    def moments(self, n: int | None = None) -> Moments:
        """Return the population moments of the observed nodes, as if from `n` rows (those of `frame`, if None)."""
        index = [self.graph.index(name) for name in self.graph.observed]
        return Moments.from_covariance(self.covariance[np.ix_(index, index)], n or len(self.frame), self.graph.observed)

    _repr_mimebundle_ = mimebundle


def linear_sem(
    graph: CausalGraph,
    n: int,
    *,
    seed: int = 0,
    noise: str = "gaussian",
    weights: tuple[float, float] = (0.5, 1.5),
    deviations: tuple[float, float] = (0.8, 1.2),
    standardise: bool = False,
) -> LinearWorld:
    """Return n rows from a random linear model on a DAG or ADMG.

    Coefficients have a random sign and a size from `weights`, noise a standard deviation from `deviations`. A bidirected
    edge stands for a common cause of its own, so that correlated errors keep the family of `noise`
    ("gaussian", "laplace", "uniform", "exponential"). `standardise` scales every node to variance 1, so that its
    variance does not betray its place in the causal order (Reisach et al. 2021).
    Raises SettingError and GraphError.
    """
    if noise not in NOISES:
        raise SettingError(f"unknown noise {noise!r}; use one of {shown(NOISES)}")
    if graph.kind not in ("DAG", "ADMG"):
        raise GraphError(f"data come from a DAG or ADMG, not a {graph.kind}; take a member of the class first")
    rng = np.random.default_rng(seed)
    B = np.where(graph.directed, _sizes(rng, graph.directed.shape, weights), 0.0)
    mixing = _noise_mixing(rng, graph, weights, deviations)  # (sources, p)
    if standardise:
        scale = np.sqrt(np.diag(LinearWorld(graph, B, mixing.T @ mixing, pd.DataFrame()).covariance))
        B, mixing = B * scale[:, None] / scale, mixing / scale
    errors = NOISES[noise](rng, (n, len(mixing))) @ mixing
    p = len(graph.nodes)
    rows = np.linalg.solve((np.eye(p) - B).T, errors.T).T  # (n, p)
    frame = pd.DataFrame(rows, columns=list(graph.nodes))[list(graph.observed)]
    return LinearWorld(graph, B, mixing.T @ mixing, frame)


def _sizes(rng: np.random.Generator, shape: tuple[int, ...], weights: tuple[float, float]) -> FloatArray:
    low, high = weights
    if not 0 <= low <= high:
        raise SettingError(f"weights are {weights}; hand in sizes (low, high) with 0 ≤ low ≤ high")
    return np.asarray(rng.uniform(low, high, shape) * rng.choice([-1.0, 1.0], shape))


def _noise_mixing(
    rng: np.random.Generator, graph: CausalGraph, weights: tuple[float, float], deviations: tuple[float, float]
) -> FloatArray:
    """Return how independent unit sources make up the errors, (sources, p): one source a node, one more a bidirected edge."""
    p = len(graph.nodes)
    both = [(graph.index(a), graph.index(b)) for a, b, at_a, at_b in graph.edges if at_a == at_b]
    mixing = np.zeros((p + len(both), p))
    mixing[np.arange(p), np.arange(p)] = rng.uniform(*deviations, p)
    for k, pair in enumerate(both):
        mixing[p + k, list(pair)] = _sizes(rng, (2,), weights)
    return mixing
