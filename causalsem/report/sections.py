"""The sections of the report: each turns a part of the findings into rows and words for the template."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
from markupsafe import Markup

from causalsem.graph import CausalGraph
from causalsem.identify import NullEffect
from causalsem.report import marks
from causalsem.report.findings import Findings
from causalsem.report.layout import layout
from causalsem.report.looks import NEGATIVE, PLAIN, POSITIVE, EdgeLook, LabelChoice, default_labels, edge_looks
from causalsem.report.paths import why_in
from causalsem.report.story import difference, fit_verdict, names, path_effects, scales
from causalsem.report.svg import svg_of
from causalsem.report.tables import Cell, Table, cell, frame_table
from causalsem.report.text import number, p_text, shown_name, significant
from causalsem.report.words import Speaker, Words

if TYPE_CHECKING:
    from causalsem.sem import SEMFit

MOST_PATHS = 8
MOST_BALANCED = 14
MOST_ITEMS = 14
MOST_IN_MATRIX = 16
SIZES = ("events", "users", "items", "rows", "variables", "resamples", "users_left_out", "items_left_out", "events_left_out")


def arrows(found: Findings, looks: Sequence[EdgeLook], say: Speaker) -> dict[str, Any]:
    """Return each edge with the source of its direction: forced by knowledge, found in the data, undecided."""
    groups: dict[str, list[tuple[Cell, ...]]] = {"forced": [], "found": [], "undecided": []}
    for look in looks:
        kind, why = _origin(found, look)
        edge = f"{shown_name(look.source)} {look.sign} {shown_name(look.target)}"
        confidence = look.text("confidence") or "–"
        groups[kind].append((edge, say(why) if why else "", look.text("coefficient") or "–", confidence))
    head = (say("edge"), say("status"), say("coefficient"), say("confidence"))
    return {
        "tables": [(say(kind), len(rows), _without_empty(Table.of(head, rows, numbers_from=2))) for kind, rows in groups.items() if rows]
    }


def _without_empty(table: Table) -> Table:
    """Return the table without its second column when nothing stands in it."""
    if any(row[1] for row in table.rows):
        return table
    return Table((table.head[0], *table.head[2:]), tuple((row[0], *row[2:]) for row in table.rows), table.numbers_from - 1, table.left_out)


def matrix(graph: CausalGraph, looks: Sequence[EdgeLook], say: Speaker) -> Table | None:
    """Return the graph as a matrix, causes in rows: the same for people who cannot use the picture; None for large graphs."""
    if len(graph.nodes) > MOST_IN_MATRIX:
        return None
    choice = default_labels(tuple(looks))
    cells: dict[tuple[str, str], Markup] = {(look.source, look.target): _matrix_cell(k, look, choice) for k, look in enumerate(looks)}
    # An edge without one direction is told in both of its cells.
    cells |= {
        (k.target, k.source): cells[k.source, k.target]
        for k in looks
        if (k.is_undecided or k.is_bidirected) and (k.target, k.source) not in cells
    }
    empty = [[Markup("·") if a != b else Markup() for b in graph.nodes] for a in graph.nodes]
    rows = [(shown_name(a), *(cells.get((a, b), empty[i][j]) for j, b in enumerate(graph.nodes))) for i, a in enumerate(graph.nodes)]
    return Table.of((say("cause_of"), *map(shown_name, graph.nodes)), rows, numbers_from=1)


def _matrix_cell(position: int, look: EdgeLook, choice: LabelChoice) -> Markup:
    """Return a cell that the page's script knows as this edge; the deeper its colour, the larger the effect."""
    shade = look.colour + f"{round(110 * min(abs(look.coefficient or 0.0), 0.8)):02x}"
    cell = '<span class="cell" data-e="{}" data-sign="{}" style="background:{}">{} {}</span>'
    return Markup(cell).format(position, look.sign, shade, look.sign, look.text(choice))


