"""Bootstrap of a fit, rows or whole clusters drawn: all resamples are fitted at once, as one tensor program."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from causalsem._clusters import Clusters
from causalsem._values import BoolArray, FloatArray, frozen
from causalsem.errors import ConvergenceWarning, SettingError, shown
from causalsem.sem.batched import fit_many
from causalsem.sem.influence import influence
from causalsem.sem.matrices import ram_of
from causalsem.sem.sample import Sample
from causalsem.sem.scores import rows_of
from causalsem.sem.standardised_draws import Resampled, defined_draws, standardised_draws, standardised_names
from causalsem.sem.starts import start_values

if TYPE_CHECKING:
    from causalsem.sem.result import SEMFit

# How many counts are drawn at a time: a resample of n rows is n counts.
MOST_COUNTS = 20_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """One kind of estimates over the resamples: `draws` (times, m) with NaN rows where a resample has no solution.

    `estimates` (m,) are those of the whole sample, `acceleration` (m,) what BCa needs of each row's influence.
    """

    names: tuple[str, ...]
    estimates: FloatArray
    draws: FloatArray
    acceleration: FloatArray

    @property
    def good(self) -> FloatArray:
        """The draws of resamples that have a solution."""
        return self.draws[~np.isnan(self.draws).all(axis=1)]

    @property
    def se(self) -> Mapping[str, float]:
        """The standard deviation of each estimate over the resamples that were fitted."""
        return dict(zip(self.names, self.good.std(axis=0, ddof=1).tolist(), strict=True))

    def intervals(self, kind: str = "percentile", level: float = 0.95) -> pd.DataFrame:
        """Return est, se, ci_lower, ci_upper per parameter: "percentile", or "bca" (Efron 1987)."""
        if kind not in ("percentile", "bca"):
            raise SettingError(f"unknown kind {kind!r}; use 'percentile' or 'bca'")
        if not 0.0 < level < 1.0:
            raise SettingError(f"level={level!r} is not a confidence level; use a number between 0 and 1, such as 0.95")
        good = self.good
        tails = np.array([[0.5 - level / 2, 0.5 + level / 2]] * len(self.names))
        if kind == "bca":
            below = (good < self.estimates).mean(axis=0).clip(0.5 / len(good), 1 - 0.5 / len(good))
            bias = ndtri(below)[:, None]
            pushed = bias + ndtri(tails)
            tails = ndtr(bias + pushed / (1 - self.acceleration[:, None] * pushed))
        ends = np.array([np.quantile(good[:, k], tails[k]) for k in range(len(self.names))])
        return pd.DataFrame(
            {"est": self.estimates, "se": list(self.se.values()), "ci_lower": ends[:, 0], "ci_upper": ends[:, 1]}, index=list(self.names)
        )


@dataclass(frozen=True, slots=True, eq=False)
class Bootstrap:
    """What resampled rows give: raw ("est") and standardised ("std_lv", "std_all") values and := of each, from the same resamples.

    `failures` counts the resamples without a solution by reason; `improper` those, kept, with a negative variance.
    """

    kinds: Mapping[str, Draws]
    failures: Mapping[str, int]
    improper: int

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters, then the := values."""
        return self.kinds["est"].names

    @property
    def estimates(self) -> FloatArray:
        """The raw estimates of the whole sample."""
        return self.kinds["est"].estimates

    @property
    def draws(self) -> FloatArray:
        """The raw estimates of every resample, (times, k + defined)."""
        return self.kinds["est"].draws

    @property
    def failed(self) -> int:
        """How many resamples have no solution."""
        return sum(self.failures.values())

    @property
    def se(self) -> Mapping[str, float]:
        """The standard deviation of each raw estimate over the resamples that were fitted."""
        return self.kinds["est"].se

    def intervals(self, kind: str = "percentile", level: float = 0.95, *, of: str = "est") -> pd.DataFrame:
        """Return est, se, ci_lower, ci_upper of raw ("est") or standardised ("std_lv", "std_all") values: "percentile" or "bca"."""
        if of not in self.kinds:
            raise SettingError(f"unknown values {of!r}; use one of {shown(self.kinds)}")
        return self.kinds[of].intervals(kind, level)

    def __repr__(self) -> str:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in self.failures.items() if count)
        told = f" ({reasons})" if reasons else ""
        return f"Bootstrap({len(self.draws):,} resamples, {self.failed:,} without a solution{told}, {len(self.names)} parameters)"


