"""compiled: machine code by numba where it is installed, plain Python where it is not (some GPU machines)."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from contextvars import ContextVar
from functools import cache
from types import ModuleType
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

_plain = ContextVar("causalsem_plain", default=False)
# Whether numba is here; asking does not import it.
COMPILED = importlib.util.find_spec("numba") is not None


def compiled(function: F) -> F:
    """Return the function as machine code, kept on disk between runs, or as it is where numba is missing: the same numbers, slower.

    The first use imports numba, so only modules that load on first use may ask for it.
    """
    if _plain.get():
        return function
    try:
        from numba import njit
    except ImportError:
        return function
    try:
        fast: F = njit(cache=True, nogil=True)(function)
    except RuntimeError:
        # Nowhere to keep it: translated anew in every process.
        fast = njit(nogil=True)(function)
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
