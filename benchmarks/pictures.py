"""Drawing against graphviz' dot: crossings on twenty graphs, then twenty others, and seconds; `python benchmarks/pictures.py`.

Crossings are counted in columns, for both: where a curve passes a column, its place among the nodes there and the other
curves is its place in the order. (A count of the drawn curves would favour dot, whose curves share corners.)
"""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
import time

import numpy as np

from causalsem.graph import CausalGraph
from causalsem.report import layers, layout, ordering
from causalsem.report.routes import sampled

SIZES = [(8, 12), (10, 16), (12, 18), (12, 24), (15, 22), (15, 30), (18, 30), (20, 34), (25, 45), (30, 60)]


def random_dag(p: int, m: int, seed: int) -> CausalGraph:
    """Return a random DAG of p nodes and m edges."""
    rng = np.random.default_rng(100 + seed)
    pairs = list(itertools.combinations(range(p), 2))
    edges = [(f"v{pairs[k][0]}", f"v{pairs[k][1]}") for k in sorted(rng.choice(len(pairs), size=m, replace=False))]
    return CausalGraph.from_edges(edges, nodes=[f"v{k}" for k in range(p)])


def dots_crossings(graph: CausalGraph) -> int:
    """Return the crossings of dot's drawing from left to right, read from its plain output."""
    text = "digraph { rankdir=LR; node [shape=box]; " + "; ".join(f'"{a}" -> "{b}"' for a, b, _, _ in graph.edges) + " }"
    plain = subprocess.run(["dot", "-Tplain"], input=text, capture_output=True, text=True, check=True).stdout
    words = [line.split() for line in plain.splitlines()]
    spot = {w[1]: (float(w[2]), float(w[3])) for w in words if w[0] == "node"}
    ranks = sorted({round(x, 1) for x, _ in spot.values()})
    column = [ranks.index(round(spot.get(name, (ranks[0], 0.0))[0], 1)) for name in graph.nodes]
    chains = layers.with_dummies(column, [(graph.index(a), graph.index(b)) for a, b, _, _ in graph.edges])
    height = np.zeros(len(chains.column))
    height[: len(graph.nodes)] = [spot.get(name, (0.0, 0.0))[1] for name in graph.nodes]
    curves = {(w[1], w[2]): sampled(np.array(w[4 : 4 + 2 * int(w[3])], dtype=float).reshape(-1, 2), 40) for w in words if w[0] == "edge"}
    for k, (a, b, _, _) in enumerate(graph.edges):
        for vertex in chains.chains[k][1:-1]:
            height[vertex] = np.interp(ranks[chains.column[vertex]], *curves[a, b].T)
    return ordering.crossings([sorted(column, key=height.__getitem__) for column in chains.columns], chains.links())


def compared(first_seed: int) -> None:
    """Print crossings and seconds of every one of twenty graphs, and the sums."""
    print("nodes edges  ours  dot  CPU s")
    rows = []
    for seed, (p, m) in enumerate(SIZES * 2, start=first_seed):
        graph = random_dag(p, m, seed)
        seconds = []
        for _ in range(3):
            start = time.process_time()
            drawn = layout(graph, labels=["0.42***"] * m)
            seconds.append(time.process_time() - start)
        rows.append((p, m, drawn.crossings, dots_crossings(graph), min(seconds)))
        print("{:5d} {:5d} {:5d} {:4d} {:6.2f}".format(*rows[-1]))
    ours, dots = np.array([row[2] for row in rows]), np.array([row[3] for row in rows])
    print(f"together {ours.sum()} and {dots.sum()}; ours has no more on {int((ours <= dots).sum())} of {len(rows)} graphs")


def main() -> int:
    """Compare on the graphs the search was tuned on, then on others."""
    if shutil.which("dot") is None:
        print("needs graphviz to compare with; run: apt-get install graphviz")
        return 2
    for first_seed in (0, 1000):
        compared(first_seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
