"""The table of discovery methods: one line each."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from causalsem.discovery.auto import Auto
from causalsem.discovery.boss import BOSS
from causalsem.discovery.boss_fci import BOSSFCI
from causalsem.discovery.dagma import DAGMA
from causalsem.discovery.direct_lingam import DirectLiNGAM
from causalsem.discovery.fci import FCI
from causalsem.discovery.flop import FLOP
from causalsem.discovery.found import Rules
from causalsem.discovery.ges import GES
from causalsem.discovery.grasp import GRaSP
from causalsem.discovery.ica_lingam import ICALiNGAM
from causalsem.discovery.notears import NOTEARS
from causalsem.discovery.pc import PC
from causalsem.discovery.rfci import RFCI
from causalsem.errors import InputError, UnknownNameError


class Method(Protocol):
    """Settings of a discovery method: what it consumes ("moments" or "rows"), returns (a graph kind) and assumes."""

    consumes: ClassVar[str]
    returns: ClassVar[str]
    assumes: ClassVar[tuple[str, ...]]

    @property
    def engine(self) -> str:
        """Who carries the method out: "causalsem" or an outside package."""


METHODS: dict[type[Any], str] = {
    PC: "causalsem.discovery.pc:search",
    GES: "causalsem.discovery.ges:search",
    BOSS: "causalsem.discovery.boss:search",
    FLOP: "causalsem.discovery.flop:search",
    GRaSP: "causalsem.discovery.grasp:search",
    FCI: "causalsem.discovery.fci:search",
    RFCI: "causalsem.discovery.rfci:search",
    BOSSFCI: "causalsem.discovery.boss_fci:search",
    DAGMA: "causalsem.discovery.dagma:search",
    NOTEARS: "causalsem.discovery.notears:search",
    DirectLiNGAM: "causalsem.discovery.direct_lingam:search",
    ICALiNGAM: "causalsem.discovery.ica_lingam:search",
}


def as_method(method: Method | str) -> Method:
    """Return settings: themselves, or the defaults of the method of that name ("GES", "direct_lingam", "auto" …)."""
    if isinstance(method, str):
        known: dict[str, type[Any]] = {_folded(settings.__name__): settings for settings in (*METHODS, Auto)}
        settings = known.get(_folded(method))
        if settings is None:
            raise UnknownNameError(method, [s.__name__ for s in (*METHODS, Auto)], "method", "discover")
        chosen: Method = settings()
        return chosen
    if type(method) not in METHODS and not isinstance(method, Auto):
        names = ", ".join(f"{s.__name__}()" for s in METHODS)
        raise InputError(f"{method!r} is not a discovery method; hand in one of {names}")
    return method


def own_search(method: Method) -> Callable[[Any, Any, Rules], Any]:
    """Return the function that carries a method out by our own means.

    With "moments" it takes a Stack and returns a list of Found, one for each data set; with "rows" it takes rows
    (n, p) and returns one Found.
    """
    module, function = METHODS[type(method)].split(":")
    found: Callable[[Any, Any, Rules], Any] = getattr(importlib.import_module(module), function)
    return found


def _folded(name: str) -> str:
    return name.replace("_", "").replace("-", "").replace(" ", "").casefold()
