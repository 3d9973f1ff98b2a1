"""From a parsed model to its parameter table: the user's rows, then lavaan's automatic ones by the preset's rules."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence

from causalsem.errors import ModelSyntaxError, SettingError, shown
from causalsem.sem.expressions import Expression
from causalsem.sem.group_rules import equate_groups, number_rows
from causalsem.sem.options import SEMOptions
from causalsem.sem.partable import Key, Names, ParameterTable, Row, names_of
from causalsem.sem.syntax import Block, Model, Relation, Statement


def build_table(
    model: Model, options: SEMOptions, group_labels: Sequence[str] = ("",), levels: Mapping[str, int] | None = None
) -> ParameterTable:
    """Return the table of a model for its groups; raises ModelSyntaxError at contradictory statements.

    `levels` are the ordered variables with their number of categories.
    """
    two_level = has_levels(model)
    blocks = _blocks_of_levels(model, group_labels) if two_level else _blocks_of_groups(model, group_labels)
    levels = levels or {}
    fixed_x = options.holds_x
    means = True if levels else options.meanstructure
    if means is None:
        stated = any(s.op == "~1" for b in blocks for s in b.statements)
        means = stated or len(blocks) > 1 or options.fiml or bool(options.clusters) or options.mimic == "mplus"
    rows: list[Row] = []
    names = []
    for g, block in enumerate(blocks, start=1):
        role = names_of(block.statements)
        user = _user_rows(block.statements, role, (g + 1) // 2 if two_level else g, len(group_labels))
        made = _with_automatic_rows(user, role, options, fixed_x=fixed_x, means=means, group=g)
        for row in made:
            row.group, row.level = g, 2 - g % 2 if two_level else 0
        rows += _with_responses(made, role, options, levels, g)
        names.append(role)
    if two_level:
        _fix_within_means(rows, names)
    for k, row in enumerate(rows, start=1):
        row.plabel = f".p{k}."
    if len(group_labels) > 1:
        equate_groups(rows, names, options, levels)
    coded = _effect_coding(rows, options)
    count, told = number_rows(rows)
    conditional = bool(levels) and fixed_x and bool(options.conditional_x)
    delta = options.parameterization == "delta"
    relations = (*model.relations, *coded)
    return ParameterTable(
        tuple(rows), tuple(names), relations, tuple(group_labels), means, fixed_x, count, told, dict(levels), conditional, delta, two_level
    )


def has_levels(model: Model) -> bool:
    """Tell whether the text has level: blocks."""
    return any(b.kind == "level" for b in model.blocks)


def _blocks_of_levels(model: Model, labels: Sequence[str]) -> list[Block]:
    """Return the blocks within and between, group by group; without group: lines all groups have the same."""
    by_group: dict[str, list[Block]] = {}
    group = ""
    for block in model.blocks:
        if block.kind == "level":
            by_group.setdefault(group, []).append(block)
        elif block.kind == "group":
            group = block.label
        if block.kind != "level" and block.statements:
            raise SettingError("statements before the first level: line belong to no level; move them under level: 1 or level: 2")
    if any(len(blocks) != 2 for blocks in by_group.values()):
        raise SettingError("a two-level model has two level: blocks, within first and between second; write both")
    if len(by_group) == 1:
        return [block for _ in labels for block in next(iter(by_group.values()))]
    if set(by_group) != set(labels):
        raise SettingError(f"group: blocks {shown(by_group)} for groups {shown(labels)}; write one block per group")
    return [block for label in labels for block in by_group[label]]


def _fix_within_means(rows: Iterable[Row], names: Sequence[Names]) -> None:
    """Fix at 0 the within means of variables of both levels: their means are on the second."""
    for row in rows:
        if row.op == "~1" and row.level == 1 and row.lhs in names[row.group].ov and not row.user:
            row.free, row.value, row.exo = 0, 0.0, False


def _blocks_of_groups(model: Model, labels: Sequence[str]) -> list[Block]:
    """Return one block per group: the text's own, or the same statements for each."""
    named = [b for b in model.blocks if b.kind]
    shared = [s for b in model.blocks if not b.kind for s in b.statements]
    if not named:
        return [Block("", label, tuple(shared)) for label in labels]
    if len(named) != len(labels):
        raise SettingError(f"{len(named)} group: blocks for {len(labels)} groups {shown(labels)}; write one block per group")
    by_label = {b.label: b for b in named}
    ordered = [by_label[label] for label in labels] if all(label in by_label for label in labels) else named
    return [Block("group", label, (*shared, *b.statements)) for b, label in zip(ordered, labels, strict=True)]


