"""When factors are measured well enough to be treated like observed variables: the two-step rule (Bollen 1989)."""

from __future__ import annotations

import numpy as np

from causalsem._values import BoolArray
from causalsem.sem.half_trek import descendants
from causalsem.sem.matrices import RAM


def structural_part(ram: RAM, arrows: BoolArray, spreads: BoolArray) -> tuple[list[int], list[int]] | None:
    """Return the variables between which the structure holds (factors, and observed ones that are no pure indicator) and the indicators.

    None where some factor's measurement follows no simple rule. A pure indicator has a factor as its only cause, no
    effect, and an error of its own; a factor is measured when it is scaled and has three of them, or two and is tied
    to another variable.
    """
    p, q = ram.p, len(arrows)
    if p == q:
        return list(range(q)), []
    if ram.means and len(ram.m_row) > p:
        return None
    factors = range(p, q)
    alone = (arrows.sum(axis=1) == 1) & ~arrows.any(axis=0) & ~spreads.any(axis=1)
    indicators = [k for k in range(p) if alone[k] and arrows[k, p:].any()]
    kept = [k for k in range(q) if k not in indicators]
    inner_arrows, inner_spreads = arrows[np.ix_(kept, kept)], spreads[np.ix_(kept, kept)]
    reach = descendants(inner_arrows | inner_arrows.T | inner_spreads)
    for f in factors:
        mine = [k for k in indicators if arrows[k, f]]
        at = kept.index(f)
        tied = bool(np.delete(reach[at], at).any())
        if not _is_scaled(ram, f, mine) or len(mine) < (2 if tied else 3):
            return None
    return kept, indicators


def _is_scaled(ram: RAM, factor: int, indicators: list[int]) -> bool:
    """Tell whether a fixed loading or a fixed variance sets a factor's unit, and no more than one of them."""
    fixed = sum(ram.A0[k, factor] != 0 for k in indicators)
    variance_free = any(i == j == factor for i, j in zip(ram.s_row, ram.s_col, strict=True))
    return fixed == 1 if variance_free else fixed == 0 and ram.S0[factor, factor] != 0
