"""Fit measures of two-level models that other models do not have: likelihood of fixed causes, residuals by level."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from causalsem._values import FloatArray
from causalsem.sem.matrices import RAM, implied
from causalsem.sem.sample import Sample


def fixed_causes_logl(samples: Sequence[Sample], x: Sequence[Sequence[int]]) -> float:
    """Return the unrestricted log-likelihood of fixed causes of one level: rows within, clusters between.

    As in lavaan, a cause that stands on both levels stays in the likelihood.
    """
    total = 0.0
    for k in range(0, len(samples), 2):
        c, rows = samples[k].clustered, samples[k].rows
        assert c is not None  # the within sample of a two-level fit
        assert rows is not None
        column = {n: j for j, n in enumerate(c.names)}
        causes = [{samples[k + lift].names[i] for i in x[k + lift]} for lift in (0, 1)]
        within, between = ([column[n] for n in c.names if n in own - other] for own, other in (causes, causes[::-1]))
        means = np.vstack([one.means for one in c.classes])
        total += _normal_logl(rows[:, within]) + _normal_logl(means[:, between])
    return total


def _normal_logl(rows: FloatArray) -> float:
    """Return the log-likelihood of rows (n, p) at their own moments."""
    n, p = rows.shape
    if not p:
        return 0.0
    covariance = np.cov(rows, rowvar=False, bias=True).reshape(p, p)
    return -0.5 * n * (p * math.log(2 * math.pi) + float(np.linalg.slogdet(covariance)[1]) + p)


def level_residuals(samples: Sequence[Sample], rams: Sequence[RAM], theta: FloatArray) -> dict[str, float]:
    """Return the root mean square residual correlation within and between clusters, and their sum."""
    n = [s.n for s in samples[::2]]
    out = {}
    for name, lift in (("srmr_within", 0), ("srmr_between", 1)):
        parts = []
        for s, ram in zip(samples[lift::2], rams[lift::2], strict=True):
            fitted = implied(ram, theta).sigma
            with np.errstate(invalid="ignore"):
                sd, own = np.sqrt(np.diag(s.covariance)), np.sqrt(np.diag(fitted))
            off = (s.covariance / np.outer(sd, sd) - fitted / np.outer(own, own))[np.tril_indices(len(sd))]
            parts.append(math.sqrt(float(off @ off) / len(off)))
        out[name] = float(np.average(parts, weights=n))
    return {"srmr": out["srmr_within"] + out["srmr_between"], **out}
