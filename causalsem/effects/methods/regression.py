"""Regression: the coefficient of the treatment in a linear model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from causalsem._values import FloatArray
from causalsem.effects.confounding import scale_of
from causalsem.effects.problem import Fitted, Problem
from causalsem.effects.regressions import ols_influence, with_intercept
from causalsem.errors import DataError, shown


@dataclass(frozen=True)
class Regression:
    """Least squares with heteroscedasticity-robust errors, HC1 (MacKinnon & White 1985).

    With `interactions` the treatment also meets every centred adjustment variable (Lin 2013), so the value stays the
    average effect when effects differ between rows, and the error counts that the rows' mean is a sample's. Several treatments:
    the effect of one unit more of each at once.
    """

    interactions: bool = False

    takes: ClassVar[str] = "rows"
    treatment: ClassVar[str] = "any"
    assumes: ClassVar[tuple[str, ...]] = ("the outcome is linear in treatment and adjustment variables",)

    def fit(self, problem: Problem) -> Fitted:
        """Return the sum of the treatments' coefficients and its influence function."""
        X = with_intercept(problem.Z)  # (n, 1 + k)
        T = problem.T
        if problem.contrast is not None:  # a 0/1 column per level but the first of the contrast, the second's in front
            T = (np.arange(1, T.max() + 1) == T).astype(np.float64)
        t = T.shape[1]
        products = [T[:, [j]] * X[:, 1:] for j in range(t)] if self.interactions else []
        design = np.column_stack([T, X, *products])
        check_rank(problem, X)
        contrast = np.zeros(design.shape[1])
        contrast[: t if problem.contrast is None else 1] = 1.0
        value, psi = ols_influence(design, problem.Y, contrast)
        told = _scale(design, problem.Y, contrast)
        if self.interactions:
            psi = psi + _centring(design, problem.Y, X[:, 1:], contrast[:t])
        several = problem.T.shape[1] > 1
        notes = ("several treatments: the effect of one unit more of each at once",) if several else ()
        return Fitted(value, psi, notes=notes, diagnostics=told)


def _scale(design: FloatArray, Y: FloatArray, contrast: FloatArray) -> dict[str, float]:
    """Return how far a confounder could move contrastᵀβ: by residuals and their weights, n contrastᵀ(X'X)⁻¹x of each row."""
    gram = design.T @ design
    residual = Y - design @ np.linalg.lstsq(gram, design.T @ Y, rcond=None)[0]
    return scale_of(residual, len(Y) * design @ np.linalg.lstsq(gram, contrast, rcond=None)[0])


def _centring(design: FloatArray, Y: FloatArray, Z: FloatArray, contrast: FloatArray) -> FloatArray:
    """Return what the sample's own mean of Z adds to the influence (n,): without it the error is that of an effect at that mean."""
    beta = np.linalg.lstsq(design.T @ design, design.T @ Y, rcond=None)[0]
    products = beta[len(beta) - len(contrast) * Z.shape[1] :].reshape(len(contrast), -1)  # the last columns, treatment by treatment
    return np.asarray(Z @ (contrast @ products))


def check_rank(problem: Problem, X: FloatArray) -> None:
    """Raise DataError when a treatment is a linear function of the adjustment variables."""
    residual = problem.T - X @ np.linalg.lstsq(X, problem.T, rcond=None)[0]
    spanned = [t for t, r, c in zip(problem.treatments, residual.T, problem.T.T, strict=True) if r.std() < 1e-8 * c.std()]
    if spanned:
        names = shown(problem.adjustment)
        raise DataError(
            f"{shown(spanned)} is a linear function of {names}, so its own effect cannot be told; drop the copy", columns=spanned
        )
