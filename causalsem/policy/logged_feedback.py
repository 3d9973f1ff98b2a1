"""LoggedFeedback: rounds of context, action shown, its probability, and what came of it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from causalsem._cards import mimebundle
from causalsem._values import FloatArray, IntArray, frozen, json_text, read_json, read_parquet, write_parquet, write_text
from causalsem.errors import DataError, NoRowsError, SettingError, UnknownNameError, shown

if TYPE_CHECKING:
    from causalsem.behaviour import EventLog

FORMAT = "causalsem-logged-feedback"
Labels = tuple[Any, ...]


@dataclass(frozen=True, slots=True, eq=False)
class LoggedFeedback:
    """The rounds of a logging policy: in context x it took action a with probability p, and saw the outcomes.

    `context` (n, d) numbers named by `context_names`; `action` (n,) codes into the labels `actions`; `outcomes` one
    numeric column per behaviour; `propensity` (n,) P(action | context) of the logging policy, in (0, 1], from the log
    or `estimated`. Optional: `action_features` (A, f), `position` (n,), `time` (n,), and `user` (n,) codes: rounds of
    one user are split together and judged as one cluster.
    """

    context: FloatArray
    action: IntArray
    outcomes: pd.DataFrame
    propensity: FloatArray
    actions: Labels = ()
    context_names: tuple[str, ...] = ()
    action_features: FloatArray | None = None
    action_feature_names: tuple[str, ...] = ()
    position: IntArray | None = None
    time: np.ndarray[Any, np.dtype[np.datetime64]] | None = None
    user: IntArray | None = None
    estimated: bool = False

    def __post_init__(self) -> None:
        context = frozen(self.context)
        if context.ndim != 2:
            raise DataError(f"context has shape {context.shape}; hand in (rounds, variables)")
        n = len(context)
        if n == 0:
            raise NoRowsError("the feedback has no rounds; check the filter, or that the log has exposure events")
        fill = object.__setattr__
        fill(self, "context", context)
        fill(self, "action", _codes(self.action, "action"))
        fill(self, "propensity", frozen(self.propensity))
        fill(self, "actions", tuple(self.actions) or tuple(range(int(self.action.max()) + 1)))
        fill(self, "context_names", tuple(self.context_names) or tuple(f"x{k}" for k in range(context.shape[1])))
        fill(self, "outcomes", self.outcomes.reset_index(drop=True).astype(np.float64))
        for name in ("position", "user"):
            if getattr(self, name) is not None:
                fill(self, name, _codes(getattr(self, name), name))
        if self.time is not None:
            fill(self, "time", frozen(self.time, "datetime64[us]"))
        features = np.empty((len(self.actions), 0)) if self.action_features is None else self.action_features
        fill(self, "action_features", frozen(features))
        fill(self, "action_feature_names", tuple(self.action_feature_names) or tuple(f"f{k}" for k in range(features.shape[1])))
        self._check(n)

    def _check(self, n: int) -> None:
        """Raise DataError for a length, label, propensity or missing number that breaks the promise."""
        for name in ("action", "outcomes", "propensity", "position", "time", "user"):
            column = getattr(self, name)
            if column is not None and len(column) != n:
                raise DataError(f"{name} has {len(column):,} rows for {n:,} contexts; hand in one per round")
        if len(self.context_names) != self.context.shape[1]:
            raise DataError(f"{len(self.context_names)} names for {self.context.shape[1]} context variables; name each")
        if self.features.shape != (len(self.actions), len(self.action_feature_names)):
            raise DataError(f"action features of shape {self.features.shape} for {len(self.actions):,} actions; one row per action")
        unknown = np.flatnonzero((self.action < 0) | (self.action >= len(self.actions)))
        if unknown.size:
            code = self.action[unknown[0]]
            text = f"action {code} in round {unknown[0]} is none of the {len(self.actions):,} actions"
            raise DataError(f"{text}; give codes from 0", rows=unknown[:8].tolist())
        wrong = np.flatnonzero(~((self.propensity > 0) & (self.propensity <= 1)))
        if wrong.size:
            first = f"{self.propensity[wrong[0]]} in round {wrong[0]}"
            text = f"{wrong.size:,} propensities are not in (0, 1], the first is {first}"
            raise DataError(f"{text}; drop those rounds or mend the log", rows=wrong[:8].tolist())
        if len(self.outcomes.columns) == 0 or len(set(self.outcomes.columns)) < len(self.outcomes.columns):
            raise DataError("outcomes need at least one column, each of its own name; name the behaviours that may follow a round")
        for what, names, values in self._number_blocks():
            bad = [name for name, column in zip(names, values.T, strict=True) if not np.isfinite(column).all()]
            if bad:
                raise DataError(f"missing or infinite values in {what} {shown(bad)}; impute or drop them first", columns=bad)

    def _number_blocks(self) -> list[tuple[str, Sequence[str], FloatArray]]:
        return [
            ("context", self.context_names, self.context),
            ("outcomes", list(self.outcomes.columns), self.outcomes.to_numpy()),
            ("action features", self.action_feature_names, self.features),
        ]

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        action: str,
        outcomes: Sequence[str],
        context: Sequence[str] = (),
        propensity: str | None = None,
        position: str | None = None,
        time: str | None = None,
        user: str | None = None,
        action_features: pd.DataFrame | None = None,
    ) -> LoggedFeedback:
        """Return the rounds of a DataFrame, one row each, such as Open Bandit's (action="item_id", outcomes=["click"], …).

        Context columns of text become one column per value ("column=value"). `action_features` is indexed by action,
        and with it every action it lists can be taken; else those seen can. Without `propensity` it is estimated.
        """
        from causalsem.policy.rounds import rounds_from_frame

        columns = {"action": action, "propensity": propensity, "position": position, "time": time, "user": user}
        context, outcomes = ((names,) if isinstance(names, str) else tuple(names) for names in (context, outcomes))
        return rounds_from_frame(frame, columns, context, outcomes, action_features)

    @classmethod
    def from_log(
        cls,
        log: EventLog,
        *,
        outcomes: Sequence[str] = (),
        context: Sequence[str] | None = None,
        exposure: str = "exposure",
        within: str | pd.Timedelta | None = None,
    ) -> LoggedFeedback:
        """Return one round per exposure event of the log: the item shown to a user of these traits, and what followed.

        A behaviour belongs to the last exposure of that user to that item before it (at most `within` earlier, such as
        "7D"). `context` names the user traits, all if None; item traits become action features. The log's propensity is
        P(this item | this user, this slot); where it has none, it is estimated and a warning says so.
        """
        from causalsem.policy.rounds import rounds_from_log

        return rounds_from_log(log, tuple(outcomes), context, exposure, within)

    @property
    def features(self) -> FloatArray:
        """The action features, shape (A, f), with f = 0 when there are none."""
        return np.empty((len(self.actions), 0)) if self.action_features is None else self.action_features

    @property
    def rounds(self) -> np.ndarray[Any, np.dtype[np.uint64]]:
        """A hash (n,) of each round's content, by which a policy knows the rounds it was learnt on."""
        columns: dict[str, Any] = {f"c{k}": column for k, column in enumerate(self.context.T)}
        columns |= {f"o{k}": self.outcomes.iloc[:, k].to_numpy() for k in range(self.outcomes.shape[1])}
        columns |= {"action": self.action, "propensity": self.propensity}
        columns |= {name: getattr(self, name) for name in ("position", "time", "user") if getattr(self, name) is not None}
        return np.asarray(pd.util.hash_pandas_object(pd.DataFrame(columns), index=False).to_numpy(), dtype=np.uint64)

    @property
    def fingerprint(self) -> str:
        """A short hash of all rounds in their order."""
        return hashlib.sha256(self.rounds.tobytes()).hexdigest()[:16]

    def __len__(self) -> int:
        return len(self.action)

    def take(self, index: Any) -> LoggedFeedback:
        """Return the feedback of some rounds: `index` is a boolean mask or round numbers."""
        optional = {name: getattr(self, name) for name in ("position", "time", "user")}
        some: Mapping[str, Any] = {name: None if values is None else values[index] for name, values in optional.items()}
        return replace(
            self,
            context=self.context[index],
            action=self.action[index],
            propensity=self.propensity[index],
            outcomes=self.outcomes.iloc[index],
            **some,
        )

    def split(self, share: float = 0.5, *, seed: int = 0) -> tuple[LoggedFeedback, LoggedFeedback]:
        """Return two disjoint parts, the first with about `share` of the rounds; a user's rounds stay together."""
        if not 0 < share < 1:
            raise SettingError(f"share is {share}; use a number between 0 and 1, such as 0.5")
        units = np.arange(len(self)) if self.user is None else self.user
        _, codes = np.unique(units, return_inverse=True)
        count = int(codes.max()) + 1
        first = round(share * count)
        if not 0 < first < count:
            raise SettingError(f"{count} users cannot be split at {share:g}; bring more users or another share")
        chosen = np.random.default_rng(seed).permutation(count)[:first]
        mask = np.isin(codes, chosen)
        return self.take(mask), self.take(~mask)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the rounds as Parquet, and the actions with their features as JSON beside it."""
        parts = [pd.DataFrame(self.context, columns=[f"context:{name}" for name in self.context_names])]
        parts += [self.outcomes.rename(columns=lambda name: f"outcome:{name}")]
        rest = {"action": self.action, "propensity": self.propensity}
        rest |= {name: getattr(self, name) for name in ("position", "time", "user") if getattr(self, name) is not None}
        write_parquet(path, pd.concat([*parts, pd.DataFrame(rest)], axis=1))
        about = {"format": FORMAT, "estimated": self.estimated, "actions": self.actions}
        about |= {"action_features": self.features, "action_feature_names": self.action_feature_names}
        write_text(Path(path).with_suffix(".json"), json_text(about))
        return Path(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> LoggedFeedback:
        """Return the feedback that `save` wrote."""
        about = read_json(Path(path).with_suffix(".json"), FORMAT)
        whole, _ = read_parquet(path)
        parts = {mark: [c for c in whole.columns if c.startswith(mark)] for mark in ("context:", "outcome:")}
        names = tuple(about["action_feature_names"])
        optional = {name: whole[name].to_numpy() for name in ("position", "time", "user") if name in whole.columns}
        return cls(
            context=whole[parts["context:"]].to_numpy(dtype=np.float64),
            action=whole["action"].to_numpy(),
            outcomes=whole[parts["outcome:"]].rename(columns=lambda name: name.removeprefix("outcome:")),
            propensity=whole["propensity"].to_numpy(),
            actions=tuple(about["actions"]),
            context_names=tuple(name.removeprefix("context:") for name in parts["context:"]),
            action_features=np.asarray(about["action_features"], dtype=np.float64).reshape(len(about["actions"]), len(names)),
            action_feature_names=names,
            estimated=bool(about["estimated"]),
            **optional,
        )

    def code(self, label: object) -> int:
        """Return the code of an action's label."""
        if label not in self.actions:
            raise UnknownNameError(str(label), [str(a) for a in self.actions], what="action")
        return self.actions.index(label)

    def __repr__(self) -> str:
        source = "estimated" if self.estimated else "logged"
        rates = ", ".join(f"{name} {rate:.3g}" for name, rate in self.outcomes.mean().items())
        size = f"{len(self):,} rounds, {len(self.actions):,} actions, context {shown(self.context_names)}"
        return f"LoggedFeedback({size}, {source} propensities; {rates})"

    _repr_mimebundle_ = mimebundle


def _codes(values: Any, name: str) -> IntArray:
    """Return whole numbers as int64, or say that they are none."""
    array = np.asarray(values)
    if array.dtype.kind == "f" and not (np.isfinite(array) & (array == np.round(array))).all():
        raise DataError(f"{name} holds numbers that are missing or not whole; give codes 0, 1, 2 …")
    if array.dtype.kind not in "iufb":
        raise DataError(f"{name} holds {array.dtype}, not codes; use LoggedFeedback.from_frame, which makes them")
    codes: IntArray = frozen(array, np.int64)
    return codes
