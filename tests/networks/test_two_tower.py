"""The two-tower network against closed forms and invariants."""

import pytest
import torch

from causalsem.errors import SettingError
from causalsem.networks import TwoTower
from causalsem.networks.net import Inputs, Shape, rows_of
from causalsem.networks.towers import MemberLinear, Tower
from causalsem.networks.two_tower import TwoTowerNet


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def a_net(settings: TwoTower | None = None, members: int = 3) -> TwoTowerNet:
    return TwoTowerNet(Shape(6, 4, 2, 3, 2, 2, members), settings or TwoTower(dim=5, hidden=(7, 4)), rng())


def some_inputs(members: int = 3, n: int = 11) -> Inputs:
    g = rng(1)
    user = torch.randint(6, (members, n), generator=g)
    item = torch.randint(4, (members, n), generator=g)
    return Inputs(user, item, torch.randn(members, n, 2, generator=g), torch.randn(6, 2, generator=g), torch.randn(4, 3, generator=g))


def test_member_linear_is_one_matrix_product_per_member():
    layer, x = MemberLinear(3, 4, 2, rng()), torch.randn(3, 5, 4, generator=rng(1))
    by_hand = torch.stack([x[m] @ layer.weight[m] + layer.bias[m] for m in range(3)])
    torch.testing.assert_close(layer(x), by_hand)


def test_rows_are_looked_up_per_member():
    table, index = torch.randn(3, 6, 2, generator=rng()), torch.randint(6, (3, 9), generator=rng(1))
    by_hand = torch.stack([table[m, index[m]] for m in range(3)])
    torch.testing.assert_close(rows_of(table, index), by_hand)


def test_a_tower_answers_alike_whether_traits_run_per_entity_or_per_pair():
    tower, traits = Tower(2, 6, 3, (4, 5, 2), rng()), torch.randn(6, 3, generator=rng(1))
    index = torch.randint(6, (2, 9), generator=rng(2))
    per_entity = tower(index, traits)
    per_pair = [tower(index[:, k : k + 3], traits) for k in (0, 3, 6)]  # three pairs, six entities
    for k, part in enumerate(per_entity):
        torch.testing.assert_close(part, torch.cat([chunk[k] for chunk in per_pair], dim=1))


def test_a_stranger_is_answered_from_the_shared_row_and_its_traits():
    tower = Tower(1, 6, 3, (4, 5, 2), rng())
    traits = torch.randn(8, 3, generator=rng(1))
    traits[7] = traits[6]
    vector, intercepts, _ = tower(torch.tensor([[6, 7]]), traits)
    torch.testing.assert_close(vector[:, 0], vector[:, 1])
    known, _, _ = tower(torch.tensor([[0]]), traits[6:7].repeat(8, 1))
    assert not torch.allclose(known[:, 0], vector[:, 0])
    assert intercepts.shape == (1, 2, 5)


def test_without_hidden_layers_and_traits_the_net_is_matrix_factorisation_with_biases():
    net = TwoTowerNet(Shape(6, 4, 0, 0, 0, 2, 2), TwoTower(dim=5, hidden=()), rng()).eval()
    user, item = torch.tensor([[0, 3], [5, 1]]), torch.tensor([[2, 2], [0, 3]])
    heads = net(Inputs(user, item, None, torch.zeros(6, 0), torch.zeros(4, 0)))
    for m in range(2):
        for n in range(2):
            u, i = net.user.ids[m, user[m, n]], net.item.ids[m, item[m, n]]
            by_hand = (u[:5] * i[:5]) @ net.heads.weight[m] + net.heads.bias[m, 0] + u[5:] + i[5:]
            torch.testing.assert_close(heads.outcome[m, n], by_hand[:2])
            torch.testing.assert_close(heads.imputed[m, n], by_hand[2:4])
            torch.testing.assert_close(heads.propensity[m, n], by_hand[4])


def test_members_do_not_touch_each_other():
    net = a_net()
    net(some_inputs()).outcome[0].sum().backward()
    for name, parameter in net.named_parameters():
        if parameter.grad is not None:
            assert parameter.grad[1:].abs().max() == 0, name
    assert net.user.ids.grad[0].abs().max() > 0


def test_training_starts_at_the_base_rates():
    net = TwoTowerNet(Shape(6, 4, 0, 0, 0, 2, 1), TwoTower(hidden=()), rng()).eval()
    with torch.no_grad():
        net.user.ids.zero_()
        net.start_at(torch.tensor([-6.0, -4.0]), -2.0)
        heads = net(Inputs(torch.tensor([[1]]), torch.tensor([[2]]), None, torch.zeros(6, 0), torch.zeros(4, 0)))
        net.item.ids.zero_()
        heads = net(Inputs(torch.tensor([[1]]), torch.tensor([[2]]), None, torch.zeros(6, 0), torch.zeros(4, 0)))
    torch.testing.assert_close(heads.outcome, torch.tensor([[[-6.0, -4.0]]]))
    torch.testing.assert_close(heads.imputed, torch.tensor([[[-6.0, -4.0]]]))
    torch.testing.assert_close(heads.propensity, torch.tensor([[-2.0]]))


def test_the_penalty_is_the_normal_prior_by_hand():
    net = TwoTowerNet(Shape(2, 2, 0, 0, 0, 2, 1), TwoTower(dim=1, hidden=(), id_prior=0.5, weight_prior=2.0), rng())
    information = torch.tensor([10.0, 20.0, 30.0, 40.0, 50.0])
    columns = [10.0, 10.0, 20.0, 30.0, 40.0, 50.0]  # the shared vector goes by the least
    by_hand = sum((t.ids[..., c] ** 2).sum().item() / (2 * 0.25 * n) for t in (net.user, net.item) for c, n in enumerate(columns))
    by_hand += (net.heads.weight**2).sum().item() / (2 * 4.0 * 10)
    assert net.penalty(information).item() == pytest.approx(by_hand, rel=1e-5)


def test_dropout_happens_in_training_only_and_follows_the_generator():
    net = a_net(TwoTower(dim=5, hidden=(7,), dropout=0.5, id_dropout=0.5))
    inputs = some_inputs()
    first, again, other = (net(inputs, rng(k)).outcome for k in (3, 3, 4))
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert not torch.allclose(first, other)
    net.eval()
    torch.testing.assert_close(net(inputs, rng(3)).outcome, net(inputs, None).outcome, rtol=0, atol=0)


@pytest.mark.parametrize(
    "wrong", [{"dim": 0}, {"hidden": (0,)}, {"dropout": 1.0}, {"id_dropout": -0.1}, {"id_prior": 0}, {"weight_prior": -1}]
)
def test_a_setting_outside_its_range_is_refused_by_name(wrong):
    with pytest.raises(SettingError, match=next(iter(wrong))):
        TwoTower(**wrong)
