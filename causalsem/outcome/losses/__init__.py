"""The losses of the outcome model: one small file each, one line in the table."""

from causalsem.outcome.losses.base import Loss, LossBatch
from causalsem.outcome.losses.dcmt import DCMT
from causalsem.outcome.losses.dr import DR
from causalsem.outcome.losses.dr_bias import DRBias
from causalsem.outcome.losses.dr_jl import DRJL
from causalsem.outcome.losses.dr_mse import DRMSE
from causalsem.outcome.losses.dr_v2 import DRV2
from causalsem.outcome.losses.escm_dr import ESCMDR
from causalsem.outcome.losses.escm_ips import ESCMIPS
from causalsem.outcome.losses.esmm import ESMM
from causalsem.outcome.losses.ips import IPS
from causalsem.outcome.losses.ips_v2 import IPSV2
from causalsem.outcome.losses.mrdr import MRDR
from causalsem.outcome.losses.naive import Naive
from causalsem.outcome.losses.rel_mf import RelMF
from causalsem.outcome.losses.snips import SNIPS
from causalsem.outcome.losses.stable_dr import StableDR
from causalsem.outcome.losses.table import LOSSES, loss_of
from causalsem.outcome.losses.tdr import TDR
from causalsem.outcome.losses.ubpr import UBPR

__all__ = [
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
    "Loss",
    "LossBatch",
    "LOSSES",
    "loss_of",
]
