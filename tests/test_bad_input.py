"""What a person gets wrong: each is answered by a typed error that says what, where and what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import causalsem as cs
from causalsem import errors

COLUMNS = {"user": "user_id", "item": "item_id", "behaviour": "type", "time": "ts"}
CONFOUNDED = "z -> t; z -> y; t -> y"


def events(**changes: object) -> pd.DataFrame:
    """Four good events, with columns put in or replaced."""
    frame = pd.DataFrame(
        {
            "user_id": [1, 1, 2, 2],
            "item_id": ["a", "b", "a", "b"],
            "type": ["exposure", "browse", "exposure", "buy"],
            "ts": pd.date_range("2025-01-01", periods=4, freq="h"),
        }
    )
    return frame.assign(**changes)


def rows(n: int = 60, **changes: object) -> pd.DataFrame:
    """n rows of z → t → y, z → y, with columns put in or replaced."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=n)
    t = (z + rng.normal(size=n) > 0).astype(float)
    return pd.DataFrame({"z": z, "t": t, "y": z + t + rng.normal(size=n)}).assign(**changes)


def log(frame: pd.DataFrame) -> cs.EventLog:
    return cs.EventLog.from_frame(frame, **COLUMNS)


def pairs() -> cs.BehaviourTable:
    """The pairs of four good events."""
    return cs.behaviours(log(events()), unit=("user", "item"))


def confounded() -> cs.AdjustmentSet:
    """The set of a confounded effect."""
    return cs.identify(cs.CausalGraph.parse(CONFOUNDED), ("t", "y"))


