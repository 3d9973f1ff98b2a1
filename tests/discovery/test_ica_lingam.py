"""ICALiNGAM against truth, scikit-learn's FastICA and DirectLiNGAM."""

from __future__ import annotations

import numpy as np
import pytest

from causalsem.discovery import DirectLiNGAM, ICALiNGAM, discover
from causalsem.discovery.ica_lingam import order_of_effects, path_coefficients, unmixing
from tests.discovery.worlds import graph_of, random_dag, random_weights, sample


def test_path_coefficients_of_the_true_unmixing_are_the_true_ones_whatever_the_order_and_scale_of_rows() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        B = random_weights(random_dag(6, 3, rng), rng).T
        W = (rng.uniform(0.5, 2, 6) * rng.choice([-1, 1], 6))[:, None] * (np.eye(6) - B)
        found = path_coefficients(W[rng.permutation(6)])
        assert found == pytest.approx(B, abs=1e-10), seed
        order = order_of_effects(found, np.zeros((6, 6), dtype=bool))
        assert not np.triu(B[np.ix_(order, order)]).any()


def test_sources_are_as_independent_as_scikit_learn_makes_them() -> None:
    decomposition = pytest.importorskip("sklearn.decomposition", reason="pip install scikit-learn")
    rng = np.random.default_rng(0)
    rows = rng.laplace(size=(4000, 4)) @ rng.normal(size=(4, 4))
    X = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    ours = X @ unmixing(rows).T
    theirs = decomposition.FastICA(whiten="unit-variance", random_state=0, tol=1e-8, max_iter=1000).fit_transform(X)
    match = np.abs(np.corrcoef(ours, theirs, rowvar=False)[:4, 4:])
    assert match.max(axis=1).min() > 0.999


def test_graph_is_the_truth_with_much_non_gaussian_data() -> None:
    hits = agree = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        dag = random_dag(6, 2, rng)
        frame = sample(dag, 8000, rng, "laplace")
        found = discover(frame, ICALiNGAM())
        hits += found == graph_of(dag)
        agree += found == discover(frame, DirectLiNGAM())
    assert hits >= 8
    assert agree >= 8
