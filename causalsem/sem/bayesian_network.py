"""A fitted recursive model as a Gaussian Bayesian network: what is seen, what is done, what would have been (Pearl 2009)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtr

from causalsem._cards import mimebundle
from causalsem._values import FloatArray, frozen
from causalsem.errors import DataError, SettingError, check_names, shown
from causalsem.sem.matrices import implied
from causalsem.sem.prediction import latent_levels

if TYPE_CHECKING:
    from causalsem.sem.result import SEMFit

# A value for every unit, or one for all of them.
Setting: TypeAlias = Mapping[str, float | npt.ArrayLike]


@dataclass(frozen=True, slots=True, eq=False)
class Gaussian:
    """A normal distribution of some variables: `names`, `mean` (m,) and `covariance` (m, m)."""

    names: tuple[str, ...]
    mean: FloatArray
    covariance: FloatArray

    @property
    def sd(self) -> FloatArray:
        """Standard deviations, (m,)."""
        return np.asarray(np.sqrt(np.maximum(np.diag(self.covariance), 0.0)))

    @property
    def table(self) -> pd.DataFrame:
        """Mean and standard deviation by variable."""
        return pd.DataFrame({"mean": self.mean, "sd": self.sd}, index=list(self.names))

    def above(self, name: str, value: float) -> float:
        """Return P(variable > value)."""
        check_names([name], self.names, where="this distribution")
        k = self.names.index(name)
        if self.sd[k] == 0:
            return float(self.mean[k] > value)
        return float(ndtr((self.mean[k] - value) / self.sd[k]))

    def __repr__(self) -> str:
        parts = ", ".join(f"{n}: {m:.4g} ± {s:.3g}" for n, m, s in zip(self.names, self.mean, self.sd, strict=True))
        return f"Gaussian({parts})"

    _repr_mimebundle_ = mimebundle


@dataclass(frozen=True, slots=True, eq=False)
class BayesianNetwork:
    """Linear equations y = A y + e with e ~ N(`intercepts`, `errors`); observed variables first, then latent ones.

    Numbers are the estimates; how sure they are is told by `fit.effects` and `fit.bootstrap`.
    """

    names: tuple[str, ...]
    observed: tuple[str, ...]
    arrows: FloatArray
    errors: FloatArray
    intercepts: FloatArray

    # -- seeing and doing ------------------------------------------------------------

    def distribution(
        self, names: str | Sequence[str] | None = None, *, do: Mapping[str, float] | None = None, given: Mapping[str, float] | None = None
    ) -> Gaussian:
        """Return P(names | do(…), given …), by default of all observed variables.

        `do` sets variables from outside and cuts the arrows into them and their errors' covariances; `given` conditions
        on what is seen in the world that results. Raises UnknownNameError, and SettingError where both name a variable.
        """
        do, given = dict(do or {}), dict(given or {})
        wanted = [names] if isinstance(names, str) else list(self.observed if names is None else names)
        for some in (wanted, do, given):
            check_names(some, self.names, where="the network")
        _check_apart(do, given)
        mean, V = self._moments(do)
        i, j = self._places(wanted), self._places(given)
        if not j:
            return Gaussian(tuple(wanted), frozen(mean[i]), frozen(V[np.ix_(i, i)]))
        slope = _regression(V[np.ix_(j, j)], V[np.ix_(j, i)])
        gap = np.array([float(v) for v in given.values()]) - mean[j]
        return Gaussian(tuple(wanted), frozen(mean[i] + slope @ gap), frozen(V[np.ix_(i, i)] - slope @ V[np.ix_(j, i)]))

    def conditional(self, name: str) -> pd.Series:
        """Return a variable's own equation: intercept, a slope for every cause, and the error's standard deviation ("sd")."""
        check_names([name], self.names, where="the network")
        k = self.names.index(name)
        causes = {self.names[c]: float(self.arrows[k, c]) for c in np.flatnonzero(self.arrows[k])}
        return pd.Series({"intercept": float(self.intercepts[k]), **causes, "sd": float(np.sqrt(self.errors[k, k]))}, name=name)

    # -- simulation ------------------------------------------------------------------

    def simulate(self, n: int, *, do: Setting | None = None, seed: int = 0) -> pd.DataFrame:
        """Return n units drawn from the network, observed variables as columns; `do` sets variables (one value, or one per unit)."""
        if n < 1:
            raise SettingError(f"n={n!r} units; draw at least one")
        errors = (
            self.intercepts + np.random.default_rng(seed).standard_normal((n, len(self.names))) @ _root(self.errors, _scale(self.errors)).T
        )
        return pd.DataFrame(self._settled(errors, dict(do or {})), columns=list(self.names))[list(self.observed)]

    def counterfactuals(self, units: pd.DataFrame | Mapping[str, float], do: Setting, *, draws: int = 1, seed: int = 0) -> pd.DataFrame:
        """Return what the units would have shown under do(…): abduction, action, prediction (Pearl 2009, theorem 7.1.7).

        `units` holds some or all observed variables, one row per unit (a mapping is one unit). What they leave open,
        latent variables and columns that are absent or missing, is drawn `draws` times from its distribution given
        what was seen; where nothing is open all draws are the same. The index is (unit, draw).
        """
        frame = pd.DataFrame([dict(units)]) if not isinstance(units, pd.DataFrame) else units
        check_names([str(c) for c in frame.columns], self.observed, where="the network")
        check_names(do, self.names, where="the network")
        if draws < 1:
            raise SettingError(f"draws={draws!r}; draw at least once")
        values = _numbers(frame)
        errors = self._abducted(values, self._places([str(c) for c in frame.columns]), draws, np.random.default_rng(seed))
        told = {name: np.repeat(np.broadcast_to(np.asarray(v, dtype=np.float64), len(frame)), draws) for name, v in do.items()}
        index = pd.MultiIndex.from_product([frame.index, range(draws)], names=["unit", "draw"])
        return pd.DataFrame(self._settled(errors, told), columns=list(self.names), index=index)[list(self.observed)]

    # -- numbers ---------------------------------------------------------------------

    def _places(self, names: Mapping[str, object] | Sequence[str]) -> list[int]:
        return [self.names.index(n) for n in names]

    def _moments(self, do: Mapping[str, float]) -> tuple[FloatArray, FloatArray]:
        """Return mean and covariance of all variables under do(…)."""
        at = self._places(do)
        A, S, m = self.arrows.copy(), self.errors.copy(), self.intercepts.copy()
        A[at] = 0.0
        S[at] = 0.0
        S[:, at] = 0.0
        m[at] = [float(v) for v in do.values()]
        E = np.linalg.inv(np.eye(len(A)) - A)
        return E @ m, E @ S @ E.T

    def _settled(self, errors: FloatArray, do: Setting) -> FloatArray:
        """Return the values (n, q) that errors lead to, with some variables set."""
        check_names(do, self.names, where="the network")
        at = self._places(do)
        A, out = self.arrows.copy(), errors.copy()
        A[at] = 0.0
        for k, value in zip(at, do.values(), strict=True):
            out[:, k] = value
        return np.asarray(np.linalg.solve(np.eye(len(A)) - A, out.T).T)

    def _abducted(self, values: FloatArray, columns: list[int], draws: int, rng: np.random.Generator) -> FloatArray:
        """Return draws of the errors given what was seen, (n · draws, q): N(m + K(y − Em), S − K E S), K = S Eᵀ(E S Eᵀ)⁻¹."""
        E = np.linalg.inv(np.eye(len(self.arrows)) - self.arrows)
        out = np.empty((len(values), draws, len(E)))
        patterns, member = np.unique(~np.isnan(values), axis=0, return_inverse=True)
        for k, seen in enumerate(patterns):
            mine = np.flatnonzero(member.ravel() == k)
            rows = E[np.array(columns, dtype=np.int64)[seen]]
            K = _regression(rows @ self.errors @ rows.T, rows @ self.errors)
            centre = self.intercepts + (values[np.ix_(mine, np.flatnonzero(seen))] - rows @ self.intercepts) @ K.T
            noise = rng.standard_normal((len(mine), draws, len(E))) @ _root(self.errors - K @ rows @ self.errors, _scale(self.errors)).T
            out[mine] = centre[:, None, :] + noise
        return out.reshape(-1, len(E))

    _repr_mimebundle_ = mimebundle


def bayesian_network(fit: SEMFit, group: int = 1) -> BayesianNetwork:
    """Return a fitted recursive model as a Bayesian network; without mean structure the sample's means stand in.

    Raises SettingError for a model with feedback, which has no such factorisation, or with ordered variables.

    >>> from causalsem.behaviour import Moments
    >>> from causalsem.sem import fit_sem
    >>> m = Moments.from_covariance([[1.0, 0.5], [0.5, 1.0]], n=100, names=["browse", "buy"])
    >>> bayesian_network(fit_sem("buy ~ browse", m)).distribution("buy", do={"browse": 2.0}).mean.round(6).tolist()
    [1.0]
    """
    fit.at(group)
    ram, sample = fit.rams[group - 1], fit.samples[group - 1]
    if not ram.recursive:
        raise SettingError("a model with feedback is no Bayesian network; ask fit.effects() for its equilibrium instead")
    if ram.responses is not None:
        raise SettingError("ordered variables have no Gaussian network; ask fit.effects() on the underlying scale instead")
    A, S, m = ram.fill(np.array(fit.theta))
    negative = [ram.names.all[k] for k in np.flatnonzero(np.diag(S) < 0)]
    if negative or np.linalg.eigvalsh(S)[0] < -1e-8 * max(float(np.abs(S).max()), 1e-300):
        raise SettingError(f"the error covariance is not positive (Heywood case {shown(negative)}); mend the model before simulating")
    if not ram.means:
        level = np.concatenate([sample.mean, latent_levels(ram, fit.theta, sample.mean)])
        m = level - A @ level
    else:
        m = implied(ram, fit.theta).eta - A @ implied(ram, fit.theta).eta
    return BayesianNetwork(ram.names.all, ram.names.ov, frozen(A), frozen(S), frozen(m))


def _check_apart(do: Mapping[str, float], given: Mapping[str, float]) -> None:
    both = [n for n in do if n in given]
    if both:
        raise SettingError(f"{shown(both)} stand in do and in given; a variable is either set or seen")


def _numbers(frame: pd.DataFrame) -> FloatArray:
    try:
        values = frame.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        text = [str(c) for c in frame.columns if not pd.api.types.is_numeric_dtype(frame[c])]
        raise DataError(f"columns {shown(text)} hold no numbers; encode or drop them", columns=text) from None
    if np.isinf(values).any():
        bad = [str(c) for c, column in zip(frame.columns, values.T, strict=True) if np.isinf(column).any()]
        raise DataError(f"columns {shown(bad)} hold infinite values; mend or drop them", columns=bad)
    return values


def _regression(S: FloatArray, cross: FloatArray) -> FloatArray:
    """Return crossᵀ S⁻¹ at unit variances; the shortest solution where interventions or exact equations leave S singular."""
    scale = _scale(S)
    return np.asarray((np.linalg.lstsq(S / scale / scale[:, None], cross / scale[:, None], rcond=1e-12)[0] / scale[:, None]).T)


def _root(S: FloatArray, scale: FloatArray) -> FloatArray:
    """Return R with R Rᵀ = S for a covariance that may be singular; `scale` tells variance from rounding."""
    values, vectors = np.linalg.eigh((S + S.T) / 2 / scale / scale[:, None])
    # Rounding leaves traces of variance where nothing is open.
    return np.asarray(scale[:, None] * vectors * np.sqrt(np.where(values > 1e-12, values, 0.0)))


def _scale(S: FloatArray) -> FloatArray:
    """Return standard deviations, 1 where there is no variance."""
    variances = np.diag(S)
    return np.sqrt(np.where(variances > 0, variances, 1.0))
