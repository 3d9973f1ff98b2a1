"""pgmpy (Ankan & Textor 2024): graphs handed over to it and back."""

from __future__ import annotations

from typing import Any

from causalsem.errors import NotInstalledError, SettingError
from causalsem.graph import CausalGraph


def to_pgmpy(graph: CausalGraph) -> Any:
    """Return a pgmpy.base.DAG of a DAG: the same nodes, arrows and latent nodes; raises SettingError for other kinds."""
    if graph.kind != "DAG":
        raise SettingError(f"pgmpy's DAG takes no {graph.kind}; hand in a DAG, or one of the class (to_dag)")
    try:
        from pgmpy.base import DAG
    except ImportError:
        raise NotInstalledError("pgmpy", need="graphs of pgmpy") from None
    out = DAG([edge[:2] for edge in graph.edges], latents=set(graph.latent))
    out.add_nodes_from([name for name in graph.nodes if name not in out.nodes])
    return out


def from_pgmpy(dag: Any) -> CausalGraph:
    """Return the graph of a pgmpy DAG (or of a model that is one)."""
    edges = [(str(a), str(b)) for a, b in dag.edges]
    return CausalGraph.from_edges(edges, [str(n) for n in dag.nodes], kind="DAG", latent=sorted(map(str, dag.latents)))
