"""How long a search may run: a time limit or Ctrl-C ends it early, and what it has by then is its result."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from types import FrameType
from typing import Any, TypeVar

from causalsem._progress import progress
from causalsem.errors import SettingError

T = TypeVar("T")


@dataclass(slots=True)
class Budget:
    """Until when searches run, and why they stopped early, if they did."""

    deadline: float = float("inf")
    stopped: str = ""


_current: ContextVar[Budget | None] = ContextVar("budget", default=None)


@contextlib.contextmanager
def budget(seconds: float | None) -> Iterator[Budget]:
    """Give the searches inside a time limit, and let the first Ctrl-C end them as it does; a second one raises.

    Inside another budget the earlier deadline holds. Raises SettingError unless seconds are positive.
    """
    if seconds is not None and not seconds > 0:
        raise SettingError(f"seconds is {seconds}; give a time limit above 0, or None")
    outer = _current.get()
    if outer is not None and seconds is None:
        yield outer
        return
    own = Budget(time.monotonic() + seconds if seconds is not None else float("inf"))
    if outer is not None:
        own.deadline = min(own.deadline, outer.deadline)
    token = _current.set(own)
    try:
        with _first_interrupt_stops(own):
            yield own
    finally:
        _current.reset(token)


def out_of_time() -> bool:
    """Tell a search to return what it has."""
    own = _current.get()
    if own is None:
        return False
    if not own.stopped and time.monotonic() > own.deadline:
        own.stopped = "time limit"
    return bool(own.stopped)


def while_in_time(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Yield items with a progress bar until there are no more or time is up."""
    for item in progress(items, what, total):
        if out_of_time():
            return
        yield item


@contextlib.contextmanager
def _first_interrupt_stops(own: Budget) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        # Handlers can only be set in the main thread, and one set by the user is theirs.
        yield
        return

    def stop(number: int, frame: FrameType | None) -> Any:
        if own.stopped:
            signal.default_int_handler(number, frame)
        own.stopped = "interrupted"

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
