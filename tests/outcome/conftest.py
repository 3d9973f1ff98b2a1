"""Worlds and questions shared by the tests of the outcome model."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from causalsem.identify import AdjustmentSet, Query
from causalsem.outcome.step import Step
from tests.outcome.worlds import World, make_world


@pytest.fixture(scope="session")
def world() -> World:
    return make_world()


@pytest.fixture(scope="session")
def small() -> World:
    return make_world(60, 20, seed=1)


@pytest.fixture(scope="session")
def adjust() -> AdjustmentSet:
    return AdjustmentSet(Query("shown", "buy"), ("activity", "mood", "popularity"), "optimal", forbidden={"cart": "a mediator"})


@pytest.fixture
def killed_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], AbstractContextManager[None]]:
    """Kill the training inside the block after so many steps, by KeyboardInterrupt."""

    @contextmanager
    def killing(steps: int) -> Iterator[None]:
        real, left = Step.__call__, [steps]

        def killed(self, rows):
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            return real(self, rows)

        with monkeypatch.context() as patch:
            patch.setattr(Step, "__call__", killed)
            yield

    return killing
