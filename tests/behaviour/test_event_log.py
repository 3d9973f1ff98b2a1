"""EventLog: every way in gives the same log, and its answers are those of a plain loop."""

from __future__ import annotations

import gc
import gzip
import weakref
from datetime import datetime
from pathlib import Path

import duckdb
import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from causalsem.behaviour import DuckDB, EventLog, behaviours
from causalsem.errors import DataError, DataWarning, FileError, NoRowsError, SettingError, UnknownNameError


@pytest.fixture
def log(events, names) -> EventLog:
    return EventLog.from_frame(events, **names)


def test_a_log_tells_what_it_holds(log):
    assert len(log) == log.n_events == 10
    assert (log.n_users, log.n_items) == (3, 3)
    assert log.behaviours == ("exposure", "browse", "cart", "favourite", "buy", "review")
    assert dict(log.counts) == {"exposure": 2, "browse": 3, "cart": 1, "favourite": 1, "buy": 2, "review": 1}
    assert log.span == (datetime(2024, 1, 1, 9), datetime(2024, 1, 9, 9))
    assert (log.user_traits, log.item_traits, log.context) == (("age",), ("price",), ("session",))
    assert log.cleaning.dropped == 0
    assert log.cleaning.time_read_as == "ISO text"


def test_the_frame_is_lazy_and_canonical(log, events):
    assert isinstance(log.frame, nw.LazyFrame)
    whole = log.to_pandas()
    assert list(whole.columns) == ["user", "item", "behaviour", "time", "session"]
    assert whole["time"].is_monotonic_increasing
    first = events.sort_values(["ts", "uid", "sku"])["sku"].tolist()
    assert whole["item"].tolist() == first


def test_traits_come_one_row_per_unit(log):
    pd.testing.assert_frame_equal(
        log.traits("user"), pd.DataFrame({"user": ["u1", "u2", "u3"], "age": [20.0, 30.0, 40.0]}), check_dtype=False
    )
    assert log.traits("item")["price"].tolist() == [1.5, 2.5, 3.5]
    with pytest.raises(SettingError, match="no traits of level 'shop'; use 'user' or 'item'"):
        log.traits("shop")


def write_parquet(frame, folder):
    frame.to_parquet(folder / "e.parquet", index=False)
    return folder / "e.parquet"


def write_csv(frame, folder):
    frame.to_csv(folder / "e.csv", index=False)
    return str(folder / "e.csv")


def write_gzip(frame, folder):
    frame.to_csv(folder / "e.csv.gz", index=False)
    return folder / "e.csv.gz"


def write_semicolons_and_bom(frame, folder):
    frame.to_csv(folder / "e.csv", index=False, sep=";", encoding="utf-8-sig")
    return folder / "e.csv"


def write_tabs(frame, folder):
    frame.to_csv(folder / "e.tsv", index=False, sep="\t")
    return folder / "e.tsv"


def write_parts(frame, folder):
    for k in range(3):
        frame.iloc[k::3].to_csv(folder / f"part [{k}] 'a'.csv", index=False)
    return str(folder / "part*.csv")


def write_list(frame, folder):
    for k in range(2):
        frame.iloc[k::2].to_parquet(folder / f"p[{k}].parquet", index=False)
    return [folder / "p[0].parquet", folder / "p[1].parquet"]


@pytest.mark.parametrize(
    "write",
    [write_parquet, write_csv, write_gzip, write_semicolons_and_bom, write_tabs, write_parts, write_list],
    ids=lambda w: w.__name__[6:],
)
def test_every_file_format_gives_the_same_log(write, events, names, log, tmp_path):
    read = EventLog.read(write(events, tmp_path), **names)
    assert read.sha256 == log.sha256
    pd.testing.assert_frame_equal(read.to_pandas(), log.to_pandas())


