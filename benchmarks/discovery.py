"""Discovery against its peers in one run: CPU seconds, SHD of the class, skeleton F1, on fresh seeds.

    python benchmarks/discovery.py --seed 1 --json discovery.json [--quick] [--only orders,ges …]

Worlds: random linear-Gaussian DAGs (Laplace noise for LiNGAM), standardised; counts with many zeros; hidden causes.
CPU seconds are of this process with one thread; Java's own threads count too, after a warm-up. Peers: causal-learn,
lingam, flopsearch, andrey-core (extra `bench`) and Tetrad (see discovery_peers.py). One that is not here is said to be
missing; one that would take minutes is left out at that size.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import discovery_peers as peers
import numpy as np
from discovery_worlds import (
    Row,
    against,
    counts_of,
    equal_variances,
    graph_of,
    hidden_world,
    missing,
    moments_of,
    random_dag,
    rows_of,
    timed,
    told,
)

from causalsem.behaviour import Moments
from causalsem.discovery import BOSS, BOSSFCI, FCI, FLOP, GES, PC, RFCI, DirectLiNGAM, GRaSP, bootstrap, discover, hurdle_moments
from causalsem.discovery.found import Rules
from causalsem.discovery.order_search import KERNELS
from causalsem.discovery.orient import restrict
from causalsem.discovery.scores import GaussianBIC
from causalsem.discovery.stack import Stack
from causalsem.graph import CausalGraph, Knowledge, to_cpdag
from causalsem.graph.classes import extension
from causalsem.graph.pdag import PDAG, to_masks

World = tuple[Any, Moments, CausalGraph]


def gaussian_worlds(seed: int, p: int, degree: float, n: int, count: int, sampler: Callable[..., Any] = rows_of) -> list[World]:
    """Return `count` data sets: frame, moments, true class."""
    return [(frame, m, to_cpdag(graph_of(dag))) for frame, m, dag in (drawn(seed, p, degree, n, k, sampler) for k in range(count))]


Work = Callable[[Any, Moments], Any]


def over(world: str, who: str, worlds: list[World], work: Work, repeats: int = 1) -> tuple[Row, float]:
    """Tell how a method does over worlds; `work` takes the frame and the moments and returns a graph."""
    runs = [(timed(lambda f=f, m=m: work(f, m), repeats), truth) for f, m, truth in worlds]
    seconds = [s for (_, s), _ in runs]
    return told(world, who, seconds, [against(g, t) for (g, _), t in runs]), float(np.mean(seconds))


def flopsearch(frame: Any, restarts: int) -> CausalGraph:
    """flopsearch itself on rows, without our adapter."""
    import flopsearch as theirs

    codes = np.asarray(theirs.flop(frame.to_numpy(), 2.0, restarts=restarts))
    return CausalGraph(list(frame.columns), PDAG.from_matrices(codes == 1, (codes == 2) & (codes.T == 2)).marks(), "CPDAG")


def orders(seed: int, datasets: int, quick: bool) -> Iterator[Row]:
    """FLOP, BOSS, GRaSP and their peers; FLOP starts from rows as flopsearch does, so that taking moments counts."""
    # What loading machine code takes is told apart.
    _, first = timed(lambda: importlib.import_module(KERNELS))
    world = gaussian_worlds(seed, 5, 2.0, 100, 1)[0]
    _, second = timed(lambda: discover(world[1], FLOP(restarts=0)))
    yield told("once per process", "loading the order search", [first + second], [])
    sizes: list[tuple[int, float, int]] = [(20, 2.0, 1000), (50, 2.0, 1000)]
    sizes += [] if quick else [(50, 4.0, 10_000), (100, 4.0, 1000), (100, 4.0, 10_000), (200, 4.0, 1000), (500, 4.0, 1000)]
    for p, degree, n in sizes:
        name = f"gaussian {p}, {degree:g}, {n:,}"
        worlds = gaussian_worlds(seed, p, degree, n, datasets if p < 500 else 2)
        repeats = 5 if p <= 50 else 1
        for r in (0, 20) if p <= 200 else (0, 5):
            row, ours = over(name, f"FLOP, {r} restarts", worlds, lambda f, m, r=r: discover(moments_of(f), FLOP(restarts=r)), repeats)
            yield row
            if not peers.installed("flopsearch"):
                yield missing(name, f"flopsearch, {r} restarts", "pip install flopsearch")
                continue
            row, theirs = over(name, f"flopsearch, {r} restarts", worlds, lambda f, m, r=r: flopsearch(f, r), repeats)
            yield row
            yield told(name, f"  FLOP / flopsearch, {r} restarts", [], [], times=round(ours / theirs, 2))
        yield over(name, "BOSS, 0 restarts", worlds, lambda f, m: discover(m, BOSS(restarts=0)))[0]
        yield over(name, "BOSS, 5 restarts", worlds, lambda f, m: discover(m, BOSS()))[0]
        if p <= 100:
            yield over(name, "GRaSP", worlds, lambda f, m: discover(m, GRaSP()))[0]
        yield from order_peers(name, worlds, p)


def order_peers(name: str, worlds: list[World], p: int) -> Iterator[Row]:
    """Tetrad's BOSS at the same penalty, andrey's BOSS and GRaSP, causal-learn's BOSS."""
    if peers.tetrad() is None:
        yield missing(name, "Tetrad BOSS", "see discovery_peers.py")
    elif p <= 200:
        peers.boss(worlds[0][1], 2.0)
        peers.boss(worlds[0][1], 2.0)
        yield over(name, "Tetrad BOSS", worlds, lambda f, m: peers.as_graph(peers.boss(m, 2.0), m.names, "CPDAG"))[0]
    if not peers.installed("andrey"):
        yield missing(name, "andrey BOSS", "pip install andrey-core")
    elif p <= 200:
        yield over(name, "andrey BOSS", worlds, lambda f, m: discover(m, BOSS(engine="andrey")))[0]
        if p <= 100:
            yield over(name, "andrey GRaSP", worlds, lambda f, m: discover(m, GRaSP(engine="andrey")))[0]


