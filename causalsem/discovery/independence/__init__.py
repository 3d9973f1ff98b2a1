"""Conditional independence tests that read rows, for PC(test=…), FCI(test=…) and RFCI(test=…): one file a test."""

from causalsem.discovery.independence.conditional_gaussian import ConditionalGaussian
from causalsem.discovery.independence.contingency import ChiSquare, GSquare
from causalsem.discovery.independence.fisher_z import FisherZ
from causalsem.discovery.independence.kci import KCI
from causalsem.discovery.independence.regression import RegressionTest
from causalsem.discovery.independence.row_tests import TESTS, IndependenceTest, RowTests

__all__ = [
    "TESTS",
    "ChiSquare",
    "ConditionalGaussian",
    "FisherZ",
    "GSquare",
    "IndependenceTest",
    "KCI",
    "RegressionTest",
    "RowTests",
]
