"""Newton's method and Fisher scoring with step halving, under constraints where there are any."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack

from causalsem._values import FloatArray
from causalsem.errors import NotConvergedError
from causalsem.sem.blocks import solution_by_blocks
from causalsem.sem.constraints import Constraints
from causalsem.sem.discrepancy import Derivatives, Discrepancy, Point

# Squared length of a step in units of one row's standard errors. 1e-10 of those is far below any printed digit,
# and below 1e-13 the fall of the discrepancy drowns in rounding, so that halving can no longer judge a step.
CLOSE = 1e-20
JUDGEABLE = 1e-13
# A Newton step this short leaves an error of about its square.
SURE = 1e-9
MET = 1e-11
# A metric at unit diagonal with a smaller pivot has directions that it says nothing about.
LEAST_PIVOT = 1e-7
# A point and the derivatives there, without a Hessian.
Begun = tuple[Point, Derivatives]


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """Where the solver stopped: θ, the derivatives there, steps taken, whether it arrived, inequalities that bind,
    and `others`: the θ of equally good solutions.
    """

    theta: FloatArray
    at: Derivatives
    steps: int
    converged: bool
    active: tuple[int, ...] = ()
    others: tuple[FloatArray, ...] = ()


def minimise(
    problem: Discrepancy, start: FloatArray, constraints: Constraints, *, max_steps: int = 500, begun: Begun | None = None
) -> Solution:
    """Return the minimum reached from `start`; inequalities are met by an active set. `begun` is the look at `start`, if one was taken."""
    # A step too far can overflow: its discrepancy is then infinite, and the step is halved.
    with np.errstate(over="ignore", invalid="ignore"):
        found = _descend(problem, start, constraints, (), max_steps, begun)
        for _ in range(3 * constraints.sides):
            active = constraints.next_active(found.theta, found.at.gradient, found.active)
            if active is None:
                break
            found = _descend(problem, found.theta, constraints, active, max_steps)
    return found


def _descend(
    problem: Discrepancy,
    theta: FloatArray,
    constraints: Constraints,
    active: tuple[int, ...],
    max_steps: int,
    begun: Begun | None = None,
) -> Solution:
    """Take Newton steps (Fisher steps where the Hessian is not positive definite) until one is of no length."""
    begun = begun or look(problem, theta)
    if begun is None:
        raise NotConvergedError(
            "the start values imply no proper covariance; give others with start(), or simplify the model", partial=theta
        )
    point, at = begun
    for step in range(max_steps + 1):
        # A recursive model starts at its optimum: the Hessian is only asked for from the second look on.
        at = point.derivatives(hessian=True) if step else at
        c, J = constraints.equal(theta, active)
        move, decrement, multipliers = _direction(at, c, J)
        off = float(np.abs(c).max()) if len(c) else 0.0
        if decrement < CLOSE and off < MET:
            return Solution(theta, at, step, True, active)
        if step == max_steps:
            break
        if at.hessian is not None and decrement < SURE and not len(c):
            landed = _last_step(problem, theta + move, step + 1, active)
            if landed is not None:
                return landed
        further = _halved(problem, theta, move, at.value, c, constraints, active, decrement, multipliers)
        if further is None:
            return Solution(theta, at, step, decrement < 1e-10 and off < 1e-6, active)
        theta, point = further
    return Solution(theta, at, max_steps, False, active)


def look(problem: Discrepancy, theta: FloatArray) -> Begun | None:
    """Return the discrepancy at θ with its gradient and information, or None where the model implies no proper covariance."""
    with np.errstate(over="ignore", invalid="ignore"):
        point = problem.at(theta)
        return None if point is None else (point, point.derivatives())


def _last_step(problem: Discrepancy, theta: FloatArray, steps: int, active: tuple[int, ...]) -> Solution | None:
    """Return the solution one Newton step further, where the gradient has vanished, or None where it has not.

    Newton's method squares its error, so the step after one this short need not be worked out, only its gradient seen.
    """
    point = problem.at(theta)
    if point is None:
        return None
    at = point.derivatives()
    scaled = at.gradient / np.sqrt(np.maximum(np.diag(at.information), 1e-300))
    return Solution(theta, at, steps, True, active) if float(scaled @ scaled) < CLOSE else None


def _direction(at: Derivatives, c: FloatArray, J: FloatArray) -> tuple[FloatArray, float, FloatArray]:
    """Return step, squared length in the metric and multipliers: Newton where it goes downhill, else Fisher."""
    if not len(at.gradient):
        return at.gradient, 0.0, c
    for metric in (at.hessian, at.information):
        if metric is None:
            continue
        found = _solve(metric, at.gradient, c, J)
        if found is not None:
            return found
    return _solve_singular(at.information, at.gradient, c, J)


def _solve(metric: FloatArray, gradient: FloatArray, c: FloatArray, J: FloatArray) -> tuple[FloatArray, float, FloatArray] | None:
    """Return the step of a positive definite metric, or None; scaled to unit diagonal against bad units."""
    diagonal = metric.diagonal()
    if diagonal.min() <= 0:
        return None
    scale = 1.0 / np.sqrt(diagonal)
    scaled = metric * scale * scale[:, None]
    if not len(c):
        found = solution_by_blocks(scaled, scale * gradient, LEAST_PIVOT)
        return None if found is None else (-scale * found, float(found @ (scale * gradient)), c)
    # With constraints the metric need only be positive definite along them: augment it across.
    factor, info = lapack.dpotrf(scaled + (J * scale).T @ (J * scale), lower=1)
    if info != 0 or factor.diagonal().min() < LEAST_PIVOT:
        return None
    return _solve_kkt(metric, gradient, c, J, scale)


def _solve_kkt(
    metric: FloatArray, gradient: FloatArray, c: FloatArray, J: FloatArray, scale: FloatArray
) -> tuple[FloatArray, float, FloatArray]:
    """Return the step of min gᵀδ + ½δᵀMδ with Jδ = −c."""
    k, m = len(gradient), len(c)
    kkt = np.zeros((k + m, k + m))
    kkt[:k, :k] = metric * np.outer(scale, scale)
    kkt[k:, :k] = J * scale
    kkt[:k, k:] = kkt[k:, :k].T
    both = np.linalg.lstsq(kkt, -np.concatenate([scale * gradient, c]), rcond=1e-12)[0]
    step = scale * both[:k]
    return step, float(abs(step @ metric @ step)), both[k:]


def _solve_singular(metric: FloatArray, gradient: FloatArray, c: FloatArray, J: FloatArray) -> tuple[FloatArray, float, FloatArray]:
    """Return a step of a singular information: none along directions the data say nothing about."""
    scale = 1.0 / np.sqrt(np.maximum(np.diag(metric), 1e-300))
    if len(c):
        return _solve_kkt(metric, gradient, c, J, scale)
    values, vectors = np.linalg.eigh(metric * np.outer(scale, scale))
    keep = values > 1e-10 * values[-1]
    step = -scale * (vectors[:, keep] @ ((vectors[:, keep].T @ (scale * gradient)) / values[keep]))
    return step, float(-step @ gradient), c


def _halved(
    problem: Discrepancy,
    theta: FloatArray,
    move: FloatArray,
    value: float,
    c: FloatArray,
    constraints: Constraints,
    active: tuple[int, ...],
    decrement: float,
    multipliers: FloatArray,
) -> tuple[FloatArray, Point] | None:
    """Return the first of θ + δ, θ + δ/2, … that lowers discrepancy + penalty, with the discrepancy there, or None."""
    penalty = 2.0 * float(np.abs(multipliers).max()) + 1.0 if len(c) else 0.0
    before = value + penalty * float(np.abs(c).sum())
    share = 1.0
    for _ in range(40):
        candidate = theta + share * move
        point = problem.at(candidate)
        share /= 2.0
        if point is None or not np.isfinite(point.value):
            continue
        if decrement < JUDGEABLE:
            return candidate, point
        violation = float(np.abs(constraints.equal(candidate, active)[0]).sum()) if len(c) else 0.0
        if point.value + penalty * violation < before:
            return candidate, point
    return None
