"""findings(): a study as the report wants it."""

from __future__ import annotations

import dataclasses
from importlib.metadata import version

import pandas as pd

from causalsem.outcome import OutcomeModel
from causalsem.outcome.lift import lift_estimate
from causalsem.pipeline.checks import checks
from causalsem.pipeline.study import Study
from causalsem.recommend import Scores
from causalsem.report import Findings

PACKAGES = ("causalsem", "numpy", "pandas", "scipy", "torch", "duckdb")
TRAITS = {"en": "traits", "zh": "特征"}


def findings(study: Study, language: str = "en") -> Findings:
    """Return what the report shows of a study; the names it adds itself are in the language ("en" or "zh")."""
    return Findings(
        title=f"{', '.join(study.query.treatments)} → {study.query.outcome}",
        query=study.query,
        graph=study.graph,
        settings=study.recipe.to_dict(),
        tiers=_titled_tiers(study, TRAITS.get(language, TRAITS["en"])),
        knowledge=study.knowledge,
        stability=study.stability,
        fit=study.fit,
        adjustment=study.adjustment,
        estimates={"naive": study.naive, "debiased": study.estimate},
        truth={} if study.truth is None else {"effect": study.truth},
        overlap=study.overlap,
        balance=study.balance,
        sensitivity=tuple(checks(study)),
        metrics=study.metrics,
        ranking=_ranking(study),
        stages=_stages(study.model),
        policy_values=study.policy_values,
        size={
            "events": len(study.log),
            "users": study.log.n_users,
            "items": study.log.n_items,
            "rows": len(study.table),
            "variables": len(study.graph.nodes),
            "resamples": study.recipe.times,
            **study.left_out,
        },
        log_facts={**dataclasses.asdict(study.log.cleaning), "events": len(study.log), "sha256": study.log.sha256},
        versions={name: version(name) for name in PACKAGES},
        code=_code(study),
    )


def _titled_tiers(study: Study, traits: str) -> dict[str, tuple[str, ...]]:
    """Return the tiers under a title: the variables themselves, or `traits` for a crowd of traits."""
    titles = {}
    for k, tier in enumerate(study.knowledge.tiers):
        crowd = len(tier) > 2 and all(study.table.roles.get(name) == "trait" for name in tier)
        titles[traits if crowd and traits not in titles else " · ".join(tier[:3]) or f"tier {k + 1}"] = tuple(tier)
    return titles


def _stages(model: OutcomeModel) -> dict[str, tuple[float, float, float]]:
    """Return the chance of each stage without and with the treatment, and the error of the difference; nothing for a lone outcome."""
    if len(model.stages) == 1:
        return {}
    both = {stage: answer.arms == (0, 1) for stage, answer in model.answers.items()}
    errors = {stage: lift_estimate(model, stage).se if seen else float("nan") for stage, seen in both.items()}
    return {stage: (*answer.means, errors[stage]) for stage, answer in model.answers.items()}


def _ranking(study: Study) -> pd.DataFrame:
    """Return each item's rank by popularity and by mean debiased lift over users, with the popularity."""
    popular, lift = _by_item(study.popularity, "score"), _by_item(study.scores, "lift")
    table = pd.DataFrame({"popularity": popular, "lift": lift}).dropna()
    ranks = {"naive_rank": table["popularity"], "debiased_rank": table["lift"]}
    for name, column in ranks.items():
        table[name] = column.rank(ascending=False, method="first").astype(int)
    return table.rename_axis("item").reset_index()


def _by_item(scores: Scores, column: str) -> pd.Series:
    return scores.frame.groupby("item")[column].mean()


def _code(study: Study) -> str:
    treatments = list(study.query.treatments)
    treatment = repr(treatments[0] if len(treatments) == 1 else treatments)
    return "\n".join(
        [
            "import causalsem as cs",
            "log = cs.EventLog.read(…)",
            'recipe, known = cs.Recipe.load("recipe.toml"), cs.Knowledge.load("knowledge.toml")',
            f"study = cs.run(log, cs.Query({treatment}, {study.query.outcome!r}), knowledge=known, recipe=recipe)",
            'study.report("report.html")',
        ]
    )
