"""bootstrap(): the graphs of resampled data, from reweighted moments where the method allows."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from causalsem._values import FloatArray, IntArray
from causalsem.behaviour import BehaviourTable, Moments, as_table
from causalsem.behaviour.moments import SINGULAR, incomplete_moments
from causalsem.behaviour.table import origin_of
from causalsem.discovery.auto import Auto, choose
from causalsem.discovery.blocks import BlockMoments, block_rows, block_stack, hurdle_moments
from causalsem.discovery.budget import budget, out_of_time, while_in_time
from causalsem.discovery.discover import prepared, run, told
from causalsem.discovery.found import Evidence, Found, Rules
from causalsem.discovery.independence.row_tests import RowTests
from causalsem.discovery.known import known_of, told_of
from causalsem.discovery.methods import Method, as_method, own_search
from causalsem.discovery.stability import EdgeStability
from causalsem.discovery.stack import Stack
from causalsem.errors import DataError, DataWarning, MomentsError, OutOfTimeError, SettingError
from causalsem.graph import Knowledge
from causalsem.graph.causal_graph import Kind

# Beyond this many units, random blocks of units are drawn instead of single ones.
BLOCKS = 20_000
# Rows whose products are summed together.
CHUNK = 8192
# Resamples that a search takes at a time.
PART = 50
# With fewer resamples their spread says too little about the rows.
FEW_RESAMPLES = 20


def bootstrap(
    table: BehaviourTable | pd.DataFrame,
    method: Method | str = "GES",
    *,
    knowledge: Knowledge | None = None,
    names: Iterable[str] | None = None,
    times: int = 200,
    seed: int = 0,
    hurdle: bool = False,
    half: bool = False,
    seconds: float | None = None,
) -> EdgeStability:
    """Return the graphs a method finds on `times` nonparametric resamples (Efron 1979; Friedman et al. 1999).

    The rows of one user are drawn together; of a table of pairs, users and items are drawn, and a pair counts as often as
    both together (the pigeonhole bootstrap, Owen 2007: rather too wide than too narrow). A method that consumes moments
    gets reweighted moments: one matrix product for all resamples, so that the number of rows hardly matters; above 20,000
    users (or rows, when each is a user) random blocks of them are drawn. Without `knowledge`, the table's tiers hold, as
    in `discover`.
    With `hurdle`, zero-inflated counts are blocks (see `hurdle_moments`).
    With `half`, half of the units are drawn without replacement (subsampling; for `EdgeStability.selected`). After
    `seconds`, or at the first Ctrl-C, the resamples done so far are the result, and `provenance["stopped"]` says so.
    Resamples in which a variable is constant or collinear are left out with a DataWarning. For a method that finds
    CPDAGs or PAGs from moments, the result carries `evidence`, from which its `posterior` draws and `edge_probabilities`
    simulates. Raises as `discover` does,
    and DataError when given Moments, which cannot be drawn from.
    """
    if isinstance(table, (Moments, BlockMoments)):
        raise DataError("bootstrap draws rows, but was given Moments; hand in the table itself")
    if times < 1:
        raise SettingError(f"times is {times}; draw at least one resample")
    settings = as_method(method)
    origin = origin_of(table)
    table = as_table(table) if names is None else as_table(table).select(names)
    origin = origin.select(table.names)
    auto = choose(table, settings) if isinstance(settings, Auto) else None
    settings = settings if auto is None else auto.method
    data = auto.data if auto is not None else hurdle_moments(table) if hurdle else table
    ready, variables, n = prepared(data, settings)
    rules = Rules.of(known_of(knowledge, origin), variables)
    draws = Draws(units_of(table), times, half, np.random.default_rng(seed), None if half else items_of(table))
    evidence = None
    with budget(seconds) as limit:
        if isinstance(ready, (np.ndarray, RowTests)):
            found = _from_rows(ready, settings, rules, draws)
        else:
            found, R = _from_moments(ready, table, settings, rules, draws)
            if isinstance(ready, Moments) and settings.returns in ("CPDAG", "PAG") and not half:
                evidence = Evidence(ready.correlation, effective_rows(ready.correlation, R, n), rules)
    if not found:
        raise OutOfTimeError(f"no resample was done before the {limit.stopped or 'end'}; give more seconds", seconds=seconds)
    provenance: dict[str, Any] = {
        "method": type(settings).__name__,
        "settings": told(settings),
        "n": n,
        "seed": seed,
        "left_out": times - len(found),
        **told_of(knowledge, origin),
    }
    if half:
        provenance["half"] = True
    if limit.stopped:
        provenance["stopped"] = f"{limit.stopped} after {len(found)} of {times} resamples"
    if auto is not None:
        provenance["auto"] = auto.told
    return EdgeStability(variables, np.stack([f.marks for f in found]), _common_kind(found), provenance, evidence)


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """How resamples are drawn: the unit (n,) of each row, how many times, all with replacement or half without.

    `items` (n,) are those of pairs, which are drawn as well as their users (the units).
    """

    units: IntArray
    times: int
    half: bool
    rng: np.random.Generator
    items: IntArray | None = None

    def rows_drawn(self, n: float) -> float:
        """Return how many of n rows a resample is worth."""
        return max(n // 2, 2) if self.half else n

    def counts(self, units: int) -> IntArray:
        """Return how often each of `units` is drawn, (times, units)."""
        if not self.half:
            return draw_counts(units, self.times, self.rng)
        counts = np.zeros((self.times, units), dtype=np.int64)
        for row in counts:
            row[self.rng.permutation(units)[: max(units // 2, 1)]] = 1
        return counts

    def rows(self) -> Iterator[IntArray]:
        """Yield the row numbers of one resample after the other."""
        if self.items is not None:
            for of_user, of_item in zip(self.counts(int(self.units.max()) + 1), self.counts(int(self.items.max()) + 1), strict=True):
                yield np.repeat(np.arange(len(self.units)), of_user[self.units] * of_item[self.items])
            return
        order = np.argsort(self.units, kind="stable")
        start = np.searchsorted(self.units[order], np.arange(int(self.units.max()) + 2))
        count = len(start) - 1
        for _ in range(self.times):
            drawn = self.rng.permutation(count)[: max(count // 2, 1)] if self.half else self.rng.integers(0, count, count)
            yield np.concatenate([order[start[u] : start[u + 1]] for u in drawn])


def units_of(table: BehaviourTable) -> IntArray:
    """Return the number (n,) of the unit each row is drawn with: its user, else its item."""
    key = "user" if "user" in table.keys.columns else "item"
    codes, _ = pd.factorize(table.keys[key], use_na_sentinel=False)
    return np.asarray(codes, dtype=np.int64)


def items_of(table: BehaviourTable) -> IntArray | None:
    """Return the item (n,) of each pair; None where rows are no pairs, or all of one item."""
    if len(table.unit) < 2:
        return None
    codes, items = pd.factorize(table.keys["item"], use_na_sentinel=False)
    return np.asarray(codes, dtype=np.int64) if len(items) > 1 else None


def _common_kind(found: list[Found]) -> Kind:
    kinds = {f.kind for f in found}
    return kinds.pop() if len(kinds) == 1 else "MPDAG"


# -- moments ---------------------------------------------------------------------------


def _from_moments(
    moments: Moments | BlockMoments, table: BehaviourTable, settings: Method, rules: Rules, draws: Draws
) -> tuple[list[Found], FloatArray]:
    rows = table.matrix() if isinstance(moments, Moments) else block_rows(table, moments)
    resample = resampled_em_correlations if np.isnan(rows).any() else resampled_correlations
    R = resample(rows, draws)
    usable = np.asarray(np.isfinite(R).all(axis=(1, 2)))
    usable[usable] = np.linalg.eigvalsh(R[usable])[:, 0] >= SINGULAR
    R = R[usable]
    _report_left_out(draws.times, len(R))
    n = draws.rows_drawn(moments.n)
    if settings.engine != "causalsem":
        again = (Moments.from_covariance(one, int(n), moments.names) for one in R)
        return [run(one, settings, rules) for one in while_in_time(again, "bootstrap", total=len(R))], R
    stack = Stack(R, n) if isinstance(moments, Moments) else block_stack(R, moments, n)
    parts = [stack.part(k, k + PART) for k in range(0, stack.size, PART)]
    return [found for part in while_in_time(parts, "bootstrap") for found in own_search(settings)(part, settings, rules)], R


def effective_rows(R: FloatArray, resampled: FloatArray, n: int) -> float:
    """Return how many independent Gaussian rows correlations R (p, p) are worth, from resampled ones (times, p, p).

    The correlation of n such rows has variance (1 − r²)² / n; rows of one user, and heavy tails, give it more.
    """
    upper = np.triu_indices(len(R), 1)
    if len(resampled) < FEW_RESAMPLES or not len(upper[0]):
        return float(n)
    spread = resampled[:, upper[0], upper[1]].var(axis=0, ddof=1)
    worth = np.median((1 - R[upper] ** 2) ** 2 / np.maximum(spread, 1e-300))
    return float(np.clip(worth, len(R) + 2, n))


def _report_left_out(times: int, kept: int) -> None:
    if kept == 0:
        message = "a variable is constant or collinear in every resample; drop rare or near-duplicate columns"
        raise MomentsError(message)
    if kept < times:
        lost = f"{times - kept} of {times} resamples have a constant or collinear variable"
        warnings.warn(f"{lost} and were left out; drop rare columns to keep them", DataWarning, stacklevel=4)


def resampled_correlations(rows: FloatArray, draws: Draws) -> FloatArray:
    """Return the correlations (times, p, p) of bootstrap resamples of units; a constant variable has NaN."""
    p, times = rows.shape[1], draws.times
    spread = rows.std(axis=0)
    centred = (rows - rows.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    upper = np.triu_indices(p)
    sums = np.zeros((times, 1 + p + len(upper[0])))
    for terms, weights in _weighed(centred, draws):
        sums += weights.astype(np.float64) @ terms
    mean = sums[:, 1 : 1 + p] / sums[:, :1]
    covariance = np.zeros((times, p, p))
    covariance[:, upper[0], upper[1]] = sums[:, 1 + p :] / sums[:, :1]
    covariance[:, upper[1], upper[0]] = covariance[:, upper[0], upper[1]]
    covariance -= mean[:, :, None] * mean[:, None, :]
    sd = np.sqrt(np.maximum(np.diagonal(covariance, axis1=1, axis2=2), 0.0))
    sd = np.where(sd > 1e-8, sd, np.nan)
    R = covariance / (sd[:, :, None] * sd[:, None, :])
    R[:, np.arange(p), np.arange(p)] = np.where(np.isnan(sd), np.nan, 1.0)
    return R


def resampled_em_correlations(rows: FloatArray, draws: Draws) -> FloatArray:
    """Return what `resampled_correlations` does for rows with missing values: those of EM on every resample in turn."""
    found = np.full((draws.times, rows.shape[1], rows.shape[1]), np.nan)
    for k, index in while_in_time(enumerate(draws.rows()), "bootstrap", total=draws.times):
        if (np.isfinite(rows[index]).sum(axis=0) > 1).all():
            found[k] = incomplete_moments(rows[index], [str(c) for c in range(rows.shape[1])]).correlation
    return found


def _weighed(centred: FloatArray, draws: Draws) -> Iterator[tuple[FloatArray, IntArray]]:
    """Yield sums of counts, values and products over g rows or blocks of rows, (g, …), and how often each is drawn, (times, g)."""
    blocks = _blocks(draws.units, draws.rng)
    counts = draws.counts(int(blocks.max()) + 1)
    rows = np.arange(len(blocks))
    if draws.items is not None:
        items = _blocks(draws.items, draws.rng)
        of_items = draws.counts(int(items.max()) + 1)
        for terms, some in _terms(centred, rows, None):
            yield terms, counts[:, blocks[some]] * of_items[:, items[some]]
        return
    order = None if np.array_equal(blocks, rows) else np.argsort(blocks, kind="stable")
    for terms, which in _terms(centred, blocks, order):
        yield terms, counts[:, which]


def _terms(centred: FloatArray, blocks: IntArray, order: IntArray | None) -> Iterator[tuple[FloatArray, IntArray]]:
    """Yield the sums (g, 1 + p + pairs) of counts, values and products over each of g blocks, and the blocks' numbers."""
    n, p = centred.shape
    for start in range(0, n, CHUNK):
        some = np.arange(start, min(start + CHUNK, n)) if order is None else order[start : start + CHUNK]
        values = centred[some]
        terms = np.empty((len(some), 1 + p + p * (p + 1) // 2))
        terms[:, 0], terms[:, 1 : 1 + p] = 1.0, values
        for i, start_of in enumerate(1 + p + np.r_[0, np.cumsum(np.arange(p, 1, -1))]):
            np.multiply(values[:, i : i + 1], values[:, i:], out=terms[:, start_of : start_of + p - i])
        if order is None:
            yield terms, some
            continue
        first = np.flatnonzero(np.r_[True, np.diff(blocks[some]) != 0])
        yield np.add.reduceat(terms, first, axis=0), blocks[some[first]]


def _blocks(units: IntArray, rng: np.random.Generator) -> IntArray:
    """Return the block (n,) of each row: its unit, or one of BLOCKS random groups of units when there are more."""
    count = int(units.max()) + 1
    if count <= BLOCKS:
        return units
    return np.asarray((rng.permutation(count) % BLOCKS)[units])


def draw_counts(units: int, times: int, rng: np.random.Generator) -> IntArray:
    """Return how often each unit is drawn in each of `times` samples with replacement of all, (times, units)."""
    counts = np.empty((times, units), dtype=np.int64)
    for k in range(times):
        counts[k] = np.bincount(rng.integers(0, units, units), minlength=units)
    return counts


# -- rows ------------------------------------------------------------------------------


def _from_rows(ready: FloatArray | RowTests, settings: Method, rules: Rules, draws: Draws) -> list[Found]:
    rows = ready.rows if isinstance(ready, RowTests) else ready
    found = []
    for index in while_in_time(draws.rows(), "bootstrap", total=draws.times):
        sample = rows[index]
        if isinstance(ready, RowTests):
            if all(len(np.unique(column[~np.isnan(column)])) > 1 for column in sample.T):
                found.append(run(RowTests(sample, ready.test), settings, rules))
        elif _regular(sample):
            found.append(run(sample, settings, rules))
    if not out_of_time():
        _report_left_out(draws.times, len(found))
    return found


def _regular(rows: FloatArray) -> bool:
    """Tell whether no column of the rows is constant or a combination of others."""
    if (np.ptp(rows, axis=0) == 0).any():
        return False
    return bool(np.linalg.eigvalsh(np.atleast_2d(np.corrcoef(rows, rowvar=False)))[0] >= SINGULAR)
