"""Moments: names, n, mean and covariance, the seam between rows and matrices."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from causalsem._cards import mimebundle
from causalsem._values import FloatArray, frozen, json_text, read_json, write_text
from causalsem.behaviour.origin import Origin
from causalsem.behaviour.patterns import em_moments, patterns_of
from causalsem.behaviour.table import BehaviourTable, as_table, origin_of, with_pandas
from causalsem.errors import DataError, MomentsError, SettingError, check_names, shown

FORMAT = "causalsem-moments"
# A correlation matrix with an eigenvalue below this cannot be told from a singular one in double precision.
SINGULAR = 1e-10
# What to do about missing values: refuse them, or take the ML moments of what is seen.
Missing = Literal["error", "em"]


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Sufficient statistics of a Gaussian model: p `names`, `n` rows, `mean` (p,), `covariance` (p, p; n − 1 divisor).

    `a + b` are the moments of all rows of both (Chan, Golub & LeVeque 1983), whatever their order. `origin` is what the
    table they were taken from told of its rows and columns: what a row stands for, and tiers.
    """

    names: tuple[str, ...]
    n: int
    mean: FloatArray
    covariance: FloatArray
    origin: Origin = Origin()  # noqa: RUF009  a frozen value

    def __post_init__(self) -> None:
        names = tuple(str(name) for name in self.names)
        p = len(names)
        mean, covariance = frozen(self.mean), np.array(self.covariance, dtype=np.float64)
        if len(set(names)) != p:
            twice = sorted({n for n in names if names.count(n) > 1})
            raise MomentsError(f"duplicate names {shown(twice)}; name every variable once", columns=twice)
        if mean.shape != (p,) or covariance.shape != (p, p):
            raise MomentsError(f"{p} names, but mean {mean.shape} and covariance {covariance.shape}; hand in ({p},) and ({p}, {p})")
        if self.n != int(self.n):
            raise MomentsError(f"n={self.n!r} rows; hand in a whole number")
        if self.n < 2:
            raise MomentsError(f"moments of {self.n} rows have no covariance; hand in at least 2 rows")
        _check_covariance(covariance, names)
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "origin", self.origin.select(names))
        object.__setattr__(self, "n", int(self.n))
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "covariance", frozen((covariance + covariance.T) / 2))

    @classmethod
    def from_covariance(
        cls, cov: npt.ArrayLike | pd.DataFrame, n: int, names: Sequence[str] | None = None, mean: npt.ArrayLike | None = None
    ) -> Moments:
        """Return moments from a covariance with divisor n − 1; without `mean` it is zero."""
        if names is None:
            if not isinstance(cov, pd.DataFrame):
                raise MomentsError("a covariance without names; hand in names=[…], one per column")
            names = [str(c) for c in cov.columns]
        matrix = np.asarray(cov, dtype=np.float64)
        return cls(tuple(names), n, np.zeros(len(names)) if mean is None else np.asarray(mean, dtype=np.float64), matrix)

    @classmethod
    def from_rows(cls, rows: npt.ArrayLike, names: Sequence[str]) -> Moments:
        """Return the moments of an (n, p) array without missing values."""
        n, mean, scatter = _sums(np.asarray(rows, dtype=np.float64))
        return cls(tuple(names), n, mean, scatter / max(n - 1, 1))

    def __add__(self, other: Moments) -> Moments:
        if self.names != other.names:
            differ = sorted(set(self.names) ^ set(other.names)) or list(self.names)
            raise MomentsError(f"shards disagree on variables: {shown(differ)}; give both the same names in the same order")
        mine, others = (m.covariance * (m.n - 1) for m in (self, other))
        n, mean, scatter = _merged((self.n, self.mean, mine), (other.n, other.mean, others))
        return Moments(self.names, n, mean, scatter / (n - 1), self.origin + other.origin)

    @property
    def sd(self) -> FloatArray:
        """Standard deviations, (p,)."""
        return np.asarray(np.sqrt(np.diag(self.covariance)))

    @property
    def correlation(self) -> FloatArray:
        """The correlation matrix, (p, p); a constant variable has NaN."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.covariance / np.outer(self.sd, self.sd))

    @property
    def sha256(self) -> str:
        """A hash of names, rows, means and covariances to the last digit: the same for the same data summed in the same order."""
        text = json_text({"names": self.names, "n": self.n, "mean": self.mean, "covariance": self.covariance})
        return hashlib.sha256(text.encode()).hexdigest()

    def select(self, names: Iterable[str]) -> Moments:
        """Return the moments of the named variables, in that order."""
        names = tuple(names)
        if names == self.names:
            return self
        place = {name: k for k, name in enumerate(self.names)}
        check_names(names, place, where="the moments")
        index = np.array([place[name] for name in names], dtype=np.int64)
        if len(set(names)) < len(names):
            raise MomentsError(f"duplicate names {shown(names)}; name every variable once", columns=list(names))
        return _of_valid(names, self.n, self.mean[index], self.covariance[index[:, None], index], self.origin.select(names))

    def dependence(self, x: str, y: str, given: Sequence[str] = ()) -> tuple[float, float]:
        """Return the partial correlation of two variables given others, and the p-value of Fisher's z that there is none.

        Raises UnknownNameError, and DataError with fewer than |given| + 4 rows.
        """
        check_names((x, y, *given), self.names, where="the moments")
        if self.n < len(given) + 4:
            raise DataError(f"{self.n} rows cannot test an independence given {len(given)} variables; hand in more rows")
        index = [self.names.index(name) for name in (x, y, *given)]
        precision = np.linalg.inv(self.covariance[np.ix_(index, index)])
        r = float(np.clip(-precision[0, 1] / math.sqrt(precision[0, 0] * precision[1, 1]), -1 + 1e-15, 1 - 1e-15))
        return r, math.erfc(math.sqrt(self.n - len(given) - 3) * abs(math.atanh(r)) / math.sqrt(2))

    def require_regular(self, conditioning: int | None = None) -> Moments:
        """Return self, or raise MomentsError naming constant, duplicate or collinear variables, or too few rows.

        With `conditioning`, no more than so many variables are ever conditioned on, so that rows may be fewer than variables.
        """
        p = len(self.names)
        constant = [name for name, sd in zip(self.names, self.sd, strict=True) if sd <= 0]
        if constant:
            raise MomentsError(f"constant variables {shown(constant)}; drop them", columns=constant)
        if conditioning is not None and conditioning + 3 < self.n <= p:
            return self._require_different()
        if self.n <= p:
            raise MomentsError(f"{self.n} rows for {p} variables; hand in more rows than variables or fewer variables")
        correlation = self.correlation
        if _is_far_from_singular(correlation):
            return self
        values, vectors = np.linalg.eigh(correlation)
        if values[0] < SINGULAR:
            weight = np.abs(vectors[:, 0])
            tied = [name for name, w in zip(self.names, weight, strict=True) if w > 1e-3 * weight.max()]
            raise MomentsError(f"collinear variables {shown(tied)}: one is a combination of the others; drop one", columns=tied)
        return self

    def _require_different(self) -> Moments:
        """Return self, or raise MomentsError naming the first two variables that are the same up to scale."""
        same = np.argwhere(np.triu(np.abs(self.correlation) > 1 - SINGULAR, 1))
        if len(same):
            tied = [self.names[k] for k in same[0]]
            raise MomentsError(f"collinear variables {shown(tied)}: one is a combination of the others; drop one", columns=tied)
        return self

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write as JSON; numbers keep all their digits."""
        payload = {"format": FORMAT, "names": self.names, "n": self.n, "mean": self.mean, "covariance": self.covariance}
        return write_text(path, json_text(payload | asdict(self.origin)))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Moments:
        """Return the moments that `save` wrote."""
        payload = read_json(path, FORMAT)
        origin = Origin(payload.get("unit", ""), tuple(map(tuple, payload.get("tiers", ()))))
        return cls(tuple(payload["names"]), payload["n"], payload["mean"], payload["covariance"], origin)

    def __repr__(self) -> str:
        return f"Moments(n={self.n:,}, p={len(self.names)}: {', '.join(self.names)})"

    _repr_mimebundle_ = mimebundle


