"""predict_effects: the effect of each new row, learnt from other rows."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd

from causalsem._values import FloatArray
from causalsem.behaviour import BehaviourTable, as_table
from causalsem.effects.estimation import named_method
from causalsem.effects.methods.causal_net import CausalNet
from causalsem.effects.methods.table import METHODS, Method
from causalsem.effects.problem import Problem, build_problem
from causalsem.errors import SettingError, shown
from causalsem.identify import AdjustmentSet


@runtime_checkable
class PredictsEffects(Protocol):
    """A method that knows the effect of rows it has not seen."""

    def effects_at(self, problem: Problem, Z: FloatArray) -> FloatArray:
        """Return the effects (m,) at new rows Z (m, k), learnt from all rows of the problem."""
        ...


def predict_effects(
    data: BehaviourTable | pd.DataFrame,
    adjust: AdjustmentSet,
    new: BehaviourTable | pd.DataFrame,
    method: Method | str = CausalNet(),  # noqa: B008  a frozen value
    *,
    contrast: tuple[float, float] | None = None,
    folds: int = 5,
    seed: int = 0,
) -> FloatArray:
    """Return the effect (m,) of the treatment on each row of `new`, given its adjustment variables, learnt from `data`.

    E[Y | do(T=1), z] − E[Y | do(T=0), z] for a 0/1 treatment, of two levels with `contrast` (low, high), per unit of T
    otherwise. `new` needs the adjustment variables only. These are means given z; no interval is told for a single row.
    Raises SettingError for a method that knows averages only, and what `estimate_effect` raises.
    """
    chosen = named_method(method)
    if not isinstance(chosen, PredictsEffects):
        able = [name for name, kind in METHODS.items() if hasattr(kind, "effects_at")]
        raise SettingError(f"{type(chosen).__name__} knows the average effect only; use one of {shown(able)}")
    problem = build_problem(as_table(data), adjust.treatments, adjust.outcome, adjust.variables, folds=folds, seed=seed, contrast=contrast)
    return np.asarray(chosen.effects_at(problem, as_table(new).complete(adjust.variables)))
