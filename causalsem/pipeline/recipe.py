"""Recipe: every choice of a study, as a value and as TOML."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from causalsem._cards import mimebundle
from causalsem._values import write_text
from causalsem.discovery import Auto
from causalsem.effects import AIPW
from causalsem.errors import SettingError, check_names
from causalsem.identify.adjustment import SetKind
from causalsem.networks import TwoTower
from causalsem.policy import MoreRobustDoublyRobust, PolicyGradient

# The choices that are methods, and the package whose names may stand for one in a file.
METHOD_HOME = {
    "discovery": "causalsem.discovery",
    "effect": "causalsem.effects",
    "network": "causalsem.networks",
    "loss": "causalsem.outcome",
    "learner": "causalsem.policy",
    "value": "causalsem.policy",
}
CHOSEN_SIZES = ("balance", "adversarial")
COUNTS = ("times", "folds", "top", "rounds", "most_users", "most_items")


@dataclass(frozen=True, slots=True)
class Recipe:
    """Every choice of a study; the defaults are those of a study of user–item pairs.

    unit, window, history: go to `behaviours`; variables: the columns of its table that take part (all, if none is named).
    discovery, times: the method that finds the graph, and on how many resamples it is repeated. `Auto` represents each
    column as its kind asks (logarithms, hurdle blocks …) and says so in the graph's provenance; the equations are fitted
    to the columns as they are, so that coefficients are per unit.
    kind: which adjustment set, as in `identify`.
    effect, folds: how the effect is estimated, and over how many folds nuisances are cross-fitted.
    network, loss: the outcome model (without any, what suits the data: see `fit_outcome`).
    stages: the behaviours from treatment to outcome and beyond that the outcome model has a head for, in order, or "all" that
    the graph places after the treatment (see `fit_outcome`); the outcome alone, if none is named.
    counterfactuals: whether rows drawn from the graph's equations may teach the outcome model, where its unseen folds say they help.
    balance, adversarial: whether the outcome model may hide from a critic who was treated, and learn against moved ids (see
    `TwoTower`), where its unseen folds say that it helps; both need two towers, which are then the network if none is named.
    holdout: the share of pairs it does not see, kept for ranking metrics.
    top: items kept per user in the file of scores.
    learner, value, reward: how a policy is learnt and valued, and what each behaviour is worth (without any:
    the query's outcome is worth 1); rounds: the most logged rounds used for it.
    seed: of every random choice.
    most_users, most_items: how many take part, those with the most events (all, if None): users × items is the size of a study.
    """

    unit: str | tuple[str, ...] = ("user", "item")
    window: tuple[str, str] | None = None
    history: str | None = None
    variables: tuple[str, ...] = ()
    discovery: Any = field(default_factory=Auto)
    times: int = 50
    kind: SetKind = "optimal"
    effect: Any = field(default_factory=AIPW)
    folds: int = 5
    network: Any = None
    loss: Any = None
    stages: tuple[str, ...] | str = ()
    counterfactuals: bool = False
    balance: bool = False
    adversarial: bool = False
    holdout: float = 0.2
    top: int = 20
    learner: Any = field(default_factory=PolicyGradient)
    value: Any = field(default_factory=lambda: MoreRobustDoublyRobust(clip="auto"))
    reward: Mapping[str, float] = field(default_factory=dict)
    rounds: int = 50_000
    seed: int = 0
    most_users: int | None = None
    most_items: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.holdout < 1:
            raise SettingError(f"holdout is {self.holdout}; give a share between 0 and 1")
        for name in COUNTS:
            if (chosen := getattr(self, name)) is not None and chosen < 1:
                raise SettingError(f"{name} is {getattr(self, name)}; give a number of at least 1")
        if isinstance(self.stages, str) and self.stages not in ("", "all"):
            raise SettingError(
                f"stages={self.stages!r} names no chain; list behaviours in order, such as ['browse', 'cart', 'buy'], or 'all'"
            )
        asked = [name for name in CHOSEN_SIZES if getattr(self, name)]
        if asked and not isinstance(self.network, TwoTower | None):
            raise SettingError(f"{asked[0]} needs two towers, not {self.network!r}; use TwoTower(), or leave out {asked[0]}")
        object.__setattr__(self, "reward", MappingProxyType(dict(self.reward)))
        # TOML has no tuples.
        for name in ("unit", "window", "variables", "stages"):
            if isinstance(getattr(self, name), list):
                object.__setattr__(self, name, tuple(getattr(self, name)))

    @property
    def outcome_network(self) -> Any:
        """The network of the outcome model, with the sizes that its unseen folds are to choose; None for what suits the data."""
        free = {name: "auto" for name in CHOSEN_SIZES if getattr(self, name) and not getattr(self.network, name, 0)}
        return dataclasses.replace(self.network or TwoTower(), **free) if free else self.network

    @property
    def named_stages(self) -> tuple[str, ...]:
        """The stages that are named one by one."""
        return () if isinstance(self.stages, str) else self.stages

    def to_dict(self) -> dict[str, Any]:
        """Return every choice that is not None as plain numbers, texts, lists and dictionaries; methods carry their name."""
        told = {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}
        return {name: value for name, value in told.items() if value is not None}

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write as TOML."""
        return write_text(path, _toml(self.to_dict()))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Recipe:
        """Return the recipe a TOML file holds; what it leaves out has its default. Raises as `from_dict`."""
        from causalsem.pipeline.tables import read_toml

        return cls.from_dict(read_toml(path), where=os.fspath(path))

    @classmethod
    def from_dict(cls, told: Mapping[str, Any], *, where: str = "the recipe") -> Recipe:
        """Return the recipe of plain values, as `to_dict` gives them; a method may be its name alone.

        Raises SettingError for a key nobody knows or a value of another type, UnknownNameError for an unknown method.
        """
        from causalsem.pipeline.tables import require_types

        require_types(cls, told, where)
        return cls(**{name: _method(name, value, where) if name in METHOD_HOME else value for name, value in told.items()})

    _repr_mimebundle_ = mimebundle


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        chosen = {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"method": type(value).__name__, **{name: v for name, v in chosen.items() if v is not None}}
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value


def _method(choice: str, told: Any, where: str) -> Any:
    """Return the settings value that a name, or a table with `method` and its settings, stands for."""
    from causalsem.pipeline.tables import require_types

    settings = {"method": told} if isinstance(told, str) else dict(told)
    home = importlib.import_module(METHOD_HOME[choice])
    known: dict[str, Any] = {name: value for name in home.__all__ if dataclasses.is_dataclass(value := getattr(home, name))}
    name = str(settings.pop("method", ""))
    check_names([name], known, what="method", where=f"[{choice}] of {where}")
    nested = {key: _method(choice, v, where) if isinstance(v, Mapping) and "method" in v else v for key, v in settings.items()}
    require_types(known[name], nested, f"[{choice}] of {where}")
    return known[name](**{key: tuple(v) if isinstance(v, list) else v for key, v in nested.items()})


def _toml(told: Mapping[str, Any]) -> str:
    """Return TOML text: plain keys first, then a table per dictionary. JSON's texts, numbers and arrays are TOML too."""
    plain = [f"{_key(name)} = {_toml_value(value)}" for name, value in told.items() if not isinstance(value, Mapping)]
    tables = [f"\n[{_key(name)}]\n{_toml_table(value)}" for name, value in told.items() if isinstance(value, Mapping)]
    return "\n".join([*plain, *tables]) + "\n"


def _toml_table(table: Mapping[str, Any]) -> str:
    return "\n".join(f"{_key(name)} = {_toml_value(value)}" for name, value in table.items())


def _toml_value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(name)} = {_toml_value(inner)}" for name, inner in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)


def _key(name: str) -> str:
    return name if name.isascii() and name.replace("_", "").replace("-", "").isalnum() else json.dumps(name, ensure_ascii=False)
