"""Counterfactual rows: what each pair would have shown under the treatment it did not get, by a fitted SEM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from causalsem._values import FloatArray
from causalsem.behaviour import BehaviourTable
from causalsem.errors import DataError, check_names
from causalsem.outcome.answer import Scale
from causalsem.outcome.journey import Journey

if TYPE_CHECKING:
    from causalsem.sem import SEMFit

# Weights tried: of all counterfactual rows of an arm over all its factual ones.
WEIGHTS = (0.1, 0.3, 1.0)
# Standard errors the best of them must gain: the best of three passes one by luck too often.
BAR = 2.0
# Draws per pair of what is left open (mediators among it), averaged: the objective is linear in the outcome.
DRAWS = 8


@dataclass(frozen=True, slots=True, eq=False)
class Counterfactuals:
    """Rows that were never logged: every stage `y` (n, K) on the network's scale, and `arm` (n, 2), 1 in the arm each speaks for."""

    y: FloatArray
    arm: FloatArray

    def outcomes(self, y: FloatArray) -> FloatArray:
        """Return factual outcomes `y` (n, 2) of a lone stage in the arm that was taken, counterfactual ones in the other: (n, 2)."""
        return np.where(self.arm > 0, self.y, y)

    def weights(self, weights: FloatArray, share: float) -> FloatArray:
        """Return `weights` (n, 2) with the counterfactual rows of each arm added at `share` of its sum."""
        count = self.arm.sum(axis=0)
        return np.asarray(weights + share * self.arm * weights.sum(axis=0) / np.maximum(count, 1))


def counterfactuals(
    fit: SEMFit, pairs: BehaviourTable, treatment: str, names: tuple[str, ...], journey: Journey, seed: int
) -> Counterfactuals:
    """Draw every stage of every observed pair under the other treatment: abduction, action, prediction (Pearl 2009, theorem 7.1.7).

    Abduction sees treatment, stages and `names` alone, the columns that enter the network; whatever else the SEM
    holds (mediators that are no stages, say) is drawn given them. A 0/1 stage is kept within [0, 1]. The SEM's few coefficients
    may come from all pairs; the rows themselves stay in the fold of the pair they were drawn from.
    Raises DataError unless stages were observed in both arms, UnknownNameError where the SEM lacks the treatment or a stage.
    """
    from causalsem.sem import bayesian_network

    stages = journey.chain.names
    for stage, problem in zip(stages, journey.problems, strict=True):
        if problem.arms != (0, 1):
            raise DataError(
                f"no outcome of {stage!r} was observed under {treatment} = {1 - problem.arms[0]}; "
                "counterfactual rows need outcomes in both arms: leave counterfactuals out",
                columns=[stage],
            )
    network = bayesian_network(fit)
    check_names((treatment, *stages), network.observed, what="variable", where="the SEM of the counterfactuals")
    observed = np.all([problem.observed for problem in journey.problems], axis=0)
    seen = np.flatnonzero(observed)
    columns = [name for name in (treatment, *stages, *names) if name in network.observed]
    units = pairs.rows(seen).frame[columns].astype(np.float64)
    draws = 1 if set(columns) == set(network.names) else DRAWS
    drawn = network.counterfactuals(units, {treatment: 1 - journey.treatment[seen]}, draws=draws, seed=seed)
    y = np.zeros((len(pairs), len(stages)))
    for k, (stage, problem) in enumerate(zip(stages, journey.problems, strict=True)):
        y[seen, k] = _on_scale(drawn[stage].to_numpy().reshape(len(seen), draws).mean(axis=1), problem.scale)
    return Counterfactuals(y, (1 - journey.problems[0].taken) * observed[:, None])


def _on_scale(y: FloatArray, scale: Scale) -> FloatArray:
    """Return outcomes on the network's scale, 0/1 ones as chances."""
    return np.clip(y, 0, 1) if scale.binary else np.asarray((y - scale.centre) / scale.scale)
