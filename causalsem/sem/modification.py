"""Modification indices: by how much χ² would fall, and the parameter move, if one fixed parameter were freed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from causalsem._values import FloatArray
from causalsem.errors import NotIdentifiedError
from causalsem.sem.constraints import Constraints, independent_rows
from causalsem.sem.estimators import Setup, derivatives_at
from causalsem.sem.matrices import implied, ram_of
from causalsem.sem.partable import Names, ParameterTable, Row
from causalsem.sem.standard_errors import covariance_of_estimates
from causalsem.sem.standardise import scale_factor

if TYPE_CHECKING:
    from causalsem.sem.result import SEMFit

# A freed parameter with less information than this share of its own is one the data cannot tell from the others.
OPEN = 1e-8


def modification_indices(fit: SEMFit, most: int | None = None) -> pd.DataFrame:
    """Return lhs op rhs mi epc sepc_lv sepc_all [group], largest mi first (Sörbom 1989): score tests, not refits."""
    candidates = [row for g, names in enumerate(fit.table.names, start=1) for row in _candidates(fit.table, names, g)]
    if not candidates:
        return pd.DataFrame(columns=["lhs", "op", "rhs", "mi", "epc", "sepc_lv", "sepc_all"])
    freed = [replace(row, free=fit.table.count + k) for k, row in enumerate(candidates, start=1)]
    known = {(r.lhs, r.op, r.rhs, r.group) for r in freed}
    rows = (*(r for r in fit.table.rows if (r.lhs, r.op, r.rhs, r.group) not in known), *freed)
    wide = replace(fit.table, rows=rows, count=fit.table.count + len(freed))
    setup = Setup.build(fit.samples, fit.options)
    rams = tuple(ram_of(wide, g, s.covariance, s.mean) for g, s in enumerate(fit.samples, start=1))
    theta = np.concatenate([fit.theta, [r.value or 0.0 for r in candidates]])
    at = derivatives_at(setup.discrepancy(rams, wide.count), theta)
    left, k = _left_over(fit, at.information), fit.table.count
    with np.errstate(divide="ignore", invalid="ignore"):
        told = left > OPEN * np.diag(at.information)[k:]
        epc = np.where(told, -(setup.total / fit.n) * at.gradient[k:] / left, np.nan)
        mi = np.where(told, setup.total**2 / fit.n * at.gradient[k:] ** 2 / left, np.nan)
    frame = pd.DataFrame({"lhs": [r.lhs for r in freed], "op": [r.op for r in freed], "rhs": [r.rhs for r in freed], "mi": mi, "epc": epc})
    for name, observed in (("sepc_lv", False), ("sepc_all", True)):
        frame[name] = epc * _scales(fit, freed, observed=observed)
    two_level = fit.table.two_level
    if len(fit.table.group_labels) > 1:
        frame["group"] = [(r.group + 1) // 2 if two_level else r.group for r in freed]
    if two_level:
        frame["level"] = [2 - r.group % 2 for r in freed]
    ordered = frame.dropna(subset=["mi"]).sort_values("mi", ascending=False, kind="stable", ignore_index=True)
    return ordered if most is None else ordered.head(most)


def _left_over(fit: SEMFit, information: FloatArray) -> FloatArray:
    """Return the information on each freed parameter that the free ones do not take up."""
    k = fit.table.count
    J = independent_rows(Constraints.build(fit.table).equal(np.array(fit.theta))[1])
    bread = covariance_of_estimates(information[:k, :k], 1.0, J)
    if bread is None:
        raise NotIdentifiedError("modification indices need an identified model; free fewer parameters", parameters=fit.names)
    across = information[:k, k:]
    return np.asarray(np.diag(information)[k:] - np.einsum("ij,ik,kj->j", across, bread, across))


def _candidates(table: ParameterTable, names: Names, group: int) -> Iterator[Row]:
    """Yield the parameters that are fixed by the model or not in it, as lavaan's full table has them."""
    free = {(r.lhs, r.op, r.rhs) for r in table.rows if r.group == group and (r.free or r.exo)}
    value = {(r.lhs, r.op, r.rhs): r.value for r in table.rows if r.group == group}
    x = set(names.ov_x)
    nox = [n for n in names.ov if n not in x]
    indicators = list(dict.fromkeys(r.rhs for r in table.rows if r.op == "=~" and r.rhs in nox))
    equations = [r for r in table.rows if r.op == "~" and r.group == group]
    told = list(dict.fromkeys([r.lhs for r in equations] + [r.rhs for r in equations]))
    made = [(f, "=~", v) for f in names.lv if f not in names.formative for v in indicators]
    made += [(a, "~~", b) for some in (nox, names.lv) for a, b in itertools.combinations_with_replacement(some, 2)]
    # An arrow into a fixed cause would model what the fit conditions on.
    made += [(a, "~", b) for a in told if a not in x or not table.fixed_x for b in told if a != b]
    for lhs, op, rhs in made:
        twin = (rhs, op, lhs) if op == "~~" else (lhs, op, rhs)
        if (lhs, op, rhs) not in free and twin not in free:
            yield Row(lhs, op, rhs, False, group, value=value.get((lhs, op, rhs)))


def _scales(fit: SEMFit, rows: list[Row], *, observed: bool) -> FloatArray:
    """Return the factor from raw to standardised change of each freed parameter."""
    out = np.ones(len(rows))
    for g, ram in enumerate(fit.rams, start=1):
        at = implied(ram, fit.theta)
        place = {n: k for k, n in enumerate(ram.names.all)}
        sd, residual = np.sqrt(np.abs(np.diag(at.V))), np.sqrt(np.abs(np.diag(ram.fill(fit.theta)[1])))
        if not observed:
            sd[: ram.p] = residual[: ram.p] = 1.0
        for k, row in enumerate(rows):
            if row.group == g:
                out[k] = scale_factor(row.op, place[row.lhs], place[row.rhs], sd, residual)
    return out