@pytest.mark.parametrize(
    "convert",
    [
        pl.from_pandas,
        lambda f: pl.from_pandas(f).lazy(),
        pa.Table.from_pandas,
        lambda f: f.astype({"type": "category", "uid": "category"}),
        lambda f: f.assign(ts=pd.to_datetime(f["ts"])),
        lambda f: f.assign(ts=pd.to_datetime(f["ts"]).dt.tz_localize("UTC").dt.tz_convert("Asia/Shanghai")),
        lambda f: f.assign(ts=f["ts"].str.replace(" ", "T") + "Z"),
        lambda f: f.assign(ts=(pd.to_datetime(f["ts"]) + pd.Timedelta("8h")).astype(str) + "+08:00"),
        lambda f: f.assign(ts=pd.to_datetime(f["ts"]).astype("datetime64[s]").astype("int64")),
        lambda f: f.assign(ts=pd.to_datetime(f["ts"]).astype("datetime64[ms]").astype("int64").astype(float)),
        lambda f: f.assign(ts=pd.to_datetime(f["ts"]).astype("datetime64[ns]").astype("int64").astype(str)),
        lambda f: f.sample(frac=1, random_state=3),
    ],
    ids=[
        "polars",
        "lazy",
        "arrow",
        "categories",
        "timestamps",
        "zoned",
        "iso",
        "offsets",
        "seconds",
        "milliseconds",
        "nanotext",
        "shuffled",
    ],
)
def test_every_frame_and_clock_gives_the_same_log(convert, events, names, log):
    before = events.copy()
    assert EventLog.from_frame(convert(events), **names).sha256 == log.sha256
    pd.testing.assert_frame_equal(events, before)


def test_a_duckdb_relation_of_another_connection_is_read(events, names, log):
    con = duckdb.connect()
    con.register("mine", events)
    assert EventLog.from_frame(con.sql("SELECT * FROM mine"), **names).sha256 == log.sha256


def test_the_clock_is_detected_and_stated(events, names):
    def read_as(times):
        return EventLog.from_frame(events.assign(ts=times), **names).cleaning.time_read_as

    stamps = pd.to_datetime(events["ts"])
    seconds = stamps.astype("datetime64[s]").astype("int64")
    assert read_as(stamps) == "timestamps"
    assert read_as(stamps.dt.date) == "dates"
    assert read_as(seconds) == "unix seconds"
    assert read_as(seconds * 1000) == "unix milliseconds"
    assert read_as(seconds * 1_000_000) == "unix microseconds"
    assert read_as(stamps.dt.strftime("%Y%m%d")) == "dates as yyyymmdd"
    assert read_as(stamps.dt.strftime("%Y%m%d").astype(int)) == "dates as yyyymmdd"
    with pytest.raises(DataError, match=r"column 'ts' of the frame holds numbers like 1 \(row 0\), which are no unix seconds"):
        read_as(range(1, 11))


def test_ids_keep_their_kind(names):
    frame = pd.DataFrame({"uid": ["007", "7"], "sku": [1.0, 2.0], "type": "pv", "ts": "2024-01-01"})
    log = EventLog.from_frame(frame, **names)
    assert log.to_pandas()["user"].tolist() == ["007", "7"]
    assert log.to_pandas()["item"].tolist() == [1, 2]


def test_csv_ids_are_whole_numbers_only_when_all_are(names, tmp_path):
    (tmp_path / "e.csv").write_text("uid,sku,type,ts\n007,1,pv,2024-01-01\n7,2,pv,2024-01-01\n", encoding="utf-8")
    whole = EventLog.read(tmp_path / "e.csv", **names).to_pandas()
    assert whole["user"].tolist() == ["007", "7"]
    assert whole["item"].tolist() == [1, 2]


def test_columns_of_a_file_without_header_are_named(events, names, log, tmp_path):
    events.to_csv(tmp_path / "e.csv", index=False, header=False)
    read = EventLog.read(tmp_path / "e.csv", columns=list(events.columns), **names)
    assert read.sha256 == log.sha256
    with pytest.raises(DataError, match=r"columns= names 2 columns, but .*e\.csv has 7; name every one"):
        EventLog.read(tmp_path / "e.csv", columns=["uid", "sku"], **names)


