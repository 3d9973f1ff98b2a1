"""edge_probabilities(): how likely the edges of a bootstrap are, by the posterior or by simulated worlds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from causalsem._cards import mimebundle
from causalsem._progress import progress
from causalsem._values import BoolArray, FloatArray, IntArray, frozen
from causalsem.discovery.fci import FCI
from causalsem.discovery.fci import search as fci
from causalsem.discovery.found import Evidence
from causalsem.discovery.methods import METHODS, Method, own_search
from causalsem.discovery.order import precedence
from causalsem.discovery.posterior import coefficients, drawn_dags, order_within, posterior_of
from causalsem.discovery.stability import EdgeStability
from causalsem.discovery.stack import Stack
from causalsem.errors import DataError, SettingError, check_names, shown
from causalsem.graph.marks import ARROW, NONE, TAIL, MarkArray

# What can be said of an ordered pair (i, j): any edge, i → j, an undirected i – j, an arrowhead at j.
KINDS = ("edge", "arrow", "line", "head")
# A kind that never returns is as likely as those in this share of resamples or fewer.
RARE = 0.02
# Of so many observed variables one more is hidden in a simulated world.
SEEN_PER_HIDDEN = 6
# Share of a variable's variance that its causes explain at most there.
MOST_EXPLAINED = 0.95
# An effect's size where none was found.
FAIR = 0.3
# Rows without chance.
ENDLESS = 1e12


@dataclass(frozen=True, slots=True, eq=False)
class EdgeProbabilities:
    """How likely (p, p) are any edge i – j, i → j, an undirected i – j, and an arrowhead at j, in the true class or PAG.

    `curve`, where the probabilities come from simulated worlds, shows what they rest on: per kind and bin of stated
    frequency, the frequency and the share that was true there, with how many pairs there were.
    """

    nodes: tuple[str, ...]
    edge: FloatArray
    arrow: FloatArray
    line: FloatArray
    head: FloatArray
    curve: pd.DataFrame | None = None

    def __post_init__(self) -> None:
        for kind in KINDS:
            object.__setattr__(self, kind, frozen(getattr(self, kind)))

    def probability(self, a: str, b: str, kind: str = "edge") -> float:
        """Return how likely a and b share an edge of a kind: "edge" (any), "arrow" (a → b), "line" (undirected), "head" (at b)."""
        if kind not in KINDS:
            raise SettingError(f"unknown kind {kind!r}; use one of {shown(KINDS)}")
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


def edge_probabilities(
    stability: EdgeStability, *, draws: int = 1000, worlds: int = 20, times: int = 30, seed: int = 0
) -> EdgeProbabilities:
    """Return how likely the edges of a bootstrap are, which is not how often a search returns them.

    For a method that returns CPDAGs it is how many of `draws` DAGs from the posterior given the data have the edge in
    their class (as `graph_posterior` draws them, weak effects being less likely beforehand than effects of some size): a
    search that turns an arrow the wrong way does so in most resamples.
    For one that returns PAGs, `worlds` are simulated: random graphs as dense, with effects as large, as many rows and
    what is known, and a hidden cause for every six variables. There the bootstrap is repeated with `times` resamples,
    its frequencies are set against the truth, and a monotone curve (isotonic regression) turns the bootstrap's own
    frequencies into probabilities. Raises DataError for a bootstrap without evidence (hurdle blocks, outside engines,
    methods that need rows).
    """
    if stability.evidence is None:
        raise DataError("this bootstrap carries no evidence; bootstrap a method that returns CPDAGs or PAGs, from plain moments")
    if draws < 2 or worlds < 2 or times < 2:
        raise SettingError(f"draws={draws}, worlds={worlds} and times={times}; use 2 or more of each")
    if stability.kind == "PAG":
        return _by_worlds(stability, stability.evidence, worlds, times, np.random.default_rng(seed))
    posterior = posterior_of(stability.evidence, stability.nodes, draws, seed, doubt=True)
    edge, arrow, line, head = frequencies(posterior.classes())
    return EdgeProbabilities(stability.nodes, edge, arrow, line, head)


def _by_worlds(stability: EdgeStability, evidence: Evidence, worlds: int, times: int, rng: np.random.Generator) -> EdgeProbabilities:
    """Return the bootstrap's frequencies, turned into the shares that were true in simulated worlds."""
    method = _method_of(stability)
    search, rules = own_search(method), evidence.rules
    stated, true = [], []
    for S in progress(hidden_worlds(evidence, worlds, rng), "calibration", worlds):
        sample = drawn_correlations(S, evidence.n, 1, rng)[0]
        again = drawn_correlations(sample, evidence.n, times, rng)
        stated.append(frequencies(np.stack([f.marks for f in search(Stack(again, evidence.n), method, rules)])))
        # Without chance FCI returns the true PAG.
        true.append(frequencies(fci(Stack(S[None], ENDLESS), FCI(), rules)[0].marks[None]) == 1)
    now = frequencies(stability.marks)
    f, t = np.stack(stated, axis=1), np.stack(true, axis=1)  # (kinds, worlds, p, p)
    edge, arrow, line, head = (_fitted(f[k], t[k], now[k]) for k in range(len(KINDS)))
    return EdgeProbabilities(stability.nodes, edge, arrow, line, head, reliability(f, t))


