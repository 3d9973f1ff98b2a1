"""NOTEARS: a DAG by continuous optimisation under a trace-exponential constraint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from causalsem._values import FloatArray
from causalsem.discovery.budget import out_of_time
from causalsem.discovery.continuous_settings import RIDGE, Continuous, fit_each
from causalsem.discovery.found import Found, Rules
from causalsem.discovery.stack import Stack

if TYPE_CHECKING:
    from torch import Tensor

# Of the augmented Lagrangian: the constraint reached at its end, and how fast its price grows.
ACYCLIC, MOST_ROUNDS, GROWTH = 1e-6, 12, 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NOTEARS(Continuous):
    """DAGs with no tears: tr exp(W∘W) = p as an equality constraint (Zheng et al. 2018; networks: Zheng et al. 2020).

    Settings as in DAGMA, which is faster and nearer to the truth as a rule.
    """

    steps: int = 60


def search(data: Stack | FloatArray, settings: NOTEARS, rules: Rules) -> list[Found] | Found:
    """Return the graph that NOTEARS finds in each data set of a stack, or, with hidden units, in rows (n, p)."""
    return fit_each(data, lambda one: _fit(one, settings, rules))


def _fit(data: FloatArray, settings: NOTEARS, rules: Rules) -> Found:
    import torch

    from causalsem.discovery.continuous import as_found, minimise, start, with_gradient

    module, values = start(data, rules, settings.hidden, settings.device, settings.seed)
    price, multiplier, last = 1.0, 0.0, np.inf

    def cyclic() -> Tensor:
        W2 = module.strength()
        with torch.no_grad():
            power = torch.linalg.matrix_exp(W2)
        return with_gradient(power.trace() - len(W2), power.T, W2)

    for turn in range(1, MOST_ROUNDS + 1):

        def smooth(price: float = price, multiplier: float = multiplier) -> Tensor:
            h = cyclic()
            return module.loss(values) + RIDGE * module.ridge() + price / 2 * h**2 + multiplier * h

        module.nudge()
        minimise(module, smooth, settings.penalty, settings.steps, 1e-5, f"NOTEARS, round {turn}")
        h = float(cyclic().detach())
        if h < ACYCLIC or out_of_time():
            break
        multiplier += price * h
        if h > last / 4:
            price *= GROWTH
        last = h
    return as_found(module, settings.threshold, rules)
