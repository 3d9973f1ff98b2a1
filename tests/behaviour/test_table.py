"""BehaviourTable: what it accepts, answers, keeps and refuses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from causalsem.behaviour import BehaviourTable, EventLog, as_table, moments
from causalsem.errors import DataError, FileError, NoRowsError, SettingError, UnknownNameError


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame({"who": ["u1", "u2", "u3"], "年龄": [20, 30, 40], "曝光": [1, 0, 2], "buy": [0, 1, 1]})


@pytest.fixture
def table(frame) -> BehaviourTable:
    return BehaviourTable.from_frame(
        frame, user="who", roles={"年龄": "trait", "曝光": "exposure"}, tiers=[["年龄"], ["曝光"], [], ["buy"]], levels={"年龄": "user"}
    )


def test_keys_variables_roles_and_tiers_are_kept_apart(table):
    assert table.names == ("年龄", "曝光", "buy")
    assert table.unit == ("user",)
    assert len(table) == 3
    assert dict(table.roles) == {"年龄": "trait", "曝光": "exposure", "buy": "behaviour"}
    assert table.tiers == (("年龄",), ("曝光",), ("buy",))
    assert table.with_role("behaviour") == ("buy",)
    assert table.keys["user"].tolist() == ["u1", "u2", "u3"]


def test_pairs_have_two_keys_and_the_level_pair(frame):
    pairs = BehaviourTable.from_frame(frame.assign(what=[1, 2, 3]), user="who", item="what")
    assert pairs.unit == ("user", "item")
    assert set(pairs.levels.values()) == {"pair"}


def test_the_callers_frame_and_the_table_do_not_share_memory(frame):
    before = frame.copy()
    table = BehaviourTable.from_frame(frame, user="who")
    frame.loc[0, "buy"] = 99
    assert table.column("buy")[0] == 0
    frame.loc[0, "buy"] = 0
    pd.testing.assert_frame_equal(frame, before)


def test_columns_and_matrices_are_floats_in_the_order_asked(table):
    np.testing.assert_array_equal(table.matrix(["buy", "年龄"]), [[0, 20], [1, 30], [1, 40]])
    assert table.column("曝光").dtype == np.float64
    with pytest.raises(UnknownNameError, match="unknown variable 'bye' in the behaviour table; did you mean 'buy'"):
        table.column("bye")


def test_selecting_and_cutting_keep_roles_tiers_and_keys(table):
    part = table.select(["buy", "年龄"])
    assert part.tiers == (("年龄",), ("buy",))
    assert part.roles["年龄"] == "trait"
    some = table.rows(np.array([True, False, True]))
    assert some.keys["user"].tolist() == ["u1", "u3"]
    np.testing.assert_array_equal(some.column("buy"), [0, 1])


def test_missing_values_may_stay_until_a_step_needs_them(frame):
    table = BehaviourTable.from_frame(frame.assign(buy=[0.0, None, 1.0]), user="who")
    assert np.isnan(table.column("buy")[1])
    assert table.complete(["年龄"]).shape == (3, 1)
    with pytest.raises(DataError, match=r"missing values in \['buy'\] \(1 rows\); impute or drop them first") as caught:
        table.complete()
    assert caught.value.columns == ["buy"]


def test_saved_tables_come_back_whole(table, tmp_path):
    back = BehaviourTable.load(table.save(tmp_path / "t.parquet"))
    pd.testing.assert_frame_equal(back.frame, table.frame)
    pd.testing.assert_frame_equal(back.keys, table.keys)
    assert (dict(back.roles), back.tiers, dict(back.levels)) == (dict(table.roles), table.tiers, dict(table.levels))
    with pytest.raises(FileError, match="no file"):
        BehaviourTable.load(tmp_path / "none.parquet")


def test_a_frame_without_keys_has_one_user_a_row():
    table = as_table(pd.DataFrame({"x": [1.0, 2.0]}))
    assert table.unit == ("user",)
    assert as_table(table) is table
    assert repr(table) == "BehaviourTable(2 user rows × 1 variables: x)"


def test_html_escapes_what_users_wrote():
    html = BehaviourTable.from_frame(pd.DataFrame({"<script>": [1.0]}))._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


@pytest.mark.parametrize(
    ("frame", "error", "message"),
    [
        (pd.DataFrame({"x": []}), NoRowsError, "the table has no rows"),
        (pd.DataFrame({"x": [1, "abc", 2]}, dtype=object), DataError, r"column 'x' holds text \('abc' in row 1\); turn it into numbers"),
        (pd.DataFrame({"x": [1.0, 2.0, -np.inf]}), DataError, "column 'x' is infinite in row 2; mend or drop it"),
        (pd.DataFrame([[1, 2]], columns=["x", "x"]), DataError, r"duplicate column names \['x'\]; rename or drop one of each"),
    ],
)
def test_bad_columns_are_named_with_their_row(frame, error, message):
    with pytest.raises(error, match=message):
        BehaviourTable.from_frame(frame)


def test_names_nobody_knows_are_refused(frame):
    with pytest.raises(UnknownNameError, match="unknown column 'whom' in the frame; did you mean 'who'"):
        BehaviourTable.from_frame(frame, user="whom")
    with pytest.raises(UnknownNameError, match="unknown column 'bye' in the behaviour table; did you mean 'buy'"):
        BehaviourTable.from_frame(frame, user="who", tiers=[["bye"]])
    with pytest.raises(SettingError, match="unknown role 'cause'; use one of"):
        BehaviourTable.from_frame(frame, user="who", roles={"buy": "cause"})
    with pytest.raises(DataError, match="2 keys for 3 rows"):
        BehaviourTable(frame[["buy"]], pd.DataFrame({"user": [1, 2]}), {})
    with pytest.raises(DataError, match=r"keys must be 'user', 'item' or both, not \['who'\]"):
        BehaviourTable(frame[["buy"]], frame[["who"]], {})


def test_a_missing_or_cut_table_file_is_named(tmp_path) -> None:
    table = BehaviourTable.from_frame(pd.DataFrame({"browse": [1.0, 2.0], "buy": [0.0, 1.0]}))
    path = table.save(tmp_path / "table.parquet")
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(FileError, match="is not Parquet"):
        BehaviourTable.load(path)
    path.unlink()
    with pytest.raises(FileError, match="no file"):
        BehaviourTable.load(path)


@pytest.mark.parametrize("kind", ["polars", "arrow"])
def test_a_table_of_polars_or_arrow_gives_the_same_variables(kind):
    frame = pd.DataFrame({"浏览": [1.0, 2.0, 4.0], "购买": [0.0, 1.0, 1.0]})
    other = pl.from_pandas(frame) if kind == "polars" else pa.Table.from_pandas(frame)
    pd.testing.assert_frame_equal(as_table(other).frame, as_table(frame).frame)
    np.testing.assert_array_equal(moments(other).covariance, moments(frame).covariance)


@pytest.mark.parametrize("thing", [{"a": [1.0, 2.0]}, np.eye(3), None])
def test_what_has_no_named_columns_is_refused(thing):
    for ask in (as_table, moments):
        with pytest.raises(DataError, match=r"is no table with .* named columns; hand in a DataFrame"):
            ask(thing)


def test_a_log_where_a_table_was_meant_is_told_of_behaviours(events, names):
    log = EventLog.from_frame(events, **names)
    for ask in (as_table, moments):
        with pytest.raises(DataError, match=r"EventLog is no table .*; make its table with behaviours\(log\)"):
            ask(log)


def test_a_row_of_nobody_and_keys_that_cannot_be_compared_are_refused():
    frame = pd.DataFrame({"who": ["a", None, "b"], "x": [1, 2, 3]})
    with pytest.raises(DataError, match=r"1 rows have no user \(the first is row 1\)"):
        BehaviourTable.from_frame(frame, user="who")
    with pytest.raises(DataError, match="the users are of type list"):
        BehaviourTable.from_frame(frame.assign(who=[["a"], ["b"], ["c"]]), user="who")
