"""PairWeights: the propensity of each user–item pair and the weight that undoes how it came to be shown."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from causalsem._cards import mimebundle
from causalsem._values import FloatArray, read_parquet, write_parquet
from causalsem.behaviour import BehaviourTable
from causalsem.errors import AssumptionWarning, DataError, SettingError, check_kind, check_names
from causalsem.outcome import OutcomeModel
from causalsem.outcome.propensity import arm_propensities, effective_sample_size

FORMAT = "causalsem-pair-weights"
COLUMNS = ("user", "item", "treatment", "outcome", "propensity", "weight")


@dataclass(frozen=True, slots=True, eq=False)
class PairWeights:
    """Propensities and weights per pair: `frame` has columns user, item, treatment, outcome, propensity, weight.

    propensity = P(T = 1 | user, item, Z), calibrated; weight = P(T = t) / P(T = t | user, item, Z) with the chance
    floored at `clip` × P(T = t), scaled to average 1 within each arm. Further columns are the `features` a ranker may
    use: traits and adjustment variables, none of which the treatment can have changed. `facts` says what stands behind
    the numbers: adjustment set, hash of the graph, effective sample size of each arm.
    """

    frame: pd.DataFrame
    treatment: str
    outcome: str
    features: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_names((*COLUMNS, *self.features), self.frame.columns, what="column", where="the weights")
        frame = self.frame[[*COLUMNS, *self.features]].reset_index(drop=True).copy()
        wrong = [name for name in ("propensity", "weight") if not (np.isfinite(frame[name]) & (frame[name] >= 0)).all()]
        if wrong:
            raise DataError(f"{wrong[0]} holds numbers below 0 or missing ones; give every pair one", columns=wrong)
        object.__setattr__(self, "frame", frame)
        object.__setattr__(self, "facts", MappingProxyType(dict(self.facts)))

    @property
    def shown(self) -> pd.DataFrame:
        """The treated pairs: what a recommender that learns from what was shown is trained on."""
        return self.frame[self.frame["treatment"] == 1].reset_index(drop=True)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write one Parquet file, whole or not at all; what the numbers mean travels in its metadata."""
        about = {"format": FORMAT, "treatment": self.treatment, "outcome": self.outcome, "features": list(self.features)}
        return write_parquet(path, self.frame, about | {"facts": dict(self.facts)})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> PairWeights:
        """Return the weights that `save` wrote; raises FileError for another file."""
        frame, about = read_parquet(path, FORMAT)
        return cls(frame, about["treatment"], about["outcome"], tuple(about["features"]), about["facts"])

    def __len__(self) -> int:
        return len(self.frame)

    def __repr__(self) -> str:
        arms = " / ".join(f"{n:,.0f}" for n in self.facts.get("effective_n", ()))
        told = f", effective sample size {arms} (without / with {self.treatment})" if arms else ""
        return f"PairWeights({len(self):,} pairs, {int(self.frame['treatment'].sum()):,} with {self.treatment}{told})"

    def _repr_html_(self) -> str:
        return self.frame.head(10).to_html(notebook=True)

    _repr_mimebundle_ = mimebundle


def pair_weights(
    model: OutcomeModel, pairs: BehaviourTable, *, clip: float = 0.05, graph_sha256: str | None = None, out_of_fold: bool | None = None
) -> PairWeights:
    """Return the propensity and the stabilised inverse-propensity weight of every pair (Robins, Hernán & Brumback 2000).

    `pairs` are those the model was trained on, in the same order: each is judged by the network that never saw it.
    With `out_of_fold` False (the default, with an AssumptionWarning, where there are not as many) they are other pairs,
    and all networks judge them. `clip` bounds every weight by 1 / clip before scaling. Raises DataError for pairs without
    user or item, and SettingError for a `clip` outside (0, 1] or `out_of_fold` pairs that are not as many.
    """
    check_kind(model, OutcomeModel, "a model", "hand in what fit_outcome(pairs, adjust) returned")
    check_kind(pairs, BehaviourTable, "pairs", "hand in a table of unit ('user', 'item')")
    if not 0 < clip <= 1:
        raise SettingError(f"clip is {clip}; use a share of the arm above 0 and at most 1, such as 0.05")
    if set(pairs.keys.columns) != {"user", "item"}:
        raise DataError(f"the pairs have the keys {list(pairs.keys.columns)}; hand in a table of unit ('user', 'item')")
    check_names((model.treatment, model.outcome), pairs.names, what="column", where="the pairs")
    treated = pairs.complete([model.treatment])[:, 0]
    propensity = _propensity(model, pairs, out_of_fold)
    weight = stabilised_weights(propensity, treated, clip)
    arms = [effective_sample_size(weight[treated == arm]) for arm in (0, 1)]
    names = tuple(n for n in dict.fromkeys((*model.adjustment, *model.features)) if n in pairs.names)
    columns = {"user": pairs.keys["user"].to_numpy(), "item": pairs.keys["item"].to_numpy(), "treatment": treated}
    columns |= {"outcome": pairs.column(model.outcome), "propensity": propensity, "weight": weight}
    columns |= {name: pairs.column(name) for name in names if name not in COLUMNS}
    facts = {"adjustment": list(model.adjustment), "graph_sha256": graph_sha256, "clip": clip, "effective_n": arms}
    kept = tuple(name for name in names if name not in COLUMNS)
    return PairWeights(pd.DataFrame(columns), model.treatment, model.outcome, kept, {k: v for k, v in facts.items() if v is not None})


def _propensity(model: OutcomeModel, pairs: BehaviourTable, out_of_fold: bool | None) -> FloatArray:
    same = len(pairs) == len(model.propensity)
    if out_of_fold and not same:
        raise SettingError(f"{len(pairs):,} pairs, but the model was trained on {len(model.propensity):,}; leave out_of_fold out")
    if out_of_fold or (out_of_fold is None and same):
        return np.array(model.propensity)
    if out_of_fold is None:
        warnings.warn(
            f"{len(pairs):,} pairs, but the model was trained on {len(model.propensity):,}: all its networks judge them, also those that "
            "saw them; hand in the training pairs, or say out_of_fold=False",
            AssumptionWarning,
            stacklevel=3,
        )
    return model.predict_propensity(pairs)


def stabilised_weights(propensity: FloatArray, treated: FloatArray, clip: float) -> FloatArray:
    """Return P(T = t) / P(T = t | x) (n,), floored at `clip` × P(T = t) and scaled to average 1 within each arm."""
    floored = arm_propensities(propensity, treated, clip)
    arm = treated.astype(int)
    share = np.array([1 - treated.mean(), treated.mean()])
    weight = share[arm] / floored[np.arange(len(arm)), arm]
    for t in (0, 1):
        if (arm == t).any():
            weight[arm == t] /= weight[arm == t].mean()
    return np.asarray(weight)
