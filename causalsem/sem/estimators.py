"""From an estimator's name to what is minimised, and to the covariance of what was found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from causalsem._clusters import without_negative
from causalsem._values import FloatArray
from causalsem.behaviour.patterns import Pattern, PatternStack, patterns_of
from causalsem.errors import NotConvergedError
from causalsem.sem.clusters import Clustered
from causalsem.sem.constraints import Constraints, Labels, null_space
from causalsem.sem.discrepancy import Derivatives, Discrepancy, NormalML, NormalPoint
from causalsem.sem.fiml import FIML, FIMLPoint
from causalsem.sem.fourth_moments import FourthMoments, are_worthwhile, summed_cross_products
from causalsem.sem.least_squares import (
    LeastSquares,
    LeastSquaresPoint,
    metric_of,
    moment_covariance,
    moment_jacobian,
    normal_metric,
    unbiased_moment_covariance,
)
from causalsem.sem.matrices import RAM, implied
from causalsem.sem.options import Plan, SEMOptions
from causalsem.sem.ordinal_model import OrdinalLeastSquares, OrdinalPoint, ordinal_metric
from causalsem.sem.reference_models import baseline, saturated, saturated_moments
from causalsem.sem.robust import ScaledTest, cross_products, sandwich, scaled_by_moments, score_matrix
from causalsem.sem.sample import Sample
from causalsem.sem.solver import Solution, minimise
from causalsem.sem.standard_errors import covariance_of_estimates
from causalsem.sem.two_level import TwoLevelML, saturated_pair


@dataclass(frozen=True, slots=True, eq=False)
class Setup:
    """The samples and how they are weighed: group sizes (n, or n − 1 where covariances have that divisor) and their sum."""

    samples: tuple[Sample, ...]
    plan: Plan
    sizes: FloatArray
    # Filled at the first robust error: one pass over the rows serves model, saturated and baseline model.
    fourth: list[FourthMoments] = field(default_factory=list)
    # Mplus weighs moments at the sample, not at the model, and takes unbiased covariances of moments.
    mplus: bool = False

    @classmethod
    def build(cls, samples: tuple[Sample, ...], options: SEMOptions) -> Setup:
        """Return the setup of a fit."""
        less = 0.0 if options.rescale else 1.0
        # The second level has no rows of its own.
        sizes = np.array([s.n - less if s.level == 1 else 0.0 for s in samples])
        return cls(samples, options.plan, sizes, mplus=options.mimic == "mplus")

    @property
    def total(self) -> float:
        """What the discrepancy is multiplied by to give ½ χ²."""
        return float(self.sizes.sum())

    @property
    def weights(self) -> FloatArray:
        """The share of each group."""
        return self.sizes / self.sizes.sum()

    @property
    def shares(self) -> FloatArray:
        """The share of each group in all rows, by which lavaan weighs groups in errors and tests of least squares."""
        n = np.array([s.n for s in self.samples], dtype=np.float64)
        return n / n.sum()

    @property
    def incomplete(self) -> bool:
        """Whether some rows have missing values that the likelihood keeps."""
        return any(s.patterns for s in self.samples)

    @property
    def ordinal(self) -> bool:
        """Whether some variables are ordered."""
        return self.samples[0].ordinal is not None

    @property
    def crossed(self) -> bool:
        """Whether rows are in clusters of several ways."""
        clusters = self.samples[0].clusters
        return clusters is not None and len(clusters.ways) > 1

    @property
    def clustered(self) -> tuple[Clustered, ...]:
        """The groups' rows in clusters, where the model has two levels."""
        return tuple(s.clustered for s in self.samples if s.clustered is not None)

    def discrepancy(self, rams: Sequence[RAM], count: int) -> Discrepancy:
        """Return what the estimator minimises for a model of these samples."""
        rams = tuple(rams)
        if self.incomplete:
            stacks = tuple(PatternStack.of(_patterns(s), len(s.names)) for s in self.samples)
            return FIML(rams, stacks, sum(s.n for s in self.samples), count)
        if self.clustered:
            return TwoLevelML.build(rams, self.clustered, count)
        if self.ordinal:
            moments = tuple(s.ordinal for s in self.samples if s.ordinal is not None)
            weighed = tuple(ordinal_metric(self.plan.discrepancy, m) for m in moments)
            return OrdinalLeastSquares(rams, moments, self.weights, count, weighed)
        if self.plan.discrepancy == "ML":
            return NormalML.build(rams, self.samples, self.weights, count)
        metrics = tuple(metric_of(self.plan.discrepancy, r, s, mplus=self.mplus) for r, s in zip(rams, self.samples, strict=True))
        return LeastSquares(rams, self.samples, self.weights, count, metrics)


