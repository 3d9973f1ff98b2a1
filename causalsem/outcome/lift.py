"""The average lift of a fitted model over its training pairs, or over a segment of them, with its influence function."""

from __future__ import annotations

import hashlib
import warnings
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from causalsem._values import BoolArray, FloatArray
from causalsem.effects import Estimate
from causalsem.errors import AssumptionWarning, DataError
from causalsem.outcome.answer import Scale
from causalsem.outcome.journey import FEWEST_PER_ARM
from causalsem.outcome.losses import LOSSES
from causalsem.outcome.problem import Problem

if TYPE_CHECKING:
    from causalsem.outcome.model import OutcomeModel

ASSUMES = ("the adjustment set closes every back-door path", "overlap: every pair could have been treated and untreated")
ROBUST = "the propensities or the predictions are right (doubly robust)"
BELIEVING = "the predictions are right: this loss weighs by no propensity"
# A segment of one pair has no spread to learn an error from.
SMALLEST_SEGMENT = 2


def pseudo_outcomes(problem: Problem, predictor: FloatArray, scale: Scale, weights: FloatArray) -> FloatArray:
    """Return m_t(x) + w_t (y - m_t(x)) of each pair under both arms, in units of the outcome: `predictor`, `weights` (n, 2) → (n, 2).

    m is the expected outcome by a targeted `scale`, w the weights of what was seen over their mean. Their average is the
    doubly robust mean of each arm (Robins et al. 1994), they themselves less that are its influence function.
    """
    mean = np.column_stack([scale.mean(predictor[:, arm], arm) for arm in (0, 1)])
    y = problem.y if scale.binary else scale.centre + scale.scale * problem.y
    total = weights.sum(axis=0)
    share = weights * len(weights) / np.where(total > 0, total, np.nan)
    return np.asarray(mean + share * (y[:, None] - mean))


def lift_estimate(model: OutcomeModel, stage: str, where: npt.ArrayLike | None = None) -> Estimate:
    """Return the average lift of a stage over the training pairs, or those of `where` (n,)."""
    for arm in (0, 1):
        model.check_arm(arm, stage)
    answer, some = model.answers[stage], _chosen(where, len(model.folds))
    lifts = (answer.robust[:, 1] - answer.robust[:, 0])[some]
    robust = LOSSES[model.settings["loss"]].weighted if model.settings.get("loss") in LOSSES else True
    return Estimate(
        value=float(lifts.mean()),
        psi=lifts - lifts.mean(),
        method=f"{type(model.net.settings).__name__} by loss {model.settings.get('loss', '?')}",
        treatments=(model.treatment,),
        outcome=stage,
        adjustment=model.adjustment,
        assumptions=(*ASSUMES, ROBUST if robust else BELIEVING),
        rows=model.rows if where is None else hashlib.sha256(model.rows.encode() + some.tobytes()).hexdigest()[:16],
        folds=model.folds[some],
        clusters=None if model.clusters is None else model.clusters[:, some],
        propensity=model.propensity[some],
        unit_effects=(answer.fitted[:, 1] - answer.fitted[:, 0])[some],
    )


def warn_of_few_events(model: OutcomeModel, stage: str, where: npt.ArrayLike | None) -> None:
    """Warn where too few events of an arm lie in a segment for its spread to be known."""
    counts = model.answers[stage].events[_chosen(where, len(model.folds))].sum(axis=0)
    if counts.min() < FEWEST_PER_ARM:
        told = " and ".join(f"{count:,} with {model.treatment} = {arm}" for arm, count in enumerate(counts))
        warnings.warn(
            f"the lift of {stage!r} rests on {told}; under {FEWEST_PER_ARM} events the standard error is told too small: "
            "widen the segment, or take a longer window",
            AssumptionWarning,
            stacklevel=3,
        )


def _chosen(where: npt.ArrayLike | None, n: int) -> BoolArray:
    """Return which training pairs are asked for; raises DataError unless it is one yes or no per pair, with some yes."""
    if where is None:
        return np.ones(n, dtype=bool)
    chosen = np.asarray(where)
    if chosen.shape != (n,) or chosen.dtype != bool:
        raise DataError(
            f"a segment is one True or False for each of the {n:,} training pairs, not {chosen.dtype} of shape {chosen.shape}; "
            "hand in a comparison of a column, such as pairs.column('popularity') > 1"
        )
    if chosen.sum() < SMALLEST_SEGMENT:
        raise DataError(f"the segment holds {int(chosen.sum())} of {n:,} training pairs; widen it")
    return chosen
