"""From event logs and frames to rounds: who was shown what, and what followed."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from causalsem._values import FloatArray
from causalsem.errors import AssumptionWarning, DataError, DataWarning, NoRowsError, SettingError, UnknownNameError, check_names, shown
from causalsem.policy.logged_feedback import LoggedFeedback

if TYPE_CHECKING:
    from causalsem.behaviour import EventLog

MOST_VALUES_OF_TEXT = 200


def rounds_from_frame(
    frame: pd.DataFrame,
    columns: Mapping[str, str | None],
    context: tuple[str, ...],
    outcomes: tuple[str, ...],
    action_features: pd.DataFrame | None,
) -> LoggedFeedback:
    """Return the rounds of a frame; `columns` maps action, propensity, position, time and user to column names."""
    wanted = [name for name in columns.values() if name is not None]
    check_names([*wanted, *context, *outcomes], [str(c) for c in frame.columns], what="column", where="the frame")
    if len(frame) == 0:
        raise NoRowsError("the frame has no rows; check the filter or the file it came from")
    twice = [name for name in dict.fromkeys((*wanted, *context, *outcomes)) if list(frame.columns).count(name) > 1]
    if twice:
        raise DataError(f"duplicate column names {shown(twice)} in the frame; rename or drop one of each", columns=twice)
    shown_actions = frame[columns["action"]]
    if shown_actions.isna().any():
        raise DataError(f"{int(shown_actions.isna().sum()):,} rounds have no action; drop them first", columns=[str(columns["action"])])
    labels = pd.Index(np.unique(shown_actions.to_numpy())) if action_features is None else pd.Index(action_features.index)
    codes = labels.get_indexer(shown_actions)
    if (codes < 0).any():
        row = int(np.argmax(codes < 0))
        raise DataError(f"action {shown_actions.tolist()[row]!r} in row {row} is no row of the action features; add it there", rows=[row])
    numbers, names = number_columns(frame[list(context)])
    features, feature_names = (None, ()) if action_features is None else number_columns(action_features)
    return _with_propensity(
        None if columns["propensity"] is None else _numbers(frame[columns["propensity"]]),
        context=numbers,
        context_names=names,
        action=codes.astype(np.int64),
        actions=tuple(labels.tolist()),
        outcomes=pd.DataFrame({name: _numbers(frame[name]) for name in outcomes}, index=frame.index),
        action_features=features,
        action_feature_names=feature_names,
        position=None if columns["position"] is None else frame[columns["position"]].to_numpy(),
        time=None if columns["time"] is None else pd.to_datetime(frame[columns["time"]], utc=True).dt.tz_localize(None).to_numpy(),
        user=None if columns["user"] is None else pd.factorize(frame[columns["user"]])[0].astype(np.int64),
    )


def rounds_from_log(
    log: EventLog, outcomes: tuple[str, ...], context: Sequence[str] | None, exposure: str, within: str | pd.Timedelta | None
) -> LoggedFeedback:
    """Return one round per exposure event, with the behaviours that followed it as 0/1 outcomes."""
    exposures = [name for name, stage in log.stages.items() if exposure in {name, stage}]
    if not exposures:
        raise UnknownNameError(exposure, log.stages, what="behaviour", where="the log")
    others = tuple(name for name in log.stages if name not in exposures)
    check_names(outcomes, others, what="behaviour", where="the log")
    if not others:
        raise SettingError("the log has exposures and nothing else; policies learn from what follows an exposure: add browse, buy …")
    events = log.to_pandas()
    rounds = events[events["behaviour"].isin(exposures)].reset_index(drop=True)
    after = events[events["behaviour"].isin(outcomes or others)]
    followed = followers(rounds, after, outcomes or others, within)
    users, items = log.traits("user").set_index("user"), log.traits("item").set_index("item")
    chosen = list(users.columns if context is None else context)
    check_names(chosen, [*users.columns, *rounds.columns], what="context", where="the user traits and events")
    known = users.loc[rounds["user"], [c for c in chosen if c in users.columns]].reset_index(drop=True)
    known = pd.concat([known, rounds[[c for c in chosen if c not in users.columns]]], axis=1)[chosen]
    numbers, names = number_columns(filled(known, "user"))
    features, feature_names = number_columns(filled(items, "item"))
    return _with_propensity(
        rounds["propensity"].to_numpy(dtype=np.float64) if "propensity" in rounds else None,
        context=numbers,
        context_names=names,
        action=items.index.get_indexer(rounds["item"]).astype(np.int64),
        actions=tuple(items.index.tolist()),
        outcomes=followed,
        action_features=features,
        action_feature_names=feature_names,
        position=rounds["position"].to_numpy() if "position" in rounds and rounds["position"].notna().all() else None,
        time=rounds["time"].dt.tz_localize(None).to_numpy() if rounds["time"].dt.tz is not None else rounds["time"].to_numpy(),
        user=pd.factorize(rounds["user"])[0].astype(np.int64),
    )


def followers(rounds: pd.DataFrame, after: pd.DataFrame, outcomes: Sequence[str], within: str | pd.Timedelta | None) -> pd.DataFrame:
    """Return 0/1 per round and outcome: did it follow, this round being the pair's last exposure before it?"""
    both = pd.concat([rounds[["user", "item"]], after[["user", "item"]]])
    pair = pd.factorize(pd.MultiIndex.from_frame(both))[0]
    left = pd.DataFrame({"pair": pair[len(rounds) :], "time": after["time"].to_numpy(), "behaviour": after["behaviour"].to_numpy()})
    right = pd.DataFrame({"pair": pair[: len(rounds)], "time": rounds["time"].to_numpy(), "round": np.arange(len(rounds))})
    tolerance = None if within is None else pd.Timedelta(within)
    matched = pd.merge_asof(
        left.sort_values("time", kind="stable"), right.sort_values("time", kind="stable"), on="time", by="pair", tolerance=tolerance
    ).dropna(subset=["round"])
    out = {}
    for name in outcomes:
        hit = np.zeros(len(rounds))
        hit[matched.loc[matched["behaviour"] == name, "round"].to_numpy(dtype=np.int64)] = 1.0
        out[name] = hit
    return pd.DataFrame(out)


