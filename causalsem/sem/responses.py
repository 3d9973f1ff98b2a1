"""Ordered variables in RAM form: y falls in category k where its continuous response lies between thresholds k − 1 and k.

The response's scale cannot be seen. With the delta parameterisation its variance is 1/Δ² and its error variance
follows; with theta the error variance is a parameter and the scale Δ = 1/sd follows (Muthén & Asparouhov 2002).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causalsem._values import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Responses:
    """Thresholds and scales of one group's ordered variables, and the covariates everything is conditioned on.

    `ordered` are their places among the variables; `owner` tells whose each threshold is. Fixed numbers `tau0`, `delta0`;
    free ones by position (`tau_at`, `delta_at`) and parameter (`tau_par`, `delta_par`).
    """

    ordered: IntArray
    x: IntArray
    delta: bool
    owner: IntArray
    tau0: FloatArray
    tau_at: IntArray
    tau_par: IntArray
    delta0: FloatArray
    delta_at: IntArray
    delta_par: IntArray

    def mask(self, p: int) -> BoolArray:
        """Return which of the p observed variables are ordered."""
        out = np.zeros(p, dtype=bool)
        out[self.ordered] = True
        return out

    def thresholds(self, theta: FloatArray) -> FloatArray:
        """Return all thresholds at `theta`, in the order of `owner`."""
        tau = self.tau0.copy()
        tau[self.tau_at] = theta[self.tau_par]
        return tau

    def scales(self, theta: FloatArray) -> FloatArray:
        """Return Δ of every ordered variable as a parameter (delta parameterisation)."""
        scale = self.delta0.copy()
        scale[self.delta_at] = theta[self.delta_par]
        return scale

    def conditional(self, S: FloatArray, m: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return S and m without the covariates' own moments."""
        if not len(self.x):
            return S, m
        S, m = S.copy(), m.copy()
        S[self.x] = S[:, self.x] = 0.0
        m[self.x] = 0.0
        return S, m

    def with_error_variances(self, A: FloatArray, S: FloatArray, theta: FloatArray) -> FloatArray:
        """Return S with the error variances that give every response the variance 1/Δ² (delta parameterisation only)."""
        if not self.delta or not len(self.ordered):
            return S
        o = self.ordered
        S = S.copy()
        S[o, o] = 0.0
        E = np.linalg.solve(np.eye(len(A)) - A, np.eye(len(A)))
        rest = self.conditional(S, np.zeros(len(S)))[0]
        explained = np.einsum("ij,jk,ik->i", E[o], rest, E[o])
        S[o, o] = np.linalg.solve(E[np.ix_(o, o)] ** 2, 1.0 / self.scales(theta) ** 2 - explained)
        return S
