"""DirectLiNGAM against lingam, a plain double loop, and truth."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

from causalsem._compiled import plain
from causalsem.behaviour import moments
from causalsem.discovery import DirectLiNGAM, direct_lingam, discover
from causalsem.discovery.direct_lingam import KERNELS, causal_order
from causalsem.errors import DataError
from tests.discovery.worlds import graph_of, names_of, random_dag, sample


def test_order_equals_that_of_lingam_on_20_datasets() -> None:
    lingam = pytest.importorskip("lingam", reason="pip install lingam")
    for seed in range(20):
        rng = np.random.default_rng(seed)
        frame = sample(random_dag(6, 3, rng), 300, rng, "laplace")
        theirs = lingam.DirectLiNGAM()
        theirs.fit(frame.to_numpy())
        ours = discover(frame, DirectLiNGAM()).provenance["order"]
        assert ours == [int(k) for k in theirs.causal_order_], seed


entropy = plain(KERNELS).entropy


def plain_order(X: np.ndarray) -> list[int]:
    """The order by the definition: every sum over every pair, no bound."""
    X, left, order = X - X.mean(axis=0), list(range(X.shape[1])), []
    while left:
        Z = X / X.std(axis=0)

        def shared(i: int, j: int, Z: np.ndarray = Z) -> float:
            c = float((Z[:, i] * Z[:, j]).mean())
            on_j, on_i = Z[:, i] - c * Z[:, j], Z[:, j] - c * Z[:, i]
            h = [entropy(u / u.std(), u, 1.0, 0.0) for u in (Z[:, j], on_j, Z[:, i], on_i)]
            return h[0] + h[1] - h[2] - h[3]

        sums = {i: sum(min(0.0, shared(i, j)) ** 2 for j in left if j != i) for i in left}
        root = min(sums, key=lambda k: sums[k])
        order.append(root)
        left.remove(root)
        for k in left:
            X[:, k] = X[:, k] - (X[:, k] @ X[:, root]) / (X[:, root] @ X[:, root]) * X[:, root]
    return order


def test_bounded_sums_give_the_order_of_whole_sums() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        rows = sample(random_dag(6, 3, rng), 200, rng, "laplace").to_numpy()
        assert causal_order(rows, np.zeros((6, 6), dtype=bool)) == plain_order(rows.copy()), seed


@pytest.mark.parametrize("kernels", [importlib.import_module(KERNELS), plain(KERNELS)], ids=["machine code", "plain"])
def test_entropy_equals_the_formula_term_by_term(kernels: Any) -> None:
    x, y = np.random.default_rng(0).standard_t(3, size=(2, 1537))
    for a, b in ((1.0, 0.0), (0.4, -1.1), (3.0, 2.0)):
        u = a * x + b * y
        odd = (u * np.exp(-(u**2) / 2)).mean()
        plainly = (1 + np.log(2 * np.pi)) / 2 - 79.047 * (np.log(np.cosh(u)).mean() - 0.37457) ** 2 - 7.4129 * odd**2
        assert kernels.entropy(x, y, a, b) == pytest.approx(plainly, rel=1e-10)


def test_machine_code_and_plain_python_give_the_same_order(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        rows, before = sample(random_dag(8, 3, rng), 200, rng, "laplace").to_numpy(), np.zeros((8, 8), dtype=bool)
        before[2, 5] = seed % 2
        orders = []
        for kernels in (importlib.import_module(KERNELS), plain(KERNELS)):
            monkeypatch.setattr(direct_lingam, "machine_or_plain", lambda *_, kernels=kernels: kernels)
            orders.append(causal_order(rows, before))
        assert orders[0] == orders[1]


def test_graph_is_the_truth_with_much_non_gaussian_data() -> None:
    hits = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        dag = random_dag(6, 2, rng)
        hits += discover(sample(dag, 8000, rng, "laplace"), DirectLiNGAM()) == graph_of(dag)
    assert hits >= 9


def test_order_does_not_depend_on_column_order_sign_or_scale() -> None:
    for seed in range(30):
        rng = np.random.default_rng(seed)
        frame = sample(random_dag(7, 3, rng), 200, rng, "laplace")
        other = frame.iloc[:, rng.permutation(7)] * (rng.choice([-1, 1], 7) * rng.uniform(0.01, 100, 7)) + 5
        assert discover(frame, DirectLiNGAM()) == discover(other, DirectLiNGAM()), seed


def test_moments_cannot_stand_in_for_rows() -> None:
    frame = sample(random_dag(3, 1, np.random.default_rng(0)), 50, np.random.default_rng(0))
    with pytest.raises(DataError, match=r"DirectLiNGAM needs rows.*hand in the table itself"):
        discover(moments(frame), DirectLiNGAM())


def test_two_variables_and_one_work() -> None:
    rng = np.random.default_rng(0)
    x = rng.laplace(size=4000)
    frame = sample(random_dag(2, 0, rng), 4000, rng).assign(v0=x, v1=0.8 * x + 0.5 * rng.laplace(size=4000))
    assert str(discover(frame, DirectLiNGAM())) == "v0 -> v1"
    assert discover(frame[["v0"]], DirectLiNGAM()).nodes == names_of(1)