def test_a_file_without_header_is_recognised_when_columns_were_not_named(names, tmp_path):
    (tmp_path / "e.csv").write_text("1,2268318,pv,1511544070\n1,2333346,pv,1511561733\n", encoding="utf-8")
    with pytest.raises(UnknownNameError, match=r"unknown column 'uid' in .*e\.csv \(whose first line reads like data: columns=\[…\]"):
        EventLog.read(tmp_path / "e.csv", **names)


def test_position_and_platform_stay_with_the_event(events, names):
    shown_ = events.assign(rank=range(10), app=["ios", "web"] * 5, p=0.5, yuan=3.0)
    log = EventLog.from_frame(shown_, position="rank", platform="app", propensity="p", value="yuan", **names)
    assert log.frame.collect_schema().names() == [
        "user",
        "item",
        "behaviour",
        "time",
        "value",
        "propensity",
        "position",
        "platform",
        "session",
    ]
    assert set(log.to_pandas()["platform"]) == {"ios", "web"}


def test_columns_called_position_and_platform_need_no_naming(events, names):
    log = EventLog.from_frame(events.assign(position=range(10), platform="web"), **names)
    assert "position" in log.frame.collect_schema().names()
    assert log.user_traits == ("age",)


def test_filter_keeps_behaviours_and_times(log):
    some = log.filter(behaviours=["browse", "buy"], start="2024-01-02", end=datetime(2024, 1, 4))
    assert dict(some.counts) == {"browse": 1, "buy": 2}
    assert some.behaviours == ("browse", "buy")
    # The end is not part of the period.
    assert len(log.filter(end="2024-01-01 09:01:00")) == 2
    assert len(log) == 10
    with pytest.raises(UnknownNameError, match="unknown behaviour 'browze' in the log; did you mean 'browse'"):
        log.filter(behaviours=["browze"])
    with pytest.raises(NoRowsError, match="no events are left of 10; widen the period"):
        log.filter(start="2025-01-01")
    with pytest.raises(SettingError, match="start= 'soon' is no time"):
        log.filter(start="soon")
    with pytest.raises(SettingError, match="start= 5 is no time"):
        log.filter(start=5)


@pytest.mark.parametrize("at", [0.5, 0.9, 0.01, "2024-01-02", datetime(2024, 1, 9, 9), "2024-01-03T18:00+08:00"])
def test_a_split_by_time_puts_every_event_on_one_side(log, at):
    train, test = log.split(at)
    assert len(train) + len(test) == 10
    assert train.span[1] < test.span[0]
    # A behaviour absent from one side keeps its column there.
    assert train.behaviours == test.behaviours == log.behaviours


def test_a_share_is_met_as_nearly_as_the_times_allow(names):
    frame = pd.DataFrame({"uid": 1, "sku": range(1000), "type": "pv", "ts": pd.date_range("2024-01-01", periods=1000, freq="min")})
    train, test = EventLog.from_frame(frame, **names).split(0.8)
    assert (len(train), len(test)) == (800, 200)


def test_a_split_that_leaves_a_side_empty_is_refused(log):
    for at in ("2023-01-01", "2030-01-01"):
        with pytest.raises(SettingError, match="leaves one side empty; use a time after 2024-01-01 09:00:00 and up to 2024-01-09 09:00:00"):
            log.split(at)
    with pytest.raises(SettingError, match=r"a share of 1\.5 splits nothing"):
        log.split(1.5)


def test_the_hash_knows_content_and_nothing_else(events, names, log):
    assert EventLog.from_frame(events.iloc[::-1], **names).sha256 == log.sha256
    assert EventLog.from_frame(events.assign(price=events["price"] + 1), **names).sha256 != log.sha256
    assert EventLog.from_frame(events.iloc[1:], **names).sha256 != log.sha256
    assert log.filter(behaviours=["buy"]).sha256 != log.sha256
    assert len(log.sha256) == 64


