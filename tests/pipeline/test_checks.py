"""What could make a study's answer wrong, as the report shows it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import causalsem as cs
from causalsem.pipeline.checks import CHOICES, checks

pytestmark = pytest.mark.filterwarnings("ignore::causalsem.errors.AssumptionWarning")


def by_name(study) -> dict:
    return {check.name: check for check in checks(study)}


def test_every_check_speaks_english_and_chinese(study) -> None:
    found = by_name(study)
    assert {"E-value", "robustness value", "placebo treatment", "implied independences", "equivalent graphs"} <= set(found)
    for check in found.values():
        assert check.words
        assert any("\u4e00" <= c <= "\u9fff" for c in check.chinese_name), check.name
        assert any("\u4e00" <= c <= "\u9fff" for c in check.chinese_words), check.name


def test_what_the_outcome_model_chose_is_told_with_its_gain(study) -> None:
    told = {"balance_weight": 1.0, "told_apart": {0.0: 0.75, 1.0: 0.61}}
    model = dataclasses.replace(study.model, gains=study.model.gains | {"balance": (0.02, 0.005), "adversarial": (-0.01, 0.005)}, **told)
    found = by_name(dataclasses.replace(study, model=model))
    kept_at = {"correction": model.strength, "counterfactuals": model.counterfactual_weight, "balance": 1, "adversarial": 0}
    for name, kept in kept_at.items():
        check, (gain, se) = found[CHOICES[name][0]], model.gains[name]
        assert check.passed is None
        assert check.result == f"{gain:+.2g} ± {se:.2g}"
        assert ("not kept" in check.words) == (kept == 0)
        assert f"unseen pairs {'falls' if gain >= 0 else 'rises'} by {abs(gain):.2g}" in check.words
    assert "AUC of a fresh critic of who was treated, by weight: 0.75 (0) → 0.61 (1)" in found["balanced representation"].words


def test_a_graph_that_lacks_an_arrow_fails_its_independences(study) -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=4000)
    t = z + rng.normal(size=4000)
    m = cs.Moments.from_rows(np.column_stack([z, t, z + t + rng.normal(size=4000)]), ("z", "exposure", "buy"))
    right, wrong = (cs.CausalGraph.parse(text) for text in ("z -> exposure; z -> buy; exposure -> buy", "z -> exposure; exposure -> buy"))
    assert "implied independences" not in by_name(dataclasses.replace(study, graph=right, moments=m))
    failed = by_name(dataclasses.replace(study, graph=wrong, moments=m))["implied independences"]
    assert (failed.passed, failed.result) == (False, "0 of 1 hold")
    assert "z ⊥ buy | exposure" in failed.words


def test_equivalent_graphs_that_disagree_are_said_to(study) -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=4000)
    b = 0.5 * a + rng.normal(size=4000)
    m = cs.Moments.from_rows(np.column_stack([a, b]), ("exposure", "buy"))
    one = dataclasses.replace(study, graph=cs.CausalGraph.parse("exposure -> buy"), moments=m)
    assert by_name(one)["equivalent graphs"].result == "one effect"
    both = by_name(dataclasses.replace(study, graph=cs.CausalGraph.parse("exposure -- buy"), moments=m))["equivalent graphs"]
    low, high = (float(part) for part in both.result.split(" … "))
    assert (low, both.passed) == (0.0, False)
    assert high == pytest.approx(m.covariance[0, 1] / m.covariance[0, 0], rel=1e-3)
