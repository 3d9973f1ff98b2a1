"""The one call and the steps by hand, and what a study leaves on disk."""

from __future__ import annotations

import dataclasses
import json
import re
import sys

import numpy as np
import pandas as pd
import pytest

import causalsem as cs
from causalsem.errors import SettingError
from causalsem.outcome.lift import lift_estimate
from causalsem.pipeline.findings import findings
from causalsem.pipeline.run import before_treatment, hold_out
from causalsem.report import report_html

# A discovered class of graphs is fitted through one member, and says so.
pytestmark = pytest.mark.filterwarnings("ignore::causalsem.errors.AssumptionWarning")


def test_the_one_call_and_the_steps_by_hand_give_identical_numbers(study, world, recipe) -> None:
    query = cs.Query("exposure", "buy")
    table = cs.behaviours(world.log, unit=("user", "item"))
    known = cs.Knowledge(tiers=table.tiers)
    graph = cs.discover(table, recipe.discovery)
    stability = cs.bootstrap(table, recipe.discovery, times=recipe.times, seed=recipe.seed)
    fit = cs.fit_sem(graph, table)
    adjust = cs.identify(graph, query, allowed=before_treatment(known, query, table.names, table.tiers))
    estimate = cs.estimate_effect(table, adjust, recipe.effect, folds=recipe.folds, seed=recipe.seed)
    train, _ = hold_out(table, recipe.holdout, recipe.seed)
    equations = cs.fit_sem(graph, cs.moments(train), cluster=())
    model = cs.fit_outcome(train, adjust, recipe.outcome_network, loss=recipe.loss, counterfactuals=equations, seed=recipe.seed)
    scores = cs.score(model, seed=recipe.seed)
    learn, judge = cs.LoggedFeedback.from_log(world.log).split(0.5, seed=recipe.seed)
    policy = cs.learn_policy(learn, recipe.learner, reward=cs.Reward(buy=1.0), seed=recipe.seed)
    value = cs.evaluate_policy(policy, judge, recipe.value, seed=recipe.seed)

    assert graph == study.graph
    np.testing.assert_array_equal(stability.marks, study.stability.marks)
    pd.testing.assert_frame_equal(fit.parameters, study.fit.parameters)
    assert adjust.variables == study.adjustment.variables
    assert (estimate.value, estimate.se) == (study.estimate.value, study.estimate.se)
    assert dict(model.gains) == dict(study.model.gains)
    pd.testing.assert_frame_equal(scores.frame, study.scores.frame)
    assert (value.value, value.se) == (study.policy_values["learnt"].value, study.policy_values["learnt"].se)


def test_the_same_seed_gives_the_same_files(study, world, recipe, tmp_path) -> None:
    again = cs.run(world.log, study.query, recipe=recipe, truth=study.truth)
    first, second = study.save(tmp_path / "a"), again.save(tmp_path / "b")
    assert [name for name in first if first[name].read_bytes() != second[name].read_bytes()] == []


def test_a_saved_study_holds_every_promised_file_and_each_loads(study, tmp_path) -> None:
    paths = study.save(tmp_path / "study")
    assert {"report.html", "graph.json", "sem.json", "adjustment_sets.json", "scores.parquet", "policy.json"} <= set(paths)
    assert cs.CausalGraph.load(paths["graph.json"]) == study.graph
    assert cs.Recipe.load(paths["recipe.toml"]) == study.recipe
    assert cs.Knowledge.load(paths["knowledge.toml"]) == study.knowledge
    assert cs.Scores.load(paths["scores.parquet"]).frame["rank"].max() == study.recipe.top
    assert json.loads(paths["adjustment_sets.json"].read_text(encoding="utf-8"))["effects"][0]["outcome"] == ["buy"]
    assert cs.Policy.load(paths["policy.json"]).probabilities(np.zeros((1, 2))).sum() == pytest.approx(1.0)
    assert len(paths["report.html"].read_bytes()) <= 150_000


def test_the_saved_sets_tell_units_times_and_the_effects_that_the_graph_allows(study, tmp_path) -> None:
    told = json.loads(study.save(tmp_path)["adjustment_sets.json"].read_text(encoding="utf-8"))
    facts = {one["name"]: (one["unit"], one.get("as_of")) for one in told["variables"]}
    assert facts["age"] == ("user", "exposure")
    assert facts["quality"] == ("item", "exposure")
    assert facts["exposure"] == facts["buy"] == ("user_item", None)
    (effect,) = told["effects"]
    assert effect["effect_set"]["lower"] <= effect["effect_set"]["upper"]
    assert 0 <= effect["probability_identifiable"] <= 1
    assert all(0 <= one["p_value"] <= 1 for one in effect["testable_implications"])
    assert effect["sensitivity"]["e_value"] >= 1


