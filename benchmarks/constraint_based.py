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
    BOSSFCI,
    FCI,
    GES,
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
from causalsem.discovery.methods import Method
from causalsem.discovery.skeleton import skeletons
from causalsem.discovery.stack import Stack
from causalsem.graph import CausalGraph, Knowledge, to_cpdag, to_pag
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
    """How often a bootstrap returns each kind of edge, and how likely `edge_probabilities` says it is, against the truth."""
    for method in (PC(), GES(), BOSS()):
        for n in (200, 1000):
            draws = [class_world(n, np.random.default_rng([seed, 6, n, k])) for k in range(datasets)]
            judged(f"{type(method).__name__} {n} rows", method, draws)
    for hidden_method in (FCI(), BOSSFCI()):
        for n in (200, 1000):
            draws = [pag_world(n, np.random.default_rng([seed, 8, n, k])) for k in range(datasets)]
            judged(f"{type(hidden_method).__name__} {n} rows", hidden_method, draws)


def class_world(n: int, rng: np.random.Generator) -> tuple[pd.DataFrame, CausalGraph]:
    """Return rows of a random DAG of 10 variables, and its class."""
    dag = random_dag(10, 2.5, rng)
    return rows_of(dag, n, rng), to_cpdag(graph_of(dag))


def pag_world(n: int, rng: np.random.Generator) -> tuple[pd.DataFrame, CausalGraph]:
    """Return rows of 10 of the 12 variables of a random DAG, and the PAG of the truth."""
    dag = random_dag(12, 2.5, rng)
    latent = tuple(f"v{k}" for k in rng.choice(12, 2, replace=False))
    return rows_of(dag, n, rng).drop(columns=list(latent)), to_pag(graph_of(dag, latent))


def judged(name: str, method: Method, draws: list[tuple[pd.DataFrame, CausalGraph]]) -> None:
    """Print how far frequencies and probabilities are off, in bins of five with 30 pairs or more."""
    stated: dict[str, list[np.ndarray]] = {"frequency": [], "probability": []}
    true = [frequencies(truth.marks[None]) == 1 for _, truth in draws]
    for k, (rows, _) in enumerate(draws):
        stability = bootstrap(rows, method, times=100, seed=k)
        told = edge_probabilities(stability, draws=500, seed=k)
        stated["frequency"].append(frequencies(stability.marks))
        stated["probability"].append(np.stack([told.edge, told.arrow, told.line, told.head]))
    for what, values in stated.items():
        curve = reliability(np.stack(values, axis=1), np.stack(true, axis=1))
        curve["off"] = (curve["stated"] - curve["true"]).abs()
        for kind, part in curve[curve["pairs"] >= 30].groupby("kind", sort=False):
            mean, worst = np.average(part["off"], weights=part["pairs"]), part.loc[part["off"].idxmax()]
            bin_of = f"{worst['stated']:.2f} stated, {worst['true']:.2f} true, {worst['pairs']} pairs"
            print(f"{name}, {what} of {kind}: off by {mean:.3f} on average, {worst['off']:.2f} at most ({bin_of})", flush=True)


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
