"""What data could tell about a model: a verdict per edge, the conditions of each equation, repairs that hold, weak instruments."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from causalsem.behaviour import Moments
from causalsem.errors import AssumptionWarning, NotIdentifiedError, SettingError
from causalsem.graph import CausalGraph
from causalsem.sem import check_identification, fit_sem
from causalsem.sem.equations import cragg_donald

FEEDBACK = "browse ~ buy + review\nbuy ~ browse + review\nreview ~ browse + buy"
LOOP = "cart ~ browse\nbuy ~ cart\nreview ~ buy\nbrowse ~ review"


def test_full_feedback_is_refused_equation_by_equation() -> None:
    found = check_identification(FEEDBACK)
    assert (found.free, found.moments, found.rank) == (9, 6, 6)
    assert found.verdict == "not identified"
    assert {e.verdict for e in found.edges} == {"not identified"}
    assert all(not e.order and not e.rank and e.inside == 2 and e.excluded == 0 for e in found.equations)
    assert "order condition" in found.words
    with pytest.raises(NotIdentifiedError, match="order condition fails for the equations of 'browse'"):
        fit_sem(FEEDBACK, pd.DataFrame(np.random.default_rng(0).normal(size=(50, 3)), columns=["browse", "buy", "review"]))


@pytest.mark.parametrize(
    "cure",
    [
        "browse ~ ad\nbuy ~ price",
        "browse ~ ad\nbuy ~ price\nreview ~ prompt",
        "browse ~ ad\nbuy ~ price\nreview ~ prompt\nbrowse ~~ buy + review\nbuy ~~ review",
    ],
)
def test_the_repairs_of_full_feedback_identify_it(cure: str) -> None:
    found = check_identification(f"{FEEDBACK}\n{cure}", preset="dag")
    assert found.is_identified
    if "prompt" in cure:
        # One instrument per equation: order and rank hold whatever the errors do, and the half-trek criterion agrees.
        assert all(e.order and e.rank for e in found.equations)
        assert found.verdict == "identified"


def test_one_open_pair_leaves_the_other_equations_identified() -> None:
    found = check_identification("browse ~ buy\nbuy ~ browse\nreview ~ ad", preset="dag").table.set_index("edge")["verdict"]
    assert found["browse~buy"] == found["buy~browse"] == "not identified"
    assert found["review~ad"] == "identified"


def test_a_single_loop_has_two_solutions_and_one_instrument_anywhere_leaves_one() -> None:
    found = check_identification(LOOP)
    assert found.is_identified
    assert found.verdict == "inconclusive"
    assert found.solutions == 2
    (cure,) = found.repairs
    for name in ("browse", "cart", "buy", "review"):
        assert repr(name) in cure
        mended = check_identification(f"{LOOP}\n{name} ~ ad")
        assert mended.verdict == "identified"
        assert mended.solutions == 1


@pytest.mark.parametrize(
    ("model", "verdict"),
    [
        ("buy ~ cart\ncart ~ browse", "identified"),
        ("buy ~ browse\nbrowse ~ ad\nbuy ~~ browse", "identified"),
        ("buy ~ browse\nbuy ~~ browse", "not identified"),
        ("f =~ a + b + c", "identified"),
        ("f =~ a + b", "not identified"),
        ("f =~ a + b\ng =~ c + d", "identified"),
        ("f =~ a + b\ng =~ c + d\nf ~~ 0*g", "not identified"),
        ("f =~ a + b + c\nf ~ x\ny ~ f", "identified"),
        ("f =~ a + b + c\ng =~ d + e + h\nf ~ g + x\ng ~ f + z\nf ~~ g", "identified"),
        ("f =~ a + b + c\ng =~ d + e + h\nf ~ g\ng ~ f", "not identified"),
        ("f =~ a + b + c + d\na ~~ b", "inconclusive"),
        ("buy ~ k*browse\ncart ~ k*browse", "inconclusive"),
    ],
)
def test_verdicts_on_textbook_models(model: str, verdict: str) -> None:
    found = check_identification(model, preset="cfa")
    assert found.verdict == verdict, found
    assert all(e.reason for e in found.edges)


def test_a_graph_is_examined_like_its_model() -> None:
    graph = CausalGraph.parse("ad -> browse; browse -> buy; browse <-> cart; cart -> buy")
    assert check_identification(graph).verdict == "identified"


def test_groups_are_refused_before_fitting() -> None:
    with pytest.raises(SettingError, match="groups"):
        check_identification("buy ~ browse", group="platform")


def instrumented(strength: float, n: int = 400, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    ad, taste = rng.normal(size=n), rng.normal(size=n)
    browse = strength * ad + taste + rng.normal(size=n)
    return pd.DataFrame({"ad": ad, "browse": browse, "buy": 0.5 * browse + taste + rng.normal(size=n)})


IV = "browse ~ ad\nbuy ~ browse\nbrowse ~~ buy"


def test_weak_instruments_are_warned_about_and_strong_ones_are_not() -> None:
    with pytest.warns(AssumptionWarning, match="weak instruments"):
        weak = fit_sem(IV, instrumented(0.03))
    strong = fit_sem(IV, instrumented(1.0))
    assert weak.identification.instruments[0].F < 10 < strong.identification.instruments[0].F
    assert "weak" in weak.verdict


def test_the_first_stage_f_is_that_of_the_regression() -> None:
    # With one cause and controls, Cragg and Donald's statistic is the partial F of the instruments.
    rng = np.random.default_rng(4)
    z, w = rng.normal(size=(200, 2)), rng.normal(size=200)
    x = z @ [0.3, -0.2] + 0.5 * w + rng.normal(size=200)
    S = np.cov(np.column_stack([x, z, w]).T)

    def residual(columns: np.ndarray) -> float:
        design = np.column_stack([np.ones(200), columns])
        return float(np.sum((x - design @ np.linalg.lstsq(design, x, rcond=None)[0]) ** 2))

    short, full = residual(w[:, None]), residual(np.column_stack([w, z]))
    assert cragg_donald(S, 200, [0], [1, 2], [3]) == pytest.approx((short - full) / 2 / (full / (200 - 4)))


def test_a_fit_knows_rank_radius_and_its_other_solutions() -> None:
    B = np.zeros((4, 4))
    B[1, 0], B[2, 1], B[3, 2], B[0, 3] = 0.6, 0.5, 0.7, 0.4
    E = np.linalg.inv(np.eye(4) - B)
    with pytest.warns(AssumptionWarning, match="2 solutions"):
        fit = fit_sem(LOOP, Moments.from_covariance(E @ E.T, 500, ["browse", "cart", "buy", "review"]))
    found = fit.identification
    assert found.solutions == 2
    assert found.information_rank == found.free
    assert found.spectral_radius == pytest.approx((0.6 * 0.5 * 0.7 * 0.4) ** 0.25, rel=1e-6)
    assert "settles" in found.words
