"""Is the model identified? Moment count and Jacobian rank, before any data decide; the null space told in names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from causalsem._values import FloatArray
from causalsem.errors import NotIdentifiedError, shown
from causalsem.sem.constraints import Constraints, null_space
from causalsem.sem.discrepancy import Derivatives, Discrepancy, NormalML
from causalsem.sem.equations import equation_conditions, order_words
from causalsem.sem.matrices import RAM, ram_of
from causalsem.sem.options import SEMOptions
from causalsem.sem.ordinal_model import without_weights
from causalsem.sem.partable import Names, ParameterTable
from causalsem.sem.repairs import smallest_repairs
from causalsem.sem.sample import Sample
from causalsem.sem.standard_errors import invert_information
from causalsem.sem.syntax import Model
from causalsem.sem.table_rules import build_table

# Eigenvalues of the information at unit diagonal; it squares the Jacobian, so 1e-10 is a singular value of 1e-5.
FLAT = 1e-10
POINTS = 3
SURE = 1e-7


def moment_count(table: ParameterTable) -> int:
    """Return how many sample moments the model has to explain; those of fixed causes do not count."""
    total = 0
    for g, names in enumerate(table.names, start=1):
        p = len(names.ov)
        if table.levels:
            total += _ordinal_moment_count(table, names)
            continue
        levelled = p if table.meanstructure else 0
        if table.two_level and g % 2:
            # A variable of both levels has one mean.
            levelled = sum(n not in table.names[g].ov for n in names.ov)
        exo = sum(1 for r in table.rows if r.group == g and r.exo)
        total += p * (p + 1) // 2 + levelled - exo
    return total


def _ordinal_moment_count(table: ParameterTable, names: Names) -> int:
    """Count thresholds, means, slopes on covariates, variances and covariances of one group."""
    x = names.ov_x if table.conditional_x else ()
    y = [n for n in names.ov if n not in x]
    thresholds = sum(table.levels[n] - 1 for n in y if n in table.levels)
    numeric = sum(n not in table.levels for n in y)
    return thresholds + 2 * numeric + len(y) * len(x) + len(y) * (len(y) - 1) // 2


def is_plainly_identified(rams: Sequence[RAM]) -> bool:
    """Tell whether a theorem says so: recursive, all observed, no error covariance between a cause and its effect (Brito & Pearl 2002)."""
    for ram in rams:
        q = len(ram.A0)
        if ram.responses is not None or ram.p < q or (ram.means and len(ram.m_row) > q):
            return False
        if not ram.recursive or (ram.spreads & (ram.arrows | ram.arrows.T)).any():
            return False
    return True


def check_identified(model: Model, table: ParameterTable, rams: Sequence[RAM], options: SEMOptions, start: Derivatives | None) -> None:
    """Raise NotIdentifiedError when no data could determine the parameters, with what stays open and what would mend it.

    The rank of ∂(moments)/∂θ is the same at almost every θ and never larger: full rank at the `start`
    values settles it, and deficits at POINTS random θ are no accident.
    """
    if not table.count or is_plainly_identified(rams) or (not table.constraints and _is_regular(start)):
        return
    flat = open_directions(table, options.seed)
    if flat.shape[1]:
        evidence = explanation(table, flat)
        found = repairs_of(model, options, table, evidence["parameters"])
        message = evidence.pop("message")
        rams_alone = without_data(table)[0]
        if len(rams_alone) == 1 and not rams_alone[0].names.lv and rams_alone[0].responses is None:
            ram = rams_alone[0]
            equations = equation_conditions(ram.names.ov, ram.arrows, ram.spreads, np.random.default_rng(options.seed))
            message += "".join(f"; {one}" for one in order_words(equations))
        if found:
            message += "; what would identify it: " + "; or ".join(found)
        raise NotIdentifiedError(message, **evidence, repairs=tuple(found))


def repairs_of(model: Model, options: SEMOptions, table: ParameterTable, open_names: Sequence[str]) -> list[str]:
    """Return the smallest changes that would identify a model, in words, each verified by its rank."""
    return smallest_repairs(model, options, table, open_names, lambda m: _is_identified(m, options, table))


def _is_regular(start: Derivatives | None) -> bool:
    """Tell whether the information at a point has full rank beyond doubt."""
    if start is None:
        return False
    inverse = invert_information(start.information)
    # At unit diagonal the smallest eigenvalue is at least 1 / tr(I⁻¹).
    return inverse is not None and float(inverse.diagonal() @ start.information.diagonal()) * SURE < 1.0


def _is_identified(model: Model, options: SEMOptions, like: ParameterTable) -> bool:
    """Tell whether a changed model has full rank."""
    table = build_table(model, options, like.group_labels, like.levels)
    return table.count - equalities(table) <= moment_count(table) and not open_directions(table, options.seed).shape[1]


def equalities(table: ParameterTable) -> int:
    """Count the `==` relations of a table."""
    return sum(r.op == "==" for r in table.relations)


def open_directions(table: ParameterTable, seed: int) -> FloatArray:
    """Return the directions of θ that change no moment, (k, open), from the point with the fewest; units are parameters' own precisions."""
    constraints = Constraints.build(table)
    problem = _discrepancy_without_data(table)
    rng = np.random.default_rng(seed)
    best = None
    for _ in range(POINTS):
        theta = random_point(table, problem, rng)
        point = problem.at(theta)
        if point is None:
            continue
        flat = flat_directions(point.derivatives().information, constraints.equal(theta)[1])
        best = flat if best is None or flat.shape[1] < best.shape[1] else best
        if not best.shape[1]:
            break
    return np.zeros((table.count, 0)) if best is None else best