def _patterns(sample: Sample) -> tuple[Pattern, ...]:
    return sample.patterns or patterns_of(np.asarray(sample.rows))


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """A reference model (saturated or baseline) fitted to the same samples: its problem, solution and number of parameters."""

    problem: Discrepancy
    found: Solution
    count: int


def fit_saturated(setup: Setup, rams: Sequence[RAM], x: Sequence[list[int]]) -> Compared:
    """Return the fitted saturated model; the fixed causes `x` keep their sample moments."""
    if setup.clustered:
        return _fit_two_level(setup, rams, x, independent=False)
    return _fit_reference(setup, [partial(saturated, *three) for three in zip(rams, setup.samples, x, strict=True)])


def fit_baseline(setup: Setup, rams: Sequence[RAM], x: Sequence[list[int]]) -> Compared:
    """Return the fitted independence model, in which only causes covary."""
    if setup.clustered:
        return _fit_two_level(setup, rams, x, independent=True)
    roots = [[r.names.ov.index(n) for n in r.names.ov_x] for r in rams]
    return _fit_reference(setup, [partial(baseline, *four) for four in zip(rams, setup.samples, x, roots, strict=True)])


def _fit_two_level(setup: Setup, rams: Sequence[RAM], x: Sequence[list[int]], *, independent: bool) -> Compared:
    """Return the fitted saturated (or independence) model of both levels."""
    made: list[RAM] = []
    starts: list[FloatArray] = []
    for k in range(0, len(rams), 2):
        names, moments = (rams[k].names, rams[k + 1].names), (setup.samples[k], setup.samples[k + 1])
        within, between, start = saturated_pair(names, (x[k], x[k + 1]), moments, sum(len(t) for t in starts), independent=independent)
        made += [within, between]
        starts.append(start)
    theta = np.concatenate(starts)
    problem = setup.discrepancy(made, len(theta))
    return Compared(problem, minimise(problem, theta, Constraints(Labels({}, {}, (), len(theta)))), len(theta))


def _fit_reference(setup: Setup, makers: Sequence[Callable[[int], tuple[RAM, FloatArray]]]) -> Compared:
    made: list[RAM] = []
    starts: list[FloatArray] = []
    for maker in makers:
        ram, start = maker(sum(len(t) for t in starts))
        made.append(ram)
        starts.append(start)
    theta = np.concatenate(starts)
    problem = setup.discrepancy(made, len(theta))
    return Compared(problem, minimise(problem, theta, Constraints(Labels({}, {}, (), len(theta)))), len(theta))


def derivatives_at(problem: Discrepancy, theta: FloatArray, *, hessian: bool = False) -> Derivatives:
    """Return the derivatives at θ; raises NotConvergedError where the model implies no covariance."""
    point = problem.at(theta)
    if point is None:
        raise NotConvergedError("the estimates imply no proper covariance; use engine='causalsem' or other starts", partial=theta)
    return point.derivatives(hessian=hessian)


def covariance_of(setup: Setup, problem: Discrepancy, found: Solution, J: FloatArray) -> FloatArray | None:
    """Return the covariance of θ that the plan asks for, or None where the information is singular."""
    plan = setup.plan
    information = found.at.information
    if plan.discrepancy != "ML" or (plan.se == "robust.sem" and setup.mplus):
        return _covariance_by_moments(setup, problem, found, J)
    if plan.se == "first.order":
        information = meat_of(setup, problem, found)
    elif plan.information == "observed":
        information = _observed(problem, found)
    bread = covariance_of_estimates(information, setup.total, J)
    if bread is None or plan.se in ("standard", "first.order"):
        return bread
    meat = meat_of(setup, problem, found, centred=plan.se == "robust.sem")
    V = sandwich(bread * setup.total, meat) / setup.total
    return without_negative(V, np.sqrt(bread.diagonal())) if setup.crossed else V


