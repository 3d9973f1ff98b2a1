"""The parameter table: one row per parameter of the model, and the relations between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from causalsem.sem.syntax import Relation, Statement

Key = tuple[str, str, str]


@dataclass(slots=True)
class Row:
    """One parameter: `free` is the number of its parameter (0: fixed); `value` is the fixed value, or the start where one was given.

    `freed` marks NA*, which no automatic rule may undo; `exo` a moment of fixed causes, taken from the sample.
    """

    lhs: str
    op: str
    rhs: str
    user: bool
    group: int = 1
    free: int = 0
    exo: bool = False
    value: float | None = None
    label: str = ""
    plabel: str = ""
    lower: float | None = None
    upper: float | None = None
    freed: bool = False
    # 0 in a model of one level; with two, `group` counts blocks: within and between of group 1, of group 2 …
    level: int = 0

    @property
    def name(self) -> str:
        """The label, or lavaan's name of the coefficient: "buy~browse", "visual=~x2.g2"."""
        return self.label if self.label and not self.label.startswith(".p") else self.plain_name

    @property
    def plain_name(self) -> str:
        """lavaan's name of the coefficient, without regard to its label."""
        group = (self.group + 1) // 2 if self.level else self.group
        return f"{self.lhs}{self.op}{self.rhs}" + (".l2" if self.level > 1 else "") + (f".g{group}" if group > 1 else "")


@dataclass(frozen=True, slots=True)
class Names:
    """The variables of one group by role, in lavaan's order: `ov` observed, `lv` latent, `ov_x` fixed causes, `y` sinks."""

    ov: tuple[str, ...]
    lv: tuple[str, ...]
    ov_x: tuple[str, ...]
    ov_y: tuple[str, ...]
    lv_x: tuple[str, ...]
    lv_y: tuple[str, ...]
    formative: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """Observed, then latent."""
        return (*self.ov, *self.lv)


@dataclass(frozen=True, slots=True)
class ParameterTable:
    """The rows of all groups, their variables, and the relations between labels.

    `count` is the number of free rows' distinct parameters: rows that share a label share one.
    """

    rows: tuple[Row, ...]
    names: tuple[Names, ...]
    relations: tuple[Relation, ...]
    group_labels: tuple[str, ...]
    meanstructure: bool
    fixed_x: bool
    count: int = 0
    parameter_names: tuple[str, ...] = field(default=())
    # The ordered variables with their number of categories; `delta` is False under the theta parameterisation.
    levels: Mapping[str, int] = field(default_factory=dict)
    conditional_x: bool = False
    delta: bool = True
    two_level: bool = False

    @property
    def groups(self) -> int:
        """How many blocks the model has: groups, or groups times two levels."""
        return len(self.names)

    @property
    def block_labels(self) -> tuple[str, ...]:
        """A name for every block: the group's, the level's, or both."""
        if not self.two_level:
            return self.group_labels
        return tuple(f"{level} {group}".strip() for group in self.group_labels for level in ("within", "between"))

    def suffix(self, block: int) -> str:
        """Return what lavaan appends to names of a block (from 1): ".l2" between clusters, ".g2" in group 2."""
        group = (block + 1) // 2 if self.two_level else block
        return (".l2" if self.two_level and block % 2 == 0 else "") + (f".g{group}" if group > 1 else "")

    @property
    def defined(self) -> tuple[Relation, ...]:
        """The `:=` relations."""
        return tuple(r for r in self.relations if r.op == ":=")

    @property
    def constraints(self) -> tuple[Relation, ...]:
        """The `==`, `<` and `>` relations."""
        return tuple(r for r in self.relations if r.op != ":=")


def names_of(statements: Sequence[Statement]) -> Names:
    """Return the roles of a block's variables, as lavaan's vnames does."""
    lv = dict.fromkeys(s.lhs for s in statements if s.op in ("=~", "<~"))
    formative = tuple(dict.fromkeys(s.lhs for s in statements if s.op == "<~"))
    indicators = dict.fromkeys(s.rhs for s in statements if s.op == "=~")
    y = dict.fromkeys(s.lhs for s in statements if s.op == "~")
    x = dict.fromkeys(s.rhs for s in statements if s.op in ("~", "<~"))
    first = [n for n in indicators if n not in lv]
    second = [n for n in y if n not in lv and n not in indicators]
    third = [n for n in x if n not in lv and n not in indicators and n not in y]
    mentioned = dict.fromkeys(n for s in statements if s.op in ("~~", "~1", "~*~") for n in (s.lhs, s.rhs) if n)
    mentioned |= dict.fromkeys(s.lhs for s in statements if s.op == "|")
    extra = [n for n in mentioned if n not in lv and n not in first and n not in second and n not in third]
    touched = {n for s in statements if s.op in ("~~", "~1") for n in (s.lhs, s.rhs)}
    return Names(
        ov=(*first, *second, *third, *extra),
        lv=tuple(lv),
        ov_x=tuple(n for n in third if n not in touched),
        ov_y=tuple(n for n in y if n not in lv and n not in indicators and n not in x),
        lv_x=tuple(n for n in lv if n not in indicators and n not in y and n not in formative),
        lv_y=tuple(n for n in y if n in lv and n not in indicators and n not in x),
        formative=formative,
    )
