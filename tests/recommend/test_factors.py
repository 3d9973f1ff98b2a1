"""Matrix factorisation: its kernels against loops and closed forms, its scores against a world with known taste."""

import numpy as np
import pandas as pd
import pytest

from causalsem.behaviour import BehaviourTable
from causalsem.errors import NoRowsError, SettingError, UnknownNameError
from causalsem.recommend import ALS, BPR, factor_scores, rank_metrics
from causalsem.recommend.factor_kernels import als_half_step, bpr_epoch
from causalsem.recommend.factors import Seen


def tastes(users=300, items=80, each=12, seed=0):
    """Users of four tastes choose by chance, mostly of the items of their own; a third of it is kept for a test."""
    rng = np.random.default_rng(seed)
    odds = np.where(np.arange(users)[:, None] % 4 == np.arange(items) % 4, 3.0, 0.0) + rng.gumbel(size=(users, items))
    item = np.argsort(-odds, axis=1)[:, :each].ravel()
    frame = pd.DataFrame({"user": np.repeat(np.arange(users), each), "item": item, "buy": 1.0})
    held = rng.random(len(frame)) < 1 / 3
    return frame[~held], frame[held]


def pairs_of(frame):
    return BehaviourTable.from_frame(frame, user="user", item="item")


def test_enough_conjugate_steps_are_the_ridge_solution_of_the_published_equation():
    rng = np.random.default_rng(0)
    y, w = rng.standard_normal((9, 4)).astype(np.float32), rng.uniform(0.5, 3, 5).astype(np.float32)
    columns, starts = np.array([1, 3, 8, 0, 3]), np.array([0, 3, 3, 5])
    x = np.zeros((3, 4), dtype=np.float32)
    als_half_step(x, y, y.T @ y + np.float32(0.1) * np.eye(4, dtype=np.float32), starts, columns, w, 8)
    for u in (0, 2):
        c, p = np.ones(9), np.zeros(9)
        mine = slice(starts[u], starts[u + 1])
        c[columns[mine]] += w[mine]
        p[columns[mine]] = 1
        expected = np.linalg.solve((y.T * c) @ y + 0.1 * np.eye(4), (y.T * c) @ p)
        np.testing.assert_allclose(x[u], expected, atol=1e-4)
    assert (x[1] == 0).all()


def test_a_step_of_bpr_is_the_gradient_of_its_logistic_loss():
    rng = np.random.default_rng(1)
    users, items, bias = rng.standard_normal((1, 3)), rng.standard_normal((2, 3)), rng.standard_normal(2)
    before = users.copy(), items.copy(), bias.copy()
    # One user has seen item 0; item 1 is the only one to draw.
    bpr_epoch(users, items, bias, np.array([0]), np.array([0]), np.array([0, 1]), np.array([0, 1]), 0.05, 0.2, 1)

    def loss(x, y, b):
        ahead = b[0] - b[1] + x[0] @ (y[0] - y[1])
        return np.log1p(np.exp(-ahead)) + 0.1 * sum((part**2).sum() for part in (x, y, b))

    for which, after in enumerate((users, items, bias)):
        gradient = np.empty_like(before[which])
        for place in np.ndindex(gradient.shape):
            low, high = ([part.copy() for part in before] for _ in range(2))
            low[which][place] -= 1e-6
            high[which][place] += 1e-6
            gradient[place] = (loss(*high) - loss(*low)) / 2e-6
        np.testing.assert_allclose(after, before[which] - 0.05 * gradient, atol=1e-7)


def test_seen_items_are_never_drawn_as_unseen():
    users, items, bias = np.zeros((1, 2)), np.zeros((3, 2)), np.zeros(3)
    drawn = np.random.default_rng(2).integers(0, 2**62, 3 * 4)
    bpr_epoch(users, items, bias, np.zeros(3, int), np.arange(3), np.array([0, 3]), drawn, 0.1, 0.0, 3)
    assert (bias == 0).all()


@pytest.mark.parametrize("method", [ALS(factors=8), BPR(factors=8, rounds=20)], ids=lambda m: type(m).__name__)
def test_factors_find_the_taste_that_popularity_cannot(method):
    train, test = tastes()
    scores = factor_scores(pairs_of(train), "buy", method, new=True)
    found = rank_metrics(scores, test.rename(columns={"buy": "label"}), k=[10])
    # 20 items of the own taste of 80, 8 of them known: about 10 of the 12 left are in a perfect top 10, by chance 10 in 72.
    assert found.loc["recall@10", "value"] > 0.5
    again = factor_scores(pairs_of(train), "buy", method, new=True)
    pd.testing.assert_frame_equal(scores.frame, again.frame)


def test_a_top_list_is_the_best_of_all_scores_without_what_was_seen():
    train, _ = tastes(users=40)
    whole = factor_scores(pairs_of(train), "buy", ALS(factors=4), new=True)
    best = factor_scores(pairs_of(train), "buy", ALS(factors=4), top=5, new=True)
    pd.testing.assert_frame_equal(best.frame, whole.top(5).frame)
    known = set(map(tuple, train[["user", "item"]].to_numpy().tolist()))
    assert not known & set(map(tuple, best.frame[["user", "item"]].to_numpy().tolist()))
    assert len(factor_scores(pairs_of(train), "buy", ALS(factors=4))) == 40 * train["item"].nunique()


def test_pairs_told_twice_add_up():
    seen = Seen.of(np.array([1, 0, 1]), np.array([2, 0, 2]), np.array([1, 1, 3], dtype=np.float32), (2, 3))
    assert seen.columns.tolist() == [0, 2]
    assert seen.times.tolist() == [1, 4]
    assert seen.starts.tolist() == [0, 1, 2]
    assert seen.turned().columns.tolist() == [0, 1]
    assert seen.turned().starts.tolist() == [0, 1, 1, 2]


def test_what_cannot_be_factorised_is_said():
    train, _ = tastes(users=20)
    with pytest.raises(NoRowsError, match="no pair has 'buy' above 0"):
        factor_scores(pairs_of(train.assign(buy=0.0)), "buy")
    with pytest.raises(UnknownNameError, match="did you mean 'buy'"):
        factor_scores(pairs_of(train), "bus")
    with pytest.raises(SettingError, match="a method of type str; use ALS"):
        factor_scores(pairs_of(train), "buy", "als")
    with pytest.raises(SettingError, match="top=0"):
        factor_scores(pairs_of(train), "buy", top=0)
    with pytest.raises(SettingError, match="factors and rounds are 1 or more"):
        ALS(factors=0)
    with pytest.raises(SettingError, match="learning_rate above 0"):
        BPR(learning_rate=0)