def _of_valid(names: tuple[str, ...], n: int, mean: FloatArray, covariance: FloatArray, origin: Origin) -> Moments:
    """Return moments that are known to be valid, such as a part of valid ones, without checking them again."""
    made = object.__new__(Moments)
    fields = {"names": names, "n": n, "mean": frozen(mean), "covariance": frozen(covariance), "origin": origin}
    for name, value in fields.items():
        object.__setattr__(made, name, value)
    return made


def moments(
    data: BehaviourTable | pd.DataFrame | Iterable[BehaviourTable],
    names: Iterable[str] | None = None,
    *,
    missing: Missing = "error",
) -> Moments:
    """Return the moments of a table's variables (all, or those named), or of all rows of many tables, one at a time.

    With missing="em" one table may have missing values, at random given what is seen: see `incomplete_moments`.
    Raises DataError on missing values otherwise, and on fewer than 2 rows.
    """
    names = None if names is None else tuple(names)
    data = with_pandas(data)
    if not isinstance(data, Iterable):
        data = as_table(data)
    single = isinstance(data, (BehaviourTable, pd.DataFrame))
    if missing == "em" and single:
        table = as_table(data)
        names = table.names if names is None else names
        return replace(incomplete_moments(table.matrix(names), names), origin=origin_of(data))
    if missing != "error":
        raise SettingError(
            f"missing={missing!r} does not go with {'one table' if single else 'many tables'}; use 'error', or 'em' with one table"
        )
    shards: Iterable[BehaviourTable | pd.DataFrame] = [data] if isinstance(data, (BehaviourTable, pd.DataFrame)) else data
    total: _Sums | None = None
    origin = Origin()
    for given in shards:
        shard, origin = as_table(given), origin + origin_of(given)
        names = shard.names if names is None else names
        sums = _sums(shard.complete(names))
        total = sums if total is None else _merged(total, sums)
    if names is None or total is None or total[0] < 2:
        raise DataError(f"{total[0] if total else 0} rows have no covariance; hand in at least 2 rows")
    n, mean, scatter = total
    return Moments(names, n, mean, scatter / (n - 1), origin)


