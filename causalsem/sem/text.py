"""A fitted model as text for other programs, and as a graph."""

from __future__ import annotations

import numpy as np

from causalsem.graph import CausalGraph, Kind, Mark
from causalsem.graph.causal_graph import Edge
from causalsem.sem.expressions import quoted
from causalsem.sem.matrices import RAM
from causalsem.sem.partable import ParameterTable, Row


def table_as_lavaan(table: ParameterTable) -> str:
    """Return lavaan text that states every parameter; exact with lavaan(…) and with preset="lavaan"."""
    lines = []
    for level in (1, 2) if table.two_level else (0,):
        mine = [r for r in table.rows if r.level == level]
        lines += [f"level: {level}"] if level else []
        keys = dict.fromkeys((r.lhs, r.op, r.rhs) for r in mine)
        lines += [_line([r for r in mine if (r.lhs, r.op, r.rhs) == key], table) for key in keys]
    lines += [str(r) for r in table.relations]
    return "\n".join(line for line in lines if line) + "\n"


def _line(rows: list[Row], table: ParameterTable) -> str:
    """Return one line for a parameter and all its groups; fixed causes are left to lavaan's fixed.x."""
    first = rows[0]
    if first.exo:
        return ""
    shared = {r.free for r in table.rows if r.free and sum(o.free == r.free for o in table.rows) > 1}
    words = [_modifier(r, shared) for r in rows]
    told = "" if not any(words) else (f"{words[0]}*" if len(words) == 1 else f"c({', '.join(w or 'NA' for w in words)})*")
    rhs = "1" if first.op == "~1" else quoted(first.rhs)
    return f"{quoted(first.lhs)} {'~' if first.op == '~1' else first.op} {told}{rhs}"


def _modifier(row: Row, shared: set[int]) -> str:
    if not row.free:
        return f"{row.value or 0.0:.17g}"
    if row.label and not row.label.startswith(".p"):
        return quoted(row.label)
    return f"p{row.free}" if row.free in shared else ""


def graph_of(ram: RAM) -> CausalGraph:
    """Return the graph of a model: arrows, bidirected edges, latent nodes; raises CycleError for a feedback model."""
    names = ram.names.all
    edges: list[Edge] = [(names[c], names[r], Mark.TAIL, Mark.ARROW) for r, c in np.argwhere(ram.arrows)]
    joined = {frozenset((a, b)) for a, b, _, _ in edges}
    x = set(ram.names.ov_x)
    for i, j in np.argwhere(np.tril(ram.spreads)):
        a, b = names[j], names[i]
        # Fixed causes covary freely, which is no claim of the model; a bow (arrow and bidirected edge) keeps its arrow.
        if not (a in x and b in x) and frozenset((a, b)) not in joined:
            edges.append((a, b, Mark.ARROW, Mark.ARROW))
    kind: Kind = "ADMG" if any(at == Mark.ARROW for _, _, at, _ in edges) else "DAG"
    return CausalGraph.from_edges(edges, names, kind=kind, latent=ram.names.lv)
