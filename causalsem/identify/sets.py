"""What identification hands back: an AdjustmentSet, several of them, or a NullEffect."""

from __future__ import annotations

import html
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import overload

from causalsem._cards import mimebundle
from causalsem.errors import ForbiddenVariableError
from causalsem.graph import CausalGraph
from causalsem.graph.formats import graph_sha256
from causalsem.identify.query import Query

# Kinds of sets, in the words of the exported schema; "none" and "given" are never exported as identified.
KINDS = ("optimal", "minimal", "minimum", "min_cost", "parents", "canonical", "all")


@dataclass(frozen=True, slots=True)
class AdjustmentSet:
    """Variables whose adjustment identifies the total effect of a query in a graph, and what that rests on.

    `kind` says which of the valid sets this is, `forbidden` maps each variable that must never be a control to the
    reason, `assumptions` lists what must hold. An empty `variables` means: nothing needs adjusting.
    """

    query: Query
    variables: tuple[str, ...]
    kind: str
    criterion: str = "generalized_adjustment"
    forbidden: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    assumptions: tuple[str, ...] = field(default=(), compare=False, repr=False)
    graph: CausalGraph | None = field(default=None, compare=False, repr=False)
    cost: float | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "variables", tuple(sorted(self.variables)))

    @property
    def status(self) -> str:
        """Say "adjustment", or "unadjusted" for the naive comparison."""
        return "unadjusted" if self.kind == "none" else "adjustment"

    @property
    def treatments(self) -> tuple[str, ...]:
        """The treatments of the query."""
        return self.query.treatments

    @property
    def treatment(self) -> str:
        """The treatment, when there is one."""
        return self.query.treatment

    @property
    def outcome(self) -> str:
        """The outcome, when there is one."""
        return self.query.outcome

    @property
    def graph_sha256(self) -> str | None:
        """The hash of the graph's canonical text, or None for a set that no graph vouches for."""
        return None if self.graph is None else graph_sha256(self.graph)

    def without_adjustment(self) -> AdjustmentSet:
        """Return the same query with nothing adjusted for: the naive comparison, which no graph vouches for."""
        return replace(self, variables=(), kind="none", criterion="none", assumptions=(*self.assumptions, "no_confounding"), cost=None)

    def require_allowed(self, names: Iterable[str]) -> None:
        """Raise ForbiddenVariableError, with reasons, when adding `names` as controls would break the set."""
        names = list(dict.fromkeys(names))
        reasons = {name: self.forbidden[name] for name in names if name in self.forbidden}
        reasons |= {name: "the treatment itself" for name in names if name in self.treatments}
        if not reasons:
            reasons = self._opened_by(names)
        if reasons:
            told = ", ".join(f"{name!r} ({why})" for name, why in reasons.items())
            raise ForbiddenVariableError(f"not allowed as controls for {self.query}: {told}; leave them out", reasons=reasons)

    def _opened_by(self, names: list[str]) -> dict[str, str]:
        """Return the names that would open a path which the set blocks."""
        if self.graph is None or self.kind == "none":
            return {}
        from causalsem.identify.adjustment import is_valid_adjustment

        wide = [name for name in names if name in self.graph.nodes and name not in self.variables]
        if not wide or is_valid_adjustment(self.graph, self.query, {*self.variables, *wide}):
            return {}
        verdicts = {name: is_valid_adjustment(self.graph, self.query, {*self.variables, name}, explain=True) for name in wide}
        alone = {name: f"a collider: {verdict.reason}" for name, verdict in verdicts.items() if not verdict}
        return alone or dict.fromkeys(wide, "harmless alone, but together with the others it opens a path")

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str | Path:
        """Return the set as JSON text of the versioned schema, or write it to `path` and return that."""
        from causalsem.identify.export import set_json

        return set_json(self, path)

    @classmethod
    def from_json(cls, source: str | os.PathLike[str]) -> AdjustmentSet:
        """Return the recommended (else first) set of the first effect of a file or of JSON text."""
        from causalsem.identify.export import read_set

        return read_set(source)

    def __str__(self) -> str:
        return f"{self.query} | {{{', '.join(self.variables)}}}  ({self.kind.replace('_', '-')})"

    def _repr_html_(self) -> str:
        forbidden = "".join(f"<tr><td>{html.escape(name)}</td><td>{html.escape(why)}</td></tr>" for name, why in self.forbidden.items())
        adjusted = ", ".join(map(html.escape, self.variables)) or "nothing"
        assumed = ", ".join(word.replace("_", " ") for word in self.assumptions)
        return (
            f"<div><b>{html.escape(str(self.query))}</b>: adjust for <b>{adjusted}</b> ({html.escape(self.kind)})"
            f"<table><thead><tr><th>never adjust for</th><th>because it is</th></tr></thead><tbody>{forbidden}</tbody></table>"
            f"<small>assumes {html.escape(assumed)}</small></div>"
        )

    _repr_mimebundle_ = mimebundle


