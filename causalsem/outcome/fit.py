"""fit_outcome: from pairs and an adjustment set to the outcome model."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np

from causalsem._values import FloatArray, json_text
from causalsem.behaviour import BehaviourTable
from causalsem.behaviour.origin import warn_of_other_unit
from causalsem.effects.problem import fingerprint, row_clusters
from causalsem.errors import ForbiddenVariableError, SettingError, check_kind, check_names, check_whole, shown
from causalsem.networks.settings import Multilevel, TwoTower
from causalsem.outcome.answer import Answer
from causalsem.outcome.checkpoint import Checkpoint
from causalsem.outcome.correction import tempered
from causalsem.outcome.counterfactuals import Counterfactuals
from causalsem.outcome.counterfactuals import counterfactuals as imagined
from causalsem.outcome.encoder import Encoded, Encoder, check_pairs
from causalsem.outcome.journey import Journey
from causalsem.outcome.lift import pseudo_outcomes
from causalsem.outcome.loop import Loop
from causalsem.outcome.losses import DR, SNIPS, Loss
from causalsem.outcome.losses.table import loss_of
from causalsem.outcome.model import OutcomeModel
from causalsem.outcome.problem import target
from causalsem.outcome.propensities.base import Exposures, Propensity
from causalsem.outcome.propensities.table import propensity_of
from causalsem.outcome.propensity import Calibration, arm_propensities, calibrate, check_overlap, check_propensities, effective_sample_size
from causalsem.outcome.stages import Parents, find_stages

if TYPE_CHECKING:
    from causalsem.identify import AdjustmentSet
    from causalsem.outcome.run import Fitted, Run
    from causalsem.sem import SEMFit


def fit_outcome(
    pairs: BehaviourTable,
    adjust: AdjustmentSet,
    network: TwoTower | Multilevel | None = None,
    *,
    loss: Loss | str | None = None,
    stages: Sequence[str] | str | None = None,
    features: Sequence[str] = (),
    propensity: str | Propensity | None = None,
    members: int = 5,
    clip: float = 0.05,
    correction: float | None = None,
    counterfactuals: SEMFit | None = None,
    epochs: int | None = None,
    batch_size: int = 8192,
    learning_rate: float | None = None,
    patience: int | None = None,
    precision: str = "float32",
    loop: Loop | None = None,
    seed: int = 0,
    device: str = "auto",
    checkpoint: str | os.PathLike[str] | None = None,
) -> OutcomeModel:
    """Learn E[Y | do(T = t), user, item, Z] from logged pairs, free of the bias that the log's exposure put there.

    T = `adjust.treatment` (0/1), Y = `adjust.outcome` (0/1, or a number; NaN where it was not observed), Z =
    `adjust.variables`; `features` are further columns that may not be forbidden. Pairs must hold the untreated too:
    with unit ("user", "item") these are the pairs without exposure.

    `stages` names the behaviours from the treatment to the outcome and beyond, in order, such as ("browse", "cart", "buy",
    "review"), or "all" of them that the graph behind `adjust` (else the table's tiers) places after the treatment. Each is then
    a head, its chance given the stages before it, and E[stage | do(T)] the product of these chances, summed over the ways to it
    (see `Chain`): no mediator is ever an input, and every stage learns from all pairs that could reach it. Every loss corrects
    the selection into each stage as it corrects that into the treatment. All stages are 0/1.

    The pairs are cut into `members` folds and as many networks fitted side by side, each blind to its fold. First their
    propensity heads learn P(T = 1 | user, item, Z), unless `propensity` names a column that holds it or is a method
    (Popularity, NaiveBayes, Logistic, Boosted, or its name), cross-fitted on the same folds; what was learnt is calibrated on the
    unseen folds, and floored at `clip` × the arm's share. Then the outcome heads learn by `loss`. Last, one number per
    arm shifts the predictions so that weighted residuals on the unseen folds average zero (targeting; van der Laan & Rubin
    2006): for predictions under the weights their heads were fitted with, for the lift under the full inverse propensities,
    which makes it doubly robust whatever correction was believed.

    Without a `network` it is `Multilevel` where users × items fit one grid and the loss is a weighted likelihood
    (naive, ips, snips), else `TwoTower`; without a `loss`, snips for the first and dr for the second.

    `correction` says how much of the correction to believe: 0 is the naive fit, 1 the loss as published, between them its weights
    are taken to that power. By default the weighted error on the unseen folds chooses: the strength whose gain on 0, less a
    paired standard error over users, is largest, and 0 if none is positive, so that a correction does no harm to a prediction.
    The lift is doubly robust in either case.

    `counterfactuals` is a fitted SEM over columns of the pairs: what each pair would have shown under the other treatment is
    drawn from it (abduction, action, prediction) and teaches that arm's head, at the weight among 0.1, 0.3 and 1 of the
    factual rows that does best on unseen folds, or at none unless that gains two standard errors. `OutcomeModel.gains` tells the gain.
    With stages it holds them all, and its rows teach the chance of each stage as a whole, by whatever door; a multilevel model solved
    door by door cannot take them.

    `TwoTower(wide=True)` fits both: first the multilevel model, level by level, which chooses how much of the correction to believe,
    then towers by `loss` on what it leaves. They stay where unseen folds say that depth helps: `OutcomeModel.depth` tells how
    much of it, `gains["depth"]` what it earned.

    `Multilevel` on a grid is solved level by level, its prior variances learnt from the log (empirical Bayes), and chooses among five
    powers. Other networks train by gradient steps and choose between naive and corrected heads, fitted from the same start:
    name `correction=1` to save the naive one. There
    the learning rate falls to zero over `epochs` (None: at least 4, and at least 128 steps of `batch_size` pairs or,
    for small data, of a 32nd of them); training stops earlier when the unseen folds have not improved for `patience` epochs
    (None: a quarter of them, at least 2), and the best epoch is kept.

    Processes of an initialised `torch.distributed` group (torchrun) share every batch, with the numbers of one process.

    `loop` says how the loop runs on its device: large tables row by row, steps recorded as CUDA graphs, torch.compile (see `Loop`).

    `checkpoint` names a file written after every epoch; a killed fit called again goes on from there with the same
    numbers. Raises ForbiddenVariableError, DataError, OverlapError (one class of T only) and TrainingError (NaN).
    """
    _check_kinds(members=members, epochs=epochs, batch_size=batch_size, patience=patience)
    check_whole(seed, "seed")
    _check_settings(members, clip, epochs, batch_size, learning_rate, patience, precision, correction)
    check_kind(loop, (Loop, type(None)), "a loop", "hand in Loop(tables=…, graph=…, compile=…)")
    _check_fit(counterfactuals)
    check_pairs(pairs)
    propensity = propensity_of(propensity, pairs.names)
    column = propensity if isinstance(propensity, str) else None
    features = (features,) if isinstance(features, str) else features
    names = _columns(pairs, adjust, features, column)
    warn_of_other_unit(adjust.graph.provenance if adjust.graph else {}, pairs.unit, stacklevel=3)
    parents = find_stages(pairs, adjust, stages, names)
    encoder = Encoder.learn(pairs, names, seed)
    encoded = encoder.encode(pairs)
    staged_rows = counterfactuals is not None and len(parents or ()) > 1
    network, loss = _method(network, None if loss is None else loss_of(loss), encoded, members, staged_rows)
    learning_rate = network.usual_rate if learning_rate is None else learning_rate
    journey = _journey(pairs, adjust, parents, loss)
    settings: dict[str, Any] = {
        "loss": loss.name,
        "loss_settings": asdict(loss),  # type: ignore[call-overload]  # every loss is a dataclass
        "network": {"kind": type(network).__name__, **asdict(network)},
        "stages": parents,
        "features": features,
        "propensity": {"method": propensity.name} | asdict(propensity) if isinstance(propensity, Propensity) else propensity,  # type: ignore[call-overload]  # a dataclass
        **{"members": members, "clip": clip, "epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate},
        "correction": correction,
        "counterfactuals": None if counterfactuals is None else counterfactuals.names,
        **{"patience": patience, "precision": precision, "loop": asdict(loop or Loop()), "seed": seed},
    }
    rows = None
    if counterfactuals is not None:
        rows = imagined(counterfactuals, pairs, adjust.treatment, names, journey, seed)
    settings = json.loads(json_text(settings))  # as they come back from a file
    return _fit(pairs, adjust, names, encoder, encoded, network, loss, propensity, journey, settings, device, checkpoint, rows)


def _method(
    network: TwoTower | Multilevel | None, loss: Loss | None, encoded: Encoded, members: int, staged_rows: bool
) -> tuple[TwoTower | Multilevel, Loss]:
    """Return network and loss, the ones not asked for chosen so that they suit the data and each other.

    `staged_rows` says that counterfactual rows are to teach stages, which heads that are solved one by one cannot take.
    """
    from causalsem.outcome.closed_form import check_grid, fits_grid, takes_likelihood

    by_levels = fits_grid(encoded, members) and (loss is None or takes_likelihood(loss))
    if network is None:
        network = Multilevel() if by_levels and not staged_rows else TwoTower()
    check_kind(network, (TwoTower, Multilevel), "a network", "use TwoTower() or Multilevel()")
    wide = isinstance(network, TwoTower) and network.wide
    if wide:
        check_grid(encoded, members)
    if staged_rows and (wide or (by_levels and isinstance(network, Multilevel))):
        raise SettingError(
            "counterfactual rows tell the chance of a stage as a whole, and a multilevel model is solved for each of its doors alone "
            "(a buy after a cart, a buy without); use TwoTower() without wide=True, or leave out stages or counterfactuals"
        )
    return network, loss or (SNIPS() if isinstance(network, Multilevel) else DR())


def _fit(
    pairs: BehaviourTable,
    adjust: AdjustmentSet,
    names: tuple[str, ...],
    encoder: Encoder,
    encoded: Encoded,
    network: TwoTower | Multilevel,
    loss: Loss,
    propensity: str | Propensity | None,
    journey: Journey,
    settings: dict[str, Any],
    device: str,
    checkpoint: str | os.PathLike[str] | None,
    rows: Counterfactuals | None,
) -> OutcomeModel:
    """Run the two stages and the targeting step on checked input."""
    from causalsem.outcome.run import Run

    given = check_propensities(pairs.complete([propensity])[:, 0], propensity) if isinstance(propensity, str) else None
    state = Checkpoint.open(checkpoint, _fingerprint(encoded, journey, given, settings, rows))
    run = Run(network, encoded, journey, settings, device, state, rows)
    e, calibration = _propensities(run, propensity, given, Exposures(encoded, journey.treatment, pairs.column(adjust.outcome)))
    floored = arm_propensities(e, journey.treatment, settings["clip"])
    check_overlap(e, floored, journey.treatment, pairs.complete(names), names, pairs.keys)
    heads = _heads(run, loss, floored)
    weights = journey.problem_of(adjust.outcome).seen / (floored if loss.weighted else 1)
    return OutcomeModel(
        net=run.net,
        encoder=encoder,
        treatment=adjust.treatment,
        outcome=adjust.outcome,
        adjustment=tuple(adjust.variables),
        features=tuple(settings["features"]),
        chain=journey.chain,
        answers=_answers(run, heads, floored if loss.weighted else np.ones_like(floored)),
        calibration=calibration,
        folds=run.folds,
        propensity=e,
        effective_n=(effective_sample_size(weights[:, 0]), effective_sample_size(weights[:, 1])),
        clipped=float((floored > np.column_stack([1 - e, e])).any(axis=1).mean()),
        history=run.history,
        settings=settings,
        strength=heads.strength,
        counterfactual_weight=heads.imagined_weight,
        depth=heads.depth,
        gains={name: (gain.value, gain.se) for name, gain in heads.gains.items()},
        balance_weight=heads.balance,
        adversarial_size=heads.adversarial,
        told_apart=heads.told_apart,
        clusters=None if (clusters := row_clusters(pairs)) is None else clusters.codes,
        rows=fingerprint(pairs),
    )


def _answers(run: Run, heads: Fitted, propensity: FloatArray) -> dict[str, Answer]:
    """Return what the heads say of every stage.

    A pair's prediction is as debiased as its heads, no more; the average over pairs is doubly robust whatever they are.
    """
    answers, predictors = {}, run.predictors(heads.outcome)
    for k, (name, problem) in enumerate(zip(run.journey.chain.names, run.journey.problems, strict=True)):
        predictor, weights = predictors[:, k], problem.seen / propensity
        scale, targeted = target(problem, predictor, tempered(weights, heads.strength)), target(problem, predictor, weights)
        fitted = np.column_stack([scale.mean(predictor[:, arm], arm) for arm in (0, 1)])
        means = [float(targeted.mean(predictor[:, arm], arm).mean()) if arm in problem.arms else np.nan for arm in (0, 1)]
        robust = pseudo_outcomes(problem, predictor, targeted, weights)
        answers[name] = Answer(scale, fitted, robust, problem.events, (means[0], means[1]), problem.arms)
    return answers


def _heads(run: Run, loss: Loss, floored: FloatArray) -> Fitted:
    """Fit the outcome heads at propensities `floored` (n, 2): on the grid where network, data and loss allow it, else in steps."""
    from causalsem.networks.two_tower import TwoTowerNet
    from causalsem.outcome.by_levels import fit_by_levels
    from causalsem.outcome.by_steps import fit_by_steps
    from causalsem.outcome.closed_form import takes_likelihood
    from causalsem.outcome.depth import fit_with_depth

    if run.grid is not None and isinstance(run.net, TwoTowerNet):
        return fit_with_depth(run, run.grid, loss, floored)
    if run.grid is None or not takes_likelihood(loss):
        return fit_by_steps(run, loss, floored)
    fitted = fit_by_levels(run, run.grid, loss, floored)
    # Nothing is judged on unseen folds any more: predictions may know all pairs.
    assert run.levels is not None
    run.grid.settle(run.levels)
    return fitted


def _propensities(
    run: Run, propensity: str | Propensity | None, given: FloatArray | None, exposures: Exposures
) -> tuple[FloatArray, Calibration]:
    """Return P(T = 1) of each pair (n,), and what calibrated it; chances from a column stay as they are."""
    if given is not None:
        return given, Calibration()
    if isinstance(propensity, Propensity):
        raw = check_propensities(propensity.cross_fitted(exposures, run.folds), propensity.name)
        if not propensity.calibrated:
            return raw, Calibration()
    else:
        raw = run.propensity()
    calibration = calibrate(raw, exposures.treatment)
    return calibration(raw), calibration


def _journey(pairs: BehaviourTable, adjust: AdjustmentSet, parents: Parents | None, loss: Loss) -> Journey:
    """Return the numbers of the fit, or say that the loss cannot take them."""
    journey = Journey.of(pairs, adjust.treatment, adjust.outcome, parents)
    if loss.needs_binary and not journey.binary:
        raise SettingError(
            f"loss {loss.name!r} needs a 0/1 outcome and {adjust.outcome!r} has other values; use DR() or cut it at a threshold"
        )
    return journey


def _check_set(adjust: object) -> None:
    """Raise SettingError for what is no adjustment set; a NullEffect says that there is no effect to learn."""
    from causalsem.identify import AdjustmentSet, NullEffect

    if isinstance(adjust, NullEffect):
        raise SettingError(f"{adjust}: there is no effect to learn; ask for a treatment that may cause the outcome")
    check_kind(adjust, AdjustmentSet, "an adjustment set", "hand in what identify(graph, query) returned")


def _check_fit(counterfactuals: object) -> None:
    """Raise SettingError for what is no fitted SEM, None aside."""
    if counterfactuals is not None:
        from causalsem.sem import SEMFit

        check_kind(counterfactuals, SEMFit, "counterfactuals", "hand in what fit_sem(model, pairs) returned")


def _check_kinds(**whole: int | None) -> None:
    """Raise SettingError for a setting that is no whole number, None where it may be left out."""
    for name, value in whole.items():
        check_kind(value, (Integral, type(None)), name, "hand in a whole number")


def _columns(pairs: BehaviourTable, adjust: AdjustmentSet, features: Sequence[str], propensity: str | None) -> tuple[str, ...]:
    """Return the columns that enter the network, after refusing every one that may not."""
    _check_set(adjust)
    if len(adjust.query.treatments) != 1:
        raise SettingError(f"the outcome model takes one treatment, not {shown(adjust.query.treatments)}; fit one model for each")
    wanted = (adjust.treatment, adjust.outcome, *adjust.variables, *features, *([propensity] if propensity else []))
    check_names(wanted, pairs.names, what="column", where="the pairs")
    adjust.require_allowed(features)
    if adjust.outcome in features:
        raise ForbiddenVariableError(
            f"{adjust.outcome!r} is the outcome; leave it out of the features", reasons={adjust.outcome: "the outcome itself"}
        )
    return tuple(dict.fromkeys((*adjust.variables, *features)))


def _check_settings(
    members: int,
    clip: float,
    epochs: int | None,
    batch_size: int,
    learning_rate: float | None,
    patience: int | None,
    precision: str,
    correction: float | None,
) -> None:
    """Raise SettingError for a number no training can use."""
    for name, value in (("clip", clip), ("learning_rate", learning_rate), ("correction", correction)):
        check_kind(value, (Real, type(None)), name, "hand in a number")
    if members < 2:
        raise SettingError(f"members={members} leaves no fold for a network to be judged on; choose at least 2")
    if not 0 <= clip < 1:
        raise SettingError(f"clip={clip} is not a share of the arm's mean propensity; choose it in [0, 1)")
    if (epochs is not None and epochs < 1) or batch_size < 1 or not (learning_rate is None or 0 < learning_rate < np.inf):
        raise SettingError(f"epochs={epochs}, batch_size={batch_size}, learning_rate={learning_rate} must be positive; raise them")
    if patience is not None and patience < 0:
        raise SettingError(f"patience={patience} epochs cannot be waited; choose 0 or more, or None")
    if precision not in {"float32", "bfloat16"}:
        raise SettingError(f"unknown precision {precision!r}; use 'float32' or 'bfloat16'")
    if correction is not None and not 0 <= correction <= 1:
        raise SettingError(
            f"correction={correction} is no share of the full correction; choose it in [0, 1], or None to let the log choose"
        )


def _fingerprint(
    encoded: Encoded, journey: Journey, given: FloatArray | None, settings: dict[str, Any], rows: Counterfactuals | None
) -> str:
    """Return a hash of data and settings, so that a checkpoint is never continued with others."""
    digest = hashlib.sha256(json_text(settings).encode())
    arrays = (
        encoded.user,
        encoded.item,
        encoded.pair,
        encoded.user_traits,
        encoded.item_traits,
        journey.treatment,
        *(array for problem in journey.problems for array in (problem.y, problem.observed)),
        given,
        None if rows is None else rows.y,
    )
    for array in arrays:
        digest.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