def test_the_saved_sets_are_tied_to_data_seed_and_weights(study, tmp_path) -> None:
    paths = study.save(tmp_path)
    told = json.loads(paths["adjustment_sets.json"].read_text(encoding="utf-8"))
    facts = told["graph"]["discovery"]
    assert (facts["data_sha256"], facts["n_rows"]) == (study.moments.sha256, study.moments.n)
    assert (facts["n_bootstrap"], facts["seed"]) == (study.stability.times, study.recipe.seed)
    weights = cs.PairWeights.load(paths[told["weights"]["file"]])
    assert weights.facts["graph_sha256"] == told["graph"]["sha256"]
    assert len(weights) == len(study.model.propensity)
    np.testing.assert_array_equal(weights.frame["propensity"], study.model.propensity)


def test_the_answer_sets_naive_debiased_and_true_side_by_side(study, world) -> None:
    answer = study.answer
    assert list(answer.index) == ["naive", "debiased", "true"]
    assert answer.loc["true", "value"] == world.truth.lift("buy")
    assert answer.loc["debiased", "low"] < answer.loc["debiased", "value"] == study.estimate.value


def test_an_interrupted_save_leaves_the_earlier_file_whole(study, tmp_path, monkeypatch) -> None:
    paths = study.save(tmp_path)
    before = paths["graph.json"].read_bytes()

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.replace", die)
    with pytest.raises(KeyboardInterrupt):
        study.save(tmp_path)
    monkeypatch.undo()
    assert paths["graph.json"].read_bytes() == before
    assert not list(tmp_path.glob(".*part*"))


def test_a_query_without_a_path_says_that_there_is_no_effect_to_study(world, recipe) -> None:
    with pytest.raises(cs.errors.NotIdentifiedError, match="no directed path from buy to exposure"):
        cs.run(world.log, cs.Query("buy", "exposure"), recipe=recipe)


def test_a_misspelt_treatment_is_named_with_its_nearest(world, recipe) -> None:
    with pytest.raises(cs.errors.UnknownNameError, match="did you mean 'exposure'"):
        cs.run(world.log, cs.Query("exposre", "buy"), recipe=recipe)


def test_a_log_without_exposures_gives_no_policy(world, recipe) -> None:
    log = world.log.filter(behaviours=("browse", "cart", "buy"))
    study = cs.run(log, cs.Query("browse", "buy"), recipe=recipe)
    assert study.policy is None
    assert study.policy_values == {}


def test_hold_out_parts_the_rows_by_seed(study) -> None:
    train, test = hold_out(study.table, 0.25, seed=1)
    assert len(train) + len(test) == len(study.table)
    assert len(test) == pytest.approx(0.25 * len(study.table), rel=0.1)
    again, _ = hold_out(study.table, 0.25, seed=1)
    pd.testing.assert_frame_equal(train.keys, again.keys)


def test_only_what_precedes_the_treatment_may_be_adjusted_for() -> None:
    known = cs.Knowledge(tiers=[["age"], ["exposure", "mailer"], ["redeem"], ["buy"]])
    names = ("age", "exposure", "mailer", "redeem", "buy", "untold")
    assert before_treatment(known, cs.Query("exposure", "buy"), names) == ("age", "mailer")
    assert before_treatment(cs.Knowledge(), cs.Query("exposure", "buy"), names) == ("age", "mailer", "redeem", "untold")


def test_chinese_names_go_through_the_whole_study_and_its_report(tmp_path) -> None:
    world = cs.simulate_shop(users=300, items=40, seed=4)
    columns = {"user_id": "用户", "item_id": "商品", "type": "行为", "ts": "时间", "age": "年龄", "price": "价格 (元)"}
    words = {"exposure": "曝光", "browse": "浏览", "cart": "加购", "favourite": "收藏", "buy": "购买", "review": "评价"}
    frame = world.log_frame.rename(columns=columns).assign(行为=lambda f: f["行为"].map(words))
    log = cs.EventLog.from_frame(frame, user="用户", item="商品", behaviour="行为", time="时间")
    quick = cs.Recipe(times=3, folds=2, effect=cs.IPW(), network=cs.TwoTower(dim=4, hidden=(8,)), stages=("浏览", "加购", "购买"))
    study = cs.run(log, cs.Query("曝光", "浏览"), recipe=quick, truth=world.truth.lift("browse"))
    assert abs(study.estimate.value - study.truth) < abs(study.naive.value - study.truth) / 2
    page = study.save(tmp_path, language="zh")["report.html"].read_text(encoding="utf-8")
    assert "<h1>曝光 → 浏览</h1>" in page
    assert "特征" in page
    stages = page.split("结果模型给出的 曝光 对各阶段的作用")[1].split("</table>")[0]
    told = re.findall(r"<tr><t.*?>([^<]+)</t.>.*<td class=\"n\">([\d.]+)</td><td class=\"n\">([\d.]+)</td></tr>", stages)
    assert {stage: float(lift) for stage, lift, _ in told} == pytest.approx(study.model.lifts, rel=5e-3)  # three digits
    assert {stage: float(se) for stage, _, se in told} == pytest.approx(
        {s: lift_estimate(study.model, s).se for s in study.model.stages}, rel=5e-3
    )
    assert cs.Recipe.load(tmp_path / "recipe.toml") == quick


