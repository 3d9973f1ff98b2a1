"""DAGMA: a DAG by continuous optimisation under a log-determinant barrier."""

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

    from causalsem.discovery.continuous import LearnableDAG

# The central path: the weight of loss against barrier, and the barrier's scale (Bello et al. 2022, table 1).
PATH = ((1.0, 1.0), (0.1, 0.9), (0.01, 0.8), (0.001, 0.7))


@dataclass(frozen=True, slots=True, kw_only=True)
class DAGMA(Continuous):
    """DAGs via M-matrices and a log-determinant characterisation of acyclicity (Bello, Aragam & Ravikumar 2022).

    `hidden` 0 makes every variable a linear function of its parents, from moments alone; more, a network of so many
    sigmoids, which needs rows and finds a DAG instead of a class. Data are standardised, for raw scales would give the
    order away (Reisach et al. 2021). Arrows weaker than `threshold` are dropped. `penalty` is the lasso's, `device` a
    torch device ("auto": a GPU when there is one), `steps` the most per stage of the path.
    """

    steps: int = 600


def search(data: Stack | FloatArray, settings: DAGMA, rules: Rules) -> list[Found] | Found:
    """Return the graph that DAGMA finds in each data set of a stack, or, with hidden units, in rows (n, p)."""
    return fit_each(data, lambda one: _fit(one, settings, rules))


def _fit(data: FloatArray, settings: DAGMA, rules: Rules) -> Found:
    from causalsem.discovery.continuous import as_found, minimise, start

    module, values = start(data, rules, settings.hidden, settings.device, settings.seed)
    for stage, (weight, scale) in enumerate(PATH, 1):
        if out_of_time():
            break

        def smooth(weight: float = weight, scale: float = scale) -> Tensor:
            return weight * (module.loss(values) + RIDGE * module.ridge()) + barrier(module, scale)

        module.nudge()
        minimise(module, smooth, weight * settings.penalty, settings.steps, 1e-5, f"DAGMA, stage {stage} of {len(PATH)}")
    return as_found(module, settings.threshold, rules)


def barrier(module: LearnableDAG, scale: float) -> Tensor:
    """Return −log det(s I − W∘W) + p log s, endless outside the M-matrices; zero exactly for DAGs (theorem 1)."""
    import torch

    from causalsem.discovery.continuous import with_gradient

    W2 = module.strength()
    with torch.no_grad():
        inverse, singular = torch.linalg.inv_ex(scale * torch.eye(len(W2), dtype=W2.dtype, device=W2.device) - W2)
        # Inside the domain the inverse has no negative entry.
        if int(singular) or float(inverse.min()) < -1e-9:
            return W2.sum() * float("nan")
        value = torch.linalg.slogdet(inverse)[1] + len(W2) * float(np.log(scale))
    return with_gradient(value, inverse.T, W2)
