"""What a fit needs of the data: for every group its n, means and covariances, whatever form the data came in."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from causalsem._clusters import Clusters
from causalsem._values import BoolArray, FloatArray, frozen
from causalsem.behaviour.moments import Moments
from causalsem.behaviour.patterns import Pattern, em_moments, patterns_of
from causalsem.behaviour.table import BehaviourTable
from causalsem.errors import AssumptionWarning, DataError, DataWarning, MomentsError, NoRowsError, SettingError, check_names, shown
from causalsem.sem.clusters import Clustered
from causalsem.sem.options import SEMOptions
from causalsem.sem.ordinal_moments import OrdinalMoments, ordinal_moments
from causalsem.sem.partable import Names, names_of
from causalsem.sem.syntax import Model

Data: TypeAlias = Moments | BehaviourTable | pd.DataFrame
# Below so many clusters the sandwich is visibly too small (Cameron & Miller 2015 say 20 to 50).
FEW_CLUSTERS = 20


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One group: `covariance` has the divisor the likelihood asks for (N, or N − 1 for "wishart"); `rows` where there are any.

    With missing="fiml", `patterns` are the missing-data patterns, and mean and covariance the ML estimates from them.
    `clusters` says which rows may depend on each other. With ordered variables, `ordinal` has what the model explains, and mean and
    covariance are those of the continuous responses.
    """

    label: str
    names: tuple[str, ...]
    n: int
    mean: FloatArray
    covariance: FloatArray
    rows: FloatArray | None = None
    patterns: tuple[Pattern, ...] = ()
    clusters: Clusters | None = None
    ordinal: OrdinalMoments | None = None
    # Of a two-level model: 1 within (its `clustered` has all that the likelihood reads), 2 between clusters.
    level: int = 1
    clustered: Clustered | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", frozen(self.mean))
        object.__setattr__(self, "covariance", frozen(self.covariance))


def group_labels(data: Data, options: SEMOptions) -> tuple[str, ...]:
    """Return the labels of the groups in order of first appearance; ("",) without a group column."""
    if options.group is None:
        return ("",)
    frame = _frame(data, "group")
    check_names([options.group], list(frame.columns), what="column", where="the data")
    column = frame[options.group]
    if column.isna().any():
        raise DataError(f"the group column {options.group!r} has {int(column.isna().sum())} missing values; fill or drop those rows")
    labels = tuple(_label(v) for v in pd.unique(column))
    if len(labels) < 2:
        raise DataError(f"the group column {options.group!r} has only one value, {labels[0]!r}; leave out group=", columns=[options.group])
    return labels


def latent_columns(data: Data, names: Sequence[Names]) -> list[str]:
    """Return a note where a latent variable has the name of a column, which was perhaps meant."""
    columns = data.names if isinstance(data, (Moments, BehaviourTable)) else [str(c) for c in getattr(data, "columns", ())]
    both = sorted({n for role in names for n in role.lv} & set(columns))
    return [f"latent variables {shown(both)} have the names of columns, which are not used; rename them, or write ~ for =~"] if both else []


