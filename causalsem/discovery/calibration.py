"""edge_probabilities(): how often an edge that returns in so many resamples is true, learnt on worlds like the data's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from causalsem._cards import mimebundle
from causalsem._progress import progress
from causalsem._values import BoolArray, FloatArray, IntArray, frozen
from causalsem.discovery.methods import METHODS, Method, own_search
from causalsem.discovery.orient import class_of
from causalsem.discovery.stability import EdgeStability
from causalsem.discovery.stack import Stack
from causalsem.errors import DataError, SettingError, check_names
from causalsem.graph.marks import ARROW, NONE, TAIL, MarkArray
from causalsem.graph.pdag import PDAG, bits, to_masks

# What can be said of an ordered pair (i, j) in a class of DAGs.
KINDS = ("edge", "arrow", "line")
# A kind that never returns is as likely as those in this share of resamples or fewer.
RARE = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class EdgeProbabilities:
    """Calibrated probabilities (p, p) of any edge i – j, of i → j, and of an undirected i – j in the true class of DAGs.

    `curve` shows what they rest on: per kind and bin of stated frequency, the frequency and the share that was true in
    the simulated worlds, with how many pairs there were.
    """

    nodes: tuple[str, ...]
    edge: FloatArray
    arrow: FloatArray
    line: FloatArray
    curve: pd.DataFrame

    def __post_init__(self) -> None:
        for kind in KINDS:
            object.__setattr__(self, kind, frozen(getattr(self, kind)))

    def probability(self, a: str, b: str, kind: str = "edge") -> float:
        """Return how likely a and b share an edge of a kind: "edge" (any), "arrow" (a → b) or "line" (undirected)."""
        if kind not in KINDS:
            raise SettingError(f"unknown kind {kind!r}; use 'edge', 'arrow' or 'line'")
        check_names((a, b), self.nodes, where="the edge probabilities")
        return float(getattr(self, kind)[self.nodes.index(a), self.nodes.index(b)])

    def table(self) -> pd.DataFrame:
        """Return one row per pair, the likeliest edge first: source, target, edge, forward, backward, undirected."""
        rows = []
        for i, j in np.argwhere(np.triu(np.ones_like(self.edge), 1)):
            a, b = (j, i) if self.arrow[j, i] > self.arrow[i, j] else (i, j)
            shares = self.edge[a, b], self.arrow[a, b], self.arrow[b, a], self.line[a, b]
            rows.append((self.nodes[a], self.nodes[b], *map(float, shares)))
        told = pd.DataFrame(rows, columns=["source", "target", "edge", "forward", "backward", "undirected"])
        return told.sort_values("edge", ascending=False, ignore_index=True, kind="stable")

    def __repr__(self) -> str:
        return f"EdgeProbabilities({len(self.nodes)} nodes)\n{self.table().head(12).to_string(index=False)}"

    _repr_mimebundle_ = mimebundle


def edge_probabilities(stability: EdgeStability, *, worlds: int = 30, times: int = 50, seed: int = 0) -> EdgeProbabilities:
    """Return calibrated probabilities for the edges of a bootstrap.

    Each of `worlds` is a linear Gaussian model on a graph drawn from the posterior (see `graph_posterior`), with the
    data's coefficients and as many rows. Its moments are drawn, the bootstrap with `times` resamples is repeated on
    them, and the stated frequencies of each kind of edge are set against what was true there; a monotone curve
    (isotonic regression) then turns the bootstrap's frequencies into probabilities. That is calibration by simulation
    from the fitted model, as a double bootstrap does for intervals (Efron & Tibshirani 1993, ch. 18). Raises DataError
    for a bootstrap without evidence (PAGs, hurdle blocks, outside engines).
    """
    if stability.evidence is None:
        raise DataError("this bootstrap carries no evidence to simulate from; bootstrap a method that returns CPDAGs, from plain moments")
    if worlds < 2 or times < 2:
        raise SettingError(f"worlds={worlds} and times={times}; use 2 or more of each")
    method, rules = _method_of(stability), stability.evidence.rules
    rng = np.random.default_rng(seed)
    stated: list[FloatArray] = []
    true: list[BoolArray] = []
    for dag in progress(_worlds(stability, worlds, seed), "calibration"):
        S = implied_correlation(stability.evidence.R, dag)
        sample = drawn_correlations(S, stability.evidence.n, 1, rng)[0]
        again = drawn_correlations(sample, stability.evidence.n, times, rng)
        found = own_search(method)(Stack(again, stability.evidence.n), method, rules)
        stated.append(frequencies(np.stack([f.marks for f in found])))
        true.append(frequencies(class_of(to_masks(dag.T), rules).marks[None]) == 1)
    now = frequencies(stability.marks)
    f, t = np.stack(stated, axis=1), np.stack(true, axis=1)  # (kinds, worlds, p, p)
    edge, arrow, line = (_fitted(f[k], t[k], now[k]) for k in range(len(KINDS)))
    return EdgeProbabilities(stability.nodes, edge, arrow, line, reliability(f, t))


def _worlds(stability: EdgeStability, worlds: int, seed: int) -> BoolArray:
    """Return DAGs (worlds, p, p) that the data find plausible: they hold the weak edges that a search leaves out."""
    posterior = stability.posterior(worlds, seed=seed)
    assert posterior is not None  # there is evidence
    return np.asarray(posterior.marks == ARROW)


def _method_of(stability: EdgeStability) -> Method:
    """Return the settings that the bootstrap was made with."""
    told: dict[str, Any] = dict(stability.provenance.get("settings", {}))
    known = {settings.__name__: settings for settings in METHODS}
    name = str(stability.provenance.get("method"))
    if name not in known or told.get("engine", "causalsem") != "causalsem":
        raise DataError(f"{name!r} cannot be repeated by our own search; bootstrap one of {', '.join(known)}")
    method: Method = known[name](**told)
    return method


def frequencies(marks: MarkArray) -> FloatArray:
    """Return the shares (kinds, p, p) of the graphs (times, p, p) with any edge, with i → j, and with an undirected i – j."""
    back = marks.transpose(0, 2, 1)
    return np.stack(
        [(marks != NONE).mean(axis=0), ((marks == ARROW) & (back == TAIL)).mean(axis=0), ((marks == TAIL) & (back == TAIL)).mean(axis=0)]
    )


def member_of(marks: MarkArray) -> BoolArray:
    """Return a DAG [i, j] for i → j of the class that marks (p, p) show."""
    parents = PDAG.from_marks(marks).extension()
    if parents is None:
        # A class always has a member; a graph of contradictory knowledge might not, and then its arrows stand alone.
        return np.asarray((marks == ARROW) & (marks.T == TAIL))
    dag = np.zeros(marks.shape, dtype=bool)
    for child, mask in enumerate(parents):
        dag[list(bits(mask)), child] = True
    return dag


def implied_correlation(R: FloatArray, dag: BoolArray) -> FloatArray:
    """Return the correlations (p, p) of the linear model on a DAG that is nearest to R: each node regressed on its parents."""
    S = np.eye(len(R))
    for node in causal_order(dag):
        parents = np.flatnonzero(dag[:, node])
        if len(parents):
            weights = np.linalg.solve(R[np.ix_(parents, parents)], R[parents, node])
            cross = weights @ S[parents]
            S[node], S[:, node] = cross, cross
            S[node, node] = weights @ S[np.ix_(parents, parents)] @ weights + 1 - weights @ R[parents, node]
    scale = np.sqrt(np.diag(S))
    return np.asarray(S / np.outer(scale, scale))


def causal_order(dag: BoolArray) -> list[int]:
    """Return the nodes of a DAG, parents first."""
    left, order = list(range(len(dag))), []
    while left:
        node = next(k for k in left if not dag[left, k].any())
        left.remove(node)
        order.append(node)
    return order


def drawn_correlations(S: FloatArray, n: float, times: int, rng: np.random.Generator) -> FloatArray:
    """Return the correlations (times, p, p) of samples of n rows from a Gaussian with correlations S (Bartlett 1933)."""
    p = len(S)
    factor = np.linalg.cholesky(S + 1e-10 * np.eye(p))
    A = np.tril(rng.standard_normal((times, p, p)), -1)
    A[:, np.arange(p), np.arange(p)] = np.sqrt(rng.chisquare(np.maximum(n - 1 - np.arange(p), 1.0), (times, p)))
    L = factor @ A
    W = L @ L.transpose(0, 2, 1)
    scale = np.sqrt(np.diagonal(W, axis1=1, axis2=2))
    R = W / (scale[:, :, None] * scale[:, None, :])
    R[:, np.arange(p), np.arange(p)] = 1.0
    return np.asarray(R)


def _fitted(stated: FloatArray, true: BoolArray, now: FloatArray) -> FloatArray:
    """Return the probabilities (p, p) of frequencies `now`, by isotonic regression of truth on stated frequency."""
    from sklearn.isotonic import IsotonicRegression

    off = ~np.eye(len(now), dtype=bool)
    x, y = stated[:, off].ravel(), true[:, off].ravel().astype(np.float64)
    curve = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(np.maximum(x, RARE), y)
    told = np.zeros(now.shape)
    told[off] = curve.predict(np.maximum(now[off], RARE))
    return told


def reliability(stated: FloatArray, true: BoolArray, bins: int = 5) -> pd.DataFrame:
    """Return per kind and bin of frequency: kind, stated, true and pairs; of frequencies and truths (kinds, worlds, p, p)."""
    rows = []
    for kind, f, t in zip(KINDS, stated, true, strict=True):
        off = np.broadcast_to(~np.eye(f.shape[-1], dtype=bool), f.shape)
        which: IntArray = np.minimum((f * bins).astype(np.int64), bins - 1)
        for k in range(bins):
            some = off & (which == k) & (f > 0)
            if some.any():
                rows.append((kind, float(f[some].mean()), float(t[some].mean()), int(some.sum())))
    return pd.DataFrame(rows, columns=["kind", "stated", "true", "pairs"])
