"""How fast and how right identification is, with dowhy in the same run: `python benchmarks/identify.py [--full]`.

CPU seconds of one thread (`time.process_time`). With --full every line of the reference lists is checked, too, and
10,000 random legal graphs of each kind are asked everything.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import itertools
import json
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

from causalsem.discovery import GES
from causalsem.discovery import bootstrap as resampled
from causalsem.errors import NotIdentifiedError
from causalsem.graph import CausalGraph, Knowledge, Mark, to_cpdag, to_mag, to_pag, with_knowledge
from causalsem.graph.causal_graph import Edge
from causalsem.graph.marks import ARROW, CIRCLE, TAIL
from causalsem.identify import (
    Query,
    adjustment_sets,
    front_door,
    id_expression,
    identify,
    identify_all,
    instruments,
    is_valid_adjustment,
    set_probabilities,
)

REFERENCE = Path(__file__).resolve().parents[2] / "shared" / "reference" / "identification"


def random_dag(nodes: int, edges: int, seed: int = 0) -> CausalGraph:
    """Return a DAG of random arrows from earlier to later nodes."""
    rng = np.random.default_rng(seed)
    found: set[tuple[int, int]] = set()
    while len(found) < edges:
        a, b = sorted(rng.integers(0, nodes, 2).tolist())
        if a < b:
            found.add((a, b))
    return CausalGraph.from_edges([(f"v{a}", f"v{b}") for a, b in sorted(found)], [f"v{k}" for k in range(nodes)], kind="DAG")


def fresh(graph: CausalGraph) -> CausalGraph:
    """Return the graph without anything that earlier calls derived from it."""
    return CausalGraph.from_links(graph.nodes, graph.links, graph.kind, graph.latent)


def seconds(work: Callable[[], object], times: int = 3) -> float:
    """Return the least CPU seconds of several runs."""
    best = float("inf")
    for _ in range(times):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


def first_seconds(graph: CausalGraph, work: Callable[[CausalGraph], object], times: int = 3) -> float:
    """Return the mean CPU seconds of a first question to a graph that is already there."""
    new = [fresh(graph) for _ in range(times)]
    start = time.process_time()
    for one in new:
        work(one)
    return (time.process_time() - start) / times


def causal_pair(graph: CausalGraph, seed: int = 0) -> Query:
    """Return a random treatment with an outcome below it that is no child."""
    rng = np.random.default_rng(seed)
    for name in rng.permutation(graph.nodes[: len(graph.nodes) // 2]):
        below = sorted(graph.descendants(str(name)) - {name, *graph.children(str(name))})
        if below:
            return Query(str(name), str(rng.choice(below)))
    raise SystemExit("no causal pair in this graph")


def one_pair(nodes: int, edges: int, pairs: int = 5) -> dict[str, float]:
    """Time single queries, the median of several: ours, and dowhy's identify_effect (its default: every estimand)."""
    graph = random_dag(nodes, edges)
    queries = [causal_pair(graph, seed) for seed in range(pairs)]
    ours = float(np.median([first_seconds(graph, lambda g, q=q: identify(g, q), 500) for q in queries]))
    theirs = [dowhy_seconds(graph, q) for q in queries]
    row: dict[str, float] = {"nodes": nodes, "edges": edges, "ours": ours}
    return row if None in theirs else row | {"dowhy": float(np.median(theirs)), "times faster": float(np.median(theirs)) / ours}


def dowhy_seconds(graph: CausalGraph, query: Query, limit: int = 60) -> float | None:
    """Return dowhy's CPU seconds, `limit` when it did not end by then, None when it is not installed."""
    try:
        from dowhy.causal_identifier import EstimandType, identify_effect_auto
    except ImportError:
        return None
    from causalsem.engines.dowhy import as_networkx, quiet

    def stop(*_: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, limit)
    start = time.process_time()
    try:
        with quiet():
            identify_effect_auto(
                as_networkx(graph), list(query.treatments), list(query.outcomes), list(graph.nodes), EstimandType.NONPARAMETRIC_ATE
            )
    except TimeoutError:
        return float(limit)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return time.process_time() - start


