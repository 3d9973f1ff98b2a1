"""ling(): linear models with feedback from non-Gaussian data, every one that fits, and which of them settle."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from scipy.stats import norm

from causalsem._values import BoolArray, FloatArray
from causalsem.behaviour import BehaviourTable, Moments, as_table
from causalsem.behaviour.table import origin_of
from causalsem.discovery.feedback import FeedbackModel, FeedbackModels
from causalsem.discovery.found import Rules
from causalsem.discovery.ica_lingam import unmixing
from causalsem.discovery.known import known_of, told_of
from causalsem.discovery.pc import check_alpha
from causalsem.errors import AssumptionWarning, DataError, NotIdentifiedError, SettingError
from causalsem.graph import Knowledge

# Cycles that share no variable double the models each; more than these nobody goes through.
MOST_MODELS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class LiNG:
    """LiNG: linear non-Gaussian models that may have cycles (Lacerda, Spirtes, Ramsey & Hoyer 2008).

    Independent components give W = I − B up to the order and scale of its rows. Entries of W within chance of zero at
    level `alpha`, by `times` bootstrap resamples, are zero; every order of the rows without a zero on the diagonal is a
    model that fits as well as any other. Where cycles share no variable exactly one of them is stable: it settles.
    """

    alpha: float = 0.001
    times: int = 100
    seed: int = 0

    consumes: ClassVar[str] = "rows"
    returns: ClassVar[str] = "FeedbackModels"
    assumes: ClassVar[tuple[str, ...]] = (
        "no hidden confounders",
        "linear relations",
        "non-Gaussian independent noise",
        "no variable acts on itself",
        "measured in equilibrium",
    )

    def __post_init__(self) -> None:
        check_alpha(self.alpha)
        if self.times < 10:
            raise SettingError(f"times is {self.times}; draw 10 resamples or more")


def ling(data: BehaviourTable | pd.DataFrame, method: LiNG | None = None, *, knowledge: Knowledge | None = None) -> FeedbackModels:
    """Return the linear models with or without cycles that LiNG finds in rows, those that settle first.

    Within `knowledge`, as in `discover`: models with a forbidden arrow, or without a required one, are left out. Raises
    DataError for missing values, MomentsError for collinear columns, NotIdentifiedError where no order of the
    components puts every variable's own on the diagonal, or none that is found obeys the knowledge.
    """
    settings, table = method or LiNG(), as_table(data)
    rows, origin = table.complete(), origin_of(data)
    Moments.from_rows(rows, table.names).require_regular()
    if len(rows) < 10 * len(table.names):
        raise DataError(f"{len(rows):,} rows for {len(table.names)} variables; independent components need 10 rows a variable or more")
    W = pruned(rows, settings)
    sd = rows.std(axis=0)
    rules = Rules.of(known_of(knowledge, origin), table.names)
    found = list(coefficient_matrices(W))
    allowed = [B for B in found if not ((B.T != 0) & rules.forbidden).any() and not ((B.T == 0) & rules.required).any()]
    if not allowed:
        why = "none of them obeys the knowledge" if found else "one of the components is tied to no variable of its own"
        raise NotIdentifiedError(f"{len(found)} models fit, but {why}; relax the knowledge or alpha, or bring more rows", models=len(found))
    models = sorted((FeedbackModel(table.names, B * sd[:, None] / sd) for B in allowed), key=lambda one: one.spectral_radius)
    if len(found) >= MOST_MODELS:
        warnings.warn(f"only the first {MOST_MODELS} models were looked at; add tiers, or lower alpha", AssumptionWarning, stacklevel=2)
    facts: dict[str, Any] = {"method": "LiNG", "alpha": settings.alpha, "times": settings.times, "seed": settings.seed, "n": len(rows)}
    return FeedbackModels(tuple(models), facts | {"assumes": list(settings.assumes)} | told_of(knowledge, origin))


def pruned(rows: FloatArray, settings: LiNG) -> FloatArray:
    """Return the unmixing matrix W (p, p) of standardised rows (n, p), its entries within chance of zero set to zero."""
    rng, n = np.random.default_rng(settings.seed), len(rows)
    standard = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    W = unmixing(standard)
    again = np.stack([_aligned(unmixing(standard[rng.integers(0, n, n)], start=W), W) for _ in range(settings.times)])
    return np.where(np.abs(W) > norm.isf(settings.alpha / 2) * again.std(axis=0, ddof=1), W, 0.0)


def _aligned(W: FloatArray, like: FloatArray) -> FloatArray:
    """Return the rows of W with the signs of those of `like`."""
    return np.asarray(W * np.where((W * like).sum(axis=1) < 0, -1.0, 1.0)[:, None])


def coefficient_matrices(W: FloatArray) -> Iterator[FloatArray]:
    """Yield B = I − D⁻¹ P W for every order P of the rows of W without a zero on the diagonal, D, up to MOST_MODELS of them."""
    for count, rows in enumerate(admissible(W != 0)):
        if count == MOST_MODELS:
            return
        matched = W[rows]
        yield np.eye(len(W)) - matched / np.diag(matched)[:, None]


def admissible(nonzero: BoolArray) -> Iterator[list[int]]:
    """Yield every way to give each variable (column) a row of its own that is not zero there; the scarcest column first."""
    p = len(nonzero)
    columns = sorted(range(p), key=lambda k: int(nonzero[:, k].sum()))

    def extend(place: int, chosen: dict[int, int]) -> Iterator[list[int]]:
        if place == p:
            yield [chosen[k] for k in range(p)]
            return
        column = columns[place]
        for row in np.flatnonzero(nonzero[:, column]).tolist():
            if row not in chosen.values():
                yield from extend(place + 1, chosen | {column: row})

    return extend(0, {})
