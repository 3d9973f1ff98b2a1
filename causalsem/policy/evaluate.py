"""evaluate_policy: what a policy would have earned on logged rounds, with its error."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from causalsem._values import FloatArray, IntArray
from causalsem.effects.diagnostics import effective_size
from causalsem.effects.estimate import Estimate
from causalsem.errors import AssumptionWarning, SettingError, UnknownNameError, check_kind
from causalsem.policy.estimator_table import ESTIMATORS
from causalsem.policy.estimators import Estimator, Evidence
from causalsem.policy.least_variance import MoreRobustDoublyRobust, least_variance
from causalsem.policy.logged_feedback import LoggedFeedback
from causalsem.policy.policy import Policy
from causalsem.policy.reward import Reward
from causalsem.policy.reward_model import RewardModel, fit_reward_model
from causalsem.policy.worst_case import ends_of, shortest_cut

ROUNDS_AT_ONCE = 4096
FEWEST_EFFECTIVE_ROUNDS = 100
MOST_SEEN = 0.05
# A mean weight this many standard errors from 1 has a chance of 6e-5 if the propensities are right.
WEIGHT_Z = 4.0


def evaluate_policy(
    policy: Policy,
    feedback: LoggedFeedback,
    estimator: Estimator | str = MoreRobustDoublyRobust(clip="auto"),  # noqa: B008 - a frozen value
    *,
    reward: Reward | None = None,
    bounds: tuple[float, float] | None = None,
    seed: int = 0,
) -> Estimate:
    """Return the reward per round the policy would have earned in these rounds, with its influence function.

    `reward` is the policy's own if None. Where weights are cut or shrunk the interval holds the worst bias that mean rewards within
    `bounds` allow (None: the least and the largest reward a round can have). Narrower bounds make it shorter: hand in (0, 0.05)
    where no action is bought more often than that in any context. The estimate says the effective number of rounds and the
    largest weight, and warns when few rounds count, when the weights' mean is not 1 (wrong propensities), and when the policy was
    learnt on these very rounds. `evaluate_policy(…) − logging_value(…)` is the gain over the logging policy, with its right error.
    """
    check_kind(policy, Policy, "a policy", "hand in what learn_policy(feedback, reward=…) returned")
    check_kind(feedback, LoggedFeedback, "feedback", "make it by LoggedFeedback.from_log(log)")
    chosen = _named(estimator)
    worth = reward or policy.reward
    if worth is None:
        raise SettingError("the policy does not say what it was learnt for; hand in reward=Reward(buy=1.0)")
    earned = worth.of(feedback)
    _warn_if_seen(policy, feedback)
    _warn_if_all_alike(earned)
    model = fit_reward_model(feedback, earned, folds=chosen.folds, seed=seed) if chosen.needs_model else None
    low, high = _checked_bounds(bounds) if bounds is not None else worth.range_in(feedback)
    evidence = replace(_evidence(policy, feedback, earned, model), low=low, high=high)
    chosen = chosen.settled(evidence)
    if model is not None and chosen.least_variance:
        evidence = least_variance(feedback, evidence, model, lambda: _rounds(policy, feedback), chosen.weights)
    diagnostics = _weights_told(evidence, chosen.weights(evidence.w))
    if chosen.needs_weights and not chosen.shrinks:
        _warn_of_support(diagnostics, len(feedback))
    if chosen.needs_weights:
        _warn_of_propensities(diagnostics)
    estimate = _as_estimate(feedback, worth, *chosen.estimate(evidence), type(chosen).__name__, "value of the policy")
    if chosen.needs_weights and (chosen.weights(evidence.w) < evidence.w).any():
        estimate = _between_ends(estimate, evidence)
    notes = (f"{diagnostics['effective_rounds']:,.0f} effective rounds, largest weight {diagnostics['largest_weight']:.3g}",)
    return replace(
        estimate,
        assumptions=chosen.assumes,
        notes=(*notes, *chosen.notes, *estimate.notes),
        folds=None if model is None else model.folds,
        diagnostics=diagnostics,
    )


def logging_value(feedback: LoggedFeedback, reward: Reward) -> Estimate:
    """Return the reward per round that the logging policy earned, the mean, with its influence function."""
    earned = reward.of(feedback)
    return _as_estimate(feedback, reward, float(earned.mean()), earned - earned.mean(), "mean", "value of the logging policy")


def _checked_bounds(bounds: tuple[float, float]) -> tuple[float, float]:
    numbers = isinstance(bounds, tuple | list) and len(bounds) == 2 and all(isinstance(end, int | float) for end in bounds)
    if not (numbers and math.isfinite(bounds[0]) and math.isfinite(bounds[1]) and bounds[0] < bounds[1]):
        raise SettingError(f"bounds are {bounds}; use the least and the largest mean reward an action can have, such as (0, 1)")
    return float(bounds[0]), float(bounds[1])


def _between_ends(estimate: Estimate, evidence: Evidence) -> Estimate:
    """Return the estimate of cut weights with the ends that its value lies between, moved between them if it was not."""
    r, w, low, high = evidence.r, evidence.w, evidence.low, evidence.high
    found = ends_of(r, w, np.minimum(w, shortest_cut(r, w, low, high, evidence.se)), low, high)
    least, most = (replace(estimate, value=value, psi=psi, se=math.nan) for value, psi in zip(found.values, found.psi, strict=True))
    note = f"the interval holds the worst bias of the cut weights, mean rewards being {low:g} to {high:g}"
    return replace(estimate, value=float(np.clip(estimate.value, *found.values)), ends=(least, most), notes=(*estimate.notes, note))


def _named(estimator: Estimator | str) -> Estimator:
    if isinstance(estimator, str):
        if estimator not in ESTIMATORS:
            raise UnknownNameError(estimator, ESTIMATORS, what="estimator", where="evaluate_policy")
        return ESTIMATORS[estimator]()
    if type(estimator) not in ESTIMATORS.values():
        raise SettingError(f"{estimator!r} is no estimator of a policy's value; use one of {', '.join(ESTIMATORS)}")
    return estimator


def _evidence(policy: Policy, feedback: LoggedFeedback, earned: FloatArray, model: RewardModel | None) -> Evidence:
    """Return what estimators need of each round."""
    n = len(feedback)
    w, q, q_pi = np.empty(n), np.zeros(n), np.zeros(n)
    for index, pi in _rounds(policy, feedback):
        here, a = np.arange(len(index)), feedback.action[index]
        w[index] = pi[here, a] / feedback.propensity[index]
        if model is not None:
            predicted = model.rows(feedback.context, index)
            q[index], q_pi[index] = predicted[here, a], (pi * predicted).sum(axis=1)
    return Evidence(earned, w, q, q_pi, _users(feedback))


def _rounds(policy: Policy, feedback: LoggedFeedback) -> Iterator[tuple[IntArray, FloatArray]]:
    """Yield the rounds in parts, each with the policy's chances π(a | x) (rounds, A)."""
    for first in range(0, len(feedback), ROUNDS_AT_ONCE):
        index = np.arange(first, min(first + ROUNDS_AT_ONCE, len(feedback)))
        yield index, policy.probabilities(feedback.take(index))


