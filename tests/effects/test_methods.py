"""Against theory: known truth, double robustness, coverage, exact small cases."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from causalsem.effects import AIPW, IPW, Linear, Regression, Splines, estimate_effect, naive_effect
from causalsem.effects.arms import doubly_robust
from causalsem.errors import OverlapError, SettingError
from causalsem.identify import Query

REPEATS = 200


def within(estimate, truth, errors=4.0):
    return abs(estimate.value - truth) < errors * estimate.se


def test_regression_finds_the_linear_effect_and_naive_does_not(linear_world, given):
    table = linear_world(4000)
    adjusted = estimate_effect(table, given(), Regression())
    naive = naive_effect(table, Query("t", "y"))
    assert within(adjusted, 1.5)
    # Population slope of y on t alone: 1.5 + Cov(2 z1 + z2, t)/Var(t) = 1.5 + (1.6 − 0.5)/1.89.
    assert within(naive, 1.5 + 1.1 / 1.89)
    assert not within(naive, 1.5)


def test_partially_linear_aipw_finds_the_effect_of_a_continuous_treatment(linear_world, given):
    table = linear_world(4000)
    curved = table.assign(y=table["y"] + 3 * np.abs(table["z1"]), t=table["t"] + table["z1"] ** 2)
    curved["y"] += 1.5 * table["z1"] ** 2  # the same shift of t, at its effect
    assert within(estimate_effect(curved, given(), AIPW()), 1.5)
    assert not within(estimate_effect(curved, given(), Regression()), 1.5)


def test_interacted_regression_is_the_average_of_unequal_effects(binary_world, given):
    # Lin (2013): without interactions the coefficient is a variance-weighted average, not the mean of 1 + z1.
    table = binary_world(20_000)
    assert within(estimate_effect(table, given(), Regression(interactions=True)), 1.0)


@pytest.mark.parametrize(
    "method", [IPW(), AIPW(Linear(), Linear()), AIPW(), Regression(interactions=True)], ids=["IPW", "AIPW linear", "AIPW", "Regression"]
)
def test_intervals_cover_the_truth_at_their_level(method, binary_world, given):
    z = []
    for seed in range(REPEATS):
        estimate = estimate_effect(binary_world(600, seed), given(), method, seed=seed)
        z.append((estimate.value - 1.0) / estimate.se)
    covered = np.mean(np.abs(z) < 1.96)
    # Three binomial standard errors around 95 %: 3 √(.95 · .05 / 200) = 0.046.
    assert 0.904 <= covered <= 0.996
    assert abs(np.mean(z)) < 0.25  # bias below a quarter of a standard error: three errors of the mean are 0.21
    assert np.std(z) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("method", [IPW(weights="treated"), AIPW(weights="treated")], ids=["IPW", "AIPW"])
def test_the_effect_on_the_treated_is_covered(method, binary_world, given):
    big = binary_world(400_000, 9)
    truth = 1 + big.loc[big["t"] == 1, "z1"].mean()
    z = []
    for seed in range(100):
        estimate = estimate_effect(binary_world(600, seed), given(), method, seed=seed)
        z.append((estimate.value - truth) / estimate.se)
    assert np.mean(np.abs(z) < 1.96) >= 0.88  # three binomial errors below 95 %: 0.065
    assert abs(np.mean(z)) < 0.35
    assert "on the treated" in estimate.notes[-1]


def test_the_effect_on_the_treated_needs_no_treated_where_none_can_be(given):
    rng = np.random.default_rng(8)
    z1 = rng.standard_normal(4000)
    t = ((rng.random(4000) < 0.5) & (z1 < 0.5)).astype(float)
    table = pd.DataFrame({"z1": z1, "t": t, "y": t * (2 + z1) + z1**2 + rng.standard_normal(4000)})
    estimate = estimate_effect(table, given(["z1"]), AIPW(weights="treated"))
    assert abs(estimate.value - (2 + z1[t == 1].mean())) < 4 * estimate.se
    with pytest.raises(OverlapError, match="none of the"):
        estimate_effect(table, given(["z1"]), AIPW())
    with pytest.raises(SettingError, match="unknown weights 'some'"):
        AIPW(weights="some")


def test_aipw_is_right_when_either_model_is_right(given):
    rng = np.random.default_rng(5)
    n = 20_000
    z1, z2 = rng.standard_normal((2, n))
    curve = z1**2 + np.exp(0.7 * z1)
    for odds, mean in ((0.8 * z1, 2 * curve), (0.5 * (z1**2 - 1), 2 * z1 + z2)):
        t = (rng.random(n) < expit(odds)).astype(float)
        table = pd.DataFrame({"z1": z1, "z2": z2, "t": t, "y": t + mean + rng.standard_normal(n)})
        assert within(estimate_effect(table, given(), AIPW(Linear(), Linear())), 1.0), "one of the two linear models is wrong here"
    both_wrong = (rng.random(n) < expit(0.5 * (z1**2 - 1))).astype(float)
    table = pd.DataFrame({"z1": z1, "z2": z2, "t": both_wrong, "y": both_wrong + 2 * curve + rng.standard_normal(n)})
    assert not within(estimate_effect(table, given(), AIPW(Linear(), Linear())), 1.0)
    assert within(estimate_effect(table, given(), AIPW(Splines(), Splines())), 1.0)


def test_a_multinomial_regression_is_statsmodels_and_its_two_levels_the_logistic_one():
    sm = pytest.importorskip("statsmodels.api", reason="statsmodels, which dowhy brings, is not installed")
    from causalsem.effects.multinomial import multinomial
    from causalsem.effects.regressions import logistic, logistic_influence

    rng = np.random.default_rng(12)
    X = np.column_stack([np.ones(700), rng.standard_normal((700, 2))])
    odds = np.column_stack([np.zeros(700), X @ [0.2, 0.7, 0.0], X @ [-0.3, 0.1, -0.6]]) + rng.gumbel(size=(700, 3))
    codes = odds.argmax(axis=1)
    chances, influence = multinomial(X, codes, ridge=0.0)
    fit = sm.MNLogit(codes, X).fit(disp=0)
    np.testing.assert_allclose(chances, fit.predict(), atol=1e-6)
    robust = sm.MNLogit(codes, X).fit(disp=0, cov_type="HC0")
    np.testing.assert_allclose(np.sqrt((influence**2).sum(axis=0)).T / 700, robust.bse, rtol=1e-4)
    two = (codes > 0).astype(np.int64)
    chances, influence = multinomial(X, two, ridge=1.0)
    beta = logistic(X, two.astype(float), 1.0)
    np.testing.assert_allclose(chances[:, 1], expit(X @ beta), atol=1e-6)
    np.testing.assert_allclose(influence[:, 0], logistic_influence(X, two.astype(float), beta, 1.0), atol=1e-4)


def test_a_saturated_ipw_is_standardisation_by_hand(given):
    rng = np.random.default_rng(6)
    z1 = (rng.random(800) < 0.4).astype(float)
    t = (rng.random(800) < np.where(z1 > 0, 0.7, 0.2)).astype(float)
    y = t * (1 + z1) + z1 + rng.standard_normal(800)
    table = pd.DataFrame({"z1": z1, "t": t, "y": y})
    estimate = estimate_effect(table, given(["z1"]), IPW(clip=0.0, ridge=0.0))
    value, psi = 0.0, np.zeros(800)
    for z in (0.0, 1.0):
        here = z1 == z
        one, zero = y[here & (t == 1)].mean(), y[here & (t == 0)].mean()
        e = t[here].mean()
        value += here.mean() * (one - zero)
        psi[here] = one - zero + t[here] / e * (y[here] - one) - (1 - t[here]) / (1 - e) * (y[here] - zero)
    assert estimate.value == pytest.approx(value, abs=1e-7)
    # With the propensity's own estimation accounted for, the error is the efficient one (Hirano, Imbens & Ridder 2003).
    np.testing.assert_allclose(estimate.psi, psi - value, atol=1e-5)


def test_the_doubly_robust_contrast_is_its_formula_in_a_loop():
    rng = np.random.default_rng(7)
    n = 25
    Y, mu1, mu0 = rng.standard_normal((3, n))
    e = rng.uniform(0.2, 0.8, n)
    treated = rng.random(n) < e
    value, psi, _ = doubly_robust(Y, treated, ~treated, e, 1 - e, mu1, mu0)
    total = {True: 0.0, False: 0.0}
    weights = {True: 0.0, False: 0.0}
    for i in range(n):
        p = e[i] if treated[i] else 1 - e[i]
        total[bool(treated[i])] += (Y[i] - (mu1[i] if treated[i] else mu0[i])) / p
        weights[bool(treated[i])] += 1 / p
    by_hand = np.mean(mu1 - mu0) + total[True] / weights[True] - total[False] / weights[False]
    assert value == pytest.approx(by_hand)
    assert psi.mean() == pytest.approx(0, abs=1e-12)


def test_the_influence_function_is_the_effect_of_leaving_a_row_out(binary_world, given):
    # Jackknife: n (value − value without row i) ≈ psi_i for smooth estimators without cross-fitting.
    table = binary_world(150)
    for method in (Regression(), IPW(clip=0.0), IPW(weights="overlap"), IPW(weights="treated", clip=0.0)):
        whole = estimate_effect(table, given(), method)
        left_out = [150 * (whole.value - estimate_effect(table.drop(index=i), given(), method).value) for i in range(0, 150, 3)]
        assert np.corrcoef(left_out, whole.psi[::3])[0, 1] > 0.99, method


def test_overlap_weights_answer_about_the_overlap_population(binary_world, given):
    table = binary_world(20_000)
    estimate = estimate_effect(table, given(), IPW(weights="overlap"))
    e = expit(0.7 * table["z1"] - 0.5 * table["z2"] - 0.3)
    truth = np.average(1 + table["z1"], weights=e * (1 - e))
    assert within(estimate, truth)
    assert "overlap weights" in estimate.notes[0]


def test_the_effect_on_the_treated_is_larger_where_the_treated_gain_more(binary_world, given):
    table = binary_world(20_000)
    estimate = estimate_effect(table, given(), IPW(weights="treated"))
    assert within(estimate, 1 + table.loc[table["t"] == 1, "z1"].mean())


def test_two_treatments_set_together_have_their_joint_effect(given):
    rng = np.random.default_rng(8)
    n = 8000
    z1 = rng.standard_normal(n)
    a = (rng.random(n) < expit(z1)).astype(float)
    b = (rng.random(n) < expit(0.8 * a - 0.4 + 0.5 * z1)).astype(float)
    y = a + 2 * b + a * b + 2 * z1 + rng.standard_normal(n)
    table = pd.DataFrame({"z1": z1, "a": a, "b": b, "y": y})
    joint = estimate_effect(table, given(["z1"], treatment=["a", "b"]), AIPW())
    assert within(joint, 4.0)
    assert joint.treatments == ("a", "b")
    plain = estimate_effect(table.assign(y=y - a * b), given(["z1"], treatment=["a", "b"]), Regression())
    assert within(plain, 3.0)


def test_rows_of_one_user_count_as_one_and_stay_in_one_fold(given):
    from causalsem.behaviour import BehaviourTable

    rng = np.random.default_rng(9)
    user, item = np.repeat(np.arange(60), 40), np.tile(np.arange(40), 60)
    taste = rng.standard_normal(60)[user]
    z1 = rng.standard_normal(2400)
    t = (rng.random(2400) < expit(z1 + taste)).astype(float)
    y = t * (1 + taste) + z1 + rng.standard_normal(2400)
    frame = pd.DataFrame({"u": user, "i": item, "z1": z1, "z2": taste, "t": t, "y": y})
    estimate = estimate_effect(BehaviourTable.from_frame(frame, user="u", item="i"), given())
    alone = estimate_effect(frame.drop(columns=["u", "i"]), given())
    assert all(len(set(estimate.folds[user == u])) == 1 for u in range(60))
    assert estimate.se > 2 * alone.se  # effects differ by user, of whom there are only 60
    assert any("clustered by user and item" in note for note in estimate.notes)
