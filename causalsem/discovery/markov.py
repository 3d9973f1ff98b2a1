"""markov_check(): do the independences that a graph implies hold in rows it was not learnt from?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import kstest, norm

from causalsem._cards import mimebundle
from causalsem._values import BoolArray
from causalsem.behaviour import BehaviourTable, Moments, as_moments
from causalsem.discovery.blocks import BlockMoments
from causalsem.discovery.calibration import causal_order
from causalsem.discovery.discover import stacked
from causalsem.errors import GraphError, check_names
from causalsem.graph import CausalGraph
from causalsem.graph.marks import ARROW, TAIL, MarkArray
from causalsem.graph.pdag import PDAG, bits


@dataclass(frozen=True, slots=True, eq=False)
class MarkovCheck:
    """The tests of a graph's local independences: `table` has a, b, given, z and pvalue, the most doubtful first.

    `rejected` is the share of p-values below `alpha`, which the graph would make about `alpha`; `uniform` the p-value of
    their Kolmogorov–Smirnov test against the uniform distribution (tests share variables, so read it with care).
    """

    table: pd.DataFrame
    alpha: float
    rejected: float
    uniform: float

    def __repr__(self) -> str:
        head = f"MarkovCheck({len(self.table)} independences, {self.rejected:.1%} rejected at {self.alpha:g}, uniform p={self.uniform:.3g})"
        return f"{head}\n{self.table.head(8).to_string(index=False)}"

    _repr_mimebundle_ = mimebundle


def markov_check(graph: CausalGraph, data: Moments | BlockMoments | BehaviourTable | pd.DataFrame, *, alpha: float = 0.05) -> MarkovCheck:
    """Return tests of every node's independence of the nodes before it given its parents, on `data` held out from discovery.

    The graph is a DAG or a class of DAGs, of which one member is taken (all imply the same; Ramsey et al. 2024). `data` are
    moments or rows; block moments test blocks. Raises GraphError for a PAG, UnknownNameError for variables the data lack.
    """
    if graph.kind not in ("DAG", "CPDAG", "MPDAG"):
        raise GraphError(f"a {graph.kind} has no parents to condition on; check a DAG or a class of DAGs")
    moments = data if isinstance(data, BlockMoments) else as_moments(data)
    check_names(graph.nodes, moments.names, where="the held-out data")
    stack = stacked(moments.select(graph.nodes).require_regular())
    dag = member_of(graph.marks)
    rows, order = [], causal_order(dag)
    for place, node in enumerate(order):
        parents = np.flatnonzero(dag[:, node])
        given = tuple(graph.nodes[k] for k in parents)
        for other in (k for k in order[:place] if not dag[k, node]):
            z = float(stack.z(np.array([[0, other, node]]), parents.reshape(1, 1, -1))[0, 0])
            rows.append((graph.nodes[other], graph.nodes[node], given, z, float(2 * norm.sf(z))))
    table = pd.DataFrame(rows, columns=["a", "b", "given", "z", "pvalue"]).sort_values("pvalue", ignore_index=True, kind="stable")
    p = table["pvalue"].to_numpy()
    return MarkovCheck(table, alpha, float((p < alpha).mean()) if len(p) else 0.0, float(kstest(p, "uniform").pvalue) if len(p) else 1.0)


def member_of(marks: MarkArray) -> BoolArray:
    """Return a DAG [i, j] for i → j of the class that marks (p, p) show."""
    parents = PDAG.from_marks(marks).extension()
    if parents is None:
        # A class always has a member; a graph of contradictory knowledge might not, and then its arrows stand alone.
        return np.asarray((marks == ARROW) & (marks.T == TAIL))
    dag = np.zeros(marks.shape, dtype=bool)
    for child, mask in enumerate(parents):
        dag[list(bits(mask)), child] = True
    return dag
