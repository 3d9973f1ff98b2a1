"""Outcome heads solved level by level on the grid; unseen folds choose how far the weights are believed."""

from __future__ import annotations

import copy
from operator import attrgetter

import numpy as np

from causalsem._values import FloatArray
from causalsem.networks.multilevel import MultilevelNet
from causalsem.outcome.closed_form import GridFit
from causalsem.outcome.correction import STRENGTHS, Gain, choose_strength, paired_gain, pointwise_error, tempered
from causalsem.outcome.counterfactuals import BAR, WEIGHTS
from causalsem.outcome.losses import Loss
from causalsem.outcome.run import Fitted, Run


def fit_by_levels(run: Run, grid: GridFit, loss: Loss, weights: FloatArray) -> Fitted:
    """Fit the outcome heads with tempered `weights` (n, 2); where the strength is free, the folds unseen by each member choose it."""
    asked, y, binary = run.settings["correction"], run.problem.y, run.problem.scale.binary
    free = asked is None and loss.weighted
    found, errors, states = {}, {}, {}
    for strength in STRENGTHS if free else (1.0 if asked is None else asked,):
        found[strength] = heads_on_grid(run, grid, tempered(weights, strength))
        errors[strength] = pointwise_error(found[strength], y, binary=binary)
        states[strength] = copy.deepcopy(run.net.state_dict())
        told = [float((error * weights).sum() / weights.sum()) for error in errors.values()]
        if len(told) > 1 and told[-1] > told[-2]:
            break
    gains = {}
    if free:
        strength = choose_strength(errors, weights, run.user)
        gained = [paired_gain(errors[0.0], error, weights, run.user) for s, error in errors.items() if s]
        gains["correction"] = max(gained, key=attrgetter("value"))
    run.net.load_state_dict(states[strength])
    run.history["outcome"] = tuple(zip(errors, told, strict=True))
    fitted = Fitted(found[strength], strength, gains=gains)
    return fitted if run.imagined is None else with_counterfactuals(run, grid, fitted, weights)


def with_counterfactuals(run: Run, grid: GridFit, fitted: Fitted, weights: FloatArray) -> Fitted:
    """Fit again with counterfactual rows at some weights, and return what is best on unseen folds."""
    assert run.imagined is not None
    own, state = tempered(weights, fitted.strength), copy.deepcopy(run.net.state_dict())
    best, predictor, imagined_weight = Gain(-np.inf, 0.0), fitted.predictor, 0.0
    for share in WEIGHTS:
        found = heads_on_grid(run, grid, run.imagined.weights(own, share), run.imagined.outcomes(run.problem.y))
        gain = run.gain(fitted, Fitted(found, fitted.strength), weights)
        if gain.value > best.value:
            best = gain
            if gain.clears(BAR):
                predictor, state, imagined_weight = found, copy.deepcopy(run.net.state_dict()), share
    run.net.load_state_dict(state)
    return Fitted(predictor, fitted.strength, imagined_weight, fitted.gains | {"counterfactuals": best})


def heads_on_grid(run: Run, grid: GridFit, weights: FloatArray, y: FloatArray | None = None) -> FloatArray:
    """Fit the head of every observed arm, to outcomes `y` (n, 2) if given, and return its predictor out of fold: (n, 2)."""
    assert isinstance(run.net, MultilevelNet)
    for arm in run.problem.arms:
        told = run.problem.y if y is None else y[:, arm]
        grid.fit(run.net, arm, told, weights[:, arm], binary=run.problem.scale.binary)
    return run.out_of_fold(lambda heads: heads.outcome)
