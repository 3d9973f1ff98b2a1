"""One small shop, and one study of it, for all tests of the pipeline."""

from __future__ import annotations

import pytest

import causalsem as cs

QUERY = cs.Query("exposure", "buy")


@pytest.fixture(scope="session")
def recipe() -> cs.Recipe:
    """A quick recipe: everything the default does, with fewer resamples."""
    return cs.Recipe(times=5, folds=2, effect=cs.IPW(), network=cs.TwoTower(dim=4, hidden=(8,)), counterfactuals=True, top=5, seed=3)


@pytest.fixture(scope="session")
def world() -> cs.simulate.ShopWorld:  # type: ignore[name-defined]
    """A shop of 300 users and 40 items."""
    return cs.simulate_shop(users=300, items=40, seed=5)


@pytest.fixture(scope="session")
def study(world, recipe) -> cs.Study:
    """The study of exposure → buy in that shop."""
    return cs.run(world.log, QUERY, recipe=recipe, truth=world.truth.lift("buy"))
