"""Names in any script, with any character, through every public step, picture, file and page."""

from __future__ import annotations

import html
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import causalsem as cs
from causalsem.graph import from_dagitty, from_networkx
from causalsem.report import graph_html, plot_effects, plot_estimates
from causalsem.report.text import shown_name

pytestmark = pytest.mark.filterwarnings("ignore::causalsem.errors.AssumptionWarning")
WORLD = "z -> t; z -> y; t -> m; m -> y; t -> y"
ROOT = Path(__file__).resolve().parents[1]


def fives(names: Sequence[str]) -> list[tuple[str, ...]]:
    """Return all names in groups of five, the last filled up from the front."""
    return [tuple((*names[k : k + 5], *names)[:5]) if k + 5 <= len(names) else tuple(names[-5:]) for k in range(0, len(names), 5)]


@pytest.fixture(scope="module")
def world() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    z = rng.normal(size=300)
    t = (z + rng.normal(size=300) > 0).astype(float)
    m = t + rng.normal(size=300)
    return pd.DataFrame({"z": z, "t": t, "m": m, "y": m + z + 0.5 * t + rng.normal(size=300), "u": rng.normal(size=300)})


def test_there_are_names_enough(nasty_names) -> None:
    assert len(set(nasty_names)) >= 25
    assert {"浏览", "购买", "a:b", "lambda"} <= set(nasty_names)


def test_every_name_goes_through_every_step_and_file(nasty_names, world, tmp_path) -> None:
    for z, t, m, y, u in fives(nasty_names):
        frame = world.rename(columns={"z": z, "t": t, "m": m, "y": y, "u": u})
        moments = cs.moments(frame)
        moments.save(tmp_path / "m.npz")
        assert cs.Moments.load(tmp_path / "m.npz").names == moments.names
        known = cs.Knowledge(tiers=[[z, u], [t], [m], [y]], forbidden=[(u, y)])
        assert cs.Knowledge.load(known.save(tmp_path / "k.toml")) == known
        found = cs.discover(frame, cs.GES(), knowledge=known)
        assert set(found.nodes) == {z, t, m, y, u}
        graph = cs.CausalGraph.from_edges([(z, t), (z, y), (t, m), (m, y), (t, y)], nodes=[z, t, m, y, u])
        assert cs.CausalGraph.parse(str(graph)) == graph
        assert cs.CausalGraph.load(graph.save(tmp_path / "g.json")) == graph
        assert from_networkx(graph.to_networkx()) == graph
        assert from_dagitty(graph.to_dagitty()) == graph
        assert graph.to_dot()
        stability = cs.bootstrap(frame, cs.GES(), knowledge=known, times=3, seed=0)
        fit = cs.fit_sem(graph, moments)
        assert set(fit.parameters["lhs"]) == {z, t, m, y, u}
        assert cs.SEMFit.load(fit.save(tmp_path / "s.json")).graph == fit.graph
        query = cs.Query(t, y)
        adjust = cs.identify(graph, query, kind="minimal")
        assert adjust.variables == (z,)
        assert m in adjust.forbidden
        assert cs.AdjustmentSet.from_json(adjust.to_json()).variables == (z,)
        cs.export_adjustment_sets(graph, [query], tmp_path / "a.json", moments=moments)
        assert cs.read_adjustment_sets(tmp_path / "a.json")
        estimate = cs.estimate_effect(frame, adjust, cs.Regression())
        assert estimate.adjustment == (z,)
        assert fit.effects(t, y).total.value == pytest.approx(fit.effects(t, y).direct.value + fit.effects(t, y).indirect.value)
        options = {"tiers": [[z, u], [t], [m], [y]], "fit": fit, "stability": stability}
        assert shown_name(z) in html.unescape(graph_html(graph, adjustment=adjust, **options))
        for value in (frame, moments, known, found, graph, stability, fit, adjust, estimate, query):
            assert not hasattr(value, "_repr_mimebundle_") or value._repr_mimebundle_()["text/html"]


