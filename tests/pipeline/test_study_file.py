"""A whole study in one TOML file."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

import causalsem as cs
from causalsem.cli import app
from causalsem.errors import SettingError
from causalsem.pipeline import StudyFile

STUDY = """
[log]
path = "events.csv"
user = "uid"
[query]
treatment = "exposure"
outcome = "buy"
[knowledge]
tiers = [["age", "activity"], ["exposure"], ["browse"], ["buy"]]
[recipe]
times = 4
discovery = "PC"
[recipe.effect]
method = "IPW"
"""


@pytest.fixture
def study(tmp_path):
    frame = cs.simulate_shop(users=50, items=10, seed=2).log_frame.rename(columns={"user_id": "uid"})
    frame.to_csv(tmp_path / "events.csv", index=False)
    path = tmp_path / "study.toml"
    path.write_text(STUDY, encoding="utf-8")
    return path


def test_every_table_becomes_its_value(study) -> None:
    file = StudyFile.load(study)
    assert file.query == cs.Query("exposure", "buy")
    assert file.knowledge.tiers[0] == ("age", "activity")
    assert file.recipe == cs.Recipe(times=4, discovery=cs.PC(), effect=cs.IPW())


def test_the_log_is_found_beside_the_file_whatever_the_folder(study, monkeypatch, tmp_path_factory) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert StudyFile.load(study).read().n_users == 50


def test_any_command_reads_its_log_from_a_study_file(study) -> None:
    result = CliRunner().invoke(app, ["check", str(study), "--json"], catch_exceptions=False)
    assert json.loads(result.stdout)["users"] == 50


def test_an_option_replaces_a_column_of_the_file(study) -> None:
    with pytest.raises(cs.errors.UnknownNameError, match="'user_idd'"):
        StudyFile.load(study).read(user="user_idd")


def test_a_file_without_header_is_read_by_the_columns_named(study, tmp_path) -> None:
    (tmp_path / "bare.csv").write_text("1,7,pv,1511544070\n2,8,buy,1511561733\n", encoding="utf-8")
    study.write_text('[log]\npath = "bare.csv"\ncolumns = ["user_id", "item_id", "type", "ts"]\n', encoding="utf-8")
    assert dict(StudyFile.load(study).read().counts) == {"browse": 1, "buy": 1}


def test_a_file_without_a_question_cannot_run(study) -> None:
    study.write_text('[log]\npath = "events.csv"\n', encoding="utf-8")
    with pytest.raises(SettingError, match=r"no \[query\]"):
        StudyFile.load(study).run()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[log]\npath = 3\n", r"\[log\] of .* path"),
        ('[log]\nuser = "u"\n', "lacks 'path'"),
        ('[log]\npath = "e.csv"\n[query]\ntreatment = "a"\n', r"\[query\] of .* lacks 'outcome'"),
        ('[log]\npath = "e.csv"\n[knowledge]\ntier = []\n', "does not know 'tier'; it knows .*'tiers'.*did you mean 'tiers'"),
        ('[log]\npath = "e.csv"\n[recipe.network]\nmethod = "TwoTower"\ndim = "wide"\n', r"\[network\] of .*dim.*valid integer"),
    ],
)
def test_a_wrong_table_is_named_with_what_it_knows(text, words, study) -> None:
    study.write_text(text, encoding="utf-8")
    with pytest.raises(SettingError, match=words):
        StudyFile.load(study)
