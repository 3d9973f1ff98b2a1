"""What a search hands back, and the knowledge it is handed, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from causalsem._values import BoolArray, FloatArray, frozen
from causalsem.errors import shown
from causalsem.graph import Knowledge
from causalsem.graph.causal_graph import Kind, MarkArray


@dataclass(frozen=True, slots=True, eq=False)
class Rules:
    """Knowledge about p variables as matrices: [i, j] tells whether i → j is `forbidden` or `required`."""

    forbidden: BoolArray
    required: BoolArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "forbidden", frozen(self.forbidden, np.bool_))
        object.__setattr__(self, "required", frozen(self.required, np.bool_))

    @classmethod
    def of(cls, knowledge: Knowledge | None, names: Sequence[str]) -> Rules:
        """Return what knowledge says about `names`; raises UnknownNameError."""
        if knowledge is None:
            return cls(np.zeros((len(names), len(names)), dtype=bool), np.zeros((len(names), len(names)), dtype=bool))
        return cls(knowledge.forbidden_matrix(names), knowledge.required_matrix(names))

    @property
    def silent(self) -> bool:
        """Tell whether nothing is forbidden or required."""
        return not (self.forbidden.any() or self.required.any())

    @property
    def apart(self) -> BoolArray:
        """Pairs that may share no edge at all."""
        return np.asarray(self.forbidden & self.forbidden.T)

    @property
    def joined(self) -> BoolArray:
        """Pairs that must share an edge."""
        return np.asarray(self.required | self.required.T)

    @property
    def forced(self) -> BoolArray:
        """[i, j] True when an edge between i and j can only be i → j."""
        return np.asarray((self.required | self.forbidden.T) & ~self.forbidden)


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What data say about DAGs: correlations R (p, p), how many independent rows they are worth, and what is known."""

    R: FloatArray
    n: float
    rules: Rules

    def __post_init__(self) -> None:
        object.__setattr__(self, "R", frozen(self.R))


@dataclass(frozen=True, slots=True, eq=False)
class Conflict:
    """A statement of the data that the graph could not take over: `what` with {0}, {1} … for the variables, `why`."""

    what: str
    nodes: tuple[int, ...]
    why: str

    def told(self, names: Sequence[str]) -> str:
        """Return the conflict in words."""
        quoted = [shown([names[k]])[1:-1] for k in self.nodes]
        return f"{self.what.format(*quoted)}: {self.why.format(*quoted)}"


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """The result of a search: end marks (p, p), the kind of graph they are, and what had to give way.

    `facts` are further lines for the graph's provenance.
    """

    marks: MarkArray
    kind: Kind
    conflicts: tuple[Conflict, ...] = ()
    facts: tuple[tuple[str, object], ...] = ()
