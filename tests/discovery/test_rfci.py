"""RFCI against hidden truth and FCI."""

from __future__ import annotations

import numpy as np

from causalsem.behaviour import Moments
from causalsem.discovery import FCI, RFCI, discover
from causalsem.discovery.order import reachable
from causalsem.graph import Knowledge
from causalsem.graph.causal_graph import ARROW, TAIL
from tests.discovery.worlds import ENDLESS, names_of, population_covariance, random_dag, sample


def test_marks_hold_in_the_hidden_truth_and_no_edge_of_fci_is_lost() -> None:
    same = 0
    for seed in range(80):
        rng = np.random.default_rng(seed)
        p, latent = int(rng.integers(5, 10)), int(rng.integers(1, 5))
        dag = random_dag(p + latent, 3, rng)
        keep = rng.permutation(p + latent)[:p]
        m = Moments.from_covariance(population_covariance(dag, rng)[np.ix_(keep, keep)], ENDLESS, names_of(p))
        found, fci = discover(m, RFCI()), discover(m, FCI())
        ancestor = reachable(dag)[np.ix_(keep, keep)]
        assert not ((found.marks.T == TAIL) & ~ancestor).any(), seed
        assert not ((found.marks == ARROW) & ancestor.T).any(), seed
        assert not ((fci.marks != 0) & (found.marks == 0)).any(), seed
        same += found == fci
    # The authors find the two graphs alike in most sparse models.
    assert same >= 60


def test_result_does_not_depend_on_column_order_and_obeys_tiers() -> None:
    known = Knowledge(tiers=[["v0", "v1", "v2"], ["v3", "v4", "v5"], ["v6", "v7"]])
    for seed in range(20):
        rng = np.random.default_rng(seed)
        frame = sample(random_dag(9, 3, rng), 150, rng).iloc[:, :8]
        graph = discover(frame, RFCI(alpha=0.05), knowledge=known)
        assert discover(frame.iloc[:, rng.permutation(8)], RFCI(alpha=0.05), knowledge=known) == graph, seed
        assert graph.is_acyclic()
        for i, j in np.argwhere(known.forbidden_matrix(graph.nodes) & (graph.marks != 0)):
            # i is no ancestor of j: the edge has an arrowhead at i.
            assert graph.marks[j, i] == ARROW
