"""Progress bars: only where someone watches, only for long work, one at a time."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from causalsem import _progress
from causalsem._progress import progress


class Bars:
    """Stands in for tqdm and writes down what is shown."""

    def __init__(self) -> None:
        self.said: list[tuple[object, ...]] = []

    def __call__(self, *, desc: str, total: int | None, initial: int, leave: bool) -> Bars:
        self.said.append(("open", desc, total, initial))
        return self

    def update(self) -> None:
        self.said.append(("update",))

    def close(self) -> None:
        self.said.append(("close",))


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> Bars:
    bars = Bars()
    clock = iter(range(10_000))
    monkeypatch.setattr(_progress, "_tqdm", lambda: bars)
    monkeypatch.setattr(_progress, "_watched", lambda: True)
    monkeypatch.setattr(_progress, "time", SimpleNamespace(monotonic=lambda: 0.6 * next(clock)))
    return bars


def test_a_bar_comes_when_work_is_long_and_goes_at_the_end(bars: Bars) -> None:
    assert list(progress([10, 20, 30, 40], "restarts")) == [10, 20, 30, 40]
    assert bars.said == [("open", "restarts", 4, 1), ("update",), ("update",), ("close",)]


def test_quick_work_shows_none(bars: Bars) -> None:
    assert list(progress([10], "restarts")) == [10]
    assert bars.said == []


def test_a_loop_inside_a_loop_shows_none_of_its_own_and_the_next_one_does_again(bars: Bars) -> None:
    for _ in progress(iter("abc"), "outer"):
        assert list(progress(range(50), "inner")) == list(range(50))
    assert {line[1] for line in bars.said if line[0] == "open"} == {"outer"}
    for _ in progress(range(5), "left early"):
        break
    assert list(progress(range(4), "after"))
    assert bars.said[-4:] == [("open", "after", 4, 1), ("update",), ("update",), ("close",)]


def test_nobody_watching_nothing_shown(bars: Bars, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_progress, "_watched", lambda: False)
    assert list(progress(range(100), "restarts")) == list(range(100))
    assert bars.said == []
