"""Adjustment identification distance (Henckel, Würtzen & Weichwald 2024): how often a guessed graph misleads adjustment."""

from __future__ import annotations

from typing import Literal

from causalsem.errors import GraphError, SettingError, shown
from causalsem.graph import CausalGraph
from causalsem.graph.links import closure, flagged, members
from causalsem.identify.criterion import read
from causalsem.identify.optimal import optimal_set
from causalsem.identify.query import Query
from causalsem.identify.separators import BackDoor

Strategy = Literal["parents", "ancestors", "optimal"]


def adjustment_distance(guess: CausalGraph, truth: CausalGraph, *, strategy: Strategy = "optimal") -> int:
    """Return for how many ordered pairs the answer read off `guess` is wrong in `truth` (DAGs, CPDAGs or MPDAGs).

    The answer is: not amenable, no effect, or the set of `strategy`. It is wrong when `truth` disagrees on amenability,
    has an effect where the guess has none, or the set is not valid there. On DAGs "parents" gives the SID.
    """
    if strategy not in ("parents", "ancestors", "optimal"):
        raise SettingError(f"unknown strategy {strategy!r}; use 'parents', 'ancestors' or 'optimal'")
    differ = sorted(set(guess.nodes) ^ set(truth.nodes))
    if differ:
        raise GraphError(f"the graphs differ in nodes: {shown(differ)}; select the same nodes of both first")
    for graph in (guess, truth):
        if graph.kind not in ("DAG", "CPDAG", "MPDAG"):
            raise GraphError(f"the adjustment distance is between DAGs, CPDAGs or MPDAGs, not a {graph.kind}; hand in one of these")
    guess = guess.select(truth.nodes) if guess.nodes != truth.nodes else guess
    return sum(_wrong(guess, truth, Query(x, y), strategy) for x in truth.nodes for y in truth.nodes if x != y)


def _wrong(guess: CausalGraph, truth: CausalGraph, query: Query, strategy: Strategy) -> bool:
    ours, theirs = read(guess, query), read(truth, query)
    if ours.breach is not None or theirs.breach is not None:
        return (ours.breach is None) != (theirs.breach is None)
    (x,), (y,) = ours.xs, ours.ys
    if strategy == "parents" and y in guess.links.parents[x]:
        return theirs.has_effect
    if strategy != "parents" and not ours.has_effect:
        return theirs.has_effect
    if strategy == "parents":
        chosen = list(guess.links.parents[x])
    elif strategy == "ancestors":
        chosen = [k for k in members(closure(guess.links.parents, [x])) if k != x]
    else:
        chosen = optimal_set(ours) or []
    if any(theirs.forbidden[k] or k == y for k in chosen):
        return True
    return not BackDoor(theirs).separates(flagged(len(truth.nodes), chosen))
