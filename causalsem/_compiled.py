"""compiled: machine code by numba where it is installed, plain Python where it is not (some GPU machines)."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

_plain = ContextVar("causalsem_plain", default=False)
# Seconds that machine code takes to load from disk, and to be translated.
LOADING, TRANSLATING = 0.25, 4.0
# Whether numba is here; asking does not import it.
COMPILED = importlib.util.find_spec("numba") is not None


def compiled(function: F) -> F:
    """Return the function as machine code, kept on disk between runs, or as it is where numba is missing: the same numbers, slower.

    The first use imports numba, so only modules that load on first use may ask for it.
    """
    return _translated(function, False)


def compiled_sums(function: F) -> F:
    """Return the function as `compiled` does, its sums and products in any order, so that several terms are taken at once.

    Finite numbers only.
    """
    return _translated(function, {"reassoc", "contract", "arcp", "nsz", "nnan", "ninf"})


def translating() -> bool:
    """Tell whether what `compiled` returns now is machine code, for those few functions that plain Python would word otherwise."""
    return COMPILED and not _plain.get()


def _translated(function: F, fastmath: bool | set[str]) -> F:
    if not translating():
        return function
    from numba import njit

    try:
        fast: F = njit(cache=True, nogil=True, fastmath=fastmath)(function)
    except RuntimeError:
        # Nowhere to keep it: translated anew in every process.
        fast = njit(nogil=True, fastmath=fastmath)(function)
    return fast


@cache
def plain(name: str) -> ModuleType:
    """Return a second copy of a module, all of whose compiled functions are plain Python: for work too small to load numba for."""
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    token = _plain.set(True)
    try:
        spec.loader.exec_module(module)
    finally:
        _plain.reset(token)
    return module


def machine_or_plain(name: str, entry: str, seconds: float) -> ModuleType:
    """Return a module of compiled functions, as machine code or plain, whichever is sooner done with `seconds` of plain work.

    Loading machine code takes a fraction of a second; translating it, when it is not on disk yet for the function
    `entry`, takes some.
    """
    if name not in sys.modules and seconds < LOADING:
        return plain(name)
    module = importlib.import_module(name)
    if seconds < TRANSLATING and COMPILED and not _ready(getattr(module, entry)):
        return plain(name)
    return module


def _ready(dispatcher: Any) -> bool:
    """Tell whether numba has translated a function in this process, or keeps it on disk."""
    if dispatcher.signatures:
        return True
    kept = dispatcher.stats.cache_path
    function = dispatcher.py_func
    return kept is not None and any(Path(kept).glob(f"{function.__module__.rsplit('.', 1)[-1]}.{function.__name__}-*.nbi"))
