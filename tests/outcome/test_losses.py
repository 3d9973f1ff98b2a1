"""Every loss of the table against its contract, and the published formulas against loops written by hand."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from causalsem.errors import SettingError, UnknownNameError
from causalsem.networks.heads import Heads
from causalsem.outcome import DCMT, DR, DRMSE, ESMM, IPS, IPSV2, SNIPS, UBPR, Naive
from causalsem.outcome.chain import direct
from causalsem.outcome.losses import LOSSES, LossBatch, loss_of

ARMS, MEMBERS, N = 2, 2, 40


def a_batch(seed=0, binary=True, everything_seen=False):
    g = torch.Generator().manual_seed(seed)
    treatment = (torch.rand(MEMBERS, N, generator=g) < 0.4).float()
    taken = torch.stack([1 - treatment, treatment], dim=-1)
    e1 = 0.1 + 0.8 * torch.rand(MEMBERS, N, generator=g)
    propensity = torch.stack([1 - e1, e1], dim=-1)
    y = (torch.rand(MEMBERS, N, 1, generator=g) < 0.3).float() if binary else torch.randn(MEMBERS, N, 1, generator=g)
    if everything_seen:
        taken, propensity = torch.ones_like(taken), torch.ones_like(propensity)
    return two_stages(y, taken, propensity, torch.randint(5, (MEMBERS, N), generator=g), binary)


def two_stages(y, taken, propensity, user, binary=True):
    """A batch of treatment and outcome alone, every outcome observed in the arm that was taken."""
    floor, known = torch.tensor([0.05, 0.05]), torch.ones_like(y)
    return LossBatch(y, taken, taken, propensity, floor, user, binary, direct("buy"), taken, y, known, floor)


def some_heads(seed=1):
    g = torch.Generator().manual_seed(seed)
    draw = [torch.randn(MEMBERS, N, ARMS, generator=g, requires_grad=True) for _ in range(2)]
    return Heads(draw[0], draw[1], torch.randn(MEMBERS, N, generator=g, requires_grad=True))


def entropy(logit, y):
    return math.log1p(math.exp(logit)) - y * logit


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_gives_one_finite_number_per_member_and_moves_the_prediction(name):
    heads, batch = some_heads(), a_batch()
    value = LOSSES[name]().objective(heads, batch)
    assert value.shape == (MEMBERS,)
    assert torch.isfinite(value).all()
    value.sum().backward()
    assert heads.outcome.grad.abs().sum() > 0
    judged = LOSSES[name]().judge(heads, batch)
    assert judged.shape == (MEMBERS,)
    assert torch.isfinite(judged).all()


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_keeps_members_apart(name):
    heads, batch = some_heads(), a_batch()
    LOSSES[name]().objective(heads, batch)[0].backward()
    for head in (heads.outcome, heads.imputed, heads.propensity):
        if head.grad is not None:
            assert head.grad[1].abs().max() == 0


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_a_frozen_setting_with_its_paper_in_the_docstring(name):
    loss = LOSSES[name]()
    assert loss.name == name
    assert loss == type(loss)()
    with pytest.raises((dataclasses.FrozenInstanceError, TypeError, AttributeError)):
        loss.anything = 1
    assert "et al." in loss.__doc__ or "&" in loss.__doc__ or "(Saito 2020)" in loss.__doc__ or name == "naive"


@pytest.mark.parametrize("name", [n for n in LOSSES if not LOSSES[n].needs_binary])
def test_every_loss_takes_a_continuous_outcome_unless_it_says_no(name):
    assert torch.isfinite(LOSSES[name]().objective(some_heads(), a_batch(binary=False))).all()


def test_ips_is_the_hand_written_weighted_sum():
    heads, batch = some_heads(), a_batch()
    f, e, seen, y = (t.detach().double().numpy() for t in (heads.outcome, batch.propensity, batch.seen, batch.y))
    for m in range(MEMBERS):
        total = sum(seen[m, n, a] / e[m, n, a] * entropy(f[m, n, a], y[m, n, 0]) for n in range(N) for a in range(ARMS))
        assert float(IPS().objective(heads, batch)[m].detach()) == pytest.approx(total / N, rel=1e-5)


def test_snips_divides_by_the_weights_of_each_arm():
    heads, batch = some_heads(), a_batch()
    f, e, seen, y = (t.detach().double().numpy() for t in (heads.outcome, batch.propensity, batch.seen, batch.y))
    w = seen / e
    errors = np.array([[[entropy(f[m, n, a], y[m, n, 0]) for a in range(ARMS)] for n in range(N)] for m in range(MEMBERS)])
    by_hand = ((w * errors).sum(axis=1) / w.sum(axis=1)).sum(axis=1)
    np.testing.assert_allclose(SNIPS().objective(heads, batch).detach().numpy(), by_hand, rtol=1e-5)


def test_dr_is_the_imputed_error_plus_the_weighted_surprise():
    heads, batch = some_heads(), a_batch()
    f, g, e, seen, y = (t.detach().double().numpy() for t in (heads.outcome, heads.imputed, batch.propensity, batch.seen, batch.y))
    for m in range(MEMBERS):
        corrected, learnt = 0.0, np.zeros(ARMS)
        for n in range(N):
            for a in range(ARMS):
                imputed = entropy(f[m, n, a], 1 / (1 + math.exp(-g[m, n, a])))
                corrected += imputed + seen[m, n, a] / e[m, n, a] * (entropy(f[m, n, a], y[m, n, 0]) - imputed)
                learnt[a] += seen[m, n, a] * entropy(g[m, n, a], y[m, n, 0])
        by_hand = corrected / N + (learnt / seen[m].sum(axis=0)).sum()
        assert float(DR().objective(heads, batch)[m].detach()) == pytest.approx(by_hand, rel=1e-5)


def test_with_nothing_to_correct_ips_snips_and_dr_have_the_gradient_of_naive():
    batch, gradients = a_batch(everything_seen=True), []
    for loss in (Naive(), IPS(), SNIPS(), DR()):
        heads = some_heads()
        loss.objective(heads, batch).sum().backward()
        gradients.append(heads.outcome.grad)
    for gradient in gradients[1:]:
        torch.testing.assert_close(gradient, gradients[0])


@pytest.mark.parametrize(
    ("right_propensity", "right_imputation", "unbiased"), [(True, False, True), (False, True, True), (False, False, False)]
)
@pytest.mark.parametrize("name", ["dr", "dr_jl", "mrdr", "dr_bias", "dr_mse"])
def test_the_doubly_robust_family_is_unbiased_if_either_nuisance_is_right(name, right_propensity, right_imputation, unbiased):
    # A constant predictor placed at the true mean of each arm has zero expected gradient exactly if the loss is unbiased.
    n = 200_000
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, n)
    e1, p = np.where(x == 1, 0.8, 0.2), np.where(x == 1, 0.7, 0.2)
    t = (rng.random(n) < e1).astype(float)
    y = (rng.random(n) < p).astype(float)
    used = e1 if right_propensity else np.full(n, 0.5)
    imputed = p if right_imputation else np.full(n, 0.45)

    def tensor(array, *shape):
        return torch.tensor(np.asarray(array), dtype=torch.float64).reshape(1, n, *shape)

    taken = tensor(np.column_stack([1 - t, t]), 2)
    batch = two_stages(tensor(y, 1), taken, tensor(np.column_stack([1 - used, used]), 2), torch.zeros(1, n, dtype=torch.long))
    middle = torch.full((1, 1, 2), math.log(0.45 / 0.55), dtype=torch.float64, requires_grad=True)  # the mean of p is 0.45
    guess = tensor(np.log(imputed / (1 - imputed)), 1).expand(1, n, 2)
    LOSSES[name]().objective(Heads(middle.expand(1, n, 2), guess, torch.zeros(1, n)), batch).sum().backward()
    # One term of the gradient is bounded by weight 5 × residual 1: its mean has an error below 5 × √(0.25 × 5 / n) ≈ 0.013.
    bias = middle.grad.abs().max().item()
    assert bias < 0.013 if unbiased else bias > 0.05


def test_the_imputation_of_dr_does_not_feel_the_prediction():
    heads, batch = some_heads(), a_batch()
    (DR().objective(heads, batch).sum()).backward()
    with_prediction = heads.imputed.grad.clone()
    other = Heads(heads.outcome.detach() + 3, heads.imputed.detach().requires_grad_(), heads.propensity)
    DR().objective(other, batch).sum().backward()
    torch.testing.assert_close(other.imputed.grad, with_prediction)


def test_ubpr_compares_items_of_one_user_only():
    heads, batch = some_heads(), a_batch()
    alone = dataclasses.replace(batch, user=torch.arange(N).expand(MEMBERS, N))
    assert UBPR().objective(heads, alone).abs().max() == 0
    assert UBPR().objective(heads, batch).abs().min() > 0


def test_a_string_stands_for_a_loss_and_a_misspelt_one_is_answered_with_the_nearest():
    assert loss_of("dr") == DR()
    with pytest.raises(UnknownNameError, match="did you mean 'snips'"):
        loss_of("snip")
    with pytest.raises(SettingError, match="is not a loss"):
        loss_of(3)


def test_settings_of_losses_are_checked():
    with pytest.raises(SettingError, match="bias_share"):
        DRMSE(bias_share=2)
    with pytest.raises(SettingError, match="partners"):
        UBPR(partners=0)


def test_esmm_is_the_hand_written_cross_entropy_of_click_and_of_click_and_buy():
    heads, batch = some_heads(), a_batch()
    f, o, taken, y = (t.detach().double().numpy() for t in (heads.outcome, heads.propensity, batch.taken, batch.y))
    for m in range(MEMBERS):
        total = 0.0
        for n in range(N):
            click = 1 / (1 + math.exp(-o[m, n]))
            total += entropy(o[m, n], taken[m, n, 1])
            for arm, chance in ((0, 1 - click), (1, click)):
                both, happened = chance / (1 + math.exp(-f[m, n, arm])), taken[m, n, arm] * y[m, n, 0]
                total -= math.log(both if happened else 1 - both)
        assert float(ESMM().objective(heads, batch)[m].detach()) == pytest.approx(total / N, rel=1e-5)


@pytest.mark.parametrize("name", ["esmm", "escm_ips", "escm_dr", "dcmt"])
def test_an_arm_without_outcomes_teaches_the_entire_space_losses_nothing(name):
    heads, batch = some_heads(), a_batch()
    unseen = {"seen": batch.seen * torch.tensor([0.0, 1.0]), "known": batch.taken[..., 1:]}
    LOSSES[name](**({"prior": 0.0} if name == "dcmt" else {})).objective(heads, dataclasses.replace(batch, **unseen)).sum().backward()
    # Double robustness imputes everywhere; the others leave the arm alone.
    if name != "escm_dr":
        assert heads.outcome.grad[..., 0].abs().max() == 0
    assert heads.outcome.grad[..., 1].abs().max() > 0


def test_the_twin_of_dcmt_is_the_complement_of_the_outcome_when_the_prior_is_strong():
    heads, batch = some_heads(), a_batch()
    optimiser = torch.optim.Adam([heads.outcome, heads.imputed, heads.propensity], lr=0.1)
    for _ in range(200):
        optimiser.zero_grad()
        DCMT(prior=1000.0).objective(heads, batch).sum().backward()
        optimiser.step()
    assert (1 - heads.outcome.sigmoid() - heads.imputed.sigmoid()).abs().mean() < 0.05


def test_the_balance_of_ips_v2_is_the_papers_squared_difference_of_weighted_means():
    # Li et al. 2023: ‖mean(o/p̂ φ − (1 − o)/(1 − p̂) φ)‖², with φ the prediction; here once per arm, the same by symmetry.
    heads, batch = some_heads(), dataclasses.replace(a_batch(), floor=torch.zeros(2), elsewhere=torch.zeros(2))
    extra = IPSV2(balance=1.0).objective(heads, batch) - IPSV2(balance=0.0).objective(heads, batch)
    f, o, taken = (t.detach().double().sigmoid().numpy() for t in (heads.outcome, heads.propensity, torch.logit(batch.taken, eps=1e-12)))
    for m in range(MEMBERS):
        total = 0.0
        for arm, e in ((0, 1 - o[m]), (1, o[m])):
            total += np.mean((taken[m, :, arm] / e - (1 - taken[m, :, arm]) / (1 - e)) * f[m, :, arm]) ** 2
        assert float(extra[m].detach()) == pytest.approx(total, rel=1e-3)
