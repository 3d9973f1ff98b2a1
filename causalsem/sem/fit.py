"""fit_sem: from a graph or lavaan text and data to a SEMFit."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from causalsem._engines import load_engine
from causalsem._values import FloatArray
from causalsem.behaviour.moments import Moments
from causalsem.behaviour.origin import warn_of_other_unit
from causalsem.behaviour.table import origin_of, with_pandas
from causalsem.errors import AssumptionWarning, ConvergenceWarning, DataWarning, NotConvergedError, NotIdentifiedError, SettingError, shown
from causalsem.graph import CausalGraph
from causalsem.sem.bounds import with_bounds
from causalsem.sem.constraints import Constraints, independent_rows
from causalsem.sem.diagnosis import (
    admissibility_notes,
    automatic_remarks,
    data_notes,
    feedback_remarks,
    impossible_variances,
    open_notes,
    runaways,
    undefined_notes,
    weak_instrument_notes,
)
from causalsem.sem.discrepancy import Discrepancy
from causalsem.sem.estimators import Setup, covariance_of, derivatives_at
from causalsem.sem.from_graph import member_of_class, model_of_graph
from causalsem.sem.identification import check_identified, explanation, flat_directions, is_plainly_identified
from causalsem.sem.matrices import RAM, ram_of
from causalsem.sem.measures import fit_measures
from causalsem.sem.options import PLANS, Preset, SEMOptions
from causalsem.sem.partable import ParameterTable
from causalsem.sem.result import SEMFit
from causalsem.sem.sample import Data, group_labels, latent_columns, ordered_levels, samples_of, usual_ways
from causalsem.sem.solutions import equally_good, has_feedback, largest_radius, may_have_others
from causalsem.sem.solver import Begun, Solution, look, minimise
from causalsem.sem.standard_errors import delta_se
from causalsem.sem.starts import start_values
from causalsem.sem.syntax import Model, parse_model
from causalsem.sem.table_rules import build_table, has_levels
from causalsem.sem.two_level_samples import two_level_samples

MOMENTS_OF_PAIRS = (
    "moments of user–item pairs know neither user nor item: standard errors take pairs as independent, and can be many times "
    "too small; hand in the table itself, or cluster=() to take them so"
)
PAIRS_APART = "these errors take user–item pairs as independent, and can be many times too small; clustered ones come with 'ML' or 'MLR'"


def fit_sem(
    model: CausalGraph | str,
    data: Data,
    *,
    preset: Preset | None = None,
    engine: Literal["causalsem", "semopy"] = "causalsem",
    **options: Any,
) -> SEMFit:
    """Fit a structural equation model by maximum likelihood and return its SEMFit.

    `model` is a CausalGraph (preset "dag": its arrows, and an error covariance for every bidirected edge) or lavaan
    text (preset "sem", "cfa", "growth", "lavaan" or "dag"); `data` are Moments, a BehaviourTable or a DataFrame.
    Options have lavaan's names with _ for the dot (see SEMOptions). Assumes linear relations; standard errors and χ²
    assume normal errors and independent rows, or with `cluster=` neither: rows with the same value of a column, or of any
    of several such as ("user", "item"), may depend on each other. A table of user–item pairs is clustered by both unless
    cluster=() says not to. Warns where the graph was found on rows of another unit. Raises ModelSyntaxError,
    UnknownNameError, SettingError, MomentsError, NotIdentifiedError, NotConvergedError.

    >>> from causalsem.behaviour import Moments
    >>> m = Moments.from_covariance([[1.0, 0.5], [0.5, 1.0]], n=100, names=["browse", "buy"])
    >>> float(fit_sem("buy ~ browse", m).coefficients["buy~browse"])
    0.5
    """
    spec, notes = read_model(model)
    if isinstance(model, CausalGraph):
        warn_of_other_unit(model.provenance, origin_of(data).unit, stacklevel=3)
    chosen = SEMOptions.build(preset or ("dag" if isinstance(model, CausalGraph) else "sem"), options)
    if isinstance(data, Moments) and data.origin.unit == "pair" and chosen.cluster is None and chosen.se != "none":
        warnings.warn(MOMENTS_OF_PAIRS, AssumptionWarning, stacklevel=2)
    return _fit(spec, with_pandas(data), chosen, engine, notes, estimator_told=options.get("estimator") is not None)


def read_model(model: CausalGraph | str) -> tuple[Model, dict[str, Any]]:
    """Return the parsed model and what has to be said about how it was read."""
    if isinstance(model, CausalGraph):
        graph, note = member_of_class(model)
        facts = {"graph": dict(model.provenance), "class_member": note} if note else {"graph": dict(model.provenance)}
        return model_of_graph(graph), facts
    if not isinstance(model, str):
        raise SettingError(f"a model of type {type(model).__name__}; hand in a CausalGraph or lavaan text")
    return parse_model(model), {"text": model}


def _fit(spec: Model, data: Data, options: SEMOptions, engine: str, notes: dict[str, Any], *, estimator_told: bool = True) -> SEMFit:
    """Build table and matrices, check identification, minimise, and put the result together."""
    labels = group_labels(data, options)
    levels = ordered_levels(spec, data, options)
    if levels:
        options, said = with_responses(spec, options.for_ordered(estimator_told), levels)
        notes = {**notes, "remarks": said}
    options = _for_rows(spec, data, options, clusters=engine == "causalsem" and not levels)
    table = build_table(spec, options, labels, levels)
    if table.two_level:
        samples = two_level_samples(data, table.names, labels, options)
    else:
        samples = samples_of(data, table.names, labels, options, levels)
    for note in (*latent_columns(data, table.names), *data_notes(samples, means=table.meanstructure)):
        warnings.warn(note, DataWarning, stacklevel=3)
    setup = Setup.build(samples, options)
    rams = tuple(ram_of(table, g, s.covariance, s.mean) for g, s in enumerate(samples, start=1))
    _check_variances(table, rams)
    constraints = Constraints.build(with_bounds(table, samples, options))
    problem = setup.discrepancy(rams, table.count)
    start = start_values(table, rams, samples)
    begun = look(problem, start)
    check_identified(spec, table, rams, options, None if begun is None else begun[1])
    found = _solve(setup, problem, table, rams, constraints, options, engine, start, begun)
    vcov = _covariance(setup, problem, found, constraints, options, table)
    # As in lavaan, an inequality that binds makes errors smaller but gives no degree of freedom.
    measures = fit_measures(table, rams, setup, problem, found, independent_rows(constraints.equal(found.theta)[1]))
    told = admissibility_notes(table, rams, found, constraints)
    told += [] if is_plainly_identified(rams) else weak_instrument_notes(rams, samples)
    told += open_notes(table, rams, found, vcov)
    defined = _defined(constraints, found.theta, vcov)
    told += undefined_notes(defined)
    for note in told:
        warnings.warn(note, AssumptionWarning, stacklevel=3)
    remarks = [*notes.get("remarks", ()), *automatic_remarks(table), *feedback_remarks(rams, found.theta)]
    if samples[0].clusters is None and options.cluster is None and vcov is not None and usual_ways(data):
        remarks.append(PAIRS_APART)
    facts = {"engine": engine, "preset": options.preset, "steps": found.steps, "warnings": tuple(told), **notes, "remarks": tuple(remarks)}
    if samples[0].clusters is not None:
        facts["clusters"] = samples[0].clusters.sizes
    if found.others:
        facts["other_solutions"] = [dict(zip(table.parameter_names, other.tolist(), strict=True)) for other in found.others]
    return SEMFit(table, rams, samples, options, found.theta, vcov, measures, defined, facts)


def _for_rows(spec: Model, data: Data, options: SEMOptions, *, clusters: bool) -> SEMOptions:
    """Return the options as the model's levels and the rows' unit settle them; `clusters` says whether errors may know of the unit."""
    if has_levels(spec):
        return replace(options, two_level=True).checked()
    return (options.for_rows(usual_ways(data)) if clusters else options).for_one_level()


def _check_variances(table: ParameterTable, rams: tuple[RAM, ...]) -> None:
    """Raise SettingError for error variances fixed where no data can be."""
    for ram in rams:
        exact = [] if ram.responses is not None or table.two_level else impossible_variances(ram)
        if exact:
            wrong = f"error variances of {shown(exact)} are fixed at 0 or below, which no data meet"
            raise SettingError(f"{wrong}; free them, or fix them above 0")


def with_responses(spec: Model, options: SEMOptions, levels: Mapping[str, int]) -> tuple[SEMOptions, tuple[str, ...]]:
    """Return options under which the scale of every ordered variable is identified, and what was changed."""
    arrows = [s for b in spec.blocks for s in b.statements if s.op == "~"]
    between = sorted({s.rhs for s in arrows if s.rhs in levels} & {s.lhs for s in arrows})
    if not between or options.parameterization != "delta":
        return options, ()
    # Under delta the error variance of a cause would follow from its own causes' coefficients (Muthén & Muthén 2017).
    told = f"ordered variables are both cause and effect ({shown(between)}): the theta parameterisation is used, error variance 1"
    return replace(options, parameterization="theta"), (told,)


def _solve(
    setup: Setup,
    problem: Discrepancy,
    table: ParameterTable,
    rams: tuple[RAM, ...],
    constraints: Constraints,
    options: SEMOptions,
    engine: str,
    start: FloatArray,
    begun: Begun | None,
) -> Solution:
    """Return the solution of our solver, or that of another engine with the derivatives of our own discrepancy."""
    if engine != "causalsem":
        return _from_engine(setup, problem, table, engine)
    found = minimise(problem, start, constraints, max_steps=options.max_steps, begun=begun)
    if constraints.violation(found.theta) > 1e-6:
        told = shown([str(r) for r in table.constraints] or ["lower() and upper() bounds"])
        raise SettingError(f"the constraints contradict each other: no parameters meet {told}; drop one of them")
    if not found.converged:
        away = runaways(table, rams, setup.samples, found.theta)
        why = f"{shown(away)} run away without limit; drop or bound them" if away else "check scale and starts, or raise max_steps"
        message = f"no optimum after {found.steps} steps (discrepancy {found.at.value:.6g}); {why}"
        raise NotConvergedError(message, partial=found.theta, steps=found.steps)
    return _settled(problem, rams, setup, found, constraints, options) if may_have_others(rams) else found


def _from_engine(setup: Setup, problem: Discrepancy, table: ParameterTable, engine: str) -> Solution:
    """Return another engine's estimates; warns when they are visibly off the optimum."""
    if setup.plan != PLANS["ML"] or setup.incomplete:
        raise SettingError(f"engine={engine!r} is built for complete-data ML with standard errors only; use engine='causalsem'")
    theta = load_engine("fit_sem", engine)(table, setup.samples)
    at = derivatives_at(problem, theta)
    step = np.linalg.lstsq(at.information, at.gradient, rcond=1e-10)[0]
    off = float(np.sqrt(max(float(step @ at.gradient), 0.0) * setup.total))
    if off > 0.1:
        warnings.warn(
            f"{engine} stopped {off:.2g} standard errors from the optimum; use engine='causalsem'", ConvergenceWarning, stacklevel=5
        )
    return Solution(theta, at, 0, True)


