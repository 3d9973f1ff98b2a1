"""The machine code of the skeleton phase against the same in batched numpy, and its clock."""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import chi2, norm

from causalsem._compiled import COMPILED
from causalsem.behaviour import Moments
from causalsem.discovery import FCI, PC, colliders, discover, skeleton
from causalsem.discovery.budget import budget, out_of_time
from causalsem.discovery.colliders import collider_claims
from causalsem.discovery.found import Rules
from causalsem.discovery.skeleton import skeletons
from causalsem.discovery.stack import Stack, log_chi_square_tail, padded
from causalsem.errors import MomentsError, SettingError
from tests.discovery.worlds import names_of, random_dag, sample


def stacks(rng: np.random.Generator) -> list[Stack]:
    """A stack of single columns, one of blocks of two, and one of blocks of one to four."""
    R = np.stack([sample(random_dag(9, 3, rng), 200, rng).corr().to_numpy() for _ in range(3)])
    pairs = [[0, 1], [2], [3, 4], [5], [6], [7, 8]]
    wide = [[0, 1, 2, 3], [4], [5, 6], [7], [8]]
    return [Stack(R, 200)] + [Stack(padded(R, c), 200, np.array([len(k) for k in c])) for c in (pairs, wide)]


@pytest.mark.skipif(not COMPILED, reason="needs numba: pip install numba")
@pytest.mark.parametrize("rule", ["max-p", "majority", "conservative", "sepset"])
def test_machine_code_finds_what_batched_numpy_finds(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    threshold = float(norm.isf(0.05))
    for seed in range(4):
        for stack in stacks(np.random.default_rng(seed)):
            no = np.zeros((stack.p, stack.p), dtype=bool)
            rules = Rules.of(None, names_of(stack.p))
            found, claims = [], []
            for compiled in (True, False):
                monkeypatch.setattr(skeleton, "COMPILED", compiled)
                monkeypatch.setattr(colliders, "COMPILED", compiled)
                found.append(skeletons(stack, threshold, no, no, no, stack.p))
                claims.append(collider_claims(stack, threshold, rule, rules, found[-1]))
            fast, slow = found
            assert np.array_equal(fast.adjacent, slow.adjacent)
            assert np.array_equal(fast.level, slow.level)
            assert fast.weakest == pytest.approx(slow.weakest, rel=1e-6, abs=1e-6)
            assert [fast.sepsets(b) for b in range(3)] == [slow.sepsets(b) for b in range(3)]
            for one, other in zip(*claims, strict=True):
                assert [(c.a, c.middle, c.b) for c in one.colliders] == [(c.a, c.middle, c.b) for c in other.colliders]
                assert [c.nodes for c in one.ambiguous] == [c.nodes for c in other.ambiguous]


def test_tails_of_chi_square_are_scipys_and_stay_finite_and_in_order() -> None:
    x = np.linspace(0, 300, 61)
    for df in range(1, 17):
        assert log_chi_square_tail(x, df) == pytest.approx(chi2.logsf(x, df), rel=1e-9, abs=1e-12)
        far = log_chi_square_tail(np.logspace(3, 12, 10), df)
        assert np.isfinite(far).all()
        assert all(a > b for a, b in pairwise(far))


def test_fewer_rows_than_variables_are_allowed_when_conditioning_sets_are_capped() -> None:
    rng = np.random.default_rng(0)
    rows = sample(random_dag(40, 1.5, rng), 30, rng)
    with pytest.raises(MomentsError, match="30 rows for 40 variables"):
        discover(rows, PC())
    assert (discover(rows, PC(max_conditioning=2)).marks != 0).any()
    with pytest.raises(MomentsError, match=r"collinear variables \['v0', 'twin'\]"):
        discover(rows.assign(twin=rows["v0"] * 2), PC(max_conditioning=2))


def test_a_search_out_of_time_keeps_what_it_has() -> None:
    rng = np.random.default_rng(1)
    m = Moments.from_rows(sample(random_dag(10, 3, rng), 500, rng).to_numpy(), names_of(10))
    whole = discover(m, PC())
    with budget(1e-9):
        time.sleep(1e-3)
        assert out_of_time()
        for method in (PC(), FCI()):
            cut = discover(m, method)
            assert ((cut.marks != 0) >= (whole.marks != 0)).all()
    assert not out_of_time()
    with pytest.raises(SettingError, match="seconds is 0; give"), budget(0):
        pass
