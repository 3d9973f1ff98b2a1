"""Propensities: calibrated, clipped, and honest about how much of the data they leave."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from causalsem._values import BoolArray, FloatArray
from causalsem.errors import AssumptionWarning, DataError, OverlapError

# Beyond these shares of pairs under the floor, the average effect rests on extrapolation: say so, or refuse.
WARN_SHARE, REFUSE_SHARE = 0.1, 0.9
# A group of pairs without a single one in an arm has no overlap where chance would have put so many there.
MOST_VALUES, EXPECTED = 12, 15.0
# Users and items differ in how often they are treated, so that one of them is often left out by chance where fewer are expected.
EXPECTED_OF_ONE = 50.0


@dataclass(frozen=True)
class Calibration:
    """Platt's line (1999): logit P(T = 1) = intercept + slope × logit ê, fitted on folds the network never saw."""

    intercept: float = 0.0
    slope: float = 1.0

    def __call__(self, propensity: FloatArray) -> FloatArray:
        """Return calibrated probabilities."""
        calibrated: FloatArray = expit(self.intercept + self.slope * logit(np.clip(propensity, 1e-9, 1 - 1e-9)))
        return calibrated


def calibrate(propensity: FloatArray, treatment: FloatArray) -> Calibration:
    """Return Platt's line by Newton's method; both arrays (n,), both classes present."""
    x = np.column_stack([np.ones(len(propensity)), logit(np.clip(propensity, 1e-9, 1 - 1e-9))])
    beta = np.array([0.0, 1.0])
    for _ in range(50):
        p = expit(x @ beta)
        # A ridge of a millionth of a pair keeps a propensity that never varies (a singular Hessian) harmless.
        hessian = (x * (p * (1 - p))[:, None]).T @ x + 1e-6 * np.eye(2)
        step = np.linalg.solve(hessian, x.T @ (treatment - p) + 1e-6 * (np.array([0.0, 1.0]) - beta))
        beta = beta + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-8:
            break
    return Calibration(float(beta[0]), float(beta[1]))


def arm_propensities(propensity: FloatArray, treatment: FloatArray, clip: float) -> FloatArray:
    """Return P(T = arm) of each pair, at least `clip` × the arm's share: (n,) → (n, 2).

    A floor relative to the share bounds the stabilised weight P(arm) / e by 1 / clip, however rare the arm.
    """
    share = np.array([1 - treatment.mean(), treatment.mean()])
    both = np.column_stack([1 - propensity, propensity])
    floored: FloatArray = np.maximum(both, clip * share)
    return floored


def effective_sample_size(weights: FloatArray) -> float:
    """Return (Σw)² / Σw² (Kish 1965)."""
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares > 0 else 0.0


def check_propensities(values: FloatArray, column: str) -> FloatArray:
    """Return given propensities, or raise DataError unless all lie in (0, 1]."""
    bad = np.flatnonzero(~((values > 0) & (values <= 1)))
    if bad.size:
        raise DataError(
            f"propensity {values[bad[0]]:g} in row {bad[0]} of column {column!r} ({bad.size:,} such rows); "
            "probabilities must lie in (0, 1]: drop or mend these rows",
            columns=[column],
            rows=bad[:8].tolist(),
        )
    return values


def check_overlap(
    propensity: FloatArray,
    floored: FloatArray,
    treatment: FloatArray,
    values: FloatArray,
    names: Sequence[str],
    sides: Mapping[str, Sequence[object]] | None = None,
) -> None:
    """Warn, or raise OverlapError, when many pairs could hardly have been (un)treated, or a stratum never was: the message says which.

    `propensity`, `treatment` (n,), `floored` (n, 2), `values` (n, k) of the columns `names` that describe the pairs, `sides`
    whose pair each is: "user" and "item" (n,).
    """
    both = np.column_stack([1 - propensity, propensity])
    for arm, what in ((1, "treated"), (0, "untreated")):
        lost = floored[:, arm] > both[:, arm]
        share, empty = float(lost.mean()), empty_stratum(treatment == arm, values, names, sides)
        if share <= WARN_SHARE and empty is None:
            continue
        stratum = empty or _stratum(lost, values, names)
        told = f"{share:.1%} of pairs have almost no chance of being {what} ({stratum})"
        if empty is not None:
            told = f"no pair with {empty} was ever {what}"
        if share > REFUSE_SHARE:
            raise OverlapError(f"{told}; leave these pairs out, or the effect is not identified by data", share=share, stratum=stratum)
        warnings.warn(
            f"{told}; the effect there is extrapolated by the model: leave these pairs out to avoid it", AssumptionWarning, stacklevel=3
        )


def empty_stratum(
    in_arm: BoolArray, values: FloatArray, names: Sequence[str], sides: Mapping[str, Sequence[object]] | None = None
) -> str | None:
    """Return the largest group of pairs of which none is in an arm though many should be, in words.

    A group is one value of one column, or one user or item of `sides`. `in_arm` (n,), `values` (n, k). Columns of more
    than `MOST_VALUES` values have no groups.
    """
    empty: list[tuple[int, str]] = []
    for k, name in enumerate(names):
        found, place = np.unique(values[:, k], return_inverse=True)
        if 2 <= len(found) <= MOST_VALUES:
            size, reached = np.bincount(place), np.bincount(place, in_arm)
            lacking = np.flatnonzero((reached == 0) & (size * in_arm.mean() >= EXPECTED))
            empty += [(int(size[v]), f"{name!r} = {found[v]:g} ({size[v]:,} pairs)") for v in lacking]
    for key, owners in () if sides is None else sides.items():
        codes, ids = pd.factorize(owners)
        size, reached = np.bincount(codes), np.bincount(codes, in_arm)
        lacking = np.flatnonzero((reached == 0) & (size * in_arm.mean() >= EXPECTED_OF_ONE))
        empty += [(int(size[v]), f"{key} = {str(ids[v])!r} ({size[v]:,} pairs)") for v in lacking]
    return max(empty)[1] if empty else None


def _stratum(lost: BoolArray, values: FloatArray, names: Sequence[str]) -> str:
    """Say in which column the lost pairs differ most from the rest, in standard deviations."""
    spread = values.std(axis=0)
    if not len(names) or lost.all() or not (spread > 0).any():
        return "they are like the rest in every column"
    gap = np.abs(values[lost].mean(axis=0) - values[~lost].mean(axis=0)) / np.where(spread > 0, spread, np.inf)
    k = int(np.argmax(gap))
    return f"{names[k]!r} is {values[lost, k].mean():.3g} on average there and {values[~lost, k].mean():.3g} elsewhere"
