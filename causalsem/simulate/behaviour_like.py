"""Behaviour-like data with a known DAG: traits, zero-inflated counts, binaries and ratings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd

from causalsem._cards import mimebundle
from causalsem._values import FloatArray, frozen
from causalsem.errors import GraphError, SettingError, check_names, shown
from causalsem.graph import CausalGraph

Family = Callable[[np.random.Generator, FloatArray], FloatArray]


def _trait(rng: np.random.Generator, eta: FloatArray) -> FloatArray:
    return np.asarray(eta + rng.standard_normal(len(eta)))


def _binary(rng: np.random.Generator, eta: FloatArray) -> FloatArray:
    return np.asarray(rng.random(len(eta)) < 1 / (1 + np.exp(-eta)), dtype=np.float64)


def _count(rng: np.random.Generator, eta: FloatArray) -> FloatArray:
    """Draw a zero with chance σ(−η), else a Poisson number with mean exp(0.5 + η/2), at most e³."""
    active = rng.random(len(eta)) < 1 / (1 + np.exp(-eta))
    return np.asarray(active * rng.poisson(np.exp(np.minimum(0.5 + eta / 2, 3))), dtype=np.float64)


def _rating(rng: np.random.Generator, eta: FloatArray) -> FloatArray:
    """Draw 1 … 5 stars from an ordered logit with cuts −2.5, −1, 0.3, 1.8."""
    latent = eta + rng.logistic(size=len(eta))
    return np.asarray(1 + np.searchsorted([-2.5, -1.0, 0.3, 1.8], latent), dtype=np.float64)


FAMILIES: Mapping[str, Family] = MappingProxyType({"trait": _trait, "binary": _binary, "count": _count, "rating": _rating})


@dataclass(frozen=True, slots=True, eq=False)
class BehaviourWorld:
    """Rows of mixed kinds from a known DAG: `families` says what each node is, `weights` (p, p) how strong each arrow."""

    graph: CausalGraph
    families: Mapping[str, str]
    weights: FloatArray
    frame: pd.DataFrame

    def __post_init__(self) -> None:
        object.__setattr__(self, "families", MappingProxyType(dict(self.families)))
        object.__setattr__(self, "weights", frozen(self.weights))
        object.__setattr__(self, "frame", self.frame.copy())

    _repr_mimebundle_ = mimebundle


def behaviour_world(
    graph: CausalGraph, n: int, *, families: Mapping[str, str] | None = None, weights: tuple[float, float] = (0.6, 1.2), seed: int = 0
) -> BehaviourWorld:
    """Return n rows of behaviour-like variables on a DAG.

    `families` says which nodes are "trait" (Gaussian, the default), "binary" (logistic), "count" (zero-inflated Poisson)
    or "rating" (1 … 5, ordered logit). A node's η is the sum of its parents, each standardised (counts after log(1 + x)),
    times weights drawn from `weights` with a random sign. Raises SettingError, GraphError, UnknownNameError.
    """
    families = dict(families or {})
    check_names(families, graph.nodes, where="the graph")
    strange = sorted(set(families.values()) - set(FAMILIES))
    if strange:
        raise SettingError(f"unknown families {shown(strange)}; use {shown(FAMILIES)}")
    if graph.kind != "DAG":
        raise GraphError(f"behaviour-like data come from a DAG, not a {graph.kind}; take a member of the class first")
    rng = np.random.default_rng(seed)
    shape = graph.directed.shape
    W = np.where(graph.directed, rng.uniform(*weights, shape) * rng.choice([-1.0, 1.0], shape), 0.0)
    drawn: dict[str, FloatArray] = {}
    for name in graph.topological_order():
        eta = np.zeros(n)
        for parent in graph.parents(name):
            eta += W[graph.index(parent), graph.index(name)] * _standard(drawn[parent], families.get(parent, "trait"))
        drawn[name] = FAMILIES[families.get(name, "trait")](rng, eta)
    frame = pd.DataFrame({name: drawn[name] for name in graph.observed})
    return BehaviourWorld(graph, {name: families.get(name, "trait") for name in graph.nodes}, W, frame)


def _standard(values: FloatArray, family: str) -> FloatArray:
    values = np.log1p(values) if family == "count" else values
    return np.asarray((values - values.mean()) / (values.std() or 1.0))
