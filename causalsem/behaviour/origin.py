"""Origin: what one row stands for (a user, an item, a pair of both), and which columns come before which."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from causalsem.errors import AssumptionWarning, MomentsError

Level = Literal["user", "item", "pair"]
ROWS: dict[Level, str] = {"user": "users", "item": "items", "pair": "user–item pairs"}


@dataclass(frozen=True, slots=True)
class Origin:
    """What a table tells of its rows and columns: the `unit` of a row ("user", "item", "pair"; "" unknown), and `tiers`."""

    unit: str = ""
    tiers: tuple[tuple[str, ...], ...] = ()

    def select(self, names: Iterable[str]) -> Origin:
        """Return the origin of some columns."""
        wanted = set(names)
        return Origin(self.unit, tuple(kept for tier in self.tiers if (kept := tuple(n for n in tier if n in wanted))))

    def __add__(self, other: Origin) -> Origin:
        """Return the origin of the rows of both; raises MomentsError where they tell different things."""
        for what in ("unit", "tiers"):
            mine, others = getattr(self, what), getattr(other, what)
            if mine and others and mine != others:
                raise MomentsError(f"shards disagree on the {what}: {mine} and {others}; give the tables of both the same")
        return Origin(self.unit or other.unit, self.tiers or other.tiers)


def level_of(unit: str | Iterable[str]) -> Level:
    """Return "user", "item" or "pair" for a unit as `behaviours` takes it, for a table's keys, or for such a word."""
    words = {unit} if isinstance(unit, str) else set(unit)
    if words in ({"user", "item"}, {"pair"}):
        return "pair"
    return "item" if words == {"item"} else "user"


def unit_told(provenance: Mapping[str, Any]) -> Level | None:
    """Return the unit of the rows that something was found on, as its provenance tells it; None where it does not."""
    told = provenance.get("unit") or ()
    words = {told} if isinstance(told, str) else set(told)
    return level_of(words) if words and words <= set(ROWS) else None


def warn_of_other_unit(provenance: Mapping[str, Any], unit: str | Iterable[str], *, stacklevel: int) -> None:
    """Warn when rows of `unit` meet a graph that was found on rows of another; silent where either is not known."""
    then = unit_told(provenance)
    if then is None or not unit or then == (now := level_of(unit)):
        return
    message = (
        f"the graph was found on rows that are {ROWS[then]}, but these rows are {ROWS[now]}: its arrows, and what they "
        f"ask to adjust for, need not hold for them; take unit {then!r} here too, or discover the graph on unit {now!r}"
    )
    warnings.warn(message, AssumptionWarning, stacklevel=stacklevel)
