"""discover(data, "auto"): what it chooses, that it says why, and how near the truth that brings it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from causalsem.behaviour import moments
from causalsem.discovery import BOSS, BOSSFCI, FCI, PC, Auto, bootstrap, discover, mixed_moments
from causalsem.errors import DataError, SettingError
from causalsem.graph import CausalGraph, Knowledge, shd, to_cpdag
from causalsem.identify import implied_independences
from causalsem.simulate import behaviour_world, erdos_renyi_dag
from tests.discovery.worlds import random_dag, sample


def test_behaviour_like_data_are_found_nearly_exactly() -> None:
    wrong, right, found, true = 0, 0, 0, 0
    for seed in range(8):
        graph = erdos_renyi_dag(10, degree=2.5, seed=500 + seed)
        rng = np.random.default_rng(seed)
        families = {name: str(rng.choice(["trait", "binary", "count", "rating"], p=[0.25, 0.2, 0.4, 0.15])) for name in graph.nodes}
        world = behaviour_world(graph, 2000, families=families, seed=seed)
        marks, truth = discover(world.frame, "auto").marks, to_cpdag(graph).marks
        wrong += int(np.triu((marks != truth) | (marks.T != truth.T)).sum())
        right += int(np.triu((marks != 0) & (truth != 0)).sum())
        found, true = found + int(np.triu(marks != 0).sum()), true + int(np.triu(truth != 0).sum())
    assert 2 * right / (found + true) >= 0.95
    assert wrong / 8 <= 4


def test_the_choice_is_that_of_the_method_by_hand_and_says_why() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"visits": rng.poisson(0.8, 900), "age": rng.normal(40, 9, 900)})
    frame["spent"] = rng.binomial(1, 0.5, 900) * frame["visits"] * rng.exponential(10, 900)
    graph = discover(frame, "auto", knowledge=Knowledge(tiers=[["age"], ["visits"], ["spent"]]))
    assert graph == discover(mixed_moments(frame), BOSS(), knowledge=Knowledge(tiers=[["age"], ["visits"], ["spent"]]))
    told = graph.provenance["auto"]
    assert told["kinds"] == {"visits": "zero-inflated", "age": "continuous", "spent": "zero-inflated"}
    assert "['visits', 'spent'] look zero-inflated: they enter as blocks of whether and how much" in told["why"]
    assert any("(BOSS)" in line for line in told["why"])


@pytest.mark.parametrize(
    ("settings", "rows", "method", "why"),
    [
        (Auto(), 300, BOSS, "no hidden causes"),
        (Auto(hidden_causes=True), 300, BOSSFCI, "hidden common causes are allowed"),
        (Auto(kinds={"v1": "nominal"}), 301, BOSS, "['v1'] look nominal: they enter as blocks of indicators"),
        (Auto(kinds={"v1": "nominal"}, hidden_causes=True), 301, BOSSFCI, "hidden common causes are allowed"),
        (Auto(kinds={"v1": "nominal"}), 300, PC, "nominal column has 14 indicators"),
        (Auto(kinds={"v1": "nominal"}, hidden_causes=True), 300, FCI, "nominal column has 14 indicators"),
    ],
)
def test_size_assumptions_and_kinds_decide_the_method(settings: Auto, rows: int, method: type, why: str) -> None:
    rng = np.random.default_rng(1)
    frame = sample(random_dag(6, 2, rng), rows, rng)
    frame["v1"] = np.arange(rows) % (5 if rows == 301 else 15)
    graph = discover(frame, settings)
    assert graph.provenance["method"] == method.__name__
    assert why in " ".join(graph.provenance["auto"]["why"])


def test_fewer_rows_than_columns_are_tested_given_few_others() -> None:
    rng = np.random.default_rng(5)
    told = discover(sample(random_dag(40, 1.5, rng), 30, rng), "auto").provenance
    assert told["settings"]["max_conditioning"] == 2
    assert "30 rows for 40 columns" in " ".join(told["auto"]["why"])


def test_moments_are_taken_as_they_are_and_many_variables_go_to_tests() -> None:
    rng = np.random.default_rng(2)
    m = moments(sample(random_dag(160, 1, rng), 400, rng))
    told = discover(m, "auto").provenance
    assert told["method"] == "PC"
    assert "160 variables" in " ".join(told["auto"]["why"])


def test_missing_values_are_filled_by_em_and_said() -> None:
    rng = np.random.default_rng(3)
    frame = sample(random_dag(5, 2, rng), 800, rng)
    holes = frame.mask(pd.DataFrame(rng.random(frame.shape) < 0.1, columns=frame.columns))
    graph = discover(holes, "auto")
    assert graph == discover(frame, "auto")
    assert "missing values: moments are those of EM" in " ".join(graph.provenance["auto"]["why"])
    assert bootstrap(holes, "auto", times=5).times == 5


def test_bootstrap_chooses_once_and_tells_it() -> None:
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"a": rng.poisson(0.7, 500), "b": rng.normal(size=500)})
    frame["c"] = frame["b"] + rng.normal(size=500)
    stability = bootstrap(frame, "auto", times=20, seed=1)
    assert stability.provenance["auto"]["method"] == stability.provenance["method"] == "BOSS"
    assert stability.frequency("b", "c") == 1


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(SettingError, match="alpha is 2"):
        Auto(alpha=2)


def test_a_skewed_column_enters_on_the_scale_on_which_the_others_explain_more_of_it() -> None:
    rng = np.random.default_rng(4)
    worth, spent = np.exp(0.7 * rng.standard_normal((2, 3000)))
    frame = pd.DataFrame({"worth": worth, "spent": spent})
    frame["visits"] = worth + rng.standard_normal(3000)  # acts as it is
    frame["stars"] = np.log1p(spent) + 0.3 * rng.standard_normal(3000)  # acts by its logarithm
    told = discover(frame, "auto").provenance["auto"]
    assert told["kinds"] | {"visits": "", "stars": ""} == {"worth": "skewed", "spent": "skewed", "visits": "", "stars": ""}
    assert (told["forms"]["worth"], told["forms"]["spent"]) == ("plain", "log")
    halves = [mixed_moments(frame[:1500]), mixed_moments(frame[1500:], like=mixed_moments(frame[:1500]))]
    assert (halves[0] + halves[1]).columns == halves[0].columns


def test_lognormal_traits_are_found_as_well_as_their_logarithms() -> None:
    wrong = {"auto": 0, "raw": 0}
    for seed in range(4):
        graph = erdos_renyi_dag(8, degree=2, seed=40 + seed)
        frame = np.exp(0.6 * behaviour_world(graph, 2000, seed=seed).frame)
        truth = to_cpdag(graph)
        wrong["auto"] += shd(discover(frame, "auto"), truth)
        wrong["raw"] += shd(discover(moments(frame), BOSS()), truth)
    assert wrong["auto"] <= wrong["raw"] / 2


def test_blocks_of_one_column_are_tested_as_moments_are() -> None:
    rng = np.random.default_rng(5)
    frame = pd.DataFrame(rng.standard_normal((400, 3)) @ rng.standard_normal((3, 3)), columns=list("abc"))
    plain, blocks = moments(frame), mixed_moments(frame)
    for given in ((), ("c",)):
        r, p = plain.dependence("a", "b", given)
        assert blocks.dependence("a", "b", given) == (pytest.approx(abs(r)), pytest.approx(p, abs=1e-3))


def test_true_independences_of_hurdles_are_kept_at_the_stated_rate_and_false_ones_refused() -> None:
    kept = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        z = rng.poisson(1.0, 800) * (rng.random(800) < 0.6)
        a, b = ((rng.random(800) < 0.2 + 0.6 * (z > 0)) * rng.poisson(2.0, 800) for _ in range(2))
        data = mixed_moments(pd.DataFrame({"a": a, "b": b, "z": z}).astype(float))
        kept.append(data.dependence("a", "b", ("z",))[1] > 0.05)
        assert data.dependence("a", "b")[1] < 1e-4
    assert sum(kept) >= 51  # of 60 at level 0.05: fewer than 51 has a chance below 0.001
    (claim,) = implied_independences(CausalGraph.parse("z -> a; z -> b"), data)
    assert claim.p_value == data.dependence("a", "b", ("z",))[1]
    with pytest.raises(DataError, match="7 rows cannot test an independence given 2 columns"):
        mixed_moments(pd.DataFrame({"a": a, "b": b, "z": z}).astype(float)[:7], like=data).dependence("a", "b", ("z",))


def test_rare_events_stay_numbers_and_true_hurdles_are_blocks() -> None:
    rng = np.random.default_rng(6)
    rate, push = 1 + rng.standard_exponential(2000), rng.standard_normal(2000)
    frame = pd.DataFrame({"rate": rate, "push": push, "events": rng.poisson(0.2 * rate).astype(float)})
    # Whether falls with `push`, how much rises with it: one number cannot say both.
    frame["spend"] = (rng.random(2000) < 1 / (1 + np.exp(push))) * np.exp(1 + push + 0.5 * rng.standard_normal(2000))
    told = discover(frame, "auto").provenance["auto"]
    assert (told["kinds"]["events"], told["kinds"]["spend"]) == ("zero-inflated", "zero-inflated")
    assert told["forms"]["events"] in ("plain", "log")
    assert told["forms"]["spend"] == "hurdle"
    said = discover(frame, Auto(kinds={"events": "zero-inflated", "rate": "skewed"})).provenance["auto"]["forms"]
    assert (said["events"], said["rate"]) == ("hurdle", "log")
    assert discover(frame[frame.columns[::-1]], "auto") == discover(frame, "auto")


def test_a_skewed_column_that_acts_both_ways_enters_both_ways() -> None:
    rng = np.random.default_rng(8)
    x = np.exp(0.8 * rng.standard_normal(3000))
    frame = pd.DataFrame({"x": x, "level": x + rng.standard_normal(3000), "ratio": np.log1p(x) + 0.2 * rng.standard_normal(3000)})
    told = discover(frame, Auto(kinds={"level": "continuous"})).provenance["auto"]
    assert told["forms"]["x"] == "both"
    assert "['x'] look skewed: they enter as x and log(1 + x)" in told["why"]