def _user_rows(statements: Iterable[Statement], role: Names, group: int, groups: int) -> list[Row]:
    """Return a row per statement; a repeated one adds its modifiers to the first."""
    place = {name: k for k, name in enumerate((*role.lv, *role.ov))}
    rows: dict[Key, Row] = {}
    for s in statements:
        lhs, rhs = s.lhs, s.rhs
        if s.op == "~~" and place[lhs] > place[rhs]:
            lhs, rhs = rhs, lhs
        if s.op in ("=~", "~", "<~") and lhs == rhs:
            raise ModelSyntaxError(
                f"model text, line {s.line} column {s.column}: {lhs!r} stands on both sides of {s.op}; expected another variable",
                line=s.line,
                column=s.column,
                expected="another variable",
            )
        if s.op == "|" and not (rhs[:1] == "t" and rhs[1:].isdecimal() and int(rhs[1:])):
            raise ModelSyntaxError(
                f"model text, line {s.line} column {s.column}: {rhs!r} is no threshold; expected t1, t2, …",
                line=s.line,
                column=s.column,
                expected="t1, t2, …",
            )
        key = (lhs, s.op, rhs)
        known = key in rows
        row = rows.setdefault(key, Row(lhs, s.op, rhs, True, group, free=1))
        if known and not s.modifiers:
            raise ModelSyntaxError(
                f"model text, line {s.line} column {s.column}: {lhs} {s.op} {rhs} is stated twice; expected it once",
                line=s.line,
                column=s.column,
                expected="each parameter once",
            )
        _apply_modifiers(row, s, group, groups)
    return list(rows.values())


def _apply_modifiers(row: Row, s: Statement, group: int, groups: int) -> None:
    for modifier in s.modifiers:
        values = modifier.values
        if len(values) not in (1, groups):
            message = f"{len(values)} values for {groups} group(s); expected 1 or {groups} values"
            raise ModelSyntaxError(
                f"model text, line {s.line} column {s.column}: {message}", line=s.line, column=s.column, expected=message
            )
        value = values[0] if len(values) == 1 else values[group - 1]
        if modifier.kind in ("label", "equal"):
            row.label = "" if value is None else str(value)
        elif isinstance(value, str):
            raise ModelSyntaxError(
                f"model text, line {s.line} column {s.column}: {_no_number(modifier.kind, value)}", line=s.line, column=s.column
            )
        elif modifier.kind == "fixed":
            row.free, row.value, row.freed = (1, None, True) if value is None else (0, value, False)
        elif modifier.kind == "start":
            row.value = value
        elif modifier.kind == "lower":
            row.lower = value
        else:
            row.upper = value


def _no_number(kind: str, value: str) -> str:
    """Return what to say of a modifier whose value is not a number."""
    if value.lower() in ("nan", "inf"):
        what = "NaN, which is no number" if value.lower() == "nan" else "infinite"
        return f"the value in {kind}({value}) is {what}; give a finite number, or leave {kind}() out"
    return f"the modifier {kind} needs a number, not {value!r}; expected a number"


def _with_automatic_rows(user: list[Row], role: Names, options: SEMOptions, *, fixed_x: bool, means: bool, group: int) -> list[Row]:
    """Return the user's rows and lavaan's automatic ones, fixed and freed by the preset's rules."""
    rows = {(r.lhs, r.op, r.rhs): r for r in user}
    x = set(role.ov_x)

    def add(lhs: str, op: str, rhs: str, free: bool, value: float | None = None, exo: bool = False) -> None:
        if (lhs, op, rhs) not in rows:
            rows[lhs, op, rhs] = Row(lhs, op, rhs, False, group, free=int(free), value=value, exo=exo)

    for name in (*(n for n in role.ov if n not in x), *role.lv):
        variance = bool(options.auto_var) and name not in role.formative
        add(name, "~~", name, variance, None if variance else 0.0)
    if options.auto_cov_lv_x:
        for a, b in itertools.combinations(role.lv_x, 2):
            add(a, "~~", b, not options.orthogonal, 0.0 if options.orthogonal else None)
    if options.auto_cov_y:
        for a, b in itertools.combinations((*role.lv_y, *role.ov_y), 2):
            add(a, "~~", b, True)
    for i, a in enumerate(role.ov_x):
        for b in role.ov_x[i:]:
            add(a, "~~", b, not fixed_x, exo=fixed_x)
    if means:
        for name in role.ov:
            free = not fixed_x if name in x else bool(options.int_ov_free)
            exo = fixed_x and name in x
            add(name, "~1", "", free, None if free or exo else 0.0, exo)
        for name in role.lv:
            add(name, "~1", "", bool(options.int_lv_free), None if options.int_lv_free else 0.0)
    _set_scales(list(rows.values()), role, options)
    return list(rows.values())