def _label(value: object) -> str:
    """Return a group's name: 1.0 from a float column reads "1"."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _frame(data: object, option: str) -> pd.DataFrame:
    if isinstance(data, pd.DataFrame):
        return data
    if isinstance(data, BehaviourTable):
        return pd.concat([data.frame, data.keys.add_prefix("key:")], axis=1)
    raise SettingError(f"{option} needs rows, but {type(data).__name__} were handed in; hand in a DataFrame or BehaviourTable")


def ordered_levels(model: Model, data: Data, options: SEMOptions) -> dict[str, int]:
    """Return the ordered variables of a model with their number of categories; covariates stay numeric.

    Ordered are those that options.ordered names, that have thresholds in the text, and ordered pandas columns.
    """
    if isinstance(data, Moments) and not options.ordered and not any(s.op in ("|", "~*~") for b in model.blocks for s in b.statements):
        return {}
    roles = [names_of(b.statements) for b in model.blocks]
    dependent = dict.fromkeys(n for role in roles for n in role.ov if n not in role.ov_x)
    in_text = {s.lhs for b in model.blocks for s in b.statements if s.op in ("|", "~*~")}
    named = set(dependent) if options.ordered is True else set(options.ordered or ())
    frame = data.frame if isinstance(data, BehaviourTable) else data
    if isinstance(frame, pd.DataFrame):
        check_names(named, [str(c) for c in frame.columns], what="column", where="ordered")
        kinds = {str(c): t for c, t in frame.dtypes.items()}
        named |= {n for n in dependent if isinstance(kinds.get(n), pd.CategoricalDtype) and kinds[n].ordered}
    wanted = [n for n in dependent if n in named | in_text]
    if not wanted:
        return {}
    frame = _frame(data, "ordered variables")
    check_names(wanted, [str(c) for c in frame.columns], where="the data")
    levels = {n: int(frame[n].dropna().nunique()) for n in wanted}
    for name, count in levels.items():
        if count < 2:
            raise DataError(f"the ordered variable {name!r} has {count} categories; drop it", columns=[name])
        if count > 50:
            raise DataError(
                f"the ordered variable {name!r} has {count} categories; treat it as numeric, or merge categories", columns=[name]
            )
    return levels


def samples_of(
    data: Data, names: Sequence[Names], labels: Sequence[str], options: SEMOptions, levels: Mapping[str, int] | None = None
) -> tuple[Sample, ...]:
    """Return one checked Sample per group with its variables in the model's order; `levels` are the ordered ones."""
    if isinstance(data, Moments):
        check_names(names[0].ov, data.names, where="the data")
        for option, told in (("cluster", options.clusters), ("group", options.group)):
            if told:
                _frame(data, option)
        return (_sample(data.select(names[0].ov), labels[0], options, None),)
    if not isinstance(data, (BehaviourTable, pd.DataFrame)):
        raise SettingError(f"data of type {type(data).__name__}; hand in Moments, a BehaviourTable or a DataFrame")
    frame = _keyed_frame(data, options)
    out = []
    for label, role in zip(labels, names, strict=True):
        out.append(_group_sample(_part(frame, label, options), role, label, options, levels or {}))
    return tuple(out)


def _keyed_frame(data: BehaviourTable | pd.DataFrame, options: SEMOptions) -> pd.DataFrame:
    """Return the rows as a frame, with keys where they name a group or cluster."""
    keyed = options.group or options.clusters
    return _frame(data, "data") if keyed else (data.frame if isinstance(data, BehaviourTable) else data)


def _part(frame: pd.DataFrame, label: str, options: SEMOptions) -> pd.DataFrame:
    return frame if options.group is None else frame[[_label(v) == label for v in frame[options.group]]]


def rows_by_group(
    data: Data, names: Sequence[tuple[str, ...]], labels: Sequence[str], options: SEMOptions
) -> Iterator[tuple[str, FloatArray, npt.NDArray[Any]]]:
    """Yield label, complete rows of the named variables and cluster labels of every group."""
    frame = _keyed_frame(data, options) if not isinstance(data, Moments) else _frame(data, "cluster")
    for label, wanted in zip(labels, names, strict=True):
        part = _with_products(_part(frame, label, options), [str(c) for c in frame.columns], wanted)
        columns = [str(c) for c in part.columns]
        check_names(wanted, [c for c in columns if c != options.group], where="the data")
        rows = _numbers(part, columns, wanted)
        kept = np.asarray(~np.isnan(rows).any(axis=1))
        if not kept.all():
            _say_dropped(rows, kept, wanted, label)
        yield label, rows[kept], _way(part, options.clusters[0]).to_numpy()[kept]


