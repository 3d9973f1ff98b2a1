"""discover(): from moments or rows to a causal graph, by a method, within what is known."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from causalsem._engines import load_engine
from causalsem._values import FloatArray
from causalsem.behaviour import BehaviourTable, Moments, as_moments, as_table
from causalsem.behaviour.table import origin_of
from causalsem.discovery.auto import FEW_ROWS_CONDITIONING, Auto, choose
from causalsem.discovery.blocks import BlockMoments, block_stack
from causalsem.discovery.budget import budget
from causalsem.discovery.found import Found, Rules
from causalsem.discovery.independence.row_tests import IndependenceTest, RowTests, require_varying
from causalsem.discovery.known import known_of, told_of
from causalsem.discovery.methods import Method, as_method, own_search
from causalsem.discovery.stack import Stack
from causalsem.errors import AssumptionWarning, DataError, MomentsError, SettingError
from causalsem.graph import CausalGraph, Knowledge

Data: TypeAlias = Moments | BlockMoments | BehaviourTable | pd.DataFrame
Ready: TypeAlias = Moments | BlockMoments | RowTests | FloatArray
# A column with at most this many distinct values is discrete.
FEW_VALUES = 5


def discover(
    data: Data,
    method: Method | str = "GES",
    *,
    knowledge: Knowledge | None = None,
    names: Iterable[str] | None = None,
    seconds: float | None = None,
) -> CausalGraph:
    """Return the causal graph that a method finds, of the variables `names` (all, if None).

    `data` are Moments (or BlockMoments, for zero-inflated counts), or rows (BehaviourTable, DataFrame) whose moments
    are taken; a method that consumes rows needs rows. "auto" chooses by the data's kinds and size (see `Auto`), and
    says why in `graph.provenance["auto"]`. `knowledge` is honoured inside the search: the result never has
    a forbidden arrow and always has a required one. Without any, the tiers of the BehaviourTable hold, also where its
    moments are handed in; `Knowledge()` says that nothing is known. What the data say against it, or against itself,
    stands in `graph.provenance["conflicts"]`, what was known in `["background_knowledge"]`.
    After `seconds`, or at the first Ctrl-C, the search ends and the graph it has is the result (PC and FCI: edges not
    tested yet are kept; order searches: the best order so far); `graph.provenance["stopped"]` says so.
    Raises MomentsError for constant, collinear or too many variables, UnknownNameError for a misspelt name,
    DataError for missing values or a method that needs rows and is given Moments.
    """
    settings, origin = as_method(method), origin_of(data)
    data = _selected(data, names)
    facts: dict[str, Any] = {}
    if isinstance(settings, Auto):
        choice = choose(data, settings)
        data, settings, facts = choice.data, choice.method, {"auto": choice.told}
    ready, variables, n = prepared(data, settings)
    origin = origin.select(variables)
    rules = Rules.of(known_of(knowledge, origin), variables)
    if not isinstance(data, (Moments, BlockMoments)):
        _warn_if_discrete(data, settings)
    with budget(seconds) as limit:
        found = run(ready, settings, rules)
    return as_graph(found, variables, n, settings, limit.stopped, {**told_of(knowledge, origin), **facts})


def run(ready: Ready, settings: Method, rules: Rules) -> Found:
    """Return what the method's engine finds in moments or in rows (n, p)."""
    if settings.engine == "causalsem":
        if isinstance(ready, RowTests):
            return own_search(settings)(ready, settings, rules)[0]
        if isinstance(ready, np.ndarray):
            found_in_rows: Found = own_search(settings)(ready, settings, rules)
            return found_in_rows
        return own_search(settings)(stacked(ready), settings, rules)[0]
    if isinstance(ready, BlockMoments):
        raise SettingError(f"engine {settings.engine!r} takes no hurdle moments; use engine='causalsem', or plain moments")
    if isinstance(ready, RowTests):
        raise SettingError(f"engine {settings.engine!r} takes none of our tests; use engine='causalsem', or test=None")
    found: Found = load_engine("discover", settings.engine)(ready, settings, rules)
    return found


def stacked(ready: Moments | BlockMoments) -> Stack:
    """Return the correlations of one data set as searches take them."""
    if isinstance(ready, Moments):
        return Stack(ready.correlation[None], ready.n)
    return block_stack(ready.moments.correlation[None], ready)


def check_blocks(settings: Method) -> None:
    """Raise SettingError when a method that knows no blocks is given some."""
    if hasattr(settings, "hidden"):
        raise SettingError(f"{type(settings).__name__} takes no block moments; use plain moments, or BOSS(), GES(), PC()")


