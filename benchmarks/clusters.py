"""Do intervals of user–item pairs cover, and what does it cost? One way against two, and against independent rows.

    python benchmarks/clusters.py --times 300 --json out.json

Worlds of pairs in which exposure and the errors of browsing and buying have parts of the user and of the item; true
paths .5 and .4, indirect effect .2. For every size: the share of 95 % intervals that cover, with rows independent,
clustered by user, and by user and item; and how often χ² rejects the true model at 5 %. Then CPU seconds of a fit to
389,800 pairs of 1,949 users and 200 items, as many as in The Complete Journey, with statsmodels' two-way error of the
last equation beside it, if installed.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from causalsem.behaviour import BehaviourTable
from causalsem.sem import fit_sem
from causalsem.sem.fourth_moments import FourthMoments

MODEL = "browse ~ a*exposure\nbuy ~ b*browse\nind := a*b"
TRUTH = {"a": 0.5, "b": 0.4, "ind": 0.2}
WAYS = {"independent": (), "user": ("user",), "user and item": ("user", "item")}
SIZES = ((30, 20), (60, 50), (150, 100), (400, 200))
USERS, ITEMS = 1949, 200


def world(users: int, items: int, seed: int, *, own: float) -> BehaviourTable:
    """Return pairs; `own` is the spread of the parts of user and item beside the pair's own of 1."""
    rng = np.random.default_rng(seed)
    u, i = np.repeat(np.arange(users), items), np.tile(np.arange(items), users)

    def drawn() -> np.ndarray:
        return own * (rng.normal(size=users)[u] + rng.normal(size=items)[i]) + rng.normal(size=len(u))

    exposure = drawn()
    browse = 0.5 * exposure + drawn()
    frame = pd.DataFrame({"user": u, "item": i, "exposure": exposure, "browse": browse, "buy": 0.4 * browse + drawn()})
    return BehaviourTable.from_frame(frame, user="user", item="item")


def coverage(users: int, items: int, times: int, own: float) -> list[dict[str, object]]:
    """Return the share of intervals that cover each truth, and of true models that χ² rejects, by how rows are clustered."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in WAYS}
    for seed in range(times):
        table = world(users, items, 10_000 + seed, own=own)
        for name, cluster in WAYS.items():
            fit = fit_sem(MODEL, table, cluster=cluster)
            told = {n: (fit.coefficients[n], fit.vcov.loc[n, n] ** 0.5) for n in ("a", "b")} | {n: (v, e) for n, v, e in fit.defined}
            hit = {n: float(abs(told[n][0] - true) <= 1.96 * told[n][1]) for n, true in TRUTH.items()}
            found[name].append({**hit, "rejected": float(fit.exact_test[2] < 0.05)})
    means = {name: pd.DataFrame(rows).mean().round(3).to_dict() for name, rows in found.items()}
    return [{"users": users, "items": items, "parts": own, "clustered by": name, **told} for name, told in means.items()]


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """Return the fewest CPU seconds of some repeats."""
    spent = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        spent.append(time.process_time() - start)
    return min(spent)


def wide(p: int) -> tuple[BehaviourTable, str]:
    """Return 389,800 pairs of p variables and a model in which each has up to two causes before it."""
    rng = np.random.default_rng(p)
    u, i = np.repeat(np.arange(USERS), ITEMS), np.tile(np.arange(ITEMS), USERS)
    X = rng.normal(size=(len(u), p)) + 0.5 * rng.normal(size=(USERS, p))[u] + 0.5 * rng.normal(size=(ITEMS, p))[i]
    for k in range(1, p):
        X[:, k] += 0.3 * X[:, k - 1] + (0.2 * X[:, k - 3] if k > 2 else 0.0)
    frame = pd.DataFrame(X, columns=[f"v{k}" for k in range(p)]).assign(user=u, item=i)
    model = "\n".join(f"v{k} ~ v{k - 1}" + (f" + v{k - 3}" if k > 2 else "") for k in range(1, p))
    return BehaviourTable.from_frame(frame, user="user", item="item"), model


def costs(p: int) -> dict[str, float]:
    """Return CPU seconds of fits by how rows are clustered, and of the cross-products of scores alone."""
    table, model = wide(p)
    told = {f"fit, {name}": seconds(lambda cluster=cluster: fit_sem(model, table, cluster=cluster)) for name, cluster in WAYS.items()}
    sample = fit_sem(model, table).samples[0]
    told["scores of user and item alone"] = seconds(lambda: FourthMoments.of(sample))
    return {"variables": p, "pairs": len(table), **told, **_statsmodels(table, p)}


def _statsmodels(table: BehaviourTable, p: int) -> dict[str, float]:
    """Return CPU seconds of the last equation alone by statsmodels, where it is installed."""
    try:
        import statsmodels.api as sm
    except ImportError:
        return {}
    X, y = sm.add_constant(table.frame[[f"v{p - 2}", f"v{p - 4}"]]), table.frame[f"v{p - 1}"]
    groups = table.keys[["user", "item"]].to_numpy()
    return {"statsmodels, last equation": seconds(lambda: sm.OLS(y, X).fit(cov_type="cluster", cov_kwds={"groups": groups}).bse, 1)}


def main() -> None:
    """Print both tables; with --json write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=300, help="worlds of each size")
    parser.add_argument("--parts", type=float, default=0.6, help="spread of the parts of user and item")
    parser.add_argument("--variables", default="12,20", help="numbers of variables to time; empty for none")
    parser.add_argument("--json", type=Path, help="write the results here")
    told = parser.parse_args()
    covered = [row for users, items in SIZES for row in coverage(users, items, told.times, told.parts)] if told.times else []
    print(pd.DataFrame(covered).to_string(index=False))
    spent = [costs(int(p)) for p in told.variables.split(",") if p]
    print(pd.DataFrame(spent).round(2).T.to_string(header=False))
    if told.json:
        told.json.write_text(json.dumps({"coverage": covered, "costs": spent}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
