"""What a model can learn from data at all: a verdict for every edge, equation by equation, and what would mend it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from causalsem._cards import mimebundle
from causalsem._values import BoolArray
from causalsem.errors import SettingError, shown
from causalsem.graph import CausalGraph
from causalsem.sem.constraints import Constraints, Labels
from causalsem.sem.discrepancy import NormalML
from causalsem.sem.equations import Equation, InstrumentStrength, equation_conditions, order_words, strengths_of
from causalsem.sem.estimators import Setup, derivatives_at
from causalsem.sem.half_trek import half_trek_solved
from causalsem.sem.identification import equalities, flat_directions, moment_count, open_directions, random_point, repairs_of, without_data
from causalsem.sem.matrices import RAM, implied
from causalsem.sem.measurement import structural_part
from causalsem.sem.options import Preset, SEMOptions
from causalsem.sem.partable import ParameterTable, Row
from causalsem.sem.solutions import equally_good, has_feedback, largest_radius
from causalsem.sem.solver import minimise
from causalsem.sem.syntax import Block, Model, Statement, parse_model
from causalsem.sem.table_rules import build_table

if TYPE_CHECKING:
    from causalsem.sem.result import SEMFit

Verdict = Literal["identified", "not identified", "inconclusive"]
# A parameter is open when a direction without information moves it by more than rounding.
MOVED = 1e-4


@dataclass(frozen=True, slots=True)
class EdgeVerdict:
    """Whether data determine one coefficient or error covariance, and why."""

    name: str
    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Identification:
    """What can be learnt of a model: `free` parameters, `moments` and `rank`; a verdict per edge; conditions per equation.

    `solutions` counts distinct parameter values found that give one and the same covariance (1 where the criterion
    proves it, or none other was found); `repairs` are changes in words, each verified. The last three fields are
    known after fitting: the rank of the information, the spectral radius of feedback, the strength of instruments.
    """

    free: int
    moments: int
    rank: int
    edges: tuple[EdgeVerdict, ...]
    equations: tuple[Equation, ...]
    undetermined: tuple[str, ...]
    solutions: int
    repairs: tuple[str, ...]
    information_rank: int | None = None
    spectral_radius: float | None = None
    instruments: tuple[InstrumentStrength, ...] = ()

    @property
    def is_identified(self) -> bool:
        """Whether data determine the parameters, at least up to finitely many solutions."""
        return self.rank == self.free

    @property
    def verdict(self) -> Verdict:
        """The verdict on the whole model: that of its worst edge."""
        found = {e.verdict for e in self.edges}
        if not self.is_identified:
            return "not identified"
        return "inconclusive" if "inconclusive" in found or self.solutions > 1 else "identified"

    @property
    def table(self) -> pd.DataFrame:
        """One row per edge: edge, verdict, reason."""
        return pd.DataFrame([(e.name, e.verdict, e.reason) for e in self.edges], columns=["edge", "verdict", "reason"])

    @property
    def words(self) -> str:
        """The findings in sentences."""
        said = [f"The model is {self.verdict}: {self.free} free parameters, {self.moments} moments, rank {self.rank}."]
        if self.verdict == "inconclusive":
            said[0] = f"The model is locally identified: {self.free} free parameters, {self.moments} moments, rank {self.rank}."
        if self.undetermined:
            said.append(f"Undetermined: {shown(self.undetermined, 12)}.")
        said += [f"{one[0].upper()}{one[1:]}." for one in order_words(self.equations)] if not self.is_identified else []
        if self.solutions > 1:
            said.append(f"{self.solutions} different parameter values give the same covariance.")
        if self.repairs:
            said.append("What would identify it: " + "; or ".join(self.repairs) + ".")
        for one in self.instruments:
            strength = "weak" if one.weak else "strong enough"
            said.append(f"The instruments {shown(one.instruments)} of the equation of {one.equation!r} are {strength} (F = {one.F:.1f}).")
        if self.spectral_radius is not None:
            settles = "settles" if self.spectral_radius < 1 else "never settles"
            said.append(f"The feedback {settles} (spectral radius {self.spectral_radius:.2f}).")
        return " ".join(said)

    def __repr__(self) -> str:
        head = f"{self.verdict}: {self.free} free parameters, {self.moments} moments, rank {self.rank}"
        return f"Identification({head})\n{self.table.to_string(index=False)}"

    def _repr_html_(self) -> str:
        import html

        # pandas escapes the names of variables.
        return f"<p>{html.escape(self.words)}</p>{self.table.to_html(index=False)}"

    _repr_mimebundle_ = mimebundle


def check_identification(model: CausalGraph | str, *, preset: Preset | None = None, **options: Any) -> Identification:
    """Say what data could tell about a model, before there are any: for each edge identified, not identified or inconclusive.

    `model`, `preset` and `options` are those of fit_sem, for one group. Rests on the Jacobian rank at random points
    (not identified), on the half-trek criterion (Foygel, Draisma & Drton 2012) and, for factors, on the two-step rule
    (Bollen 1989) for what is identified at almost every parameter.

    >>> check_identification("buy ~ browse\\nbrowse ~ ad\\nbuy ~~ browse").verdict
    'identified'
    """
    from causalsem.sem.fit import read_model

    spec, _ = read_model(model)
    chosen = SEMOptions.build(preset or ("dag" if isinstance(model, CausalGraph) else "sem"), options)
    if chosen.group or any(b.kind for b in spec.blocks) or chosen.ordered:
        raise SettingError("groups, levels and ordered variables are not examined before fitting; leave them out of the model")
    return identification_of(spec, build_table(spec, chosen, ("",)), chosen)


def identification_of(spec: Model, table: ParameterTable, options: SEMOptions) -> Identification:
    """Return the findings about a table; `spec` is the model that it came from, for repairs."""
    flat = open_directions(table, options.seed)
    free = table.count - equalities(table)
    moved = np.linalg.norm(flat, axis=1) > MOVED
    undetermined = tuple(name for name, m in zip(table.parameter_names, moved, strict=True) if m)
    ram = None if table.levels or table.groups > 1 else without_data(table)[0][0]
    edges = edge_verdicts(table, ram, moved)
    equations: tuple[Equation, ...] = ()
    if ram is not None and not ram.names.lv:
        equations = equation_conditions(ram.names.ov, ram.arrows, ram.spreads, np.random.default_rng(options.seed))
    repairs = tuple(repairs_of(spec, options, table, undetermined)) if undetermined else ()
    solutions = 1
    if not undetermined and ram is not None and any(e.verdict == "inconclusive" for e in edges) and not ram.names.lv:
        solutions = count_solutions(table, options.seed)
        repairs = single_instruments(spec, options, ram) if solutions > 1 else ()
    return Identification(free, moment_count(table), free - flat.shape[1], edges, equations, undetermined, solutions, repairs)


def identification_of_fit(fit: SEMFit) -> Identification:
    """Return the findings about a fitted model, with those that only a fit has."""
    spec, options = parse_model(fit.to_lavaan()), SEMOptions.build("lavaan", {})
    found = identification_of(spec, fit.table, options)
    problem = Setup.build(fit.samples, fit.options).discrepancy(fit.rams, fit.table.count)
    theta = np.array(fit.theta)
    flat = flat_directions(derivatives_at(problem, theta).information, Constraints.build(fit.table).equal(theta)[1])
    feedback = largest_radius(fit.rams, theta) if has_feedback(fit.rams) else None
    solutions = max(found.solutions, 1 + len(fit.provenance.get("other_solutions", ())))
    return replace(
        found,
        information_rank=found.free - flat.shape[1],
        spectral_radius=feedback,
        instruments=strengths_of(fit.rams, fit.samples),
        solutions=solutions,
    )


def edge_verdicts(table: ParameterTable, ram: RAM | None, moved: BoolArray) -> tuple[EdgeVerdict, ...]:
    """Return the verdict on every free coefficient and error covariance of a table; `moved` says which parameters stay open."""
    solved, why = _solved_by_theorem(table, ram)
    out = []
    for row in table.rows:
        if not row.free or row.exo or (row.op == "~~" and row.lhs == row.rhs) or row.op not in ("~", "=~", "~~", "<~"):
            continue
        ends = (row.lhs, row.rhs) if row.op in ("~~", "=~") else (row.lhs,)
        if moved[row.free - 1]:
            out.append(EdgeVerdict(row.plain_name, "not identified", "infinitely many values fit any data equally well"))
        elif all(end in solved for end in ends):
            out.append(EdgeVerdict(row.plain_name, "identified", _reason(row, solved)))
        else:
            out.append(EdgeVerdict(row.plain_name, "inconclusive", f"locally identified; {why}"))
    return tuple(out)


def _reason(row: Row, solved: dict[str, str]) -> str:
    return solved[row.rhs] if row.op == "=~" else solved[row.lhs]


def _solved_by_theorem(table: ParameterTable, ram: RAM | None) -> tuple[dict[str, str], str]:
    """Return the variables whose equations a theorem identifies with the reason, and what to say of the others."""
    why = "the half-trek criterion does not settle whether there are other solutions"
    if table.groups > 1 or ram is None or ram.responses is not None:
        return {}, "no criterion here speaks about several groups or ordered variables"
    if _is_restricted(table):
        return {}, "equal or fixed coefficients are outside the half-trek criterion"
    arrows, spreads = ram.arrows, ram.spreads
    part = structural_part(ram, arrows, spreads)
    if part is None:
        return {}, "the measurement of its factors follows no simple rule (pure indicators, three of a factor or two of related ones)"
    kept, measured = part
    names = ram.names.all
    inner = half_trek_solved(arrows[np.ix_(kept, kept)], spreads[np.ix_(kept, kept)])
    solved = {}
    for v, Y in inner.items():
        through = f"through {shown([names[kept[y]] for y in Y])}" if Y else "it has no cause in the model"
        solved[names[kept[v]]] = f"half-trek criterion, {through}"
    return solved | {names[k]: "two-step rule: its factor has enough pure indicators" for k in measured}, why


def _is_restricted(table: ParameterTable) -> bool:
    """Tell whether coefficients are tied together or held at numbers, other than a factor's scale."""
    free = [r.free for r in table.rows if r.free]
    held = any(not r.free and not r.exo and r.value and (r.op in ("~", "<~") or (r.op == "~~" and r.lhs != r.rhs)) for r in table.rows)
    return bool(table.constraints) or held or len(set(free)) < len(free)


