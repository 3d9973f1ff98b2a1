"""flopsearch: FLOP carried out by its authors' own package."""

from __future__ import annotations

from typing import Any

import numpy as np

from causalsem.behaviour import Moments
from causalsem.discovery.flop import FLOP
from causalsem.discovery.found import Found, Rules
from causalsem.discovery.orient import class_of
from causalsem.engines.pseudo_rows import penalty_for, pseudo_rows
from causalsem.errors import CausalSEMError, NotInstalledError, SettingError
from causalsem.graph.pdag import PDAG


def discover(data: Moments, settings: Any, rules: Rules) -> Found:
    """Return the class that flopsearch finds; its restarts take no seed, so that runs may differ."""
    if type(settings) is not FLOP:
        raise SettingError(f"flopsearch does not carry out {type(settings).__name__}; use FLOP, or engine='causalsem'")
    if not rules.silent:
        raise SettingError("flopsearch takes no knowledge, but some was given; use engine='causalsem', which honours it")
    try:
        import flopsearch
    except ImportError:
        raise NotInstalledError("flopsearch", need="engine='flopsearch'") from None
    rows = pseudo_rows(data)
    codes = np.asarray(flopsearch.flop(rows, penalty_for(data, rows, settings.penalty_discount), restarts=settings.restarts))
    dag = PDAG.from_matrices(codes == 1, (codes == 2) & (codes.T == 2)).extension()
    if dag is None:
        raise CausalSEMError("flopsearch returned a graph of which no DAG is a member; use engine='causalsem'")
    return class_of(dag, rules)
