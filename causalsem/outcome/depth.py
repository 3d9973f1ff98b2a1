"""Wide and deep: the levels of a multilevel model, and on top of them what towers learn where unseen folds say that it helps."""

from __future__ import annotations

import copy
from dataclasses import replace
from operator import attrgetter

import numpy as np

from causalsem._values import FloatArray
from causalsem.networks.settings import fixed
from causalsem.networks.two_tower import TwoTowerNet
from causalsem.outcome.by_levels import fit_by_levels
from causalsem.outcome.by_steps import Way, fit_heads
from causalsem.outcome.closed_form import GridFit, takes_likelihood
from causalsem.outcome.correction import softened
from causalsem.outcome.counterfactuals import BAR
from causalsem.outcome.folds import Pace
from causalsem.outcome.losses import SNIPS, Loss, Naive
from causalsem.outcome.run import Fitted, Run

# Shares of the towers' part that are tried: what was learnt in steps is too bold more often than too timid.
SHARES = (0.25, 0.5, 0.75, 1.0)
# Towers that start at zero take their time to leave it, and may seem to go astray until they find what is left.
PACE = Pace(steps=512, patience=2)


def fit_with_depth(run: Run, grid: GridFit, loss: Loss, arms: FloatArray) -> Fitted:
    """Fit the outcome heads at propensities `arms` (n, 2): levels first, then towers on top of them by `loss`.

    The levels choose how much of the correction to believe, by the likelihood that goes with the loss. Of the towers' part
    the share stays whose gain over the levels, less its standard error, is largest on unseen folds, and none unless that gain
    is two standard errors, because the best of several shares and epochs passes one by luck too often.
    """
    assert isinstance(run.net, TwoTowerNet)
    assert run.levels is not None
    flat = fit_by_levels(run, grid, likelihood_of(loss), arms)
    run.levels.impute_alike()
    start = copy.deepcopy(run.net.state_dict())
    deep = fit_heads(run, way_of(run, loss, arms, flat), PACE)
    weights = run.journey.weights(arms if loss.weighted else None)
    tried = {share: Fitted(flat.outcome + share * (deep - flat.outcome), flat.strength) for share in SHARES}
    gains = {share: run.gain(flat, fitted, weights) for share, fitted in tried.items()}
    share, gain = max(gains.items(), key=lambda found: found[1].sure)
    told = flat.gains | {"depth": gain}
    if not gain.clears(BAR):
        run.net.load_state_dict(start)
        grid.settle(run.levels)
        return replace(flat, gains=told, depth=0.0)
    run.net.keep_share(share)
    return replace(flat, outcome=run.out_of_fold(attrgetter("outcome")), gains=told, depth=share, adversarial=fixed(run.adversarial))


def likelihood_of(loss: Loss) -> Loss:
    """Return the weighted likelihood that levels are fitted by where towers go by `loss`."""
    if takes_likelihood(loss):
        return loss
    return SNIPS() if loss.weighted else Naive()


def way_of(run: Run, loss: Loss, arms: FloatArray, flat: Fitted) -> Way:
    """Return how the towers learn on top of the levels `flat`: at their strength, and naive where that is 0."""
    journey = run.journey
    way = Way(
        "depth", loss, np.tile(arms, journey.chain.doors), flat.strength, imagined=flat.imagined_weight, adversarial=fixed(run.adversarial)
    )
    if not loss.weighted:
        return way
    if flat.strength == 0:
        return replace(way, loss=Naive())
    propensity = run.reached(flat.outcome, arms) if len(journey.problems) > 1 else way.propensity
    return replace(way, propensity=softened(propensity, journey.seen, flat.strength))