def _users(feedback: LoggedFeedback) -> IntArray | None:
    if feedback.user is None:
        return None
    users, codes = np.unique(feedback.user, return_inverse=True)
    return codes.astype(np.int64) if len(users) > 1 else None


def _weights_told(evidence: Evidence, used: FloatArray) -> dict[str, float]:
    """Return how many rounds the used weights count for and the largest, and the mean of the weights as they were, with its error."""
    w = evidence.w
    told = {"effective_rounds": effective_size(used), "largest_weight": float(used.max())}
    return told | {"mean_weight": float(w.mean()), "mean_weight_se": evidence.se(w - w.mean())}


def _warn_of_support(told: dict[str, float], n: int) -> None:
    if told["effective_rounds"] < min(FEWEST_EFFECTIVE_ROUNDS, n / 2):
        warnings.warn(
            f"weak support: {n:,} rounds count for only {told['effective_rounds']:.1f} under this policy (largest weight "
            f"{told['largest_weight']:.3g}); bring more rounds, learn a policy nearer to the logging one, or clip the weights",
            AssumptionWarning,
            stacklevel=3,
        )


def _warn_of_propensities(told: dict[str, float]) -> None:
    off = abs(told["mean_weight"] - 1)
    if off > WEIGHT_Z * told["mean_weight_se"] and off > 0.01:
        warnings.warn(
            f"the weights' mean is {told['mean_weight']:.3g} ± {told['mean_weight_se']:.2g}, but it is 1 if the propensities are right "
            f"and every action could be shown; check how propensities were logged",
            AssumptionWarning,
            stacklevel=3,
        )


def _warn_if_seen(policy: Policy, feedback: LoggedFeedback) -> None:
    share = policy.share_seen(feedback)
    if share > MOST_SEEN:
        warnings.warn(
            f"the policy was learnt on {100 * share:.0f} % of these rounds, so its value looks better than it is; "
            f"use `learn, test = feedback.split(0.5)`, learn on one and evaluate on the other",
            AssumptionWarning,
            stacklevel=3,
        )


def _warn_if_all_alike(earned: FloatArray) -> None:
    if np.ptp(earned) == 0:
        warnings.warn(
            f"every one of the {len(earned):,} rounds earned {earned[0]:g}, so they cannot tell how much policies differ, and no interval "
            f"says how rare another reward is; bring more rounds, or check how outcomes were counted",
            AssumptionWarning,
            stacklevel=3,
        )


def _as_estimate(feedback: LoggedFeedback, reward: Reward, value: float, psi: FloatArray, method: str, what: str) -> Estimate:
    notes = ("the propensities are estimated, and the interval leaves out their error",) if feedback.estimated else ()
    return Estimate(value, psi, method=method, what=f"{what} ({reward})", notes=notes, rows=feedback.fingerprint, clusters=_users(feedback))
