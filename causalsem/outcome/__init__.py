"""The deep outcome model: losses that correct the logging bias, one training loop, cross-fitting."""

from causalsem.outcome.fit import fit_outcome
from causalsem.outcome.loop import Loop
from causalsem.outcome.losses import (
    DCMT,
    DR,
    DRJL,
    DRMSE,
    DRV2,
    ESCMDR,
    ESCMIPS,
    ESMM,
    IPS,
    IPSV2,
    MRDR,
    SNIPS,
    TDR,
    UBPR,
    DRBias,
    Naive,
    RelMF,
    StableDR,
)
from causalsem.outcome.model import OutcomeModel
from causalsem.outcome.propensities import Boosted, Logistic, NaiveBayes, Popularity
from causalsem.outcome.ridits import ridits

__all__ = [
    "fit_outcome",
    "OutcomeModel",
    "Loop",
    "Naive",
    "IPS",
    "SNIPS",
    "DR",
    "DRJL",
    "MRDR",
    "DRBias",
    "DRMSE",
    "TDR",
    "StableDR",
    "IPSV2",
    "DRV2",
    "RelMF",
    "UBPR",
    "ESMM",
    "ESCMIPS",
    "ESCMDR",
    "DCMT",
    "Popularity",
    "NaiveBayes",
    "Logistic",
    "Boosted",
    "ridits",
]
