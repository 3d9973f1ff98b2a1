"""PC, FCI, tests by kind of data and the bootstrap: against causal-learn in one run, on fresh seeds.

    python benchmarks/constraint_based.py --seed 1 [--only trust]

CPU seconds are of this process with one thread (set OMP_NUM_THREADS=1), the least of five for ours.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from discovery import against, counts_of, graph_of, random_dag, rows_of
from scipy.stats import norm

from causalsem.behaviour import Moments, moments
from causalsem.discovery import (
    BOSS,
    FCI,
    PC,
    ConditionalGaussian,
    FisherZ,
    RegressionTest,
    bootstrap,
    discover,
    edge_probabilities,
    mixed_moments,
    rank_moments,
)
from causalsem.discovery.calibration import frequencies, reliability
from causalsem.discovery.skeleton import skeletons
from causalsem.discovery.stack import Stack
from causalsem.graph import Knowledge, to_cpdag
from causalsem.graph.classes import is_cpdag
from causalsem.simulate import behaviour_world, erdos_renyi_dag


def least(work: Callable[[], Any], times: int = 5) -> float:
    taken = []
    for _ in range(times):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return min(taken)


def speed(seed: int) -> None:
    """PC and FCI against causal-learn from the same rows."""
    for p, degree, n in ((50, 2.0, 1000), (50, 4.0, 10_000), (100, 4.0, 1000)):
        rng = np.random.default_rng([seed, p, int(degree)])
        m = Moments.from_rows(rows_of(random_dag(p, degree, rng), n, rng).to_numpy(), [f"v{k}" for k in range(p)])
        for name, ours, theirs in (
            ("PC", PC(), PC(engine="causal-learn", colliders="max-p")),
            ("FCI", FCI(), FCI(engine="causal-learn")),
        ):
            fast, slow = least(lambda m=m, ours=ours: discover(m, ours)), least(lambda m=m, theirs=theirs: discover(m, theirs), 1)
            print(
                f"{name} {p} nodes, degree {degree:g}, {n:,} rows: {fast:.4f} s, causal-learn {slow:.2f} s, {slow / fast:.0f} x", flush=True
            )
    rng = np.random.default_rng([seed, 1000])
    R = rows_of(random_dag(1000, 4, rng), 1000, rng).corr().to_numpy()
    no = np.zeros((1000, 1000), dtype=bool)
    phase = least(lambda: skeletons(Stack(R[None], 1000), float(norm.isf(0.005)), no, no, no, 1000), 3)
    print(f"PC skeleton phase, 1,000 nodes, degree 4, 1,000 rows: {phase:.2f} s", flush=True)


def same(seed: int, datasets: int = 100) -> None:
    """Skeletons and separating sets against causal-learn's stable PC, and the skeletons of FCI.

    Both stages of FCI begin alike; causal-learn's second removes edges one by one, so that what it finds changes with
    column order, and tries sets of nodes that are no possible ancestors.
    """
    from causallearn.search.ConstraintBased.PC import pc

    skeletons_differ = sets_differ = fci_differ = pairs_differ = theirs_change = 0
    for k in range(datasets):
        rng = np.random.default_rng([seed, 3, k])
        p, n = int(rng.integers(6, 13)), int(rng.integers(100, 1000))
        frame = rows_of(random_dag(p, 3, rng), n, rng)
        theirs = pc(frame.to_numpy(), 0.05, "fisherz", stable=True, show_progress=False)
        no = np.zeros((p, p), dtype=bool)
        ours = skeletons(Stack(frame.corr().to_numpy()[None], n), float(norm.isf(0.025)), no, no, no, p)
        skeletons_differ += not np.array_equal(ours.adjacent[0], theirs.G.graph != 0)
        for (i, j), separating in ours.sepsets(0).items():
            # causal-learn keeps the union of all separating sets of the size at which the pair fell.
            sets_differ += not any(set(separating) <= set(union) for union in theirs.sepset[i, j])
        mine, his = (discover(frame, FCI(alpha=0.05, engine=engine)).marks != 0 for engine in ("causalsem", "causal-learn"))
        fci_differ, pairs_differ = fci_differ + int((mine != his).any()), pairs_differ + int((mine != his).sum()) // 2
        turned = discover(frame.iloc[:, ::-1], FCI(alpha=0.05, engine="causal-learn")).marks[::-1, ::-1] != 0
        theirs_change += int((turned != his).any())
    print(f"{datasets} data sets: {skeletons_differ} skeletons and {sets_differ} separating sets unlike causal-learn's", flush=True)
    print(f"FCI: {fci_differ} skeletons unlike, in {pairs_differ} pairs; causal-learn's own changes with column order in {theirs_change}")


def trust(seed: int, datasets: int = 30) -> None:
    """How often a result changes with column order, is no class of DAGs, is cyclic or breaks a tier."""
    for name, method in (("ours", PC(alpha=0.05)), ("causal-learn", None)):
        changed = invalid = cyclic = broken = 0
        for k in range(datasets):
            rng = np.random.default_rng([seed, 4, k])
            frame = rows_of(random_dag(12, 3, rng), 200, rng)
            order = rng.permutation(12)
            if method is None:
                graphs = [raw_causal_learn(frame), raw_causal_learn(frame.iloc[:, order])[np.ix_(np.argsort(order), np.argsort(order))]]
                changed += not np.array_equal(*graphs)
                invalid += not valid(graphs[0])
                cyclic += is_cyclic(graphs[0])
                continue
            graph = discover(frame, method)
            changed += discover(frame.iloc[:, order], method) != graph
            invalid += not is_cpdag(graph.marks)
            cyclic += not graph.is_acyclic()
            tiers = Knowledge(tiers=[[f"v{c}" for c in order[:6]], [f"v{c}" for c in order[6:]]])
            within = discover(frame, method, knowledge=tiers)
            broken += bool((within.directed & tiers.forbidden_matrix(within.nodes)).any())
        print(f"PC {name}, {datasets} data sets: {changed} change, {invalid} invalid, {cyclic} cyclic, {broken} against tiers", flush=True)


def raw_causal_learn(frame: pd.DataFrame) -> np.ndarray:
    """The marks of causal-learn's own PC: [i, j] is the mark at j."""
    from causallearn.search.ConstraintBased.PC import pc

    theirs = pc(frame.to_numpy(), 0.05, "fisherz", stable=True, show_progress=False).G.graph.T
    return np.select([theirs == -1, theirs == 1], [3, 2], 0).astype(np.int8)


