"""The package as a whole: what importing costs, what it needs, what it offers."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import causalsem as cs

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("torch", "dowhy", "causallearn", "semopy", "econml", "sklearn", "matplotlib", "duckdb")


def python(code: str) -> str:
    """Run code in a fresh interpreter and return what it prints."""
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT).stdout.strip()


def test_importing_the_package_loads_no_heavy_package() -> None:
    loaded = python("import sys, causalsem; print(*sys.modules)").split()
    assert not set(HEAVY) & set(loaded)


def test_importing_the_package_costs_at_most_a_third_of_a_cpu_second() -> None:
    code = "import time; t = time.process_time(); import causalsem; print(time.process_time() - t)"
    assert min(float(python(code)) for _ in range(3)) <= 0.3


def test_every_public_name_loads() -> None:
    for name in cs.__all__:
        assert getattr(cs, name) is not None, name


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'discovr'"):
        cs.discovr  # noqa: B018 (the access itself is what is tested)


def test_our_own_stages_run_without_engines_duckdb_numba_and_scikit_learn() -> None:
    """The machine with the GPU may have torch, numpy, pandas, scipy and networkx only."""
    blocked = ("dowhy", "causallearn", "semopy", "econml", "sklearn", "duckdb", "numba")
    code = f"""
import sys
sys.modules.update(dict.fromkeys({blocked!r}))  # importing any of these is now an ImportError
import numpy as np, pandas as pd, causalsem as cs
rng = np.random.default_rng(0)
z = rng.normal(size=4000)
t = (rng.random(4000) < 1 / (1 + np.exp(-z))).astype(float)
y = (rng.random(4000) < 1 / (1 + np.exp(-(z + t - 1)))).astype(float)
frame = pd.DataFrame({{"user": np.arange(4000) // 20, "item": np.arange(4000) % 20, "z": z, "t": t, "y": y}})
pairs = cs.BehaviourTable.from_frame(frame, user="user", item="item", levels={{"z": "pair"}})
m = cs.moments(pairs)
known = cs.Knowledge(tiers=[["z"], ["t"], ["y"]])
graph = cs.discover(m, cs.GES(), knowledge=known)
cs.discover(m, cs.FLOP(), knowledge=known)
cs.bootstrap(pairs, cs.PC(), knowledge=known, times=5, seed=0)
cs.fit_sem(graph, m)
adjust = cs.identify(graph, cs.Query("t", "y"))
model = cs.fit_outcome(pairs, adjust, cs.TwoTower(), loss=cs.DR(), epochs=1, seed=0)
cs.rank_metrics(cs.score(model, top=5), pairs, k=(5,))
context, action, bought = rng.normal(size=(300, 2)), rng.integers(0, 3, 300), pd.DataFrame({{"buy": rng.random(300) < 0.3}})
feedback = cs.LoggedFeedback(context=context, action=action, outcomes=bought, propensity=np.full(300, 1 / 3))
policy = cs.learn_policy(feedback, cs.PolicyGradient(), reward=cs.Reward(buy=1.0), seed=0)
print(cs.evaluate_policy(policy, feedback, cs.SelfNormalized()).value >= 0)
"""
    assert python(code).splitlines()[-1] == "True"


def test_environment_yml_asks_for_what_pyproject_says() -> None:
    """The conda file has pip install this very project, so its needs are pyproject's; the Python must be one we support."""
    lines = (ROOT / "environment.yml").read_text(encoding="utf-8")
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "-e ." in lines
    assert "--constraint constraints.txt" in lines
    assert re.search(r"python=(3\.\d+)", lines).group(1) in wanted["requires-python"].replace(">=", "")


def test_constraints_hold_names_and_versions_only_and_cover_every_dependency() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!_]+", line) for line in lines)
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in lines}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    needed = [*project["dependencies"], *extras["dev"], *extras["datasets"], *extras["docs"], *extras["notebook"]]
    names = {re.match(r"[A-Za-z0-9-]+", need).group().lower() for need in needed}
    assert names <= pinned


def test_the_reference_is_made_from_public_names_and_lists_none_by_hand() -> None:
    """`docs/conf.py` writes a page for each package from its `__all__`; a name listed by hand as well would be there twice."""
    text = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    assert not re.findall(r"auto(?:class|function):: .*", text), "nothing to add to docs/reference.md: export the name in __all__"
