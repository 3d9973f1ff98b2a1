"""compiled: machine code by numba where it is installed, plain Python where it is not (some GPU machines)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

try:
    from numba import njit
except ImportError:
    COMPILED = False

    def compiled(function: F) -> F:
        """Return the function as it is: the same numbers, slower."""
        return function

else:
    COMPILED = True

    def compiled(function: F) -> F:
        """Return the function as machine code, kept on disk between runs; importing this module costs numba's import."""
        fast: F = njit(cache=True, nogil=True)(function)
        return fast
