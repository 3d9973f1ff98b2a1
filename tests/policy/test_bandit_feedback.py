"""Open Bandit Pipeline's dictionary, out and in.

The package itself pins another Python; the keys and shapes are those its estimators ask for (Saito et al. 2021).
"""

from __future__ import annotations

import numpy as np
import pytest

from causalsem.errors import DataError, UnknownNameError
from causalsem.policy import LoggedFeedback, Reward, from_bandit_feedback, to_bandit_feedback


def test_the_dictionary_has_what_the_estimators_ask_for(bandit):
    feedback = bandit.draw(300, seed=1)
    told = to_bandit_feedback(feedback, "buy")
    assert set(told) == {"n_rounds", "n_actions", "context", "action_context", "action", "position", "reward", "pscore"}
    assert (told["n_rounds"], told["n_actions"]) == (300, len(feedback.actions))
    for name in ("action", "position", "reward", "pscore"):
        assert told[name].shape == (300,)
    assert told["action"].dtype.kind == told["position"].dtype.kind == "i"
    assert told["context"].shape == feedback.context.shape
    assert told["action_context"].shape[0] == told["n_actions"]
    # The estimate of inverse propensity weighting, by the formula on the dictionary alone.
    uniform = np.full(300, 1 / told["n_actions"])
    value = float((told["reward"] * uniform / told["pscore"]).mean())
    assert value == pytest.approx(float((feedback.outcomes["buy"] / feedback.propensity).mean() / len(feedback.actions)))


def test_a_reward_weighs_the_outcomes(bandit):
    feedback = bandit.draw(50, seed=2)
    told = to_bandit_feedback(feedback, Reward(click=0.1, buy=1.0))
    np.testing.assert_allclose(told["reward"], 0.1 * feedback.outcomes["click"] + feedback.outcomes["buy"])
    with pytest.raises(UnknownNameError, match="buy"):
        to_bandit_feedback(feedback, "bought")


def test_the_dictionary_comes_back_as_the_same_rounds(bandit):
    feedback = bandit.draw(80, seed=3)
    again = from_bandit_feedback(to_bandit_feedback(feedback, "buy"), outcome="buy")
    for name in ("context", "action", "propensity", "features"):
        np.testing.assert_array_equal(getattr(again, name), getattr(feedback, name))
    np.testing.assert_array_equal(again.outcomes["buy"], feedback.outcomes["buy"])
    plain = LoggedFeedback(feedback.context, feedback.action, feedback.outcomes, feedback.propensity)
    np.testing.assert_array_equal(to_bandit_feedback(plain)["action_context"], np.eye(len(plain.actions)))
    with pytest.raises(DataError, match=r"lacks .*pscore"):
        from_bandit_feedback({"context": feedback.context, "action": feedback.action, "reward": feedback.propensity})
