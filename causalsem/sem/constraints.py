"""Labels as numbers: defined parameters with their gradients, equality and inequality constraints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from causalsem._values import FloatArray
from causalsem.errors import ModelSyntaxError, SettingError, check_names
from causalsem.sem.expressions import Dual, Expression, evaluate
from causalsem.sem.partable import ParameterTable
from causalsem.sem.syntax import Relation

# Values (m,) and Jacobian (m, k).
Stacked = tuple[FloatArray, FloatArray]
# A constraint counts as met within this distance.
MET = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """Where each label points: a parameter (from 0) or a fixed value; and the `:=` relations in order."""

    parameters: dict[str, int]
    fixed: dict[str, float]
    defined: tuple[Relation, ...]
    count: int

    def values(self, theta: FloatArray) -> dict[str, Dual]:
        """Return value and gradient of every label and defined parameter at `theta`."""
        known: dict[str, Dual] = {name: (value, np.zeros(self.count)) for name, value in self.fixed.items()}
        for name, k in self.parameters.items():
            unit = np.zeros(self.count)
            unit[k] = 1.0
            known[name] = (float(theta[k]), unit)
        for relation in self.defined:
            known[relation.left.name] = evaluate(relation.right, known, self.count)
        return known


def labels_of(table: ParameterTable) -> Labels:
    """Return the labels that the table's relations use; raises UnknownNameError with the nearest label."""
    free: dict[str, int] = {}
    fixed: dict[str, float] = {}
    for row in table.rows:
        for name in (row.label, row.plabel):
            if name and row.free:
                free[name] = row.free - 1
            elif name and row.value is not None:
                fixed[name] = row.value
    told = {name for name in (*free, *fixed) if not name.startswith(".p")}
    known, used = set(told), set()
    for relation in table.relations:
        names = relation.right.names if relation.op == ":=" else (*relation.left.names, *relation.right.names)
        where = f"model text, line {relation.line}"
        check_names([n for n in names if n not in free and n not in fixed], known, what="label", where=where)
        used |= set(names)
        if relation.op == ":=":
            if relation.left.name in known:
                message = f"model text, line {relation.line} column {relation.column}: {relation.left.name!r} is defined twice"
                raise ModelSyntaxError(f"{message}; expected a new name", line=relation.line, column=relation.column, expected="a new name")
            known.add(relation.left.name)
    return Labels({n: k for n, k in free.items() if n in used}, {n: v for n, v in fixed.items() if n in used}, table.defined, table.count)


