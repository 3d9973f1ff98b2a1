"""The two stages of a fit on one network: propensity heads first, then outcome heads on the same representation."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

import numpy as np
import torch
from scipy.special import expit
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from causalsem._values import BoolArray, FloatArray, IntArray
from causalsem.networks.build import build
from causalsem.networks.heads import Heads
from causalsem.networks.multilevel import MultilevelNet
from causalsem.networks.net import Shape
from causalsem.networks.settings import Multilevel, TwoTower
from causalsem.outcome.checkpoint import Checkpoint, named
from causalsem.outcome.closed_form import GridFit, fits_grid
from causalsem.outcome.correction import STRENGTHS, Gain, choose_strength, paired_gain, pointwise_error, softened, tempered
from causalsem.outcome.counterfactuals import BAR, WEIGHTS, Counterfactuals
from causalsem.outcome.encoder import Encoded
from causalsem.outcome.losses import Loss, LossBatch, Naive
from causalsem.outcome.losses.base import per_arm
from causalsem.outcome.problem import Problem, target
from causalsem.outcome.propensity import effective_sample_size
from causalsem.outcome.tensors import device_of, real, training_data, whole
from causalsem.outcome.train import Objective, Plan, train

# The outcome stage keeps the propensity head alive at this weight, so that the representation
# does not forget what confounds (Shi et al. 2019 call it α and use 1).
KEEP_PROPENSITY = 0.1
SMALLEST_BATCH, STEPS_PER_EPOCH = 512, 32
FEWEST_EPOCHS, FEWEST_STEPS = 4, 128
PROPENSITY_HEAD = 4


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """One way to fit the outcome heads: a loss at some propensities (n, 2), with counterfactual rows of some weight."""

    stage: str
    loss: Loss
    propensity: FloatArray
    imagined: float = 0.0


class Run:
    """One fit under way: network, data on the device, folds, generator and checkpoint."""

    def __init__(
        self,
        network: TwoTower | Multilevel,
        encoded: Encoded,
        problem: Problem,
        settings: dict[str, Any],
        device: str,
        checkpoint: Checkpoint,
        imagined: Counterfactuals | None = None,
    ) -> None:
        self.device = device_of(device)
        self.problem, self.checkpoint = problem, checkpoint
        seed, members = settings["seed"], settings["members"]
        self.settings = settings
        self.folds = fold_ids(len(encoded), members, np.random.default_rng(seed))
        everything = np.ones(len(encoded), dtype=bool)
        self.data = training_data(encoded, *fold_rows(self.folds, members, everything), self.device)
        traits = encoded.user_traits, encoded.item_traits
        shape = Shape(len(traits[0]), len(traits[1]), traits[0].shape[1], traits[1].shape[1], encoded.pair.shape[1], 2, members)
        self.net = build(shape, network, torch.Generator().manual_seed(seed))
        share = float(problem.treatment.mean())
        self.net.start_at(torch.tensor(problem.base, dtype=torch.float32), float(np.log(share / (1 - share))))
        self.net.to(self.device)
        self.rng = torch.Generator(self.device).manual_seed(seed)
        self.grid: GridFit | None = None
        if isinstance(self.net, MultilevelNet) and fits_grid(encoded, members):
            self.grid = GridFit(encoded, self.folds, members, self.device)
        self.user, self.strength = encoded.user, 1.0
        self.imagined, self.imagined_weight = imagined, 0.0
        self.gains: dict[str, Gain] = {}
        self.history: dict[str, tuple[tuple[float, float], ...]] = {}

    def propensity(self) -> FloatArray:
        """Train the propensity heads and return P(T = 1) of each pair by the member that never saw it: (n,)."""
        kept = self.checkpoint.carried
        if "propensity" in kept:
            self.history["propensity"] = tuple((float(a), float(b)) for a, b in kept["propensity_history"])
            return kept["propensity"].numpy()
        if self.grid is not None:
            return self._propensity_on_grid(self.grid)
        treatment = real(self.problem.treatment, self.device)

        def objective(heads: Heads, rows: torch.Tensor) -> torch.Tensor:
            return cross_entropy(heads.propensity, treatment[rows], reduction="none").mean(dim=1)

        self._train("propensity", objective, objective, (float(len(treatment)),) * 5)
        e: FloatArray = expit(self._out_of_fold(lambda heads: heads.propensity[..., None])[:, 0])
        kept["propensity"] = torch.from_numpy(e)
        kept["propensity_history"] = torch.tensor(self.history["propensity"], dtype=torch.float64)
        return e

    def outcome(self, loss: Loss, floored: FloatArray) -> FloatArray:
        """Fit the outcome heads by `loss` and return their predictors out of fold: `floored` (n, 2) → (n, 2)."""
        weights = loss.row_weights(self.problem.seen, floored)
        if self.grid is not None and weights is not None:
            return self._outcome_on_grid(self.grid, loss, weights)
        return self._outcome_by_steps(loss, floored)

    def _outcome_by_steps(self, loss: Loss, floored: FloatArray) -> FloatArray:
        """Fit the heads in steps; where a choice is open, from the same start every time, unseen folds make it."""
        asked, seen = self.settings["correction"], self.problem.seen
        free, weights = asked is None and loss.weighted, seen / floored if loss.weighted else seen
        self.strength = 1.0 if asked is None else asked
        corrected = Way("outcome", Naive() if asked == 0 else loss, softened(floored, seen, self.strength))
        if not free and self.imagined is None:
            return self._heads_by_steps(corrected)
        best = Way("naive", Naive(), floored) if free else corrected
        if free:
            best = self._better(best, [corrected], "correction", weights)
            self.strength = float(best is corrected)
        if self.imagined is not None:
            rivals = [replace(best, stage=f"counterfactuals {w:g}", imagined=w) for w in WEIGHTS]
            best = self._better(best, rivals, "counterfactuals", weights, BAR)
            self.imagined_weight = best.imagined
        self.net.load_state_dict(named(self.checkpoint.carried, f"{best.stage}.net"))
        return self._attempt(best)

    def _better(self, simple: Way, rivals: list[Way], what: str, weights: FloatArray, bar: float = 1.0) -> Way:
        """Return the best of some ways if it beats the simple one on unseen folds (see `Gain.clears`), and note what it gains."""
        before = self._targeted_error(self._attempt(simple), weights)
        gains = [paired_gain(before, self._targeted_error(self._attempt(way), weights), weights, self.user) for way in rivals]
        best = max(range(len(gains)), key=lambda k: gains[k].value)
        self.gains[what] = gains[best]
        return rivals[best] if gains[best].clears(bar) else simple

    def _attempt(self, way: Way) -> FloatArray:
        """Fit the outcome heads from where the propensity stage left the network; what is found is carried in the checkpoint."""
        kept, stage = self.checkpoint.carried, way.stage
        if "start.rng" not in kept:
            kept |= {f"start.net.{k}": v.cpu().clone() for k, v in self.net.state_dict().items()} | {"start.rng": self.rng.get_state()}
        if f"{stage}.predictor" not in kept:
            self.net.load_state_dict(named(kept, "start.net"))
            self.rng.set_state(kept["start.rng"].cpu())
            found = self._heads_by_steps(way)
            kept |= {f"{stage}.net.{k}": v.cpu().clone() for k, v in self.net.state_dict().items()}
            kept[f"{stage}.predictor"] = torch.from_numpy(found)
            kept[f"{stage}.history"] = torch.tensor(self.history[stage], dtype=torch.float64)
        self.history[stage] = tuple((float(a), float(b)) for a, b in kept[f"{stage}.history"])
        return kept[f"{stage}.predictor"].numpy()

    def _targeted_error(self, predictor: FloatArray, weights: FloatArray) -> FloatArray:
        """Return the pointwise errors (n, 2) of a predictor as it will be used, after the targeting step."""
        shift = target(self.problem, predictor, weights).shift
        return pointwise_error(predictor + np.asarray(shift), self.problem.y, binary=self.problem.scale.binary)

    def _heads_by_steps(self, way: Way) -> FloatArray:
        """Train the outcome heads one way and return their predictors out of fold: (n, 2)."""
        loss, floored = way.loss, way.propensity
        y, seen = real(self.problem.y, self.device)[:, None], real(self.problem.seen, self.device)
        teaching = self.problem.observed | loss.needs_unseen
        share = float(teaching.mean())
        # Weights average one over the pairs that teach; the others would only be carried along.
        e, treatment = real(floored / share, self.device), real(self.problem.treatment, self.device)
        taken, floor = torch.stack([1 - treatment, treatment], dim=1), e.amin(dim=0)
        alive = KEEP_PROPENSITY if share == 1 else 0.0

        imagine = self._imagination() if way.imagined else None

        def batch_of(rows: torch.Tensor) -> LossBatch:
            user = self.data.user[rows]
            return LossBatch(y[rows], taken[rows], seen[rows], e[rows], floor, user, self.problem.scale.binary)

        def objective(heads: Heads, rows: torch.Tensor) -> torch.Tensor:
            kept = cross_entropy(heads.propensity, treatment[rows], reduction="none").mean(dim=1)
            told = loss.objective(heads, batch_of(rows)) + alive * kept
            return told if imagine is None else told + way.imagined * imagine(heads, batch_of(rows), rows)

        def judge(heads: Heads, rows: torch.Tensor) -> torch.Tensor:
            return loss.judge(heads, batch_of(rows))

        arms = self.problem.seen.sum(axis=0)
        weighted = [effective_sample_size(w) for w in (self.problem.seen / floored).T] if loss.weighted else arms
        self._train(way.stage, objective, judge, (*weighted, *arms, float(len(y))), teaching)
        return self._out_of_fold(lambda heads: heads.outcome)

    def _imagination(self) -> Callable[[Heads, LossBatch, torch.Tensor], torch.Tensor]:
        """Return the average error of each arm on counterfactual rows, summed over arms: (heads, batch, rows) → (M,)."""
        assert self.imagined is not None
        y, arm = real(self.imagined.y, self.device)[:, None], real(self.imagined.arm, self.device)
        return lambda heads, batch, rows: per_arm(batch.error(heads.outcome, y[rows]), arm[rows])

    def _propensity_on_grid(self, grid: GridFit) -> FloatArray:
        net, t = self.net, self.problem.treatment
        assert isinstance(net, MultilevelNet)
        grid.fit(net, PROPENSITY_HEAD, t, np.ones_like(t), binary=True)
        predictor = self._out_of_fold(lambda heads: heads.propensity[..., None])
        error = float(pointwise_error(predictor, t, binary=True).mean())
        self.history["propensity"] = ((error, error),)
        return np.asarray(expit(predictor[:, 0]))

    def _outcome_on_grid(self, grid: GridFit, loss: Loss, weights: FloatArray) -> FloatArray:
        """Fit the outcome heads with tempered weights; where the strength is free, the folds unseen by each member choose it."""
        asked, y, binary = self.settings["correction"], self.problem.y, self.problem.scale.binary
        free = asked is None and loss.weighted
        found, errors, states = {}, {}, {}
        for strength in STRENGTHS if free else (1.0 if asked is None else asked,):
            found[strength] = self._heads_on_grid(grid, tempered(weights, strength))
            errors[strength] = pointwise_error(found[strength], y, binary=binary)
            states[strength] = copy.deepcopy(self.net.state_dict())
            told = [float((error * weights).sum() / weights.sum()) for error in errors.values()]
            if len(told) > 1 and told[-1] > told[-2]:
                break
        self.strength = choose_strength(errors, weights, self.user) if free else strength
        if free:
            self.gains["correction"] = max(
                (paired_gain(errors[0.0], e, weights, self.user) for s, e in errors.items() if s), key=attrgetter("value")
            )
        self.net.load_state_dict(states[self.strength])
        self.history["outcome"] = tuple(zip(errors, told, strict=True))
        predictor = found[self.strength]
        return predictor if self.imagined is None else self._augmented_on_grid(grid, predictor, weights, self.imagined)

    def _augmented_on_grid(self, grid: GridFit, predictor: FloatArray, weights: FloatArray, imagined: Counterfactuals) -> FloatArray:
        """Fit again with counterfactual rows at some weights, and keep what is better than `predictor` (n, 2) on unseen folds."""
        before, own = self._targeted_error(predictor, weights), tempered(weights, self.strength)
        best, state = Gain(-np.inf, 0.0), copy.deepcopy(self.net.state_dict())
        for share in WEIGHTS:
            found = self._heads_on_grid(grid, imagined.weights(own, share), imagined.outcomes(self.problem.y))
            gain = paired_gain(before, self._targeted_error(found, weights), weights, self.user)
            if gain.value > best.value:
                best = gain
                if gain.clears(BAR):
                    predictor, state, self.imagined_weight = found, copy.deepcopy(self.net.state_dict()), share
        self.gains["counterfactuals"] = best
        self.net.load_state_dict(state)
        return predictor

    def _heads_on_grid(self, grid: GridFit, weights: FloatArray, y: FloatArray | None = None) -> FloatArray:
        """Fit the head of every observed arm, to outcomes `y` (n, 2) if given, and return its predictor out of fold: (n, 2)."""
        assert isinstance(self.net, MultilevelNet)
        for arm in self.problem.arms:
            told = self.problem.y if y is None else y[:, arm]
            grid.fit(self.net, arm, told, weights[:, arm], binary=self.problem.scale.binary)
        return self._out_of_fold(lambda heads: heads.outcome)

    def _train(
        self, stage: str, objective: Objective, judge: Objective, information: tuple[float, ...], teaching: BoolArray | None = None
    ) -> None:
        """Train one stage on the pairs that teach (all, if None); `information` (5,) is how many pairs stand behind each head."""
        self.checkpoint.stage = stage
        data, n = self.data, len(self.folds)
        if teaching is not None and not teaching.all():
            learn, judged = (whole(rows, self.device) for rows in fold_rows(self.folds, self.net.shape.members, teaching))
            data, n = replace(data, train=learn, held=judged), int(teaching.sum())
        plan = self._plan(n, tuple(max(1.0, float(count)) for count in information))
        self.history[stage] = tuple(train(self.net, data, objective, judge, plan, self.rng, self.checkpoint))

    def _plan(self, n: int, information: tuple[float, ...]) -> Plan:
        s = self.settings
        batch, epochs = pace(n, s["batch_size"], s["epochs"])
        patience = max(2, epochs // 4) if s["patience"] is None else s["patience"]
        return Plan(epochs, batch, s["learning_rate"], patience, s["precision"] == "bfloat16", information)

    @torch.no_grad()
    def _out_of_fold(self, pick: Any) -> FloatArray:
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


def pace(n: int, batch_size: int, epochs: int | None) -> tuple[int, int]:
    """Return pairs per step and epochs: small data need small steps, and enough of them to arrive."""
    batch = min(batch_size, max(SMALLEST_BATCH, n // STEPS_PER_EPOCH))
    steps = -(-n // batch)
    return batch, epochs if epochs is not None else max(FEWEST_EPOCHS, -(-FEWEST_STEPS // steps))


def fold_ids(n: int, folds: int, rng: np.random.Generator) -> IntArray:
    """Return a fold for each of n pairs, of equal sizes up to one: (n,)."""
    return rng.permutation(np.arange(n) % folds).astype(np.int64)


def fold_rows(folds: IntArray, members: int, teaching: BoolArray) -> tuple[IntArray, IntArray]:
    """Return the rows each member learns from and is judged on, of those that teach, cut to equal lengths: (M, n_train), (M, n_held)."""
    learn = [np.flatnonzero((folds != m) & teaching) for m in range(members)]
    judge = [np.flatnonzero((folds == m) & teaching) for m in range(members)]
    shortest = min(map(len, learn)), min(map(len, judge))
    return np.stack([r[: shortest[0]] for r in learn]), np.stack([r[: shortest[1]] for r in judge])
