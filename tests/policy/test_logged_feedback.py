import numpy as np
import pandas as pd
import pytest

from causalsem.errors import (
    AssumptionWarning,
    DataError,
    DataWarning,
    FileError,
    NoRowsError,
    SettingError,
    UnknownNameError,
)
from causalsem.policy import LoggedFeedback, Reward


@pytest.mark.parametrize("wrong", [0.0, -0.1, 1.5, np.nan])
def test_a_propensity_outside_its_range_is_named_with_its_round(wrong, tiny):
    with pytest.raises(DataError, match=r"1 propensities are not in \(0, 1\], the first is .* in round 2; drop those rounds"):
        tiny(propensity=np.array([0.5, 0.5, wrong, 1.0]))


def test_broken_promises_are_said(tiny):
    with pytest.raises(DataError, match="action 2 in round 1 is none of the 2 actions"):
        tiny(action=np.array([0, 2, 1, 0]))
    with pytest.raises(DataError, match="action has 3 rows for 4 contexts"):
        tiny(action=np.array([0, 1, 1]))
    with pytest.raises(DataError, match=r"missing or infinite values in context \['age'\]"):
        tiny(context=np.array([[0.0], [np.nan], [2.0], [3.0]]))
    with pytest.raises(DataError, match=r"missing or infinite values in outcomes \['buy'\]"):
        tiny(outcomes=pd.DataFrame({"browse": [1, 0, 1, 1], "buy": [0, 0, np.nan, 0]}))
    with pytest.raises(DataError, match="not whole"):
        tiny(action=np.array([0, 0.5, 1, 0]))
    with pytest.raises(DataError, match="at least one column"):
        tiny(outcomes=pd.DataFrame(index=range(4)))
    with pytest.raises(DataError, match="one row per action"):
        tiny(action_features=np.zeros((3, 1)))
    with pytest.raises(NoRowsError, match="has no rounds"):
        tiny(context=np.empty((0, 1)))


def test_feedback_is_a_copy_that_cannot_change(tiny):
    context = np.zeros((4, 1))
    feedback = tiny(context=context)
    context[0] = 9
    assert feedback.context[0, 0] == 0
    with pytest.raises(ValueError, match="read-only"):
        feedback.propensity[0] = 0.1


def test_a_reward_is_the_weighted_sum_of_outcomes(tiny):
    np.testing.assert_allclose(Reward(browse=0.1, buy=1.0).of(tiny()), [0.1, 0, 1.1, 0.1])
    with pytest.raises(UnknownNameError, match=r"'buyy' in the outcomes of the feedback; did you mean 'buy'"):
        Reward(buyy=1.0).of(tiny())
    with pytest.raises(SettingError, match="finite number"):
        Reward(buy=float("nan"))
    with pytest.raises(SettingError, match="without any weight"):
        Reward(buy=0.0)
    assert Reward(**{"购买 now": 2}) == Reward(**{"购买 now": 2.0})
    assert repr(Reward(browse=0.1, buy=1)) == "Reward(0.1 browse + 1 buy)"


