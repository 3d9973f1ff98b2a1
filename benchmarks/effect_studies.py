"""Do methods find effects that are known? python benchmarks/effect_studies.py --data ../shared/data --json OUT

Twins: both outcomes of every pair are known (died in the first year, the lighter and the heavier twin). Which twin is seen is drawn from
the traits as in Louizos et al. (2017): log-odds w'x + w_h (g/10 − 0.1), w ~ N(0, 0.1²), w_h ~ N(5, 0.1²), g the coded length of
pregnancy; adjusted for, or (second table) hidden with what tells of it, which no method can mend. LaLonde: the programme's trainees
against people of the Current Population Survey; the effect on the trainees by the experiment is 1,794 dollars (standard error 671).
The files hold no PSID controls. Peers: econml and dowhy, in the same run. Per method: mean error, root mean squared error, how many
95 % intervals hold the truth, CPU seconds an estimate.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit

from causalsem.datasets import load_lalonde, load_twins, twins_truth
from causalsem.datasets.effect_studies import LALONDE_TRAITS
from causalsem.effects import (
    AIPW,
    IPW,
    Boosted,
    CausalForest,
    CausalNet,
    GBoost,
    Linear,
    Regression,
    RLearner,
    estimate_effect,
    naive_effect,
    predict_effects,
)
from causalsem.identify import AdjustmentSet, Query

TELLS_OF_LENGTH = ("gestat", "preterm", "dtotord", "incervix", "nprevist", "adequacy")
Found = tuple[float, float]  # value and standard error, NaN where there is none


class Study(NamedTuple):
    """A table, what to adjust for and the known effect."""

    frame: pd.DataFrame
    adjust: AdjustmentSet
    truth: float


def twins(file: Path, seed: int, hidden: bool) -> Study:
    """Return one draw of which twin is seen."""
    frame = load_twins(file, strength=0).frame
    traits = [name for name in frame if name not in {"treatment", "outcome"}]
    rng, died = np.random.default_rng([3, seed]), twins_truth(file)
    Z = frame[traits].to_numpy(dtype=float)
    others = (Z - Z.mean(axis=0)) / np.maximum(Z.std(axis=0), 1e-12)
    odds = others @ rng.normal(0, 0.1, len(traits)) + rng.normal(5, 0.1) * (frame["gestat"].to_numpy(dtype=float) / 10 - 0.1)
    heavier = rng.random(len(frame)) < expit(odds - np.median(odds))
    seen = frame.assign(treatment=heavier * 1.0, outcome=np.where(heavier, died[:, 1], died[:, 0]))
    used = tuple(t for t in traits if not (hidden and t in TELLS_OF_LENGTH))
    return Study(seen, AdjustmentSet(Query("treatment", "outcome"), used, "given"), float((died[:, 1] - died[:, 0]).mean()))


def lalonde(folder: Path) -> Study:
    """Return trainees and survey controls."""
    frame = load_lalonde(folder, controls="survey").frame
    return Study(frame, AdjustmentSet(Query("treat", "re78"), LALONDE_TRAITS, "given"), experiment(folder)[0])


def experiment(folder: Path) -> Found:
    """Return the experiment's difference of means and its standard error."""
    told = naive_effect(load_lalonde(folder, controls="experiment"), ("treat", "re78"))
    return told.value, told.se


def ours(method: object) -> Callable[[Study, int], Found]:
    """Return an estimator of the average effect by a method of this package."""

    def estimate(study: Study, seed: int) -> Found:
        told = estimate_effect(study.frame, study.adjust, method, seed=seed)
        return told.value, told.se

    return estimate


def ours_on_treated(method: object) -> Callable[[Study, int], Found]:
    """Return the mean of a method's effects on the treated rows, which has no interval and asks for overlap nowhere else."""

    def estimate(study: Study, seed: int) -> Found:
        treated = study.frame[study.frame[study.adjust.treatment] == 1]
        return float(predict_effects(study.frame, study.adjust, treated, method, seed=seed).mean()), np.nan

    return estimate


def naive(study: Study, seed: int) -> Found:
    """Return the difference of means."""
    told = naive_effect(study.frame, study.adjust.query)
    return told.value, told.se


def arrays(study: Study) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return treatment, outcome and adjustment variables."""
    frame, adjust = study.frame, study.adjust
    return frame[adjust.treatment].to_numpy(), frame[adjust.outcome].to_numpy(), frame[list(adjust.variables)].to_numpy(dtype=float)


def econml_dml(study: Study, seed: int) -> Found:
    """Return econml's LinearDML with constant effect and its default nuisances."""
    from econml.dml import LinearDML

    T, Y, Z = arrays(study)
    model = LinearDML(discrete_treatment=True, random_state=seed).fit(Y, T, X=None, W=Z)
    told = model.effect_inference(None)
    return float(np.ravel(told.point_estimate)[0]), float(np.ravel(told.stderr)[0])


def econml_dr(on_treated: bool) -> Callable[[Study, int], Found]:
    """Return econml's LinearDRLearner, the mean of its effects."""

    def estimate(study: Study, seed: int) -> Found:
        from econml.dr import LinearDRLearner

        T, Y, Z = arrays(study)
        Z = (Z - Z.mean(axis=0)) / Z.std(axis=0)
        model = LinearDRLearner(random_state=seed).fit(Y, T, X=Z)
        told = model.ate_inference(Z[T == 1] if on_treated else Z)
        return float(told.mean_point), float(told.stderr_mean)

    return estimate


