"""Random PAGs: every verb answers, and what it calls valid is valid in the DAG, hidden causes and all, behind the PAG."""

from __future__ import annotations

import itertools
import json

import numpy as np

from causalsem.errors import GraphError, NotIdentifiedError
from causalsem.graph import CausalGraph, to_mag, to_pag
from causalsem.graph.marks import ARROW, CIRCLE, TAIL
from causalsem.identify import adjustment_sets, export_adjustment_sets, identify, is_valid_adjustment
from tests.identify.test_brute_force import as_graph, random_admg, valid_sets

KINDS = ("optimal", "minimal", "minimum", "min_cost", "parents", "canonical", "all")
STATUSES = {"adjustment", "no_effect", "not_amenable", "no_adjustment_set"}


def random_hidden_dag(rng: np.random.Generator) -> CausalGraph:
    """Return a random DAG of 4 to 9 observed and up to 4 hidden nodes; some nodes have no edge."""
    p, hidden = int(rng.integers(4, 10)), int(rng.integers(0, 5))
    order = [f"v{k}" for k in rng.permutation(p)]
    share = rng.uniform(0.1, 0.6)
    edges = [(order[i], order[j]) for i in range(p) for j in range(i + 1, p) if rng.random() < share]
    edges += [(f"h{k}", order[i]) for k in range(hidden) for i in rng.choice(p, 2, replace=False)]
    names = [f"v{k}" for k in range(p)] + [f"h{k}" for k in range(hidden)]
    return CausalGraph.from_edges(edges, names, latent=names[p:])


def answer_of(pag: CausalGraph, query: tuple[list[str], str], options: dict[str, object]) -> str:
    """Return the status of what identify answers, an error's included."""
    try:
        return identify(pag, query, **options).status
    except NotIdentifiedError as why:
        return why.status


def stress(times: int, seed: int) -> dict[str, int]:
    """Ask six queries of each of `times` random PAGs in every way; return how often each status came up."""
    rng = np.random.default_rng(seed)
    seen = dict.fromkeys(STATUSES, 0)
    for _ in range(times):
        dag = random_hidden_dag(rng)
        pag = to_pag(to_mag(dag))
        for _ in range(6):
            y, *rest = (str(v) for v in rng.permutation(pag.nodes))
            query = (rest[: 2 if rng.random() < 0.25 else 1], y)
            for kind in KINDS:
                status = asked(dag, pag, query, {"kind": kind, "costs": {pag.nodes[0]: 3.0} if kind == "min_cost" else None})
            seen[status] += 1
    return seen


def asked(dag: CausalGraph, pag: CausalGraph, query: tuple[list[str], str], options: dict[str, object]) -> str:
    """Return the status of one query, after checking each set against the PAG and the DAG behind it."""
    found = adjustment_sets(pag, query, limit=5, **options)
    assert found.status in STATUSES
    assert bool(found) or found.reason
    for one in found:
        assert is_valid_adjustment(pag, query, one.variables), (pag, one)
        assert is_valid_adjustment(dag, query, one.variables), (dag, pag, one)
    assert answer_of(pag, query, options) == found.status, (pag, query, options)
    return found.status


def test_every_verb_answers_on_random_pags_and_is_right_about_the_dag_behind_them():
    seen = stress(300, seed=11)
    assert min(seen[status] for status in ("adjustment", "no_effect", "not_amenable")) > 15, seen


def test_a_pag_can_be_exported_for_every_pair(tmp_path):
    pag = to_pag(to_mag(random_hidden_dag(np.random.default_rng(12))))
    queries = [(a, b) for a in pag.nodes for b in pag.nodes if a != b]
    told = json.loads(export_adjustment_sets(pag, queries, tmp_path / "sets.json").read_text(encoding="utf-8"))
    assert len(told["effects"]) == len(queries)
    assert {one["status"] for one in told["effects"]} <= STATUSES


def members_of_pag(pag: CausalGraph) -> list[CausalGraph]:
    """Return every MAG of a PAG's class: each way to settle its circles that is a MAG with this very PAG."""
    ends = [(i, j) for i, j in np.argwhere(pag.marks == CIRCLE)]
    found = []
    for choice in itertools.product((ARROW, TAIL), repeat=len(ends)):
        marks = np.array(pag.marks)
        for (i, j), mark in zip(ends, choice, strict=True):
            marks[i, j] = mark
        # Undirected edges stand for selection, which these classes have none of.
        if not ((marks == TAIL) & (marks.T == TAIL)).any():
            try:
                mag = CausalGraph(pag.nodes, marks, "MAG")
            except GraphError:
                continue
            found += [mag] if np.array_equal(to_pag(mag).marks, pag.marks) else []
    return found


def valid_in_every_member(pag: CausalGraph, x: int, y: int) -> set[frozenset[int]]:
    """Return the sets valid, path by path, in every MAG of the class and with every hidden cause it leaves room for.

    A hidden cause may stand behind an arrow out of x wherever the MAG of the result is the same (Zhang 2008).
    """
    sets = None
    for mag in members_of_pag(pag):
        arrows = {(int(i), int(j)) for i, j in np.argwhere((mag.marks == ARROW) & (mag.marks.T == TAIL))}
        both = {(int(i), int(j)) for i, j in np.argwhere((mag.marks == ARROW) & (mag.marks.T == ARROW)) if i < j}
        bows = [set(), *({(x, child)} for child in mag.links.children[x])]
        for bow in bows:
            member = as_graph(arrows, both | bow, len(pag.nodes))
            if not bow or np.array_equal(to_mag(member).marks, mag.marks):
                found = valid_sets(arrows, both | bow, {x}, y, set(range(len(pag.nodes))))
                sets = found if sets is None else sets & found
    assert sets is not None
    return sets


def test_sets_of_five_node_pags_are_those_valid_in_every_member():
    rng = np.random.default_rng(21)
    checked, several = 0, 0
    while checked < 60:
        arrows, bidirected = random_admg(rng, 5, 0.2)
        pag = to_pag(as_graph(arrows, bidirected, 5))
        circles = int((pag.marks == CIRCLE).sum())
        if circles > 7 or (circles < 2 and rng.random() < 0.8):
            continue
        x, y = (int(v) for v in rng.permutation(5)[:2])
        truth = valid_in_every_member(pag, x, y)
        found = {frozenset(int(v[1:]) for v in one.variables) for one in adjustment_sets(pag, (f"v{x}", f"v{y}"), kind="all")}
        assert found == truth, (pag, x, y)
        checked += 1
        several += bool(truth)
    assert several > 15
