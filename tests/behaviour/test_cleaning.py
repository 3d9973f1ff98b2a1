"""Dirt is counted, removed and said; what cannot be used is refused with column, row and advice."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest

from causalsem.behaviour import EventLog, behaviours
from causalsem.errors import AssumptionWarning, DataError, DataWarning, FileError, NoRowsError, SettingError, UnknownNameError

TAOBAO = ["user", "item", "category", "type", "ts"]


def dirty(events: pd.DataFrame) -> pd.DataFrame:
    """The clean events and 11 faulty rows: 4 without a key, 4 impossible times, 3 repeats."""
    extra = events.iloc[[0, 1, 2, 3, 4, 5, 6, 7, 1, 1, 9]].copy()
    extra["session"] = [100, 101, 102, 103, 104, 105, 106, 107, 1, 1, 9]
    extra.iloc[0, extra.columns.get_loc("uid")] = None
    extra.iloc[1, extra.columns.get_loc("sku")] = None
    extra.iloc[2, extra.columns.get_loc("type")] = ""
    extra.iloc[3, extra.columns.get_loc("ts")] = None
    extra.iloc[4, extra.columns.get_loc("ts")] = "yesterday"
    extra.iloc[5, extra.columns.get_loc("ts")] = "2999-01-01"
    extra.iloc[6, extra.columns.get_loc("ts")] = "2019-01-01"
    extra.iloc[7, extra.columns.get_loc("ts")] = "2024-02-01"
    return pd.concat([events, extra], ignore_index=True)


@pytest.mark.parametrize("way", ["frame", "polars", "csv", "parquet"])
def test_dirt_is_counted_removed_and_said_once(way, events, names, tmp_path):
    frame, path = dirty(events), tmp_path / f"e.{way}"
    if way in {"csv", "parquet"}:
        frame.to_csv(path, index=False) if way == "csv" else frame.to_parquet(path, index=False)
    make, source = (EventLog.read, path) if path.exists() else (EventLog.from_frame, pl.from_pandas(frame) if way == "polars" else frame)
    said_so = r"4 missing user, item, behaviour or time; 4 impossible times \(unreadable, .*\); 3 duplicates; 10 kept"
    with pytest.warns(DataWarning, match=said_so) as said:
        log = make(source, start="2024-01-01", end="2024-02-01", **names)
    assert len(said) == 1
    # The warning points at the caller's line.
    assert said[0].filename == __file__
    done = log.cleaning
    assert (done.rows_read, done.missing, done.impossible_times, done.duplicates, done.rows_kept) == (21, 4, 4, 3, 10)
    assert done.dropped == 11
    assert log.sha256 == EventLog.from_frame(events, **names).sha256


def test_repeats_stay_when_asked(events, names):
    log = EventLog.from_frame(pd.concat([events, events]), duplicates="keep", **names)
    assert len(log) == 20
    with pytest.raises(SettingError, match="duplicates='maybe' is no choice; use 'drop' or 'keep'"):
        EventLog.from_frame(events, duplicates="maybe", **names)


def test_a_clean_log_says_nothing(events, names):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert str(EventLog.from_frame(events, **names).cleaning) == "10 rows read: nothing to clean; 10 kept (time read as ISO text)"


def test_unix_times_of_zero_are_no_times(events, names):
    seconds = pd.to_datetime(events["ts"]).astype("datetime64[s]").astype("int64")
    seconds.iloc[:2] = [0, -5]
    with pytest.warns(DataWarning, match="2 impossible times"):
        assert len(EventLog.from_frame(events.assign(ts=seconds), **names)) == 8


def test_local_times_a_few_hours_ahead_are_not_the_future(events, names):
    soon = pd.Timestamp.now("UTC").tz_localize(None) + pd.Timedelta("8h")
    assert len(EventLog.from_frame(events.assign(ts=soon), **names)) == 10


def test_the_real_taobao_log_has_its_out_of_range_times_counted(shared):
    path = shared / "data" / "taobao" / "UserBehavior.csv.gz"
    raw = pd.read_csv(path, names=TAOBAO)
    start, end = pd.Timestamp("2017-11-25", tz="Asia/Shanghai"), pd.Timestamp("2017-12-04", tz="Asia/Shanghai")
    inside = raw["ts"].between(start.timestamp(), end.timestamp(), inclusive="left")
    with pytest.warns(DataWarning, match=f"53,931 rows read: {int((~inside).sum())} impossible times"):
        log = EventLog.read(path, columns=TAOBAO, user="user", item="item", behaviour="type", time="ts", start=start, end=end)
    assert (log.cleaning.impossible_times, log.cleaning.duplicates) == (int((~inside).sum()), int(raw[inside].duplicated().sum()))
    assert log.cleaning.impossible_times > 0
    assert log.cleaning.time_read_as == "unix seconds"
    kinds = {"pv": "browse", "cart": "cart", "fav": "favourite", "buy": "buy"}
    assert dict(log.counts) == {name: int(((raw["type"] == code) & inside).sum()) for code, name in kinds.items()}
    assert (log.n_users, log.n_items) == (raw[inside]["user"].nunique(), raw[inside]["item"].nunique())
    # A few items moved to another category, so it describes the event, not the item.
    assert log.context == ("category",)


def test_missing_files_are_named(names, tmp_path):
    with pytest.raises(FileError, match=r"no file .*nowhere\.csv; check the path"):
        EventLog.read(tmp_path / "nowhere.csv", **names)
    with pytest.raises(FileError, match=r"no file matches .*\*\.parquet; check the folder and the pattern"):
        EventLog.read(str(tmp_path / "*.parquet"), **names)
    with pytest.raises(FileError, match=r"is a folder; name its files, as in .*\*\.parquet"):
        EventLog.read(tmp_path, **names)
    with pytest.raises(FileError, match="an empty list of files"):
        EventLog.read([], **names)
    (tmp_path / "e.xlsx").write_text("x", encoding="utf-8")
    with pytest.raises(FileError, match=r"ends in '\.xlsx', which is no known format; hand in one of \['\.csv'"):
        EventLog.read(tmp_path / "e.xlsx", **names)


def test_formats_do_not_mix(events, names, tmp_path):
    events.to_csv(tmp_path / "a.csv", index=False)
    events.to_parquet(tmp_path / "b.parquet", index=False)
    with pytest.raises(FileError, match=r"mix \['csv', 'parquet'\]; read one format at a time"):
        EventLog.read([tmp_path / "a.csv", tmp_path / "b.parquet"], **names)
    with pytest.raises(SettingError, match=r"columns= names the columns of CSV without a header, but .* is Parquet"):
        EventLog.read(tmp_path / "b.parquet", columns=["a"], **names)


def test_missing_columns_suggest_the_nearest(events, names, tmp_path):
    with pytest.raises(UnknownNameError, match="unknown column 'uidd' in the frame; did you mean 'uid'") as caught:
        EventLog.from_frame(events, **names | {"user": "uidd"})
    assert caught.value.suggestion == "uid"
    events.to_csv(tmp_path / "e.csv", index=False)
    with pytest.raises(UnknownNameError, match=r"unknown column 'prize' in .*e\.csv; did you mean 'price'"):
        EventLog.read(tmp_path / "e.csv", value="prize", **names)
    with pytest.raises(UnknownNameError, match="unknown column 'sesion' in the frame; did you mean 'session'"):
        EventLog.from_frame(events, extras={"sesion": "ignore"}, **names)
    with pytest.raises(DataError, match=r"columns \['uid'\] are named for two purposes"):
        EventLog.from_frame(events, **names | {"item": "uid"})


def test_unknown_behaviours_suggest_the_nearest_and_say_where(events, names):
    raw = events.replace({"type": {"cart": "brows"}})
    message = r"unknown behaviour 'brows' in row 4 of column 'type' of the frame \(.*stages=.*\); did you mean 'browse'"
    with pytest.raises(UnknownNameError, match=message):
        EventLog.from_frame(raw, **names)
    with pytest.raises(UnknownNameError, match=r"unknown behaviour 'xyz' in row 4 .*; use one of"):
        EventLog.from_frame(events.replace({"type": {"cart": "xyz"}}), **names)
    with pytest.raises(UnknownNameError, match=r"unknown behaviour 'carts' in behaviours=; .* has no such events; did you mean 'cart'"):
        EventLog.from_frame(events, behaviours={"carts": "cart"}, **names)


def test_a_column_of_anything_but_behaviours_is_refused(events, names):
    many = pd.concat([events] * 30, ignore_index=True).assign(session=lambda f: range(len(f)))
    with pytest.raises(DataError, match="column 'session' has more than 200 behaviours, such as"):
        EventLog.from_frame(many, **names | {"behaviour": "session"})


def test_no_rows_are_refused(events, names, tmp_path):
    with pytest.raises(NoRowsError, match="the frame has no rows; hand in a file with events"):
        EventLog.from_frame(events.head(0), **names)
    for text in ("", "uid,sku,type,ts\n"):
        (tmp_path / "e.csv").write_text(text, encoding="utf-8")
        with pytest.raises(NoRowsError, match=r"e\.csv (is empty|has no rows); hand in a file with events"):
            EventLog.read(tmp_path / "e.csv", **names)
    message = r"no events are left of the frame: 10 rows read: 10 impossible times .*; 0 kept .*check the columns and start=, end="
    with pytest.raises(NoRowsError, match=message):
        EventLog.from_frame(events, start="2025-01-01", **names)
    with pytest.raises(NoRowsError, match="column 'type' of the frame holds no behaviour"):
        EventLog.from_frame(events.assign(type=None), **names)


@pytest.mark.parametrize("column", ["value", "propensity", "position"])
@pytest.mark.parametrize("way", ["frame", "csv"])
def test_text_in_a_number_column_is_named_with_its_row(column, way, events, names, tmp_path):
    events["number"] = pd.Series([0.5] * 6 + ["half"] + [0.5] * 3, dtype=object)
    events.to_csv(tmp_path / "e.csv", index=False)
    make, source = (EventLog.read, tmp_path / "e.csv") if way == "csv" else (EventLog.from_frame, events)
    message = r"column 'number' holds text \('half' in row 6\) of .*; turn it into numbers or leave the column out"
    with pytest.raises(DataError, match=message) as caught:
        make(source, **{column: "number"}, **names)
    assert caught.value.columns == ["number"]
    assert caught.value.rows == [6]


@pytest.mark.parametrize("column", ["value", "propensity", "position"])
def test_infinite_numbers_are_named_with_their_row(column, events, names):
    with pytest.raises(DataError, match="column 'x' is infinite in row 9 of the frame; mend it or leave the column out"):
        EventLog.from_frame(events.assign(x=[0.5] * 9 + [np.inf]), **{column: "x"}, **names)


def test_a_stray_word_among_the_numbers_of_a_trait_is_named(events, names):
    raw = events.assign(age=events["age"].astype(object).where(events["uid"] != "u3", "forty"))
    with pytest.raises(DataError, match=r"column 'age' holds text \('forty' in row 9\)"):
        EventLog.from_frame(raw, **names)
    with pytest.raises(DataError, match="column 'price' is infinite in row 9"):
        EventLog.from_frame(events.assign(price=events["price"].where(events["sku"] != 30, -np.inf)), **names)


@pytest.mark.parametrize("column", ["value", "propensity"])
def test_a_value_is_there_for_all_events_of_a_behaviour_or_for_none(column, events, names):
    # Only purchases have a value: fine.
    x = np.where(events["type"] == "buy", 0.5, np.nan)
    assert len(EventLog.from_frame(events.assign(x=x), **{column: "x"}, **names)) == 10
    x[5] = np.nan
    message = r"column 'x' is missing \(NaN\) in 1 of 2 'buy' events, first in row 5 of the frame; fill it, or leave it empty"
    with pytest.raises(DataError, match=message):
        EventLog.from_frame(events.assign(x=x), **{column: "x"}, **names)


@pytest.mark.parametrize("bad", [0.0, -0.1, 1.5])
def test_propensities_lie_between_0_and_1(bad, events, names):
    message = rf"column 'p' is {bad:g} in row 2 of the frame, but a propensity lies in \(0, 1\]; mend or drop it"
    with pytest.raises(DataError, match=message):
        EventLog.from_frame(events.assign(p=[0.5, 1.0, bad] + [0.5] * 7), propensity="p", **names)


def test_times_that_are_none_are_refused(events, names):
    with pytest.raises(DataError, match="no time in column 'type' of the frame can be read, such as 'buy' in row 0; write ISO text"):
        EventLog.from_frame(events.assign(kind=events["type"]), **names | {"time": "type", "behaviour": "kind"})


def test_names_that_clash_are_refused(events, names):
    with pytest.raises(DataError, match=r"columns \['time'\] of the frame clash with the log's own names"):
        EventLog.from_frame(events.assign(time=1), **names)
    assert EventLog.from_frame(events.assign(time=1), extras={"time": "ignore"}, **names).context == ("session",)
    with pytest.raises(DataError, match=r"columns \['age', 'Age'\] of the frame clash"):
        EventLog.from_frame(events.assign(Age=1), **names)
    with pytest.raises(DataError, match=r"duplicate column names \['uid'\] in the frame"):
        EventLog.from_frame(pd.concat([events, events[["uid"]]], axis=1), **names)
    with pytest.raises(DataError, match="list is no frame of events; hand in pandas, Polars"):
        EventLog.from_frame([1, 2], **names)


def test_merging_two_words_into_one_behaviour_is_said(events, names):
    raw = events.replace({"type": {"cart": "click"}})
    message = r"\['click', 'pv'\] of column 'type' of the frame all count as 'browse'; tell them apart"
    with pytest.warns(AssumptionWarning, match=message) as said:
        EventLog.from_frame(raw, **names)
    assert said[0].filename == __file__
    told = EventLog.from_frame(raw, behaviours={"click": "browse", "pv": "browse"}, **names)
    assert told.counts["browse"] == 4


def test_behaviours_may_be_left_out(events, names):
    log = EventLog.from_frame(events.replace({"type": {"review": "login"}}), behaviours={"login": None}, **names)
    assert len(log) == 9
    assert (log.cleaning.left_out, log.cleaning.dropped) == (1, 0)


def test_hostile_names_are_only_names(events, names, tmp_path):
    hostile = "x\"'); DROP TABLE events; --"
    renamed = {"uid": hostile, "age": "a\"b'c", "price": "a.b", "session": '😀 . "".'}
    raw = events.rename(columns=renamed).replace({"type": {"cart": hostile}})
    log = EventLog.from_frame(raw, stages={hostile: "cart"}, **names | {"user": hostile})
    assert log.counts[hostile] == 1
    assert (log.user_traits, log.item_traits, log.context) == (("a\"b'c",), ("a.b",), ('😀 . "".',))
    path = tmp_path / "it's; DROP TABLE events --.parquet"
    raw.to_parquet(path, index=False)
    assert EventLog.read(path, stages={hostile: "cart"}, **names | {"user": hostile}).sha256 == log.sha256
    back = EventLog.load(log.save(path))
    assert back.sha256 == log.sha256
    assert behaviours(back.filter(start="2024-01-02"), ("user", "item")).names[:2] == ("a\"b'c", "a.b")
    assert set(log.to_pandas()['😀 . "".']) == set(range(10))