def _settled(
    problem: Discrepancy, rams: tuple[RAM, ...], setup: Setup, found: Solution, constraints: Constraints, options: SEMOptions
) -> Solution:
    """Return the best solution, of feedback the one that settles, and warn when others fit as well."""
    good = equally_good(problem, rams, setup.samples, found, constraints, options.seed)
    if len(good) > 1:
        note, cure = f"{len(good)} solutions fit equally well", "add one instrument, a cause of a single variable, to tell them apart"
        if has_feedback(rams):
            radii = ", ".join(f"{largest_radius(rams, s.theta):.3g}" for s in good)
            note += f" (spectral radius of the feedback: {radii})"
            cure = "add one instrument, a cause of a single variable of the loop, to tell them apart"
        warnings.warn(f"{note}; the first is reported; {cure}", AssumptionWarning, stacklevel=5)
    return replace(good[0], others=tuple(s.theta for s in good[1:]))


def _covariance(
    setup: Setup, problem: Discrepancy, found: Solution, constraints: Constraints, options: SEMOptions, table: ParameterTable
) -> FloatArray | None:
    """Return the covariance of θ; raises NotIdentifiedError where the data leave a direction open."""
    if options.se == "none" or not table.count:
        return None
    # As in lavaan, errors take an inequality that binds for exact, and no notice of a plain bound where they can do without.
    relations = tuple(k for k in found.active if k < len(constraints.inequalities))
    J = independent_rows(constraints.equal(found.theta, relations)[1])
    vcov = covariance_of(setup, problem, found, J)
    if vcov is None and relations != found.active:
        J = independent_rows(constraints.equal(found.theta, found.active)[1])
        vcov = covariance_of(setup, problem, found, J)
    if vcov is None:
        flat = flat_directions(found.at.information, J)
        evidence = explanation(table, flat, "at the estimates ")
        cure = "the data leave them open: fix the loading of a better marker, bound variances with lower(0), or simplify the model"
        raise NotIdentifiedError(f"{evidence.pop('message')}; {cure}", **evidence)
    return vcov


def _defined(constraints: Constraints, theta: FloatArray, vcov: FloatArray | None) -> tuple[tuple[str, float, float], ...]:
    """Return (name, estimate, delta-method standard error) of every := line."""
    relations = constraints.labels.defined
    if not relations:
        return ()
    known = constraints.labels.values(theta)
    names = [r.left.name for r in relations]
    if vcov is None:
        return tuple((n, known[n][0], float("nan")) for n in names)
    errors = delta_se(np.array([known[n][1] for n in names]), vcov)
    return tuple((n, known[n][0], float(e)) for n, e in zip(names, errors, strict=True))
