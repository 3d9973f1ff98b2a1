"""Extra columns: whom they describe, found or told, in the events or in tables of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from causalsem.behaviour import EventLog, behaviours
from causalsem.behaviour.codes import looks_like_code
from causalsem.errors import DataError, DataWarning, SettingError, UnknownNameError


@pytest.fixture
def users() -> pd.DataFrame:
    return pd.DataFrame({"uid": ["u3", "u1", "u2", "nobody"], "income": [3.0, 1.0, 2.0, 9.0]})


def test_a_column_is_a_trait_where_it_never_differs(events, names):
    age = events["age"].where(events.index != 3)  # a missing cell is no other value
    log = EventLog.from_frame(events.assign(age=age, flag=events["uid"] == "u1"), **names)
    assert log.user_traits == ("age", "flag")
    assert log.item_traits == ("price",)
    assert log.context == ("session",)
    assert log.traits("user")["age"].tolist() == [20.0, 30.0, 40.0]
    assert log.traits("user")["flag"].tolist() == [1.0, 0.0, 0.0]


def test_what_is_told_goes_before_what_is_found(events, names):
    log = EventLog.from_frame(events, extras={"age": "context", "price": "ignore"}, **names)
    assert (log.user_traits, log.item_traits, log.context) == ((), (), ("age", "session"))
    # Constant within both: the item when told so, else the user.
    both = events.assign(vat=7.0)
    assert EventLog.from_frame(both, **names).user_traits == ("age", "vat")
    assert EventLog.from_frame(both, extras={"vat": "item"}, **names).item_traits == ("price", "vat")


def test_a_told_trait_that_differs_is_refused(events, names):
    with pytest.raises(DataError, match=r"column 'price' is declared a trait of the user, but user 'u1' has 1\.5 and 2\.5; declare"):
        EventLog.from_frame(events, extras={"price": "user"}, **names)
    with pytest.raises(SettingError, match="extras says 'usr' of column 'age'; use one of"):
        EventLog.from_frame(events, extras={"age": "usr"}, **names)
    with pytest.raises(DataError, match="column 'day' holds DATE, so it is no trait"):
        EventLog.from_frame(events.assign(day=pd.Timestamp("2024-01-01").date()), extras={"day": "user"}, **names)
    with pytest.raises(UnknownNameError, match="unknown extra column 'uid' in the frame"):
        EventLog.from_frame(events, extras={"uid": "user"}, **names)


@pytest.mark.parametrize("way", ["frame", "polars", "csv", "parquet"])
def test_a_table_of_traits_joins_by_id(way, users, events, names, tmp_path):
    users.to_csv(tmp_path / "users.csv", index=False)
    users.to_parquet(tmp_path / "users.parquet", index=False)
    side = {"frame": users, "polars": pl.from_pandas(users), "csv": tmp_path / "users.csv", "parquet": str(tmp_path / "users.parquet")}[way]
    log = EventLog.from_frame(events, users=side, items=pd.DataFrame({"sku": [10, 20, 30], "quality": [1, 2, 3]}), **names)
    assert log.user_traits == ("age", "income")
    assert log.item_traits == ("price", "quality")
    assert log.traits("user")["income"].tolist() == [1.0, 2.0, 3.0]
    assert log.n_users == 3


def test_ids_written_as_text_meet_ids_written_as_numbers(events, names):
    items = pd.DataFrame({"sku": ["10", "20", "30"], "quality": [1.0, 2.0, 3.0]})
    assert EventLog.from_frame(events, items=items, **names).traits("item")["quality"].tolist() == [1.0, 2.0, 3.0]
    texts = events.assign(sku=events["sku"].astype(str))
    items["sku"] = items["sku"].astype(int)
    assert EventLog.from_frame(texts, items=items, **names).traits("item")["quality"].tolist() == [1.0, 2.0, 3.0]


def test_units_without_traits_are_said_and_stay_missing(events, names, users):
    with pytest.warns(DataWarning, match="1 of 3 users are not in the frame; their traits are missing: add them or impute") as said:
        log = EventLog.from_frame(events, users=users[users["uid"] != "u2"], **names)
    assert said[0].filename == __file__
    assert np.isnan(behaviours(log).column("income")[1])


def test_faulty_tables_of_traits_are_refused(events, names, users):
    with pytest.raises(DataError, match="user 'u1' is 2 times in column 'uid' of the frame; keep one row of each"):
        EventLog.from_frame(events, users=pd.concat([users, users.iloc[[1]]]), **names)
    with pytest.raises(UnknownNameError, match="unknown column 'uid' in the frame; did you mean 'id'"):
        EventLog.from_frame(events, users=users.rename(columns={"uid": "id"}), **names)
    with pytest.raises(DataError, match="no user of the events is in column 'uid' of the frame; check that both use the same ids"):
        EventLog.from_frame(events, users=users.assign(uid=["a", "b", "c", "d"]), **names)
    with pytest.raises(DataError, match=r"traits \['age'\] are in the events and in the frame; drop one of the two"):
        EventLog.from_frame(events, users=users.rename(columns={"income": "age"}), **names)
    with pytest.raises(DataError, match=r"column 'income' holds text \('lots' in row 1\)"):
        EventLog.from_frame(events, users=users.assign(income=pd.Series([1, "lots", 2, 3], dtype=object)), **names)


def test_text_of_two_values_counts_as_0_and_1(events, names):
    log = EventLog.from_frame(events.assign(member=np.where(events["uid"] == "u2", "yes", "no")), **names)
    assert behaviours(log).column("member").tolist() == [0.0, 1.0, 0.0]


def test_text_of_more_values_is_refused_unless_left_out(events, names):
    log = EventLog.from_frame(events.assign(city=events["uid"].map({"u1": "北京", "u2": "上海", "u3": "广州"})), **names)
    assert "city" in log.user_traits
    message = r"trait 'city' of the users holds text of 3 values, such as \['上海', '北京', '广州'\]; give it as numbers or"
    with pytest.raises(DataError, match=message):
        behaviours(log)
    assert behaviours(log, traits=["age"]).with_role("trait") == ("age",)
    with pytest.raises(UnknownNameError, match="unknown trait 'agee' in the log; did you mean 'age'"):
        behaviours(log, traits=["agee"])


def catalogue(events: pd.DataFrame) -> pd.DataFrame:
    """The events with columns of items that hold codes, and one of users that holds a number of few values."""
    codes = {10: 4756105, 20: 2355072, 30: 4145813}
    visits = events["uid"].map({"u1": 3, "u2": 1, "u3": 2})
    return events.assign(category=events["sku"].map(codes), visits=visits, 店铺编号=events["sku"].map({10: 7, 20: 9, 30: 4}))


def test_codes_are_left_out_of_the_traits_with_a_word_and_may_be_named(events, names) -> None:
    log = EventLog.from_frame(catalogue(events), **names)
    with pytest.warns(DataWarning) as said:
        table = behaviours(log, unit=("user", "item"))
    assert {"category", "店铺编号"}.isdisjoint(table.names)
    assert {"price", "age", "visits"} <= set(table.names)
    told = [str(one.message) for one in said if "looks like a code" in str(one.message)]
    assert [one.split("'")[1] for one in told] == ["category", "店铺编号"]
    assert "(3 whole numbers)" in told[0]
    assert "traits=[…, 'category']" in told[0]
    assert Path(next(one for one in said if "code" in str(one.message)).filename).name == "test_traits.py"
    named = behaviours(log, unit=("user", "item"), traits=["category", "price"])
    assert set(named.column("category")) == {4756105.0, 2355072.0, 4145813.0}


@pytest.mark.parametrize(
    ("name", "values", "code"),
    [
        ("category", [1, 2, 3], True),
        ("categoryId", [1, 2, 3], True),
        ("cate_id", [5, 9, 12], True),
        ("brandid", [5, 9, 12], True),
        ("brand", [1, 0, 1], False),  # two values: a 0/1 trait
        ("category", [0.5, 1.5, 2.5], False),  # a measure
        ("age", [1, 2, 3], False),
        ("price_level", [1, 2, 3], False),
        ("paid", [1, 2, 3], False),
        ("品牌", [3, 1, 2], True),
        ("年龄", [3, 1, 2], False),
    ],
)
def test_a_code_is_told_by_its_name_and_its_whole_numbers(name, values, code) -> None:
    assert looks_like_code(name, pd.Series(values)) is code
