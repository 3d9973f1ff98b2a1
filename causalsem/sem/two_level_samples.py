"""The samples of a two-level model: unrestricted moments of both levels by maximum likelihood, and the rows in clusters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from causalsem.errors import DataError, NotConvergedError, SettingError
from causalsem.sem.clusters import Clustered
from causalsem.sem.constraints import Constraints, Labels
from causalsem.sem.matrices import implied
from causalsem.sem.options import SEMOptions
from causalsem.sem.partable import Names
from causalsem.sem.sample import Data, Sample, rows_by_group
from causalsem.sem.solver import minimise
from causalsem.sem.two_level import TwoLevelML, first_moments, saturated_pair


def two_level_samples(data: Data, names: Sequence[Names], labels: Sequence[str], options: SEMOptions) -> tuple[Sample, ...]:
    """Return (within, between) samples of every group; raises DataError where a level cannot be told from the rows."""
    out: list[Sample] = []
    wanted = [tuple(dict.fromkeys((*names[k].ov, *names[k + 1].ov))) for k in range(0, len(names), 2)]
    for k, (label, rows, clusters) in enumerate(rows_by_group(data, wanted, labels, options)):
        out += _pair((names[2 * k], names[2 * k + 1]), label, rows, wanted[k], clusters)
    return tuple(out)


def _pair(role: tuple[Names, Names], label: str, rows: np.ndarray, wanted: Sequence[str], clusters: np.ndarray) -> tuple[Sample, Sample]:
    """Return the samples of one group."""
    clustered = Clustered.of(rows, wanted, len(role[0].ov), clusters)
    if clustered.count < 2 or clustered.count == clustered.n:
        raise DataError(f"{clustered.count} clusters of {clustered.n} rows; a two-level model needs several, some with two rows or more")
    _check_levels(clustered, rows, role)
    start = first_moments(clustered, role)
    plain = (_all_random(role[0]), _all_random(role[1]))
    within, between, theta = saturated_pair(plain, ((), ()), start, 0, independent=False)
    problem = TwoLevelML.build((within, between), (clustered,), len(theta))
    found = minimise(problem, theta, Constraints(Labels({}, {}, (), len(theta))))
    if not found.converged:
        cure = "do all of them vary between clusters? use fewer variables or more clusters"
        raise NotConvergedError(f"the unrestricted two-level model has no optimum; {cure}", partial=found.theta)
    first, second = (implied(ram, found.theta) for ram in (within, between))
    return (
        Sample(label, role[0].ov, clustered.n, first.mu, first.sigma, rows, level=1, clustered=clustered),
        Sample(label, role[1].ov, clustered.count, second.mu, second.sigma, level=2),
    )


def _all_random(names: Names) -> Names:
    return Names(names.ov, (), (), (), (), ())


def _check_levels(clustered: Clustered, rows: np.ndarray, role: tuple[Names, Names]) -> None:
    """Raise where a variable of the first level does not vary within clusters, or one of the second does."""
    spread = np.sqrt((clustered.deviations**2).mean(axis=0))
    for name, one in zip(role[0].ov, spread, strict=True):
        if one < 1e-10:
            raise DataError(f"{name!r} does not vary within clusters; leave it to level 2", columns=[name])
    only = [k for k, n in enumerate(clustered.names) if n not in role[0].ov]
    if only:
        values = pd.DataFrame(rows[:, only]).groupby(clustered.member).transform("first").to_numpy()
        apart = np.abs(values - rows[:, only]).max(axis=0)
        for k, one in zip(only, apart, strict=True):
            if one > 1e-8:
                raise SettingError(f"{clustered.names[k]!r} stands on level 2 only but varies within clusters; name it on level 1 too")
