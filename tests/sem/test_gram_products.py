"""Products of Gram matrices summed over missing-data patterns, against a loop written by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from causalsem._values import FloatArray
from causalsem.behaviour import Moments
from causalsem.sem import fit_sem
from causalsem.sem.gram_products import GramProducts
from causalsem.sem.matrices import RAM

MODELS = ["f =~ a + b + c\ng =~ d + e\ng ~ f", "e ~ d + c\nd ~ c + b\nb ~ a", "a ~~ b + c\nb ~~ c"]


def model(text: str) -> RAM:
    """Return the matrices of a model of five variables."""
    rows = np.random.default_rng(0).normal(size=(200, 5)) @ (np.eye(5) + 0.5)
    return fit_sem(text, Moments.from_rows(rows, list("abcde"))).rams[0]


def by_hand(ram: RAM, G: FloatArray, H: FloatArray, share: FloatArray) -> FloatArray:
    """Return the sum, one pattern and one pair of entries at a time; G and H over all columns of Z."""
    out = np.zeros((len(ram.u), len(ram.u)))
    for weight, g, h in zip(share, G, H, strict=True):
        for i, (u, v) in enumerate(zip(ram.u, ram.v, strict=True)):
            for j, (s, t) in enumerate(zip(ram.u, ram.v, strict=True)):
                out[i, j] += weight * (g[u, s] * h[v, t] + g[v, t] * h[u, s] + g[u, t] * h[v, s] + g[v, s] * h[u, t])
    return out


@pytest.mark.parametrize("text", MODELS)
@pytest.mark.parametrize("few", [True, False])
def test_sums_of_products_are_those_of_a_slow_loop_whether_pairs_are_few_or_many(text: str, few: bool) -> None:
    ram, rng = model(text), np.random.default_rng(1)
    halves = rng.normal(size=(2, 7, 2 * len(ram.A0), 2 * len(ram.A0)))
    G, H = halves @ halves.swapaxes(2, 3)
    share = rng.uniform(size=7)
    products = replace(GramProducts.of(ram), few=few)
    at = np.ix_(range(7), products.columns, products.columns)
    assert np.allclose(products.summed(G[at], H[at], share), by_hand(ram, G, H, share), rtol=1e-11)
