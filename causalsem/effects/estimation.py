"""estimate_effect and naive_effect: from a table and an adjustment set to an Estimate."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from causalsem._values import BoolArray
from causalsem.behaviour import BehaviourTable, as_table
from causalsem.behaviour.origin import warn_of_other_unit
from causalsem.behaviour.table import origin_of
from causalsem.effects.arms import clipped
from causalsem.effects.diagnostics import Balance, Overlap, balance_of, effective_size, empty_stratum
from causalsem.effects.estimate import Estimate
from causalsem.effects.methods.aipw import AIPW
from causalsem.effects.methods.regression import Regression
from causalsem.effects.methods.table import METHODS, Method
from causalsem.effects.nuisance import Splines
from causalsem.effects.problem import Fitted, Problem, build_problem, fingerprint, need_arms, need_single
from causalsem.errors import AssumptionWarning, OverlapError, SettingError, UnknownNameError, check_names, shown
from causalsem.identify import AdjustmentSet, NullEffect, Query
from causalsem.identify.query import as_query

SHARE_WITHOUT_OVERLAP = 0.05
OTHER_WAYS = "use IPW(weights='overlap'), a larger clip, or leave out rows that could not go either way"
FEWEST_EFFECTIVE_ROWS = 50
SMALLEST_EFFECTIVE_SHARE = 0.02
MOST_LEVELS = 20
MOST_STEPS = 10
# What is said of the error, by the ways in which rows may depend on each other.
ERRORS = {
    ("user",): "users, not rows, are the independent units of the error",
    (
        "user",
        "item",
    ): "the error is clustered by user and item: pairs that share either may depend on each other; users are a sample, items the catalogue",
}
STEPS = "the levels of {0!r} count as numbers, each step like another; for the chance of a level or more, make it a 0/1 column"


def estimate_effect(
    data: BehaviourTable | pd.DataFrame,
    adjust: AdjustmentSet | NullEffect,
    method: Method | str = AIPW(),  # noqa: B008  a frozen value
    *,
    contrast: tuple[float, float] | None = None,
    folds: int = 5,
    seed: int = 0,
) -> Estimate:
    """Return the average effect of the adjustment set's treatment on its outcome, with its influence function.

    The value is E[Y | do(T=1)] − E[Y | do(T=0)] for a 0/1 treatment and per unit of T otherwise (each method's docstring says
    which effect per unit); with `contrast` (low, high) it is E[Y | do(T=high)] − E[Y | do(T=low)], two of a treatment's levels,
    over all rows. `method` is one of Regression, IPW, AIPW, GBoost, DRLearner, RLearner, CausalTree, CausalForest, CausalNet, or
    its name; learned nuisances are cross-fitted over `folds`. A table with several rows per user is split and judged by users.
    A NullEffect gives an exact zero. Warns where the graph was found on rows of another unit.

    Raises UnknownNameError, DataError (missing or constant columns, too few rows), SettingError (a treatment the
    method cannot take) and OverlapError (a stratum that is never, or always, treated).
    """
    table = as_table(data)
    chosen = named_method(method)
    if isinstance(adjust, NullEffect):
        return _no_effect(table, adjust)
    problem = _problem(table, adjust, folds, seed, contrast)
    warn_of_other_unit(adjust.graph.provenance if adjust.graph else {}, origin_of(data).unit, stacklevel=3)
    weighs, population = not isinstance(chosen, Regression), getattr(chosen, "weights", "inverse")
    if weighs and problem.has_arms and population != "overlap":
        _check_strata(problem, ("untreated",) if population == "treated" else ("treated", "untreated"))
    fitted = chosen.fit(problem)
    if weighs and fitted.weights is not None:
        _check_weights(problem, fitted)
    return _as_estimate(problem, fitted, chosen, table, adjust.assumptions)


def level_effects(
    data: BehaviourTable | pd.DataFrame,
    adjust: AdjustmentSet,
    method: Method | str = AIPW(),  # noqa: B008  a frozen value
    *,
    reference: float | None = None,
    folds: int = 5,
    seed: int = 0,
) -> dict[float, Estimate]:
    """Return the effect of each level of a treatment against the `reference`, its lowest level if None.

    All are over the same rows and folds, so that `found[3] - found[2]` is the effect of 3 against 2 with its right error.
    Raises SettingError for a treatment of more than twenty values and what `estimate_effect` raises.
    """
    table = as_table(data)
    check_names(adjust.treatments, table.names, what="column", where="the behaviour table")
    levels = np.unique(table.column(adjust.treatment)).tolist()
    if len(levels) > MOST_LEVELS:
        text = f"{adjust.treatment!r} takes {len(levels):,} values, more than the {MOST_LEVELS} levels that are compared one by one"
        raise SettingError(f"{text}; cut it into groups, or use estimate_effect for its effect per unit")
    base = levels[0] if reference is None else reference
    if base not in levels:
        raise SettingError(f"the reference is {base:g}, but the levels of {adjust.treatment!r} are {shown(levels)}; choose one of them")
    others = [level for level in levels if level != base]
    return {level: estimate_effect(table, adjust, method, contrast=(base, level), folds=folds, seed=seed) for level in others}


def naive_effect(data: BehaviourTable | pd.DataFrame, query: Query | AdjustmentSet | NullEffect | tuple[str, str]) -> Estimate:
    """Return the plain difference of means (or slope) of outcome by treatment, nothing adjusted for.

    It is the effect only if nothing confounds the two; it is here to be set against the adjusted one.
    """
    table = as_table(data)
    asked = query.query if isinstance(query, (AdjustmentSet, NullEffect)) else as_query(query)
    problem = build_problem(table, asked.treatments, asked.outcome, (), folds=2, seed=0)
    fitted = Regression().fit(problem)
    estimate = _as_estimate(problem, fitted, Regression(), table, ("nothing confounds treatment and outcome",))
    return replace(estimate, method="naive", folds=None, assumptions=("nothing confounds treatment and outcome",))


def overlap(data: BehaviourTable | pd.DataFrame, adjust: AdjustmentSet, *, folds: int = 5, seed: int = 0) -> Overlap:
    """Return the cross-fitted propensities of a 0/1 treatment given its adjustment set."""
    problem = _binary_problem(data, adjust, folds, seed)
    return Overlap(_propensity(problem), problem.treated)


def balance(data: BehaviourTable | pd.DataFrame, adjust: AdjustmentSet, *, folds: int = 5, seed: int = 0) -> Balance:
    """Return how unlike treated and untreated rows are before and after weighting by the propensity."""
    problem = _binary_problem(data, adjust, folds, seed)
    e, _, _ = clipped(_propensity(problem), None)
    return balance_of(problem.Z, problem.adjustment, problem.treated, np.where(problem.treated, 1 / e, 1 / (1 - e)))


def named_method(method: Method | str) -> Method:
    """Return the method itself, or the one of that name with its default settings."""
    if isinstance(method, str):
        if method not in METHODS:
            raise UnknownNameError(method, METHODS, what="method", where="estimate_effect")
        return METHODS[method]()
    if type(method) not in METHODS.values():
        raise SettingError(f"{method!r} is not a method of estimate_effect; use one of {', '.join(METHODS)}")
    return method


def _problem(table: BehaviourTable, adjust: AdjustmentSet, folds: int, seed: int, contrast: tuple[float, float] | None = None) -> Problem:
    if not isinstance(adjust, AdjustmentSet):
        raise SettingError(f"{adjust!r} is no adjustment set; hand in what identify(graph, query) returned")
    return build_problem(table, adjust.treatments, adjust.outcome, adjust.variables, folds=folds, seed=seed, contrast=contrast)


def _binary_problem(data: BehaviourTable | pd.DataFrame, adjust: AdjustmentSet, folds: int, seed: int) -> Problem:
    problem = _problem(as_table(data), adjust, folds, seed)
    need_single(problem, "overlap")
    need_arms(problem, "overlap")
    return problem


def _propensity(problem: Problem) -> np.ndarray[Any, np.dtype[np.float64]]:
    everyone = np.ones(problem.n, dtype=bool)
    return Splines().on(problem.Z)(problem.treated.astype(np.float64), everyone, problem.folds, problem.seed)


def _arms_in_words(problem: Problem) -> dict[str, tuple[str, BoolArray]]:
    """Return the rows of each arm and what to say of them."""
    if problem.contrast is None:
        told = {word: f"is {word} by {problem.label}" for word in ("treated", "untreated")}
    else:
        low, high = problem.contrast
        told = {"treated": f"has {problem.label} = {high:g}", "untreated": f"has {problem.label} = {low:g}"}
    return {word: (told[word], rows) for word, rows in (("treated", problem.treated), ("untreated", problem.untreated))}


def _check_strata(problem: Problem, which: tuple[str, ...]) -> None:
    """Raise OverlapError, or warn, when a kind of row is never of one of the arms."""
    arms = _arms_in_words(problem)
    empty = empty_stratum(problem.Z, problem.adjustment, dict(arms[word] for word in which))
    if empty is None:
        return
    where = f"none of the {empty.rows:,} rows with {empty.words} {empty.missing}"
    todo = "leave such rows out, or use IPW(weights='overlap') or Regression(), which lean on the other rows"
    text = f"no overlap: {where} ({100 * empty.share:.1f} % of all rows are of such a kind); {todo}"
    if empty.share >= SHARE_WITHOUT_OVERLAP:
        raise OverlapError(text, stratum=empty.words, share=empty.share)
    warnings.warn(text, AssumptionWarning, stacklevel=4)


def _check_weights(problem: Problem, fitted: Fitted) -> None:
    """Raise OverlapError when a few rows carry an arm's weights alone, and warn when it is near."""
    assert fitted.weights is not None
    arms = {"treated": problem.treated, "untreated": problem.untreated} if problem.has_arms else {"": np.ones(problem.n, dtype=bool)}
    for word, arm in arms.items():
        size, rows = effective_size(fitted.weights[arm]), int(arm.sum())
        if size >= min(FEWEST_EFFECTIVE_ROWS, rows / 2) and size >= SMALLEST_EFFECTIVE_SHARE * rows:
            continue
        text = (
            f"weak overlap: the {f'{rows:,} {word}'.strip()} rows count for only {size:.1f} after weighting by {problem.label}'s propensity"
        )
        todo = OTHER_WAYS if problem.has_arms else "use AIPW() or DRLearner(), or a larger clip"
        warnings.warn(f"{text}; {todo}", AssumptionWarning, stacklevel=4)


