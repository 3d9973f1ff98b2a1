"""What kind of numbers a column holds: continuous, heavy-tailed, binary, ordinal, nominal, counts, zero-inflated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np
import pandas as pd

from causalsem._values import FloatArray
from causalsem.behaviour import BehaviourTable, as_table
from causalsem.errors import SettingError, check_names, shown

VariableKind = Literal["continuous", "skewed", "heavy-tailed", "binary", "ordinal", "nominal", "count", "zero-inflated"]

# A non-negative column with at least this share of zeros is zero-inflated.
MANY_ZEROS = 0.05
# A column with at most this many distinct values is discrete: ordinal, unless it is said to be nominal.
FEW_VALUES = 7
# Skewness and excess kurtosis beyond these are far from what a Gaussian sample of a hundred rows or more shows.
SKEWED, HEAVY_TAILED = 1.0, 3.0


def variable_kinds(data: BehaviourTable | pd.DataFrame, kinds: Mapping[str, VariableKind] | None = None) -> dict[str, VariableKind]:
    """Return the kind of every column: as `kinds` says, else as its values look.

    Two values are binary; non-negative values of which at least 5 % are zero, zero-inflated; up to 7 whole numbers,
    ordinal; other non-negative whole numbers, a count; positive values of skewness above 1, skewed; values of excess
    kurtosis above 3, heavy-tailed. What is nominal (platforms, countries) only its owner knows: say so in `kinds`.
    Raises UnknownNameError and SettingError.
    """
    table, kinds = as_table(data), dict(kinds or {})
    check_names(kinds, table.names, where="the table")
    strange = sorted(set(kinds.values()) - set(get_args(VariableKind)))
    if strange:
        raise SettingError(f"unknown kinds {shown(strange)}; use one of {shown(get_args(VariableKind))}")
    return {name: kinds.get(name) or kind_of(x) for name, x in zip(table.names, table.matrix().T, strict=True)}


def kind_of(x: FloatArray) -> VariableKind:
    """Return the kind that the values (n,) look like; missing ones are left out."""
    x = x[~np.isnan(x)]
    values = np.unique(x)
    if len(values) <= 2:
        return "binary"
    if values[0] >= 0 and (x == 0).mean() >= MANY_ZEROS and len(values) > 3:
        return "zero-inflated"
    whole = bool((values == np.round(values)).all())
    if len(values) <= FEW_VALUES:
        return "ordinal"
    if whole and values[0] >= 0:
        return "count"
    centred = (x - x.mean()) / x.std()
    if values[0] >= 0 and (centred**3).mean() > SKEWED:
        return "skewed"
    return "heavy-tailed" if (centred**4).mean() - 3 > HEAVY_TAILED else "continuous"
