"""FeedbackModel, FeedbackModels: linear models whose arrows may run in circles, with their coefficients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from causalsem._cards import mimebundle
from causalsem._values import FloatArray, frozen
from causalsem.errors import DataError, SettingError, check_names
from causalsem.graph import CausalGraph


@dataclass(frozen=True, slots=True, eq=False)
class FeedbackModel:
    """The linear model x = B x + e of p variables: `coefficients` B (p, p), B[i, j] the effect of variable j on variable i."""

    names: tuple[str, ...]
    coefficients: FloatArray

    def __post_init__(self) -> None:
        B = frozen(self.coefficients)
        if B.shape != (len(self.names),) * 2 or np.diag(B).any():
            raise DataError(f"coefficients {B.shape} of {len(self.names)} variables; hand in (p, p) with a diagonal of zeros")
        object.__setattr__(self, "coefficients", B)

    @property
    def spectral_radius(self) -> float:
        """How much of a push comes back round the cycles each time; below 1 it dies out."""
        return float(np.abs(np.linalg.eigvals(self.coefficients)).max(initial=0.0))

    @property
    def is_stable(self) -> bool:
        """Tell whether the feedback settles."""
        return self.spectral_radius < 1

    @property
    def is_acyclic(self) -> bool:
        """Tell whether no arrows run in a circle."""
        return not np.linalg.matrix_power((self.coefficients != 0).astype(np.float64), len(self.names)).any()

    @property
    def edges(self) -> Iterator[tuple[str, str, float]]:
        """Yield (cause, effect, coefficient) in the order of the variables."""
        for j, i in np.argwhere(self.coefficients.T != 0):
            yield self.names[j], self.names[i], float(self.coefficients[i, j])

    @property
    def matrix(self) -> pd.DataFrame:
        """The coefficients with causes in rows and effects in columns."""
        return pd.DataFrame(self.coefficients.T, index=list(self.names), columns=list(self.names))

    def total(self, cause: str, effect: str) -> float:
        """Return by how much the effect settles higher when something pushes the cause up by one unit, all ways round included.

        The push is an addition to the cause's own equation, and feedback may raise the cause by more than it. Raises
        SettingError where the feedback does not settle.
        """
        check_names((cause, effect), self.names, where="the model")
        if not self.is_stable:
            raise SettingError(f"the feedback does not settle (spectral radius {self.spectral_radius:.3g}); ask a stable model")
        settled = np.linalg.inv(np.eye(len(self.names)) - self.coefficients)
        return float(settled[self.names.index(effect), self.names.index(cause)])

    def graph(self) -> CausalGraph:
        """Return the arrows as a DAG; raises CycleError where they run in a circle."""
        return CausalGraph.from_edges([(a, b) for a, b, _ in self.edges], self.names, kind="DAG")

    def __str__(self) -> str:
        arrows = "; ".join(f"{a} -> {b} ({value:.3g})" for a, b, value in self.edges) or "no arrows"
        kind = "acyclic" if self.is_acyclic else "stable" if self.is_stable else "not stable"
        return f"{arrows}  ({kind}, spectral radius {self.spectral_radius:.3g})"

    __repr__ = __str__
    _repr_mimebundle_ = mimebundle


@dataclass(frozen=True, slots=True, eq=False)
class FeedbackModels:
    """Linear models that imply the same distribution, the most stable first; `provenance` says how they were found."""

    models: tuple[FeedbackModel, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "provenance", MappingProxyType(dict(self.provenance)))

    @property
    def stable(self) -> tuple[FeedbackModel, ...]:
        """The models whose feedback settles; where cycles share no variable there is one."""
        return tuple(model for model in self.models if model.is_stable)

    @property
    def table(self) -> pd.DataFrame:
        """One row per arrow of each model: model, stable, spectral_radius, cause, effect, coefficient."""
        rows = [(k, model.is_stable, model.spectral_radius, *edge) for k, model in enumerate(self.models) for edge in model.edges]
        return pd.DataFrame(rows, columns=["model", "stable", "spectral_radius", "cause", "effect", "coefficient"])

    def __len__(self) -> int:
        return len(self.models)

    def __iter__(self) -> Iterator[FeedbackModel]:
        return iter(self.models)

    def __getitem__(self, at: int) -> FeedbackModel:
        return self.models[at]

    def __repr__(self) -> str:
        head = f"FeedbackModels({len(self.models)} that fit alike, {len(self.stable)} stable)"
        return "\n".join([head, *(f"  {model}" for model in self.models[:8])])

    _repr_mimebundle_ = mimebundle
