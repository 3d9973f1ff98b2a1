"""Equation by equation: order and rank condition, and how strong the instruments are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from causalsem._values import BoolArray, FloatArray
from causalsem.sem.half_trek import half_trek_reach
from causalsem.sem.matrices import RAM
from causalsem.sem.sample import Sample

# First-stage F below which two-stage least squares is badly biased and its intervals too short (Staiger & Stock 1997).
WEAK = 10.0


@dataclass(frozen=True, slots=True)
class Equation:
    """The order and rank condition of one equation, with errors left free to covary (Fisher 1966).

    `inside` counts its causes that are effects of the system themselves, `excluded` the outside variables it leaves out.
    """

    variable: str
    inside: int
    excluded: int
    rank: bool

    @property
    def order(self) -> bool:
        """Whether it leaves out as many outside variables as it has causes inside the system."""
        return self.excluded >= self.inside


def equation_conditions(names: Sequence[str], arrows: BoolArray, spreads: BoolArray, rng: np.random.Generator) -> tuple[Equation, ...]:
    """Return the conditions of every equation of a model of observed variables, at random coefficients.

    Outside is what has no equation and no error covariance with one that has.
    """
    q = len(arrows)
    inside = np.asarray(arrows.any(axis=1))
    inside = np.asarray(inside | (spreads @ inside))
    equations = np.flatnonzero(inside)
    M = np.where(arrows, -rng.uniform(0.3, 0.9, (q, q)), 0.0)[equations] + np.eye(q)[equations]
    out = []
    for k, v in enumerate(equations):
        left_out = ~arrows[v]
        left_out[v] = False
        others = np.delete(M[:, left_out], k, axis=0)
        rank = not others.size or int(np.linalg.matrix_rank(others)) == len(equations) - 1
        rank = rank and (len(equations) == 1 or bool(others.size))
        if arrows[v].any():
            out.append(Equation(names[int(v)], int((arrows[v] & inside).sum()), int((~inside & left_out).sum()), rank))
    return tuple(out)


def order_words(equations: Sequence[Equation]) -> list[str]:
    """Say which equations fail the order or rank condition, and that errors kept apart can make up for it."""
    failing = [e for e in equations if not e.order or not e.rank]
    if not failing:
        return []
    parts = [f"{e.variable!r} ({e.inside} causes inside the system, {e.excluded} outside variables left out)" for e in failing]
    which = "order" if any(not e.order for e in failing) else "rank"
    return [f"the {which} condition fails for the equation{'s' if len(parts) > 1 else ''} of {', '.join(parts)}"]


@dataclass(frozen=True, slots=True)
class InstrumentStrength:
    """How well the instruments of one equation predict its endogenous causes: `F` is Cragg & Donald's (1993) smallest eigenvalue."""

    equation: str
    causes: tuple[str, ...]
    instruments: tuple[str, ...]
    F: float

    @property
    def weak(self) -> bool:
        """Whether F is below 10, the usual warning line."""
        return self.F < WEAK


def instrument_strengths(
    names: Sequence[str], arrows: BoolArray, spreads: BoolArray, covariance: FloatArray, n: int
) -> tuple[InstrumentStrength, ...]:
    """Return the strength of the instruments of every equation that has endogenous causes and enough instruments.

    A cause is endogenous where a half-trek leads to it from the effect, or their errors covary; an instrument is any
    variable for which neither holds and which is not itself a cause in the equation.
    """
    reach, out = half_trek_reach(arrows, spreads), []
    for v in range(len(arrows)):
        tied = reach[v] | spreads[v]
        tied[v] = True
        causes, instruments = np.flatnonzero(arrows[v] & tied), np.flatnonzero(~tied & ~arrows[v])
        if len(causes) and len(instruments) >= len(causes):
            F = cragg_donald(covariance, n, causes.tolist(), instruments.tolist(), np.flatnonzero(arrows[v] & ~tied).tolist())
            out.append(InstrumentStrength(names[v], tuple(names[int(k)] for k in causes), tuple(names[int(k)] for k in instruments), F))
    return tuple(out)


def cragg_donald(covariance: FloatArray, n: int, causes: list[int], instruments: list[int], controls: list[int]) -> float:
    """Return the smallest eigenvalue of the first stage's matrix F statistic; for one cause it is the partial F (Cragg & Donald 1993)."""
    kept = [*causes, *instruments]
    S = covariance[np.ix_(kept, kept)]
    if controls:
        mixed = covariance[np.ix_(kept, controls)]
        S = S - mixed @ np.linalg.solve(covariance[np.ix_(controls, controls)], mixed.T)
    m, K = len(causes), len(instruments)
    cross = S[:m, m:]
    explained = cross @ np.linalg.lstsq(S[m:, m:], cross.T, rcond=None)[0]
    left = np.linalg.cholesky(S[:m, :m] - explained)
    half = np.linalg.solve(left, np.linalg.solve(left, explained).T)
    return float(np.linalg.eigvalsh((half + half.T) / 2)[0] * (n - 1 - K - len(controls)) / K)


def strengths_of(rams: Sequence[RAM], samples: Sequence[Sample]) -> tuple[InstrumentStrength, ...]:
    """Return the strength of the instruments of a model of one group of observed variables, empty for others."""
    if len(rams) > 1 or rams[0].names.lv or rams[0].responses is not None:
        return ()
    ram, sample = rams[0], samples[0]
    return instrument_strengths(ram.names.ov, ram.arrows, ram.spreads, sample.covariance, sample.n)