def score_of(graph: CausalGraph, m: Moments) -> float:
    """Return the penalised score of a class at penalty 2, by one of its members."""
    member = extension(graph.marks)
    assert member is not None
    return GaussianBIC(Stack(m.correlation[None], m.n), 0, 2.0).total(to_masks(member.T))


def restarted(seed: int, datasets: int, quick: bool) -> Iterator[Row]:
    """FLOP and flopsearch at 20 restarts: SHD, time, and the scores of both and of the truth, which tell search from chance."""
    sizes: list[tuple[int, float, int, Any]] = [(50, 2.0, 1000, rows_of), (50, 4.0, 1000, equal_variances)]
    if not quick:
        sizes += [(50, 4.0, 10_000, rows_of), (100, 4.0, 1000, rows_of), (100, 4.0, 1000, equal_variances), (100, 4.0, 10_000, rows_of)]
    if not peers.installed("flopsearch"):
        yield missing("20 restarts", "flopsearch", "pip install flopsearch")
        return
    for p, degree, n, sampler in sizes:
        name = f"{'gaussian' if sampler is rows_of else 'equal R²'} {p}, {degree:g}, {n:,}"
        worlds = gaussian_worlds(seed, p, degree, n, datasets, sampler)
        true = np.array([score_of(truth, m) for _, m, truth in worlds])
        above = {}
        for who, work in {
            "FLOP, 20 restarts": lambda f, m: discover(moments_of(f), FLOP(restarts=20)),
            "flopsearch, 20 restarts": lambda f, m: flopsearch(f, 20),
        }.items():
            runs = [(timed(lambda f=f, m=m, work=work: work(f, m)), truth) for f, m, truth in worlds]
            above[who] = np.array([score_of(g, m) for ((g, _), _), (_, m, _) in zip(runs, worlds, strict=True)]) - true
            more = {"score_above_truth": round(float(above[who].mean()), 2), "below_truth": int((above[who] < -1e-6).sum())}
            yield told(name, who, [s for (_, s), _ in runs], [against(g, t) for (g, _), t in runs], **more)
        gap = np.subtract(*above.values())
        yield told(
            name,
            "  FLOP's score",
            [],
            [],
            higher_same_lower=[int(k) for k in ((gap > 1e-6).sum(), (abs(gap) <= 1e-6).sum(), (gap < -1e-6).sum())],
        )


def no_order_shown(seed: int, datasets: int, quick: bool) -> Iterator[Row]:
    """Order searches where each variable is explained equally well, so that starting from the least explained is no help."""
    for p, degree, n in [(20, 3.0, 1000)] if quick else [(50, 4.0, 1000), (100, 4.0, 1000)]:
        name = f"equal R² {p}, {degree:g}, {n:,}"
        worlds = gaussian_worlds(seed, p, degree, n, datasets, equal_variances)
        for restarts in (0, 20):
            yield over(name, f"FLOP, {restarts} restarts", worlds, lambda f, m, r=restarts: discover(m, FLOP(restarts=r)))[0]
            if peers.installed("flopsearch"):
                yield over(name, f"flopsearch, {restarts} restarts", worlds, lambda f, m, r=restarts: flopsearch(f, r))[0]


