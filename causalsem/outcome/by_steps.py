"""Outcome heads trained in steps; where a choice between ways is open, unseen folds make it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from causalsem._values import FloatArray
from causalsem.networks.heads import Heads
from causalsem.networks.settings import fixed
from causalsem.outcome.adversarial import SIZES
from causalsem.outcome.balancing import WEIGHTS as BALANCES
from causalsem.outcome.balancing import imbalance, told_apart
from causalsem.outcome.batches import Batches
from causalsem.outcome.chances import predictors
from causalsem.outcome.checkpoint import named
from causalsem.outcome.correction import Gain, softened
from causalsem.outcome.counterfactuals import BAR
from causalsem.outcome.counterfactuals import WEIGHTS as IMAGINED
from causalsem.outcome.folds import USUAL, Pace
from causalsem.outcome.losses import Loss, LossBatch, Naive
from causalsem.outcome.losses.base import per_arm, propensity_error
from causalsem.outcome.propensity import effective_sample_size
from causalsem.outcome.run import Fitted, Run
from causalsem.outcome.tensors import real

# The outcome stage keeps the propensity head alive at this weight, so that the representation
# does not forget what confounds (Shi et al. 2019 call it α and use 1).
KEEP_PROPENSITY = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """One way to fit the outcome heads: a loss at propensities (n, heads) of some strength, and what else teaches.

    That is counterfactual rows, a critic who must not tell treated from untreated, and an adversary who moves ids, each of some size.
    """

    stage: str
    loss: Loss
    propensity: FloatArray
    strength: float
    imagined: float = 0.0
    balance: float = 0.0
    adversarial: float = 0.0

    def sized(self, stage: str, what: str, size: float) -> Way:
        """Return this way with one of its sizes changed."""
        changed: dict[str, Any] = {"stage": stage, what: size}
        return replace(self, **changed)


def fit_by_steps(run: Run, loss: Loss, arms: FloatArray) -> Fitted:
    """Fit the heads at propensities `arms` (n, 2); several ways begin from the same start, and the simplest stays unless beaten.

    Past the first stage the chance to be where a head learns is that of the arm times that of its door, which the naive heads tell.
    """
    journey, asked, gains = run.journey, run.settings["correction"], {}
    free, weights = asked is None and loss.weighted, journey.weights(arms if loss.weighted else None)
    strength, sizes = 1.0 if asked is None else asked, {"balance": fixed(run.balance), "adversarial": fixed(run.adversarial)}
    naive = Way("naive", Naive(), np.tile(arms, journey.chain.doors), 0.0, **sizes)
    through_doors = loss.weighted and asked != 0 and len(journey.problems) > 1
    propensity = run.reached(attempt(run, naive), arms) if through_doors else naive.propensity
    corrected = Way("outcome", Naive() if asked == 0 else loss, softened(propensity, journey.seen, strength), strength, **sizes)
    best, tried = naive if free else corrected, []
    if free:
        best, gains["correction"] = better(run, best, [corrected], weights)
    for name, what, each in open_choices(run):
        rivals = [best.sized(f"{name} {size:g}", what, size) for size in each]
        tried += [best, *rivals] if name == "balance" else []
        best, gains[name] = better(run, best, rivals, weights, BAR)
    outcome = attempt(run, best)
    run.net.load_state_dict(named(run.checkpoint.carried, f"{best.stage}.net"))
    apart = {way.balance: float(run.checkpoint.carried[f"{way.stage}.apart"]) for way in tried or ([best] if best.balance else [])}
    return Fitted(outcome, best.strength, best.imagined, gains, best.balance, best.adversarial, apart)


def open_choices(run: Run) -> list[tuple[str, str, tuple[float, ...]]]:
    """Return what unseen folds are to choose beside the correction: its name, the field of a `Way`, and the sizes tried above 0."""
    choices = (
        ("counterfactuals", "imagined", IMAGINED, run.imagined is not None),
        ("balance", "balance", BALANCES, run.balance == "auto"),
        ("adversarial", "adversarial", SIZES, run.adversarial == "auto"),
    )
    return [choice[:3] for choice in choices if choice[3]]


def better(run: Run, simple: Way, rivals: list[Way], weights: FloatArray, bar: float = 1.0) -> tuple[Way, Gain]:
    """Return the best of some ways if it beats the simple one on unseen folds (see `Gain.clears`), and what the best gains."""
    before, *found = (Fitted(attempt(run, way), way.strength) for way in (simple, *rivals))
    gains = [run.gain(before, fitted, weights) for fitted in found]
    best = max(range(len(gains)), key=lambda k: gains[k].value)
    return rivals[best] if gains[best].clears(bar) else simple, gains[best]


def attempt(run: Run, way: Way) -> FloatArray:
    """Fit the outcome heads from where the propensity stage left the network; what is found is carried in the checkpoint."""
    kept, stage = run.checkpoint.carried, way.stage
    if "start.rng" not in kept:
        kept |= {f"start.net.{k}": v.cpu().clone() for k, v in run.net.state_dict().items()} | {"start.rng": run.rng.get_state()}
    if f"{stage}.predictor" not in kept:
        run.net.load_state_dict(named(kept, "start.net"))
        run.rng.set_state(kept["start.rng"].cpu())
        found = fit_heads(run, way)
        kept |= {f"{stage}.net.{k}": v.cpu().clone() for k, v in run.net.state_dict().items()}
        kept[f"{stage}.predictor"] = torch.from_numpy(found)
        kept[f"{stage}.apart"] = torch.tensor(told_apart(run) if run.balance != 0 else np.nan)
        kept[f"{stage}.history"] = torch.tensor(run.history[stage], dtype=torch.float64)
    run.history[stage] = tuple((float(a), float(b)) for a, b in kept[f"{stage}.history"])
    return kept[f"{stage}.predictor"].numpy()


def fit_heads(run: Run, way: Way, pace: Pace = USUAL) -> FloatArray:
    """Train the outcome heads one way and return them out of fold: (n, heads)."""
    journey, loss, seen = run.journey, way.loss, run.journey.seen
    teaching = journey.observed | loss.needs_unseen
    share = float(teaching.mean())
    # Weights average one over the pairs that teach; the others would only be carried along.
    batch_of = Batches.of(journey, way.propensity / share, run.data.user)
    alive = KEEP_PROPENSITY if share == 1 else 0.0
    imagine = imagination(run) if way.imagined else None
    unbalanced = imbalance(run.rng) if way.balance else None
    run.net.balancing, run.net.adversarial = unbalanced is not None, way.adversarial

    def objective(heads: Heads, rows: torch.Tensor) -> torch.Tensor:
        batch = batch_of(rows)
        told = loss.objective(heads, batch) + alive * propensity_error(heads, batch)
        if unbalanced is not None:
            told = told + way.balance * unbalanced(heads, batch)
        return told if imagine is None else told + way.imagined * imagine(heads, batch, rows)

    def judge(heads: Heads, rows: torch.Tensor) -> torch.Tensor:
        batch = batch_of(rows)
        told = loss.judge(heads, batch)
        # Else the first epochs, which predict well and balance nothing yet, would be kept.
        return told if unbalanced is None else told + way.balance * unbalanced(heads, batch)

    taught = seen.sum(axis=0)
    weighted = [effective_sample_size(w) for w in (seen / way.propensity).T] if loss.weighted else taught
    run.train(way.stage, objective, judge, (*weighted, *taught, float(len(seen))), teaching, pace)
    run.net.balancing = False
    return run.out_of_fold(lambda heads: heads.outcome)


def imagination(run: Run) -> Callable[[Heads, LossBatch, torch.Tensor], torch.Tensor]:
    """Return the average error of each stage and arm on counterfactual rows, summed over both: (heads, batch, rows) → (M,).

    The SEM tells what a stage would have come to under the other treatment, whichever door leads there; so it speaks to the
    chance of the stage as a whole, the product of its heads along the ways to it.
    """
    assert run.imagined is not None
    y, arm = real(run.imagined.y, run.device)[..., None], real(run.imagined.arm, run.device)[:, None]

    def told(heads: Heads, batch: LossBatch, rows: torch.Tensor) -> torch.Tensor:
        error = batch.error(predictors(batch.chain, heads.outcome), y[rows])  # (M, B, K, arms)
        return per_arm(error.flatten(-2), arm[rows].expand_as(error).flatten(-2))

    return told