CASES: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "missing file": (lambda: cs.EventLog.read("nowhere/events.parquet", **COLUMNS), errors.FileError, "nowhere.events.parquet"),
    "missing column": (lambda: log(events().rename(columns={"ts": "tss"})), errors.UnknownNameError, "unknown column 'ts'.*mean 'tss'"),
    "unknown behaviour": (lambda: log(events(type=["exposure", "brwse", "cart", "buy"])), errors.UnknownNameError, "'brwse'.*'browse'"),
    "no rows": (lambda: log(events()[:0]), errors.NoRowsError, "no (rows|events)"),
    "text in a number column": (lambda: cs.moments(rows(z="many")), errors.DataError, "column 'z' holds text .'many' in row 0.*turn it"),
    "missing value": (lambda: cs.moments(rows(z=np.nan)), errors.DataError, r"missing values in \['z'\].*impute or drop"),
    "infinite value": (lambda: cs.moments(rows(z=np.inf)), errors.DataError, "column 'z' is infinite in row 0"),
    "constant column": (lambda: cs.discover(rows(c=1.0)), errors.MomentsError, r"constant variables \['c'\]; drop"),
    "the same column twice": (lambda: cs.discover(rows().assign(again=lambda f: f["z"])), errors.MomentsError, "collinear.*'again'.*drop"),
    "the same name twice": (lambda: cs.moments(pd.concat([rows(), rows()[["z"]]], axis=1)), errors.DataError, r"duplicate.*\['z'\]"),
    "fewer rows than variables": (lambda: cs.discover(rows(3)), errors.MomentsError, "3 rows for 3 variables"),
    "misspelt variable": (lambda: cs.discover(rows(), knowledge=cs.Knowledge([["zz"], ["y"]])), errors.UnknownNameError, "mean 'z'"),
    "misspelt in a model": (lambda: cs.fit_sem("browse ~ z", cs.moments(rows())), errors.UnknownNameError, "browse"),
    "cyclic graph": (lambda: cs.CausalGraph.parse("a -> b; b -> c; c -> a"), errors.CycleError, "a -> b -> c -> a.*remove or turn"),
    "contradictory knowledge": (lambda: cs.Knowledge([["a"], ["b"]], required=[("b", "a")]), errors.KnowledgeError, "'b' -> 'a'.*drop one"),
    "tier twice": (lambda: cs.Knowledge([["a"], ["a"]]), errors.KnowledgeError, "'a' is in tier 1 and in tier 2; keep one"),
    "not identified": (
        lambda: cs.identify(cs.CausalGraph.parse("u -> t; u -> y; t -> y", latent=["u"]), cs.Query("t", "y")),
        errors.NotIdentifiedError,
        "u",
    ),
    "treatment is the outcome": (lambda: cs.Query("t", "t"), errors.InputError, "'t'"),
    "a forbidden control": (
        lambda: cs.identify(cs.CausalGraph.parse("t -> m; m -> y"), cs.Query("t", "y")).require_allowed(["m"]),
        errors.ForbiddenVariableError,
        "mediator",
    ),
    "unknown method": (lambda: cs.discover(rows(), "GEZ"), errors.UnknownNameError, "did you mean 'GES'"),
    "rows needed": (lambda: cs.discover(cs.moments(rows()), cs.DirectLiNGAM()), errors.DataError, "needs rows"),
    "no overlap": (lambda: estimated(rows(400).assign(t=lambda f: (f["z"] > 0).astype(float))), errors.OverlapError, "no overlap.*z"),
    "constant treatment": (lambda: estimated(rows(t=1.0)), errors.DataError, "'t'"),
    "model text": (lambda: cs.fit_sem("y ~ ~ z", cs.moments(rows())), errors.ModelSyntaxError, "line 1"),
    "graph text": (lambda: cs.CausalGraph.parse("a -> ; b"), errors.ModelSyntaxError, "line 1 column"),
    "a score of no model": (lambda: cs.score("buy"), errors.SettingError, "a model of type str; hand in what fit_outcome"),
    "a rank of no scores": (
        lambda: cs.rank_metrics("buy", rows()),
        errors.SettingError,
        r"scores of type str; hand in what score\(model\)",
    ),
    "a rank against a log": (
        lambda: cs.rank_metrics(rows(), log(events())),
        errors.SettingError,
        r"a test of type EventLog; hand in its pairs, behaviours\(log",
    ),
    "a rank at a text": (lambda: cs.rank_metrics(rows(), rows(), k="5"), errors.SettingError, "k of type str; hand in depths"),
    "weights of no model": (lambda: cs.pair_weights(pairs(), pairs()), errors.SettingError, "a model of type BehaviourTable"),
    "the value of no policy": (
        lambda: cs.evaluate_policy("new", log(events())),
        errors.SettingError,
        r"a policy of type str.*learn_policy",
    ),
    "a policy from a log": (
        lambda: cs.learn_policy(log(events()), reward=cs.Reward(buy=1.0)),
        errors.SettingError,
        r"feedback of type EventLog; make it by LoggedFeedback.from_log",
    ),
    "outcomes from a log": (
        lambda: cs.fit_outcome(log(events()), confounded()),
        errors.DataError,
        r"pairs of type EventLog; hand in behaviours",
    ),
    "outcomes from a frame": (
        lambda: cs.fit_outcome(rows(), confounded()),
        errors.DataError,
        r"pairs of type DataFrame; hand in behaviours",
    ),
    "outcomes of a pair of names": (
        lambda: cs.fit_outcome(pairs(), ("t", "y")),
        errors.SettingError,
        "adjustment set of type tuple.*identify",
    ),
    "outcomes of a zero effect": (
        lambda: cs.fit_outcome(pairs(), cs.identify(cs.CausalGraph.parse(CONFOUNDED), ("y", "t"))),
        errors.SettingError,
        "there is no effect to learn; ask for a treatment",
    ),
    "a query that is a number": (
        lambda: cs.identify(cs.CausalGraph.parse(CONFOUNDED), 3),
        errors.SettingError,
        r"a query of type int; hand in Query\(treatment, outcome\)",
    ),
    "a query of one name": (lambda: cs.naive_effect(rows(), ("t",)), errors.SettingError, "a query of 1 names; hand in Query"),
    "a set for no graph": (lambda: cs.is_valid_adjustment(CONFOUNDED, ("t", "y"), []), errors.GraphError, "a graph of type str; hand in"),
    "tiers that are a list": (
        lambda: cs.discover(rows(), knowledge=[["z"]]),
        errors.SettingError,
        "knowledge of type list; hand in Knowledge",
    ),
    "a study of a word": (lambda: cs.run(log(events()), "buy"), errors.SettingError, "a query of type str; hand in"),
    "a recipe that is a dictionary": (
        lambda: cs.run(log(events()), ("exposure", "buy"), recipe={"folds": 2}),
        errors.SettingError,
        r"a recipe of type dict; hand in a Recipe, or Recipe.from_dict",
    ),
}


def estimated(frame: pd.DataFrame) -> cs.Estimate:
    return cs.estimate_effect(frame, cs.identify(cs.CausalGraph.parse(CONFOUNDED), cs.Query("t", "y")))


@pytest.mark.parametrize("name", CASES)
def test_a_mistake_is_answered_with_what_where_and_what_to_do(name: str) -> None:
    mistake, kind, words = CASES[name]
    with pytest.raises(kind, match=words) as caught:
        mistake()
    assert isinstance(caught.value, errors.CausalSEMError)


def test_a_failed_write_leaves_the_earlier_file_untouched(tmp_path: Path) -> None:
    path = tmp_path / "graph.json"
    good = cs.CausalGraph.parse(CONFOUNDED)
    good.save(path)
    before = path.read_bytes()
    with pytest.raises(TypeError, match="JSON"):
        good.with_provenance(made=object()).save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["graph.json"]


def test_writing_into_a_folder_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(errors.FileError, match=r"folder .* does not exist; make it first"):
        cs.CausalGraph.parse(CONFOUNDED).save(tmp_path / "none" / "graph.json")
