"""The command line: what is printed where, and with which exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.main import get_command
from typer.testing import CliRunner

import causalsem as cs
from causalsem.cli import app

# A discovered class of graphs is fitted through one member, and says so.
pytestmark = pytest.mark.filterwarnings("ignore::causalsem.errors.AssumptionWarning")
COLUMNS = {"user": "user_id", "item": "item_id", "behaviour": "type", "time": "ts"}
FUNNEL = "intent -> browse; intent -> buy; browse -> cart; cart -> buy; buy -> review"


@pytest.fixture(scope="module")
def events(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("log") / "events.parquet"
    cs.simulate_shop(users=200, items=30, seed=2).log_frame.to_parquet(path, index=False)
    return path


@pytest.fixture
def graph(tmp_path) -> Path:
    return cs.CausalGraph.parse(FUNNEL).save(tmp_path / "graph.json")


def run(*arguments: object) -> str:
    """Run a command that must succeed and return its stdout."""
    result = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def process(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command line as a person does."""
    return subprocess.run([sys.executable, "-m", "causalsem", *map(str, arguments)], capture_output=True, text=True, check=False)


def test_commands_compose_through_files(events, tmp_path) -> None:
    graph, adjust, sem = tmp_path / "graph.json", tmp_path / "adjust.json", tmp_path / "sem.json"
    assert "exposure -> browse" in run("discover", events, "-o", graph, "--unit", "pair")
    assert "buy" in run("fit", graph, events, "-o", sem, "--unit", "pair")
    assert "exposure ⇒ buy" in run("adjust", graph, "exposure", "buy", "-o", adjust)
    told = json.loads(run("effects", events, adjust, "--method", "IPW", "--json"))
    assert told["naive"]["value"] > told["adjusted"]["value"] > 0


def test_the_unit_of_the_first_command_goes_through_all_files(events, tmp_path) -> None:
    graph, adjust, table = tmp_path / "graph.json", tmp_path / "adjust.json", cs.EventLog.read(events, **COLUMNS)
    for unit, columns in (("user", "user"), ("pair", ("user", "item"))):
        run("discover", events, "-o", graph, "--unit", unit)
        rows = cs.behaviours(table, unit=columns)
        assert json.loads(run("fit", graph, events, "--json"))["measures"]["ntotal"] == len(rows)
        run("adjust", graph, "activity", "exposure", "-o", adjust)
        told = json.loads(run("effects", events, adjust, "--method", "Regression", "--json"))
        by_hand = cs.estimate_effect(rows, cs.AdjustmentSet.from_json(adjust), cs.Regression())
        assert told["adjusted"]["value"] == pytest.approx(by_hand.value)


def test_another_unit_than_that_of_the_graph_is_said_on_stderr(events, tmp_path) -> None:
    graph, adjust = tmp_path / "graph.json", tmp_path / "adjust.json"
    cs.CausalGraph.parse("age -> exposure; age -> buy; exposure -> buy").with_provenance(unit="user").save(graph)
    run("adjust", graph, "exposure", "buy", "-o", adjust)
    said = process("effects", events, adjust, "--unit", "pair", "--method", "Regression", "--json")
    assert said.returncode == 0
    assert "AssumptionWarning: the graph was found on rows that are users, but these rows are user–item pairs" in said.stderr
    assert "take unit 'user' here too, or discover the graph on unit 'pair'" in said.stderr
    assert set(json.loads(said.stdout)) == {"naive", "adjusted"}
    assert "found on rows" not in process("effects", events, adjust, "--method", "Regression").stderr


def test_adjust_says_what_to_adjust_for_and_what_never(graph) -> None:
    text = run("adjust", graph, "browse", "buy")
    assert "browse ⇒ buy | {intent}" in text
    assert "never adjust for cart" in text


def test_adjust_lists_every_set(graph) -> None:
    assert len(json.loads(run("adjust", graph, "browse", "buy", "--kind", "all", "--json"))) >= 1


def test_check_counts_and_prints_json_that_parses(events) -> None:
    facts = json.loads(run("check", events, "--json"))
    assert facts["users"] == 200
    assert facts["variables"]["exposure"]["role"] == "exposure"


def test_export_writes_all_pairs_or_one(graph, tmp_path) -> None:
    run("export", graph, "-o", tmp_path / "all.json")
    run("export", graph, "browse", "buy", "-o", tmp_path / "one.json")
    count = [len(json.loads((tmp_path / name).read_text(encoding="utf-8"))["effects"]) for name in ("all.json", "one.json")]
    assert count == [20, 1]


