"""Which off-policy estimator errs least? python benchmarks/policy.py --data ../shared/data/open_bandit --json OUT

Simulated bandits (truth known over a million fresh contexts): the log is made uniformly or by a softmax of the true rewards, liked or
disliked, gentle or sharp; the policy to be valued is a softmax of them as well; rewards are clicks whose log-odds interact as no reward
model here does, or do not. Open Bandit data (with --data): the logs of Thompson sampling say what showing all items alike would earn,
and the random log of the same days what it did earn; logs are bootstrapped, as in Open Bandit Pipeline's benchmark, and that truth has
an error of its own.
Per estimator: bias, spread and root mean squared error over logs, share of 95 % intervals with the truth in them and
their mean width, CPU seconds.
obp itself is no peer here: it pins Python below 3.11 and torch 1.12.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit, softmax

from causalsem.datasets import load_open_bandit
from causalsem.errors import AssumptionWarning
from causalsem.policy import (
    DirectMethod,
    DoublyRobust,
    InversePropensity,
    LoggedFeedback,
    MoreRobustDoublyRobust,
    Policy,
    Reward,
    SelfNormalized,
    SelfNormalizedDoublyRobust,
    ShrunkDoublyRobust,
    SwitchDoublyRobust,
    evaluate_policy,
)
from causalsem.policy.context import ContextBasis

ESTIMATORS = {
    "IPS": InversePropensity(),
    "SNIPS": SelfNormalized(),
    "DM": DirectMethod(),
    "DR": DoublyRobust(),
    "SNDR": SelfNormalizedDoublyRobust(),
    "DR, weights cut to 10": DoublyRobust(clip=10.0),
    "MRDR": MoreRobustDoublyRobust(),
    "MRDR, cut by itself (default)": MoreRobustDoublyRobust(clip="auto"),
    "Switch-DR": SwitchDoublyRobust(),
    "Switch-DR, SLOPE": SwitchDoublyRobust(choose="slope"),
    "DRos": ShrunkDoublyRobust(),
    "DRos, SLOPE": ShrunkDoublyRobust(choose="slope"),
    "DRps": ShrunkDoublyRobust(kind="pessimistic"),
    "DRps, SLOPE": ShrunkDoublyRobust(kind="pessimistic", choose="slope"),
}
CLICK = Reward(click=1.0)
# Sharpness of the logging policy, and whether rewards interact as no reward model here does.
WORLDS = {
    "uniform": (0.0, True),
    "like taste": (1.0, True),
    "other taste": (-1.0, True),
    "sharp": (2.0, True),
    "very sharp": (4.0, True),
    "sharp, model nearly right": (2.0, False),
    "other taste, model nearly right": (-1.0, False),
}


class World:
    """Ten actions, five context variables; `sharpness` of the logging policy in log-odds per unit of true reward's log-odds."""

    def __init__(self, sharpness: float, interacts: bool = True, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.slopes, self.bends = 0.6 * rng.standard_normal((5, 10)), 0.5 * rng.standard_normal((5, 10)) * interacts
        self.level, self.sharpness = 0.5 * rng.standard_normal(10) - 1.5, sharpness

    def odds(self, x: np.ndarray) -> np.ndarray:
        """Return the log-odds of a click (n, actions)."""
        return self.level + x @ self.slopes + (x * np.roll(x, 1, axis=1)) @ self.bends

    def policy(self) -> Policy:
        """Return the policy to be valued: a softmax of the linear part of the log-odds."""
        basis = ContextBasis(np.zeros(5), np.ones(5), np.zeros(5, dtype=bool))
        return Policy(basis, 2 * np.vstack([self.level, self.slopes]), tuple(range(10)), tuple(f"x{k}" for k in range(5)), CLICK)

    def truth(self) -> float:
        """Return what the policy earns a round, over a million contexts."""
        x = np.random.default_rng(999).standard_normal((1_000_000, 5))
        return float((self.policy().probabilities(x) * expit(self.odds(x))).sum(axis=1).mean())

    def log(self, n: int, seed: int) -> LoggedFeedback:
        """Return n logged rounds."""
        rng = np.random.default_rng([1, seed])
        x = rng.standard_normal((n, 5))
        odds = self.odds(x)
        p = 0.99 * softmax(self.sharpness * odds, axis=1) + 0.001
        action = (p.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
        rows = np.arange(n)
        click = (rng.random(n) < expit(odds[rows, action])) * 1.0
        return LoggedFeedback(x, action, pd.DataFrame({"click": click}), p[rows, action], actions=tuple(range(10)))


def open_bandit(folder: Path, campaign: str, times: int) -> tuple[Iterable[LoggedFeedback], Policy, float, float]:
    """Return bootstrapped logs of Thompson sampling, the policy that shows all alike, what that did earn and the error of it."""
    log, random = (load_open_bandit(folder, policy=name, campaign=campaign) for name in ("bts", "random"))
    basis = ContextBasis.of(log.context)
    uniform = Policy(basis, np.zeros((basis.width, len(log.actions))), log.actions, log.context_names, CLICK)
    earned = CLICK.of(random)
    logs = (log.take(np.random.default_rng([2, seed]).integers(len(log), size=len(log))) for seed in range(times))
    return logs, uniform, float(earned.mean()), float(earned.std() / np.sqrt(len(earned)))


def compare(name: str, logs: Iterable[LoggedFeedback], policy: Policy, truth: float) -> list[dict[str, object]]:
    """Return how every estimator did over the logs, and print it."""
    found: dict[str, list[tuple[float, float, float]]] = {estimator: [] for estimator in ESTIMATORS}
    seconds = dict.fromkeys(ESTIMATORS, 0.0)
    for seed, log in enumerate(logs):
        for estimator, settings in ESTIMATORS.items():
            start = time.process_time()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", AssumptionWarning)  # few rounds count: that is what is compared
                estimate = evaluate_policy(policy, log, settings, seed=seed)
            seconds[estimator] += time.process_time() - start
            found[estimator].append((estimate.value, *estimate.interval))
    rows = []
    for estimator, pairs in found.items():
        values, low, high = np.array(pairs).T
        off = values - truth
        rows.append({
            "world": name, "estimator": estimator, "truth": truth, "bias": off.mean(), "spread": values.std(),
            "rmse": np.sqrt((off**2).mean()), "covered": np.mean((low <= truth) & (truth <= high)), "width": np.mean(high - low),
            "cpu_s": seconds[estimator] / len(values),
        })  # fmt: skip
    print(pd.DataFrame(rows).to_string(index=False, float_format=lambda v: f"{v:.5f}"), flush=True)
    return rows


def main() -> None:
    """Compare, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder of Open Bandit data; left out if not said")
    parser.add_argument("--times", type=int, default=100, help="logs of each simulated bandit")
    parser.add_argument("--resamples", type=int, default=30, help="bootstrapped logs of Open Bandit data")
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--worlds", nargs="*", default=list(WORLDS), choices=WORLDS)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    rows = []
    for name in chosen.worlds:
        world = World(*WORLDS[name])
        rows += compare(name, (world.log(chosen.rounds, seed) for seed in range(chosen.times)), world.policy(), world.truth())
    for campaign in ("men", "all") if chosen.data else ():
        logs, policy, truth, error = open_bandit(chosen.data, campaign, chosen.resamples)
        print(f"on-policy value of {campaign}: {truth:.5f}, standard error {error:.5f}")
        rows += compare(f"open bandit, {campaign}", logs, policy, truth)
    if chosen.json:
        chosen.json.write_text(json.dumps(rows, indent=1, default=float), encoding="utf-8")


if __name__ == "__main__":
    main()
