"""DAGMA and NOTEARS: closed forms, knowledge, agreement, and relations that are not linear."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from causalsem.behaviour import moments
from causalsem.discovery import DAGMA, NOTEARS, discover, hurdle_moments
from causalsem.discovery.continuous import LearnableDAG, device_of, minimise, strongest_dag
from causalsem.discovery.dagma import barrier
from causalsem.discovery.found import Rules
from causalsem.errors import DataError, SettingError
from causalsem.graph import Knowledge
from tests.discovery.worlds import names_of, random_dag, sample


def module_of(p: int, hidden: int = 0) -> LearnableDAG:
    return LearnableDAG(Rules.of(None, names_of(p)), hidden, device_of("cpu"), 0)


def test_linear_loss_is_half_the_residual_variance_and_its_minimum_in_an_order_is_least_squares() -> None:
    import torch

    rng = np.random.default_rng(0)
    R = moments(sample(random_dag(4, 3, rng), 500, rng)).correlation
    known = Rules.of(Knowledge(tiers=[["v0"], ["v1"], ["v2"], ["v3"]]), names_of(4))
    module = LearnableDAG(known, 0, device_of("cpu"), 0)
    values = torch.as_tensor(np.array(R))
    minimise(module, lambda: module.loss(values), 0.0, 2000, 1e-10, "regression")
    B = module.first.detach().numpy()[:, 0, :].T
    for j in range(1, 4):
        assert B[:j, j] == pytest.approx(np.linalg.solve(R[:j, :j], R[:j, j]), abs=1e-6)
    left = np.eye(4) - B
    assert float(module.loss(values).detach()) == pytest.approx(0.5 * np.trace(left.T @ R @ left))


def test_the_barrier_is_zero_for_dags_endless_for_strong_cycles_and_has_its_gradient() -> None:
    import torch

    module = module_of(3)
    with torch.no_grad():
        module.first.zero_()
        module.first[1, 0, 0], module.first[2, 0, 1] = 0.7, 1.5
    assert float(barrier(module, 1.0).detach()) == pytest.approx(0, abs=1e-12)
    with torch.no_grad():
        module.first[0, 0, 2] = 0.3
    value = barrier(module, 1.0)
    (slope,) = torch.autograd.grad(value, module.first)
    with torch.no_grad():
        module.first[0, 0, 2] += 1e-6
    change = (float(barrier(module, 1.0).detach()) - float(value.detach())) / 1e-6
    assert float(slope[0, 0, 2]) == pytest.approx(change, rel=1e-4)
    with torch.no_grad():
        module.first[0, 0, 2] = 3.0
    assert np.isnan(float(barrier(module, 1.0).detach()))


@pytest.mark.parametrize("method", [DAGMA(), NOTEARS()], ids=lambda m: type(m).__name__)
def test_a_chain_is_found_from_moments_as_its_class_and_knowledge_turns_it(method: DAGMA) -> None:
    rng = np.random.default_rng(1)
    a = rng.normal(size=4000)
    chain = pd.DataFrame({"a": a, "b": 0.8 * a + 0.6 * rng.normal(size=4000)})
    longer = chain.assign(c=0.8 * chain["b"] + 0.6 * rng.normal(size=4000))
    assert str(discover(moments(longer), method)) == "a -- b; b -- c"
    assert str(discover(moments(chain), method)) == "a -- b"
    assert str(discover(moments(chain), method, knowledge=Knowledge(tiers=[["b"], ["a"]]))) == "b -> a"
    assert [e[:2] for e in discover(moments(chain), method, knowledge=Knowledge(forbidden=[("a", "b"), ("b", "a")])).edges] == []


def test_both_methods_agree_on_most_edges_of_sparse_graphs() -> None:
    same = total = 0
    for seed in range(2):
        rng = np.random.default_rng(seed)
        m = moments(sample(random_dag(6, 1.5, rng), 2000, rng))
        one, other = discover(m, DAGMA()).marks != 0, discover(m, NOTEARS()).marks != 0
        same, total = same + int((one & other).sum()), total + int((one | other).sum())
    assert same >= 0.75 * total


NETWORKS = [DAGMA(hidden=10, penalty=0.005), NOTEARS(hidden=10, penalty=0.005, steps=200)]


@pytest.mark.parametrize("method", NETWORKS, ids=lambda m: type(m).__name__)
def test_networks_see_a_relation_that_linear_functions_do_not(method: DAGMA) -> None:
    rng = np.random.default_rng(2)
    x = rng.uniform(-2, 2, 400)
    frame = pd.DataFrame({"x": x, "y": x**2 + 0.2 * rng.normal(size=400), "z": rng.normal(size=400)})
    known = Knowledge(tiers=[["x", "z"], ["y"]])
    assert str(discover(frame, method, knowledge=known)) == "x -> y; z"
    assert not list(discover(frame, type(method)(), knowledge=known).edges)
    with pytest.raises(DataError, match=r"\(hidden=10\) needs rows"):
        discover(moments(frame), method)


def test_the_strongest_arrows_win_over_cycles() -> None:
    strength = np.array([[0, 0.9, 0], [0, 0, 0.8], [0.5, 0, 0]])
    dag, left_out = strongest_dag(strength, 0.1)
    assert dag.tolist() == [[False, True, False], [False, False, True], [False, False, False]]
    assert left_out == 1


def test_what_the_methods_cannot_do_is_said() -> None:
    rng = np.random.default_rng(3)
    counts = pd.DataFrame(rng.poisson(0.8, (300, 2)), columns=["a", "b"])
    with pytest.raises(SettingError, match="DAGMA takes no block moments"):
        discover(hurdle_moments(counts), DAGMA())
    for wrong in ({"hidden": -1}, {"penalty": -0.1}, {"steps": 0}):
        with pytest.raises(SettingError, match="choose"):
            DAGMA(**wrong)  # type: ignore[arg-type]  # wrong on purpose