def count_solutions(table: ParameterTable, seed: int) -> int:
    """Return how many distinct θ were found that imply the covariance of one random θ; at least 1."""
    rams, samples = without_data(table)
    weights = np.full(len(samples), 1.0 / len(samples))
    theta = random_point(table, NormalML.build(rams, samples, weights, table.count), np.random.default_rng(seed))
    there = [implied(r, theta) for r in rams]
    samples = tuple(replace(s, covariance=at.sigma, mean=at.mu) for s, at in zip(samples, there, strict=True))
    exact = NormalML.build(rams, samples, weights, table.count)
    constraints = Constraints(Labels({}, {}, (), table.count)) if not table.constraints else Constraints.build(table)
    return len(equally_good(exact, rams, samples, minimise(exact, theta, constraints), constraints, seed))


def single_instruments(spec: Model, options: SEMOptions, ram: RAM) -> tuple[str, ...]:
    """Return for which variables one instrument leaves a single solution, in words; each is verified by the half-trek criterion."""
    good = []
    for target in (n for n in ram.names.ov if n not in ram.names.ov_x):
        block = spec.blocks[0]
        wider = Model((Block(block.kind, block.label, (*block.statements, Statement(target, "~", f"instrument of {target}"))),))
        table = build_table(wider, options, ("",))
        if not _is_restricted(table):
            made = without_data(table)[0][0]
            if len(half_trek_solved(made.arrows, made.spreads)) == len(made.arrows):
                good.append(target)
    return (f"add one instrument, a cause of {' or of '.join(map(repr, good))} alone",) if good else ()
