"""Which variables knowledge puts before which in a causal order."""

from __future__ import annotations

import numpy as np

from causalsem._values import BoolArray
from causalsem.discovery.found import Rules


def reachable(directed: BoolArray) -> BoolArray:
    """Return [i, j] True when a directed path leads from i to j."""
    reach = directed.copy()
    while True:
        wider = reach | ((reach.astype(np.float32) @ reach.astype(np.float32)) > 0)
        if np.array_equal(wider, reach):
            return wider
        reach = wider


def precedence(rules: Rules) -> BoolArray:
    """Return [i, j] True when i has to come before j in a causal order.

    That is when required arrows lead from i to j, or when no allowed path leads from j to i though one leads from i
    to j (earlier tiers before later ones). One forbidden arrow alone orders nothing: a detour may be allowed.
    """
    if rules.silent:
        return np.zeros_like(rules.forbidden)
    allowed = reachable(~rules.forbidden & ~np.eye(len(rules.forbidden), dtype=bool))
    return np.asarray(reachable(rules.required) | (allowed & ~allowed.T))
