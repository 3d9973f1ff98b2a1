"""Every exception and warning that causalsem raises on purpose.

    CausalSEMError
    ├── InputError (ValueError)            what was handed in cannot be used
    │   ├── FileError                      a file is missing, unreadable or of another format
    │   ├── DataError                      rows or columns that break a promise
    │   │   ├── MomentsError               a covariance that no data could have
    │   │   └── NoRowsError                nothing is left to work on
    │   ├── UnknownNameError               a variable, column or behaviour nobody knows
    │   ├── SettingError                   a setting outside its range
    │   ├── ModelSyntaxError               model or graph text that does not parse
    │   ├── GraphError                     marks that are not a legal graph of its kind
    │   │   └── CycleError                 a directed cycle where none may be
    │   ├── KnowledgeError                 statements that contradict each other
    │   └── ForbiddenVariableError         a mediator, collider or descendant asked for as a control
    ├── NotIdentifiedError                 the road ends: data of this kind cannot answer
    ├── NotConvergedError                  an optimiser stopped before the answer
    ├── OverlapError                       some units could never have been treated (or untreated)
    ├── OutOfTimeError                     a time limit ended the work before anything was done
    ├── TrainingError                      a network could not be trained on
    └── NotInstalledError (ImportError)    an optional package is absent

    CausalSEMWarning (UserWarning)
    ├── DataWarning                        rows were dropped or repaired; the counts are said
    ├── AssumptionWarning                  the numbers stand only if a named assumption holds
    ├── ConvergenceWarning                 usable numbers, but not from a clean optimum
    └── EngineWarning                      an outside package did something the user should know

A message has three parts: what is wrong, where, what to do. Evidence is kept as attributes.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from numbers import Integral


class CausalSEMError(Exception):
    """The root of everything raised on purpose; `evidence` holds what the message rests on."""

    def __init__(self, message: str, **evidence: object) -> None:
        super().__init__(message)
        self.evidence = evidence

    def __getattr__(self, name: str) -> object:
        # Only called for names not found the ordinary way.
        evidence = self.__dict__.get("evidence", {})
        if name in evidence:
            return evidence[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")


class InputError(CausalSEMError, ValueError):
    """What was handed in cannot be used as it is."""


class FileError(InputError):
    """A file is missing, unreadable or of another format; `path` says which."""


class DataError(InputError):
    """Rows or columns break a promise; `columns` or `rows` say where."""


class MomentsError(DataError):
    """A mean or covariance that no data could have."""


class NoRowsError(DataError):
    """Nothing is left to work on."""


class UnknownNameError(InputError):
    """A name nobody knows; `name`, `known` and `suggestion` are its evidence."""

    def __init__(self, name: str, known: Iterable[str], what: str = "variable", where: str = "") -> None:
        known = tuple(str(k) for k in known)
        near = nearest_name(name, known)
        place = f" in {where}" if where else ""
        hint = f"did you mean {near!r}?" if near else f"use one of {shown(known)}"
        super().__init__(f"unknown {what} {name!r}{place}; {hint}", name=name, known=known, suggestion=near)


class SettingError(InputError):
    """A setting outside its range."""


class ModelSyntaxError(InputError):
    """Model or graph text that does not parse; `line`, `column` and `expected` say where."""


class GraphError(InputError):
    """Marks that are not a legal graph of its kind; `cycle` or `edge` says where."""


class CycleError(GraphError):
    """A directed cycle where none may be; `cycle` lists its nodes in order."""

    def __init__(self, cycle: Iterable[str], where: str = "the graph") -> None:
        cycle = tuple(cycle)
        path = " -> ".join((*cycle, cycle[0]))
        super().__init__(f"{where} has a directed cycle: {path}; remove or turn one of these arrows", cycle=cycle)


class KnowledgeError(InputError):
    """Statements that contradict each other; `pair` names the two variables."""


class ForbiddenVariableError(InputError):
    """A mediator, collider or descendant asked for as a control; `reasons` maps each to why."""


class NotIdentifiedError(CausalSEMError):
    """Data of this kind cannot answer; `query` and `open_path` (or `parameters`) are the evidence."""


class NotConvergedError(CausalSEMError):
    """An optimiser stopped before the answer; `partial` holds what it had."""


class OverlapError(CausalSEMError):
    """Some units could never have been treated (or untreated); `share` and `stratum` say which."""


class OutOfTimeError(CausalSEMError):
    """A time limit ended the work before anything was done; `seconds` is the limit."""


class TrainingError(CausalSEMError):
    """A network could not be trained on; `epoch` and `checkpoint` say where it stopped."""


class NotInstalledError(CausalSEMError, ImportError):
    """An optional package is absent; the message holds the install line."""

    def __init__(self, package: str, extra: str = "", need: str = "this") -> None:
        line = f"pip install 'causalsem[{extra}]'" if extra else f"pip install {package}"
        super().__init__(f"{need} needs {package}, which is not installed; run: {line}", package=package)


class CausalSEMWarning(UserWarning):
    """The root of every warning issued on purpose."""


class DataWarning(CausalSEMWarning):
    """Rows were dropped or repaired; the counts are in the message."""


class AssumptionWarning(CausalSEMWarning):
    """The numbers stand only if the named assumption holds."""


class ConvergenceWarning(CausalSEMWarning):
    """Usable numbers, but not from a clean optimum."""


class EngineWarning(CausalSEMWarning):
    """An outside package did something the user should know."""


def nearest_name(name: str, known: Collection[str]) -> str | None:
    """Return the known name nearest to `name`, or None when nothing is near."""
    folded = {k.casefold(): k for k in known}
    near = difflib.get_close_matches(str(name).casefold(), folded, n=1, cutoff=0.6)
    return folded[near[0]] if near else None


def shown(names: Iterable[str], most: int = 8) -> str:
    """Return names for a message: quoted, and cut after `most`."""
    names = [str(n) for n in names]
    head = ", ".join(repr(n) for n in names[:most])
    return f"[{head}, … {len(names) - most} more]" if len(names) > most else f"[{head}]"


def check_names(names: Iterable[str], known: Collection[str], what: str = "variable", where: str = "") -> None:
    """Raise UnknownNameError at the first name that is not known."""
    for name in names:
        if name not in known:
            raise UnknownNameError(name, known, what, where)


def check_kind(value: object, kinds: type | tuple[type, ...], what: str, cure: str, error: type[InputError] = SettingError) -> None:
    """Raise `error` when a value is none of the kinds: "a graph of type str; hand in a CausalGraph"."""
    if not isinstance(value, kinds):
        raise error(f"{what} of type {type(value).__name__}; {cure}")


def check_whole(value: object, name: str, least: int = 0) -> None:
    """Raise SettingError unless a setting is a whole number of `least` or more."""
    check_kind(value, Integral, name, "hand in a whole number")
    if value < least:  # type: ignore[operator]  # it is a number by now
        raise SettingError(f"{name}={value}; hand in a whole number of {least} or more")
