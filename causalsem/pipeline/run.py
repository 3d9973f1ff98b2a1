"""run(): the public steps in one call."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd

from causalsem._progress import stages
from causalsem.behaviour import BehaviourTable, EventLog, behaviours, moments
from causalsem.behaviour.aggregate import require_log
from causalsem.behaviour.catalogue import left_out
from causalsem.discovery import Auto, bootstrap, discover
from causalsem.discovery.known import known_of
from causalsem.effects import (
    Balance,
    Estimate,
    EValue,
    Overlap,
    Refutation,
    RobustnessValue,
    e_value,
    estimate_effect,
    naive_effect,
    placebo_treatment,
    robustness_value,
)
from causalsem.errors import DataWarning, NotIdentifiedError, SettingError, check_kind, check_names
from causalsem.graph import CausalGraph, Knowledge
from causalsem.identify import AdjustmentSet, NullEffect, Query, identify
from causalsem.identify.query import as_query
from causalsem.outcome import fit_outcome
from causalsem.pipeline.recipe import Recipe
from causalsem.pipeline.study import Study, hold_out
from causalsem.policy import LoggedFeedback, Policy, Reward, evaluate_policy, learn_policy, logging_value
from causalsem.recommend import Scores, popularity_scores, rank_metrics, score
from causalsem.sem import fit_sem

# A placebo on this many rows settles the question; on more it would only take longer.
PLACEBO_ROWS = 50_000
METRICS_AT = (5, 10)
MANY_PAIRS = 5_000_000


def run(
    log: EventLog, query: Query, *, knowledge: Knowledge | None = None, recipe: Recipe | None = None, truth: float | None = None
) -> Study:
    """Carry out the whole study: table, graph, stability, equations, adjustment, effect, outcome model, scores, policy.

    Without `knowledge`, tiers follow the order of behaviours (traits, exposure, browse, …). The public steps called
    by hand with the recipe's settings give the same numbers. Only variables that no tier puts after the treatment are
    adjusted for; one that `knowledge` leaves out counts where the table's own tiers put it. `truth` is the known effect
    of simulated data, for the report. Raises NotIdentifiedError when the discovered graph cannot answer the query, or
    answers that there is no effect at all; the error carries `graph` as evidence.
    """
    recipe, query = recipe or Recipe(), as_query(query)
    require_log(log)
    check_kind(recipe, Recipe, "a recipe", "hand in a Recipe, or Recipe.from_dict(choices)")
    if recipe.unit != ("user", "item"):
        raise SettingError(
            f"unit={recipe.unit!r}: a study ends in scores of user-item pairs; leave it at ('user', 'item'), or take the steps "
            "yourself: behaviours, discover, identify, estimate_effect"
        )
    with stages(9) as begin:
        begin("behaviour table")
        whole, log = log, log if recipe.most_users is None and recipe.most_items is None else _cut(log, recipe)
        table = _pairs(log, query, recipe)
        known = known_of(knowledge, table.origin)
        m = moments(table)
        begin("causal graph")
        # Auto looks at the columns themselves; every other method does with their moments.
        graph = discover(table if isinstance(recipe.discovery, Auto) else m, recipe.discovery, knowledge=knowledge)
        begin("how sure is each arrow")
        stability = bootstrap(table, recipe.discovery, knowledge=knowledge, times=recipe.times, seed=recipe.seed)
        begin("structural equations")
        # On the rows, so that errors know of pairs that share a user or an item.
        fit = fit_sem(graph, table)
        adjustment = _answerable(graph, query, recipe, before_treatment(known, query, table.names, table.tiers))
        begin("effect")
        naive = naive_effect(table, query)
        estimate = estimate_effect(table, adjustment, recipe.effect, folds=recipe.folds, seed=recipe.seed)
        begin("what could make it wrong")
        checks = challenge(table, adjustment, estimate, recipe)
        begin("outcome model")
        train, test = hold_out(table, recipe.holdout, recipe.seed)
        equations = fit_sem(graph, moments(train), cluster=()) if recipe.counterfactuals else None
        model = fit_outcome(
            train,
            adjustment,
            recipe.outcome_network,
            loss=recipe.loss,
            stages=recipe.stages or None,
            counterfactuals=equations,
            seed=recipe.seed,
        )
        begin("scores")
        scores, popularity = score(model, seed=recipe.seed), popularity_scores(train, query.outcome)
        metrics = compare_rankings({"popularity": popularity, "debiased": scores}, test)
        begin("policy")
        policy, policy_values = learn_from(log, query, recipe)
    found = (log, table, m, graph, stability, fit, adjustment, naive, estimate, *_evidence(table, estimate), checks)
    return Study(query, known, recipe, *found, model, scores, popularity, metrics, policy, policy_values, truth, left_out(whole, log))


def _pairs(log: EventLog, query: Query, recipe: Recipe) -> BehaviourTable:
    """Return the behaviour table of all pairs; warns, for the caller of `run`, when these are very many."""
    if (pairs := log.n_users * log.n_items) > MANY_PAIRS:
        warnings.warn(
            f"{log.n_users:,} users × {log.n_items:,} items make {pairs:,} pairs, and a study holds each: this takes long and many "
            "gigabytes; keep the items with the most events by Recipe(most_items=2000), or those that matter by log.filter(items=[…])",
            DataWarning,
            stacklevel=3,
        )
    # A trait that the recipe names takes part, though it may look like a code.
    named = [name for name in (*log.user_traits, *log.item_traits) if name in recipe.variables] if recipe.variables else None
    table = behaviours(log, unit=recipe.unit, window=recipe.window, history=recipe.history, traits=named)
    check_names((*query.treatments, query.outcome, *recipe.named_stages), recipe.variables or table.names, where="the behaviour table")
    return table.select(recipe.variables or table.names)


def _cut(log: EventLog, recipe: Recipe) -> EventLog:
    """Return the log of the users and items with the most events; what is left out is said once, and again in the report."""
    return log.busiest(users=recipe.most_users, items=recipe.most_items)


def challenge(
    table: BehaviourTable, adjustment: AdjustmentSet, estimate: Estimate, recipe: Recipe
) -> tuple[EValue | RobustnessValue | Refutation, ...]:
    """Return the attempts to prove an estimate wrong: E-value, robustness value, a placebo treatment."""
    rng = np.random.default_rng(recipe.seed)
    some = np.sort(rng.choice(len(table), PLACEBO_ROWS, replace=False)) if len(table) > PLACEBO_ROWS else np.arange(len(table))
    placebo = placebo_treatment(table.rows(some), adjustment, recipe.effect, seed=recipe.seed, original=estimate)
    return e_value(estimate), robustness_value(table, adjustment), placebo


def compare_rankings(scorers: dict[str, Scores], test: BehaviourTable) -> pd.DataFrame:
    """Return ranking metrics on the test pairs, one row per scorer."""
    return pd.DataFrame({name: rank_metrics(scores, test, k=METRICS_AT)["value"] for name, scores in scorers.items()}).T


def learn_from(log: EventLog, query: Query, recipe: Recipe) -> tuple[Policy | None, dict[str, Estimate]]:
    """Return a policy learnt on one half of the users' exposures, and its and the log's value on the other half."""
    if "exposure" not in log.stages.values():
        return None, {}
    if recipe.window is not None:
        log = log.filter(start=recipe.window[0], end=recipe.window[1])
    feedback = LoggedFeedback.from_log(log)
    if len(feedback) > recipe.rounds:
        chosen = np.random.default_rng(recipe.seed).choice(len(feedback), recipe.rounds, replace=False)
        feedback = feedback.take(np.sort(chosen))
    learn, judge = feedback.split(0.5, seed=recipe.seed)
    reward = Reward(**(dict(recipe.reward) or {query.outcome: 1.0}))
    policy = learn_policy(learn, recipe.learner, reward=reward, seed=recipe.seed)
    values = {"logging": logging_value(judge, reward), "learnt": evaluate_policy(policy, judge, recipe.value, seed=recipe.seed)}
    return policy, values


def before_treatment(known: Knowledge, query: Query, names: tuple[str, ...], usual: Sequence[Sequence[str]] = ()) -> tuple[str, ...]:
    """Return the variables that no tier puts after a treatment: adjusting for these never rests on a missing arrow alone.

    A variable that `known` leaves out stands where the `usual` tiers, those of the table, put it.
    """
    others = [name for name in names if name not in {*query.treatments, query.outcome}]
    if all(known.tier_of(name) is None for name in query.treatments):
        return tuple(others)
    table = Knowledge(tiers=usual)
    return tuple(name for name in others if _is_before(table if known.tier_of(name) is None else known, query, name))


def _is_before(known: Knowledge, query: Query, name: str) -> bool:
    """Tell whether a tier holds the variable, and none of the treatments stands in an earlier one."""
    tier, treated = known.tier_of(name), [known.tier_of(treatment) for treatment in query.treatments]
    return tier is not None and all(tier <= latest for latest in treated if latest is not None)


def _answerable(graph: CausalGraph, query: Query, recipe: Recipe, allowed: tuple[str, ...]) -> AdjustmentSet:
    found = identify(graph, query, kind=recipe.kind, allowed=allowed)
    if isinstance(found, NullEffect):
        what = f"the discovered graph has no directed path from {query.treatment} to {query.outcome}"
        raise NotIdentifiedError(f"{what}, so there is no effect to study: {found}; check the tiers and the data", query=query, graph=graph)
    return found


def _evidence(table: BehaviourTable, estimate: Estimate) -> tuple[Overlap | None, Balance | None]:
    """Return overlap and balance behind an estimate that weighs by a propensity."""
    if estimate.propensity is None:
        return None, None
    told = estimate.diagnostics.get("balance")
    overlap = Overlap(estimate.propensity, table.column(estimate.treatments[0]) > 0)
    return overlap, None if told is None else Balance(pd.DataFrame(told))
