"""SEMFit: a fitted structural equation model."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from causalsem._cards import mimebundle
from causalsem._values import FloatArray, frozen
from causalsem.errors import SettingError
from causalsem.graph import CausalGraph
from causalsem.sem.effects import Effects, effects_between
from causalsem.sem.matrices import RAM, Implied, implied
from causalsem.sem.options import SEMOptions
from causalsem.sem.partable import ParameterTable
from causalsem.sem.sample import Sample

if TYPE_CHECKING:
    from causalsem.behaviour.table import BehaviourTable
    from causalsem.sem.bootstrap import Bootstrap
    from causalsem.sem.identification_verdict import Identification


@dataclass(frozen=True, slots=True, eq=False)
class SEMFit:
    """A fitted model: its parameter table, θ (k,), covariance of θ (k, k; None without standard errors), and fit measures.

    `table` and `rams` are the model, `samples` what it was fitted to; `measures` has lavaan's names;
    `provenance` says engine, preset, steps and every choice that was made on the way.
    """

    table: ParameterTable
    rams: tuple[RAM, ...]
    samples: tuple[Sample, ...]
    options: SEMOptions
    theta: FloatArray
    covariance: FloatArray | None
    measures: Mapping[str, float]
    defined: tuple[tuple[str, float, float], ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "theta", frozen(self.theta))
        if self.covariance is not None:
            object.__setattr__(self, "covariance", frozen(self.covariance))
        object.__setattr__(self, "measures", MappingProxyType(dict(self.measures)))
        object.__setattr__(self, "provenance", MappingProxyType(dict(self.provenance)))

    # -- numbers -------------------------------------------------------------------

    @property
    def n(self) -> int:
        """How many rows the model was fitted to, in all groups."""
        return sum(s.n for s in self.samples if s.level == 1)

    @property
    def names(self) -> tuple[str, ...]:
        """The free parameters, by label or as lavaan names them: "buy~browse"."""
        return self.table.parameter_names

    @property
    def coefficients(self) -> Mapping[str, float]:
        """The estimates of the free parameters by name."""
        return MappingProxyType(dict(zip(self.names, self.theta.tolist(), strict=True)))

    @property
    def se(self) -> FloatArray:
        """Standard errors of the free parameters, (k,); NaN without a covariance."""
        if self.covariance is None:
            return np.full(len(self.theta), np.nan)
        return np.asarray(np.sqrt(np.maximum(np.diag(self.covariance), 0.0)))

    @property
    def vcov(self) -> pd.DataFrame:
        """The covariance of the estimates, by parameter name."""
        matrix = np.full((len(self.theta),) * 2, np.nan) if self.covariance is None else np.array(self.covariance)
        return pd.DataFrame(matrix, index=list(self.names), columns=list(self.names))

    @property
    def parameters(self) -> pd.DataFrame:
        """One row per parameter: lhs op rhs label est se z pvalue ci_lower ci_upper std_lv std_all std_nox [group] [level]."""
        from causalsem.sem.tables import parameter_frame

        return parameter_frame(self)

    def standardised(self, kind: str = "std_all") -> pd.DataFrame:
        """Return standardised estimates ("std_all", "std_lv" or "std_nox") with their own delta-method standard errors."""
        from causalsem.sem.tables import standardised_frame

        return standardised_frame(self, kind)

    # -- implied and residual moments ----------------------------------------------

    def at(self, group: int = 1) -> Implied:
        """Return what the model implies in one group (from 1)."""
        self._check_group(group)
        return implied(self.rams[group - 1], self.theta)

    @property
    def implied(self) -> Any:
        """The implied covariance as a table; with several groups a mapping from group label to table."""
        return self._by_group([_square(s.names, implied(r, self.theta).sigma) for r, s in zip(self.rams, self.samples, strict=True)])

    @property
    def residuals(self) -> Any:
        """Sample minus implied covariance; with several groups (or levels) a mapping from label to table."""
        return self.residual_table("raw")

    @property
    def residual_correlations(self) -> Any:
        """Residual covariances in units of the sample's standard deviations; the largest show where the model fails."""
        return self.residual_table("cor.bentler")

    def residual_table(self, kind: str = "raw") -> Any:
        """Return residual covariances: "raw", "cor.bentler", "cor.bollen", or "standardized" by their standard errors."""
        from causalsem.sem.residuals import residual_tables

        return self._by_group(residual_tables(self, kind))

    @property
    def r2(self) -> Mapping[str, float]:
        """Each dependent variable's explained share of its implied variance (name.g2: in group 2; name.l2: between clusters)."""
        out = {}
        for g, ram in enumerate(self.rams, start=1):
            S, V = ram.fill(self.theta)[1], implied(ram, self.theta).V
            dependent = (ram.A0 != 0).any(axis=1)
            dependent[ram.a_row] = True
            for k in np.flatnonzero(dependent):
                out[ram.names.all[k] + self.table.suffix(g)] = float(1.0 - S[k, k] / V[k, k])
        return MappingProxyType(out)

    @property
    def exact_test(self) -> tuple[float, float, float]:
        """χ², degrees of freedom and p-value of exact fit; of the scaled test where there is one."""
        kind = ".scaled" if np.isfinite(self.measures.get("chisq.scaled", np.nan)) else ""
        chisq, df, p = (self.measures[f"{name}{kind}"] for name in ("chisq", "df", "pvalue"))
        return chisq, df, p

    @property
    def clusters(self) -> Mapping[str, int]:
        """In which ways rows may depend on each other, and how many clusters each has; empty where rows are independent."""
        return MappingProxyType(dict(self.provenance.get("clusters", {})))

    # -- effects and graph ----------------------------------------------------------

    def effects(self, cause: str, effect: str, group: int = 1) -> Effects:
        """Return total, direct and indirect effect of `cause` on `effect`, with errors and the table of paths."""
        self._check_group(group)
        vcov = np.full((len(self.theta),) * 2, np.nan) if self.covariance is None else self.covariance
        return effects_between(self.rams[group - 1], self.theta, vcov, cause, effect, self.options.level)

    @property
    def graph(self) -> CausalGraph:
        """The model's graph: arrows of its equations and loadings, bidirected edges of its error covariances."""
        from causalsem.sem.text import graph_of

        return graph_of(self.rams[0])

    @property
    def identification(self) -> Identification:
        """What data can tell about the model, edge by edge, with the rank of the information and the strength of instruments."""
        from causalsem.sem.identification_verdict import identification_of_fit

        return identification_of_fit(self)

    # -- what else the model says ----------------------------------------------------

    def modification_indices(self, most: int | None = None) -> pd.DataFrame:
        """Return by how much χ² would fall, and how far each fixed parameter would move, if it were freed; largest first."""
        from causalsem.sem.modification import modification_indices

        return modification_indices(self, most)

    def factor_scores(
        self, data: BehaviourTable | pd.DataFrame | None = None, *, method: str = "regression", group: int = 1
    ) -> pd.DataFrame:
        """Return scores of the latent variables for `data` (or the rows of the fit): "regression" or "bartlett"."""
        self._check_group(group)
        from causalsem.sem.prediction import factor_scores

        return factor_scores(self, data, method, group)

    def predict(
        self,
        data: BehaviourTable | pd.DataFrame | None = None,
        *,
        outcomes: Iterable[str] | None = None,
        given: Iterable[str] | None = None,
        group: int = 1,
    ) -> pd.DataFrame:
        """Return E[outcomes | given] by the model's implied moments; by default all dependent variables given all causes."""
        self._check_group(group)
        from causalsem.sem.prediction import predict

        return predict(self, data, outcomes, given, group)

    def bootstrap(self, times: int = 1000, *, seed: int = 0, device: str = "auto") -> Bootstrap:
        """Return the fit's bootstrap: all resamples of the rows fitted at once, failures counted."""
        from causalsem.sem.bootstrap import bootstrap

        return bootstrap(self, times, seed, device)

    # -- words ---------------------------------------------------------------------

    @property
    def verdict(self) -> str:
        """What the fit measures say, in words."""
        from causalsem.sem.tables import verdict_of

        return verdict_of(self)

    def to_lavaan(self) -> str:
        """Return lavaan text that states every parameter, so that lavaan() fits the same model without automatic rows."""
        from causalsem.sem.text import table_as_lavaan

        return table_as_lavaan(self.table)

    def to_semopy(self) -> str:
        """Return semopy text that states every parameter; names semopy cannot read are replaced, as comments say."""
        from causalsem.sem.exports import semopy_text

        return semopy_text(self.table)

    def to_mplus(self, data: str = "rows.dat") -> str:
        """Return an Mplus input for a file of rows, observed variables in the order of `fit.implied`'s columns."""
        from causalsem.sem.exports import mplus_text

        return mplus_text(self.table, data)

    def to_dagitty(self) -> str:
        """Return the model's graph as dagitty text, with the estimated coefficients."""
        from causalsem.sem.exports import dagitty_text

        return dagitty_text(self.rams[0], np.array(self.theta))

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the fit as JSON (format causalsem-sem); rows of data are not written."""
        from causalsem.sem.files import save_fit

        return save_fit(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> SEMFit:
        """Return the fit that `save` wrote."""
        from causalsem.sem.files import load_fit

        return load_fit(path)

    def __repr__(self) -> str:
        m = self.measures
        chisq, df, p = self.exact_test
        test = f"χ²({df:.3g}) = {chisq:.3f}, p = {p:.3g}" if m["df"] else "saturated"
        rows = f"n = {self.n:,}" + (f" clustered by {' and '.join(self.clusters)}" if self.clusters else "")
        return (
            f"SEMFit({self.options.estimator}, {rows}, {m['npar']:.0f} parameters, {test}, "
            f"CFI {m['cfi']:.3f}, RMSEA {m['rmsea']:.3f}, SRMR {m['srmr']:.3f})"
        )

    def _repr_html_(self) -> str:
        from causalsem.sem.tables import card

        return card(self)

    def _by_group(self, tables: list[pd.DataFrame]) -> Any:
        return tables[0] if len(tables) == 1 else dict(zip(self.table.block_labels, tables, strict=True))

    def _check_group(self, group: int) -> None:
        if not 1 <= group <= len(self.rams):
            raise SettingError(f"group {group!r} of {len(self.rams)}; use a number from 1 to {len(self.rams)}")

    _repr_mimebundle_ = mimebundle


def _square(names: tuple[str, ...], matrix: FloatArray) -> pd.DataFrame:
    return pd.DataFrame(np.array(matrix), index=list(names), columns=list(names))
