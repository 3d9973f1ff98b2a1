"""EdgeStability: how often each edge returns when the data are drawn again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from causalsem._cards import mimebundle
from causalsem._values import FloatArray, frozen, json_text, read_json, write_text
from causalsem.discovery.found import Evidence, Rules
from causalsem.discovery.orient import class_of, consensus_marks
from causalsem.errors import DataError, SettingError, check_names
from causalsem.graph import CausalGraph, Mark
from causalsem.graph.causal_graph import ARROW, CIRCLE, MARKS, NONE, Kind, MarkArray
from causalsem.graph.pdag import to_masks

FORMAT = "causalsem-edge-stability"
# Two marks of an edge as one letter each, in the order of the codes.
LETTERS = "-oat"


@dataclass(frozen=True, slots=True, eq=False)
class EdgeStability:
    """The graphs of `times` resamples: `marks` (times, p, p) holds their end marks, `kind` the kind of graph they are.

    Frequencies are shares of resamples; their Monte Carlo error is at most 0.5/√times. `evidence`, where the graphs are
    of linear Gaussian models without hidden causes, is what the data say, and `posterior` draws DAGs from it: how often
    a search returns an arrow is not how likely the arrow is, the share of these DAGs that have it is.
    """

    nodes: tuple[str, ...]
    marks: MarkArray
    kind: Kind = "CPDAG"
    provenance: Mapping[str, Any] = field(default_factory=dict)
    evidence: Evidence | None = field(default=None, repr=False)
    _drawn: dict[tuple[int, int], EdgeStability] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        nodes, marks = tuple(str(n) for n in self.nodes), frozen(self.marks, np.int8)
        if marks.ndim != 3 or marks.shape[1:] != (len(nodes), len(nodes)) or len(marks) == 0:
            raise DataError(f"{len(nodes)} nodes, but marks of shape {marks.shape}; hand in (times, {len(nodes)}, {len(nodes)}), times > 0")
        object.__setattr__(self, "nodes", nodes)
        object.__setattr__(self, "marks", marks)
        object.__setattr__(self, "provenance", MappingProxyType(dict(self.provenance)))

    @property
    def times(self) -> int:
        """How many resamples there are."""
        return len(self.marks)

    def share(self, at_source: Mark | str, at_target: Mark | str) -> FloatArray:
        """Return the (p, p) share of resamples whose edge i – j has these marks at i and at j."""
        source, target = MARKS.index(Mark(at_source)), MARKS.index(Mark(at_target))
        return np.asarray(((self.marks.transpose(0, 2, 1) == source) & (self.marks == target)).mean(axis=0))

    @property
    def present(self) -> FloatArray:
        """The (p, p) share of resamples with any edge between i and j."""
        return np.asarray((self.marks != NONE).mean(axis=0))

    @property
    def arrows(self) -> FloatArray:
        """The (p, p) share of resamples with i → j."""
        return self.share(Mark.TAIL, Mark.ARROW)

    def frequency(self, a: str, b: str) -> float:
        """Return how often a and b share any edge."""
        return float(self.present[self._index(a), self._index(b)])

    def arrow(self, a: str, b: str) -> float:
        """Return how often a → b."""
        return float(self.arrows[self._index(a), self._index(b)])

    def undirected(self, a: str, b: str) -> float:
        """Return how often a – b has no direction."""
        return float(self.share(Mark.TAIL, Mark.TAIL)[self._index(a), self._index(b)])

    def bidirected(self, a: str, b: str) -> float:
        """Return how often a ↔ b."""
        return float(self.share(Mark.ARROW, Mark.ARROW)[self._index(a), self._index(b)])

    def graph(self, k: int) -> CausalGraph:
        """Return the graph of resample k."""
        kind = self.kind
        if kind in ("CPDAG", "MPDAG"):
            # With knowledge a resample may be any of the three.
            kind = "MPDAG"
        return CausalGraph(self.nodes, self.marks[k], kind, (), {**self.provenance, "resample": k})

    def posterior(self, times: int = 500, *, seed: int = 0) -> EdgeStability | None:
        """Return DAGs drawn from the posterior given the evidence (see `graph_posterior`), or None without evidence.

        None, too, where the graphs are PAGs: no DAG of the observed variables holds hidden causes.
        The graphs of `graph_posterior` are such DAGs, and are returned as they are.
        """
        if self.kind == "DAG" and self.evidence is not None:
            return self
        if self.kind != "PAG" and self.evidence is not None and (times, seed) not in self._drawn:
            from causalsem.discovery.posterior import posterior_of

            self._drawn[times, seed] = posterior_of(self.evidence, self.nodes, times, seed)
        return self._drawn.get((times, seed))

    def classes(self) -> MarkArray:
        """Return the marks (times, p, p) of the class each DAG belongs to, within what the evidence holds as known."""
        if self.kind != "DAG" or self.evidence is None:
            raise SettingError("classes are those of DAGs; ask the posterior for them: stability.posterior().classes()")
        rules = self.evidence.rules
        return np.stack([class_of(to_masks(heads.T), rules).marks for heads in self.marks == ARROW])

    def table(self) -> pd.DataFrame:
        """Return one row per pair that ever shares an edge, the steadiest first: source, target and the shares.

        Columns: source, target, edge (any), forward (source → target), backward, undirected, bidirected, circle (any
        circle mark), absent. Of the two directions the more frequent one is told as forward.
        """
        arrows, present = self.arrows, self.present
        undirected, bidirected = self.share(Mark.TAIL, Mark.TAIL), self.share(Mark.ARROW, Mark.ARROW)
        circle = ((self.marks == CIRCLE) | (self.marks.transpose(0, 2, 1) == CIRCLE)).mean(axis=0)
        rows = []
        for a, b in np.argwhere(np.triu(present) > 0):
            i, j = (b, a) if arrows[b, a] > arrows[a, b] else (a, b)
            shares = (present, arrows, arrows.T, undirected, bidirected, circle, 1 - present)
            rows.append((self.nodes[i], self.nodes[j], *(float(share[i, j]) for share in shares)))
        columns = ["source", "target", "edge", "forward", "backward", "undirected", "bidirected", "circle", "absent"]
        return pd.DataFrame(rows, columns=columns).sort_values(["edge", "forward"], ascending=False, ignore_index=True, kind="stable")

    def consensus(self, threshold: float = 0.5) -> CausalGraph:
        """Return the graph of the edges in at least a share `threshold` of resamples, each with its most frequent marks.

        Arrows enter by their frequency; one that would close a directed cycle or rule out every DAG stays undirected.
        """
        if not 0 < threshold <= 1:
            raise SettingError(f"threshold is {threshold}; choose a share above 0 and at most 1, such as 0.5")
        marks, kind = consensus_marks(self.marks, threshold, self.kind)
        return CausalGraph(self.nodes, marks, kind, (), {**self.provenance, "consensus": threshold, "times": self.times})

    def selected(self, expected_false: float = 1.0) -> CausalGraph:
        """Return the consensus at the threshold that keeps the expected number of false edges at most `expected_false`.

        Stability selection (Meinshausen & Bühlmann 2010): of q edges a graph on average, among m pairs, a share π > ½
        of the graphs holds at most q² / ((2π − 1) m) wrong ones. Meant for `bootstrap(..., half=True)`. Raises
        SettingError when no threshold reaches that.
        """
        if not expected_false > 0:
            raise SettingError(f"expected_false is {expected_false}; choose a number of edges above 0")
        pairs = max(len(self.nodes) * (len(self.nodes) - 1) / 2, 1)
        mean = float(np.triu(self.present).sum())
        threshold = (mean**2 / (pairs * expected_false) + 1) / 2
        if threshold > 1:
            least = mean**2 / pairs
            raise SettingError(
                f"graphs of {mean:.1f} edges cannot promise {expected_false:g} false ones; ask for {least:.2g} or more, or a sparser method"
            )
        return self.consensus(threshold)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write as JSON: one text per resample, a letter per mark (- none, o circle, a arrow, t tail)."""
        letters = np.array(list(LETTERS))
        texts = ["".join(row) for row in letters[self.marks.reshape(self.times, -1)]]
        payload = {"format": FORMAT, "nodes": self.nodes, "kind": self.kind, "provenance": dict(self.provenance), "graphs": texts}
        if self.evidence is not None:
            rules = self.evidence.rules
            known = {"forbidden": np.argwhere(rules.forbidden).tolist(), "required": np.argwhere(rules.required).tolist()}
            payload["evidence"] = {"n": self.evidence.n, "correlation": self.evidence.R.tolist(), **known}
        return write_text(path, json_text(payload))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> EdgeStability:
        """Return what `save` wrote."""
        payload = read_json(path, FORMAT)
        p = len(payload["nodes"])
        marks = np.array([[LETTERS.index(letter) for letter in text] for text in payload["graphs"]], dtype=np.int8)
        evidence = _evidence(payload["evidence"], p) if "evidence" in payload else None
        return cls(tuple(payload["nodes"]), marks.reshape(-1, p, p), payload["kind"], payload["provenance"], evidence)

    def _index(self, name: str) -> int:
        check_names([name], self.nodes, where="the edge stability")
        return self.nodes.index(name)

    def __repr__(self) -> str:
        method = self.provenance.get("method", "graphs")
        return f"EdgeStability({method} on {self.times} resamples, {len(self.nodes)} nodes)\n{self.table().head(12).to_string(index=False)}"

    def _repr_html_(self) -> str:
        return self.table().to_html(notebook=True)

    _repr_mimebundle_ = mimebundle


def _evidence(told: Mapping[str, Any], p: int) -> Evidence:
    """Return the evidence that a file tells."""
    known = {}
    for key in ("forbidden", "required"):
        known[key] = np.zeros((p, p), dtype=np.bool_)
        for i, j in told[key]:
            known[key][i, j] = True
    return Evidence(np.array(told["correlation"]), float(told["n"]), Rules(**known))