def test_a_variable_that_the_knowledge_leaves_out_stands_where_the_table_puts_it() -> None:
    known = cs.Knowledge(tiers=[["age"], ["exposure"], ["buy"], ["stray"]])
    usual = (("age", "activity", "stray"), ("exposure",), ("browse",), ("buy",))
    names = ("age", "activity", "stray", "exposure", "browse", "buy", "untold")
    assert before_treatment(known, cs.Query("exposure", "buy"), names, usual) == ("age", "activity")
    # The treatment's tier is told, so that of browse, which only the table knows, is compared with the table's.
    assert before_treatment(known, cs.Query(["exposure", "buy"], "stray"), names, usual) == ("age", "activity")


def test_knowledge_that_names_some_variables_only_still_runs(world, recipe, study) -> None:
    tiers = [["age"], ["exposure"], ["browse"], ["cart"], ["buy"], ["review"]]
    partial = cs.run(world.log, study.query, knowledge=cs.Knowledge(tiers=tiers), recipe=recipe)
    assert set(study.adjustment.variables) - {"age"} <= {"activity", "popularity", "price", "quality"}
    assert {"activity", "popularity"} <= set(partial.adjustment.variables)


def test_a_study_of_a_frame_says_that_it_takes_a_log(study) -> None:
    with pytest.raises(cs.errors.DataError, match=r"a DataFrame is no EventLog; make one with EventLog\.from_frame"):
        cs.run(study.table.frame, study.query)


def test_a_study_of_users_is_refused_before_any_work(world, study) -> None:
    with pytest.raises(SettingError, match=r"unit='user': a study ends in scores of user-item pairs"):
        cs.run(world.log, study.query, recipe=cs.Recipe(unit="user"))


def test_a_study_of_very_many_pairs_warns_before_it_begins(world, study, recipe, monkeypatch) -> None:
    monkeypatch.setattr(sys.modules["causalsem.pipeline.run"], "MANY_PAIRS", 1000)
    with pytest.warns(cs.errors.DataWarning, match=r"300 users × 40 items make 12,000 pairs"), pytest.raises(cs.errors.UnknownNameError):
        cs.run(world.log, cs.Query("exposure", "purchase"), recipe=recipe)


def test_the_report_says_in_both_languages_that_errors_are_clustered_by_user_and_item(study) -> None:
    users, items = study.table.keys["user"].nunique(), study.table.keys["item"].nunique()
    page = report_html(findings(study))
    # Once beside the equations, once beside the effect.
    assert page.count(f"Standard errors are clustered by user ({users:,}) and item ({items:,})") == 2
    assert page.count(f"标准误按用户（{users:,}）和物品（{items:,}）聚类") == 2
    assert dict(study.fit.clusters) == study.estimate.cluster_sizes == {"user": users, "item": items}


def test_a_cut_catalogue_is_the_log_of_its_busiest_items_and_the_report_says_what_is_left_out(world, recipe) -> None:
    small = dataclasses.replace(recipe, most_items=25, times=2)
    with pytest.warns(cs.errors.DataWarning, match="25 of 40 items are kept"):
        study = cs.run(world.log, cs.Query("exposure", "buy"), recipe=small)
    with pytest.warns(cs.errors.DataWarning, match="25 of 40 items are kept"):
        log = world.log.busiest(items=25)
    by_hand = cs.run(log, cs.Query("exposure", "buy"), recipe=dataclasses.replace(recipe, times=2))
    assert study.estimate.value == by_hand.estimate.value
    assert study.table.keys["item"].nunique() == 25
    users = {"users_left_out": world.log.n_users - log.n_users}  # those who have no other items
    assert dict(study.left_out) == {**users, "items_left_out": 15, "events_left_out": len(world.log) - len(log)}
    assert not by_hand.left_out
    page = report_html(findings(study))
    assert "<b>15 items left out</b>" in page
    assert "<b>略去 15 件物品</b>" in page
    assert "left out</b>" not in report_html(findings(by_hand))
    with pytest.raises(SettingError, match="most_items is 0; give a number of at least 1"):
        cs.Recipe(most_items=0)
