"""Orders that are computed and not stored: permutations, uniform, independent between members and passes, small."""

import numpy as np
import pytest
import torch

from causalsem.outcome.order import Order


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("n", [*range(1, 30), 97, 100, 101, 2500, 10_007])
def test_every_place_holds_another_row_whatever_the_number_of_rows(n):
    order = Order(3, n, rng(n))
    in_parts = torch.cat([order(start, min(start + 7, n)) for start in range(0, n, 7)], dim=1)
    assert torch.equal(in_parts, order(0, n))
    assert torch.equal(in_parts.sort(dim=1).values, torch.arange(n).expand(3, -1))


def test_an_order_holds_some_square_roots_of_its_length():
    n = 1_000_003
    order = Order(1, n, rng())
    held = sum(table.numel() for table in [*order.shifts, order.beyond])
    assert held < 6 * n**0.5


def test_each_row_is_as_likely_at_each_place():
    n, times = 12, 60_000
    found = Order(times, n, rng())(0, n).numpy()
    for place in range(n):
        counts = np.bincount(found[:, place], minlength=n)
        # χ² of 11 degrees of freedom exceeds 40 once in 30,000 times.
        assert ((counts - times / n) ** 2 / (times / n)).sum() < 40


def test_rows_that_were_neighbours_and_orders_of_other_members_and_passes_know_nothing_of_each_other():
    n, generator = 40_000, rng()
    first, second = Order(2, n, generator), Order(2, n, generator)
    orders = [*first(0, n).double().numpy(), *second(0, n).double().numpy()]
    for k, own in enumerate(orders):
        shifted = [np.roll(own, shift) for shift in (1, 2, first.right, first.left)]
        for other in [*shifted, *orders[k + 1 :]]:
            assert abs(np.corrcoef(own, other)[0, 1]) < 5 / n**0.5


def test_the_same_generator_gives_the_same_order():
    assert torch.equal(Order(2, 999, rng(5))(0, 999), Order(2, 999, rng(5))(0, 999))
    assert not torch.equal(Order(2, 999, rng(5))(0, 999), Order(2, 999, rng(6))(0, 999))
