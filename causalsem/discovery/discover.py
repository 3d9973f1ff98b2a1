"""discover(): from moments or rows to a causal graph, by a method, within what is known."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from causalsem._engines import load_engine
from causalsem._values import FloatArray
from causalsem.behaviour import BehaviourTable, Moments, as_moments, as_table
from causalsem.discovery.found import Found, Rules
from causalsem.discovery.hurdle import HurdleMoments
from causalsem.discovery.methods import Method, as_method, own_search
from causalsem.discovery.stack import Stack, padded
from causalsem.errors import AssumptionWarning, DataError, SettingError
from causalsem.graph import CausalGraph, Knowledge

Data: TypeAlias = Moments | HurdleMoments | BehaviourTable | pd.DataFrame
Ready: TypeAlias = Moments | HurdleMoments | FloatArray
# A column with at most this many distinct values is discrete.
FEW_VALUES = 5


def discover(
    data: Data,
    method: Method | str = "GES",
    *,
    knowledge: Knowledge | None = None,
    names: Iterable[str] | None = None,
) -> CausalGraph:
    """Return the causal graph that a method finds, of the variables `names` (all, if None).

    `data` are Moments (or HurdleMoments, for zero-inflated counts), or rows (BehaviourTable, DataFrame) whose moments
    are taken; a method that consumes rows needs rows. `knowledge` is honoured inside the search: the result never has
    a forbidden arrow and always has a required one. What the data say against it, or against itself, stands in
    `graph.provenance["conflicts"]`.
    Raises MomentsError for constant, collinear or too many variables, UnknownNameError for a misspelt name,
    DataError for missing values or a method that needs rows and is given Moments.
    """
    settings = as_method(method)
    data = _selected(data, names)
    ready, variables, n = prepared(data, settings)
    rules = Rules.of(knowledge, variables)
    if not isinstance(data, (Moments, HurdleMoments)):
        _warn_if_discrete(data, settings)
    found = run(ready, settings, rules)
    return as_graph(found, variables, n, settings)


def run(ready: Ready, settings: Method, rules: Rules) -> Found:
    """Return what the method's engine finds in moments or in rows (n, p)."""
    if settings.engine == "causalsem":
        if isinstance(ready, np.ndarray):
            return own_search(settings)(ready, settings, rules)
        return own_search(settings)(stacked(ready), settings, rules)[0]
    if isinstance(ready, HurdleMoments):
        raise SettingError(f"engine {settings.engine!r} takes no hurdle moments; use engine='causalsem', or plain moments")
    found: Found = load_engine("discover", settings.engine)(ready, settings, rules)
    return found


def stacked(ready: Moments | HurdleMoments) -> Stack:
    """Return the correlations of one data set as searches take them."""
    if isinstance(ready, Moments):
        return Stack(ready.correlation[None], ready.n)
    return hurdle_stack(ready.moments.correlation[None], ready)


def hurdle_stack(R: FloatArray, like: HurdleMoments) -> Stack:
    """Return the stack of correlations R (B, q, q) of the columns of hurdle moments."""
    place = {name: k for k, name in enumerate(like.moments.names)}
    columns = [[place[c] for c in block] for block in like.columns]
    return Stack(padded(R, columns), like.n, np.array([len(c) for c in columns]))


def prepared(data: Data, settings: Method) -> tuple[Ready, tuple[str, ...], int]:
    """Return what the method consumes (regular moments, or rows), the variables and the number of rows."""
    name = type(settings).__name__
    if settings.consumes == "rows":
        if isinstance(data, (Moments, HurdleMoments)):
            raise DataError(f"{name} needs rows, but was given Moments of {data.n:,} rows; hand in the table itself")
        table = as_table(data)
        rows = table.complete()
        Moments.from_rows(rows, table.names).require_regular()
        return rows, table.names, len(rows)
    moments = data if isinstance(data, HurdleMoments) else as_moments(data)
    moments.require_regular(getattr(settings, "max_conditioning", None))
    return moments, moments.names, moments.n


def as_graph(found: Found, names: tuple[str, ...], n: int, settings: Method) -> CausalGraph:
    """Return the graph of a finding, with its provenance."""
    provenance: dict[str, Any] = {
        "method": type(settings).__name__,
        "settings": asdict(settings),  # type: ignore[call-overload]  # every method is a dataclass
        "assumes": list(settings.assumes),
        "n": n,
        "names": list(names),
        "conflicts": [conflict.told(names) for conflict in found.conflicts],
        **dict(found.facts),
    }
    return CausalGraph(names, found.marks, found.kind, (), provenance)


def _selected(data: Data, names: Iterable[str] | None) -> Data:
    data = data if isinstance(data, (Moments, HurdleMoments)) else as_table(data)
    return data if names is None else data.select(names)


def _warn_if_discrete(data: BehaviourTable | pd.DataFrame, settings: Method) -> None:
    """Warn when Gaussian tests or scores are used though every column has only a few values."""
    table = as_table(data)
    sample = table.matrix()[:10_000]
    if settings.consumes == "moments" and all(len(np.unique(column)) <= FEW_VALUES for column in sample.T):
        message = (
            f"all {len(table.names)} variables have at most {FEW_VALUES} values, but {type(settings).__name__} assumes linear relations "
            "with Gaussian noise; read the arrows with care, or use continuous or count measures of the same behaviours"
        )
        warnings.warn(message, AssumptionWarning, stacklevel=3)
