"""Loop: how the training loop runs on its device, readable without torch."""

from __future__ import annotations

from dataclasses import dataclass

from causalsem.errors import SettingError

TABLES = ("auto", "dense", "rowwise")


@dataclass(frozen=True)
class Loop:
    """How the training loop runs on its device.

    `tables` says how the tables of users and items learn. "dense" is Adam, which touches every row in each step; "rowwise" is
    Adagrad with a number or two of state per row (Gupta, Bengio & Weston 2014; Mudigere et al. 2022), which touches the rows of the
    batch alone, so that a step costs the batch and not the table; "auto" takes the second where a table is larger than the batch
    by `ROWWISE_FROM`. `graph` runs every step from the same memory, and on CUDA as one recorded graph; `compile` passes heads
    and loss through torch.compile. Both leave the numbers as they are, up to rounding, and pay off on a GPU.
    """

    tables: str = "auto"
    graph: bool = False
    compile: bool = False

    def __post_init__(self) -> None:
        if self.tables not in TABLES:
            raise SettingError(f"tables={self.tables!r} is no way to train tables; use one of {TABLES}")