def econml_forest(on_treated: bool) -> Callable[[Study, int], Found]:
    """Return econml's CausalForestDML; its doubly robust effect of everybody, or the mean of effects over the treated."""

    def estimate(study: Study, seed: int) -> Found:
        from econml.dml import CausalForestDML

        T, Y, Z = arrays(study)
        model = CausalForestDML(discrete_treatment=True, n_estimators=200, random_state=seed, n_jobs=1).fit(Y, T, X=Z)
        if on_treated:
            return float(np.ravel(model.att_(T=1))[0]), float(np.ravel(model.att_stderr_(T=1))[0])
        return float(np.ravel(model.ate_)[0]), float(np.ravel(model.ate_stderr_)[0])

    return estimate


def dowhy_by(name: str, on_treated: bool) -> Callable[[Study, int], Found]:
    """Return one of dowhy's estimators, without its bootstrapped interval, which takes minutes."""

    def estimate(study: Study, seed: int) -> Found:
        from dowhy import CausalModel

        frame = study.frame.astype({study.adjust.treatment: bool})
        model = CausalModel(frame, study.adjust.treatment, study.adjust.outcome, common_causes=list(study.adjust.variables))
        found = model.identify_effect(proceed_when_unidentifiable=True)
        units = "att" if on_treated else "ate"
        told = model.estimate_effect(found, method_name=f"backdoor.{name}", target_units=units, effect_modifiers=[])
        return float(told.value), np.nan

    return estimate


AVERAGE = {
    "naive": naive,
    "Regression": ours(Regression(interactions=True)),
    "IPW": ours(IPW()),
    "AIPW (and DRLearner)": ours(AIPW()),
    "RLearner": ours(RLearner()),
    "GBoost": ours(GBoost()),
    "CausalForest, 100 trees": ours(CausalForest(trees=100)),
    "CausalNet, 2 members": ours(CausalNet(members=2, priors=(0.06,), steps=150)),
    "econml LinearDML": econml_dml,
    "econml LinearDRLearner": econml_dr(False),
    "econml CausalForestDML": econml_forest(False),
    "dowhy weighting": dowhy_by("propensity_score_weighting", False),
    "dowhy matching": dowhy_by("propensity_score_matching", False),
}
ON_TREATED = {
    "naive": naive,
    "Regression": ours(Regression()),
    "IPW, treated": ours(IPW(weights="treated")),
    "IPW, overlap": ours(IPW(weights="overlap")),
    "AIPW, treated": ours(AIPW(weights="treated")),
    "AIPW, linear, treated": ours(AIPW(Linear(), Linear(), weights="treated")),
    "AIPW, boosted, treated": ours(AIPW(Boosted(), Boosted(), weights="treated")),
    "AIPW, everybody": ours(AIPW()),
    "RLearner, treated": ours_on_treated(RLearner()),
    "CausalForest, treated": ours_on_treated(CausalForest(trees=100)),
    "CausalNet, treated": ours_on_treated(CausalNet(members=2, priors=(0.06,), steps=150)),
    "econml LinearDML": econml_dml,
    "econml LinearDRLearner, treated": econml_dr(True),
    "econml CausalForestDML, treated": econml_forest(True),
    "dowhy weighting, treated": dowhy_by("propensity_score_weighting", True),
    "dowhy matching, treated": dowhy_by("propensity_score_matching", True),
}


def compare(name: str, studies: list[Study], methods: dict[str, Callable[[Study, int], Found]], peer_draws: int) -> list[dict[str, object]]:
    """Return how every method did over the studies, and print it; a method that refuses says why."""
    rows = []
    for method, estimate in methods.items():
        package = method.split()[0]
        peer = package in {"econml", "dowhy"}
        if peer and importlib.util.find_spec(package) is None:
            continue
        start, pairs, refused, tried = time.process_time(), [], "", studies[:peer_draws] if peer else studies
        for seed, study in enumerate(tried):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    pairs.append((*estimate(study, seed), study.truth))
                except Exception as why:  # noqa: BLE001  a peer's refusal is a result
                    refused = f"{type(why).__name__}: {why}"[:110]
        row: dict[str, object] = {
            "study": name,
            "method": method,
            "cpu_s": (time.process_time() - start) / max(len(tried), 1),
            "draws": len(pairs),
        }
        if pairs:
            value, error, truth = np.array(pairs).T
            off = value - truth
            held = np.nan if np.isnan(error).all() else float(np.mean(np.abs(off) < 1.96 * error))
            row |= {"value": value.mean(), "error": off.mean(), "rmse": np.sqrt((off**2).mean()), "covered": held, "se": error.mean()}
        rows.append(row | {"refused": refused})
        print({k: round(float(v), 4) if isinstance(v, float) else v for k, v in rows[-1].items()}, flush=True)
    return rows


def main() -> None:
    """Estimate, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder with twins/ and lalonde/")
    parser.add_argument("--draws", type=int, default=5, help="draws of which twin is seen")
    parser.add_argument("--peer-draws", type=int, default=1, help="draws for the slower peers")
    parser.add_argument("--studies", nargs="+", default=["twins", "lalonde"], choices=["twins", "lalonde"])
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    rows = []
    file = next(chosen.data.glob("twins/Twin_data.csv*"))
    for name, hidden in (("twins", False), ("twins, length hidden", True)) if "twins" in chosen.studies else ():
        rows += compare(name, [twins(file, seed, hidden) for seed in range(chosen.draws)], AVERAGE, chosen.peer_draws)
    if "lalonde" in chosen.studies:
        print("experiment:", experiment(chosen.data / "lalonde"))
        rows += compare("lalonde, survey controls", [lalonde(chosen.data / "lalonde")], ON_TREATED, 1)
    if chosen.json:
        chosen.json.write_text(json.dumps(rows, indent=1, default=float), encoding="utf-8")


if __name__ == "__main__":
    main()