def tiers(seed: int, datasets: int, quick: bool) -> Iterator[Row]:
    """FLOP with the true variables in five tiers, in two, and in none; flopsearch, which takes none."""
    sizes: list[tuple[int, float, int, Any]] = [(50, 4.0, 1000, rows_of), (50, 4.0, 1000, equal_variances)]
    for p, degree, n, sampler in sizes if quick else [*sizes, (100, 4.0, 1000, rows_of), (100, 4.0, 1000, equal_variances)]:
        name = f"{'gaussian' if sampler is rows_of else 'equal R²'} {p}, {degree:g}, {n:,}"
        worlds = [
            (frame, m, dag, to_cpdag(graph_of(dag))) for frame, m, dag in (drawn(seed, p, degree, n, k, sampler) for k in range(datasets))
        ]
        for count in (5, 2, 1):
            known = [tiers_of(dag, count) for _, _, dag, _ in worlds]
            for restarts in (0, 20):
                runs = [
                    timed(lambda m=m, k=k, r=restarts: discover(m, FLOP(restarts=r), knowledge=k))
                    for (_, m, _, _), k in zip(worlds, known, strict=True)
                ]
                # Tiers make a class smaller: its truth is what the tiers leave open of the true graph's class.
                truths = [truth if count == 1 else restricted(truth, k) for (_, _, _, truth), k in zip(worlds, known, strict=True)]
                scores = [against(graph, truth) for (graph, _), truth in zip(runs, truths, strict=True)]
                missed = [skeleton_distance(graph, truth) for (graph, _), truth in zip(runs, truths, strict=True)]
                told_of = f"FLOP, {restarts} restarts, {count if count > 1 else 'no'} tiers"
                yield told(name, told_of, [s for _, s in runs], scores, skeleton_distance=float(np.mean(missed)))
        if peers.installed("flopsearch"):
            for restarts in (0, 20):
                runs = [timed(lambda f=f, r=restarts: flopsearch(f, r)) for f, _, _, _ in worlds]
                scores = [against(graph, truth) for (graph, _), (_, _, _, truth) in zip(runs, worlds, strict=True)]
                missed = [skeleton_distance(graph, truth) for (graph, _), (_, _, _, truth) in zip(runs, worlds, strict=True)]
                yield told(
                    name,
                    f"flopsearch, {restarts} restarts, no tiers",
                    [s for _, s in runs],
                    scores,
                    skeleton_distance=float(np.mean(missed)),
                )


def drawn(seed: int, p: int, degree: float, n: int, k: int, sampler: Callable[..., Any]) -> tuple[Any, Moments, np.ndarray]:
    """Return frame, moments and DAG of one Gaussian world."""
    rng = np.random.default_rng([seed, p, int(degree), n, k])
    dag = random_dag(p, degree, rng)
    frame = sampler(dag, n, rng)
    return frame, moments_of(frame), dag