def large(nodes: int, edges: int, pairs: int = 20) -> dict[str, float]:
    """Time one query on a large graph, the mean over pairs; nothing is kept from one to the next."""
    graph = random_dag(nodes, edges)
    queries = [causal_pair(graph, seed) for seed in range(pairs)]
    row: dict[str, float] = {"nodes": nodes, "edges": edges}
    for kind in ("minimal", "optimal"):
        times = [first_seconds(graph, lambda g, q=q, k=kind: bool(adjustment_sets(g, q, kind=k, limit=1)), 2) for q in queries]
        row[kind], row[f"slowest {kind}"] = float(np.mean(times)), float(np.max(times))
    row["front-door"] = float(np.mean([first_seconds(graph, lambda g, q=q: front_door(g, q), 1) for q in queries]))
    return row


def all_pairs(nodes: int, edges: int) -> dict[str, float]:
    """Time a minimal and an optimal set for every pair, in a DAG and in its CPDAG."""
    graph = random_dag(nodes, edges)
    cpdag = to_cpdag(graph)
    return {
        "nodes": nodes,
        "edges": edges,
        "DAG": seconds(lambda: identify_all(fresh(graph))),
        "CPDAG": seconds(lambda: identify_all(fresh(cpdag))),
    }


def bootstrap(graphs: int = 100, nodes: int = 20, edges: int = 40) -> dict[str, float]:
    """Time all pairs of many graphs, and the probabilities of one query over them."""
    sampled = [to_cpdag(random_dag(nodes, edges, seed)) for seed in range(graphs)]
    stack = SimpleNamespace(nodes=sampled[0].nodes, marks=np.stack([g.marks for g in sampled]))
    return {
        "graphs": graphs,
        "all pairs": seconds(lambda: [identify_all(fresh(g)) for g in sampled]),
        "probabilities of one pair": seconds(lambda: set_probabilities(stack, ("v2", "v15"))),
    }


