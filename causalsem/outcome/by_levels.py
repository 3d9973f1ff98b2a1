"""Outcome heads solved level by level on the grid; unseen folds choose how far the weights are believed."""

from __future__ import annotations

import copy
from operator import attrgetter

import numpy as np
import torch

from causalsem._values import FloatArray
from causalsem.outcome.closed_form import GridFit
from causalsem.outcome.correction import STRENGTHS, Gain, choose_strength, paired_gain, tempered
from causalsem.outcome.counterfactuals import BAR, WEIGHTS
from causalsem.outcome.levels import Levels
from causalsem.outcome.losses import Loss
from causalsem.outcome.run import Fitted, Run

# The weights of the network, and by head what they become when everything is judged.
Solved = tuple[dict[str, torch.Tensor], dict[int, Levels]]


def fit_by_levels(run: Run, grid: GridFit, loss: Loss, arms: FloatArray) -> Fitted:
    """Fit the outcome heads with tempered weights at propensities `arms` (n, 2); a free strength is chosen on each member's unseen fold."""
    asked, journey = run.settings["correction"], run.journey
    free, judged = asked is None and loss.weighted, journey.weights(arms if loss.weighted else None)
    naive = heads_on_grid(run, grid, tempered(journey.seen, 0.0)) if loss.weighted and len(journey.problems) > 1 else None
    weights = head_weights(run, loss, arms, naive)
    found, errors, states = {}, {}, {}
    for strength in STRENGTHS if free else (1.0 if asked is None else asked,):
        known = naive if strength == 0 else None  # the last fit, so that the network holds it
        found[strength] = heads_on_grid(run, grid, tempered(weights, strength)) if known is None else known
        errors[strength] = run.errors(found[strength])
        states[strength] = solved(run, grid)
        told = [float((error * judged).sum() / judged.sum()) for error in errors.values()]
        if len(told) > 1 and told[-1] > told[-2]:
            break
    gains = {}
    if free:
        strength = choose_strength(errors, judged, run.user)
        gained = [paired_gain(errors[0.0], error, judged, run.user) for s, error in errors.items() if s]
        gains["correction"] = max(gained, key=attrgetter("sure"))
    put_back(run, grid, states[strength])
    run.history["outcome"] = tuple(zip(errors, told, strict=True))
    fitted = Fitted(found[strength], strength, gains=gains)
    return fitted if run.imagined is None else with_counterfactuals(run, grid, fitted, weights)


def head_weights(run: Run, loss: Loss, arms: FloatArray, naive: FloatArray | None) -> FloatArray:
    """Return the weights (n, heads) of a likelihood loss; past the first stage the `naive` heads (n, heads) tell each door's chance."""
    propensity = np.tile(arms, run.journey.chain.doors) if naive is None else run.reached(naive, arms)
    weights = loss.row_weights(run.journey.seen, propensity)
    assert weights is not None
    return weights


def with_counterfactuals(run: Run, grid: GridFit, fitted: Fitted, weights: FloatArray) -> Fitted:
    """Fit again with counterfactual rows at some weights, and return what is best on unseen folds."""
    assert run.imagined is not None
    own, state = tempered(weights, fitted.strength), solved(run, grid)
    best, outcome, imagined_weight = Gain(-np.inf, 0.0), fitted.outcome, 0.0
    for share in WEIGHTS:
        found = heads_on_grid(run, grid, run.imagined.weights(own, share), run.imagined.outcomes(run.journey.y))
        gain = run.gain(fitted, Fitted(found, fitted.strength), weights)
        if gain.value > best.value:
            best = gain
            if gain.clears(BAR):
                outcome, state, imagined_weight = found, solved(run, grid), share
    put_back(run, grid, state)
    return Fitted(outcome, fitted.strength, imagined_weight, fitted.gains | {"counterfactuals": best})


def solved(run: Run, grid: GridFit) -> Solved:
    """Return a copy of what the heads came to, of the blind members and of the settled ones."""
    return copy.deepcopy(run.net.state_dict()), dict(grid.whole)


def put_back(run: Run, grid: GridFit, kept: Solved) -> None:
    """Let the heads be what they were when `kept` was copied."""
    state, grid.whole = kept
    run.net.load_state_dict(state)


def heads_on_grid(run: Run, grid: GridFit, weights: FloatArray, y: FloatArray | None = None) -> FloatArray:
    """Fit every head that was taught, to outcomes `y` (n, heads) if given, and return them out of fold: (n, heads)."""
    net = run.levels
    assert net is not None
    told = run.journey.y if y is None else y
    for head in np.flatnonzero(run.journey.seen.any(axis=0)).tolist():
        grid.fit(net, head, told[:, head], weights[:, head], binary=run.journey.binary)
    return run.out_of_fold(lambda heads: heads.outcome)
