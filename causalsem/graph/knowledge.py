"""Knowledge: what the user knows before any data speak: tiers, required and forbidden arrows."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from causalsem._cards import mimebundle
from causalsem._values import BoolArray, read_text, write_text
from causalsem.errors import FileError, KnowledgeError, check_names
from causalsem.graph.order import find_cycle

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Knowledge:
    """Background knowledge: a variable of a later tier never causes one of an earlier tier.

    `required` and `forbidden` hold pairs (cause, effect). With `forbidden_within_tiers`, variables of one tier do
    not cause each other either. A variable in no tier is free of order. Raises KnowledgeError naming the pair
    when two statements contradict each other.
    """

    tiers: tuple[tuple[str, ...], ...] = ()
    required: tuple[Pair, ...] = ()
    forbidden: tuple[Pair, ...] = ()
    forbidden_within_tiers: bool = False

    def __init__(
        self,
        tiers: Iterable[Sequence[str]] = (),
        required: Iterable[Sequence[str]] = (),
        forbidden: Iterable[Sequence[str]] = (),
        forbidden_within_tiers: bool = False,
    ) -> None:
        object.__setattr__(self, "tiers", tuple(_tier(tier) for tier in tiers))
        object.__setattr__(self, "required", tuple((str(a), str(b)) for a, b in required))
        object.__setattr__(self, "forbidden", tuple((str(a), str(b)) for a, b in forbidden))
        object.__setattr__(self, "forbidden_within_tiers", bool(forbidden_within_tiers))
        _check_consistent(self)

    @property
    def names(self) -> tuple[str, ...]:
        """Every variable that a statement names, in the order of first mention."""
        pairs = [name for pair in (*self.required, *self.forbidden) for name in pair]
        return tuple(dict.fromkeys([*(name for tier in self.tiers for name in tier), *pairs]))

    def tier_of(self, name: str) -> int | None:
        """Return the number of the variable's tier, or None when it is in none."""
        return next((k for k, tier in enumerate(self.tiers) if name in tier), None)

    def why_forbidden(self, cause: str, effect: str) -> str | None:
        """Return why `cause` → `effect` may not be, or None when it may."""
        if (cause, effect) in self.forbidden:
            return "forbidden by the user"
        if (effect, cause) in self.required:
            return f"the opposite arrow {effect} -> {cause} is required"
        early, late = self.tier_of(effect), self.tier_of(cause)
        if early is None or late is None:
            return None
        if late > early:
            return f"{cause} is in tier {late + 1}, {effect} in the earlier tier {early + 1}"
        if late == early and self.forbidden_within_tiers:
            return f"both are in tier {late + 1}, which allows no arrows"
        return None

    def forbidden_matrix(self, names: Sequence[str]) -> BoolArray:
        """Return the (p, p) matrix that is True at [i, j] when names[i] → names[j] may not be."""
        self.require_known(names)
        tier = np.array([-1 if (k := self.tier_of(name)) is None else k for name in names], dtype=np.int64)
        cause, effect = tier[:, None], tier[None, :]
        ordered = cause >= effect if self.forbidden_within_tiers else cause > effect
        backwards = self._pairs_matrix(names, self.required).T
        return np.asarray((ordered & (effect >= 0)) | backwards | self._pairs_matrix(names, self.forbidden))

    def required_matrix(self, names: Sequence[str]) -> BoolArray:
        """Return the (p, p) matrix that is True at [i, j] when names[i] → names[j] must be."""
        self.require_known(names)
        return self._pairs_matrix(names, self.required)

    @staticmethod
    def _pairs_matrix(names: Sequence[str], pairs: Iterable[Pair]) -> BoolArray:
        place = {name: k for k, name in enumerate(names)}
        matrix = np.zeros((len(place), len(place)), dtype=bool)
        for a, b in pairs:
            matrix[place[a], place[b]] = True
        return matrix

    def require_known(self, names: Sequence[str]) -> None:
        """Raise UnknownNameError, with the nearest name, at a statement about a variable not in `names`."""
        check_names(self.names, tuple(names), where="the knowledge")

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write as TOML."""
        statements = {"tiers": self.tiers, "required": self.required, "forbidden": self.forbidden}
        # JSON arrays of strings, and JSON's true and false, are TOML too.
        lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in statements.items()]
        lines.append(f"forbidden_within_tiers = {json.dumps(self.forbidden_within_tiers)}")
        return write_text(path, "\n".join(lines) + "\n")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Knowledge:
        """Return the knowledge a TOML file holds."""
        try:
            told = tomllib.loads(read_text(path))
        except tomllib.TOMLDecodeError as why:
            raise FileError(f"{os.fspath(path)} is not TOML: {why}", path=Path(path)) from why
        check_names(told, ("tiers", "required", "forbidden", "forbidden_within_tiers"), what="key", where=os.fspath(path))
        return cls(**told)

    _repr_mimebundle_ = mimebundle


def _tier(names: Sequence[str]) -> tuple[str, ...]:
    """Return a tier's names; a bare text would fall apart into its letters."""
    if isinstance(names, str):
        raise KnowledgeError(f"the tier {names!r} is a text, not a list of variables; write [{names!r}]", pair=(names, names))
    return tuple(names)


def _check_consistent(knowledge: Knowledge) -> None:
    places: dict[str, int] = {}
    for k, tier in enumerate(knowledge.tiers):
        for name in tier:
            if places.setdefault(name, k) != k:
                raise KnowledgeError(f"{name!r} is in tier {places[name] + 1} and in tier {k + 1}; keep one", pair=(name, name))
    for cause, effect in knowledge.required:
        if cause == effect:
            raise KnowledgeError(f"{cause!r} is required to cause itself; drop that pair", pair=(cause, effect))
        why = None if (effect, cause) in knowledge.required else knowledge.why_forbidden(cause, effect)
        if why:
            raise KnowledgeError(f"{cause!r} -> {effect!r} is required, but {why}; drop one of the two", pair=(cause, effect))
    names = knowledge.names
    required = np.array([[(a, b) in knowledge.required for b in names] for a in names], dtype=bool).reshape(len(names), len(names))
    cycle = find_cycle(required)
    if cycle is not None:
        path = " -> ".join(names[k] for k in [*cycle, cycle[0]])
        raise KnowledgeError(f"required arrows make a cycle: {path}; drop one of them", pair=(names[cycle[0]], names[cycle[-1]]))
