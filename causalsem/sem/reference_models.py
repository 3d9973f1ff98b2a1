"""The two models every fit is compared with, in RAM form: saturated (nothing restricted) and baseline (only causes covary)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from causalsem._values import FloatArray, IntArray
from causalsem.sem.matrices import RAM
from causalsem.sem.sample import Sample


def saturated(ram: RAM, sample: Sample, x: list[int], first: int = 0) -> tuple[RAM, FloatArray]:
    """Return the saturated model of one group and its θ at the sample; moments among the fixed causes `x` stay fixed.

    Its parameters are numbered from `first`.
    """
    i, j = np.tril_indices(ram.p)
    inside = np.isin(i, x) & np.isin(j, x)
    return _free(ram, sample, i[~inside], j[~inside], x, first)


def saturated_moments(made: RAM) -> IntArray:
    """Return where the parameters of a saturated model stand among all moments: means (where there are any), then vech Σ."""
    i, j = np.tril_indices(made.p)
    first = made.p if made.means else 0
    place = {(a, b): first + k for k, (a, b) in enumerate(zip(i.tolist(), j.tolist(), strict=True))}
    return np.array(
        [place[a, b] for a, b in zip(made.s_row.tolist(), made.s_col.tolist(), strict=True)] + made.m_row.tolist(), dtype=np.int64
    )


def baseline(ram: RAM, sample: Sample, x: list[int], roots: list[int], first: int = 0) -> tuple[RAM, FloatArray]:
    """Return the independence model of one group and its θ at the sample; `roots` covary freely (or are the fixed `x`)."""
    i, j = np.tril_indices(ram.p)
    inside = np.isin(i, x) & np.isin(j, x)
    kept = (i == j) | (np.isin(i, roots) & np.isin(j, roots))
    return _free(ram, sample, i[kept & ~inside], j[kept & ~inside], x, first)


def _free(ram: RAM, sample: Sample, i: IntArray, j: IntArray, x: list[int], first: int) -> tuple[RAM, FloatArray]:
    p = ram.p
    S0, m0 = np.zeros((p, p)), np.zeros(p)
    S0[np.ix_(x, x)] = sample.covariance[np.ix_(x, x)]
    m0[x] = sample.mean[x]
    level = np.setdiff1d(np.arange(p), x) if ram.means else np.zeros(0, dtype=np.int64)
    told = first + np.arange(len(i) + len(level))
    none = np.zeros(0, dtype=np.int64)
    weight = np.where(i == j, 0.5, 1.0)
    names = replace(ram.names, lv=())
    made = RAM(
        names, np.zeros((p, p)), S0, m0, none, none, none, i, j, told[: len(i)], level, told[len(i) :], ram.means, i, j, weight, told
    )
    return made, np.concatenate([sample.covariance[i, j], sample.mean[level]])