def _numbers(column: pd.Series) -> FloatArray:
    """Return a column as floats (n,), or raise DataError with its first word."""
    try:
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        words = pd.to_numeric(column.astype(object), errors="coerce").isna() & column.notna()
        row = int(words.to_numpy().argmax())
        raise DataError(
            f"column {column.name!r} should hold numbers, but has {str(column.iloc[row])!r} in row {row}; mend or drop that row",
            columns=[str(column.name)],
        ) from None


def number_columns(frame: pd.DataFrame) -> tuple[FloatArray, tuple[str, ...]]:
    """Return the columns as numbers (n, d) and their names; text becomes one 0/1 column per value, "column=value"."""
    blocks: list[FloatArray] = []
    names: list[str] = []
    for name in frame.columns:
        column = frame[name]
        if pd.api.types.is_numeric_dtype(column):
            blocks.append(column.to_numpy(dtype=np.float64, na_value=np.nan)[:, None])
            names.append(str(name))
            continue
        if column.dtype.kind in "mM":
            raise DataError(
                f"column {name!r} holds dates or durations; turn it into plain numbers, such as days, or drop it", columns=[name]
            )
        if column.isna().any():
            raise DataError(
                f"missing values in column {name!r} ({int(column.isna().sum()):,} rows); give them a name of their own", columns=[name]
            )
        codes, values = pd.factorize(column, sort=True)
        if len(values) > MOST_VALUES_OF_TEXT:
            raise DataError(f"column {name!r} has {len(values):,} different texts; leave it out or group them", columns=[name])
        blocks.append((codes[:, None] == np.arange(len(values))).astype(np.float64))
        names += [f"{name}={value}" for value in values]
    return (np.hstack(blocks) if blocks else np.empty((len(frame), 0))), tuple(names)


def filled(traits: pd.DataFrame, level: str) -> pd.DataFrame:
    """Return the traits with missing numbers set to the mean and missing texts to "unknown", and say so once."""
    gaps = {str(name): int(traits[name].isna().sum()) for name in traits.columns if traits[name].isna().any()}
    if not gaps:
        return traits
    told = ", ".join(f"{name!r} ({count:,} rows)" for name, count in gaps.items())
    warnings.warn(
        f"missing {level} traits {told} were set to their mean, or to 'unknown'; impute them to choose otherwise", DataWarning, stacklevel=4
    )
    full = traits.copy()
    for name in gaps:
        numeric = pd.api.types.is_numeric_dtype(full[name])
        full[name] = full[name].fillna(full[name].mean() if numeric else "unknown")
    return full


def _with_propensity(propensity: FloatArray | None, **parts: Any) -> LoggedFeedback:
    """Return the feedback with its logged propensities, or with estimated ones and a warning that says so."""
    if propensity is not None and not np.isnan(propensity).all():
        if np.isnan(propensity).any():
            kept = ~np.isnan(propensity)
            gone = int((~kept).sum())
            warnings.warn(f"{gone:,} rounds without a propensity were left out; log it for every exposure", DataWarning, stacklevel=5)
            whole = LoggedFeedback(propensity=np.where(kept, propensity, 1.0), **parts)
            return whole.take(kept)
        return LoggedFeedback(propensity=propensity, **parts)
    from causalsem.policy.cloning import estimated_propensity

    found = LoggedFeedback(propensity=np.ones(len(parts["action"])), **parts)
    warnings.warn(
        "no propensities were logged, so they are estimated from the context; values rest on the logging policy having seen "
        "nothing else of the user: log the probability of every exposure to be sure",
        AssumptionWarning,
        stacklevel=5,
    )
    return LoggedFeedback(propensity=estimated_propensity(found.context, found.action, found.features), estimated=True, **parts)
