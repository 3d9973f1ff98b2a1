"""How much of a causal order variances or R² give away: data that sort by them flatter methods that read scales."""

from __future__ import annotations

import numpy as np
import pandas as pd

from causalsem._values import BoolArray, FloatArray
from causalsem.behaviour import BehaviourTable, Moments, as_moments
from causalsem.errors import GraphError, check_names
from causalsem.graph import CausalGraph


def varsortability(graph: CausalGraph, data: Moments | BehaviourTable | pd.DataFrame) -> float:
    """Return the share of directed paths of a DAG along which variance grows (Reisach et al. 2021): 0.5 says nothing, 1 all.

    Near 1, sorting by variance finds the order, and methods that read scales (NOTEARS, DAGMA on raw data) look better than
    they are; standardise. A graph without arrows has 0.5. Raises GraphError unless the graph is a DAG.
    """
    moments = _of(graph, data)
    return sortability(np.diag(moments.covariance), graph.directed)


def r2_sortability(graph: CausalGraph, data: Moments | BehaviourTable | pd.DataFrame) -> float:
    """Return the share of directed paths of a DAG along which R² grows, each node's on all others (Reisach et al. 2023).

    Unlike variances, R² survives standardising. Raises as `varsortability`, and MomentsError for collinear variables.
    """
    moments = _of(graph, data).require_regular()
    return sortability(1 - 1 / np.diag(np.linalg.inv(moments.correlation)), graph.directed)


def sortability(value: FloatArray, dag: BoolArray) -> float:
    """Return the share of (pair, path length) combinations i … j of a DAG with value[i] < value[j]; ties count half."""
    sorted_by = np.sign(np.subtract.outer(value, value)).T
    close = np.isclose(value[:, None], value[None, :], rtol=1e-9)
    agrees = np.where(close, 0.5, (sorted_by + 1) / 2)
    reach, right, all_ = dag.copy(), 0.0, 0
    while reach.any():
        right += float(agrees[reach].sum())
        all_ += int(reach.sum())
        reach = (reach.astype(np.float32) @ dag.astype(np.float32)) > 0
    return right / all_ if all_ else 0.5


def _of(graph: CausalGraph, data: Moments | BehaviourTable | pd.DataFrame) -> Moments:
    if graph.kind != "DAG":
        raise GraphError(f"a {graph.kind} has no single causal order; hand in a DAG, such as to_dag(graph)")
    moments = as_moments(data)
    check_names(graph.nodes, moments.names, where="the data")
    return moments.select(graph.nodes)
