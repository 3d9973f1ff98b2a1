"""StudyFile: a whole study in one TOML file: where the log is, the question, what is known, every choice."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from causalsem._cards import mimebundle
from causalsem.errors import SettingError
from causalsem.graph import Knowledge
from causalsem.identify import Query
from causalsem.pipeline.recipe import Recipe
from causalsem.pipeline.tables import Strict, checked, read_toml

if TYPE_CHECKING:
    from causalsem.behaviour import EventLog
    from causalsem.pipeline.study import Study


class LogTable(Strict):
    """[log]: the file and its columns, as `EventLog.read` takes them; a relative path starts at the study file's folder."""

    path: str | list[str]
    user: str = "user_id"
    item: str = "item_id"
    behaviour: str = "type"
    time: str = "ts"
    value: str | None = None
    propensity: str | None = None
    position: str | None = None
    platform: str | None = None
    behaviours: dict[str, str] | None = None
    stages: dict[str, str] | None = None
    extras: dict[str, str] | None = None
    start: Any = None
    end: Any = None
    duplicates: str = "drop"
    columns: list[str] | None = None


class QueryTable(Strict):
    """[query]: what is changed and what answers."""

    treatment: str | list[str]
    outcome: str


class KnowledgeTable(Strict):
    """[knowledge]: tiers, required and forbidden arrows."""

    tiers: list[list[str]] = Field(default_factory=list)
    required: list[tuple[str, str]] = Field(default_factory=list)
    forbidden: list[tuple[str, str]] = Field(default_factory=list)
    forbidden_within_tiers: bool = False


class Tables(Strict):
    """The tables of a study file."""

    log: dict[str, Any]
    query: dict[str, Any] | None = None
    knowledge: dict[str, Any] | None = None
    recipe: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StudyFile:
    """A study as a file tells it; `run()` carries it out."""

    log: LogTable
    query: Query | None
    knowledge: Knowledge | None
    recipe: Recipe
    folder: Path

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> StudyFile:
        """Return the study of a TOML file with tables [log], [query], [knowledge] and [recipe].

        Raises FileError or SettingError, naming the table and the key, and what it knows instead.
        """
        where = os.fspath(path)
        told = checked(Tables, read_toml(path), where)
        asked = None if told.query is None else checked(QueryTable, told.query, f"[query] of {where}")
        known = None if told.knowledge is None else checked(KnowledgeTable, told.knowledge, f"[knowledge] of {where}")
        return cls(
            log=checked(LogTable, told.log, f"[log] of {where}"),
            query=None if asked is None else Query(asked.treatment, asked.outcome),
            knowledge=None if known is None else Knowledge(**known.model_dump()),
            recipe=Recipe.from_dict(told.recipe, where=f"[recipe] of {where}"),
            folder=Path(path).resolve().parent,
        )

    def read(self, **columns: str | None) -> EventLog:
        """Return the log; `columns` that are not None replace those of the file."""
        from causalsem.behaviour import EventLog

        told = {**self.log.model_dump(exclude_none=True), **{name: column for name, column in columns.items() if column is not None}}
        given = told.pop("path")
        paths = [str(self.folder / one) for one in ([given] if isinstance(given, str) else given)]
        return EventLog.read(paths[0] if isinstance(given, str) else paths, **told)

    def run(self) -> Study:
        """Carry out the whole study; raises SettingError when the file asks no question."""
        from causalsem.pipeline.run import run

        if self.query is None:
            raise SettingError('the study file has no [query]; write treatment = "…" and outcome = "…" under it')
        return run(self.read(), self.query, knowledge=self.knowledge, recipe=self.recipe)

    _repr_mimebundle_ = mimebundle
