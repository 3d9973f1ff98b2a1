"""The half-trek criterion against its definition, taken word by word, and against the rank of the Jacobian."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from causalsem._values import BoolArray
from causalsem.sem.half_trek import half_trek_reach, half_trek_solved, is_infinite_to_one

Graph = tuple[BoolArray, BoolArray]


def graph(q: int, arrows: list[tuple[int, int]], spreads: list[tuple[int, int]] = []) -> Graph:  # noqa: B006  (never changed)
    A, B = np.zeros((q, q), dtype=bool), np.zeros((q, q), dtype=bool)
    for cause, effect in arrows:
        A[effect, cause] = True
    for a, b in spreads:
        B[a, b] = B[b, a] = True
    return A, B


def random_graph(rng: np.random.Generator, q: int, *, cyclic: bool) -> Graph:
    density = rng.uniform(0.15, 0.6)
    A = rng.random((q, q)) < density
    np.fill_diagonal(A, False)
    A = A if cyclic else np.tril(A, -1)
    B = np.tril(rng.random((q, q)) < rng.uniform(0.1, 0.5), -1)
    return A, B | B.T


def half_treks(A: BoolArray, B: BoolArray, y: int) -> list[tuple[tuple[int, ...], int]]:
    """Return (variables passed on the right, end) of every half-trek from y whose right side repeats nothing."""
    out = []
    fronts = [(y,), *((x,) for x in np.flatnonzero(B[y]))]
    while fronts:
        route = fronts.pop()
        out.append((route, route[-1]))
        fronts += [(*route, z) for z in np.flatnonzero(A[:, route[-1]]) if z not in route]
    return out


def satisfies(A: BoolArray, B: BoolArray, v: int, Y: tuple[int, ...]) -> bool:
    """Tell by enumeration whether Y has half-treks without sided intersection to all parents of v."""
    parents = np.flatnonzero(A[v])

    def assign(left: tuple[int, ...], open_: frozenset[int], used: frozenset[int]) -> bool:
        if not left:
            return not open_
        for route, end in half_treks(A, B, left[0]):
            if end in open_ and not used & set(route) and assign(left[1:], open_ - {end}, used | set(route)):
                return True
        return False

    return len(Y) == len(parents) and assign(Y, frozenset(parents.tolist()), frozenset())


def solved_by_definition(A: BoolArray, B: BoolArray) -> set[int]:
    q, reach = len(A), half_trek_reach(A, B)
    solved = {v for v in range(q) if not A[v].any()}
    while True:
        new = {
            v
            for v in set(range(q)) - solved
            if any(
                satisfies(A, B, v, Y)
                for Y in itertools.combinations([w for w in range(q) if w != v and not B[v, w]], int(A[v].sum()))
                if all(w in solved or not reach[v, w] for w in Y)
            )
        }
        if not new:
            return solved
        solved |= new


def jacobian_rank(A: BoolArray, B: BoolArray, rng: np.random.Generator) -> tuple[int, int]:
    """Return rank of ∂Σ/∂(arrows, errors) at a random point, and the number of parameters."""
    q = len(A)
    L = np.where(A, rng.normal(size=(q, q)), 0.0)
    Omega = np.where(B, rng.normal(size=(q, q)), 0.0)
    Omega = (Omega + Omega.T) / 2 + np.diag(rng.uniform(2, 4, q))
    E = np.linalg.inv(np.eye(q) - L)
    S = E @ Omega @ E.T
    columns = []
    for r, c in np.argwhere(A):
        half = np.outer(E[:, r], S[c])
        columns.append(half + half.T)
    for i, j in np.argwhere(np.tril(B) | np.eye(q, dtype=bool)):
        half = np.outer(E[:, i], E[:, j])
        columns.append(half + half.T)
    lower = np.tril_indices(q)
    J = np.array([c[lower] for c in columns])
    return int(np.linalg.matrix_rank(J, tol=1e-8)), len(columns)


@pytest.mark.parametrize("cyclic", [False, True])
def test_the_flow_finds_what_enumeration_finds(cyclic: bool) -> None:
    rng = np.random.default_rng(11 + cyclic)
    for _ in range(40):
        A, B = random_graph(rng, int(rng.integers(2, 5)), cyclic=cyclic)
        assert set(half_trek_solved(A, B)) == solved_by_definition(A, B)


@pytest.mark.parametrize("cyclic", [False, True])
def test_what_it_calls_identified_has_full_rank_and_what_it_calls_infinite_has_not(cyclic: bool) -> None:
    rng = np.random.default_rng(5 + cyclic)
    seen = {"identified": 0, "infinite": 0, "open": 0}
    for _ in range(250):
        A, B = random_graph(rng, int(rng.integers(2, 6)), cyclic=cyclic)
        rank, count = jacobian_rank(A, B, rng)
        if len(half_trek_solved(A, B)) == len(A):
            seen["identified"] += 1
            assert rank == count
            assert not is_infinite_to_one(A, B)
        elif is_infinite_to_one(A, B):
            seen["infinite"] += 1
            assert rank < count
        else:
            seen["open"] += 1
    assert min(seen.values()) > 0 or not cyclic


@pytest.mark.parametrize(
    ("name", "made", "solved", "infinite"),
    [
        ("an instrument", graph(3, [(0, 1), (1, 2)], [(1, 2)]), {0, 1, 2}, False),
        ("a bow", graph(2, [(0, 1)], [(0, 1)]), {0}, True),
        ("a chain with a far error covariance", graph(4, [(0, 1), (1, 2), (2, 3)], [(1, 3)]), {0, 1, 2, 3}, False),
        ("a loop of four", graph(4, [(0, 1), (1, 2), (2, 3), (3, 0)]), set(), False),
        ("all feedback of three", graph(3, list(itertools.permutations(range(3), 2))), set(), True),
        ("a loop of two with an instrument each", graph(4, [(0, 1), (1, 0), (2, 0), (3, 1)], [(0, 1)]), {0, 1, 2, 3}, False),
    ],
)
def test_textbook_graphs(name: str, made: Graph, solved: set[int], infinite: bool) -> None:
    assert set(half_trek_solved(*made)) == solved, name
    assert is_infinite_to_one(*made) is infinite, name


def test_bow_free_acyclic_models_are_solved() -> None:
    # Brito & Pearl (2002): errors of cause and effect are apart, so everything is identified.
    rng = np.random.default_rng(3)
    for _ in range(50):
        A, B = random_graph(rng, 6, cyclic=False)
        assert len(half_trek_solved(A, B & ~A & ~A.T)) == 6
