"""Tables of TOML files, checked by pydantic and answered in our own words."""

from __future__ import annotations

import dataclasses
import os
import tomllib
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import SchemaError

from causalsem._values import read_text
from causalsem.errors import FileError, SettingError, nearest_name, shown

T = TypeVar("T", bound=BaseModel)
MOST_KNOWN = 40  # keys a message lists


class Strict(BaseModel):
    """A table that takes no key it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def read_toml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what a TOML file holds; raises FileError when it does not parse."""
    try:
        return tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as why:
        raise FileError(f"{os.fspath(path)} is not TOML: {why}; see docs/guide.md for an example", path=Path(path)) from why


def checked(model: type[T], told: Mapping[str, Any], where: str) -> T:
    """Return the table as a model; raises SettingError naming the key, what is wrong with it and what is known."""
    try:
        return model.model_validate(dict(told))
    except ValidationError as why:
        raise wrong(why, where, list(model.model_fields)) from None


def require_known(told: Mapping[str, Any], known: typing.Iterable[str], where: str) -> None:
    """Raise SettingError at the first key that is not known."""
    known = list(known)
    for key in told:
        if key not in known:
            raise unknown_key(str(key), known, where)


def require_types(kind: type, told: Mapping[str, Any], where: str) -> None:
    """Raise SettingError where a value is not of its dataclass field's type; types that are no plain ones pass."""
    require_known(told, [f.name for f in dataclasses.fields(kind)], where)
    try:
        hints = typing.get_type_hints(kind)
    except NameError:  # a type imported for checkers only
        return
    for name, value in told.items():
        try:
            validator = TypeAdapter(hints[name], config=ConfigDict(arbitrary_types_allowed=True))
        except (PydanticUserError, SchemaError):  # a protocol, or another type that only its own class can judge
            continue
        try:
            validator.validate_python(value)
        except ValidationError as why:
            raise wrong(why, f"{where}, {name}", []) from None


def wrong(why: ValidationError, where: str, known: list[str]) -> SettingError:
    """Return the first of pydantic's complaints as our error."""
    first = why.errors()[0]
    place = [str(part) for part in first["loc"]]
    if first["type"] == "extra_forbidden":
        return unknown_key(place[-1], known if len(place) == 1 else [], ", ".join([where, *place[:-1]]))
    if first["type"] == "missing":
        return SettingError(f"{where} lacks {place[-1]!r}; write {place[-1]} = …", key=place[-1])
    at = " ".join([where, *place])
    return SettingError(f"{at}: {first['msg'].lower()}, not {first['input']!r}; correct it", key=place[-1] if place else "")


def unknown_key(key: str, known: list[str], where: str) -> SettingError:
    """Return the error for a key nobody knows."""
    near = nearest_name(key, known)
    hint = f"; did you mean {near!r}?" if near else ""
    return SettingError(f"{where} does not know {key!r}; it knows {shown(known, MOST_KNOWN)}{hint}", key=key, known=known, suggestion=near)