def test_a_saved_log_comes_back_the_same(events, names, tmp_path):
    raw = events.replace({"type": {"cart": "领券"}})
    log = EventLog.from_frame(raw, stages={"领券": "cart"}, extras={"price": "item"}, **names)
    back = EventLog.load(log.save(tmp_path / "log.parquet"))
    assert back.sha256 == log.sha256
    assert back.cleaning == log.cleaning
    assert dict(back.stages) == dict(log.stages)
    pd.testing.assert_frame_equal(back.to_pandas(), log.to_pandas())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["log.parquet"]
    pd.testing.assert_frame_equal(behaviours(back).frame, behaviours(log).frame)


def test_a_file_of_other_making_is_not_loaded(events, tmp_path):
    write_parquet(events, tmp_path)
    with pytest.raises(FileError, match=r"was not written by EventLog\.save; use EventLog\.read"):
        EventLog.load(tmp_path / "e.parquet")
    with pytest.raises(FileError, match="no file"):
        EventLog.load(tmp_path / "none.parquet")


def test_saving_into_no_folder_leaves_nothing_behind(log, tmp_path):
    with pytest.raises(FileError, match="does not exist; make it first"):
        log.save(tmp_path / "none" / "log.parquet")
    assert list(tmp_path.iterdir()) == []


def test_reprs_say_the_numbers_and_escape_names(log, events, names):
    assert repr(log).startswith("EventLog(10 events of 3 users and 3 items, 2024-01-01 … 2024-01-09: exposure 2, browse 3")
    odd = EventLog.from_frame(events.rename(columns={"age": "<b>age"}), **names)
    assert "<b>age" not in odd._repr_html_()
    assert "&lt;b&gt;age" in odd._repr_html_()


def test_logs_do_not_meet_each_other(events, names):
    one = EventLog.from_frame(events, **names)
    two = EventLog.from_frame(events[events["uid"] == "u1"], **names)
    assert (len(one), len(two)) == (10, 6)


@pytest.fixture
def large(tmp_path) -> Path:
    rng = np.random.default_rng(0)
    n = 400_000
    frame = pd.DataFrame({"uid": rng.integers(0, 5000, n), "sku": rng.integers(0, 999, n), "type": "pv", "note": rng.random(n)})
    frame.assign(ts=rng.integers(1.5e9, 1.6e9, n)).to_parquet(tmp_path / "e.parquet", index=False)
    return tmp_path / "e.parquet"


def test_a_log_larger_than_its_memory_spills_and_leaves_no_file(large, names, tmp_path):
    spill = tmp_path / "spill"
    log = EventLog.read(large, engine=DuckDB(memory="25MB", spill=spill, threads=1), **names)
    assert sum(file.stat().st_size for file in spill.iterdir()) > 1_000_000
    assert behaviours(log).frame["browse"].sum() == len(log) == 400_000
    del log
    gc.collect()
    assert not spill.exists()


def test_far_too_little_memory_is_said(large, names, tmp_path):
    with pytest.raises(SettingError, match=r"needs more memory than allowed: .*; raise engine=DuckDB\(memory=…\)"):
        EventLog.read(large, engine=DuckDB(memory="4MB", spill=tmp_path / "spill", threads=1), **names)


def test_odd_settings_of_the_engine_are_refused(events, names):
    with pytest.raises(SettingError, match="cannot start DuckDB with"):
        EventLog.from_frame(events, engine=DuckDB(memory="much"), **names)


