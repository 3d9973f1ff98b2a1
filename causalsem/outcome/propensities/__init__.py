"""Propensities of the outcome model: one small file each, one line in the table; by default the network's own head."""

from causalsem.outcome.propensities.base import Exposures, Propensity
from causalsem.outcome.propensities.boosted import Boosted
from causalsem.outcome.propensities.logistic import Logistic
from causalsem.outcome.propensities.naive_bayes import NaiveBayes
from causalsem.outcome.propensities.popularity import Popularity
from causalsem.outcome.propensities.table import PROPENSITIES

__all__ = ["Popularity", "NaiveBayes", "Logistic", "Boosted", "Propensity", "Exposures", "PROPENSITIES"]