def valid(marks: np.ndarray) -> bool:
    try:
        return bool(is_cpdag(marks))
    except (ValueError, AssertionError):
        return False


def is_cyclic(marks: np.ndarray) -> bool:
    reach = ((marks == 2) & (marks.T == 3)).astype(float)
    power = reach.copy()
    for _ in range(len(marks)):
        if np.trace(power) > 0:
            return True
        power = ((power @ reach) > 0).astype(float)
    return False


def kinds(seed: int, datasets: int = 8) -> None:
    """Each choice of test or representation on behaviour-like data, and plain Fisher z on raw values."""
    works: dict[str, Callable[[pd.DataFrame], Any]] = {
        "auto": lambda f: discover(f, "auto"),
        "PC, hurdle and other blocks": lambda f: discover(mixed_moments(f), PC()),
        "PC, regression tests": lambda f: discover(f, PC(test=RegressionTest())),
        "PC, conditional Gaussian": lambda f: discover(f, PC(test=ConditionalGaussian())),
        "PC, partial Spearman": lambda f: discover(rank_moments(f), PC()),
        "PC, Fisher z on raw values": lambda f: discover(moments(f), PC()),
        "PC, Fisher z on rows": lambda f: discover(f, PC(test=FisherZ())),
        "BOSS, raw values": lambda f: discover(moments(f), BOSS()),
    }
    for world in ("mixed", "counts"):
        told: dict[str, list[tuple[float, int, float]]] = {name: [] for name in works}
        for k in range(datasets):
            rng = np.random.default_rng([seed, 5, k])
            if world == "mixed":
                graph = erdos_renyi_dag(10, degree=2.5, seed=1000 * seed + k)
                families = {name: str(rng.choice(["trait", "binary", "count", "rating"], p=[0.25, 0.2, 0.4, 0.15])) for name in graph.nodes}
                frame = behaviour_world(graph, 2000, families=families, seed=1000 * seed + k).frame
            else:
                dag = random_dag(10, 2.5, rng)
                graph, frame = graph_of(dag), counts_of(dag, 2000, rng)
            for name, work in works.items():
                if k == 0:
                    # The first call loads machine code.
                    work(frame)
                start = time.process_time()
                found = work(frame)
                told[name].append((time.process_time() - start, *against(found, to_cpdag(graph))))
        for name, rows in told.items():
            seconds, shd, f1 = np.mean(rows, axis=0)
            print(f"{world} 10 variables, 2,000 rows: {name:30} {seconds:.3f} s  SHD {shd:.2f}  F1 {f1:.3f}", flush=True)


def calibration(seed: int, datasets: int = 25) -> None:
    """Stated frequency of each kind of edge against truth, raw and calibrated."""
    for n in (200, 1000):
        stated: dict[str, list[np.ndarray]] = {"raw": [], "calibrated": []}
        true = []
        for k in range(datasets):
            rng = np.random.default_rng([seed, 6, n, k])
            dag = random_dag(10, 2.5, rng)
            stability = bootstrap(rows_of(dag, n, rng), PC(), times=100, seed=k)
            told = edge_probabilities(stability, worlds=20, times=40, seed=k)
            stated["raw"].append(frequencies(stability.marks))
            stated["calibrated"].append(np.stack([told.edge, told.arrow, told.line]))
            true.append(frequencies(to_cpdag(graph_of(dag)).marks[None]) == 1)
        for name, values in stated.items():
            curve = reliability(np.stack(values, axis=1), np.stack(true, axis=1))
            curve["off"] = (curve["stated"] - curve["true"]).abs()
            for kind, part in curve[curve["pairs"] >= 30].groupby("kind", sort=False):
                mean = np.average(part["off"], weights=part["pairs"])
                print(f"calibration PC {n} rows, {name}, {kind}: off by {mean:.3f} on average, {part['off'].max():.2f} at most", flush=True)


def main() -> None:
    parts = {part.__name__: part for part in (speed, same, trust, kinds, calibration)}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=list(parts))
    told = parser.parse_args()
    warnings.simplefilter("ignore")
    for name, part in parts.items():
        if told.only in (None, name):
            part(told.seed)


if __name__ == "__main__":
    main()