def hidden_worlds(evidence: Evidence, worlds: int, rng: np.random.Generator) -> Iterator[FloatArray]:
    """Yield correlations (p, p) of linear models on random graphs like the data's, some of whose causes are hidden.

    A graph has as many arrows as a DAG that the posterior finds plausible, its coefficients in random order and of
    random sign, and agrees with what is known; hidden variables stand anywhere.
    """
    p, rules = len(evidence.R), evidence.rules
    hidden = max(p // SEEN_PER_HIDDEN, 1)
    before, apart = np.zeros((p + hidden,) * 2, dtype=bool), np.zeros((p + hidden,) * 2, dtype=bool)
    before[:p, :p], apart[:p, :p] = precedence(rules), rules.forbidden
    for heads in drawn_dags(evidence, worlds, rng, doubt=True) == ARROW:
        chance = heads.sum() / max(p * (p - 1) / 2, 1)
        rank = np.argsort(order_within(before, rng))
        may = (rank[:, None] < rank[None, :]) & ~apart
        dag = may & (rng.random(may.shape) < chance)
        dag[:p, :p] |= rules.required
        sizes = coefficients(evidence.R, heads)
        yield random_correlation(dag, sizes if len(sizes) else np.array([FAIR]), rng)[:p, :p]


def random_correlation(dag: BoolArray, sizes: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return the correlations (p, p) of a linear model on a DAG whose standardised coefficients are drawn from `sizes`."""
    S = np.eye(len(dag))
    for v in causal_order(dag):
        parents = np.flatnonzero(dag[:, v])
        weights = rng.choice(sizes, len(parents)) * rng.choice([-1, 1], len(parents))
        explained = weights @ S[np.ix_(parents, parents)] @ weights
        weights = weights * min(1.0, np.sqrt(MOST_EXPLAINED / max(explained, 1e-12)))
        S[v] = S[:, v] = weights @ S[parents]
        S[v, v] = 1.0
    return S


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
    """Return the shares (kinds, p, p) of the graphs (times, p, p) with any edge, i → j, an undirected i – j, an arrowhead at j."""
    back, head = marks.transpose(0, 2, 1), marks == ARROW
    tails = back == TAIL
    return np.stack([(marks != NONE).mean(axis=0), (head & tails).mean(axis=0), ((marks == TAIL) & tails).mean(axis=0), head.mean(axis=0)])


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
    """Return per kind and bin of frequency: kind, stated, true and pairs; of frequencies and truths (kinds, worlds, p, p).

    Edges and lines are the same from both ends, and a pair counts once.
    """
    rows = []
    for kind, f, t in zip(KINDS, stated, true, strict=True):
        each = np.ones(f.shape[1:], dtype=bool)
        counted = np.broadcast_to(np.triu(each, 1) if kind in ("edge", "line") else each & ~np.eye(f.shape[-1], dtype=bool), f.shape)
        which: IntArray = np.minimum((f * bins).astype(np.int64), bins - 1)
        for k in range(bins):
            some = counted & (which == k) & (f > 0)
            if some.any():
                rows.append((kind, float(f[some].mean()), float(t[some].mean()), int(some.sum())))
    return pd.DataFrame(rows, columns=["kind", "stated", "true", "pairs"])
