"""CFI, TLI and RMSEA of incomplete rows as complete rows would give them (Zhang & Savalei 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from causalsem._values import FloatArray, IntArray
from causalsem.sem.constraints import null_space
from causalsem.sem.discrepancy import NormalML
from causalsem.sem.estimators import Compared, Setup
from causalsem.sem.least_squares import moment_jacobian, normal_metric
from causalsem.sem.matrices import RAM, implied, inverse_and_logdet
from causalsem.sem.reference_models import saturated, saturated_moments
from causalsem.sem.robust import cross_products, score_matrix


@dataclass(frozen=True, slots=True, eq=False)
class Unrestricted:
    """The saturated model at its moments: information of what was seen `Wm` and of complete rows `Wc`, and cross products `J` of scores.

    `rows` picks its moments (those of fixed causes do not count) among means and covariances of each group.
    """

    Wm: FloatArray
    Wc: FloatArray
    J: FloatArray | None
    rows: tuple[IntArray, ...]


@dataclass(frozen=True, slots=True)
class Corrected:
    """χ² of a model on the moments that complete rows would have, and the factor that incomplete ones bring to it."""

    chisq: float
    factor: float


def unrestricted(setup: Setup, rams: Sequence[RAM], x: Sequence[list[int]], *, scaled: bool) -> Unrestricted | None:
    """Return the saturated model at the ML moments; None where its information has no inverse."""
    made: list[RAM] = []
    starts: list[FloatArray] = []
    picks: list[IntArray] = []
    complete: list[FloatArray] = []
    for ram, sample, fixed, share in zip(rams, setup.samples, x, setup.shares, strict=True):
        one, start = saturated(ram, sample, fixed, sum(len(s) for s in starts))
        made.append(one)
        starts.append(start)
        inverse = inverse_and_logdet(np.array(sample.covariance))
        if inverse is None:
            return None
        pick = saturated_moments(one)
        picks.append(pick)
        complete.append(share * normal_metric(inverse[0], means=True)[np.ix_(pick, pick)])
    problem = setup.discrepancy(made, sum(len(s) for s in starts))
    point = problem.at(np.concatenate(starts))
    if point is None:
        return None
    Wm = point.derivatives(hessian=True).hessian
    J = cross_products(score_matrix(point, setup.samples), setup.samples) if scaled else None  # type: ignore[arg-type]  # FIML points
    size = sum(len(s) for s in starts)
    Wc, at = np.zeros((size, size)), 0
    for one_complete in complete:
        Wc[at : at + len(one_complete), at : at + len(one_complete)] = one_complete
        at += len(one_complete)
    return None if Wm is None else Unrestricted(Wm, Wc, J, tuple(picks))


def corrected_test(setup: Setup, rams: Sequence[RAM], model: Compared, J: FloatArray, df: int, full: Unrestricted) -> Corrected | None:
    """Return the corrected test of a model with constraints J: version V6, or V3 where errors are robust."""
    theta = model.found.theta
    zeros = np.array([np.linalg.slogdet(s.covariance)[1] for s in setup.samples])
    point = NormalML(tuple(rams), setup.samples, setup.shares, model.count, zeros).at(theta)
    if point is None or df <= 0:
        return None
    chisq = 2.0 * point.value * sum(s.n for s in setup.samples)
    D = np.vstack([moment_jacobian(r, implied(r, theta), model.count)[pick] for r, pick in zip(rams, full.rows, strict=True)])
    D = D @ null_space(J)
    WD = full.Wm @ D
    U = full.Wm - WD @ np.linalg.solve(D.T @ WD, WD.T)
    inverse = np.linalg.inv(full.Wm)
    middle = inverse @ full.Wc @ inverse
    if full.J is None:
        return Corrected(chisq, float(np.vdot(middle, U)) / df)
    gamma = inverse @ full.J @ inverse
    return Corrected(chisq, float(np.vdot((U @ middle @ U).T, gamma)) / df)
