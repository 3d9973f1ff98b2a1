"""CD-NOD: causal discovery from data whose mechanisms change with time or context, by causal-learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from causalsem._engines import load_engine
from causalsem.behaviour import BehaviourTable, Moments, as_table
from causalsem.behaviour.table import origin_of
from causalsem.discovery.contexts import with_contexts
from causalsem.discovery.discover import as_graph
from causalsem.discovery.found import Found, Rules
from causalsem.discovery.known import known_of
from causalsem.discovery.pc import check_alpha
from causalsem.graph import CausalGraph, Knowledge


@dataclass(frozen=True, slots=True, kw_only=True)
class CDNOD:
    """Discovery from heterogeneous data (Huang et al. 2020), carried out by causal-learn: `cd_nod(table, "week")`.

    With `kernel`, tests are KCI (a few hundred rows at most), else Fisher's z.
    """

    alpha: float = 0.05
    kernel: bool = False
    engine: str = "causal-learn"

    consumes: ClassVar[str] = "rows"
    returns: ClassVar[str] = "MPDAG"
    assumes: ClassVar[tuple[str, ...]] = ("acyclic", "no hidden confounders but functions of the context", "faithfulness")

    def __post_init__(self) -> None:
        check_alpha(self.alpha)


def cd_nod(
    data: BehaviourTable | pd.DataFrame, context: str, method: CDNOD | None = None, *, knowledge: Knowledge | None = None
) -> CausalGraph:
    """Return the graph over the variables and the context (a column of `data`: time, platform …) that CD-NOD finds.

    An arrow from the context says that a variable's mechanism changes with it. Nothing causes the context. Raises
    DataError for missing values, MomentsError for collinear columns, NotInstalledError without causal-learn.
    """
    settings = method or CDNOD()
    table = as_table(data)
    known = with_contexts([context], table.names, known_of(knowledge, origin_of(data)))
    names = (*(name for name in table.names if name != context), context)
    rows = table.complete(names)
    Moments.from_rows(rows, names).require_regular()
    found: Found = load_engine("cd_nod", settings.engine)(np.array(rows), settings.alpha, settings.kernel, Rules.of(known, names))
    return as_graph(found, names, len(rows), settings)
