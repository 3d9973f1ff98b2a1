"""Optimal sets with hidden causes (Runge 2021), against the asymptotic variance of every valid set in random models."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from causalsem.graph import CausalGraph
from causalsem.graph.marks import Mark
from causalsem.identify import adjustment_sets, identify, identify_all


def random_admg(rng: np.random.Generator, p: int, chance: float, hidden: float) -> CausalGraph:
    """Return an ADMG over a random order, with each arrow and each <-> by chance."""
    names = [f"v{k}" for k in range(p)]
    pairs = list(itertools.combinations([names[k] for k in rng.permutation(p)], 2))
    edges = [(a, b, Mark.TAIL, Mark.ARROW) for a, b in pairs if rng.random() < chance]
    edges += [(a, b, Mark.ARROW, Mark.ARROW) for a, b in pairs if rng.random() < hidden]
    return CausalGraph.from_edges(edges, names, kind="ADMG")


def random_covariance(graph: CausalGraph, rng: np.random.Generator) -> np.ndarray:
    """Return the covariance of a random linear Gaussian model with one hidden cause behind every <->; sizes vary widely."""
    p = len(graph.nodes)
    bows = [e for e in graph.edges if e[2] == e[3] == Mark.ARROW]
    size = p + len(bows)
    B = np.zeros((size, size))
    for a, b, at_a, _ in graph.edges:
        if at_a == Mark.TAIL:
            B[graph.index(a), graph.index(b)] = rng.normal() * 3 ** rng.normal()
    for k, (a, b, _, _) in enumerate(bows):
        B[p + k, [graph.index(a), graph.index(b)]] = rng.normal(size=2) * 3 ** rng.normal(size=2)
    total = np.linalg.inv(np.eye(size) - B)
    return (total.T @ np.diag(3 ** rng.normal(size=size)) @ total)[:p, :p]


def variance(S: np.ndarray, x: int, y: int, given: list[int]) -> float:
    """Return the asymptotic variance of the regression coefficient of x for y given a set: σ²(y | x, z) / σ²(x | z)."""

    def left(v: int, z: list[int]) -> float:
        return float(S[v, v] - S[v, z] @ np.linalg.solve(S[np.ix_(z, z)], S[z, v])) if z else float(S[v, v])

    return left(y, [x, *given]) / left(x, given)


def always_best(graph: CausalGraph, x: str, y: str, sets: list[tuple[str, ...]], rng: np.random.Generator, models: int) -> list[bool]:
    """Tell of each set whether no other had a smaller variance in any of the random models."""
    best = np.ones(len(sets), dtype=bool)
    for _ in range(models):
        S = random_covariance(graph, rng)
        found = np.array([variance(S, graph.index(x), graph.index(y), [graph.index(v) for v in one]) for one in sets])
        best &= found <= found.min() * (1 + 1e-7)
    return best.tolist()


def test_a_set_is_called_optimal_where_none_is_better_in_any_model_and_only_there():
    rng = np.random.default_rng(3)
    counts = {"optimal": 0, "minimal_efficient": 0}
    while counts["optimal"] < 60 or counts["minimal_efficient"] < 4:
        graph = random_admg(rng, int(rng.integers(4, 8)), rng.uniform(0.15, 0.4), rng.uniform(0.2, 0.5))
        x, y = (str(v) for v in rng.permutation(graph.nodes)[:2])
        sets = [one.variables for one in adjustment_sets(graph, (x, y), kind="all")] if x in graph.ancestors(y) else []
        if len(sets) < 2:
            continue
        answer = identify(graph, (x, y))
        counts[answer.kind] += 1
        best = always_best(graph, x, y, sets, rng, 40)
        assert best[sets.index(answer.variables)] if answer.kind == "optimal" else not any(best), (graph, x, y, answer)


@pytest.mark.parametrize(
    ("text", "latent", "allowed", "expected", "kind"),
    [
        # A hidden cause of the outcome and z: z carries news of the outcome, and nothing of the treatment.
        ("x -> y; z <-> y", [], None, ("z",), "optimal"),
        # The confounder is hidden behind its child z, the only measured stand-in, which is not enough.
        ("u -> x; u -> z; z -> y; x -> y", ["u"], None, ("z",), "optimal"),
        # Without w the parents of the outcome are not all at hand, but the treatment's are.
        ("a -> x; a -> w; w -> y; x -> y; b -> y", [], ["a", "b"], ("a", "b"), "optimal"),
        # z1 carries news of the outcome; z2 beside it would open the way to the treatment.
        ("x -> y; y <-> z1; z1 <-> z2; z2 <-> x", [], None, ("z1",), "optimal"),
    ],
)
def test_optimal_sets_of_small_graphs_with_hidden_causes(text, latent, allowed, expected, kind):
    answer = identify(CausalGraph.parse(text, latent=latent), ("x", "y"), allowed=allowed)
    assert (answer.variables, answer.kind) == (expected, kind)


def test_all_pairs_of_an_admg_have_the_optimal_sets_of_single_queries():
    rng = np.random.default_rng(4)
    for _ in range(25):
        graph = random_admg(rng, 6, 0.35, 0.3)
        allowed = [v for v in graph.nodes if rng.random() < 0.8]
        for pair, found in identify_all(graph, allowed=allowed).items():
            single = adjustment_sets(graph, pair, kind="optimal", allowed=allowed)
            if single.status == "adjustment":
                assert (found.variables, found.kind) == (single[0].variables, single[0].kind)