def _origin(found: Findings, look: EdgeLook) -> tuple[str, str]:
    """Return where the direction of an edge comes from, and the key of a word on it."""
    known = found.knowledge
    if look.is_undecided or look.is_bidirected:
        return "undecided" if look.is_undecided else "found", ""
    if known is not None and (look.source, look.target) in known.required:
        return "forced", "required"
    if known is not None and known.why_forbidden(look.target, look.source):
        return "forced", "by_tiers"
    return "found", "" if found.graph.provenance.get("method") else "given"


def sem(found: Findings, say: Speaker, *, brief: bool = False) -> dict[str, Any]:
    """Return the diagram (not on a `brief` page), the path coefficients, the fit and a verdict in plain words."""
    if found.fit is None:
        return {}
    table = found.fit.parameters
    # A path fixed at zero only keeps a variable without arrows in the model.
    paths = table[(table["op"] == "~") & ((table["est"] != 0) | (table["se"] != 0))]
    head = (say("effect_of"), say("cause_of"), say("estimate"), say("se"), say("ci"), "p", say("std"))
    rows = [
        (
            r["lhs"],
            r["rhs"],
            significant(r["est"]),
            significant(r["se"], 2),
            _interval(r["ci_lower"], r["ci_upper"]),
            p_text(r["pvalue"]).removeprefix("p = ").removeprefix("p "),
            number(r["std_all"]),
        )
        for r in paths.to_dict("records")
    ]
    measures = {name: float(value) for name, value in found.fit.measures.items()}
    return {
        "diagram": Markup() if brief else _diagram(found),
        "verdict": say("sem_" + fit_verdict(measures)),
        "status": fit_verdict(measures),
        "table": Table.of(head, rows, numbers_from=2, most=24),
        "short": " · ".join(_short_measures(found.fit)),
        "errors": _clustered(found.fit.clusters, say),
        "scales": scales(found, say),
        "measures": Table.of((say("name"), say("value")), [(k, significant(v, 4)) for k, v in measures.items()], most=60),
        "parameters": frame_table(
            table.drop(columns=[c for c in ("label",) if c in table and not table[c].astype(str).str.len().any()]), 3
        ),
        "n_paths": len(paths),
        "n_parameters": len(table),
        "n_measures": len(measures),
    }


def _diagram(found: Findings) -> Markup:
    """Return the path diagram: estimates on the arrows as they were fitted, explained shares of variance in the boxes."""
    fit = found.fit
    if fit is None or len(fit.graph.nodes) > MOST_IN_MATRIX:
        return Markup()
    rows = fit.parameters.itertuples(index=False)
    told = {(row.lhs, row.op, row.rhs): significant(row.est, 2) for row in rows}
    labels = [
        told.get((b, "~", a)) or told.get((a, "=~", b)) or told.get((a, "~~", b)) or told.get((b, "~~", a), "")
        for a, b, *_ in fit.graph.edges
    ]
    notes = {name: f"R² {number(share)}" for name, share in fit.r2.items()}
    drawn_tiers = found.drawn_tiers or ()
    titled = drawn_tiers.items() if isinstance(drawn_tiers, Mapping) else [(names(tier), tier) for tier in drawn_tiers]
    known = set(fit.graph.nodes)
    # A latent variable has no tier of its own: it joins its parents.
    tiers = {title: kept for title, tier in titled if (kept := [name for name in tier if name in known])} or None
    drawn = layout(fit.graph, tiers=tiers, labels=labels, notes=notes)
    # Written by `svg_of`, which escapes every name.
    return Markup(svg_of(drawn, edge_looks(fit.graph, fit), title=None))


def _clustered(clusters: Mapping[str, int], say: Speaker) -> Markup:
    """Return in which ways rows may depend on each other, as the standard errors allow for; nothing where they are independent."""
    if not clusters:
        return Markup()
    ways = [(say.term("cluster", way), count) for way, count in clusters.items()]
    english = " and ".join(f"{word.english} ({count:,})" for word, count in ways)
    chinese = "和".join(f"{word.chinese}（{count:,}）" for word, count in ways)
    return say("clustered", ways=Words(english, chinese))