def _with_responses(rows: list[Row], role: Names, options: SEMOptions, levels: Mapping[str, int], group: int) -> list[Row]:
    """Return the rows with thresholds and scales of the ordered variables, whose error variances and intercepts are fixed."""
    ordered = [n for n in role.ov if n in levels]
    known = {(r.lhs, r.op, r.rhs): r for r in rows}
    for row in rows:
        if row.op == "|" and int(row.rhs[1:]) >= levels.get(row.lhs, 0):
            count = levels.get(row.lhs, 0)
            raise SettingError(f"{row.lhs}|{row.rhs} is one threshold too many: {row.lhs!r} has {count} categories; leave it out")
    for name in ordered:
        for k in range(1, levels[name]):
            if (name, "|", f"t{k}") not in known:
                rows.append(Row(name, "|", f"t{k}", False, group, free=int(bool(options.auto_th)), value=None if options.auto_th else 0.0))
        if (name, "~*~", name) not in known:
            rows.append(Row(name, "~*~", name, False, group, free=0, value=1.0))
        for key, value in (((name, "~~", name), 1.0), ((name, "~1", ""), 0.0)):
            if key in known and not known[key].user:
                known[key].free, known[key].value = 0, value
    return rows


def _fix(row: Row, value: float) -> None:
    if not row.freed and row.free:
        row.free, row.value = 0, value


def _set_scales(rows: list[Row], role: Names, options: SEMOptions) -> None:
    """Fix first loadings or latent variances, and the residual variance of single indicators."""
    loadings: dict[str, list[Row]] = {}
    for row in rows:
        if row.op == "=~":
            loadings.setdefault(row.lhs, []).append(row)
    if options.auto_fix_first:
        for measured in loadings.values():
            _fix(measured[0], 1.0)
    variances = {r.lhs: r for r in rows if r.op == "~~" and r.lhs == r.rhs}
    if options.std_lv:
        for name in role.lv:
            _fix(variances[name], 1.0)
    if options.auto_fix_single and options.auto_var:
        every = [row.rhs for measured in loadings.values() for row in measured]
        for measured in loadings.values():
            indicator = measured[0].rhs
            alone = len(measured) == 1 and every.count(indicator) == 1
            if alone and indicator not in role.lv and not variances[indicator].user:
                _fix(variances[indicator], 0.0)


def _effect_coding(rows: Sequence[Row], options: SEMOptions) -> list[Relation]:
    """Return the constraints of effect coding (Little, Slegers & Card 2006), and free the latent means that they identify.

    Loadings of a latent variable average 1, intercepts of its indicators 0.
    """
    out = []
    for block in sorted({r.group for r in rows}):
        mine = [r for r in rows if r.group == block]
        for latent in dict.fromkeys(r.lhs for r in mine if r.op == "=~"):
            loadings = [r for r in mine if r.op == "=~" and r.lhs == latent]
            measured = {r.rhs for r in loadings}
            intercepts = [r for r in mine if r.op == "~1" and r.lhs in measured]
            if "loadings" in options.effect_codes and all(r.free for r in loadings):
                out.append(_sum_is(loadings, float(len(loadings))))
            if "intercepts" in options.effect_codes and intercepts and all(r.free for r in intercepts):
                out.append(_sum_is(intercepts, 0.0))
                for row in mine:
                    if row.op == "~1" and row.lhs == latent and not row.user:
                        row.free, row.value = 1, None
    return out


def _sum_is(rows: Sequence[Row], value: float) -> Relation:
    """Return the constraint that parameters sum to a value."""
    total = Expression("name", name=rows[0].plabel)
    for row in rows[1:]:
        total = Expression("+", (total, Expression("name", name=row.plabel)))
    return Relation("==", total, Expression("number", value=value))
