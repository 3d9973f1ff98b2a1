"""Studies of one treatment whose effect is known: IHDP, twins, LaLonde's training programme."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import pandas as pd
from scipy.special import expit

from causalsem._values import FloatArray
from causalsem.behaviour import BehaviourTable
from causalsem.behaviour.table import Role
from causalsem.datasets.public_files import PathLike, folder_of, need_columns, need_numbers, one_file, read_csv, the_file
from causalsem.errors import DataError, SettingError, shown

IHDP_TRAITS = tuple(f"x{k}" for k in range(1, 26))
IHDP_COLUMNS = ("treatment", "outcome", "counterfactual", "mean_untreated", "mean_treated", *IHDP_TRAITS)
TWIN_OUTCOMES = ("outcome(t=0)", "outcome(t=1)")
# Days to death; 9999 stands for alive after the first year.
SURVIVED = 9999
LALONDE_TRAITS = ("age", "educ", "black", "hisp", "marr", "nodegree", "re74", "re75")

Controls = Literal["experiment", "survey"]


def load_ihdp(path: PathLike) -> BehaviourTable:
    """Return one replication of IHDP: `treatment`, simulated `outcome`, and 25 traits `x1` … `x25` of 747 infants.

    `path` is a file ihdp_npci_N.csv(.gz), or a folder with one, without header: treatment, factual and counterfactual
    outcome, both means, traits.
    Its truth is `ihdp_truth(path)`. Cite Hill (2011), and Shalit, Johansson & Sontag (2017) for these replications; the
    simulation is by the npci package (GPL), the files state no licence: research use.

    Raises FileError for what cannot be read and DataError for other columns.
    """
    return _study(_ihdp(path), "treatment", "outcome", IHDP_TRAITS)


def ihdp_truth(path: PathLike) -> FloatArray:
    """Return each infant's mean outcome without and with treatment, (747, 2), of a replication of IHDP."""
    return _ihdp(path)[["mean_untreated", "mean_treated"]].to_numpy(dtype=np.float64)


def load_twins(path: PathLike, *, strength: float = 1.0, seed: int = 0) -> BehaviourTable:
    """Return 11,400 pairs of twins: `treatment` says which twin was seen, `outcome` whether it died in its first year.

    Treatment, being the heavier twin, is drawn by chance from the 30 traits (Yoon, Jordon & van der Schaar 2018, with
    weights uniform in ±`strength`/10 of standardised traits; 0 makes an experiment). `path` is Twin_data.csv(.gz) or its
    folder. Its truth is `twins_truth(path)`. Cite Almond, Chay & Lee (2005) and Louizos et al. (2017); NBER's linked births
    are US public data.
    """
    if not (isinstance(strength, (int, float)) and 0 <= strength < np.inf):
        raise SettingError(f"strength={strength!r}; hand in a number, 0 for an experiment, 1 for weights as published")
    frame = _twins(path)
    traits = tuple(name for name in frame if name not in TWIN_OUTCOMES)
    rng = np.random.default_rng(seed)
    Z = frame[list(traits)].to_numpy(dtype=np.float64)
    Z = (Z - Z.mean(axis=0)) / np.maximum(Z.std(axis=0), 1e-12)
    treated = rng.random(len(Z)) < expit(Z @ rng.uniform(-strength / 10, strength / 10, Z.shape[1]))
    died = twins_truth(path)
    frame = frame[list(traits)].assign(treatment=treated * 1.0, outcome=np.where(treated, died[:, 1], died[:, 0]))
    return _study(frame, "treatment", "outcome", traits)


def twins_truth(path: PathLike) -> FloatArray:
    """Return whether the lighter and the heavier twin of each pair died in the first year, (pairs, 2)."""
    return (_twins(path)[list(TWIN_OUTCOMES)].to_numpy() < SURVIVED).astype(np.float64)


def load_lalonde(folder: PathLike, *, controls: Controls = "experiment") -> BehaviourTable:
    """Return LaLonde's job training: `treat`, earnings `re78` after it (dollars), and 8 traits before it.

    `controls` "experiment" are the programme's own (445 rows; the effect is 1,794 dollars), "survey" 15,992 people of the
    Current Population Survey in their stead, which is confounded. `folder` holds nsw_mixtape.csv and cps_mixtape.csv,
    plain or .gz. Cite LaLonde (1986) and Dehejia & Wahba (1999); as packaged by causaldata (MIT).
    """
    if controls not in get_args(Controls):
        raise SettingError(f"unknown controls {controls!r}; use one of {shown(get_args(Controls))}")
    columns = ("treat", *LALONDE_TRAITS, "re78")
    frame = need_columns(read_csv(the_file(folder, "nsw_mixtape.csv")), columns, folder)
    if controls == "survey":
        survey = need_columns(read_csv(the_file(folder_of(folder), "cps_mixtape.csv")), columns, folder)
        frame = pd.concat([frame[frame["treat"] == 1], survey], ignore_index=True)
    return _study(frame, "treat", "re78", LALONDE_TRAITS)


def _study(frame: pd.DataFrame, treatment: str, outcome: str, traits: tuple[str, ...]) -> BehaviourTable:
    roles: dict[str, Role] = {treatment: "exposure", outcome: "outcome", **dict.fromkeys(traits, "trait")}
    return BehaviourTable.from_frame(frame[[treatment, outcome, *traits]], roles=roles, tiers=(traits, (treatment,), (outcome,)))


def _ihdp(path: PathLike) -> pd.DataFrame:
    frame = read_csv(one_file(path, "ihdp_npci_*.csv"), header=None)
    if frame.shape[1] != len(IHDP_COLUMNS) or not set(np.unique(frame.iloc[:, 0])) <= {0, 1}:
        found = f"{frame.shape[1]} columns, the first with {frame.iloc[:, 0].nunique()} values"
        raise DataError(f"{path} has {found}; IHDP has 30 without a header line, the first 0 or 1")
    return frame.set_axis(list(IHDP_COLUMNS), axis=1)


def _twins(path: PathLike) -> pd.DataFrame:
    frame = read_csv(one_file(path, "Twin_data.csv"))
    # The public file quotes some names with one kind of quote on the left and another on the right.
    frame = need_columns(frame.rename(columns=lambda name: str(name).strip(" '’‘\"")), TWIN_OUTCOMES, path)
    return need_numbers(frame, frame.columns, path)
