"""Does LiNG find feedback? Random sparse linear models with one or two cycles, non-Gaussian noise, fresh seeds.

    python benchmarks/feedback.py --seed 0 --seeds 20

Of each world the stable model found first is compared with the one that drew the rows: how often all arrows are right,
wrong arrows on average, the mean absolute error of the coefficients, and CPU seconds with 100 resamples.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd

from causalsem.discovery import LiNG, ling
from causalsem.errors import NotIdentifiedError


def world(p: int, cycles: int, rng: np.random.Generator) -> np.ndarray:
    """Return B (p, p): about one and a half arrows a variable along an order, and cycles of two that share no variable."""
    B = np.zeros((p, p))
    for i in range(1, p):
        for j in rng.choice(i, min(i, int(rng.integers(1, 3))), replace=False):
            B[i, j] = rng.uniform(0.4, 0.9) * rng.choice([-1, 1])
    for k in range(cycles):
        a, b = 2 * k, 2 * k + 1
        B[a, b], B[b, a] = (rng.uniform(0.4, 0.9) * rng.choice([-1, 1]) for _ in range(2))
    return B


def main() -> None:
    """Print one line per size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=20)
    told = parser.parse_args()
    for p, cycles, n in ((5, 1, 1000), (5, 1, 5000), (8, 2, 1000), (8, 2, 5000), (15, 2, 5000)):
        exact, wrong, errors, seconds, none = 0, [], [], [], 0
        for seed in range(told.seed, told.seed + told.seeds):
            rng = np.random.default_rng([seed, p, n])
            B = world(p, cycles, rng)
            rows = rng.laplace(size=(n, p)) @ np.linalg.inv(np.eye(p) - B).T
            start = time.process_time()
            try:
                found = ling(pd.DataFrame(rows, columns=[f"v{k}" for k in range(p)]), LiNG(seed=seed)).stable
            except NotIdentifiedError:
                found = ()
            seconds.append(time.process_time() - start)
            if not found:
                none += 1
                continue
            guess = found[0].coefficients
            misses = int(((guess != 0) != (B != 0)).sum())
            exact += misses == 0
            wrong.append(misses)
            errors.append(np.abs(guess - B).mean())
        line = f"exact {exact} of {told.seeds}, none {none}, wrong arrows {np.mean(wrong):.2f}, mean error {np.mean(errors):.4f}"
        print(f"{p} variables, {cycles} cycles, {n:,} rows: {line}, {np.median(seconds):.2f} s", flush=True)


if __name__ == "__main__":
    main()
