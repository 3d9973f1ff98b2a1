"""Equal parameters: labels across groups by group_equal, and the numbering of free parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from causalsem.errors import SettingError, check_names
from causalsem.sem.options import SEMOptions
from causalsem.sem.partable import Names, Row


def _kind(row: Row, role: Names) -> str | None:
    """Return the class of group_equal that a row belongs to."""
    plain = {"=~": "loadings", "~": "regressions", "|": "thresholds"}
    if row.exo or row.op in plain:
        return None if row.exo else plain[row.op]
    latent = row.lhs in role.lv
    if row.op == "~1":
        return "means" if latent else "intercepts"
    if row.op != "~~":
        return None
    if row.lhs == row.rhs:
        return "lv.variances" if latent else "residuals"
    return "lv.covariances" if latent else "residual.covariances"


def _is_first(row: Row) -> bool:
    """Tell whether a row is of the first group."""
    return row.group <= (2 if row.level else 1)


def equate_groups(rows: list[Row], names: Sequence[Names], options: SEMOptions, levels: Mapping[str, int]) -> None:
    """Give the rows of later groups the first group's label where `group_equal` says so, and free what that identifies."""
    partial = {text.replace(" ", "") for text in options.group_partial}
    check_names(partial, {f"{r.lhs}{r.op}{r.rhs}".replace(" ", "") for r in rows}, what="parameter", where="group_partial")
    first = {(r.lhs, r.op, r.rhs, r.level): r for r in rows if _is_first(r)}
    for row in rows:
        role = names[row.group - 1]
        twin = first.get((row.lhs, row.op, row.rhs, row.level))
        kind = _kind(row, role)
        if _is_first(row) or (row.user and kind not in options.equal_groups) or twin is None:
            continue
        if _is_identified_by_equality(kind, row, options, levels):
            row.free, row.value = 1, None
        elif kind in options.equal_groups and twin.free and row.free and f"{row.lhs}{row.op}{row.rhs}" not in partial:
            twin.label = twin.label or twin.plabel
            row.label = twin.label


def _is_identified_by_equality(kind: str | None, row: Row, options: SEMOptions, levels: Mapping[str, int]) -> bool:
    """Tell whether equal intercepts (loadings) let a later group's latent mean (variance) be free."""
    equal = options.equal_groups
    if kind == "means":
        return ("intercepts" in equal or "thresholds" in equal) and "means" not in equal and not row.user
    if options.parameterization == "delta":
        freed = row.op == "~*~" and row.lhs in levels
    else:
        freed = row.op == "~~" and row.lhs == row.rhs and row.lhs in levels
    if freed:
        return "thresholds" in equal and bool(options.auto_delta)
    return kind == "lv.variances" and options.std_lv and "loadings" in equal and kind not in equal and not row.user


def number_rows(rows: list[Row]) -> tuple[int, tuple[str, ...]]:
    """Number the parameters: rows that share a label share a number, and a fixed row fixes its label."""
    plain = {r.plain_name: r for r in rows}
    for row in rows:
        # equal("visual=~x2") names another row instead of a label.
        named = plain.get(row.label.replace(" ", ""))
        if named is not None and named is not row:
            named.label = named.label or named.plabel
            row.label = named.label
    fixed: dict[str, Row] = {}
    for row in rows:
        if row.label and not row.free:
            known = fixed.setdefault(row.label, row)
            if known.value != row.value:
                both = f"{known.plain_name} to {known.value} and {row.plain_name} to {row.value}"
                raise SettingError(f"the label {row.label!r} fixes {both}; use two labels or one value")
    numbers: dict[str, int] = {}
    told: list[str] = []
    for row in rows:
        if not row.free:
            continue
        if row.label in fixed:
            row.free, row.value = 0, fixed[row.label].value
            continue
        key = row.label or row.plabel
        if key not in numbers:
            told.append(row.name)
            numbers[key] = len(told)
        row.free = numbers[key]
    return len(told), tuple(told)
