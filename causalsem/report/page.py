"""report_html and write_report: the findings as one offline HTML file."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import os
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from causalsem._values import write_text
from causalsem.graph import CausalGraph
from causalsem.report import sections
from causalsem.report.comparison import compared_svgs, differences
from causalsem.report.findings import Findings
from causalsem.report.fonts import chinese_in, font_face
from causalsem.report.layout import Tiers, layout
from causalsem.report.looks import EdgeLook, LabelChoice, default_labels, edge_looks
from causalsem.report.questions import packed, questions
from causalsem.report.story import answer, cards, names
from causalsem.report.svg import svg_of
from causalsem.report.tables import Table, facts, provenance
from causalsem.report.text import legal, shown_name, text_width
from causalsem.report.words import Language, Speaker, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jinja2 import Environment

    from causalsem.discovery import EdgeStability
    from causalsem.identify import AdjustmentSet, NullEffect, Query
    from causalsem.sem import SEMFit

LARGEST = 150_000  # bytes of a report; the glyphs of its own words are embedded only while they fit
CHOICES: tuple[LabelChoice, ...] = ("coefficient", "p", "confidence")


def report_html(findings: Findings, *, language: Language = "en") -> str:
    """Return the report as one HTML page: no script needed to read it, nothing loaded from outside.

    Both languages are in the page and a button switches between them; `language` is the one it opens in. Chinese
    characters of names are embedded as font glyphs, those of a Chinese page's words too while the page stays below
    150 KB; on a page that would be larger, only questions about the study's own treatment or outcome can be chosen.
    Equal findings give equal bytes. Raises SettingError for a language it does not speak.
    """
    say = Speaker(language)
    page = _rendered(findings, say, "", brief=False)
    codes = chinese_in(_names_in(findings))
    font = font_face(codes) if codes else ""
    brief = len(page.encode()) + len(font) > LARGEST
    if language == "zh" and not brief:
        whole = font_face(codes | chinese_in(page))
        font = whole if len(page.encode()) + len(whole) <= LARGEST else font
    return _rendered(findings, say, font, brief=brief) if font or brief else page


def write_report(findings: Findings, path: str | os.PathLike[str], *, language: Language = "en") -> Path:
    """Write the report to a file, whole or not at all, and return its path; raises FileError without the folder."""
    return write_text(path, report_html(findings, language=language))


def graph_html(
    graph: CausalGraph,
    *,
    tiers: Tiers | None = None,
    fit: SEMFit | None = None,
    stability: EdgeStability | None = None,
    adjustment: AdjustmentSet | None = None,
    title: str = "",
    language: Language = "en",
) -> str:
    """Return the interactive graph alone as one HTML page: confidence slider, labels, click or keys for the numbers.

    Any treatment and outcome can be chosen: causal paths turn green, biasing ones red, and the set to adjust for is
    marked; with an `adjustment` set, its question is the first. Raises as `layout` does.
    """
    say = Speaker(language)
    looks = edge_looks(graph, fit, stability)
    picture = _graph(graph, looks, tiers)
    parts = _frame(say, font_face(chinese_in("".join((*graph.nodes, title, *(tiers if isinstance(tiers, Mapping) else ()))))))
    view = _view(picture, graph, looks, adjustment, adjustment.query if adjustment is not None else None, say)
    return _environment().get_template("graph_page.html.jinja").render(title=shown_name(title) if title else "", **parts, **view)


def compare_html(
    first: CausalGraph,
    second: CausalGraph,
    *,
    names: tuple[str, str] = ("first", "second"),
    tiers: Tiers | None = None,
    title: str = "",
    language: Language = "en",
) -> str:
    """Return two graphs side by side as one HTML page: what differs is orange, and listed edge by edge below."""
    say = Speaker(language)
    found = differences(first, second)
    table = Table.of(
        [*map(shown_name, names)], [(shown_name(d.first or "–"), shown_name(d.second or "–")) for d in found], numbers_from=9, most=200
    )
    differing = {frozenset((one.a, one.b)) for one in found}
    shared = sum(frozenset(edge[:2]) not in differing for edge in first.edges)
    pictures = list(zip(map(shown_name, names), compared_svgs(first, second, tiers), strict=True))
    parts = _frame(say, font_face(chinese_in("".join((*first.nodes, *second.nodes, *names, title)))))
    told = shown_name(title or " / ".join(names))
    return _environment().get_template("compare.html.jinja").render(title=told, table=table, shared=shared, pictures=pictures, **parts)


def _frame(say: Speaker, fonts: str) -> dict[str, Any]:
    """Return what every page holds: words, style, script and the script's hash."""
    script = _asset("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    style = Markup(fonts + _asset("report.css"))
    return {"say": say, "t": say, "words": table()["words"], "style": style, "script": Markup(script), "digest": digest}


def _view(
    picture: Markup,
    graph: CausalGraph,
    looks: Sequence[EdgeLook],
    adjustment: AdjustmentSet | NullEffect | None,
    query: Query | None,
    say: Speaker,
    *,
    brief: bool = False,
) -> dict[str, Any]:
    """Return what the part of a page around the graph needs; a `brief` one answers questions about the query's variables only."""
    answers = questions(graph, adjustment, about=(*query.treatments, *query.outcomes) if brief and query is not None else None)
    treatments = {one.key.split(">")[0]: names([graph.nodes[k] for k in one.treatments]) for one in answers}
    outcomes = {one.outcome: graph.nodes[one.outcome] for one in answers}
    asked = ("", "") if query is None else ("+".join(str(graph.index(x)) for x in query.treatments), str(graph.index(query.outcomes[0])))
    return {
        "graph": picture,
        "looks": looks,
        "label_choice": default_labels(tuple(looks)),
        "choices": CHOICES,
        "matrix": sections.matrix(graph, looks, say),
        "treatments": dict(sorted(treatments.items(), key=lambda one: [int(k) for k in one[0].split("+")])),
        "outcomes": dict(sorted(outcomes.items())),
        "asked": asked,
        # Numbers only: see `packed`.
        "answers": Markup(packed(answers)),
    }


def _rendered(found: Findings, say: Speaker, fonts: str, *, brief: bool) -> str:
    looks = edge_looks(found.graph, found.fit, found.stability)
    return (
        _environment()
        .get_template("report.html.jinja")
        .render(
            found=found,
            title=found.title,
            answer=answer(found, say),
            cards=cards(found, looks, say),
            arrows=sections.arrows(found, looks, say),
            size=sections.size(found, say),
            checks=sections.checks(found, say),
            sem=sections.sem(found, say, brief=brief),
            effects=sections.effects(found, say),
            adjustment=sections.adjustment(found, say),
            overlap=sections.overlap(found, say),
            estimates=sections.estimates(found, say),
            ranking=sections.ranking(found, say),
            policy=sections.policy(found, say),
            assumptions=sections.assumptions(found, say),
            facts=[(say(key), facts(getattr(found, key), say)) for key in ("log_facts", "settings", "versions")],
            provenance=provenance(found.graph, say),
            glossary=[(say.both(*entry["word"]), say.both(*entry["meaning"])) for entry in table()["glossary"]],
            treatment=names(found.query.treatments),
            outcome=names(found.query.outcomes),
            **_view(_graph(found.graph, looks, found.drawn_tiers), found.graph, looks, found.adjustment, found.query, say, brief=brief),
            **_frame(say, fonts),
        )
    )


def _graph(graph: CausalGraph, looks: Sequence[EdgeLook], tiers: Tiers | None) -> Markup:
    """Return the interactive graph; every label's place is wide enough for any choice of label."""
    widest = [max((look.text(choice) for choice in CHOICES), key=lambda text: text_width(text, 1)) for look in looks]
    drawn = layout(graph, tiers=tiers, labels=widest)
    choice = default_labels(tuple(looks))
    edges = tuple(dataclasses.replace(route, label=look.text(choice)) for route, look in zip(drawn.edges, looks, strict=True))
    # Written by `svg_of`, which escapes every name.
    return Markup(svg_of(dataclasses.replace(drawn, edges=edges), looks, interactive=True))


def _names_in(found: Findings) -> str:
    """Return all text of the user's that a page may show."""
    items = () if found.ranking is None else found.ranking["item"].astype(str)
    tiers = found.drawn_tiers
    titles = tiers if isinstance(tiers, Mapping) else ()
    facts: Any = [
        *found.settings.items(),
        *found.log_facts.items(),
        *((c.name, c.words, c.result, c.chinese_name) for c in found.sensitivity),
    ]
    return "".join(map(str, (*found.graph.nodes, *items, *titles, found.title, found.code, facts)))


@cache
def _asset(name: str) -> str:
    return (resources.files("causalsem.report") / "templates" / name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    """Return the template engine: everything is escaped, an unknown name is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    def shown(value: object) -> object:
        # Plain text is made legal XML; markup of our own passes.
        return legal(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    loader = PackageLoader("causalsem.report", "templates")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=shown)
