"""A part of a log: times, and the users and items that matter, those named or those with the most events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from causalsem.errors import SettingError

if TYPE_CHECKING:
    from datetime import datetime

    import narwhals as nw

    from causalsem.behaviour.event_log import EventLog


def of_units(frame: nw.LazyFrame[Any], wanted: Mapping[str, Iterable[Any] | None]) -> nw.LazyFrame[Any]:
    """Return the events of the wanted ids of each key ("user", "item"); None keeps all."""
    import narwhals as nw

    for key, ids in wanted.items():
        if ids is not None:
            frame = frame.filter(nw.col(key).is_in([ids] if isinstance(ids, (str, int)) else list(ids)))
    return frame


def within(frame: nw.LazyFrame[Any], start: datetime | None, end: datetime | None) -> nw.LazyFrame[Any]:
    """Return the events with a time in [start, end); None leaves that side open."""
    import narwhals as nw

    if start is not None:
        frame = frame.filter(nw.col("time") >= start)
    return frame if end is None else frame.filter(nw.col("time") < end)


def with_most_events(frame: nw.LazyFrame[Any], key: str, count: int) -> list[Any]:
    """Return the `count` ids of a key with the most events, the smaller id first among equals."""
    import narwhals as nw

    if count < 1:
        raise SettingError(f"{key}s={count} keeps nothing; ask for 1 or more")
    ranked = frame.group_by(key).agg(nw.len().alias("events")).sort(["events", key], descending=[True, False]).head(count)
    ids: list[Any] = ranked.collect("pandas").to_native()[key].tolist()
    return ids


def left_out(whole: EventLog, part: EventLog) -> dict[str, int]:
    """Return how many users, items and events of the whole log are not in its part; what is complete is not named."""
    lost = {
        "users": whole.n_users - part.n_users,
        "items": whole.n_items - part.n_items,
        "events": whole.n_events - part.n_events,
    }
    return {f"{what}_left_out": count for what, count in lost.items() if count}


def cut_words(whole: EventLog, part: EventLog, asked: Mapping[str, int | None]) -> str:
    """Return what a cut to so many users and items (None: not cut) left out, in words."""
    sizes = {"user": (part.n_users, whole.n_users), "item": (part.n_items, whole.n_items)}
    kept = " and ".join(f"{now:,} of {before:,} {key}s" for key, (now, before) in sizes.items())
    told = f"{kept} are kept, those with the most events, and {part.n_events / whole.n_events:.1%} of the events"
    for key, other in (("user", "item"), ("item", "user")):
        now, before = sizes[key]
        if idle := min(before, asked[key] or before) - now:
            told += f"; {idle:,} {key}s have no event with the {other}s that are kept, so they are left out too"
    return f"{told}; what is found holds for these, not for the others"
