"""Structural equation models: syntax, parameter table, implied moments, estimators, errors, fit measures, effects, identification."""

from causalsem.sem.bayesian_network import BayesianNetwork, Gaussian, bayesian_network
from causalsem.sem.comparison import compare
from causalsem.sem.effects import Effect, Effects
from causalsem.sem.exports import export_model
from causalsem.sem.fit import fit_sem
from causalsem.sem.from_graph import graph_of_text, lavaan_text
from causalsem.sem.identification_verdict import Identification, check_identification
from causalsem.sem.options import SEMOptions
from causalsem.sem.result import SEMFit
from causalsem.sem.syntax import parse_model
from causalsem.sem.transfer import GroupComparison, compare_groups

__all__ = [
    "BayesianNetwork",
    "Effect",
    "Effects",
    "Gaussian",
    "GroupComparison",
    "Identification",
    "SEMFit",
    "SEMOptions",
    "bayesian_network",
    "check_identification",
    "compare",
    "compare_groups",
    "export_model",
    "fit_sem",
    "graph_of_text",
    "lavaan_text",
    "parse_model",
]
