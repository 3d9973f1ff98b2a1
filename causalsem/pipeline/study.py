"""Study: everything a run made, and the folder it is saved as."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd

from causalsem._cards import mimebundle
from causalsem.behaviour import BehaviourTable, EventLog, Moments
from causalsem.discovery import Auto, BlockMoments, EdgeStability
from causalsem.discovery.auto import choose
from causalsem.effects import Balance, Estimate, EValue, Overlap, Refutation, RobustnessValue
from causalsem.graph import CausalGraph, Knowledge
from causalsem.identify import AdjustmentSet, Query, export_adjustment_sets
from causalsem.identify.document import UNIT_OF_ROWS
from causalsem.outcome import OutcomeModel
from causalsem.pipeline.exports import weights_block
from causalsem.pipeline.recipe import Recipe
from causalsem.policy import Policy
from causalsem.recommend import PairWeights, Scores, pair_weights
from causalsem.sem import SEMFit

SENSITIVITY: Mapping[type, str] = {EValue: "e_value", RobustnessValue: "robustness_value"}


def hold_out(table: BehaviourTable, share: float, seed: int) -> tuple[BehaviourTable, BehaviourTable]:
    """Return (train, test): a random `share` of the rows is kept out of training."""
    kept = np.random.default_rng(seed).random(len(table)) >= share
    return table.rows(kept), table.rows(~kept)


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """Everything a run made, each value as the public step returned it.

    `naive` and `estimate` are the effect without and with adjustment; `checks` the attempts to prove it wrong;
    `metrics` compares the debiased ranking with popularity on held-out pairs; `policy` and `policy_values` are
    empty when the log has no exposures to learn from. `truth` is the known effect of simulated data, if any. `left_out`
    counts the users, items and events that the recipe's cut of the log left out.
    """

    query: Query
    knowledge: Knowledge
    recipe: Recipe
    log: EventLog
    table: BehaviourTable
    moments: Moments
    graph: CausalGraph
    stability: EdgeStability
    fit: SEMFit
    adjustment: AdjustmentSet
    naive: Estimate
    estimate: Estimate
    overlap: Overlap | None
    balance: Balance | None
    checks: tuple[EValue | RobustnessValue | Refutation, ...]
    model: OutcomeModel
    scores: Scores
    popularity: Scores
    metrics: pd.DataFrame
    policy: Policy | None = None
    policy_values: Mapping[str, Estimate] = field(default_factory=dict)
    truth: float | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("policy_values", "left_out"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    @property
    def answer(self) -> pd.DataFrame:
        """Naive, debiased and (where it is known) true effect side by side: columns value, low, high (95 %)."""
        rows = {"naive": (self.naive.value, *self.naive.interval), "debiased": (self.estimate.value, *self.estimate.interval)}
        if self.truth is not None:
            rows["true"] = (self.truth, np.nan, np.nan)
        return pd.DataFrame.from_dict(rows, orient="index", columns=["value", "low", "high"])

    @property
    def seen(self) -> Moments | BlockMoments:
        """The moments in which discovery saw the table: as Auto chose to represent its columns, else the plain ones."""
        method, of_table = self.recipe.discovery, self.moments.names == self.table.names
        return choose(self.table, method).data if isinstance(method, Auto) and of_table else self.moments

    @property
    def weights(self) -> PairWeights:
        """Propensity and weight of every pair that the outcome model was trained on, each judged by a network that never saw it."""
        train, _ = hold_out(self.table, self.recipe.holdout, self.recipe.seed)
        return pair_weights(self.model, train, graph_sha256=self.adjustment.graph_sha256)

    def report(self, path: str | os.PathLike[str], *, language: str = "en") -> Path:
        """Write the study as one offline HTML file, in "en" or "zh"; return its path."""
        from causalsem.pipeline.findings import findings
        from causalsem.report import write_report

        return write_report(findings(self, language), path, language=language)  # type: ignore[arg-type]  # checked there

    def save(self, folder: str | os.PathLike[str], *, language: str = "en") -> dict[str, Path]:
        """Write every result into a folder (made if absent) and return the paths by name; a file is whole or untouched."""
        home = Path(folder)
        home.mkdir(parents=True, exist_ok=True)
        writers = {
            "report.html": lambda path: self.report(path, language=language),
            "graph.json": self.graph.save,
            "sem.json": self.fit.save,
            "adjustment_sets.json": self._save_sets,
            "scores.parquet": self.scores.top(self.recipe.top).save,
            "weights.parquet": self.weights.save,
            "recipe.toml": self.recipe.save,
            "knowledge.toml": self.knowledge.save,
        }
        if self.policy is not None:
            writers["policy.json"] = self.policy.save
        for name, write in writers.items():
            write(home / name)
        return {name: home / name for name in writers}

    def _save_sets(self, path: Path) -> Path:
        facts = {name: self._facts(name) for name in self.graph.observed}
        return export_adjustment_sets(
            self.graph,
            [self.query],
            path,
            variables=facts,
            stability=self.stability,
            moments=self.moments,
            tests=self.seen,
            sensitivity={SENSITIVITY[type(one)]: one.point for one in self.checks if isinstance(one, EValue | RobustnessValue)},
            weights=weights_block(self.weights, "weights.parquet"),
        )

    def _facts(self, name: str) -> dict[str, str]:
        """Return the unit a variable is measured on and, when tiers put it before the treatment, that event."""
        facts = {"unit": UNIT_OF_ROWS[self.table.levels[name]]}
        tier, treated = self.knowledge.tier_of(name), [self.knowledge.tier_of(x) for x in self.query.treatments]
        if tier is not None and all(later is not None and tier < later for later in treated):
            facts["as_of"] = ", ".join(self.query.treatments)
        return facts

    def __repr__(self) -> str:
        return f"Study: {self.adjustment}: naive {self.naive.value:.4g}, debiased {self.estimate.value:.4g}"

    def _repr_html_(self) -> str:
        from causalsem.report import explore

        graph = explore(self.graph, tiers=self.knowledge.tiers or None, fit=self.fit, stability=self.stability, adjustment=self.adjustment)
        return f"<p>{escape(repr(self))}</p>{self.answer.to_html(float_format='{:.4g}'.format)}{graph._repr_html_()}"

    _repr_mimebundle_ = mimebundle
