"""One kind of progress bar, shown on a terminal and in Jupyter and nowhere else."""

from __future__ import annotations

import contextlib
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sized
from contextvars import ContextVar
from typing import Any, TypeVar

T = TypeVar("T")

# Seconds after which work is long enough for a bar.
LONG = 1.0
_inside: ContextVar[bool] = ContextVar("inside_progress", default=False)


def progress(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Yield `items`; when that takes longer than a second and someone is there to see it, with a bar titled `what` on stderr.

    Loops inside the loop show none of their own.
    """
    if _inside.get() or not _watched():
        yield from items
        return
    if total is None and isinstance(items, Sized):
        total = len(items)
    begun, bar = time.monotonic(), None
    _inside.set(True)
    try:
        for done, item in enumerate(items):
            if bar is not None:
                bar.update()
            elif time.monotonic() - begun > LONG:
                bar = _tqdm()(desc=what, total=total, initial=done, leave=False)
            yield item
    finally:
        _inside.set(False)
        if bar is not None:
            bar.close()


@contextlib.contextmanager
def stages(total: int) -> Iterator[Callable[[str], None]]:
    """Yield a function that names the stage now begun and moves a bar of `total` stages on."""
    with _tqdm()(total=total, disable=not _watched(), bar_format="{desc:<32} {bar} {n_fmt}/{total_fmt} [{elapsed}]") as bar:
        begun: list[str] = []

        def begin(stage: str) -> None:
            bar.update(min(len(begun), 1))
            begun.append(stage)
            bar.set_description_str(stage)

        yield begin
        bar.update()


def _tqdm() -> Any:
    with warnings.catch_warnings():
        # In Jupyter without ipywidgets it warns, and draws a bar of text, which is fine.
        warnings.filterwarnings("ignore", message="IProgress not found")
        from tqdm.auto import tqdm
    return tqdm


def _watched() -> bool:
    return sys.stderr.isatty() or "ipykernel" in sys.modules