def test_a_split_is_disjoint_whole_and_keeps_users_together(bandit):
    feedback = bandit.draw(300)
    feedback = LoggedFeedback(feedback.context, feedback.action, feedback.outcomes, feedback.propensity, user=np.arange(300) // 7)
    a, b = feedback.split(0.4, seed=1)
    assert len(a) + len(b) == 300
    assert not set(a.user) & set(b.user)
    assert len(set(a.user)) == round(0.4 * 43)
    assert not set(a.rounds) & set(b.rounds)
    assert a.fingerprint == feedback.split(0.4, seed=1)[0].fingerprint
    with pytest.raises(SettingError, match="share is 1"):
        feedback.split(1)


def test_feedback_survives_its_files(tmp_path, bandit, tiny):
    feedback = bandit.draw(50)
    back = LoggedFeedback.load(feedback.save(tmp_path / "f.parquet"))
    assert back.fingerprint == feedback.fingerprint
    assert repr(back) == repr(feedback)
    np.testing.assert_array_equal(back.features, feedback.features)
    named = tiny(position=np.array([1, 2, 1, 2]), user=np.array([0, 0, 1, 1]), time=pd.date_range("2025-01-01", periods=4).to_numpy())
    again = LoggedFeedback.load(named.save(tmp_path / "g.parquet"))
    assert again.actions == ("tea", "咖啡")
    assert again.fingerprint == named.fingerprint
    (tmp_path / "g.parquet").unlink()
    with pytest.raises(FileError, match="no file"):
        LoggedFeedback.load(tmp_path / "g.parquet")


def test_a_frame_of_rounds_becomes_feedback():
    frame = pd.DataFrame(
        {
            "item_id": [14, 3, 14],
            "pos": [1, 2, 3],
            "click": [0, 1, 0],
            "p": [0.2, 0.5, 0.2],
            "segment": ["b", "a", "b"],
            "affinity": [0.1, 0.2, 0.3],
        }
    )
    feedback = LoggedFeedback.from_frame(
        frame, action="item_id", outcomes=["click"], context=["segment", "affinity"], propensity="p", position="pos"
    )
    assert feedback.actions == (3, 14)
    assert feedback.context_names == ("segment=a", "segment=b", "affinity")
    np.testing.assert_array_equal(feedback.context, [[0, 1, 0.1], [1, 0, 0.2], [0, 1, 0.3]])
    assert feedback.code(14) == 1
    with pytest.raises(UnknownNameError, match=r"'clik'.*did you mean 'click'"):
        LoggedFeedback.from_frame(frame, action="item_id", outcomes=["clik"], propensity="p")
    features = pd.DataFrame({"price": [1.0, 2.0]}, index=[3, 99])
    with pytest.raises(DataError, match="action 14 in row 0 is no row of the action features"):
        LoggedFeedback.from_frame(frame, action="item_id", outcomes=["click"], propensity="p", action_features=features)


def test_without_logged_propensities_they_are_estimated_and_said(bandit):
    true = bandit.draw(8000)
    frame = pd.DataFrame(true.context, columns=["x0", "x1"]).assign(a=true.action, buy=true.outcomes["buy"])
    with pytest.warns(AssumptionWarning, match="no propensities were logged"):
        feedback = LoggedFeedback.from_frame(frame, action="a", outcomes=["buy"], context=["x0", "x1"])
    assert feedback.estimated
    assert "estimated propensities" in repr(feedback)
    # The logging policy is a softmax of the context, so the clone can be right; its error is that of few parameters.
    assert np.abs(np.log(feedback.propensity / true.propensity)).mean() < 0.1


def test_rounds_without_a_propensity_are_left_out_and_counted(bandit):
    true = bandit.draw(40)
    frame = pd.DataFrame({"a": true.action, "buy": true.outcomes["buy"], "p": true.propensity})
    frame.loc[[1, 5], "p"] = np.nan
    with pytest.warns(DataWarning, match="2 rounds without a propensity were left out"):
        feedback = LoggedFeedback.from_frame(frame, action="a", outcomes=["buy"], propensity="p")
    assert len(feedback) == 38


def events(rows):
    frame = pd.DataFrame(rows, columns=["u", "i", "what", "at", "p"])
    return frame.assign(
        at=pd.Timestamp("2025-03-01") + pd.to_timedelta(frame["at"], unit="h"), age=frame["u"] * 10.0, price=frame["i"] * 1.5
    )


def test_what_follows_an_exposure_belongs_to_the_last_one_before_it():
    from causalsem.behaviour import EventLog

    frame = events(
        [
            (1, 7, "buy", 0, None),  # before any exposure: nobody's
            (1, 7, "exposure", 1, 0.5),
            (1, 7, "browse", 2, None),
            (1, 7, "exposure", 3, 0.25),
            (1, 7, "browse", 4, None),
            (1, 7, "buy", 30, None),
            (1, 8, "exposure", 3.5, 0.2),
            (2, 7, "exposure", 1, 0.4),
            (2, 8, "browse", 2, None),  # never shown to user 2
        ]
    )
    log = EventLog.from_frame(frame, user="u", item="i", behaviour="what", time="at", propensity="p")
    feedback = LoggedFeedback.from_log(log)
    assert feedback.actions == (7, 8)
    assert feedback.context_names == ("age",)
    assert feedback.action_feature_names == ("price",)
    rounds = pd.DataFrame({"age": feedback.context[:, 0], "action": feedback.action, "p": feedback.propensity}).join(feedback.outcomes)
    rounds = rounds.sort_values("p", ignore_index=True)
    assert rounds["p"].tolist() == [0.2, 0.25, 0.4, 0.5]
    assert rounds["browse"].tolist() == [0, 1, 0, 1]
    assert rounds["buy"].tolist() == [0, 1, 0, 0]
    assert rounds["age"].tolist() == [10, 10, 20, 10]
    within = LoggedFeedback.from_log(log, within="12h", outcomes=["buy"])
    assert within.outcomes["buy"].sum() == 0
    assert list(within.outcomes) == ["buy"]
    with pytest.raises(UnknownNameError, match="'cart'"):
        LoggedFeedback.from_log(log, outcomes=["cart"])
    with pytest.raises(UnknownNameError, match=r"'agee'.*did you mean 'age'"):
        LoggedFeedback.from_log(log, context=["agee"])


def test_a_log_without_exposures_says_so():
    from causalsem.behaviour import EventLog

    frame = events([(1, 7, "browse", 0, 0.5), (2, 7, "buy", 1, 0.5)])
    log = EventLog.from_frame(frame, user="u", item="i", behaviour="what", time="at")
    with pytest.raises(UnknownNameError, match="unknown behaviour 'exposure' in the log"):
        LoggedFeedback.from_log(log)


def test_columns_of_a_frame_that_are_no_numbers_are_named():
    frame = pd.DataFrame({"arm": ["a", "b"], "x": [1.0, 2.0], "p": [0.5, 0.5], "click": [0, 1]})
    asked = {"action": "arm", "outcomes": "click", "context": "x", "propensity": "p"}
    assert LoggedFeedback.from_frame(frame, **asked).context_names == ("x",)
    with pytest.raises(DataError, match="column 'p' should hold numbers, but has 'high' in row 1"):
        LoggedFeedback.from_frame(frame.assign(p=["0.5", "high"]), **asked)
    with pytest.raises(DataError, match="column 'click' should hold numbers, but has 'yes' in row 0"):
        LoggedFeedback.from_frame(frame.assign(click=["yes", "1"]), **asked)
    with pytest.raises(DataError, match="column 'x' holds dates"):
        LoggedFeedback.from_frame(frame.assign(x=pd.Timestamp("2024-01-01")), **asked)
    with pytest.raises(DataError, match=r"duplicate column names \['x'\] in the frame"):
        LoggedFeedback.from_frame(pd.concat([frame, frame[["x"]]], axis=1), **asked)
