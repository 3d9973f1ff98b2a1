"""OutcomeModel: the trained networks with everything needed to answer, to judge and to reload them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from causalsem._cards import mimebundle
from causalsem._values import FloatArray, IntArray, frozen, json_text, read_json, write_text
from causalsem.behaviour import BehaviourTable
from causalsem.errors import AssumptionWarning, DataError, SettingError, check_names
from causalsem.networks.settings import TwoTower
from causalsem.outcome.answer import Answer, Scale
from causalsem.outcome.chain import ARMS, Chain
from causalsem.outcome.encoder import Encoded, Encoder, Side
from causalsem.outcome.propensity import Calibration

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from causalsem.effects import Estimate
    from causalsem.networks.heads import Heads
    from causalsem.networks.net import Net

FORMAT = "causalsem-outcome-model"
CHUNK = 16_384
# The arrays of an answer.
ANSWERED = ("fitted", "robust", "events")


@dataclass(frozen=True, slots=True, eq=False)
class OutcomeModel:
    """E[Y | do(T = t), user, item, Z] from an ensemble of networks, each blind to one fold of the pairs.

    Where `Multilevel` was solved on a grid, the blind members are moved together at the end, so that their mean is the fit of all pairs.
    `folds` (n,): the fold of each training pair, which member `folds[k]` never saw; `propensity` (n,): its calibrated
    P(T = 1 | user, item, Z) from that member; `answers`: by stage of the `chain`, its expected values under T = 0 and T = 1, out
    of fold (`fitted` (n, 2) are those of the outcome).
    `effective_n` is the effective sample size of each arm under the weights used, `clipped` the share of pairs whose propensity was
    raised to the floor, `strength` the power of the weights (0: none, 1: the full correction), `counterfactual_weight` that of
    counterfactual rows, `balance_weight` that of the critic who balances, `adversarial_size` how far ids were moved, `depth` the share
    kept of what wide towers learnt on top of their levels (0: none, the multilevel model alone; 1 for every other network); `gains` by
    how much each choice that unseen folds made lowers their weighted error, and its standard error over users (a correction must gain
    one of them to be kept, the others two). `told_apart` is, by each weight of the critic that was tried, the AUC with which a fresh
    one tells treated from untreated pairs by what the outcome heads read of unseen ones (.5: not at all), `clusters` (ways, n) say
    whose each pair is and of what item, `rows` is a fingerprint of them, `history` the (training objective, held-out error) of every
    epoch by stage, `settings` what the model was made with.
    """

    net: Net
    encoder: Encoder
    treatment: str
    outcome: str
    adjustment: tuple[str, ...]
    features: tuple[str, ...]
    chain: Chain
    answers: Mapping[str, Answer]
    calibration: Calibration
    folds: IntArray
    propensity: FloatArray
    effective_n: tuple[float, float]
    clipped: float
    history: Mapping[str, tuple[tuple[float, float], ...]]
    settings: Mapping[str, Any] = field(default_factory=dict)
    strength: float = 1.0
    counterfactual_weight: float = 0.0
    gains: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    balance_weight: float = 0.0
    adversarial_size: float = 0.0
    told_apart: Mapping[float, float] = field(default_factory=dict)
    depth: float = 1.0
    clusters: IntArray | None = None
    rows: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "folds", frozen(self.folds, np.int64))
        if self.clusters is not None:
            object.__setattr__(self, "clusters", frozen(self.clusters, np.int64))
        object.__setattr__(self, "propensity", frozen(self.propensity))
        object.__setattr__(self, "answers", MappingProxyType(dict(self.answers)))
        object.__setattr__(self, "history", MappingProxyType(dict(self.history)))
        object.__setattr__(self, "gains", MappingProxyType(dict(self.gains)))
        object.__setattr__(self, "told_apart", MappingProxyType(dict(self.told_apart)))
        object.__setattr__(self, "settings", MappingProxyType(dict(self.settings)))

    @property
    def members(self) -> int:
        """How many networks the ensemble has."""
        return self.net.shape.members

    @property
    def stages(self) -> tuple[str, ...]:
        """The behaviours that the model answers for, in order: the outcome, and those on the way to it or beyond."""
        return self.chain.names

    @property
    def scale(self) -> Scale:
        """The link of the outcome."""
        return self.answers[self.outcome].scale

    @property
    def fitted(self) -> FloatArray:
        """The expected outcomes of the training pairs under T = 0 and T = 1, out of fold: (n, 2)."""
        return self.answers[self.outcome].fitted

    @property
    def arms(self) -> tuple[int, ...]:
        """The treatments under which the outcome was observed at all."""
        return self.answers[self.outcome].arms

    @property
    def lift(self) -> float:
        """The average of E[Y | do(T=1)] − E[Y | do(T=0)] over the training pairs: out of fold and doubly robust."""
        return self._lift(self.outcome)

    @property
    def lifts(self) -> dict[str, float]:
        """The same average for every stage."""
        return {stage: self._lift(stage) for stage in self.stages}

    def lift_estimate(self, stage: str | None = None, *, where: npt.ArrayLike | None = None) -> Estimate:
        """Return the average lift of the outcome (or other stage) with its standard error, interval and influence function.

        `where` (n,) picks a segment, one True or False for each training pair, such as `pairs.column("popularity") > 1`. The
        influence function is the doubly robust one at out-of-fold predictions and propensities, its error clustered by user and
        item. A loss that weighs by no propensity has no second chance: then the predictions alone must be right. Warns where the
        outcome happened so rarely under some treatment that the error is told too small.
        """
        from causalsem.outcome.lift import lift_estimate, warn_of_few_events

        found = lift_estimate(self, self.outcome if stage is None else stage, where)
        warn_of_few_events(self, found.outcome, where)
        return found

    def _lift(self, stage: str) -> float:
        self.check_arm(0, stage)
        self.check_arm(1, stage)
        zero, one = self.answers[stage].means
        return one - zero

    def predict(self, pairs: BehaviourTable, treatment: int = 1, *, stage: str | None = None) -> FloatArray:
        """Return E[Y | do(T = treatment), user, item, Z] of each pair, or that of another stage of the chain: (n,).

        Users and items unseen in training are answered from their traits, with an AssumptionWarning that says so.
        """
        return self.predict_members(self.encode(pairs), treatment, stage=stage).mean(axis=0)

    def predict_steps(self, pairs: BehaviourTable, treatment: int = 1) -> pd.DataFrame:
        """Return what each head says of each pair under do(T = treatment): the chance of a stage given those before it.

        A column is named for what it stands for, such as "browse", "cart | browse", "buy | browse, no cart". The chance of a
        stage is the product of these on the way to it, summed over ways, and shifted to the right level by targeting.
        """
        import pandas as pd
        import torch

        if len(self.stages) == 1:
            return pd.DataFrame({self.outcome: self.predict(pairs, treatment)})
        self.check_arm(treatment)
        heads = self._heads(self.encode(pairs), lambda heads: torch.sigmoid(heads.outcome))  # (M, n, doors × arms)
        return pd.DataFrame(heads.mean(axis=0)[:, treatment::ARMS], columns=list(self.chain.door_names))

    def predict_propensity(self, pairs: BehaviourTable) -> FloatArray:
        """Return the calibrated P(T = 1 | user, item, Z) of each pair by the network's propensity head: (n,)."""
        from scipy.special import expit

        logits = self._heads(self.encode(pairs), lambda heads: heads.propensity)
        return self.calibration(np.asarray(expit(logits.mean(axis=0))))

    def represent(self, pairs: BehaviourTable) -> FloatArray:
        """Return what each member's outcome heads read of each pair, (members, n, f): the layer that `TwoTower.balance` balances.

        Raises SettingError for a network without such a layer.
        """
        if not isinstance(self.net.settings, TwoTower):
            raise SettingError("a multilevel model has no representation that its heads read; fit TwoTower()")
        self.net.balancing = True
        try:
            return self._heads(self.encode(pairs), lambda heads: heads.told)
        finally:
            self.net.balancing = False

    def predict_members(self, encoded: Encoded, treatment: int = 1, *, stage: str | None = None) -> FloatArray:
        """Return each member's expected outcome (or other stage) of encoded pairs: (members, n)."""
        from causalsem.outcome.chances import predictors

        stage = self.outcome if stage is None else stage
        self.check_arm(treatment, stage)
        k, scale = self.stages.index(stage), self.answers[stage].scale
        return scale.mean(self._heads(encoded, lambda heads: predictors(self.chain, heads.outcome)[..., k, treatment]), treatment)

    def encode(self, pairs: BehaviourTable) -> Encoded:
        """Return pairs as the network reads them; warns when some users or items are strangers."""
        encoded = self.encoder.encode(pairs)
        warn_of_strangers(encoded, self.encoder)
        return encoded

    def check_arm(self, treatment: int, stage: str | None = None) -> None:
        """Raise DataError for a treatment under which the outcome (or other stage) was never observed, UnknownNameError for no stage."""
        stage = self.outcome if stage is None else stage
        check_names([stage], self.stages, what="stage", where="the model's chain")
        arms = self.answers[stage].arms
        if treatment not in arms:
            raise DataError(
                f"no outcome of {stage!r} was observed under {self.treatment} = {treatment}; ask for one of {arms}",
                arms=arms,
            )

    def _heads(self, encoded: Encoded, pick: Callable[[Heads], torch.Tensor]) -> FloatArray:
        """Return what `pick` takes of every member's heads (M, n, …)."""
        import torch

        from causalsem.outcome.tensors import inputs_of

        self.net.eval()
        parts = []
        with torch.no_grad():
            for start in range(0, len(encoded), CHUNK):
                heads = self.net(inputs_of(encoded, slice(start, start + CHUNK), self.members, self.net.bias.device))
                parts.append(pick(heads).cpu().numpy())
        stacked: FloatArray = np.concatenate(parts, axis=1).astype(np.float64)
        return stacked

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write weights and arrays as safetensors at `path`, and settings and vocabularies as JSON beside it."""
        import torch

        from causalsem.outcome.checkpoint import write_tensors

        arrays = {
            "user_traits": self.encoder.user.traits,
            "item_traits": self.encoder.item.traits,
            "draws": self.encoder.draws,
            "draw_weights": self.encoder.draw_weights,
            "folds": self.folds,
            "propensity": self.propensity,
        }
        arrays |= {} if self.clusters is None else {"clusters": self.clusters}
        for stage, answer in self.answers.items():
            arrays |= {f"{name}.{stage}": getattr(answer, name) for name in ANSWERED}
        tensors = {f"net.{k}": v for k, v in self.net.state_dict().items()} | {k: torch.tensor(v) for k, v in arrays.items()}
        write_tensors(path, {"format": FORMAT}, tensors)
        write_text(Path(path).with_suffix(".json"), json_text(self._about()))
        return Path(path)

    def _about(self) -> dict[str, Any]:
        from causalsem.networks.build import settings_dict

        e = self.encoder
        return {
            "format": FORMAT,
            "treatment": self.treatment,
            "outcome": self.outcome,
            "adjustment": self.adjustment,
            "features": self.features,
            "users": {"ids": e.user.ids, "traits": e.user.names},
            "items": {"ids": e.item.ids, "traits": e.item.names},
            "pair": {"names": e.pair_names, "centre": e.centre, "scale": e.scale},
            "chain": [asdict(stage) for stage in self.chain.stages],
            "answers": {
                stage: {"scale": asdict(answer.scale), "means": answer.means, "arms": answer.arms} for stage, answer in self.answers.items()
            },
            "calibration": asdict(self.calibration),
            "effective_n": self.effective_n,
            "clipped": self.clipped,
            "history": dict(self.history),
            "shape": asdict(self.net.shape),
            "network": settings_dict(self.net.settings),
            "settings": dict(self.settings),
            "strength": self.strength,
            "counterfactual_weight": self.counterfactual_weight,
            "gains": dict(self.gains),
            "balance_weight": self.balance_weight,
            "adversarial_size": self.adversarial_size,
            "told_apart": list(self.told_apart.items()),
            "depth": self.depth,
            "rows": self.rows,
        }

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> OutcomeModel:
        """Return the model that `save` wrote, on the CPU."""
        import torch

        from causalsem.networks.build import build, settings_of
        from causalsem.networks.net import Shape
        from causalsem.outcome.checkpoint import read_tensors

        about = read_json(Path(path).with_suffix(".json"), FORMAT)
        _, tensors = read_tensors(path)
        net = build(Shape(**about["shape"]), settings_of(about["network"]), torch.Generator())
        net.load_state_dict({k.removeprefix("net."): v for k, v in tensors.items() if k.startswith("net.")})
        arrays = {k: v.numpy() for k, v in tensors.items() if not k.startswith("net.")}
        sides = {
            key: Side(np.asarray(about[f"{key}s"]["ids"]), tuple(about[f"{key}s"]["traits"]), arrays[f"{key}_traits"])
            for key in ("user", "item")
        }
        pair = about["pair"]
        draws = (arrays["draws"], arrays["draw_weights"])
        answers = {
            stage: Answer.of(told, {name: arrays[f"{name}.{stage}"] for name in ANSWERED}) for stage, told in about["answers"].items()
        }
        return cls(
            net,
            Encoder(sides["user"], sides["item"], tuple(pair["names"]), pair["centre"], pair["scale"], *draws),
            about["treatment"],
            about["outcome"],
            tuple(about["adjustment"]),
            tuple(about["features"]),
            Chain.of(about["chain"]),
            answers,
            Calibration(**about["calibration"]),
            arrays["folds"],
            arrays["propensity"],
            (about["effective_n"][0], about["effective_n"][1]),
            about["clipped"],
            {stage: tuple((a, b) for a, b in epochs) for stage, epochs in about["history"].items()},
            about["settings"],
            about["strength"],
            about.get("counterfactual_weight", 0.0),
            {name: (gain, se) for name, (gain, se) in about.get("gains", {}).items()},
            about.get("balance_weight", 0.0),
            about.get("adversarial_size", 0.0),
            dict(about.get("told_apart", [])),
            about.get("depth", 1.0),
            arrays.get("clusters"),
            about.get("rows", ""),
        )

    def __repr__(self) -> str:
        from causalsem.outcome.lift import lift_estimate

        e = self.encoder
        lift = f"{self.lift:.4g} ± {lift_estimate(self, self.outcome).se:.2g}" if self.arms == (0, 1) else "unknown (one arm observed)"
        return (
            f"OutcomeModel({self.treatment} ⇒ {self.outcome} | {{{', '.join(self.adjustment)}}}, loss {self.settings.get('loss', '?')}, "
            f"{self._staged()}correction at strength {self.strength:g}{self._gain('correction')}, {self._augmented()}"
            f"{len(e.user.ids):,} users × {len(e.item.ids):,} items, {self.members} members, mean lift {lift}, {self._weighed()}, "
            f"effective n {self.effective_n[0]:,.0f} / {self.effective_n[1]:,.0f}, {self.clipped:.1%} clipped)"
        )

    def _staged(self) -> str:
        return f"stages {' → '.join(self.stages)}, " if len(self.stages) > 1 else ""

    def _augmented(self) -> str:
        """Say how much of each addition is in, and what the choice of it gained."""
        sizes = (
            ("counterfactuals", "counterfactual rows at weight", self.counterfactual_weight),
            ("balance", "balanced at weight", self.balance_weight),
            ("adversarial", "ids moved by", self.adversarial_size),
            ("depth", "depth at share", self.depth if "depth" in self.gains else 0.0),
        )
        told = []
        for name, words, size in sizes:
            if size or name in self.gains:
                told.append(f"{words} {size:g}{self._gain(name)}, ")
        return "".join(told)

    def _gain(self, name: str) -> str:
        """Say what a choice gained on unseen folds, if there was one."""
        if name not in self.gains:
            return ""
        gain, se = self.gains[name]
        return f" (gain {gain:.2g} ± {se:.2g})"

    def _weighed(self) -> str:
        """Say where the propensities come from, and by which line their logits were calibrated."""
        asked = self.settings.get("propensity")
        source = f"of column {asked!r}" if isinstance(asked, str) else f"by {asked['method']}" if asked else "by the network"
        if self.calibration == Calibration():
            return f"propensities {source}"
        return f"propensities {source}, logits calibrated to {self.calibration.intercept:.2f} + {self.calibration.slope:.2f} × logit"

    _repr_mimebundle_ = mimebundle


def warn_of_strangers(encoded: Encoded, encoder: Encoder) -> None:
    """Warn when users or items were unseen in training: their answers rest on traits alone."""
    import warnings

    for side, count in encoded.strangers.items():
        if count:
            names = encoder.user.names if side == "user" else encoder.item.names
            source = f"their traits {', '.join(names)}" if names else f"the average {side}, for want of traits"
            warnings.warn(f"{count:,} {side}s unseen in training are answered from {source}", AssumptionWarning, stacklevel=3)