def _covariance_by_moments(setup: Setup, problem: Discrepancy, found: Solution, J: FloatArray) -> FloatArray | None:
    """Return the covariance of estimates: (DᵀVD)⁻¹ / n, or the sandwich with the moments' own covariance."""
    plan = setup.plan
    if plan.information == "observed":
        information = _observed(problem, found)
    else:
        parts = zip(setup.shares, *jacobians_and_weights(setup, problem, found.theta), strict=True)
        information = np.asarray(sum(w * (D.T @ V @ D) for w, D, V in parts))
    bread = covariance_of_estimates(information, setup.total, J)
    if bread is None or plan.se == "standard":
        return bread
    n = np.array([s.n for s in setup.samples], dtype=np.float64)
    more = n / (n - 1.0) if setup.mplus else np.ones(len(n))
    Ds, Vs, gammas = moment_parts(setup, problem, found.theta, None)
    if setup.mplus and plan.discrepancy == "ML":
        for gamma, s in zip(gammas, setup.samples, strict=True):
            p = len(s.names)
            gamma[:p, :p] *= (s.n - 1) / s.n if len(gamma) > p * (p + 1) // 2 else 1.0
    robust = zip(setup.shares * more, Ds, Vs, gammas, strict=True)
    spread = sum(w * (D.T @ V @ G @ V @ D) for w, D, V, G in robust)
    return sandwich(bread * setup.total, np.asarray(spread)) / setup.total


def _observed(problem: Discrepancy, found: Solution) -> FloatArray:
    """Return the Hessian, or the information of an estimator whose steps have none (least squares)."""
    at = derivatives_at(problem, found.theta, hessian=True)
    return found.at.information if at.hessian is None else at.hessian


def meat_of(setup: Setup, problem: Discrepancy, found: Solution, *, centred: bool = False) -> FloatArray:
    """Return Σ sᵢsᵢᵀ / n at the estimates; centred, it is DᵀVΓVD (Satorra & Bentler 1994) without ever forming Γ."""
    if isinstance(problem, TwoLevelML):
        scores = problem.scores(found.theta)
        return np.asarray(scores.T @ scores / setup.total)
    point = problem.at(found.theta)
    assert isinstance(point, NormalPoint | FIMLPoint)  # plans with robust errors minimise normal discrepancies
    if isinstance(point, NormalPoint) and are_worthwhile(setup.samples):
        if not setup.fourth:
            setup.fourth.extend(FourthMoments.of(s) for s in setup.samples)
        return summed_cross_products(point.groups, setup.fourth, point.count, centred=centred)
    return cross_products(score_matrix(point, setup.samples, of_moments=centred), setup.samples)


def scaling_trace(setup: Setup, problem: Discrepancy, found: Solution, J: FloatArray, x: Sequence[list[int]] | None = None) -> float:
    """Return tr(A⁻¹B), A the plan's information, B cross-products of scores: 1 per parameter if the data are normal."""
    if setup.plan.test_information == "h1" and x is not None and isinstance(problem, NormalML | FIML):
        D, at = _through_moments(setup, problem, found.theta, x)
        assert at.hessian is not None  # asked for
        information = np.asarray(D.T @ at.hessian @ D)
    elif setup.plan.information == "expected":
        information = found.at.information
    else:
        information = _observed(problem, found)
    bread = covariance_of_estimates(information, 1.0, J)
    return float("nan") if bread is None else float(np.vdot(bread, meat_of(setup, problem, found)))


def _through_moments(setup: Setup, problem: NormalML | FIML, theta: FloatArray, x: Sequence[list[int]]) -> tuple[FloatArray, Derivatives]:
    """Return the Jacobian of the moments that the model implies, and the saturated model's derivatives at them."""
    made: list[RAM] = []
    starts: list[FloatArray] = []
    jacobians: list[FloatArray] = []
    for ram, sample, fixed in zip(problem.rams, setup.samples, x, strict=True):
        at = implied(ram, theta)
        fitted = replace(sample, covariance=at.sigma, mean=at.mu if ram.means else sample.mean)
        one, start = saturated(ram, fitted, fixed, sum(len(t) for t in starts))
        made.append(one)
        starts.append(start)
        jacobians.append(moment_jacobian(ram, at, problem.count)[saturated_moments(one)])
    there = np.concatenate(starts)
    return np.vstack(jacobians), derivatives_at(setup.discrepancy(made, len(there)), there, hessian=True)


def _crossed_test(setup: Setup, rams: Sequence[RAM], model: Compared, J: FloatArray, df: int, x: Sequence[list[int]]) -> ScaledTest:
    """Return Satorra & Bentler's test with the moments' covariance by clusters of several ways.

    Its factor is positive whatever the model, which a difference of two traces of such sandwiches need not be.
    """
    assert isinstance(model.problem, NormalML | FIML)  # clusters of several ways are of one level
    full = fit_saturated(setup, rams, x)
    bread = covariance_of_estimates(full.found.at.information, 1.0, np.zeros((0, full.count)))
    if bread is None:
        return ScaledTest(float("nan"))
    gamma = without_negative(sandwich(bread, meat_of(setup, full.problem, full.found)), np.sqrt(bread.diagonal()))
    D, at = _through_moments(setup, model.problem, model.found.theta, x)
    return scaled_by_moments([D], [at.information], [gamma], np.ones(1), null_space(J), df, "satorra.bentler")


