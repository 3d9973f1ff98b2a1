"""A model as text that lavaan, semopy, Mplus and dagitty read; every parameter is stated, so that no default adds or takes one."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from causalsem.errors import SettingError, UnknownNameError
from causalsem.graph import CausalGraph
from causalsem.graph.formats import to_dagitty
from causalsem.sem.expressions import Expression
from causalsem.sem.identification import without_data
from causalsem.sem.matrices import RAM
from causalsem.sem.options import Preset, SEMOptions
from causalsem.sem.partable import ParameterTable, Row
from causalsem.sem.table_rules import build_table
from causalsem.sem.text import graph_of, table_as_lavaan

if TYPE_CHECKING:
    from causalsem._values import FloatArray

SEMOPY_NAME, MPLUS_NAME = re.compile(r"[^\W\d][\w.]*"), re.compile(r"[A-Za-z][A-Za-z0-9_]{0,7}")
MPLUS_OPERATORS = {"=~": "BY", "~": "ON", "~~": "WITH"}
MPLUS_FUNCTIONS = ("exp", "log", "sqrt", "abs", "sin", "cos", "tan")
# Mplus cuts lines after 90 columns.
WIDTH = 80


def export_model(model: CausalGraph | str, to: str, *, preset: Preset | None = None, **options: Any) -> str:
    """Return a model (graph or lavaan text) as text for "lavaan", "semopy", "mplus" or "dagitty".

    Names a program cannot read are replaced, and a comment says by what. Raises SettingError where the program has no
    words for something in the model.

    >>> print(export_model("buy ~ b*browse", "mplus").splitlines()[-3])
      buy ON browse* (p1);
    """
    from causalsem.sem.fit import read_model

    writers: Mapping[str, Callable[[ParameterTable], str]] = {
        "lavaan": table_as_lavaan,
        "semopy": semopy_text,
        "mplus": mplus_text,
        "dagitty": lambda table: dagitty_text(without_data(table)[0][0]),
    }
    if to not in writers:
        raise UnknownNameError(to, writers, what="program", where="export_model")
    chosen = SEMOptions.build(preset or ("dag" if isinstance(model, CausalGraph) else "sem"), options)
    return writers[to](build_table(read_model(model)[0], chosen, ("",)))


def semopy_text(table: ParameterTable) -> str:
    """Return semopy text; parameters that are shared or used in a := line have a label, := lines are comments."""
    _refuse(table, "semopy", [("means", table.meanstructure), ("constraints between labels", bool(table.constraints))])
    names, comments = _safe_names(table.names[0].all, SEMOPY_NAME, "#")
    told = _labelled(table)
    lines = []
    for row in table.rows:
        if not row.exo:
            modifier = f"{row.value or 0.0:.17g}*" if not row.free else f"p{row.free}*" if row.free in told else ""
            lines.append(f"{names[row.lhs]} {row.op} {modifier}{names[row.rhs]}")
    lines += [f"# {r.left} := {r.right}" for r in table.defined]
    return "\n".join([*comments, *lines]) + "\n"


def mplus_text(table: ParameterTable, data: str = "rows.dat") -> str:
    """Return an Mplus input for a file of rows (observed variables in the model's order, no header).

    What Mplus would add by itself, covariances of factors and of last variables, is set to zero where the model has none.
    """
    _refuse(table, "Mplus", [("several estimators of <~", any(r.op == "<~" for r in table.rows))])
    names, comments = _safe_names(table.names[0].all, MPLUS_NAME, "!")
    observed = [names[n] for n in table.names[0].ov]
    lines = [*comments, "TITLE: written by causalsem", f'DATA: FILE IS "{data}";']
    lines += _wrapped(f"VARIABLE: NAMES ARE {' '.join(observed)};")
    plain = "" if table.meanstructure else "\n  MODEL = NOMEANSTRUCTURE;\n  INFORMATION = EXPECTED;"
    lines.append(f"ANALYSIS:\n  ESTIMATOR = ML;{plain}\nMODEL:")
    told = _labelled(table)
    lines += [f"  {_mplus_row(r, names, told)};" for r in table.rows if not r.exo]
    lines += [f"  {names[a]} WITH {names[b]}@0;" for a, b in _left_out(table)]
    return "\n".join([*lines, *_mplus_constraints(table)]) + "\n"


def dagitty_text(ram: RAM, theta: FloatArray | None = None) -> str:
    """Return dagitty text: arrows, bidirected edges, latent variables, and coefficients at θ; raises CycleError for feedback."""
    graph = graph_of(ram)
    lines = to_dagitty(graph).splitlines()
    names, quoted = ram.names.all, {}
    for name, line in zip(graph.nodes, lines[1:], strict=False):
        quoted[name] = line.strip().removesuffix(" [latent]")
    bows = np.argwhere(np.tril(ram.spreads & (ram.arrows | ram.arrows.T)))
    extra = [f"  {quoted[names[j]]} <-> {quoted[names[i]]}" for i, j in bows]
    if theta is not None:
        A = ram.fill(theta)[0]
        beta = {f"  {quoted[names[c]]} -> {quoted[names[r]]}": float(A[r, c]) for r, c in np.argwhere(ram.arrows)}
        lines = [f'{line} [beta="{beta[line]:.6g}"]' if line in beta else line for line in lines]
    return "\n".join([*lines[:-1], *extra, lines[-1]]) + "\n"


def _refuse(table: ParameterTable, program: str, more: Iterable[tuple[str, bool]]) -> None:
    """Raise SettingError for what a program's text here has no words for."""
    beyond = [
        ("several groups", table.groups > 1),
        ("ordered variables", bool(table.levels)),
        ("bounds", any(r.lower is not None or r.upper is not None for r in table.rows)),
        *more,
    ]
    for what, there in beyond:
        if there:
            raise SettingError(f"{program} text is not written for {what} here; export the model without, or to lavaan")


def _safe_names(names: Iterable[str], pattern: re.Pattern[str], comment: str) -> tuple[dict[str, str], list[str]]:
    """Return a readable name for every variable (v1, v2 … where its own will not do), and comments that say which."""
    out: dict[str, str] = {}
    taken = {n.casefold() for n in names if pattern.fullmatch(n)}
    used: set[str] = set()
    numbers = (f"v{k}" for k in itertools.count(1))
    for name in names:
        fits = pattern.fullmatch(name) and name.casefold() not in used
        out[name] = name if fits else next(v for v in numbers if v not in taken)
        used.add(out[name].casefold())
    odd = ((new, re.sub(r"\s", " ", old)) for old, new in out.items() if old != new)
    return out, [f"{comment} {new} = {old}" for new, old in odd]


def _labelled(table: ParameterTable) -> set[int]:
    """Return the numbers of the parameters that need a label: shared ones, and those that relations use."""
    free = [r.free for r in table.rows if r.free]
    used = {n for relation in table.relations for side in (relation.left, relation.right) for n in side.names}
    return {k for k in free if free.count(k) > 1} | {r.free for r in table.rows if r.free and {r.label, r.plabel} & used}


def _mplus_row(row: Row, names: Mapping[str, str], told: set[int]) -> str:
    label = f" (p{row.free})" if row.free in told else ""
    value = f"@{row.value or 0.0:.10g}" if not row.free else "*"
    if row.op == "~1":
        return f"[{names[row.lhs]}{value}]{label}"
    if row.op == "~~" and row.lhs == row.rhs:
        return f"{names[row.lhs]}{value}{label}"
    return f"{names[row.lhs]} {MPLUS_OPERATORS[row.op]} {names[row.rhs]}{value}{label}"


def _left_out(table: ParameterTable) -> list[tuple[str, str]]:
    """Return the pairs whose covariance Mplus would free by itself though the model has none."""
    role = table.names[0]
    stated = {frozenset((r.lhs, r.rhs)) for r in table.rows if r.op == "~~"}
    pairs = [*itertools.combinations(role.lv_x, 2), *itertools.combinations((*role.lv_y, *role.ov_y), 2)]
    return [pair for pair in pairs if frozenset(pair) not in stated]


def _mplus_constraints(table: ParameterTable) -> list[str]:
    """Return MODEL CONSTRAINT with := lines as new parameters, and equalities and inequalities as they are."""
    if not table.relations:
        return []
    words = {}
    for row in table.rows:
        for label in filter(None, (row.label, row.plabel)):
            words[label] = f"p{row.free}" if row.free else f"({row.value or 0.0:.10g})"
    new = {r.left.name: f"d{k}" for k, r in enumerate(table.defined, start=1)}
    words |= new
    lines = [f"! {short} = {name}" for name, short in new.items()]
    lines.append("MODEL CONSTRAINT:")
    lines += [f"  NEW({' '.join(new.values())});"] if new else []
    for r in table.relations:
        left, right = _mplus_expression(r.left, words), _mplus_expression(r.right, words)
        lines += _wrapped(f"  {left} = {right};" if r.op == ":=" else f"  0 {'=' if r.op == '==' else r.op} {right} - {left};")
    return lines


def _mplus_expression(node: Expression, words: Mapping[str, str]) -> str:
    if node.kind == "number":
        return f"{node.value:.10g}"
    if node.kind == "name":
        return words[node.name]
    parts = [_mplus_expression(part, words) for part in node.parts]
    if node.kind == "call":
        if node.name not in MPLUS_FUNCTIONS:
            raise SettingError(f"Mplus has no function {node.name}(); use one of {', '.join(MPLUS_FUNCTIONS)}")
        return f"{node.name.upper()}({parts[0]})"
    if node.kind == "negative":
        return f"(-{parts[0]})"
    return f"({parts[0]} {'**' if node.kind == '^' else node.kind} {parts[1]})"


def _wrapped(line: str) -> list[str]:
    """Return a line broken at blanks, so that Mplus reads all of it."""
    out = [""]
    for word in line.split(" "):
        if out[-1] and len(out[-1]) + len(word) >= WIDTH:
            out.append("    " + word)
        else:
            out[-1] = f"{out[-1]} {word}" if out[-1] else word or " "
    return out
