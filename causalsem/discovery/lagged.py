"""lagged(): windows of a log, one after the other, as columns of one table, and the knowledge that time goes forward."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from causalsem.behaviour import BehaviourTable, as_table
from causalsem.errors import DataError, SettingError, shown
from causalsem.graph import Knowledge


def lagged(windows: Sequence[BehaviourTable | pd.DataFrame], lags: int = 1) -> tuple[BehaviourTable, Knowledge]:
    """Return a table of every variable now and `lags` windows before, and the tiers that put earlier windows first.

    `windows` are tables of the same variables in successive windows of time, such as `behaviours(log, window=…)` week by
    week; units are matched by their keys, and a unit has a row for every `lags` + 1 successive windows it is in. A column
    "buy" stands for now, "buy (1 before)" for the window before. Hand table and knowledge to any method, PC as in
    Runge et al. (2019) or BOSS: arrows into the past are forbidden. Rows of one user stay together in `bootstrap`.
    Raises DataError for too few windows, or windows that hold other variables.
    """
    if lags < 1:
        raise SettingError(f"lags is {lags}; choose 1 or more")
    tables = [as_table(window) for window in windows]
    if len(tables) <= lags:
        raise DataError(f"{len(tables)} windows are too few for {lags} lags; hand in {lags + 1} or more")
    names = tables[0].names
    for k, table in enumerate(tables):
        if set(table.names) != set(names):
            differ = sorted(set(table.names) ^ set(names))
            raise DataError(
                f"window {k} and the first differ in {shown(differ)}; hand in the same variables in every window", columns=differ
            )
    frames = [pd.concat([table.keys, table.frame[list(names)]], axis=1) for table in tables]
    keys = list(tables[0].keys.columns)
    parts = [_joined(frames[k - lags : k + 1], keys, names) for k in range(lags, len(frames))]
    whole = pd.concat(parts, ignore_index=True)
    if not len(whole):
        raise DataError("no unit is in successive windows; check the keys of the tables")
    order = [[lag_name(name, lag) for name in names] for lag in range(lags, -1, -1)]
    named = {key: key for key in keys}
    return BehaviourTable.from_frame(whole, user=named.get("user"), item=named.get("item"), tiers=order), Knowledge(tiers=order)


def lag_name(name: str, lag: int) -> str:
    """Return the name of a variable so many windows before."""
    return name if lag == 0 else f"{name} ({lag} before)"


def _joined(frames: list[pd.DataFrame], keys: list[str], names: tuple[str, ...]) -> pd.DataFrame:
    """Return one row per unit that is in all frames, its variables named by how long before the last they were."""
    lags = len(frames) - 1
    renamed = [frame.rename(columns={n: lag_name(n, lags - k) for n in names}) for k, frame in enumerate(frames)]
    joined = renamed[-1]
    for frame in reversed(renamed[:-1]):
        joined = joined.merge(frame, on=keys, how="inner", validate="one_to_one")
    return joined