def test_every_name_is_drawn_by_matplotlib(nasty_names, world, tmp_path) -> None:
    graph = cs.CausalGraph.from_edges([(name, "end") for name in nasty_names])
    for suffix in ("png", "svg", "pdf"):
        graph.plot(title=nasty_names[0]).figure.savefig(tmp_path / f"g.{suffix}")
    z, t, m, y, _ = ("<b>", "$x_1$", "浏览", "a:b", "")
    frame = world.rename(columns={"z": z, "t": t, "m": m, "y": y})
    fit = cs.fit_sem(cs.CausalGraph.from_edges([(z, t), (z, y), (t, m), (m, y)]), cs.moments(frame[[z, t, m, y]]))
    plot_effects(fit.effects(t, y)).figure.savefig(tmp_path / "e.png")
    plot_estimates(dict.fromkeys(nasty_names[:6], cs.naive_effect(frame, cs.Query(t, y)))).figure.savefig(tmp_path / "i.png")


def test_a_log_may_use_any_name_for_users_items_and_columns(nasty_names, tmp_path) -> None:
    plain = [name for name in nasty_names if name.strip() and name.isprintable()]
    rng = np.random.default_rng(1)
    columns = {"user": "用 户", "item": "a:b", "behaviour": "lambda", "time": "<ts>"}
    frame = pd.DataFrame(
        {
            "用 户": rng.choice(plain, 400),
            "a:b": rng.choice(plain[::-1], 400),
            "lambda": rng.choice(["曝光", "浏览", "购买"], 400),
            "<ts>": pd.date_range("2025-01-01", periods=400, freq="min"),
        }
    )
    frame.to_csv(tmp_path / "日志.csv", index=False, encoding="utf-8")
    log = cs.EventLog.read(tmp_path / "日志.csv", **columns)
    assert (log.n_users, log.n_items) == (frame["用 户"].nunique(), frame["a:b"].nunique())
    pairs = cs.behaviours(log, unit=("user", "item"))
    assert {"曝光", "浏览", "购买"} <= set(pairs.names)
    assert set(pairs.keys["user"].astype(str)) == set(frame["用 户"])


CODE = """
import causalsem as cs, numpy as np, pandas as pd, sys, pathlib
from causalsem.report import graph_html
home = pathlib.Path(sys.argv[1])
rng = np.random.default_rng(0)
frame = pd.DataFrame(rng.normal(size=(80, 3)), columns=["浏览", "购买", "é 🛒"])
graph = cs.CausalGraph.from_edges([("浏览", "购买"), ("é 🛒", "浏览"), ("é 🛒", "购买")])
graph.save(home / "g.json")
assert cs.CausalGraph.load(home / "g.json") == graph
fit = cs.fit_sem(graph, cs.moments(frame))
fit.save(home / "s.json")
cs.Knowledge(tiers=[["é 🛒"], ["浏览"], ["购买"]]).save(home / "k.toml")
cs.Recipe(reward={"购买": 1.0}).save(home / "r.toml")
assert cs.Recipe.load(home / "r.toml").reward["购买"] == 1.0
(home / "g.html").write_text(graph_html(graph, fit=fit, language="zh"), encoding="utf-8")
graph.plot(fit=fit).figure.savefig(home / "g.png")
"""


def test_it_works_where_the_locale_knows_ascii_only(tmp_path) -> None:
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONPATH": str(ROOT)}
    (tmp_path / "run.py").write_text(CODE, encoding="utf-8")
    done = subprocess.run([sys.executable, str(tmp_path / "run.py"), str(tmp_path)], env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    assert "浏览" in (tmp_path / "g.html").read_text(encoding="utf-8")
    line = [sys.executable, "-m", "causalsem", "adjust", str(tmp_path / "g.json"), "浏览", "购买"]
    told = subprocess.run(line, env=environment, capture_output=True, check=False)
    assert told.returncode == 0, told.stderr.decode("utf-8", "replace")
    assert "浏览 ⇒ 购买".encode() in told.stdout