def bootstrap(fit: SEMFit, times: int, seed: int, device: str) -> Bootstrap:
    """Return the bootstrap of a complete-data ML fit; rows, or their clusters, are drawn within groups.

    Warns when some resamples have no solution.
    """
    _check_possible(fit, times)
    rng = np.random.default_rng(seed)
    rows = [rows_of(sample, "the bootstrap") for sample in fit.samples]
    moved = influence(fit)
    clusters = [sample.clusters for sample in fit.samples]
    moments, shifts = _resampled_groups(rows, clusters, moved[:, : fit.table.count], times, rng)
    theta, solved = _fitted(fit, moments, np.array(fit.theta) + shifts, device)
    failures = _failures(moments, solved)
    drawn = Resampled.of(fit.rams, theta, moments)
    whole = Resampled.of(fit.rams, np.array(fit.theta)[None], [(s.mean[None], s.covariance[None]) for s in fit.samples])
    kinds = {"est": _raw(fit, drawn, whole, moved, solved)}
    for kind in ("std_lv", "std_all"):
        kinds[kind] = _standardised(fit, drawn, whole, moved, solved, observed=kind == "std_all")
    made = Bootstrap(MappingProxyType(kinds), MappingProxyType(failures), int((solved & drawn.improper()).sum()))
    if solved.sum() < 2:
        raise SettingError(f"{made.failed} of {times} resamples have no solution; simplify the model or hand in more rows")
    if made.failed:
        note = f"{made!r}: intervals rest on the others, and are too narrow where failing goes with extreme estimates"
        warnings.warn(f"{note}; simplify the model or bound its variances", ConvergenceWarning, stacklevel=3)
    return made


def _check_possible(fit: SEMFit, times: int) -> None:
    """Raise SettingError for too few resamples, or a fit that batches do not know how to repeat."""
    if times < 2:
        raise SettingError(f"times={times!r}; use at least 2 resamples, 1000 for intervals")
    if fit.table.two_level:
        raise SettingError(
            "a two-level fit has no bootstrap: whole clusters would have to be drawn, which is not built; use its standard errors, "
            "or estimator='MLR' for robust ones"
        )
    constrained = fit.table.constraints or any(r.lower is not None or r.upper is not None for r in fit.table.rows)
    if fit.options.plan.discrepancy != "ML" or any(s.patterns for s in fit.samples) or constrained:
        raise SettingError("the bootstrap is built for complete-data ML without constraints or bounds; fit with estimator='ML'")


def _fitted(fit: SEMFit, moments: list[tuple[FloatArray, FloatArray]], near: FloatArray, device: str) -> tuple[FloatArray, BoolArray]:
    """Return θ (times, k) and which resamples have a solution.

    Each starts at `near` (times, k); who does not get there starts again from the fit, and then from its own data.
    """
    sizes = np.array([s.n for s in fit.samples], dtype=np.float64)
    theta, solved = fit_many(fit.rams, moments, sizes, near, device=device)
    for own in (False, True):
        open_ = np.flatnonzero(~solved)
        if not len(open_):
            break
        rest = [(mean[open_], S[open_]) for mean, S in moments]
        starts = np.array([_own_start(fit, [(mean[k], S[k]) for mean, S in moments]) for k in open_]) if own else np.array(fit.theta)
        theta[open_], solved[open_] = fit_many(fit.rams, rest, sizes, starts, device=device)
    return theta, solved


def _own_start(fit: SEMFit, moments: list[tuple[FloatArray, FloatArray]]) -> FloatArray:
    """Return the start values of one resample."""
    samples = tuple(replace(s, mean=mean, covariance=S, rows=None) for s, (mean, S) in zip(fit.samples, moments, strict=True))
    rams = tuple(ram_of(fit.table, g, s.covariance, s.mean) for g, s in enumerate(samples, start=1))
    return start_values(fit.table, rams, samples)


def _failures(moments: list[tuple[FloatArray, FloatArray]], solved: BoolArray) -> dict[str, int]:
    """Return how many resamples have no solution, by reason."""
    singular = np.zeros(len(solved), dtype=bool)
    for _, S in moments:
        sd = np.sqrt(np.maximum(S.diagonal(axis1=1, axis2=2), 1e-300))
        singular |= np.linalg.eigvalsh(S / sd[:, :, None] / sd[:, None, :])[:, 0] < 1e-12
    return {"with collinear rows": int((~solved & singular).sum()), "without an optimum": int((~solved & ~singular).sum())}