def _short_measures(fit: SEMFit) -> Iterable[str]:
    measures = fit.measures
    if {"chisq", "df", "pvalue"} <= set(measures):
        chisq, df, p = fit.exact_test
        yield f"χ²({df:.3g}) = {number(chisq)}, {p_text(p)}"
    for name in ("cfi", "tli", "rmsea", "srmr"):
        if name in measures:
            yield f"{name.upper()} {number(measures[name], 3)}"
    if {"rmsea.ci.lower", "rmsea.ci.upper"} <= set(measures):
        yield f"RMSEA 90 % {number(measures['rmsea.ci.lower'], 3)}–{number(measures['rmsea.ci.upper'], 3)}"


def _interval(low: float, high: float) -> str:
    known = math.isfinite(low) and math.isfinite(high) and low < high
    return f"{significant(low)} … {significant(high)}" if known else "–"


def effects(found: Findings, say: Speaker) -> dict[str, Any]:
    """Return total, direct and indirect effects of the fitted model, and the strongest paths one by one."""
    model = path_effects(found)
    if model is None:
        return {}
    paths = model.paths.assign(size=model.paths["est"].abs()).sort_values("size", ascending=False, kind="stable")
    parts = [
        (say(which), float(part), *part.interval)
        for which, part in (("total", model.total), ("direct", model.direct), ("indirect", model.indirect))
    ]
    steps = [
        (shown_name(r["path"].replace(" -> ", " → ")), r["est"], r["ci_lower"], r["ci_upper"])
        for r in paths.head(MOST_PATHS).to_dict("records")
    ]
    scale = marks.Scale.over(v for row in (*parts, *steps) for v in row[1:])
    rest = paths.iloc[MOST_PATHS:]
    return {
        "rows": [_bar_row(scale, row, POSITIVE if row[1] >= 0 else NEGATIVE) for row in parts],
        "paths": [_bar_row(scale, row, PLAIN) for row in steps],
        "rest": say("paths_more", n=len(rest), sum=significant(float(rest["est"].sum()))) if len(rest) else "",
    }


def _bar_row(
    scale: marks.Scale, row: tuple[Cell, float, float, float], colour: str, truth: float | None = None
) -> tuple[Cell, Markup, str, str]:
    label, value, low, high = row
    return label, marks.bar(scale, value, low, high, colour, truth), significant(value), _interval(low, high)


def checks(found: Findings, say: Speaker) -> list[tuple[Markup, str, Markup, str, Markup]]:
    """Return each attempt to prove the answer wrong: name, result, verdict, its style, plain words."""
    verdicts = {None: "weigh", True: "passed", False: "failed"}
    return [
        (
            say.both(shown_name(c.name), shown_name(c.chinese_name or c.name)),
            c.result,
            say(verdicts[c.passed]),
            {None: "weigh-word", True: "good-word", False: "bad-word"}[c.passed],
            say.both(shown_name(c.words), shown_name(c.chinese_words or c.words)) if c.words else Markup(),
        )
        for c in found.sensitivity
    ]


def size(found: Findings, say: Speaker) -> list[Markup | str]:
    """Return what the study looked at and how, in a few words each."""
    told: list[Markup | str] = [say(f"size_{key}", n=f"{found.size[key]:,}") for key in SIZES if key in found.size]
    told += [f"{name} {found.versions[name]}" for name in ("causalsem",) if name in found.versions]
    digest = found.log_facts.get("sha256")
    return told + ([f"sha256 {str(digest)[:8]}…"] if digest else [])