@dataclass(frozen=True)
class World:
    """A kind of simulated world: variables, chance of an arrow, rows, coefficients (and noise) between these sizes."""

    p: int
    chance: float
    rows: int
    weights: tuple[float, float]
    noise: tuple[float, float] = (1.0, 1.0)
    tiers: bool = False

    def draw(self, rng: np.random.Generator) -> tuple[CausalGraph, pd.DataFrame, Knowledge | None]:
        """Return a random DAG, its data, and its tiers (the order cut into three) where they are known."""
        names = [f"v{k}" for k in range(self.p)]
        order = [names[k] for k in rng.permutation(self.p)]
        arrows = [(a, b) for a, b in itertools.combinations(order, 2) if rng.random() < self.chance]
        dag = CausalGraph.from_edges(arrows, names, kind="DAG")
        data = pd.DataFrame(rng.normal(size=(self.rows, self.p)), columns=names) * rng.uniform(*self.noise, self.p)
        for node in order:
            for parent in dag.parents(node):
                data[node] += rng.uniform(*self.weights) * rng.choice([-1, 1]) * data[parent]
        third = -(-self.p // 3)
        return dag, data, Knowledge(tiers=[order[k : k + third] for k in range(0, self.p, third)]) if self.tiers else None


WORLDS = {
    "6 variables": World(6, 0.4, 500, (0.15, 0.8)),
    "100 rows": World(6, 0.4, 100, (0.15, 0.8)),
    "5,000 rows": World(6, 0.4, 5000, (0.15, 0.8)),
    "sparse": World(7, 0.2, 400, (0.2, 0.9)),
    "dense": World(6, 0.65, 600, (0.2, 0.8)),
    "weak": World(6, 0.4, 800, (0.05, 0.35)),
    "strong": World(5, 0.5, 300, (0.4, 1.8)),
    "uneven noise": World(6, 0.4, 500, (0.15, 0.8), (0.4, 1.6)),
    "10 variables": World(10, 0.25, 700, (0.15, 0.8)),
    "tiers known": World(7, 0.4, 400, (0.15, 0.8), tiers=True),
}


def calibration(worlds: int = 40, seed: int = 500, pairs: int = 4, sets: int = 8) -> list[dict[str, object]]:
    """Compare the stated probability that a set is valid in the true DAG with the share of sets that are, per bin.

    Bins hold sets of all kinds of worlds; a row for each kind follows. The error of a share counts worlds, not sets.
    """
    told: list[tuple[int, int, float, bool, float]] = []
    for kind, world in enumerate(WORLDS.values()):
        for k in range(worlds):
            rng = np.random.default_rng([seed, kind, k])
            dag, data, known = world.draw(rng)
            graphs = resampled(data, GES(), knowledge=known, times=40, seed=k)
            every = list(itertools.permutations(dag.nodes, 2))
            for at in rng.choice(len(every), pairs, replace=False):
                found, often = (set_probabilities(graphs, every[at], limit=2, over=over) for over in (None, "members"))
                shares = dict(zip(often.sets, often.probabilities, strict=True))
                for one, q in itertools.islice(zip(found.sets, found.probabilities, strict=True), sets):
                    told.append((kind, k, q, is_valid_adjustment(dag, every[at], one), shares.get(one, np.nan)))
    kinds, world_of, stated, true, share = np.array(told, dtype=float).T
    cluster = kinds * worlds + world_of
    bins = [(f"{low:.1f} to {low + 0.1:.1f}", (stated >= low) & (stated < low + 0.1 + (low > 0.85))) for low in np.arange(0, 1, 0.1)]
    rows = [calibration_row(name, part, stated, true, cluster) for name, part in bins]
    known_share = np.isfinite(share)
    for name, low in (("how often a search finds so, 0.0 to 0.6", 0.0), ("how often a search finds so, 0.6 to 1.0", 0.6)):
        rows.append(calibration_row(name, known_share & (share >= low) & (share < low + 0.6), share, true, cluster))
    return rows + [calibration_row(name, kinds == kind, stated, true, cluster) for kind, name in enumerate(WORLDS)]


def calibration_row(name: str, part: np.ndarray, stated: np.ndarray, true: np.ndarray, cluster: np.ndarray) -> dict[str, object]:
    """Return stated and true share of the sets of a part, and the standard error of their difference over worlds."""
    gap = stated[part] - true[part]
    of_world = np.bincount(cluster[part].astype(int), weights=gap - gap.mean())
    error = float(np.sqrt((of_world**2).sum()) / len(gap))
    row = {"stated": name, "sets": int(part.sum()), "mean stated": float(stated[part].mean()), "true share": float(true[part].mean())}
    return row | {"off by": float(gap.mean()), "standard error": error, "largest gap of ten bins": largest_gap(stated[part], true[part])}


def largest_gap(stated: np.ndarray, true: np.ndarray, enough: int = 150) -> float:
    """Return the largest |stated − true share| of ten bins with enough sets."""
    at = np.minimum((stated * 10).astype(int), 9)
    return max((abs(float((stated - true)[at == b].mean())) for b in range(10) if (at == b).sum() >= enough), default=float("nan"))


def random_legal(kind: str, rng: np.random.Generator) -> CausalGraph:
    """Return a random legal graph of a kind, of 3 to 8 nodes, some of them without edges."""
    p, chance = int(rng.integers(3, 9)), rng.uniform(0.1, 0.7)
    names = [f"v{k}" for k in range(p)]
    pairs = list(itertools.combinations([names[k] for k in rng.permutation(p)], 2))
    edges: list[Edge] = [(a, b, Mark.TAIL, Mark.ARROW) for a, b in pairs if rng.random() < chance]
    if kind in ("DAG", "CPDAG", "MPDAG"):
        latent = [v for v in names if kind == "DAG" and rng.random() < 0.1]
        dag = CausalGraph.from_edges(edges, names, kind="DAG", latent=latent)
        if kind == "DAG":
            return dag
        known = Knowledge(required=[edge[:2] for edge in edges if rng.random() < 0.2])
        return to_cpdag(dag) if kind == "CPDAG" else with_knowledge(to_cpdag(dag), known)
    edges += [(a, b, Mark.ARROW, Mark.ARROW) for a, b in pairs if rng.random() < 0.2]
    admg = CausalGraph.from_edges(edges, names, kind="ADMG")
    return admg if kind == "ADMG" else to_mag(admg) if kind == "MAG" else to_pag(admg)


def stress(kind: str, graphs: int, seed: int = 7) -> dict[str, object]:
    """Ask every verb about random graphs of a kind; count what is raised beside NotIdentifiedError, and what contradicts."""
    rng = np.random.default_rng(seed)
    raised: dict[str, int] = {}
    contradictions = 0
    start = time.process_time()
    for _ in range(graphs):
        graph = random_legal(kind, rng)
        seen = [v for v in graph.nodes if v not in graph.latent]
        if len(seen) < 2:
            continue
        y, *rest = (str(v) for v in rng.permutation(seen))
        query = Query(rest[: 2 if rng.random() < 0.2 else 1], y)
        try:
            contradictions += ask_everything(graph, query)
        except Exception as why:  # noqa: BLE001  counting what should never happen is the point
            raised[type(why).__name__] = raised.get(type(why).__name__, 0) + 1
    seconds = round(time.process_time() - start, 1)
    return {"kind": kind, "graphs": graphs, "exceptions": raised or 0, "contradictions": contradictions, "seconds": seconds}


def ask_everything(graph: CausalGraph, query: Query) -> int:
    """Return how many answers about one query contradict another."""
    wrong = 0
    statuses = set()
    for kind in ("optimal", "minimal", "minimum", "canonical", "all"):
        found = adjustment_sets(graph, query, kind=kind, limit=4)
        statuses.add(found.status)
        wrong += sum(not is_valid_adjustment(graph, query, one.variables) for one in found)
    wrong += len(statuses) > 1
    try:
        wrong += identify(graph, query).status not in statuses
    except NotIdentifiedError as why:
        wrong += why.status not in statuses
    is_valid_adjustment(graph, query, (), explain=True)
    effects = identify_all(graph)
    if len(query.treatments) == 1:
        wrong += effects.status(query.treatment, query.outcome) not in statuses
    if graph.kind in ("DAG", "ADMG"):
        front_door(graph, query)
        if len(query.treatments) == 1:
            instruments(graph, query)
        with contextlib.suppress(NotIdentifiedError):
            id_expression(graph, query)
    return wrong


def oracle(name: str, p: int, kind: str) -> dict[str, object]:
    """Check every set of every class of a reference list."""
    codes, pairs, others = {"t": TAIL, "h": ARROW, "o": CIRCLE}, list(itertools.combinations(range(p), 2)), "abc"[: p - 2]
    wrong = classes = 0
    start = time.process_time()
    with gzip.open(REFERENCE / f"{name}.txt.gz", "rt") as lines:
        for line in lines:
            _, told, valid = line.split()
            marks = np.zeros((p, p), dtype=np.int8)
            for (i, j), ends in zip(pairs, told.split(","), strict=True):
                if ends != "-":
                    pair = "tt" if kind == "CPDAG" and "t" not in ends else ends
                    marks[j, i], marks[i, j] = codes[pair[0]], codes[pair[1]]
            graph = CausalGraph(tuple("xy" + others), marks, kind)  # type: ignore[arg-type]  # one of the kinds
            classes += 1
            for z in range(2 ** (p - 2)):
                names = [others[k] for k in range(p - 2) if z >> k & 1]
                wrong += is_valid_adjustment(graph, ("x", "y"), names) != bool(int(valid) >> z & 1)
    return {"list": name, "classes": classes, "wrong sets": wrong, "seconds": round(time.process_time() - start, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="check every line of the reference lists, too")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    parser.add_argument("--calibration", type=int, metavar="WORLDS", help="only the calibration, on so many worlds of each kind")
    parser.add_argument("--seed", type=int, default=500, help="seed of the calibration's worlds")
    options = parser.parse_args()
    if options.calibration:
        show({"calibration of validity probabilities": calibration(options.calibration, options.seed)}, options.json)
        return
    results: dict[str, list[dict[str, object]]] = {
        "one pair": [dict(one_pair(20, 40)), dict(one_pair(50, 100)), dict(one_pair(50, 150, pairs=3))],
        "large graphs": [dict(large(1_000, 5_000)), dict(large(10_000, 50_000))],
        "all pairs": [dict(all_pairs(50, 150)), dict(all_pairs(200, 600))],
        "bootstrap": [dict(bootstrap())],
        "calibration of validity probabilities": calibration(),
    }
    if options.full and REFERENCE.is_dir():
        lists = (("oracle_cpdag5", 5, "CPDAG"), ("oracle_mag4", 4, "MAG"), ("oracle_pag4", 4, "PAG"))
        results["reference"] = [oracle(*one) for one in lists]
    if options.full:
        results["random legal graphs"] = [stress(kind, 10_000) for kind in ("DAG", "CPDAG", "MPDAG", "ADMG", "MAG", "PAG")]
    show(results, options.json)


def show(results: dict[str, list[dict[str, object]]], as_json: bool) -> None:
    """Print the rows of every part."""
    if as_json:
        print(json.dumps(results, indent=1))
        return
    for title, rows in results.items():
        print(title)
        for row in rows:
            print("  " + "  ".join(f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()))


if __name__ == "__main__":
    main()
