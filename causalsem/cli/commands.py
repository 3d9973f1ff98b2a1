"""The command line: `causalsem demo | check | discover | fit | effects | adjust | score | report | export | doctor`.

Commands compose through files of values. Results go to stdout, talk to stderr; exit 0, 1 (bad input) or 2 (bad usage).
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from causalsem._values import json_text
from causalsem.cli.arguments import (
    SET_KINDS,
    AdjustFile,
    Dataset,
    Folder,
    GraphFile,
    Json,
    Kind,
    KnowledgeOption,
    Language,
    Outcome,
    Output,
    Seed,
    Source,
    Treatment,
    Unit,
    UnitFromFile,
    UnitOption,
    reads_log,
    unit_for,
)
from causalsem.errors import CausalSEMError, CausalSEMWarning, InputError

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="From behaviour logs to debiased recommendations.")


def main() -> None:
    """Run the command line; bad input ends with a message on stderr and exit status 1."""
    _speak_utf8()
    warnings.showwarning = lambda message, category, *_, **__: talk(f"{category.__name__}: {message}")
    warnings.simplefilter("ignore")
    warnings.simplefilter("default", CausalSEMWarning)
    try:
        app()
    except CausalSEMError as why:
        talk(f"error: {why}")
        sys.exit(1)


def _speak_utf8() -> None:
    """Read arguments and write results as UTF-8, also where the locale knows ASCII only."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8")
    # Bytes that the locale could not read came in as lone surrogates.
    sys.argv[1:] = [os.fsencode(word).decode("utf-8", "replace") if not word.isprintable() else word for word in sys.argv[1:]]


def talk(line: str) -> None:
    """Say something to the person at the terminal."""
    typer.echo(line, err=True)


def tell(value: object, *, text: str, as_json: bool) -> None:
    """Print a result: `text`, or `value` as JSON."""
    typer.echo(json_text(value).rstrip() if as_json else text)