def adjustment(found: Findings, say: Speaker) -> dict[str, Any]:
    """Return the set with a reason for each member, and each forbidden variable with why it must stay out."""
    chosen = found.adjustment
    if chosen is None:
        return {}
    asked = {"treatment": names(found.query.treatments), "outcome": names(found.query.outcomes)}
    if isinstance(chosen, NullEffect):
        return {"null": say("null_effect", **asked)}
    forbidden = [name for name in chosen.forbidden if name not in (*found.query.treatments, *found.query.outcomes)]
    return {
        "variables": [(name, _why_in_words(found, name, asked, say)) for name in chosen.variables],
        "forbidden": [(name, say.reason(chosen.forbidden[name])) for name in forbidden],
        "told": say("adjust_kind", kind=say.term("kind", chosen.kind), criterion=say.term("criterion", chosen.criterion)),
    }


def _why_in_words(found: Findings, name: str, asked: Mapping[str, str], say: Speaker) -> Markup:
    if name not in found.graph.nodes:
        return Markup()
    why = why_in(found.graph, name, found.query.treatments, found.query.outcomes)
    return say(why.key, left=" → ".join(why.to_treatment), right=" → ".join(why.to_outcome), **asked)


def overlap(found: Findings, say: Speaker) -> dict[str, Any]:
    """Return the histogram of propensities and the love plot."""
    shown: dict[str, Any] = {}
    if found.overlap is not None:
        o = found.overlap
        counts = o.histogram(24)
        shown["histogram"] = marks.mirrored(counts["treated"].tolist(), counts["untreated"].tolist(), say.plain("propensity"))
        shown["note"] = say(
            "overlap_note",
            low=significant(o.lowest),
            high=significant(o.highest),
            outside=number(100 * o.share_outside, 1),
            treated=f"{o.effective_treated:,.0f}",
            untreated=f"{o.effective_untreated:,.0f}",
            n=f"{len(o.propensity):,}",
        )
    if found.balance is not None and len(found.balance.frame):
        frame = found.balance.frame
        worst = frame[["before", "after"]].abs().max(axis=1)
        frame = frame.assign(worst=worst).sort_values("worst", ascending=False, kind="stable")
        scale = marks.Scale.over([0.12, *frame["worst"].tolist()])
        shown["love"] = [
            (r["variable"], marks.love_row(scale, r["before"], r["after"]), number(abs(r["before"]), 3), number(abs(r["after"]), 3))
            for r in frame.head(MOST_BALANCED).to_dict("records")
        ]
        shown["love_rest"] = say("more_variables", n=len(frame) - MOST_BALANCED) if len(frame) > MOST_BALANCED else ""
        shown["worst"] = say("balance_note", worst=number(found.balance.worst, 3))
    return shown


def estimates(found: Findings, say: Speaker) -> dict[str, Any]:
    """Return naive, adjusted and debiased estimates with intervals, the truth if known, and what adjusting changes."""
    if not found.estimates:
        return {}
    truth = found.true_effect
    rows = [(_label(label, say), e.value, *e.interval) for label, e in found.estimates.items()]
    scale = marks.Scale.over([*(v for row in rows for v in row[1:]), *([] if truth is None else [truth])])
    colours = [NEGATIVE if label == "naive" else POSITIVE for label in found.estimates]
    gap = difference(found.answer, found.estimates.get("naive"))
    return {
        "rows": [_bar_row(scale, row, colour, truth) for row, colour in zip(rows, colours, strict=True)],
        "methods": [(_label(label, say), e.method, f"{e.n:,}", names(e.adjustment) or "–") for label, e in found.estimates.items()],
        "truth": None if truth is None else significant(truth),
        "errors": _clustered(found.answer.cluster_sizes if found.answer else {}, say),
        "gap": say("gap_note", value=significant(gap.value), low=significant(gap.interval[0]), high=significant(gap.interval[1]))
        if gap
        else "",
        "note": say("estimates_note", treatment=names(found.query.treatments), outcome=names(found.query.outcomes)),
        "treatment": names(found.query.treatments),
        "stages": _stages(found, say),
    }