def _resampled_groups(
    groups: list[FloatArray], clusters: list[Clusters | None], moved: FloatArray, times: int, rng: np.random.Generator
) -> tuple[list[tuple[FloatArray, FloatArray]], FloatArray]:
    """Return the moments of resamples of every group, and how far the rows' influence `moved` (n, k) says that θ goes, (times, k)."""
    moments, at = [], 0
    shifts = np.zeros((times, moved.shape[1]))
    for rows, of in zip(groups, clusters, strict=True):
        mean, S, shift = _resampled(rows, of, moved[at : at + len(rows)], times, rng)
        moments.append((mean, S))
        # The influences of all rows add up to nothing, so those of the rows drawn are the first-order change.
        shifts += shift / len(moved)
        at += len(rows)
    return moments, shifts


def _resampled(
    rows: FloatArray, clusters: Clusters | None, moved: FloatArray, times: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return means (times, p) and covariances (times, p, p) of resamples, and their sums of `moved` (n, k) for n rows, (times, k).

    Covariances have the number of rows drawn as divisor; whole clusters are drawn where there are any.
    """
    n, p = rows.shape
    centre = rows.mean(axis=0)
    centred = rows - centre
    i, j = np.tril_indices(p)
    products = np.hstack([np.ones((n, 1)), centred, centred[:, i] * centred[:, j], moved])
    sums = np.empty((times, products.shape[1]))
    size = max(1, MOST_COUNTS // n)
    for first in range(0, times, size):
        last = min(first + size, times)
        sums[first:last] = _counts(n, clusters, last - first, rng) @ products
    mean, second, shift = np.split(sums[:, 1:] / sums[:, :1], [p, p + len(i)], axis=1)
    S = np.empty((times, p, p))
    S[:, i, j] = S[:, j, i] = second
    return mean + centre, S - mean[:, :, None] * mean[:, None, :], shift * n


def _counts(n: int, clusters: Clusters | None, times: int, rng: np.random.Generator) -> FloatArray:
    """Return how often each row counts in each resample, (times, n)."""
    if clusters is None:
        return rng.multinomial(n, np.full(n, 1.0 / n), size=times).astype(np.float64)
    return clusters.resampled(times, rng)


def _raw(fit: SEMFit, drawn: Resampled, whole: Resampled, moved: FloatArray, solved: BoolArray) -> Draws:
    """Return the draws of the parameters and := values."""
    names = (*fit.names, *(name for name, _, _ in fit.defined))
    wide, estimates = (np.hstack([r.theta, defined_draws(fit.table, r.theta)]) for r in (drawn, whole))
    wide[~solved] = np.nan
    return Draws(names, frozen(estimates[0]), frozen(wide), frozen(_acceleration(moved, fit.samples)))


def _standardised(fit: SEMFit, drawn: Resampled, whole: Resampled, moved: FloatArray, solved: BoolArray, *, observed: bool) -> Draws:
    """Return the draws of the standardised rows and := values; fixed causes vary with the resample, and move the values too."""
    wide, estimates = (standardised_draws(fit.table, r, observed=observed) for r in (drawn, whole))
    wide[~solved] = np.nan
    slopes, moves = whole.slopes(lambda r: standardised_draws(fit.table, r, observed=observed)), whole.influence(fit.samples)
    return Draws(
        standardised_names(fit.table),
        frozen(estimates[0]),
        frozen(wide),
        frozen(_acceleration(np.hstack([moved[:, : fit.table.count], moves]) @ slopes.T, fit.samples)),
    )


def _acceleration(u: FloatArray, samples: Sequence[Sample]) -> FloatArray:
    """Return BCa's acceleration Σ u³ / 6 (Σ u²)^1.5 from each row's influence u on each estimate, (n, m).

    With clusters, u is summed over each of them: users and items are then the independent units.
    """
    if samples[0].clusters is not None:
        parts = np.split(u, np.cumsum([s.n for s in samples])[:-1])
        u = np.vstack([s.clusters.summed(part) for s, part in zip(samples, parts, strict=True) if s.clusters is not None])
    size = np.sqrt((u**2).sum(axis=0))
    return np.asarray(((u / np.where(size > 0, size, 1.0)) ** 3).sum(axis=0) / 6)