def tiers_of(dag: np.ndarray, count: int) -> Knowledge | None:
    """Return the variables in so many tiers, in an order of the DAG; None for one."""
    order = graph_of(dag).topological_order()
    size = -(-len(order) // count)
    return None if count == 1 else Knowledge(tiers=[order[k : k + size] for k in range(0, len(order), size)])


def restricted(truth: CausalGraph, known: Knowledge | None) -> CausalGraph:
    """Return what knowledge leaves open of a class."""
    return CausalGraph(truth.nodes, restrict(PDAG.from_marks(truth.marks), Rules.of(known, truth.nodes)).marks(), "MPDAG")


def skeleton_distance(found: CausalGraph, truth: CausalGraph) -> int:
    """Return how many pairs are adjacent in one graph only."""
    return int(np.triu((found.marks != 0) != (truth.marks != 0)).sum())


def constraint(seed: int, datasets: int, quick: bool) -> Iterator[Row]:
    """PC, ours and causal-learn's, from the same moments."""
    sizes = [(20, 2.0, 1000), (50, 2.0, 1000)] if quick else [(50, 2.0, 1000), (50, 4.0, 10_000), (100, 4.0, 1000), (1000, 4.0, 1000)]
    for p, degree, n in sizes:
        name = f"gaussian {p}, {degree:g}, {n:,}"
        worlds = gaussian_worlds(seed, p, degree, n, datasets if p < 1000 else 1)
        yield over(name, "PC", worlds, lambda f, m: discover(m, PC()))[0]
        if p <= 100:
            yield over(name, "PC causal-learn", worlds[:2], lambda f, m: discover(m, PC(engine="causal-learn", colliders="max-p")))[0]


def ges(seed: int, datasets: int, quick: bool) -> Iterator[Row]:
    """GES, ours and causal-learn's: how often the score is lower, the same or higher; time; dense graphs."""
    lower = same = higher = 0
    seconds: dict[str, list[float]] = {"GES": [], "GES causal-learn": []}
    for k in range(20 if quick else 100):
        rng = np.random.default_rng([seed, 11, k])
        p = int(rng.integers(5, 13))
        frame = rows_of(random_dag(p, rng.uniform(1, 4), rng), int(rng.integers(100, 1000)), rng)
        m = moments_of(frame)
        values = []
        for who, method in {"GES": GES(), "GES causal-learn": GES(engine="causal-learn")}.items():
            graph, spent = timed(lambda m=m, method=method: discover(m, method))
            values.append(score_of(graph, m))
            seconds[who].append(spent)
        lower, higher = lower + (values[0] < values[1] - 1e-6), higher + (values[0] > values[1] + 1e-6)
        same += abs(values[0] - values[1]) <= 1e-6
    for who, spent in seconds.items():
        yield told(
            "gaussian 5–12 variables", who, spent, [], **({"score_lower_same_higher": [lower, same, higher]} if who == "GES" else {})
        )
    for p, degree in [(50, 2.0)] if quick else [(50, 2.0), (50, 8.0), (50, 20.0), (100, 4.0)]:
        name = f"gaussian {p}, {degree:g}, 1,000"
        worlds = gaussian_worlds(seed, p, degree, 1000, datasets)
        yield over(name, "GES", worlds, lambda f, m: discover(m, GES()), 2)[0]
        if degree <= 2:
            yield over(name, "GES causal-learn", worlds[:2], lambda f, m: discover(m, GES(engine="causal-learn")))[0]


def latent(seed: int, datasets: int, quick: bool) -> Iterator[Row]:
    """Searches that allow hidden causes, over degrees and shares of hidden variables: SHD of the PAG."""
    sizes = [(30, d, n, h) for n in (1000, 10_000) for d, h in ((2.0, 3), (3.0, 3), (4.0, 3), (3.0, 6))]
    for p, degree, n, hidden in [(20, 3.0, 1000, 3)] if quick else sizes:
        name = f"latent {p} ({hidden} hidden), {degree:g}, {n:,}"
        rngs = [np.random.default_rng([seed, 7, p, int(degree), n, hidden, k]) for k in range(datasets)]
        worlds = [(None, *hidden_world(p, degree, n, hidden, rng)) for rng in rngs]
        for who, method in {"BOSSFCI": BOSSFCI(), "FCI": FCI(), "RFCI": RFCI()}.items():
            yield over(name, who, worlds, lambda f, m, method=method: discover(m, method))[0]
        if quick:
            yield over(name, "FCI causal-learn", worlds[:2], lambda f, m: discover(m, FCI(engine="causal-learn")))[0]
        if peers.tetrad() is None:
            yield missing(name, "Tetrad BOSS-FCI", "see discovery_peers.py")
            continue
        for who, search in {"Tetrad BOSS-FCI": "BossFci", "Tetrad GFCI": "FgesFci"}.items():
            yield over(
                name, who, worlds, lambda f, m, search=search: peers.as_graph(peers.with_latents(search, m, 2.0, 0.01), m.names, "PAG")
            )[0]


def lingam_world(seed: int, datasets: int, quick: bool) -> Iterator[Row]:
    """DirectLiNGAM, ours and lingam's: the same order on 100 data sets, and the time."""
    sizes = [(20, 3.0, 1000)] if quick else [(50, 3.0, 1000), (100, 3.0, 1000), (100, 3.0, 10_000)]
    here = peers.installed("lingam")
    if here:
        import lingam

        same = 0
        for k in range(20 if quick else 100):
            rng = np.random.default_rng([seed, 13, k])
            frame = rows_of(random_dag(7, 3, rng), 300, rng, "laplace")
            ours = discover(frame, DirectLiNGAM()).provenance["order"]
            same += ours == [int(j) for j in lingam.DirectLiNGAM().fit(frame.to_numpy()).causal_order_]
        yield told("laplace 7, 3, 300", "DirectLiNGAM", [], [], same_order_as_lingam=f"{same} of {20 if quick else 100}")
    for p, degree, n in sizes:
        rng = np.random.default_rng([seed, p, n])
        dag = random_dag(p, degree, rng)
        frame = rows_of(dag, n, rng, "laplace")
        world = f"laplace {p}, {degree:g}, {n:,}"
        graph, seconds = timed(lambda frame=frame: discover(frame, DirectLiNGAM()), 3)
        yield told(world, "DirectLiNGAM", [seconds], [against(graph, graph_of(dag))])
        if not here:
            yield missing(world, "DirectLiNGAM lingam", "pip install lingam")
        elif n <= 1000:
            model, slow = timed(lambda frame=frame: lingam.DirectLiNGAM().fit(frame.to_numpy()))
            same_order = [int(k) for k in model.causal_order_] == graph.provenance["order"]
            yield told(world, "DirectLiNGAM lingam", [slow], [], same_order=same_order, times_ours=round(slow / seconds))


def behaviours(seed: int, datasets: int, quick: bool) -> Iterator[Row]:
    """Behaviour-like counts: blocks against plain moments and causal-learn."""
    worlds: list[World] = []
    for k in range(2 * datasets):
        rng = np.random.default_rng([seed, 99, k])
        dag = random_dag(10, 2.5, rng)
        frame = counts_of(dag, 2000, rng)
        worlds.append((frame, moments_of(frame), to_cpdag(graph_of(dag))))
    name = "counts with zeros 10, 2.5, 2,000"
    for method in (PC(), BOSS(), FLOP()):
        yield over(
            name, f"{type(method).__name__}, hurdle blocks", worlds, lambda f, m, method=method: discover(hurdle_moments(f), method)
        )[0]
        yield over(name, f"{type(method).__name__}, raw values", worlds, lambda f, m, method=method: discover(m, method))[0]
    theirs = PC(engine="causal-learn", colliders="max-p")
    yield over(name, "PC causal-learn, raw values", worlds, lambda f, m: discover(m, theirs))[0]


def resampling(seed: int, datasets: int, quick: bool) -> Iterator[Row]:
    """The bootstrap from reweighted moments."""
    rng = np.random.default_rng([seed, 20])
    dag = random_dag(20, 2, rng)
    big, small = rows_of(dag, 100_000, rng), rows_of(dag, 1000, rng)
    for who, frame, method, times in (
        ("GES, 200 resamples", big, GES(), 200),
        ("FLOP, 0 restarts, 200 resamples", big, FLOP(restarts=0), 200),
        ("PC, 200 resamples", big, PC(), 200),
        ("PC, 1,000 resamples", small, PC(), 1000),
    ):
        _, seconds = timed(lambda frame=frame, method=method, times=times: bootstrap(frame, method, times=times))
        yield told(f"bootstrap 20, 2, {len(frame):,}", who, [seconds], [])


def rows_do_not_matter(seed: int, datasets: int, quick: bool) -> Iterator[Row]:
    """After moments, the number of rows is a number: the same truth at a thousand, a hundred thousand, ten million."""
    rng = np.random.default_rng([seed, 21])
    dag = random_dag(30, 3, rng)
    weights = dag * rng.uniform(0.3, 1, (30, 30))
    factor = np.linalg.inv(np.eye(30) - weights).T
    for n in (1_000, 100_000, 10_000_000):
        # A Wishart draw: moments of n rows that need not be written down.
        A = np.tril(rng.normal(size=(30, 30)), -1) + np.diag(np.sqrt(rng.chisquare(n - 1 - np.arange(30))))
        m = Moments.from_covariance(factor @ A @ A.T @ factor.T / (n - 1), n, [f"v{k}" for k in range(30)])
        for method in (PC(), GES(), FLOP(restarts=0), BOSS(restarts=0)):
            _, seconds = timed(lambda m=m, method=method: discover(m, method), 3)
            yield told(f"moments of {n:,} rows, 30, 3", type(method).__name__, [seconds], [])


SECTIONS = {
    "behaviours": behaviours,
    "resampling": resampling,
    "rows": rows_do_not_matter,
    "lingam": lingam_world,
    "latent": latent,
    "ges": ges,
    "constraint": constraint,
    "orders": orders,
    "tiers": tiers,
    "no-order": no_order_shown,
    "restarts": restarted,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--datasets", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="small sizes only")
    parser.add_argument("--only", default="", help=f"some of {','.join(SECTIONS)}")
    given = parser.parse_args()
    chosen = [name for name in given.only.split(",") if name] or list(SECTIONS)
    if unknown := sorted(set(chosen) - set(SECTIONS)):
        parser.error(f"no section {', '.join(unknown)}; choose some of {', '.join(SECTIONS)}")
    warnings.simplefilter("ignore")
    rows = []
    for name in chosen:
        rows += SECTIONS[name](given.seed, given.datasets, given.quick)
    if given.json:
        given.json.write_text(json.dumps({"seed": given.seed, "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