def scaled_test(
    setup: Setup, rams: Sequence[RAM], model: Compared, J: FloatArray, df: int, x: Sequence[list[int]], rows: int
) -> ScaledTest | None:
    """Return the scaled χ² test of a model by the plan, or None where it has no scaled one (or no degrees of freedom).

    `rows` counts the free rows of the parameter table, equal ones too: lavaan's divisor of the factor of H0.
    """
    kind = setup.plan.test
    if kind in ("standard", "none"):
        return None
    if df <= 0:
        return ScaledTest(float("nan"))
    if setup.crossed:
        return _crossed_test(setup, rams, model, J, df, x)
    if kind == "yuan.bentler.mplus":
        full = fit_saturated(setup, rams, x)
        h1 = scaling_trace(setup, full.problem, full.found, np.zeros((0, full.count)))
        h0 = scaling_trace(setup, model.problem, model.found, J, x)
        return ScaledTest((h1 - h0) / df, h1=h1 / full.count, h0=h0 / rows)
    if kind == "yuan.bentler":
        # Yuan & Bentler's own test weighs the moments at the model, which gives Satorra & Bentler's factor.
        kind = "satorra.bentler"
    D, V, gammas = moment_parts(setup, model.problem, model.found.theta, x)
    return moment_test(setup, D, V, gammas, null_space(J), df, kind)


def moment_test(
    setup: Setup, D: list[FloatArray], V: list[FloatArray], gammas: list[FloatArray], K: FloatArray, df: int, kind: str
) -> ScaledTest:
    """Return the scaled test of a model with Jacobians D; Mplus takes n − 1 for ordered variables and whole degrees of freedom."""
    if setup.mplus and setup.ordinal:
        gammas = [g * (s.n - 1) / s.n for g, s in zip(gammas, setup.samples, strict=True)]
    test = scaled_by_moments(D, V, gammas, setup.shares, K, df, kind)
    if setup.mplus and test.df is not None:
        whole = float(np.floor(test.df + 0.5))
        return ScaledTest(test.factor * test.df / whole, 0.0, whole)
    return test


def jacobians_and_weights(setup: Setup, problem: Discrepancy, theta: FloatArray) -> tuple[list[FloatArray], list[FloatArray]]:
    """Return by group the Jacobian D of the moments and their weight V."""
    point = problem.at(theta)
    if isinstance(point, OrdinalPoint):
        return point.jacobians(), list(point.problem.metrics)
    assert isinstance(point, NormalPoint | LeastSquaresPoint)  # moments come with complete rows
    if isinstance(point, NormalPoint):
        rams, at = [g.ram for g in point.groups], [g.implied for g in point.groups]
        inverses = (
            [np.asarray(np.linalg.inv(s.covariance), dtype=np.float64) for s in setup.samples]
            if setup.mplus
            else [g.W for g in point.groups]
        )
        V = [normal_metric(W, means=g.ram.means) for W, g in zip(inverses, point.groups, strict=True)]
    else:
        rams, at, V = list(point.problem.rams), list(point.implied), list(point.problem.metrics)
    return [moment_jacobian(r, a, point.count) for r, a in zip(rams, at, strict=True)], V


def moment_parts(
    setup: Setup, problem: Discrepancy, theta: FloatArray, x: Sequence[list[int]] | None
) -> tuple[list[FloatArray], list[FloatArray], list[FloatArray]]:
    """Return by group the Jacobian D of the moments, their weight V and their covariance Γ (given fixed causes `x`)."""
    D, V = jacobians_and_weights(setup, problem, theta)
    if setup.ordinal:
        return D, V, [s.ordinal.gamma for s in setup.samples if s.ordinal is not None]
    fixed = list(x) if x is not None else [None] * len(setup.samples)
    p = [len(s.names) for s in setup.samples]
    means = [len(d) > k * (k + 1) // 2 for d, k in zip(D, p, strict=True)]
    gammas = [moment_covariance(s, means=m, x=f) for s, m, f in zip(setup.samples, means, fixed, strict=True)]
    if setup.mplus and setup.plan.discrepancy != "ML":
        gammas = [unbiased_moment_covariance(s, means=m) for s, m in zip(setup.samples, means, strict=True)]
    return D, V, gammas
