"""Worlds of the discovery benchmark, the distance to their truth, and the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from causalsem.behaviour import Moments
from causalsem.graph import CausalGraph, to_pag
from causalsem.graph.causal_graph import ARROW, TAIL

Row = dict[str, Any]


def random_dag(p: int, degree: float, rng: np.random.Generator) -> np.ndarray:
    upper = np.triu(rng.random((p, p)) < degree / (p - 1), 1)
    order = rng.permutation(p)
    return upper[np.ix_(order, order)]


def rows_of(dag: np.ndarray, n: int, rng: np.random.Generator, noise: str = "normal") -> pd.DataFrame:
    """Linear equations with weights of size 0.3 … 1, standardised."""
    p = len(dag)
    weights = dag * rng.uniform(0.3, 1, (p, p)) * rng.choice([-1, 1], (p, p))
    values = getattr(rng, noise)(size=(n, p)) @ np.linalg.inv(np.eye(p) - weights)
    return pd.DataFrame(values / values.std(axis=0), columns=[f"v{k}" for k in range(p)])


def equal_variances(dag: np.ndarray, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Linear equations in which each variable with causes is explained equally well, so that no order shows in the variances."""
    values = rng.normal(size=(n, len(dag)))
    for k in graph_of(dag).topological_order():
        j = int(k[1:])
        parents = np.flatnonzero(dag[:, j])
        if len(parents):
            push = values[:, parents] @ (rng.uniform(0.3, 1, len(parents)) * rng.choice([-1, 1], len(parents)))
            values[:, j] += push / push.std()
        values[:, j] /= values[:, j].std()
    return pd.DataFrame(values, columns=[f"v{k}" for k in range(len(dag))])


def counts_of(dag: np.ndarray, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Zero-inflated counts: causes act on whether a behaviour happens and on how often."""
    graph = graph_of(dag)
    values: dict[str, np.ndarray] = {}
    for name in graph.topological_order():
        push = np.zeros(n)
        for parent in graph.parents(name):
            x = values[parent]
            push += rng.choice([-1, 1]) * (((x > 0) - (x > 0).mean()) + 0.5 * (np.log1p(x) - np.log1p(x).mean()))
        happens = rng.random(n) < 1 / (1 + np.exp(-1.2 * push))
        values[name] = happens * (1.0 + rng.poisson(np.exp(np.clip(0.8 + 0.5 * push + 0.5 * rng.normal(size=n), -5, 5))))
    return pd.DataFrame({name: values[name] for name in graph.nodes})


def graph_of(dag: np.ndarray, latent: tuple[str, ...] = ()) -> CausalGraph:
    marks = np.where(dag, ARROW, np.where(dag.T, TAIL, 0)).astype(np.int8)
    return CausalGraph([f"v{k}" for k in range(len(dag))], marks, "DAG", latent)


def hidden_world(p: int, degree: float, n: int, hidden: int, rng: np.random.Generator) -> tuple[Moments, CausalGraph]:
    """Return moments of the variables of a random DAG that are not hidden, and the PAG of the truth."""
    dag = random_dag(p, degree, rng)
    frame = rows_of(dag, n, rng)
    latent = tuple(f"v{k}" for k in rng.choice(p, hidden, replace=False))
    seen = frame.drop(columns=list(latent))
    return moments_of(seen), to_pag(graph_of(dag, latent))


def moments_of(frame: pd.DataFrame) -> Moments:
    return Moments.from_rows(frame.to_numpy(), list(frame.columns))


def against(found: CausalGraph, truth: CausalGraph) -> tuple[int, float]:
    """Return SHD (pairs whose edge differs in any way) and skeleton F1."""
    a, b = found.marks, truth.marks
    shd = int(np.triu((a != b) | (a.T != b.T)).sum())
    both, either = int(np.triu((a != 0) & (b != 0)).sum()), int(np.triu(a != 0).sum() + np.triu(b != 0).sum())
    return shd, 2 * both / either if either else 1.0


def timed(work: Callable[[], Any], repeats: int = 1) -> tuple[Any, float]:
    """Return what the work returns and the CPU seconds of this process, the least of some repeats."""
    result, least = None, float("inf")
    for _ in range(repeats):
        start = time.process_time()
        result = work()
        least = min(least, time.process_time() - start)
    return result, least


def told(world: str, who: str, seconds: list[float], scores: list[tuple[int, float]], **more: object) -> Row:
    """Print one line of the table and return it."""
    shd, f1 = (float(np.mean([s[k] for s in scores])) if scores else None for k in range(2))
    row = {"world": world, "method": who, "cpu_s": float(np.mean(seconds)) if seconds else None, "shd": shd, "skeleton_f1": f1, **more}
    shown = "" if shd is None else f"  SHD {shd:7.1f}  F1 {f1:.3f}"
    clock = f"{row['cpu_s']:9.4f} s" if seconds else "          –"
    print(f"{world:30} {who:36} {clock}{shown}" + "".join(f"  {k.replace('_', ' ')} {v}" for k, v in more.items()), flush=True)
    return {**row, "datasets": len(seconds)}


def missing(world: str, who: str, install: str) -> Row:
    """Say that a peer is not here."""
    print(f"{world:30} {who:36} not installed: {install}", flush=True)
    return {"world": world, "method": who, "not_installed": install}
