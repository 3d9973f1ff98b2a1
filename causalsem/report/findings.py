"""Findings: what a report is made of; every part but the question, the graph and the settings may be missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pandas as pd

from causalsem.errors import DataError, shown
from causalsem.graph import CausalGraph, Knowledge
from causalsem.report.layout import Tiers

if TYPE_CHECKING:
    from causalsem.discovery import EdgeStability
    from causalsem.effects import Estimate
    from causalsem.effects.diagnostics import Balance, Overlap
    from causalsem.identify import AdjustmentSet, NullEffect, Query
    from causalsem.sem import SEMFit

RANKING = ("item", "naive_rank", "debiased_rank")


@dataclass(frozen=True, slots=True)
class Check:
    """One attempt to prove the answer wrong.

    `name` says what was tried ("E-value", "placebo treatment"), `result` the number or verdict in a few characters,
    `passed` whether the answer survived (None: a number to weigh, neither passed nor failed), `words` what it means.
    `chinese_name` and `chinese_words` are shown on the Chinese page; without them it says the English ones.
    """

    name: str
    result: str
    passed: bool | None = None
    words: str = ""
    chinese_name: str = ""
    chinese_words: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """Everything a report shows.

    Needed:
        title: what the study is called, one line.
        query: the treatment(s) and the outcome.
        graph: the causal graph the answer rests on.
        settings: every choice by name (seed, method, number of bootstraps …), as plain values.
    Optional, each shown as "not part of this study" when None or empty:
        tiers: variables by tier, earliest first; a mapping gives each tier its title. Default: the tiers of `knowledge`.
        knowledge: what was known before the data; tells forced arrows from found ones.
        stability: how often bootstraps found each edge.
        fit: the structural equation model of `graph`.
        adjustment: the set the effect was adjusted for, with forbidden variables and their reasons; or NullEffect.
        estimates: label → Estimate of the effect of the query; "naive", "adjusted" and "debiased" are known labels, the
            last one listed is the answer.
        truth: label → the true value where data are simulated, labels of `estimates` or `policy_values`, or "effect"
            for the effect of the query.
        overlap, balance: of the propensities and adjustment variables behind the answer.
        sensitivity: checks of the answer, in the order to show.
        metrics: rank metrics, one row per scorer (index: its name), one column per metric.
        ranking: columns item, naive_rank, debiased_rank (1 is first), and optionally popularity (any increasing measure).
        stages: behaviour → its average chance without and with the treatment and the standard error of the difference, in the order of
            the outcome model's chain.
        policy_values: name of a policy → Estimate of its value; "logging" is the one in the log.
        size: how much was looked at: events, users, items, rows, variables, resamples; shown under the title.
        log_facts: facts about the rows read, dropped and repaired, by name.
        versions: package → version.
        code: Python or shell text that repeats the study.
        assumptions: what the numbers rest on; those of `adjustment` and of the answer are added.
        made: when the study was run, as text; left out by default so that equal studies give equal bytes.
    Raises DataError when `ranking` lacks a column.
    """

    title: str
    query: Query
    graph: CausalGraph
    settings: Mapping[str, Any]
    tiers: Tiers | None = None
    knowledge: Knowledge | None = None
    stability: EdgeStability | None = None
    fit: SEMFit | None = None
    adjustment: AdjustmentSet | NullEffect | None = None
    estimates: Mapping[str, Estimate] = field(default_factory=dict)
    truth: Mapping[str, float | None] = field(default_factory=dict)
    overlap: Overlap | None = None
    balance: Balance | None = None
    sensitivity: tuple[Check, ...] = ()
    metrics: pd.DataFrame | None = None
    ranking: pd.DataFrame | None = None
    stages: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    policy_values: Mapping[str, Estimate] = field(default_factory=dict)
    size: Mapping[str, int] = field(default_factory=dict)
    log_facts: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    code: str = ""
    assumptions: tuple[str, ...] = ()
    made: str = ""

    def __post_init__(self) -> None:
        for name in ("settings", "estimates", "truth", "stages", "policy_values", "size", "log_facts", "versions"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))
        object.__setattr__(self, "sensitivity", tuple(self.sensitivity))
        object.__setattr__(self, "assumptions", tuple(self.assumptions))
        self.query.require_in(self.graph)
        if self.ranking is not None:
            missing = [column for column in RANKING if column not in self.ranking.columns]
            if missing:
                raise DataError(f"the ranking of the report lacks columns {shown(missing)}; name them so", columns=missing)

    @property
    def drawn_tiers(self) -> Tiers | None:
        """The tiers of the picture: `tiers`, else those of `knowledge`, else None."""
        known = self.knowledge.tiers if self.knowledge is not None else ()
        return self.tiers or known or None

    @property
    def answer(self) -> Estimate | None:
        """The estimate the report leads with: the last of `estimates`."""
        return next(reversed(list(self.estimates.values())), None)

    @property
    def true_effect(self) -> float | None:
        """The true effect of the query, where it is known."""
        labels = ["effect", *reversed(list(self.estimates))]
        return next((self.truth[label] for label in labels if self.truth.get(label) is not None), None)
