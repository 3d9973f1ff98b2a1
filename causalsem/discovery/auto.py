"""Auto: the method and the representation that the kinds of the columns, their number and the assumptions ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from causalsem.behaviour import BehaviourTable, Moments, as_table
from causalsem.discovery.blocks import BlockMoments, mixed_moments
from causalsem.discovery.boss import BOSS
from causalsem.discovery.boss_fci import BOSSFCI
from causalsem.discovery.fci import FCI
from causalsem.discovery.forms import Form, form_of
from causalsem.discovery.kinds import VariableKind, variable_kinds
from causalsem.discovery.pc import PC, check_alpha
from causalsem.discovery.scores import check_penalty
from causalsem.errors import SettingError, shown

# Beyond so many variables an order search takes longer than most are ready to wait, and PC is taken.
MOST_FOR_ORDER_SEARCH = 150
# With no more rows than variables, tests are only made given this many others.
FEW_ROWS_CONDITIONING = 2
# On wider blocks an order search is slow: its time grows with the cube of the columns, and all blocks are as wide as the widest.
WIDEST_FOR_SCORES = 12

HOW = {
    "hurdle": "as blocks of whether and how much",
    "indicators": "as blocks of indicators",
    "log": "as log(1 + x)",
    "both": "as x and log(1 + x)",
    "scores": "as normal scores of their ranks",
    "plain": "as they are",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Auto:
    """Choose method and representation by kinds of columns, size and assumptions, and say why in `provenance["auto"]`.

    Zero-inflated counts enter as hurdle blocks and skewed columns as logarithms, unless the others speak for a plainer
    form (see `chosen_forms`), nominal columns as indicators (Andrews et al. 2019), heavy-tailed ones as normal scores
    (Liu et al. 2009), missing values by EM. BOSS finds the graph, or BOSSFCI with `hidden_causes`; PC or FCI where there are too many
    variables, too few rows, or nominal columns of many levels. `kinds` says what some columns are, as in
    `variable_kinds`. `penalty_discount`, `alpha` and `restarts` (of the order search) go to the method.
    """

    hidden_causes: bool = False
    kinds: Mapping[str, VariableKind] = field(default_factory=dict)
    penalty_discount: float = 2.0
    alpha: float = 0.01
    restarts: int = 5

    engine: ClassVar[str] = "causalsem"
    consumes: ClassVar[str] = "moments"
    returns: ClassVar[str] = "CPDAG"
    assumes: ClassVar[tuple[str, ...]] = ("those of the method it chooses",)

    def __post_init__(self) -> None:
        check_penalty(self.penalty_discount)
        check_alpha(self.alpha)
        if self.restarts < 0:
            raise SettingError(f"restarts is {self.restarts}; choose 0 or more")
        object.__setattr__(self, "kinds", dict(self.kinds))


@dataclass(frozen=True, slots=True)
class Choice:
    """What Auto chose: the moments to work on, the method, the kinds it saw, and why, in sentences."""

    data: Moments | BlockMoments
    method: Any
    kinds: Mapping[str, VariableKind]
    why: tuple[str, ...]

    @property
    def told(self) -> dict[str, Any]:
        """Return the choice as plain values."""
        told = {"method": type(self.method).__name__, "kinds": dict(self.kinds), "why": list(self.why)}
        return told | ({"forms": forms_of(self.data)} if self.kinds else {})


def choose(data: Moments | BlockMoments | BehaviourTable | pd.DataFrame, auto: Auto) -> Choice:
    """Return what Auto chooses for some data."""
    if isinstance(data, (Moments, BlockMoments)):
        method, why = _method(data, auto)
        return Choice(data, method, {}, ("moments tell no kinds of columns: they are used as they are", *why))
    table = as_table(data)
    said = {name: kind for name, kind in auto.kinds.items() if name in table.names}
    kinds = variable_kinds(table, said)
    ready = _plain_if_single(mixed_moments(table, kinds=said))
    method, why = _method(ready, auto)
    return Choice(ready, method, kinds, (*_how_columns_enter(ready, kinds), *_missing(table, ready), *why))


def forms_of(data: Moments | BlockMoments) -> dict[str, Form]:
    """Return how each variable is represented."""
    if isinstance(data, Moments):
        return dict.fromkeys(data.names, "plain")
    return {name: form_of(name, block) for name, block in zip(data.names, data.columns, strict=True)}


def _plain_if_single(blocks: BlockMoments) -> Moments | BlockMoments:
    """Return the plain moments when every variable is one column."""
    if any(len(block) > 1 for block in blocks.columns):
        return blocks
    m = blocks.moments
    return (
        Moments(blocks.names, m.n, m.mean, m.covariance, blocks.origin)
        if all(c[0] == n for c, n in zip(blocks.columns, blocks.names, strict=True))
        else blocks
    )


def _how_columns_enter(ready: Moments | BlockMoments, kinds: Mapping[str, VariableKind]) -> list[str]:
    ways: dict[tuple[str, str], list[str]] = {}
    for name, form in forms_of(ready).items():
        ways.setdefault((kinds[name], HOW[form]), []).append(name)
    return [f"{shown(names)} look {kind}: they enter {how}" for (kind, how), names in ways.items()]


def _missing(table: BehaviourTable, ready: Moments | BlockMoments) -> list[str]:
    names = [name for name in table.names if np.isnan(table.column(name)).any()]
    if not names:
        return []
    return [f"{shown(names)} have missing values: moments are those of EM, counted as {ready.n:,} of {len(table):,} rows"]


def _method(ready: Moments | BlockMoments, auto: Auto) -> tuple[Any, list[str]]:
    """Return the method, and why."""
    p = len(ready.names)
    columns = len(ready.moments.names) if isinstance(ready, BlockMoments) else p
    widest = max((len(block) for block in ready.columns), default=1) if isinstance(ready, BlockMoments) else 1
    cap = FEW_ROWS_CONDITIONING if ready.n <= columns else None
    tests = None
    if cap is not None:
        tests = f"{ready.n:,} rows for {columns} columns: tests given at most {cap} others"
    elif widest > WIDEST_FOR_SCORES:
        tests = f"a nominal column has {widest} indicators: tests, which are quicker on blocks so wide"
    elif p > MOST_FOR_ORDER_SEARCH:
        tests = f"{p} variables: tests, whose time grows least"
    if auto.hidden_causes:
        hidden = "hidden common causes are allowed"
        if tests is not None:
            return FCI(alpha=auto.alpha, max_conditioning=cap), [f"{hidden}; {tests} (FCI)"]
        method = BOSSFCI(alpha=auto.alpha, penalty_discount=auto.penalty_discount, restarts=auto.restarts)
        return method, [f"{hidden}: order search, then FCI (BOSSFCI)"]
    if tests is not None:
        return PC(alpha=auto.alpha, max_conditioning=cap), [f"{tests} (PC)"]
    return BOSS(penalty_discount=auto.penalty_discount), [
        f"{p} variables, no hidden causes assumed: the most accurate search at this size (BOSS)"
    ]
