"""VARLiNGAM: effects within a window and from earlier ones, from non-Gaussian noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from causalsem._values import FloatArray
from causalsem.behaviour import BehaviourTable
from causalsem.discovery.direct_lingam import causal_order
from causalsem.discovery.found import Found, Rules
from causalsem.discovery.known import known_of
from causalsem.discovery.lagged import lag_name
from causalsem.discovery.order import precedence
from causalsem.discovery.order_search import OrderSearch
from causalsem.discovery.scores import GaussianBIC, check_penalty
from causalsem.discovery.stack import Stack
from causalsem.errors import DataError
from causalsem.graph import CausalGraph, Knowledge
from causalsem.graph.causal_graph import ARROW, TAIL


@dataclass(frozen=True, slots=True, kw_only=True)
class VARLiNGAM:
    """DirectLiNGAM on the innovations of a vector autoregression (Hyvärinen, Zhang, Shimizu & Hoyer 2010).

    For tables that `lagged` makes: `var_lingam(table)`. Parents, lagged ones too, are chosen by the BIC of GES.
    """

    penalty_discount: float = 2.0

    consumes: ClassVar[str] = "rows"
    returns: ClassVar[str] = "DAG"
    assumes: ClassVar[tuple[str, ...]] = (
        "acyclic within a window",
        "no hidden confounders",
        "linear relations that stay the same",
        "non-Gaussian independent noise",
    )

    def __post_init__(self) -> None:
        check_penalty(self.penalty_discount)


def var_lingam(table: BehaviourTable, method: VARLiNGAM | None = None, *, knowledge: Knowledge | None = None) -> CausalGraph:
    """Return the DAG over now and earlier windows that VARLiNGAM finds in a table of `lagged`.

    Regressing now on earlier windows leaves innovations, whose order DirectLiNGAM finds; earlier columns come first, and
    there are no arrows among them. `knowledge` speaks about the variables now. Raises DataError for a table without
    lagged columns, missing values or collinear columns.
    """
    settings = method or VARLiNGAM()
    now = [name for name in table.names if lag_name(name, 1) in table.names]
    earlier = [name for name in table.names if name not in now]
    if not now:
        raise DataError("the table has no lagged columns, such as 'buy' and 'buy (1 before)'; make it by lagged(windows)")
    rows, past = table.complete(now), table.complete(earlier)
    rules = Rules.of(known_of(knowledge, table.origin.select(now)), now)
    order = causal_order(innovations(rows, past), precedence(rules))
    names = (*earlier, *now)
    found = _parents(np.hstack([past, rows]), len(earlier), order, rules, settings.penalty_discount)
    facts = {"method": "VARLiNGAM", "assumes": list(settings.assumes), "n": len(table), "order": [now[k] for k in order]}
    return CausalGraph(names, found.marks, found.kind, (), facts)


def innovations(now: FloatArray, past: FloatArray) -> FloatArray:
    """Return what is left of now (n, p) after regressing it on the past (n, q)."""
    design = np.column_stack([np.ones(len(past)), past])
    return np.asarray(now - design @ np.linalg.lstsq(design, now, rcond=None)[0])


def _parents(rows: FloatArray, q: int, order: list[int], known: Rules, penalty_discount: float) -> Found:
    """Return the DAG of an order of the variables now, after the q earlier ones, which have no parents."""
    p = rows.shape[1]
    forbidden, required = np.zeros((p, p), dtype=bool), np.zeros((p, p), dtype=bool)
    forbidden[:, :q] = True
    forbidden[q:, q:], required[q:, q:] = known.forbidden, known.required
    score = GaussianBIC(Stack(np.atleast_3d(np.corrcoef(rows, rowvar=False)).reshape(1, p, p), len(rows)), 0, penalty_discount)
    sequence = np.array([*range(q), *(q + k for k in order)], dtype=np.int64)
    to = OrderSearch(score, Rules(forbidden, required), passes=0.25).parents_of(sequence).parents.T
    return Found(np.where(to, ARROW, np.where(to.T, TAIL, 0)).astype(np.int8), "DAG")