def _group_sample(frame: pd.DataFrame, role: Names, label: str, options: SEMOptions, levels: Mapping[str, int]) -> Sample:
    """Return the sample of one group's rows: complete ones, or with missing="fiml" all that have some value."""
    wanted = role.ov
    frame = _with_codes(frame, wanted)
    columns = [str(c) for c in frame.columns]
    frame = _with_products(frame, columns, wanted)
    columns = [str(c) for c in frame.columns]
    check_names(wanted, [c for c in columns if c != options.group], where="the data")
    rows = _numbers(frame, columns, wanted)
    # Fixed causes are conditioned on, so a row without them says nothing; nor does a row without any value.
    needed = [n in role.ov_x and options.holds_x for n in wanted] if options.fiml else [True] * len(wanted)
    kept = np.asarray(~np.isnan(rows[:, needed]).any(axis=1) & ~np.isnan(rows).all(axis=1))
    if not kept.all():
        _say_dropped(rows, kept, wanted, label)
    rows = rows[kept]
    if len(rows) < 2:
        raise NoRowsError(f"{len(rows)} complete rows{_of(label)} for {shown(wanted)}; hand in rows without missing values")
    clusters = _clusters(frame[kept], options.clusters, label) if options.clusters else None
    if levels:
        return _ordinal_sample(rows, role, label, options, levels)
    if not options.fiml or not np.isnan(rows).any():
        return _sample(Moments.from_rows(rows, wanted), label, options, rows, clusters)
    _check_seen_together(rows, wanted, label)
    patterns = patterns_of(rows)
    mean, covariance = em_moments(patterns, len(wanted))
    moments = Moments(wanted, len(rows), mean, covariance * len(rows) / (len(rows) - 1))
    made = _sample(moments, label, options, rows, clusters)
    return replace(made, patterns=patterns)


def _ordinal_sample(rows: FloatArray, role: Names, label: str, options: SEMOptions, levels: Mapping[str, int]) -> Sample:
    """Return the sample of a group with ordered variables; warns of empty cells, which make correlations uncertain."""
    conditional = options.holds_x and bool(options.conditional_x)
    x = [k for k, n in enumerate(role.ov) if conditional and n in role.ov_x]
    y = [k for k in range(len(role.ov)) if k not in x]
    names = [role.ov[k] for k in y]
    moments = ordinal_moments(rows[:, y], np.array([n in levels for n in names]), [levels.get(n, 0) for n in names], rows[:, x], names)
    if moments.empty:
        pairs = ", ".join(f"{names[j]} × {names[i]}" for i, j in moments.empty[:8])
        cure = "their correlations rest on few rows; merge rare categories"
        warnings.warn(f"empty cells{_of(label)} in the tables of {pairs}; {cure}", DataWarning, stacklevel=4)
    mean, covariance = np.zeros(len(role.ov)), np.zeros((len(role.ov),) * 2)
    X = rows[:, x]
    mean[x], mean[y] = X.mean(axis=0), moments.means + moments.slopes @ X.mean(axis=0)
    spread = np.cov(X, rowvar=False).reshape(len(x), len(x))
    across = moments.slopes @ spread
    covariance[np.ix_(x, x)], covariance[np.ix_(y, x)], covariance[np.ix_(x, y)] = spread, across, across.T
    covariance[np.ix_(y, y)] = moments.covariance + across @ moments.slopes.T
    return Sample(label, role.ov, len(rows), mean, covariance, rows, (), None, moments)


def _with_codes(frame: pd.DataFrame, wanted: Sequence[str]) -> pd.DataFrame:
    """Return the frame with ordered pandas columns as numbers from 1."""
    kinds = {c: t for c, t in frame.dtypes.items() if str(c) in wanted and isinstance(t, pd.CategoricalDtype) and t.ordered}
    return frame.assign(**{str(c): frame[c].cat.codes.replace(-1, np.nan) + 1 for c in kinds}) if kinds else frame


def usual_ways(data: Data) -> tuple[str, ...]:
    """Return the ways in which rows may depend on each other for all that data tell: of pairs, their user and their item."""
    if not isinstance(data, BehaviourTable) or len(data.unit) < 2:
        return ()
    return tuple(f"key:{way}" for way in data.unit if (data.keys[way] != data.keys[way].iloc[0]).any())


def _way(frame: pd.DataFrame, name: str) -> pd.Series:
    """Return the column that a way is named by: a variable, or else a key of the table."""
    columns = {str(c): c for c in frame.columns}
    if name not in columns and f"key:{name}" in columns:
        name = f"key:{name}"
    check_names([name], [c.removeprefix("key:") for c in columns] if name not in columns else columns, what="column", where="the data")
    return frame[columns[name]]