def test_export_with_a_log_writes_weights_and_ready_files(tmp_path) -> None:
    events = tmp_path / "events.parquet"
    cs.simulate_shop(users=60, items=12, seed=3).log_frame.to_parquet(events, index=False)
    graph = cs.CausalGraph.parse("age -> exposure; age -> buy; quality -> exposure; quality -> buy; exposure -> buy")
    path, home = graph.save(tmp_path / "graph.json"), tmp_path / "out"
    every = [word for target in ("recbole", "implicit", "lightgbm", "spark_als", "obp") for word in ("--for", target)]
    written = json.loads(run("export", path, "exposure", "buy", "-o", home, "--log", events, *every, "--json"))
    assert all(Path(one).is_file() for one in written.values())
    weights = cs.PairWeights.load(written["weights"])
    document = json.loads(Path(written["adjustment_sets"]).read_text(encoding="utf-8"))
    assert weights.facts["graph_sha256"] == document["graph"]["sha256"]
    assert document["weights"]["columns"] == {"propensity": "propensity", "sample_weight": "weight"}
    with np.load(written["obp.feedback"], allow_pickle=False) as told:
        assert told["pscore"].shape == told["reward"].shape == (int(told["n_rounds"]),)


def test_export_says_what_a_recommender_needs(graph, events, tmp_path) -> None:
    cases = [
        (["--for", "recbole"], "name them by --log"),
        (["--log", events], "name a treatment and an outcome"),
        (["exposure", "buy", "--log", events, "--for", "recbol"], "recbole"),
    ]
    for words, message in cases:
        result = CliRunner().invoke(app, [str(a) for a in ("export", graph, "-o", tmp_path / "x", *words)])
        assert result.exit_code == 1
        assert message in str(result.exception)
        assert not (tmp_path / "x").exists()


def test_doctor_names_versions_and_device() -> None:
    facts = json.loads(run("doctor", "--json"))
    assert facts["device"] in {"cpu", "cuda"}
    assert facts["packages"]["dowhy"]
    assert facts["small_torch"].startswith("pip install")
    assert "econml" in facts["optional"]["cate"]


def test_every_command_can_print_json_and_help() -> None:
    for name, command in get_command(app).commands.items():
        assert "--json" in {option for parameter in command.params for option in parameter.opts}, name
        assert "Usage" in run(name, "--help")


def test_a_study_file_runs_the_whole_study_in_one_line(events, tmp_path) -> None:
    text = f'[log]\npath = "{events}"\n[query]\ntreatment = "exposure"\noutcome = "buy"\n[recipe]\ntimes = 2\nfolds = 2\n'
    (tmp_path / "study.toml").write_text(text + '[recipe.network]\nmethod = "TwoTower"\ndim = 2\n', encoding="utf-8")
    told = json.loads(run("report", tmp_path / "study.toml", "-o", tmp_path / "out", "--json"))
    assert set(told["answer"]) == {"naive", "debiased"}
    assert Path(told["files"]["report.html"]).stat().st_size < 150_000


def test_bad_input_ends_with_one_and_a_message_on_stderr_only(tmp_path) -> None:
    result = process("check", tmp_path / "none.parquet")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("error: ")
    assert "none.parquet" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_misspelt_column_is_answered_with_the_nearest(events) -> None:
    result = process("check", events, "--user", "user_idd")
    assert result.returncode == 1
    assert "did you mean 'user_id'" in result.stderr


def test_bad_usage_ends_with_two() -> None:
    assert process("adjust").returncode == 2
    assert process("discover", "x.csv", "--unit", "basket").returncode == 2


def test_a_failed_command_leaves_an_earlier_output_untouched(graph, tmp_path) -> None:
    output = tmp_path / "adjust.json"
    output.write_text("earlier", encoding="utf-8")
    result = process("adjust", graph, "browse", "buyy", "-o", output)
    assert result.returncode == 1
    assert "did you mean 'buy'" in result.stderr
    assert output.read_text(encoding="utf-8") == "earlier"


def test_chinese_names_go_through(tmp_path) -> None:
    path = cs.CausalGraph.parse("意图 -> 浏览; 意图 -> 购买; 浏览 -> 购买").save(tmp_path / "图.json")
    assert "浏览 ⇒ 购买 | {意图}" in run("adjust", path, "浏览", "购买")