def without_data(table: ParameterTable) -> tuple[tuple[RAM, ...], tuple[Sample, ...]]:
    """Return a table's matrices for standardised, weakly correlated fixed causes, and the samples they stand for."""
    samples = []
    for label, names in zip(table.block_labels, table.names, strict=True):
        p = len(names.ov)
        samples.append(Sample(label, names.ov, p + 2, np.full(p, 0.3), 0.8 * np.eye(p) + 0.2))
    return tuple(ram_of(table, g, s.covariance, s.mean) for g, s in enumerate(samples, start=1)), tuple(samples)


def _discrepancy_without_data(table: ParameterTable) -> Discrepancy:
    """Return a discrepancy whose information has the rank of the moments' Jacobian, whatever the data.

    It is ML, or least squares over all moments where variables are ordered.
    """
    rams, samples = without_data(table)
    weights = np.full(len(samples), 1.0 / len(samples))
    if table.levels:
        return without_weights(rams, weights, table.count)
    return NormalML.build(rams, samples, weights, table.count)


def random_point(table: ParameterTable, problem: Discrepancy, rng: np.random.Generator) -> FloatArray:
    """Return a random θ at which the model implies a covariance: slopes off zero, variances near one, small covariances."""
    size = rng.uniform(0.3, 0.8, table.count) * rng.choice([-1.0, 1.0], table.count)
    for _ in range(60):
        theta = size.copy()
        for row in table.rows:
            if row.free and row.op == "~~":
                k = row.free - 1
                theta[k] = 1.0 + abs(size[k]) if row.lhs == row.rhs else 0.3 * size[k]
            elif row.free and row.op == "~*~":
                theta[row.free - 1] = 0.5 + abs(size[row.free - 1])
        if problem.at(theta) is not None:
            return theta
        size *= 0.8
    return size


def flat_directions(information: FloatArray, J: FloatArray) -> FloatArray:
    """Return the directions with no information along the constraints' null space, (k, flat)."""
    scale = 1.0 / np.sqrt(np.where(np.diag(information) > 0, np.diag(information), 1.0))
    K = null_space(J * scale)
    values, vectors = np.linalg.eigh(K.T @ (information * np.outer(scale, scale)) @ K)
    return np.asarray(K @ vectors[:, values < FLAT])


def explanation(table: ParameterTable, flat: FloatArray, where: str = "") -> dict[str, Any]:
    """Return the message and evidence for directions that stay open."""
    weight = np.linalg.norm(flat, axis=1)
    open_ = tuple(name for name, w in zip(table.parameter_names, weight, strict=True) if w > 1e-4)
    moments, free = moment_count(table), table.count - equalities(table)
    rank = free - flat.shape[1]
    count = f"{free} free parameters, {moments} moments, rank {rank}"
    message = f"the model is not identified {where}({count}); undetermined: {shown(open_, 12)}"
    return {"message": message, "parameters": open_, "moments": moments, "free": free, "rank": rank}
