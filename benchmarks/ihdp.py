"""Effects of single units on IHDP: python benchmarks/ihdp.py --data FOLDER --json OUT

Every file ihdp_npci_N.csv(.gz) of the folder is a replication. For every seed its rows are parted at random, 90 % to learn
from ("in sample": factual outcomes seen) and 10 % never seen ("out of sample"); the parting is fixed by N and the seed.
√PEHE = √mean((estimated − true effect of a unit)²), ATE error = |mean estimated − mean true effect|, in sample as is usual.
All settings are the package's defaults, fixed on other, simulated surfaces; truth enters the last step only. The networks of
all replications, seeds, candidates and members are trained as one batch. Peers are by econml with its defaults.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from causalsem.datasets import ihdp_truth, load_ihdp
from causalsem.datasets.effect_studies import IHDP_TRAITS
from causalsem.effects import CausalNet
from causalsem.effects.problem import Problem, build_problem

SHARE_UNSEEN = 0.1


class Replication(NamedTuple):
    """One replication and seed: the problem of its rows to learn from, all rows' traits and true effects, the unseen rows."""

    name: str
    seed: int
    problem: Problem
    Z: np.ndarray
    effects: np.ndarray
    unseen: np.ndarray


def replications(folder: Path, count: int | None, seeds: int) -> list[Replication]:
    """Return every replication of a folder under every seed, in the order of their numbers."""
    files = sorted((f for f in folder.glob("ihdp_npci_*.csv*")), key=number)[:count]
    if not files:
        raise SystemExit(f"no ihdp_npci_N.csv(.gz) in {folder}; hand in the folder that holds the replications")
    return [replication(file, seed) for seed in range(seeds) for file in files]


def number(file: Path) -> int:
    """Return N of ihdp_npci_N.csv.gz."""
    return int(re.sub(r"\D", "", file.name.split(".")[0]))


def replication(file: Path, seed: int) -> Replication:
    """Return one replication with its rows parted."""
    table, truth = load_ihdp(file), ihdp_truth(file)
    order = np.random.default_rng([number(file), seed]).permutation(len(table))
    unseen = np.zeros(len(table), dtype=bool)
    unseen[order[: round(SHARE_UNSEEN * len(table))]] = True
    problem = build_problem(table.rows(~unseen), ("treatment",), "outcome", IHDP_TRAITS, folds=2, seed=seed)
    return Replication(file.name, seed, problem, table.matrix(IHDP_TRAITS), truth[:, 1] - truth[:, 0], unseen)


def zero(r: Replication) -> np.ndarray:
    """Return no effect for anybody."""
    return np.zeros(len(r.Z))


def constant(r: Replication) -> np.ndarray:
    """Return the difference of the arms' means for everybody."""
    p = r.problem
    return np.full(len(r.Z), p.Y[p.treated].mean() - p.Y[p.untreated].mean())


def econml_forest(r: Replication) -> np.ndarray:
    """Return econml's causal forest with its defaults but 500 trees."""
    from econml.dml import CausalForestDML

    model = CausalForestDML(discrete_treatment=True, n_estimators=500, random_state=r.seed, n_jobs=1)
    model.fit(r.problem.Y, r.problem.T[:, 0], X=r.problem.Z)
    return model.effect(r.Z).ravel()


def econml_dr_learner(r: Replication) -> np.ndarray:
    """Return econml's DR-learner with its defaults."""
    from econml.dr import DRLearner

    model = DRLearner(random_state=r.seed)
    model.fit(r.problem.Y, r.problem.T[:, 0], X=r.problem.Z)
    return model.effect(r.Z).ravel()


def nets(every: list[Replication]) -> list[np.ndarray]:
    """Return CausalNet's effects, one batch of networks per seed."""
    found: list[np.ndarray] = []
    for seed in sorted({r.seed for r in every}):
        mine = [r for r in every if r.seed == seed]
        found += CausalNet().effects_of_many([r.problem for r in mine], [r.Z for r in mine])
    return found