def _as_estimate(problem: Problem, fitted: Fitted, method: Method, table: BehaviourTable, assumptions: tuple[str, ...]) -> Estimate:
    found: dict[str, Any] = dict(fitted.diagnostics) | {"sd_outcome": float(problem.Y.std())}
    if fitted.propensity is not None and problem.is_binary and len(problem.treatments) == 1:
        found["overlap"] = Overlap(fitted.propensity, problem.treated).to_dict()
    if fitted.weights is not None and problem.adjustment and problem.is_binary and len(problem.treatments) == 1:
        found["balance"] = balance_of(problem.Z, problem.adjustment, problem.treated, fitted.weights).to_dict()
    versus = (f"{problem.contrast[1]:g} against {problem.contrast[0]:g}",) if problem.contrast is not None else ()
    told = () if problem.clusters is None else (ERRORS[problem.clusters.ways],)
    steps = (STEPS.format(problem.outcome),) if _looks_rated(problem) else ()
    return Estimate(
        value=fitted.value,
        psi=fitted.psi,
        method=type(method).__name__,
        treatments=problem.treatments,
        outcome=problem.outcome,
        adjustment=problem.adjustment,
        assumptions=(*assumptions, *method.assumes, *fitted.assumptions),
        notes=(*versus, *fitted.notes, *told, *steps),
        rows=fingerprint(table),
        folds=problem.folds if fitted.cross_fitted else None,
        clusters=problem.ways,
        propensity=fitted.propensity,
        unit_effects=fitted.unit_effects,
        diagnostics=found,
    )


def _looks_rated(problem: Problem) -> bool:
    """Return whether the outcome looks like a rating: three to ten whole numbers from one on (counts begin at nought)."""
    levels = np.unique(problem.Y)
    return 2 < len(levels) <= MOST_STEPS and levels[0] >= 1 and bool((levels == np.round(levels)).all())


def _no_effect(table: BehaviourTable, null: NullEffect) -> Estimate:
    """Return the exact zero of a graph without a directed path from treatment to outcome."""
    return Estimate(
        value=0.0,
        psi=np.zeros(len(table)),
        method="graph",
        treatments=null.query.treatments,
        outcome=null.query.outcome,
        assumptions=("the graph is right that no directed path leads from treatment to outcome",),
        notes=(null.reason,),
        rows=fingerprint(table),
        exact=True,
    )
