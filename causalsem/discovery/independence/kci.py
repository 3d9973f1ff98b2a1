"""The kernel test of conditional independence, by causal-learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from causalsem._engines import load_engine
from causalsem._values import FloatArray
from causalsem.errors import SettingError


@dataclass(frozen=True, slots=True, kw_only=True)
class KCI:
    """The kernel-based test of any dependence, linear or not (Zhang et al. 2011), carried out by causal-learn.

    Its time grows with the cube of the rows: of more than `rows`, so many drawn by `seed` are tested.
    """

    rows: int = 500
    seed: int = 0
    engine: str = "causal-learn"

    assumes: ClassVar[tuple[str, ...]] = ("smooth relations of any shape",)

    def __post_init__(self) -> None:
        if self.rows < 20:
            raise SettingError(f"rows is {self.rows}; a kernel test needs 20 or more")


def log_p(rows: FloatArray, test: KCI) -> float:
    """Return log p of independence of columns 0 and 1 given the others; the least p told is 1e-16."""
    if len(rows) > test.rows:
        drawn = np.random.default_rng(test.seed).choice(len(rows), test.rows, replace=False)
        rows = rows[np.sort(drawn)]
    p = load_engine("independence", test.engine)(rows)
    return float(np.log(max(p, 1e-16)))
