"""Matrices that fall into blocks are inverted and solved block by block, with the same result as whole."""

from __future__ import annotations

import numpy as np
import pytest

from causalsem.sem.blocks import SMALL, independent_blocks, inverse_by_blocks, solution_by_blocks


def unit(size: int, blocks: int, seed: int = 0) -> np.ndarray:
    """Return a positive definite matrix of unit diagonal whose indices belong to scattered blocks."""
    rng = np.random.default_rng(seed)
    label = rng.integers(blocks, size=size)
    A = rng.normal(size=(size, size)) * (label[:, None] == label)
    M = A @ A.T + size * np.eye(size)
    return M / np.sqrt(np.outer(np.diag(M), np.diag(M)))


@pytest.mark.parametrize(("size", "blocks"), [(20, 4), (SMALL + 50, 1), (SMALL + 50, 7)])
def test_blocks_give_the_inverse_and_the_solution_of_the_whole(size: int, blocks: int) -> None:
    M, b = unit(size, blocks), np.arange(size, dtype=np.float64)
    found = independent_blocks(M)
    assert len(found) == (blocks if size > SMALL else 1)
    np.testing.assert_array_equal(np.sort(np.concatenate(found)), np.arange(size))
    np.testing.assert_allclose(inverse_by_blocks(M), np.linalg.inv(M), atol=1e-12)
    np.testing.assert_allclose(solution_by_blocks(M, b, 1e-7), np.linalg.solve(M, b), atol=1e-9)


def test_a_block_that_is_singular_spoils_the_whole() -> None:
    M = unit(SMALL + 50, 7)
    first = independent_blocks(M)[0]
    M[np.ix_(first, first)] = 1.0
    assert inverse_by_blocks(M) is None
    assert solution_by_blocks(M, np.ones(len(M)), 1e-7) is None