def incomplete_moments(rows: FloatArray, names: Sequence[str]) -> Moments:
    """Return the maximum-likelihood moments of rows (n, p) with missing values, by EM (Dempster, Laird & Rubin 1977).

    Right when what is missing depends on what is seen only. `n` is an effective one: the mean number of rows in which
    two variables are both seen, so that tests do not count values that are not there. Raises DataError for a variable
    seen in fewer than 2 rows.
    """
    seen = ~np.isnan(rows)
    rare = [name for name, count in zip(names, seen.sum(axis=0), strict=True) if count < 2]
    if rare:
        raise DataError(f"{shown(rare)} have fewer than 2 values; drop them", columns=rare)
    if seen.all():
        return Moments.from_rows(rows, names)
    # EM is run on standardised values, so that it stops at the same precision whatever the units.
    centre, spread = np.nanmean(rows, axis=0), np.nanstd(rows, axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    mean, covariance = em_moments(patterns_of((rows - centre) / spread), len(names))
    both = seen.T.astype(np.float64) @ seen
    n = max(int(both[np.triu_indices(len(names), min(1, len(names) - 1))].mean()), 2)
    return Moments(tuple(names), n, centre + spread * mean, covariance * np.outer(spread, spread) * n / (n - 1))


def as_moments(data: Moments | BehaviourTable | pd.DataFrame) -> Moments:
    """Return `data` as Moments."""
    return data if isinstance(data, Moments) else moments(data)


_Sums = tuple[int, FloatArray, FloatArray]


def _sums(rows: FloatArray) -> _Sums:
    """Return n, mean (p,) and scatter about the mean (p, p) of rows (n, p)."""
    # What overflows is said by the check of the covariance.
    with np.errstate(over="ignore", invalid="ignore"):
        mean = rows.mean(axis=0)
        centred = rows - mean
        return len(rows), mean, centred.T @ centred


def _merged(a: _Sums, b: _Sums) -> _Sums:
    """Return the sums of all rows of both (Chan, Golub & LeVeque 1983)."""
    n, gap = a[0] + b[0], b[1] - a[1]
    return n, a[1] + gap * (b[0] / n), a[2] + b[2] + np.outer(gap, gap) * (a[0] * b[0] / n)


def _check_covariance(covariance: FloatArray, names: tuple[str, ...]) -> None:
    """Raise MomentsError when no data could have this covariance."""
    finite = np.isfinite(covariance)
    if not finite.all():
        bad = [name for name, row in zip(names, finite, strict=True) if not row.all()]
        raise MomentsError(f"the covariance is not finite at {shown(bad)}; mend or drop them", columns=bad)
    scale = np.sqrt(np.abs(np.diag(covariance)))
    scale = np.where(scale > 0, scale, 1.0)
    correlation = covariance / np.outer(scale, scale)
    skew = np.abs(correlation - correlation.T)
    if skew.max(initial=0.0) > 1e-6:
        i, j = np.unravel_index(np.argmax(skew), skew.shape)
        raise MomentsError(
            f"the covariance is not symmetric at {names[i]!r}, {names[j]!r}; hand in a symmetric one", columns=[names[i], names[j]]
        )
    halved = (correlation + correlation.T) / 2
    if not _is_far_from_singular(halved) and np.linalg.eigvalsh(halved)[0] < -1e-8:
        raise MomentsError(f"the covariance of {shown(names)} is not positive semi-definite; no data could have it", columns=list(names))


def _is_far_from_singular(correlation: FloatArray) -> bool:
    """Tell whether Cholesky's L already shows it: the smallest eigenvalue is at least 1 / tr(R⁻¹) = 1 / ‖L⁻¹‖²."""
    try:
        inverse = np.linalg.inv(np.linalg.cholesky(correlation))
    except np.linalg.LinAlgError:
        return False
    return bool(np.vdot(inverse, inverse) * SINGULAR < 0.01)
