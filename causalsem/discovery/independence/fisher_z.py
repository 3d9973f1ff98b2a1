"""Fisher's z of a partial correlation, from the rows that have all of a test's values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import log_ndtr

from causalsem._values import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class FisherZ:
    """Fisher's z with test-wise deletion of missing values (Fisher 1924; Strobl et al. 2018); without any, the same as from moments."""

    assumes: ClassVar[tuple[str, ...]] = ("linear relations with Gaussian noise", "values missing at random given the test's variables")


def log_p(rows: FloatArray, test: FisherZ) -> float:
    """Return log p of no correlation of columns 0 and 1 given the others; 0 where too few rows or no variation is left."""
    n, size = len(rows), rows.shape[1] - 2
    if n - size - 3 <= 0:
        return 0.0
    centred = rows - rows.mean(axis=0)
    pair = centred[:, :2]
    if size:
        pair = pair - centred[:, 2:] @ np.linalg.lstsq(centred[:, 2:], pair, rcond=None)[0]
    cross = pair.T @ pair
    scale = cross[0, 0] * cross[1, 1]
    if scale <= 0:
        return 0.0
    r = min(abs(cross[0, 1]) / np.sqrt(scale), 1 - 1e-16)
    return float(np.log(2) + log_ndtr(-np.sqrt(n - size - 3) * np.arctanh(r)))