def one_by_one(predict: Callable[[Replication], np.ndarray]) -> Callable[[list[Replication]], list[np.ndarray]]:
    """Return a predictor of lists of replications."""
    return lambda every: [predict(r) for r in every]


def errors(r: Replication, tau: np.ndarray) -> dict[str, object]:
    """Return √PEHE in and out of sample and the error of the average effect."""
    off = tau - r.effects
    rooted = {name: float(np.sqrt((off[rows] ** 2).mean())) for name, rows in (("in", ~r.unseen), ("out", r.unseen))}
    return {"file": r.name, "seed": r.seed, **rooted, "ate": abs(float(off[~r.unseen].mean()))}


def main() -> None:
    """Predict with every method, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--replications", type=int, help="the first so many files; all if not said")
    parser.add_argument("--peer-seeds", type=int, default=1, help="seeds of the slower peers; 0 leaves them out")
    chosen = parser.parse_args()
    if chosen.json and not chosen.json.parent.is_dir():
        parser.error(f"cannot write {chosen.json}: folder {chosen.json.parent} does not exist; make it first")
    if chosen.seeds < 1 or (chosen.replications is not None and chosen.replications < 1):
        parser.error("--seeds and --replications are 1 or more")
    every = replications(chosen.data, chosen.replications, chosen.seeds)
    few = [r for r in every if r.seed < chosen.peer_seeds]
    methods = {"zero effect": (one_by_one(zero), every), "constant effect": (one_by_one(constant), every), "CausalNet": (nets, every)}
    if few and importlib.util.find_spec("econml") is None:
        print("econml is not installed, so its forest and DR-learner are left out: pip install 'causalsem[cate]'")
    elif few:
        methods |= {
            "CausalNet, peers' seeds": (None, few),
            "causal forest (econml)": (one_by_one(econml_forest), few),
            "DR-learner (econml)": (one_by_one(econml_dr_learner), few),
        }
    found: dict[str, pd.DataFrame] = {}
    seconds: dict[str, float] = {}
    for name, (predict, on) in methods.items():
        if predict is None:
            found[name] = found["CausalNet"][found["CausalNet"]["seed"] < chosen.peer_seeds]
            continue
        start = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # econml's, about its own insides
            effects = predict(on)
        seconds[name] = time.process_time() - start
        found[name] = pd.DataFrame([errors(r, tau) for r, tau in zip(on, effects, strict=True)])
    report(found, seconds, len({r.name for r in every}), chosen.json)


def report(found: dict[str, pd.DataFrame], seconds: dict[str, float], count: int, out: Path | None) -> None:
    """Print the table and write it, with every replication's errors."""
    rows = {}
    for name, frame in found.items():
        numbers = frame[["in", "out", "ate"]]
        means, medians, error = numbers.mean(), numbers.median(), numbers.sem()
        rows[name] = {
            "pehe_in": means["in"], "pehe_out": means["out"], "pehe_out_se": error["out"], "ate_error": means["ate"],
            "median_in": medians["in"], "median_out": medians["out"], "median_ate": medians["ate"],
            "seeds": frame["seed"].nunique(), "cpu_s": seconds.get(name, 0.0),
        }  # fmt: skip
    table = pd.DataFrame(rows).T
    print(f"{count} replications")
    print(table.to_string(float_format=lambda v: f"{v:.3f}"))
    forest = rows.get("causal forest (econml)")
    if forest:
        ratio = rows["CausalNet, peers' seeds"]["median_out"] / forest["median_out"]
        print(f"median out of sample, CausalNet / forest: {ratio:.3f} (goal: 1.1 or less)")
    print(f"mean √PEHE out of sample of CausalNet: {rows['CausalNet']['pehe_out']:.3f} (goal: .71 or less)")
    if out:
        single = {name: frame.to_dict("records") for name, frame in found.items()}
        told = {name: {key: None if np.isnan(value) else value for key, value in row.items()} for name, row in rows.items()}
        out.write_text(json.dumps({"replications": count, "methods": told, "single": single}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
