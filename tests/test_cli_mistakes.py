"""What a person gets wrong at the terminal: each ends with 1, nothing on stdout, and one line that names it and the cure."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import causalsem as cs
from causalsem.cli import main

pytestmark = pytest.mark.filterwarnings("ignore::causalsem.errors.CausalSEMWarning")
CONFOUNDED = "z -> t; z -> y; t -> y"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files, good and bad."""
    folder = tmp_path_factory.mktemp("mistakes")
    good = cs.simulate_shop(users=90, items=20, seed=3).log_frame
    good.to_parquet(folder / "good.parquet", index=False)
    good.assign(type="brwse").to_csv(folder / "behaviour.csv", index=False)
    good.assign(ts="soon").to_csv(folder / "times.csv", index=False)
    good[:0].to_csv(folder / "empty.csv", index=False)
    (folder / "noise.parquet").write_bytes(np.random.default_rng(0).bytes(400))
    pd.DataFrame({"a": [1]}).to_csv(folder / "other.csv", index=False)
    (folder / "headless.csv").write_text("1,2268318,pv,1511544070\n", encoding="utf-8")
    cs.CausalGraph.parse(CONFOUNDED).save(folder / "graph.json")
    cs.CausalGraph.parse("u -> t; u -> y; t -> y", latent=["u"]).save(folder / "hidden.json")
    cs.identify(cs.CausalGraph.parse(CONFOUNDED), cs.Query("t", "y")).to_json(folder / "adjust.json")
    exposure = cs.identify(cs.CausalGraph.parse("age -> exposure; age -> buy; exposure -> buy"), cs.Query("exposure", "buy"))
    exposure.to_json(folder / "exposure.json")
    told = json.loads((folder / "graph.json").read_text(encoding="utf-8"))
    (folder / "kind.json").write_text(json.dumps({**told, "format": "recipe"}), encoding="utf-8")
    texts = {
        "cut.json": (folder / "graph.json").read_text(encoding="utf-8")[:40],
        "model.txt": "buy ~ ~ browse",
        "misspelt.txt": "buy ~ brows",
        "tiers.toml": 'tiers = [["age"], ["age"]]',
        "tier.toml": 'tiers = [["exposre"], ["buy"]]',
        "broken.toml": "[log\n",
        "key.toml": '[log]\npath = "good.parquet"\n[recipe]\nfold = 3\n',
        "log_key.toml": '[log]\npath = "good.parquet"\nusr = "user_id"\n',
        "table.toml": '[lug]\npath = "good.parquet"\n',
        "type.toml": '[log]\npath = "good.parquet"\n[recipe]\nfolds = "five"\n',
        "silent.toml": '[log]\npath = "good.parquet"\n',
        "method.toml": '[log]\npath = "good.parquet"\n[recipe]\ndiscovery = "GEZ"\n',
        "column.toml": '[log]\npath = "good.parquet"\nuser = "user"\n',
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


MISTAKES: dict[str, tuple[str, str]] = {
    "no such file": ("check none.parquet", "none.parquet"),
    "a file of noise": ("check noise.parquet", "noise.parquet"),
    "a file without the columns": ("check other.csv", "unknown column 'user_id'"),
    "a misspelt column": ("check good.parquet --user user_idd", "did you mean 'user_id'"),
    "an unknown behaviour": ("check behaviour.csv", "'brwse'.*did you mean 'browse'"),
    "times that are none": ("check times.csv", "time"),
    "no rows": ("check empty.csv", "no (rows|events)"),
    "an unknown discovery method": ("discover good.parquet --method GEZ", "did you mean 'GES'"),
    "a variable in two tiers": ("discover good.parquet --knowledge tiers.toml", "'age' is in tier 1 and in tier 2; keep one"),
    "a misspelt variable in a tier": ("discover good.parquet --knowledge tier.toml", "did you mean 'exposure'"),
    "an output folder that is not there": ("adjust graph.json t y -o no/adjust.json", "folder .* does not exist; make it first"),
    "a model that does not parse": ("fit model.txt good.parquet", "line 1"),
    "a misspelt variable in a model": ("fit misspelt.txt good.parquet", "did you mean 'browse'"),
    "a graph file cut short": ("adjust cut.json t y", "is not JSON.*cut short"),
    "events where a graph was meant": ("adjust good.parquet t y", "is no UTF-8 text"),
    "a CSV without a header line": ("check headless.csv", "first line reads like data.*columns="),
    "a file of another kind": ("adjust kind.json t y", "holds 'recipe'"),
    "a misspelt treatment": ("adjust graph.json tt y", "did you mean 't'"),
    "a treatment that is the outcome": ("adjust graph.json t t", "'t'"),
    "a hidden common cause": ("adjust hidden.json t y", "u"),
    "an unknown effect method": ("effects good.parquet exposure.json --method AIPV", "did you mean 'AIPW'"),
    "an adjustment set about other variables": ("effects good.parquet adjust.json", "unknown column 't' in the behaviour table"),
    "a treatment without an outcome": ("export graph.json t -o all.json", "name both or neither"),
    "no question": ("report good.parquet", "no question"),
    "a study file without a question": ("report silent.toml", "no question.*query"),
    "a study file that is no TOML": ("report broken.toml", "is not TOML"),
    "an unknown key": ("report key.toml", r"does not know 'fold'; it knows \['unit',.*\]; did you mean 'folds'"),
    "an unknown key of the log": ("check log_key.toml", r"\[log\].*does not know 'usr'; it knows \['path', 'user'"),
    "an unknown table": ("check table.toml", r"does not know 'lug'|lacks 'log'"),
    "a value of the wrong type": ("report type.toml", "folds.*valid integer.*not 'five'"),
    "an unknown method in a study file": ("report method.toml", "did you mean 'GES'"),
    "a misspelt column in a study file": ("check column.toml", "did you mean 'user_id'"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_at_the_terminal_is_named_with_its_cure(mistake, here, monkeypatch, capsys) -> None:
    line, words = MISTAKES[mistake]
    monkeypatch.chdir(here)
    monkeypatch.setattr("sys.argv", ["causalsem", *line.split()])
    with pytest.raises(SystemExit) as end:
        main()
    said = capsys.readouterr()
    assert end.value.code == 1
    assert said.out == ""
    last = said.err.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert "Traceback" not in said.err
    assert re.search(words, last), last
