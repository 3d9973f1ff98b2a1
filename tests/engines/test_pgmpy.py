"""pgmpy, dagitty's text and lavaan re-read our graphs, and the same adjustment sets follow."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest

from causalsem.engines.dowhy import as_networkx
from causalsem.engines.pgmpy import from_pgmpy, to_pgmpy
from causalsem.errors import SettingError
from causalsem.graph import CausalGraph
from causalsem.graph.formats import from_dagitty, from_networkx
from causalsem.identify import adjustment_sets, identify_all, is_valid_adjustment
from causalsem.sem import graph_of_text, lavaan_text

# pgmpy and what it imports warn of their own old names.
pytestmark = pytest.mark.filterwarnings("ignore")
FUNNEL = "intent -> browse; intent -> buy; popularity -> browse; popularity -> buy; price -> buy; browse -> cart; cart -> buy; alone"


def random_dag(rng: np.random.Generator, p: int, chance: float = 0.4) -> CausalGraph:
    """Return a random DAG over a random order."""
    names = [f"v{k}" for k in range(p)]
    order = [names[k] for k in rng.permutation(p)]
    return CausalGraph.from_edges([(a, b) for i, a in enumerate(order) for b in order[i + 1 :] if rng.random() < chance], names, kind="DAG")


def pgmpy_base():
    return pytest.importorskip("pgmpy.base", reason="needs pgmpy: pip install pgmpy")


def same_answers(one: CausalGraph, other: CausalGraph) -> bool:
    """Tell whether every pair has the same status, optimal and minimal set in both."""
    ours, theirs = identify_all(one), identify_all(other)
    return all(
        ours.status(*pair) == theirs.status(*pair) and ours[pair] == theirs[pair] and ours.minimal(*pair) == theirs.minimal(*pair)
        for pair in ours
    )


def test_every_way_out_and_back_gives_the_same_adjustment_sets():
    pgmpy_base()
    rng = np.random.default_rng(0)
    for graph in [CausalGraph.parse(FUNNEL), *(random_dag(rng, 6) for _ in range(15))]:
        ways = {
            "pgmpy": from_pgmpy(to_pgmpy(graph)),
            "dagitty": from_dagitty(graph.to_dagitty()),
            "lavaan": graph_of_text(lavaan_text(graph)),
            "networkx, as dowhy reads it": from_networkx(as_networkx(graph), kind="DAG"),
        }
        for name, back in ways.items():
            assert back == graph, name
            assert same_answers(graph, back), name


def test_pgmpy_reads_our_dagitty_and_lavaan_text():
    base = pgmpy_base()
    graph = CausalGraph.parse("intent -> browse; intent -> buy; browse -> cart; cart -> buy; price -> buy")
    assert from_pgmpy(base.DAG.from_lavaan(string=lavaan_text(graph))) == graph
    assert from_pgmpy(base.DAG.from_dagitty(string=graph.to_dagitty().replace('"', ""))) == graph


def test_the_backdoor_sets_that_pgmpy_finds_are_valid_and_ours_among_them():
    pgmpy_base()
    from pgmpy.inference import CausalInference

    rng = np.random.default_rng(1)
    compared = 0
    for _ in range(25):
        graph = random_dag(rng, 6)
        x, y = (str(v) for v in rng.permutation(graph.nodes)[:2])
        if x not in graph.ancestors(y):
            continue
        judge = CausalInference(to_pgmpy(graph))
        for found in judge.get_all_backdoor_adjustment_sets(x, y):
            assert is_valid_adjustment(graph, (x, y), found), (graph, x, y, found)
        for ours in adjustment_sets(graph, (x, y), kind="minimal"):
            # The back-door criterion also bars descendants of the treatment that are harmless.
            if not set(ours.variables) & graph.descendants(x):
                assert judge.is_valid_backdoor_adjustment_set(x, y, Z=list(ours.variables)), (graph, x, y, ours)
                compared += 1
    assert compared > 10


def test_latent_nodes_and_other_kinds():
    pgmpy_base()
    graph = CausalGraph.parse("u -> x; u -> y; x -> y", latent=["u"])
    assert from_pgmpy(to_pgmpy(graph)) == graph
    with pytest.raises(SettingError, match="no ADMG"):
        to_pgmpy(CausalGraph.parse("x <-> y"))
    with pytest.raises(SettingError, match="a CPDAG is not"):
        lavaan_text(CausalGraph.parse("x -- y"))


def test_lavaan_text_tells_bidirected_edges_latent_nodes_and_any_name():
    graph = CausalGraph.parse('"浏览 a" -> "buy:it"; x <-> "buy:it"; alone')
    assert set(lavaan_text(graph).splitlines()) == {"`buy:it` ~ `浏览 a`", "`buy:it` ~~ x", "alone ~~ alone"}
    assert graph_of_text(lavaan_text(graph)) == graph
    hidden = CausalGraph.parse("f -> a; f -> b; f -> c; a -> c", latent=["f"])
    assert "f =~ a" in lavaan_text(hidden)
    assert graph_of_text(lavaan_text(hidden)) == hidden


def test_lavaan_itself_reads_our_text():
    if shutil.which("Rscript") is None:
        pytest.skip("needs R and lavaan: apt-get install r-cran-lavaan")
    graph = CausalGraph.parse("intent -> browse; intent -> buy; browse -> cart; cart -> buy; price <-> buy")
    code = (
        'if (!requireNamespace("lavaan", quietly = TRUE)) quit(status = 77); '
        f't <- lavaan::lavaanify("{lavaan_text(graph)}"); '
        't <- t[t$user == 1 & t$lhs != t$rhs, ]; cat(paste(t$lhs, t$op, t$rhs), sep = "\\n")'
    )
    done = subprocess.run(["Rscript", "-e", code], capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("needs lavaan: apt-get install r-cran-lavaan")
    assert done.returncode == 0, done.stderr
    assert graph_of_text(done.stdout) == graph
