"""What commands take: the choices, arguments and options they share, and where a log comes from."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import typer


class Unit(StrEnum):
    """What one row of a behaviour table stands for."""

    user = "user"
    item = "item"
    pair = "pair"

    @property
    def columns(self) -> str | tuple[str, str]:
        """The unit as `behaviours` takes it."""
        return ("user", "item") if self is Unit.pair else self.value


class Dataset(StrEnum):
    """What `demo` can run on."""

    complete_journey = "complete-journey"
    shop = "shop"


class Language(StrEnum):
    """Languages of the report."""

    en = "en"
    zh = "zh"


class Kind(StrEnum):
    """Which adjustment set."""

    optimal = "optimal"
    minimal = "minimal"
    parents = "parents"
    all = "all"


SET_KINDS: dict[Kind, Literal["optimal", "minimal", "parents"]] = {
    Kind.optimal: "optimal",
    Kind.minimal: "minimal",
    Kind.parents: "parents",
    Kind.all: "optimal",
}


def unit_for(asked: Unit | None, provenance: Mapping[str, Any], usual: Unit) -> Unit:
    """Return the unit that is asked for, else that of the rows on which the graph was found, else the usual one."""
    from causalsem.behaviour.origin import unit_told

    return asked or Unit(unit_told(provenance) or usual)


LogFile = Annotated[Path, typer.Argument(help="Events: a CSV or Parquet file, a glob, or a study file (TOML) that names them.")]
LogOption = Annotated[Path | None, typer.Option("--log", help="Events: a CSV or Parquet file, or a glob.")]
GraphFile = Annotated[Path, typer.Argument(help="A graph written by `causalsem discover`.")]
AdjustFile = Annotated[Path, typer.Argument(help="An adjustment set written by `causalsem adjust -o`.")]
Treatment = Annotated[str, typer.Argument(help="The variable that is changed; several with commas.")]
Outcome = Annotated[str, typer.Argument(help="The variable that answers.")]
UnitOption = Annotated[Unit, typer.Option(help="What one row of the behaviour table stands for.")]
UnitFromFile = Annotated[Unit | None, typer.Option(help="What one row stands for; that of the graph, unless named.")]
KnowledgeOption = Annotated[Path | None, typer.Option("--knowledge", help="Tiers, required and forbidden arrows (TOML).")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Write the result here too.")]
Folder = Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of every random choice.")]


# The columns of a log, with the names they have unless an option or a study file says otherwise.
COLUMNS = {"user": "user_id", "item": "item_id", "behaviour": "type", "time": "ts"}
Command = Callable[..., None]


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """Where the events of a command come from: a file and the columns named by options, or a study file."""

    path: Path
    columns: dict[str, str | None]

    @property
    def study(self) -> Any:
        """The study file, or None where the path holds events."""
        from causalsem.pipeline import StudyFile

        return StudyFile.load(self.path) if self.path.suffix == ".toml" else None

    def events(self) -> Any:
        """Return the log."""
        from causalsem.behaviour import EventLog

        if self.path.suffix == ".toml":
            return self.study.read(**self.columns)
        named: dict[str, Any] = {name: self.columns[name] or usual for name, usual in COLUMNS.items()}
        return EventLog.read(str(self.path), **named)


def reads_log(command: Command) -> Command:
    """Return a command that takes a log file and its columns where `command` takes a Source; the options of a log live here."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    options = [
        inspect.Parameter(
            name, keyword, default=None, annotation=Annotated[str | None, typer.Option(help=f"Column of the {name}, {usual} unless named.")]
        )
        for name, usual in COLUMNS.items()
    ]

    def run(**given: Any) -> None:
        columns = {name: given.pop(name) for name in COLUMNS}
        command(**{**given, "log": Source(given["log"], columns) if given["log"] else None})

    own = inspect.signature(command, eval_str=True).parameters.values()
    logs = {True: LogFile, False: LogOption}
    taken = [p.replace(kind=keyword, annotation=logs[p.default is p.empty] if p.name == "log" else p.annotation) for p in own]
    run.__signature__ = inspect.Signature([*taken, *options])  # type: ignore[attr-defined]  # functions may carry one
    run.__annotations__ = {p.name: p.annotation for p in (*taken, *options)}
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    return run