def test_broken_files_are_named(names, tmp_path):
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 not really")
    (tmp_path / "ragged.csv").write_text("uid,sku,type,ts\n1,2,pv,2024-01-01\n1,2\n", encoding="utf-8")
    (tmp_path / "gbk.csv").write_bytes("uid,sku,type,ts\n1,2,浏览,2024-01-01\n".encode("gbk"))
    whole = gzip.compress(b"uid,sku,type,ts\n" + b"1,2,pv,2024-01-01\n" * 9999)
    (tmp_path / "cut.csv.gz").write_bytes(whole[: len(whole) // 2])
    for name in ("bad.parquet", "ragged.csv", "gbk.csv", "cut.csv.gz"):
        with pytest.raises(FileError, match=f"cannot read .*{name}: .*; check that it is whole and UTF-8"):
            EventLog.read(tmp_path / name, **names)


def test_the_callers_frame_is_let_go(names):
    frame = pa.table({"uid": np.arange(200_000), "sku": np.arange(200_000), "type": ["pv"] * 200_000, "ts": ["2024-01-01"] * 200_000})
    before = pa.total_allocated_bytes()
    log = EventLog.from_frame(frame, **names)
    held = weakref.ref(frame)
    del frame
    gc.collect()
    assert held() is None
    assert pa.total_allocated_bytes() < before / 2
    assert len(log) == 200_000


def test_filter_keeps_users_and_items(log):
    assert log.filter(users=["u1"]).n_users == 1
    part = log.filter(items=[10, 30], users=["u1", "u2"])
    assert set(part.to_pandas()["item"]) == {10}
    assert set(part.to_pandas()["user"]) == {"u1", "u2"}
    with pytest.raises(NoRowsError):
        log.filter(items=[99])


def test_users_without_an_event_with_the_busiest_items_are_counted_as_left_out():
    frame = pd.DataFrame({"user": ["a", "a", "b", "c", "c"], "item": [1, 2, 1, 3, 3], "behaviour": "browse"}).assign(
        time=pd.Timestamp("2025-03-03")
    )
    log = EventLog.from_frame(frame, user="user", item="item", behaviour="behaviour", time="time", duplicates="keep")
    said = "2 of 3 users and 1 of 3 items are kept.*; 1 users have no event with the items that are kept"
    with pytest.warns(DataWarning, match=said):
        assert log.busiest(items=1).n_users == 2
    with pytest.warns(DataWarning, match=r"1 of 3 users and 2 of 3 items.*; 1 items have no event with the users") as told:
        log.busiest(users=1)
    assert "users have no event" not in str(told[0].message)


def test_the_busiest_items_are_those_of_a_count_by_hand_and_the_rest_is_said(log):
    events = log.to_pandas()
    ranked = events.groupby("item").size().reset_index(name="n").sort_values(["n", "item"], ascending=[False, True])
    for count in (1, 2):
        with pytest.warns(DataWarning, match=rf"and {count} of 3 items are kept, those with the most events, and .*% of the events"):
            part = log.busiest(items=count)
        assert set(part.to_pandas()["item"]) == set(ranked["item"][:count])
        assert len(part) == ranked["n"][:count].sum()
        assert part.stages == log.stages
    with pytest.warns(DataWarning, match="1 of 3 users"):
        assert log.busiest(users=1).to_pandas()["user"].unique().tolist() == [events["user"].value_counts().index[0]]
    assert len(log.busiest(items=3, users=50)) == len(log)  # nothing is left out, and nothing said
    with pytest.raises(SettingError, match="items=0 keeps nothing"):
        log.busiest(items=0)


def test_columns_of_pandas_own_kinds_and_numbers_beyond_64_bits_are_read_as_text(events, names, log):
    seconds = pd.to_datetime(events["ts"]).dt.to_period("s")
    halves = pd.cut(pd.Series(np.arange(len(events), dtype=float)), 2)
    told = EventLog.from_frame(events.assign(ts=seconds, half=halves, sku=[10**25 + int(k) for k in events["sku"]]), **names)
    assert told.cleaning.time_read_as == "ISO text"
    assert told.to_pandas()["time"].tolist() == log.to_pandas()["time"].tolist()
    assert told.to_pandas()["item"].tolist() == [str(10**25 + k) for k in log.to_pandas()["item"]]