class AdjustmentSets(Sequence[AdjustmentSet]):
    """The adjustment sets of one kind, found as they are asked for, at most `limit` of them.

    `status` tells an empty sequence from another: "adjustment", "no_effect", "not_amenable" or "no_adjustment_set";
    `reason` says why in words; `truncated` whether there are more than `limit`.
    """

    def __init__(self, found: Iterator[AdjustmentSet], *, limit: int | None, status: str, reason: str) -> None:
        self._found = found
        self._known: list[AdjustmentSet] = []
        self._more = True
        self.limit, self.status, self.reason = limit, status, reason

    def _know(self, enough: Callable[[int], bool]) -> None:
        while self._more and not enough(len(self._known)):
            item = next(self._found, None)
            if item is None:
                self._more = False
            else:
                self._known.append(item)

    def _full(self, count: int) -> bool:
        return self.limit is not None and count >= self.limit

    @overload
    def __getitem__(self, at: int) -> AdjustmentSet: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[AdjustmentSet]: ...
    def __getitem__(self, at: int | slice) -> AdjustmentSet | Sequence[AdjustmentSet]:
        if isinstance(at, int) and at >= 0:
            self._know(lambda count: count > at or self._full(count))
        else:
            self._know(self._full)
        return self._within()[at]

    def _within(self) -> list[AdjustmentSet]:
        return self._known if self.limit is None else self._known[: self.limit]

    def __len__(self) -> int:
        self._know(self._full)
        return len(self._within())

    def __bool__(self) -> bool:
        self._know(lambda count: count > 0)
        return bool(self._known)

    @property
    def truncated(self) -> bool:
        """Tell whether there are more sets than `limit`."""
        if self.limit is None:
            return False
        limit = self.limit
        self._know(lambda count: count > limit)
        return len(self._known) > limit

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, (AdjustmentSets, list, tuple)) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # a sequence still being found has no hash

    def __str__(self) -> str:
        if not self:
            return f"no adjustment set ({self.status}): {self.reason}"
        return "\n".join(map(str, self)) + ("\n…" if self.truncated else "")

    __repr__ = __str__


@dataclass(frozen=True, slots=True)
class NullEffect:
    """No member of the class has a causal path from treatment to outcome: the effect is zero."""

    query: Query
    reason: str
    graph: CausalGraph = field(compare=False, repr=False)

    @property
    def status(self) -> str:
        """Say "no_effect"."""
        return "no_effect"

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str | Path:
        """Return the finding as JSON text of the versioned schema, or write it to `path` and return that."""
        from causalsem.identify.export import set_json

        return set_json(self, path)

    def __str__(self) -> str:
        return f"{self.query} = 0  ({self.reason})"

    _repr_mimebundle_ = mimebundle


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a set is valid; if not, the violated `condition`, the `reason` in words and a `witness` path."""

    valid: bool
    condition: str = ""
    reason: str = ""
    witness: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.valid

    def __str__(self) -> str:
        return "valid" if self.valid else f"not valid ({self.condition}): {self.reason}"

    _repr_mimebundle_ = mimebundle
