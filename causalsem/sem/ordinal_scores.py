"""Factor scores from ordered (and numeric) indicators: the mode of the latent variables given each row (Bock & Aitkin 1981)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr

from causalsem._values import FloatArray, IntArray
from causalsem.errors import NotConvergedError, SettingError
from causalsem.sem.bivariate_normal import FAR
from causalsem.sem.matrices import RAM
from causalsem.sem.ordinal_model import standing

if TYPE_CHECKING:
    from causalsem.sem.result import SEMFit

STEPS, CLOSE = 100, 1e-9
LEAST = 1e-12
# A score this many standard deviations out is on its way to infinity.
DRIFTED = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """What rows say of f latent variables: limits of every ordered response and values of numeric ones, in error sds.

    `upper`, `lower` (n, p) are the limits less what is known, infinite where there is none; for numeric variables both
    are the value. `slope` (p, f) are loadings over the error's sd; `centre` (n, f) and `precision` (f, f) the prior.
    """

    upper: FloatArray
    lower: FloatArray
    numeric: IntArray
    slope: FloatArray
    centre: FloatArray
    precision: FloatArray


def modal_scores(fit: SEMFit, rows: FloatArray, group: int, *, prior: bool) -> FloatArray:
    """Return the latent variables' mode given each row, (n, f): with the model's normal prior (EBM) or without (ML).

    ML has no finite answer where all indicators are lowest or all highest; it is NaN there.
    """
    m = _measurement(fit.rams[group - 1], np.array(fit.theta), rows)
    eta = m.centre.copy()
    precision = m.precision if prior else np.zeros_like(m.precision)
    value = _loss(m, eta, precision)
    moving = np.ones(len(eta), dtype=bool)
    for _ in range(STEPS):
        step = _step(m, eta, precision)
        share = np.ones(len(eta))
        for _ in range(40):
            further = eta + share[:, None] * step
            new = _loss(m, further, precision)
            worse = new > value + 1e-12 * np.abs(value)
            if not worse.any():
                break
            share = np.where(worse, share / 2.0, share)
        eta, value = further, new
        moving = np.abs(step).max(axis=1) > CLOSE
        if not moving.any():
            break
    if prior and moving.any():
        raise NotConvergedError("the modes of some rows were not found; use method='regression' on numeric indicators", partial=eta)
    # Without a prior, a row that is all highest (lowest) drifts off without end.
    far = moving[:, None] & (np.abs(eta - m.centre) > DRIFTED * np.sqrt(np.diag(np.linalg.inv(m.precision))))
    return eta if prior else np.where(far, np.nan, eta)


def _measurement(ram: RAM, theta: FloatArray, rows: FloatArray) -> Measurement:
    """Return limits, slopes and prior; raises SettingError where a latent variable has an observed cause that is no covariate."""
    there = standing(ram, theta)
    r = ram.responses
    assert there is not None  # estimates of an ordinal fit
    assert r is not None
    A, S, m = ram.fill(theta)
    p, x = ram.p, r.x
    y = there.y
    if (A[p:, y] != 0).any() or (A[np.ix_(y, y)] != 0).any():
        raise SettingError("scores are built for latent variables whose causes are latent or covariates; use predict() for observed ones")
    measured = y[(A[y, p:] != 0).any(axis=1)]
    sd = np.sqrt(np.maximum(np.diag(S)[measured], LEAST))
    known = m[measured] + rows[:, x] @ A[np.ix_(measured, x)].T
    upper, lower = np.empty(known.shape), np.empty(known.shape)
    tau, ordered = r.thresholds(theta), r.mask(p)
    for k, j in enumerate(measured.tolist()):
        if not ordered[j]:
            upper[:, k] = lower[:, k] = rows[:, j]
            continue
        walls = np.concatenate([[-np.inf], tau[r.owner == j], [np.inf]])
        codes = np.searchsorted(np.unique(rows[:, j]), rows[:, j])
        upper[:, k], lower[:, k] = walls[codes + 1], walls[codes]
    prior = there.at.V[p:, p:]
    centre = there.at.eta[p:] + rows[:, x] @ there.at.E[np.ix_(np.arange(p, len(A)), x)].T
    numeric = np.flatnonzero(~ordered[measured])
    upper, lower = ((side - known) / sd for side in (upper, lower))
    return Measurement(upper, lower, numeric, A[measured, p:] / sd[:, None], centre, np.asarray(np.linalg.inv(prior), dtype=np.float64))


def _parts(m: Measurement, eta: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return −log-likelihood (n, p), and its first and second derivative by the response's mean in error sds."""
    mean = eta @ m.slope.T
    u, l_ = np.clip(m.upper - mean, -FAR, FAR), np.clip(m.lower - mean, -FAR, FAR)
    share = np.maximum(ndtr(u) - ndtr(l_), 1e-300)
    up, down = (np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi) / share for z in (u, l_))
    loss, first = -np.log(share), up - down
    second = first**2 + up * u - down * l_
    off = (m.upper - mean)[:, m.numeric]
    loss[:, m.numeric], first[:, m.numeric], second[:, m.numeric] = 0.5 * off**2, -off, 1.0
    return loss, first, second


def _loss(m: Measurement, eta: FloatArray, precision: FloatArray) -> FloatArray:
    gap = eta - m.centre
    return np.asarray(_parts(m, eta)[0].sum(axis=1) + 0.5 * np.einsum("nf,fg,ng->n", gap, precision, gap))


def _step(m: Measurement, eta: FloatArray, precision: FloatArray) -> FloatArray:
    """Return Newton's step of every row; the loss is convex."""
    _, first, second = _parts(m, eta)
    gradient = first @ m.slope + (eta - m.centre) @ precision
    curve = np.einsum("np,pf,pg->nfg", np.maximum(second, LEAST), m.slope, m.slope) + precision
    return -np.linalg.solve(curve + LEAST * np.eye(curve.shape[1]), gradient[:, :, None])[:, :, 0]
