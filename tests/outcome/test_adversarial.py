"""Adversarial training against the definition and its own absence."""

import numpy as np
import pytest
import torch

from causalsem.errors import SettingError
from causalsem.networks import TwoTower
from causalsem.outcome import fit_outcome
from causalsem.outcome.adversarial import moved


def test_rows_move_up_their_gradient_by_the_size_and_come_back():
    table, still = torch.nn.Parameter(torch.randn(1, 3, 2)), torch.nn.Parameter(torch.ones(1, 2, 2))
    before = table.detach().clone()
    table.grad = torch.tensor([[[3.0, 4.0], [0.0, 0.0], [0.0, -2.0]]])
    with moved([table, still], 0.5):
        torch.testing.assert_close(table.detach() - before, torch.tensor([[[0.3, 0.4], [0.0, 0.0], [0.0, -0.5]]]))
        assert torch.equal(still.detach(), torch.ones(1, 2, 2))
    assert torch.equal(table.detach(), before)


def test_a_small_adversary_changes_a_fit_and_none_does_not(small, adjust):
    plain, none, some = (
        fit_outcome(small.pairs, adjust, network, loss="naive", epochs=2, members=2)
        for network in (TwoTower(), TwoTower(adversarial=0.0), TwoTower(adversarial=0.2))
    )
    np.testing.assert_array_equal(plain.fitted, none.fitted)
    assert not np.allclose(plain.fitted, some.fitted)
    assert np.corrcoef(some.fitted[:, 1], plain.fitted[:, 1])[0, 1] > 0.8


def test_a_negative_adversary_is_refused():
    with pytest.raises(SettingError, match="adversarial"):
        TwoTower(adversarial=-1)