def _clusters(frame: pd.DataFrame, ways: Sequence[str], label: str) -> Clusters:
    """Return the clusters of the rows; raises DataError where some are in none, or all in the same, and warns of few."""
    columns = {way.removeprefix("key:"): _way(frame, way) for way in ways}
    for name, column in columns.items():
        if gone := int(column.isna().sum()):
            raise DataError(f"the cluster column {name!r} has {gone} missing values{_of(label)}; fill or drop those rows", columns=[name])
        if (column == column.iloc[0]).all():
            raise DataError(f"the cluster column {name!r} has only one value{_of(label)}; leave it out of cluster=", columns=[name])
    made = Clusters.of({name: column.to_numpy() for name, column in columns.items()})
    few = {name: count for name, count in made.sizes.items() if count < FEW_CLUSTERS}
    if few:
        told = ", ".join(f"{count} of {name!r}" for name, count in few.items())
        warnings.warn(
            f"few clusters{_of(label)}: {told}; standard errors from so few are too small; bring more", AssumptionWarning, stacklevel=4
        )
    return made


def _with_products(frame: pd.DataFrame, columns: Sequence[str], wanted: Sequence[str]) -> pd.DataFrame:
    """Return the frame with a column for every product "x:z" that the model names and the data do not have."""
    made = {}
    for name in wanted:
        parts = name.split(":")
        if name not in columns and len(parts) == 2 and set(parts) <= set(columns):
            rows = _numbers(frame, columns, parts)
            made[name] = rows[:, 0] * rows[:, 1]
    return frame.assign(**made) if made else frame


def _check_seen_together(rows: FloatArray, wanted: Sequence[str], label: str) -> None:
    """Raise MomentsError when a variable is never seen, or two are never seen together."""
    seen = (~np.isnan(rows)).astype(np.float64)
    together = seen.T @ seen
    if (together < 2).any():
        i, j = (int(k) for k in np.argwhere(together < 2)[0])
        pair = f"{wanted[i]!r} and {wanted[j]!r} are" if i != j else f"{wanted[i]!r} is"
        raise MomentsError(
            f"{pair} observed in fewer than 2 rows{_of(label)}; their covariance has no evidence; drop one", columns=[wanted[i], wanted[j]]
        )


def _of(label: str) -> str:
    return f" in group {label!r}" if label else ""


def _numbers(frame: pd.DataFrame, columns: Sequence[str], wanted: Sequence[str]) -> FloatArray:
    """Return the wanted columns as floats, checked by BehaviourTable for text, infinite and duplicate columns."""
    keep = frame.loc[:, [c in set(wanted) for c in columns]].reset_index(drop=True)
    if len(keep) == 0:
        raise NoRowsError("the data have no rows; check the filter or the file they came from")
    return BehaviourTable.from_frame(keep).matrix(wanted)


def _say_dropped(rows: FloatArray, complete: BoolArray, wanted: Sequence[str], label: str) -> None:
    missing = [n for k, n in enumerate(wanted) if np.isnan(rows[:, k]).any()]
    gone = int((~complete).sum())
    message = f"{gone:,} of {len(rows):,} rows{_of(label)} have missing values in {shown(missing)} and were left out"
    warnings.warn(f"{message}; use missing='fiml' to keep what they have, or impute them first", DataWarning, stacklevel=2)


def _sample(moments: Moments, label: str, options: SEMOptions, rows: FloatArray | None, clusters: Clusters | None = None) -> Sample:
    if not moments.names:
        raise SettingError("the model has no observed variable; name at least one column of the data")
    try:
        moments.require_regular()
    except MomentsError as why:
        raise MomentsError(f"{why}{_of(label)}", **why.evidence) from None
    scale = (moments.n - 1) / moments.n if options.rescale else 1.0
    return Sample(label, moments.names, moments.n, moments.mean, moments.covariance * scale, rows, (), clusters)
