"""The top of the report: the answer in one sentence and six status cards."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from markupsafe import Markup

from causalsem.identify import NullEffect
from causalsem.report.findings import Findings
from causalsem.report.looks import UNSURE, EdgeLook
from causalsem.report.paths import why_in
from causalsem.report.text import number, significant
from causalsem.report.words import Speaker, Words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from causalsem.effects import Estimate
    from causalsem.sem import Effects

Status = Literal["good", "warn", "bad", "none"]
TOP = 10  # how deep "the top of the ranking" goes


@dataclass(frozen=True, slots=True)
class Card:
    """A status card: label, value, note, and a status that colours its edge."""

    label: Markup
    value: Markup | str
    note: Markup | str
    status: Status


def names(values: Sequence[str]) -> str:
    """Return several names in one text."""
    return ", ".join(values)


def answer(found: Findings, say: Speaker) -> Markup:
    """Return the answer: a claim no stronger than "is consistent with", the naive number, the truth if it is known."""
    asked = {"treatment": names(found.query.treatments), "outcome": names(found.query.outcomes)}
    estimate = found.answer
    if estimate is None or estimate.exact:
        return say("null_answer" if _is_null(found) else "no_answer", **asked)
    low, high = estimate.interval
    key = "positive_answer" if low > 0 else "negative_answer" if high < 0 else "open_answer"
    words = say(key, value=significant(estimate.value), low=significant(low), high=significant(high), **asked)
    told = _against_naive(found, estimate, say) + _because(found, say) + _against_truth(found, estimate, say)
    return words + _by_way_of(found, say) + told


def _is_null(found: Findings) -> bool:
    """Tell whether the graph itself says that there is no effect."""
    return isinstance(found.adjustment, NullEffect)


def _by_way_of(found: Findings, say: Speaker) -> Markup:
    """Return the share of the linear effect that goes through other variables, and the strongest such path."""
    effects = path_effects(found)
    if effects is None or not effects.total.value or not len(effects.paths):
        return Markup()
    share = effects.indirect.value / effects.total.value
    through = effects.paths[effects.paths["path"].str.count(" -> ") > 1]
    if not 0.05 <= share <= 1.0 or through.empty:
        return Markup()
    strongest = str(through.loc[through["est"].abs().idxmax(), "path"]).split(" -> ")[1:-1]
    return say("by_way_of", percent=f"{100 * share:.0f}", steps=" → ".join(strongest))


def path_effects(found: Findings) -> Effects | None:
    """Return the effects along the paths of the fitted model, or None where the question or the model has no such paths."""
    if found.fit is None or len(found.query.treatments) > 1 or len(found.query.outcomes) > 1:
        return None
    variables = {str(name) for column in ("lhs", "rhs") for name in found.fit.parameters[column]}
    if not {found.query.treatment, found.query.outcome} <= variables:
        return None
    return found.fit.effects(found.query.treatment, found.query.outcome)


def _because(found: Findings, say: Speaker) -> Markup:
    """Return the adjusted variables that the graph ties to treatment and outcome both."""
    if "naive" not in found.estimates or found.estimates["naive"] is found.answer:
        return Markup()
    adjusted = [name for name in getattr(found.adjustment, "variables", ()) if name in found.graph.nodes]
    reasons = {name: why_in(found.graph, name, found.query.treatments, found.query.outcomes).key for name in adjusted}
    common = [name for name, key in reasons.items() if key == "why_common"]
    return say("because", names=names(common)) if common else Markup()


def _against_naive(found: Findings, estimate: Estimate, say: Speaker) -> Markup:
    naive = found.estimates.get("naive")
    if naive is None or naive is estimate:
        return Markup()
    told = significant(naive.value)
    percent = 100 * (naive.value / estimate.value - 1) if estimate.value * naive.value > 0 else 0.0
    if abs(percent) < 0.5:
        return say("naive_says", naive=told)
    return say("too_high" if percent > 0 else "too_low", naive=told, percent=f"{abs(percent):,.0f}")


def _against_truth(found: Findings, estimate: Estimate, say: Speaker) -> Markup:
    truth = found.true_effect
    if truth is None:
        return Markup()
    low, high = estimate.interval
    return say("truth_inside" if low <= truth <= high else "truth_outside", truth=significant(truth))


def cards(found: Findings, looks: Sequence[EdgeLook], say: Speaker) -> list[Card]:
    """Return six cards; one whose numbers are missing says so."""
    return [
        _effect_card(found, say),
        _stability_card(looks, say),
        _fit_card(found, say),
        _overlap_card(found, say),
        _check_card(found, say),
        _gain_card(found, say),
    ]


def _effect_card(found: Findings, say: Speaker) -> Card:
    label = say("card_effect", treatment=names(found.query.treatments), outcome=names(found.query.outcomes))
    estimate = found.answer
    if estimate is None:
        return Card(label, "–", say("card_absent"), "none")
    low, high = estimate.interval
    note = say("interval", low=significant(low), high=significant(high))
    return Card(label, significant(estimate.value), note, "good" if low > 0 or high < 0 else "warn")


def _stability_card(looks: Sequence[EdgeLook], say: Speaker) -> Card:
    known = [look.confidence for look in looks if look.confidence is not None]
    if not known:
        return Card(say("card_stability"), "–", say("card_absent"), "none")
    sure = sum(confidence >= UNSURE for confidence in known)
    status: Status = "good" if sure >= 0.8 * len(known) else "warn"
    return Card(say("card_stability"), say("of", part=sure, whole=len(known)), say("card_stability_note"), status)


def fit_verdict(measures: Mapping[str, float]) -> str:
    """Return "good", "acceptable", "poor" or "saturated" (Hu & Bentler 1999; Browne & Cudeck 1993)."""
    if measures.get("df", math.nan) == 0:
        return "saturated"
    cfi, rmsea, srmr = (measures.get(name, math.nan) for name in ("cfi", "rmsea", "srmr"))
    if cfi >= 0.95 and rmsea <= 0.06 and srmr <= 0.08:
        return "good"
    return "acceptable" if cfi >= 0.90 and rmsea <= 0.08 and srmr <= 0.10 else "poor"


def _fit_card(found: Findings, say: Speaker) -> Card:
    if found.fit is None:
        return Card(say("card_fit"), "–", say("card_absent"), "none")
    measures = found.fit.measures
    verdict = fit_verdict(measures)
    parts = [(name.upper(), measures.get(name, math.nan)) for name in ("cfi", "rmsea", "srmr")]
    note = " · ".join(f"{name} {number(value, 3)}" for name, value in parts)
    status: Status = {"good": "good", "acceptable": "warn", "saturated": "warn"}.get(verdict, "bad")  # type: ignore[assignment]  # its values are
    return Card(say("card_fit"), say(verdict), note, status)


def _overlap_card(found: Findings, say: Speaker) -> Card:
    overlap = found.overlap
    if overlap is None:
        return Card(say("card_overlap"), "–", say("card_absent"), "none")
    share = (overlap.effective_treated + overlap.effective_untreated) / max(len(overlap.propensity), 1)
    status: Status = "good" if share >= 0.5 and overlap.share_outside < 0.01 else "warn"
    return Card(say("card_overlap"), f"{100 * share:.0f} %", say("card_overlap_note"), status)


def _check_card(found: Findings, say: Speaker) -> Card:
    """Return the E-value where it was computed, else how many checks were passed."""
    hidden = next((check for check in found.sensitivity if check.name.casefold().replace("_", "-").startswith("e-value")), None)
    if hidden is not None:
        status: Status = "bad" if hidden.passed is False else "good" if hidden.passed else "warn"
        return Card(say("card_hidden"), f"E = {hidden.result}", say("card_hidden_note", value=hidden.result), status)
    judged = [check for check in found.sensitivity if check.passed is not None]
    if not judged:
        return Card(say("card_hidden"), "–", say("card_absent"), "none")
    passed = sum(bool(check.passed) for check in judged)
    return Card(say("card_checks"), say("of", part=passed, whole=len(judged)), "", "good" if passed == len(judged) else "warn")


def _gain_card(found: Findings, say: Speaker) -> Card:
    """Return what the learnt policy gains over the log, else what changes in the ranking."""
    learnt = next((name for name in found.policy_values if name != "logging"), None)
    gain = None if learnt is None else difference(found.policy_values[learnt], found.policy_values.get("logging"))
    if gain is not None:
        low, high = gain.interval
        plus = "+" if gain.value > 0 else ""
        note = say("interval", low=significant(low), high=significant(high))
        return Card(say("card_policy"), plus + significant(gain.value), note, "good" if low > 0 else "bad" if high < 0 else "warn")
    if found.ranking is not None and len(found.ranking):
        top = min(TOP, len(found.ranking))
        first = {which: set(found.ranking.loc[found.ranking[which] <= top, "item"]) for which in ("naive_rank", "debiased_rank")}
        changed = len(first["debiased_rank"] - first["naive_rank"])
        return Card(say("card_ranking"), str(changed), say("card_ranking_note", n=top), "good")
    return Card(say("card_ranking"), "–", say("card_absent"), "none")


def difference(a: Estimate | None, b: Estimate | None) -> Estimate | None:
    """Return a − b with the error of their paired influence functions, or None where they cannot be paired."""
    if a is None or b is None or a is b or a.psi is None or b.psi is None:
        return None
    return a - b if a.n == b.n and (not a.rows or not b.rows or a.rows == b.rows) else None


def scales(found: Findings, say: Speaker) -> Markup:
    """Say which columns discovery saw on another scale than the equations do."""
    forms = found.graph.provenance.get("auto", {}).get("forms", {})
    changed: dict[str, list[str]] = {}
    for name, form in forms.items():
        changed.setdefault(form, []).append(name)
    told = [(say.term("form", form), names(columns)) for form, columns in changed.items() if form != "plain"]
    if not told:
        return Markup()
    english, chinese = ("; ".join(f"{columns}: {form[k]}" for form, columns in told) for k in (0, 1))
    return say("sem_scales", columns=Words(english, chinese))