@app.command()
def demo(
    dataset: Annotated[
        Dataset, typer.Option(help="Real retail data, or the bundled shop (offline, truth known).")
    ] = Dataset.complete_journey,
    output: Folder = Path("out/demo"),
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Run the main job end to end and say where the results are."""
    from causalsem.pipeline import run
    from causalsem.pipeline.demo import demo as prepare

    start = time.perf_counter()
    talk(f"reading {dataset.value} …")
    plan = prepare(dataset.value, seed)
    talk(str(plan.log))
    study = run(plan.log, plan.query, knowledge=plan.knowledge, recipe=plan.recipe, truth=plan.truth)
    paths = study.save(output)
    seconds = time.perf_counter() - start
    tell({"answer": study.answer.T.to_dict(), "files": paths, "seconds": seconds}, text=_study_text(study, paths), as_json=as_json)
    talk(f"{seconds:.0f} s")


def _study_text(study: Any, paths: dict[str, Path]) -> str:
    files = "\n".join(f"  {name:<22} {path}" for name, path in paths.items())
    return f"{study}\n\n{study.answer.to_string()}\n\nwritten:\n{files}"


@app.command()
@reads_log
def check(
    log: Source,
    unit: UnitOption = Unit.user,
    as_json: Json = False,
) -> None:
    """Read a log, count its dirt and summarise its behaviour table."""
    from causalsem.behaviour import behaviours

    events = log.events()
    table = behaviours(events, unit=unit.columns)
    facts = {
        "events": len(events),
        "users": events.n_users,
        "items": events.n_items,
        "cleaning": dataclasses.asdict(events.cleaning),
        "tiers": table.tiers,
        "variables": {name: {"role": table.roles[name], "mean": float(table.column(name).mean())} for name in table.names},
    }
    summary = table.frame.describe().T[["mean", "std", "min", "max"]].to_string()
    tell(facts, text=f"{events!r}\n{events.cleaning}\n{table!r}\n{summary}", as_json=as_json)


@app.command()
@reads_log
def discover(
    log: Source,
    output: Output = None,
    unit: UnitOption = Unit.user,
    method: Annotated[str, typer.Option(help="A discovery method with its default settings; auto chooses by the columns.")] = "auto",
    knowledge: KnowledgeOption = None,
    as_json: Json = False,
) -> None:
    """Discover the causal graph of a log's behaviours; without --knowledge, tiers follow the order of behaviours."""
    from causalsem.behaviour import behaviours
    from causalsem.discovery import discover as find
    from causalsem.graph import Knowledge

    table = behaviours(log.events(), unit=unit.columns)
    graph = find(table, method, knowledge=Knowledge.load(knowledge) if knowledge else None)
    if output:
        graph.save(output)
        talk(f"wrote {output}")
    tell({"kind": graph.kind, "graph": str(graph)}, text=str(graph), as_json=as_json)


@app.command()
@reads_log
def fit(
    model: Annotated[Path, typer.Argument(help="A graph (JSON), or a model in lavaan's syntax.")],
    log: Source,
    output: Output = None,
    unit: UnitFromFile = None,
    as_json: Json = False,
) -> None:
    """Fit a structural equation model to a log's behaviour table."""
    from causalsem._values import read_text
    from causalsem.behaviour import behaviours
    from causalsem.graph import CausalGraph
    from causalsem.sem import fit_sem

    equations = CausalGraph.load(model) if model.suffix == ".json" else read_text(model)
    rows = unit_for(unit, getattr(equations, "provenance", {}), Unit.user)
    table = behaviours(log.events(), unit=rows.columns)
    fitted = fit_sem(equations, table)
    if output:
        fitted.save(output)
        talk(f"wrote {output}")
    facts = {"parameters": fitted.parameters.to_dict("records"), "measures": dict(fitted.measures), "clusters": dict(fitted.clusters)}
    tell(facts, text=_fit_text(fitted), as_json=as_json)


def _fit_text(fitted: Any) -> str:
    return f"{fitted!r}\n{fitted.parameters.round(4).to_string(index=False)}"


@app.command()
def adjust(
    graph: GraphFile,
    treatment: Treatment,
    outcome: Outcome,
    output: Output = None,
    kind: Annotated[Kind, typer.Option(help="Which adjustment set.")] = Kind.optimal,
    as_json: Json = False,
) -> None:
    """Say what to adjust for, and what never to, given a graph."""
    from causalsem.graph import CausalGraph
    from causalsem.identify import NullEffect, Query, adjustment_sets, identify

    query = Query(_names(treatment), outcome)
    whole = CausalGraph.load(graph)
    first = identify(whole, query, kind=SET_KINDS[kind])
    if output:
        first.to_json(output)
        talk(f"wrote {output}")
    every = kind is Kind.all and not isinstance(first, NullEffect)
    found = list(adjustment_sets(whole, query, kind="all")) if every else [first]
    told = [json.loads(str(value.to_json())) for value in found]
    tell(told if every else told[0], text="\n".join(str(value) for value in found) + _forbidden_text(first), as_json=as_json)


def _forbidden_text(adjustment: Any) -> str:
    forbidden = getattr(adjustment, "forbidden", {})
    return "".join(f"\n  never adjust for {name}: {why}" for name, why in forbidden.items())


@app.command()
@reads_log
def effects(
    log: Source,
    adjustment: AdjustFile,
    method: Annotated[
        str, typer.Option(help="Regression, IPW, AIPW, GBoost, DRLearner, RLearner, CausalTree, CausalForest or CausalNet.")
    ] = "AIPW",
    unit: UnitFromFile = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Estimate the effect an adjustment set identifies, beside the naive number."""
    from causalsem.behaviour import behaviours
    from causalsem.effects import estimate_effect, naive_effect
    from causalsem.identify import AdjustmentSet

    found = AdjustmentSet.from_json(adjustment)
    rows = unit_for(unit, found.graph.provenance if found.graph else {}, Unit.pair)
    table = behaviours(log.events(), unit=rows.columns)
    values = {"naive": naive_effect(table, found.query), "adjusted": estimate_effect(table, found, method, seed=seed)}
    facts = {name: {"value": e.value, "se": e.se, "interval": e.interval} for name, e in values.items()}
    tell(facts, text="\n".join(f"{name:<9} {estimate}" for name, estimate in values.items()), as_json=as_json)


@app.command()
@reads_log
def score(
    log: Source,
    adjustment: AdjustFile,
    output: Annotated[Path, typer.Option("--output", "-o", help="Parquet file for the scores.")],
    top: Annotated[int, typer.Option(min=1, help="Items kept per user.")] = 20,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Train the outcome model with an adjustment set and write debiased scores."""
    from causalsem.behaviour import behaviours
    from causalsem.identify import AdjustmentSet
    from causalsem.outcome import fit_outcome
    from causalsem.recommend import score as debiased

    pairs = behaviours(log.events(), unit=("user", "item"))
    scores = debiased(fit_outcome(pairs, AdjustmentSet.from_json(adjustment), seed=seed), top=top)
    scores.save(output)
    tell({"scores": output, "rows": len(scores.frame)}, text=f"{scores!r}\nwrote {output}", as_json=as_json)


@app.command()
@reads_log
def report(
    log: Source,
    treatment: Annotated[str, typer.Argument(help="The variable that is changed; several with commas. A study file may say it.")] = "",
    outcome: Annotated[str, typer.Argument(help="The variable that answers. A study file may say it.")] = "",
    output: Folder = Path("out/report"),
    recipe: Annotated[Path | None, typer.Option(help="Every choice of the study (TOML), as `Recipe.save` writes it.")] = None,
    knowledge: KnowledgeOption = None,
    language: Annotated[Language, typer.Option(help="Language the page opens in.")] = Language.en,
    as_json: Json = False,
) -> None:
    """Run the whole study of a log, or of a study file (TOML), and write report.html and every result into a folder."""
    from causalsem.graph import Knowledge
    from causalsem.pipeline import Recipe, run

    file = log.study
    query = _query(treatment, outcome) or (file.query if file else None)
    if query is None:
        raise InputError("no question; name a treatment and an outcome after the log, or hand in a study file with a [query]")
    known = Knowledge.load(knowledge) if knowledge else file.knowledge if file else None
    chosen = Recipe.load(recipe) if recipe else file.recipe if file else Recipe()
    study = run(log.events(), query, knowledge=known, recipe=chosen)
    paths = study.save(output, language=language.value)
    tell({"answer": study.answer.T.to_dict(), "files": paths}, text=_study_text(study, paths), as_json=as_json)


def _query(treatment: str, outcome: str) -> Any:
    """Return the query of two arguments, or None without either."""
    from causalsem.identify import Query

    if bool(treatment) != bool(outcome):
        raise InputError(f"a treatment {treatment!r} without an outcome; name both or neither")
    return Query(_names(treatment), outcome) if treatment else None


@app.command()
@reads_log
def export(
    graph: GraphFile,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write the adjustment sets (JSON); a folder with --log.")],
    treatment: Annotated[str, typer.Argument(help="The variable that is changed; all pairs without it.")] = "",
    outcome: Annotated[str, typer.Argument(help="The variable that answers.")] = "",
    log: Source | None = None,
    target: Annotated[
        list[str] | None, typer.Option("--for", help="With --log: recbole, implicit, lightgbm, spark_als or obp; may be repeated.")
    ] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Write adjustment sets for one query or all pairs of a graph; with --log weights and files for other recommenders."""
    from itertools import permutations

    from causalsem.graph import CausalGraph
    from causalsem.identify import Query, export_adjustment_sets
    from causalsem.identify.export import MOST_IMPLICATIONS

    asked = _query(treatment, outcome)
    whole = CausalGraph.load(graph)
    if log is not None:
        from causalsem.pipeline.exports import export_files

        if asked is None:
            raise InputError("weights are those of one treatment; name a treatment and an outcome beside --log")
        paths = export_files(whole, log.events(), asked, output, targets=target or (), seed=seed)
        tell(paths, text="\n".join(f"{name:<24} {path}" for name, path in paths.items()), as_json=as_json)
        return
    if target:
        raise InputError(f"--for {target[0]} needs the events; name them by --log")
    queries = [asked] if asked else [Query(a, b) for a, b in permutations(whole.observed, 2)]
    # Of all pairs, the implied independences would be most of the file.
    export_adjustment_sets(whole, queries, output, implications=MOST_IMPLICATIONS if treatment else 0)
    tell({"file": output, "queries": len(queries)}, text=f"wrote {output}: {len(queries)} questions", as_json=as_json)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say what is installed, which device there is, and how to get a small torch and what is missing."""
    from causalsem.pipeline.installation import installation

    facts = installation()
    tell(facts, text=_doctor_text(facts), as_json=as_json)


def _doctor_text(facts: dict[str, Any]) -> str:
    rows = {
        "python": facts["python"],
        "system": facts["system"],
        "device": f"{facts['device']} ({facts['device_name']})",
        **facts["packages"],
    }
    for extra, packages in facts["optional"].items():
        rows |= {f"{name} [{extra}]": found for name, found in packages.items()}
    lines = [f"{name:<34} {found or 'not installed'}" for name, found in rows.items()]
    lines += ["", *(f"to get what is missing: {line}" for line in facts["missing"])]
    size = "with CUDA, some gigabytes" if facts["cuda"] else "without CUDA"
    return "\n".join([*lines, f"this torch is built {size}; a small one, where the package index has it: {facts['small_torch']}"])


def _names(text: str) -> str | list[str]:
    """Return one name, or several that commas part."""
    names = [name.strip() for name in text.split(",")]
    return names if len(names) > 1 else names[0]
