"""Causal discovery: from moments or rows to a causal graph, and how sure each edge is."""

from causalsem.discovery.auto import Auto
from causalsem.discovery.blocks import BlockMoments, degenerate_moments, hurdle_moments, mixed_moments, rank_moments
from causalsem.discovery.bootstrap import bootstrap
from causalsem.discovery.boss import BOSS
from causalsem.discovery.boss_fci import BOSSFCI
from causalsem.discovery.calibration import EdgeProbabilities, edge_probabilities
from causalsem.discovery.cd_nod import CDNOD, cd_nod
from causalsem.discovery.contexts import with_contexts
from causalsem.discovery.dagma import DAGMA
from causalsem.discovery.direct_lingam import DirectLiNGAM
from causalsem.discovery.discover import discover
from causalsem.discovery.fci import FCI
from causalsem.discovery.feedback import FeedbackModel, FeedbackModels
from causalsem.discovery.flop import FLOP
from causalsem.discovery.ges import GES
from causalsem.discovery.grasp import GRaSP
from causalsem.discovery.ica_lingam import ICALiNGAM
from causalsem.discovery.independence import KCI, TESTS, ChiSquare, ConditionalGaussian, FisherZ, GSquare, RegressionTest
from causalsem.discovery.kinds import VariableKind, variable_kinds
from causalsem.discovery.lagged import lagged
from causalsem.discovery.ling import LiNG, ling
from causalsem.discovery.markov import MarkovCheck, markov_check
from causalsem.discovery.methods import METHODS, Method
from causalsem.discovery.notears import NOTEARS
from causalsem.discovery.pc import PC
from causalsem.discovery.posterior import graph_posterior
from causalsem.discovery.rfci import RFCI
from causalsem.discovery.sensitivity import sensitivity
from causalsem.discovery.sortability import r2_sortability, varsortability
from causalsem.discovery.stability import EdgeStability
from causalsem.discovery.var_lingam import VARLiNGAM, var_lingam

__all__ = [
    "FeedbackModel",
    "FeedbackModels",
    "LiNG",
    "ling",
    "with_contexts",
    "var_lingam",
    "VARLiNGAM",
    "lagged",
    "cd_nod",
    "CDNOD",
    "DAGMA",
    "NOTEARS",
    "r2_sortability",
    "varsortability",
    "MarkovCheck",
    "markov_check",
    "sensitivity",
    "EdgeProbabilities",
    "edge_probabilities",
    "Auto",
    "BOSS",
    "BOSSFCI",
    "BlockMoments",
    "ChiSquare",
    "ConditionalGaussian",
    "DirectLiNGAM",
    "EdgeStability",
    "FCI",
    "FLOP",
    "FisherZ",
    "GES",
    "GSquare",
    "ICALiNGAM",
    "KCI",
    "GRaSP",
    "METHODS",
    "Method",
    "PC",
    "RFCI",
    "RegressionTest",
    "TESTS",
    "VariableKind",
    "bootstrap",
    "degenerate_moments",
    "discover",
    "graph_posterior",
    "hurdle_moments",
    "mixed_moments",
    "rank_moments",
    "variable_kinds",
]
