"""Causal discovery: from moments or rows to a causal graph, and how sure each edge is."""

from causalsem.discovery.bootstrap import bootstrap
from causalsem.discovery.boss import BOSS
from causalsem.discovery.direct_lingam import DirectLiNGAM
from causalsem.discovery.discover import discover
from causalsem.discovery.fci import BOSSFCI, FCI
from causalsem.discovery.flop import FLOP
from causalsem.discovery.ges import GES
from causalsem.discovery.hurdle import HurdleMoments, hurdle_moments
from causalsem.discovery.methods import METHODS, Method
from causalsem.discovery.pc import PC
from causalsem.discovery.posterior import graph_posterior
from causalsem.discovery.rfci import RFCI
from causalsem.discovery.stability import EdgeStability

__all__ = [
    "BOSS",
    "BOSSFCI",
    "DirectLiNGAM",
    "EdgeStability",
    "FCI",
    "FLOP",
    "GES",
    "HurdleMoments",
    "METHODS",
    "Method",
    "PC",
    "RFCI",
    "bootstrap",
    "discover",
    "graph_posterior",
    "hurdle_moments",
]