def prepared(data: Data, settings: Method) -> tuple[Ready, tuple[str, ...], int]:
    """Return what the method consumes (regular moments, or rows), the variables and the number of rows."""
    name = type(settings).__name__
    test: IndependenceTest | None = getattr(settings, "test", None)
    hidden: int = getattr(settings, "hidden", 0)
    if settings.consumes == "rows" or test is not None or hidden:
        if isinstance(data, (Moments, BlockMoments)):
            what = f"{name}(hidden={hidden})" if hidden else name if test is None else f"{name}(test={type(test).__name__}())"
            raise DataError(f"{what} needs rows, but was given Moments of {data.n:,} rows; hand in the table itself")
        table = as_table(data)
        if test is not None:
            require_varying(table.matrix(), table.names)
            return RowTests(table.matrix(), test), table.names, len(table)
        rows = table.complete()
        Moments.from_rows(rows, table.names).require_regular()
        return rows, table.names, len(rows)
    moments = data if isinstance(data, BlockMoments) else as_moments(data)
    if isinstance(moments, BlockMoments):
        check_blocks(settings)
    # A score looks at as many parents as gain, so that no cap on tests helps it.
    scored = hasattr(settings, "penalty_discount")
    cap: int | None = None if scored else getattr(settings, "max_conditioning", None)
    columns = moments.moments if isinstance(moments, BlockMoments) else moments
    if cap is None and moments.n <= len(columns.names) and (columns.sd > 0).all():
        raise MomentsError(too_few_rows(columns, "variables" if columns is moments else "columns", settings))
    moments.require_regular(cap)
    return moments, moments.names, moments.n


def too_few_rows(columns: Moments, what: str, settings: Method) -> str:
    """Return what to do with no more rows than columns: tests given few others manage with them."""
    tests = hasattr(settings, "max_conditioning") and not hasattr(settings, "penalty_discount")
    able = type(settings).__name__ if tests else "FCI" if settings.returns == "PAG" else "PC"
    remedy = f"use {able}(max_conditioning={FEW_ROWS_CONDITIONING}), which tests given few others only"
    return f"{columns.n:,} rows for {len(columns.names)} {what}; {remedy}, or hand in more rows than {what}, or fewer {what}"


def as_graph(
    found: Found, names: tuple[str, ...], n: int, settings: Method, stopped: str = "", facts: Mapping[str, Any] | None = None
) -> CausalGraph:
    """Return the graph of a finding, with its provenance; `facts` are further lines of it."""
    provenance: dict[str, Any] = {
        "method": type(settings).__name__,
        "settings": told(settings),
        "assumes": assumptions(settings),
        "n": n,
        "names": list(names),
        "conflicts": [conflict.told(names) for conflict in found.conflicts],
        **dict(found.facts),
        **(facts or {}),
    }
    if stopped:
        provenance["stopped"] = stopped
    return CausalGraph(names, found.marks, found.kind, (), provenance)


def told(settings: Method) -> dict[str, Any]:
    """Return settings as plain values; a test carries its name."""
    plain: dict[str, Any] = asdict(settings)  # type: ignore[call-overload]  # every method is a dataclass
    test: IndependenceTest | None = getattr(settings, "test", None)
    return plain if test is None else {**plain, "test": {"test": type(test).__name__, **plain["test"]}}


def assumptions(settings: Method) -> list[str]:
    """Return what the method assumes; a test's own assumptions take the place of those of Fisher's z."""
    test: IndependenceTest | None = getattr(settings, "test", None)
    if test is None:
        return list(settings.assumes)
    return [line for line in settings.assumes if "Gaussian" not in line] + list(test.assumes)


def _selected(data: Data, names: Iterable[str] | None) -> Data:
    data = data if isinstance(data, (Moments, BlockMoments)) else as_table(data)
    return data if names is None else data.select(names)


def _warn_if_discrete(data: BehaviourTable | pd.DataFrame, settings: Method) -> None:
    """Warn when Gaussian tests or scores are used though every column has only a few values."""
    if settings.consumes != "moments" or getattr(settings, "test", None) is not None or bool(getattr(settings, "hidden", 0)):
        return
    table = as_table(data)
    sample = table.matrix()[:10_000]
    if all(len(np.unique(column)) <= FEW_VALUES for column in sample.T):
        message = (
            f"all {len(table.names)} variables have at most {FEW_VALUES} values, but {type(settings).__name__} assumes linear relations "
            "with Gaussian noise; use PC(test=GSquare()), or discover(degenerate_moments(table), PC())"
        )
        warnings.warn(message, AssumptionWarning, stacklevel=3)