@dataclass(frozen=True, slots=True, eq=False)
class Constraints:
    """Equalities c(θ) = 0 and inequalities h(θ) ≥ 0, each evaluated with its Jacobian."""

    labels: Labels
    equalities: tuple[Expression, ...] = ()
    inequalities: tuple[Expression, ...] = ()
    bounds: tuple[tuple[int, float, float], ...] = ()  # (parameter, sign, limit): sign · (θ − limit) ≥ 0

    @classmethod
    def build(cls, table: ParameterTable) -> Constraints:
        """Return the constraints of a table: its relations and its lower() and upper() modifiers."""
        equal, above = [], []
        for r in table.constraints:
            if r.op == "==":
                equal.append(Expression("-", (r.left, r.right)))
            else:
                big, small = (r.right, r.left) if r.op == "<" else (r.left, r.right)
                above.append(Expression("-", (big, small)))
        bounds: dict[tuple[int, float, float], None] = {}
        for row in table.rows:
            if row.free and row.lower is not None:
                bounds[row.free - 1, 1.0, row.lower] = None
            if row.free and row.upper is not None:
                bounds[row.free - 1, -1.0, row.upper] = None
        _check_bounds(bounds, table.parameter_names)
        return cls(labels_of(table), tuple(equal), tuple(above), tuple(bounds))

    @property
    def sides(self) -> int:
        """How many inequalities and bounds there are."""
        return len(self.inequalities) + len(self.bounds)

    def equal(self, theta: FloatArray, active: tuple[int, ...] = ()) -> Stacked:
        """Return c (equalities, then active inequalities) and its Jacobian at `theta`."""
        if not self.equalities and not active:
            return np.zeros(0), np.zeros((0, len(theta)))
        h, H = self.above(theta)
        known = self.labels.values(theta)
        duals = [evaluate(e, known, len(theta)) for e in self.equalities]
        c = np.array([value for value, _ in duals] + [h[k] for k in active])
        J = np.array([slope for _, slope in duals] + [H[k] for k in active])
        return c, J.reshape(len(c), len(theta))

    def above(self, theta: FloatArray) -> Stacked:
        """Return h (inequalities, then bounds) and its Jacobian at `theta`."""
        known = self.labels.values(theta) if self.inequalities else {}
        duals = [evaluate(e, known, len(theta)) for e in self.inequalities]
        h = [value for value, _ in duals] + [sign * (theta[k] - limit) for k, sign, limit in self.bounds]
        H = np.zeros((self.sides, len(theta)))
        for i, (_, slope) in enumerate(duals):
            H[i] = slope
        for i, (k, sign, _) in enumerate(self.bounds, start=len(duals)):
            H[i, k] = sign
        return np.array(h, dtype=np.float64), H

    def violation(self, theta: FloatArray) -> float:
        """Return the largest amount by which a constraint is not met at `theta`, 0 when all are."""
        c, _ = self.equal(theta)
        h, _ = self.above(theta)
        return max(float(np.abs(c).max(initial=0.0)), float(-h.min(initial=0.0)))

    def next_active(self, theta: FloatArray, gradient: FloatArray, active: tuple[int, ...]) -> tuple[int, ...] | None:
        """Return the next active set: the worst violated inequality joins, a wrong-signed one leaves; None when done."""
        if not self.sides:
            return None
        h, _ = self.above(theta)
        waiting = [k for k in range(self.sides) if k not in active and h[k] < -MET]
        if waiting:
            return (*active, min(waiting, key=lambda k: h[k]))
        if not active:
            return None
        _, J = self.equal(theta, active)
        multipliers = np.linalg.lstsq(J.T, gradient, rcond=None)[0][len(self.equalities) :]
        worst = int(np.argmin(multipliers))
        return None if multipliers[worst] > -1e-10 else tuple(k for i, k in enumerate(active) if i != worst)


def _check_bounds(bounds: Iterable[tuple[int, float, float]], names: Sequence[str]) -> None:
    """Raise SettingError at a parameter whose lower bounds, on all rows that share it, exceed its upper ones."""
    low: dict[int, float] = {}
    high: dict[int, float] = {}
    for k, sign, limit in bounds:
        if sign > 0:
            low[k] = max(limit, low.get(k, limit))
        else:
            high[k] = min(limit, high.get(k, limit))
    for k in low.keys() & high.keys():
        if low[k] > high[k]:
            raise SettingError(
                f"the bounds of {names[k]!r} contradict each other: at least {low[k]:g}, at most {high[k]:g}; mend one of them"
            )


def null_space(J: FloatArray) -> FloatArray:
    """Return K (k, k − r) with orthonormal columns and J K = 0."""
    if not len(J):
        return np.eye(J.shape[1])
    _, values, rows = np.linalg.svd(J)
    rank = int((values > 1e-10 * max(values.max(initial=0.0), 1e-300)).sum())
    return np.asarray(rows[rank:].T)


def independent_rows(J: FloatArray) -> FloatArray:
    """Return rows of J (m, k) that span the same space: a constraint stated twice restricts once."""
    kept: list[FloatArray] = []
    for row in J:
        if np.linalg.matrix_rank(np.array([*kept, row])) > len(kept):
            kept.append(row)
    return np.array(kept).reshape(len(kept), J.shape[1])
