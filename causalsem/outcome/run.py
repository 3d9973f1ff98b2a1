"""One fit under way: the network, its data on the device, and the propensity heads, which learn first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from scipy.special import expit
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from causalsem._values import BoolArray, FloatArray
from causalsem.networks.build import build
from causalsem.networks.heads import Heads
from causalsem.networks.multilevel import MultilevelNet
from causalsem.networks.net import Shape
from causalsem.networks.settings import Multilevel, TwoTower
from causalsem.networks.two_tower import TwoTowerNet
from causalsem.outcome.chain import ARMS
from causalsem.outcome.chances import chances, predictors
from causalsem.outcome.checkpoint import Checkpoint
from causalsem.outcome.closed_form import GridFit, fits_grid
from causalsem.outcome.correction import Gain, paired_gain, pointwise_error, tempered
from causalsem.outcome.counterfactuals import Counterfactuals
from causalsem.outcome.encoder import Encoded
from causalsem.outcome.folds import USUAL, Pace, fold_ids, fold_rows
from causalsem.outcome.journey import Journey
from causalsem.outcome.loop import Loop
from causalsem.outcome.plan import Objective, Plan
from causalsem.outcome.problem import target
from causalsem.outcome.tensors import device_of, real, training_data, whole
from causalsem.outcome.train import train


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """What the outcome heads came to, out of fold (n, heads), and the choices that unseen folds made.

    `strength` is the power of the weights, `imagined_weight` that of counterfactual rows, `balance` that of the critic,
    `adversarial` how far ids were moved, `depth` the share kept of what towers learnt on top of levels; `gains` tells what each
    choice gained, `told_apart` by the weights of the critic how well a fresh one does (see `OutcomeModel`).
    """

    outcome: FloatArray
    strength: float
    imagined_weight: float = 0.0
    gains: dict[str, Gain] = field(default_factory=dict)
    balance: float = 0.0
    adversarial: float = 0.0
    told_apart: dict[float, float] = field(default_factory=dict)
    depth: float = 1.0


class Run:
    """One fit under way: network, data on the device, folds, generator and checkpoint."""

    def __init__(
        self,
        network: TwoTower | Multilevel,
        encoded: Encoded,
        journey: Journey,
        settings: dict[str, Any],
        device: str,
        checkpoint: Checkpoint,
        imagined: Counterfactuals | None = None,
    ) -> None:
        self.device = device_of(device)
        self.journey, self.checkpoint, self.settings = journey, checkpoint, settings
        self.user, self.imagined = encoded.user, imagined
        self.balance, self.adversarial = network.balance, network.adversarial
        seed, members = settings["seed"], settings["members"]
        self.folds = fold_ids(len(encoded), members, np.random.default_rng(seed))
        everything = np.ones(len(encoded), dtype=bool)
        self.data = training_data(encoded, *fold_rows(self.folds, members, everything), self.device)
        self.net = build(_shape(encoded, journey, members), network, torch.Generator().manual_seed(seed))
        share = float(journey.treatment.mean())
        self.net.start_at(torch.tensor(journey.base, dtype=torch.float32), float(np.log(share / (1 - share))))
        self.net.to(self.device)
        self.rng = torch.Generator(self.device).manual_seed(seed)
        self.grid: GridFit | None = None
        if self.levels is not None and fits_grid(encoded, members):
            self.grid = GridFit(encoded, self.folds, members, self.device)
        self.history: dict[str, tuple[tuple[float, float], ...]] = {}

    @property
    def levels(self) -> MultilevelNet | None:
        """The multilevel model that the network is, or that its towers stand on."""
        return self.net if isinstance(self.net, MultilevelNet) else self.net.wide if isinstance(self.net, TwoTowerNet) else None

    def propensity(self) -> FloatArray:
        """Train the propensity heads and return P(T = 1) of each pair by the member that never saw it: (n,)."""
        kept = self.checkpoint.carried
        if "propensity" in kept:
            self.history["propensity"] = tuple((float(a), float(b)) for a, b in kept["propensity_history"])
            return kept["propensity"].numpy()
        if self.grid is not None:
            return self._propensity_on_grid(self.grid)
        treatment = real(self.journey.treatment, self.device)

        def objective(heads: Heads, rows: torch.Tensor) -> torch.Tensor:
            return cross_entropy(heads.propensity, treatment[rows], reduction="none").mean(dim=1)

        self.train("propensity", objective, objective, (float(len(treatment)),) * (2 * self.journey.heads + 1))
        e: FloatArray = expit(self.out_of_fold(lambda heads: heads.propensity[..., None])[:, 0])
        kept["propensity"] = torch.from_numpy(e)
        kept["propensity_history"] = torch.tensor(self.history["propensity"], dtype=torch.float64)
        return e

    def _propensity_on_grid(self, grid: GridFit) -> FloatArray:
        net, t = self.levels, self.journey.treatment
        assert net is not None
        grid.fit(net, 2 * self.journey.heads, t, np.ones_like(t), binary=True)
        predictor = self.out_of_fold(lambda heads: heads.propensity[..., None])
        error = float(pointwise_error(predictor, t, binary=True).mean())
        self.history["propensity"] = ((error, error),)
        return np.asarray(expit(predictor[:, 0]))

    def train(
        self,
        stage: str,
        objective: Objective,
        judge: Objective,
        information: tuple[float, ...],
        teaching: BoolArray | None = None,
        pace: Pace = USUAL,
    ) -> None:
        """Train one stage on the pairs that teach (all, if None); `information` (outputs,) is how many pairs stand behind each."""
        self.checkpoint.stage = stage
        data, n = self.data, len(self.folds)
        if teaching is not None and not teaching.all():
            learn, judged = (whole(rows, self.device) for rows in fold_rows(self.folds, self.net.shape.members, teaching))
            data, n = replace(data, train=learn, held=judged), int(teaching.sum())
        plan = self._plan(n, tuple(max(1.0, float(count)) for count in information), pace)
        self.history[stage] = tuple(train(self.net, data, objective, judge, plan, self.rng, self.checkpoint))

    def _plan(self, n: int, information: tuple[float, ...], pace: Pace) -> Plan:
        s = self.settings
        batch, epochs = pace.cut(n, s["batch_size"], s["epochs"])
        patience = pace.waits(epochs) if s["patience"] is None else s["patience"]
        return Plan(epochs, batch, s["learning_rate"], patience, s["precision"] == "bfloat16", information, Loop(**s["loop"]))

    @torch.no_grad()
    def out_of_fold(self, pick: Callable[[Heads], torch.Tensor]) -> FloatArray:
        """Return what `pick` takes of the heads, each pair answered by the member that never saw it: (n, k)."""
        self.net.eval()
        members = self.net.shape.members
        own = [np.flatnonzero(self.folds == m) for m in range(members)]
        longest = max(map(len, own))
        rows = whole(np.stack([np.resize(index, longest) for index in own]), self.device)  # (M, longest), padded by repeats
        picked = [pick(self.net(self.data.inputs(part), None)).cpu() for part in torch.split(rows, self.settings["batch_size"], dim=1)]
        answers = torch.cat(picked, dim=1).double().numpy()  # (M, longest, k)
        found = np.empty((len(self.folds), answers.shape[2]))
        for m, index in enumerate(own):
            found[index] = answers[m, : len(index)]
        return found

    def represented(self, rows: torch.Tensor) -> torch.Tensor:
        """Return what the outcome heads read of rows (M, n): (M, n, f)."""
        self.net.eval()
        self.net.balancing = True
        found: torch.Tensor = self.net(self.data.inputs(rows), None).told
        self.net.balancing = False
        return found

    def reached(self, outcome: FloatArray, arms: FloatArray) -> FloatArray:
        """Return the chance of each pair to be where each head learns, floored: heads (n, heads) and P(T = arm) (n, 2) → (n, heads)."""
        at_door = chances(self.journey.chain, torch.from_numpy(outcome)).door.exp().numpy()  # (n, doors, arms)
        here = (at_door * arms[:, None, :]).reshape(len(arms), -1)
        return np.maximum(here, self.settings["clip"] * self.journey.taken.mean(axis=0))

    def predictors(self, outcome: FloatArray) -> FloatArray:
        """Return the predictor of every stage under each arm: heads (n, heads) → (n, K, arms)."""
        return np.asarray(predictors(self.journey.chain, torch.from_numpy(outcome)).numpy())

    def gain(self, before: Fitted, after: Fitted, weights: FloatArray) -> Gain:
        """Return what one fit gains on another under the full `weights` (n, K × arms), both judged as they will be used."""
        own = [self.errors(fitted.outcome, tempered(weights, fitted.strength)) for fitted in (before, after)]
        return paired_gain(own[0], own[1], weights, self.user)

    def errors(self, outcome: FloatArray, believed: FloatArray | None = None) -> FloatArray:
        """Return the pointwise errors of every stage under each arm, at the level of the `believed` weights if given: (n, K × arms)."""
        columns, predictors = [], self.predictors(outcome)
        for k, problem in enumerate(self.journey.problems):
            predictor = predictors[:, k]
            if believed is not None:
                predictor = predictor + np.asarray(target(problem, predictor, believed[:, ARMS * k : ARMS * (k + 1)]).shift)
            columns.append(pointwise_error(predictor, problem.y, binary=problem.scale.binary))
        return np.concatenate(columns, axis=1)


def _shape(encoded: Encoded, journey: Journey, members: int) -> Shape:
    users, items = encoded.user_traits, encoded.item_traits
    return Shape(len(users), len(items), users.shape[1], items.shape[1], encoded.pair.shape[1], journey.heads, members)