def _stages(found: Findings, say: Speaker) -> Table | None:
    """Return each stage's average chance without and with the treatment, and what lies between with its standard error."""
    if not found.stages:
        return None
    rows = [(shown_name(stage), *map(significant, (zero, one, one - zero, se))) for stage, (zero, one, se) in found.stages.items()]
    return Table.of((say("stage"), say("stage_without"), say("stage_with"), say("stage_lift"), say("se")), rows)


def _label(label: str, say: Speaker) -> Cell:
    return say(label) if label in {"naive", "adjusted", "debiased", "logging"} else shown_name(label)


def ranking(found: Findings, say: Speaker) -> dict[str, Any]:
    """Return the items that move most at the top, the metrics of each scorer, and the top by popularity."""
    shown: dict[str, Any] = {}
    frame = found.ranking
    if frame is not None and len(frame):
        best = frame[["naive_rank", "debiased_rank"]].min(axis=1)
        top = frame.assign(best=best).sort_values(["best", "debiased_rank"], kind="stable").head(MOST_ITEMS)
        rows = [(str(r["item"]), int(r["naive_rank"]), int(r["debiased_rank"])) for r in top.to_dict("records")]
        shown["slopes"] = marks.slopes(rows, say.plain("s_ranking"))
        if "popularity" in frame:
            shown["deciles"], shown["deciles_top"] = _deciles(frame, say), min(len(frame), max(len(frame) // 10, 10))
    if found.metrics is not None and len(found.metrics):
        named = found.metrics.set_index(found.metrics.columns[0]) if isinstance(found.metrics.index, pd.RangeIndex) else found.metrics
        told = [(str(metric), *(cell(v) for v in values)) for metric, values in zip(named.columns, named.to_numpy().T, strict=True)]
        shown["metrics"] = Table.of((say("metric"), *map(shown_name, named.index)), told)
    return shown


def _deciles(frame: pd.DataFrame, say: Speaker) -> Table:
    """Return, for each tenth of the items by popularity, its share of the top by either rank."""
    top = min(len(frame), max(len(frame) // 10, 10))
    place = frame["popularity"].rank(method="first")
    decile = (((place - 1) * 10) // len(frame) + 1).astype(int)
    rows = []
    for k, group in frame.groupby(decile):
        shares = [f"{100 * (group[which] <= top).sum() / top:.0f} %" for which in ("naive_rank", "debiased_rank")]
        change = float((group["naive_rank"] - group["debiased_rank"]).median())
        rows.append((str(k), *shares, f"{round(change):+,}".replace("-", "\u2212") if round(change) else "0"))
    return Table.of((say("decile"), say("naive_rank"), say("debiased_rank"), say("median_change")), rows)


def policy(found: Findings, say: Speaker) -> dict[str, Any]:
    """Return each policy's value with its interval, and whether the learnt one beats the log."""
    if not found.policy_values:
        return {}
    rows = [(_label(name, say), e.value, *e.interval) for name, e in found.policy_values.items()]
    truths = [v for name in found.policy_values if (v := found.truth.get(name)) is not None]
    scale = marks.Scale.over([*(v for row in rows for v in row[1:]), *truths])
    told = []
    for name, value in found.policy_values.items():
        gain = difference(value, found.policy_values.get("logging"))
        if gain is not None:
            low, high = gain.interval
            key = "policy_better" if low > 0 else "policy_worse" if high < 0 else "policy_open"
            told.append(say(key, name=name, value=significant(gain.value), low=significant(low), high=significant(high)))
    colours = [PLAIN if name == "logging" else POSITIVE for name in found.policy_values]
    return {
        "rows": [_bar_row(scale, row, c, found.truth.get(name)) for row, c, name in zip(rows, colours, found.policy_values, strict=True)],
        "told": told,
    }


def assumptions(found: Findings, say: Speaker) -> list[Markup]:
    """Return every assumption once: those of the study, of the adjustment set, of the answer."""
    told = [*found.assumptions, *getattr(found.adjustment, "assumptions", ()), *(found.answer.assumptions if found.answer else ())]
    return list(dict.fromkeys(say.assumption(text) for text in told))
