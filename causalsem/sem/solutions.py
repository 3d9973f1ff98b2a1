"""Some models, those with feedback above all, have several equally good solutions: look for them, prefer one that settles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from causalsem._values import FloatArray
from causalsem.sem.constraints import Constraints
from causalsem.sem.diagnosis import spectral_radius
from causalsem.sem.discrepancy import Discrepancy
from causalsem.sem.half_trek import half_trek_solved
from causalsem.sem.identification import is_plainly_identified
from causalsem.sem.matrices import RAM
from causalsem.sem.sample import Sample
from causalsem.sem.solver import Solution, minimise

STARTS = 16
# Solutions count as equally good when their χ² differs by less than rounding, as distinct when a slope moves visibly.
SAME_CHISQ, DISTINCT = 1e-6, 1e-4


def has_feedback(rams: Sequence[RAM]) -> bool:
    """Tell whether some group's arrows make a directed cycle."""
    return not all(ram.recursive for ram in rams)


def may_have_others(rams: Sequence[RAM]) -> bool:
    """Tell whether a model of observed variables could have several equally good solutions.

    Feedback can; of the others those that no theorem proves unique (Foygel, Draisma & Drton 2012).
    """
    if has_feedback(rams):
        return True
    return any(
        ram.p == len(ram.A0) and not is_plainly_identified([ram]) and len(half_trek_solved(ram.arrows, ram.spreads)) < ram.p for ram in rams
    )


def equally_good(
    problem: Discrepancy, rams: Sequence[RAM], samples: Sequence[Sample], first: Solution, constraints: Constraints, seed: int
) -> list[Solution]:
    """Return the distinct best optima found from random starts, those with the smallest spectral radius first."""
    rng = np.random.default_rng(seed)
    found = [first]
    n = sum(s.n for s in samples)
    radius = largest_radius(rams, first.theta)
    for k in range(STARTS):
        # A loop of gain g has its twin near gain 1/g: half of the starts stretch the first solution to there.
        stretch = radius**-2 * rng.uniform(0.6, 1.6) if radius > 1e-3 and k % 2 == 0 else None
        start = _other_start(rams, samples, first.theta, stretch, rng)
        if problem.at(start) is None:
            continue
        other = minimise(problem, start, constraints, max_steps=100)
        if other.converged:
            found.append(other)
    best = min(s.at.value for s in found)
    kept: list[Solution] = []
    for solution in sorted(found, key=lambda s: largest_radius(rams, s.theta)):
        good = 2 * n * (solution.at.value - best) < SAME_CHISQ
        new = all(np.abs(solution.theta - k.theta).max() > DISTINCT * (1 + np.abs(k.theta).max()) for k in kept)
        if good and new:
            kept.append(solution)
    return kept


def largest_radius(rams: Sequence[RAM], theta: FloatArray) -> float:
    """Return the largest spectral radius of any group's arrows."""
    return max(spectral_radius(ram.fill(theta)[0]) for ram in rams)


def _other_start(
    rams: Sequence[RAM], samples: Sequence[Sample], theta: FloatArray, stretch: float | None, rng: np.random.Generator
) -> FloatArray:
    """Return a start with stretched or random arrows, in the data's units, and the residual variances that those leave."""
    start = theta.copy()
    for ram, sample in zip(rams, samples, strict=True):
        p = ram.p
        unit = np.ones(len(ram.A0))
        unit[:p] = np.sqrt(np.diag(sample.covariance))
        random = rng.normal(0.0, 1.2, len(ram.a_par)) * unit[ram.a_row] / unit[ram.a_col]
        start[ram.a_par] = random if stretch is None else theta[ram.a_par] * stretch
        if p == len(ram.A0):
            left = np.eye(p) - ram.fill(start)[0]
            residual = np.diag(left @ sample.covariance @ left.T)
            own = ram.s_row == ram.s_col
            start[ram.s_par] = np.where(own, residual[ram.s_row], 0.0)
    return start
