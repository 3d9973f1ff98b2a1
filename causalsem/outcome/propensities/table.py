"""The table of propensity methods: a string may stand for a column, or for a method with default settings."""

from __future__ import annotations

from collections.abc import Sequence

from causalsem.errors import SettingError, UnknownNameError, check_kind
from causalsem.outcome.propensities.base import Propensity
from causalsem.outcome.propensities.boosted import Boosted
from causalsem.outcome.propensities.logistic import Logistic
from causalsem.outcome.propensities.naive_bayes import NaiveBayes
from causalsem.outcome.propensities.popularity import Popularity

PROPENSITIES: dict[str, type[Propensity]] = {method.name: method for method in (Popularity, NaiveBayes, Logistic, Boosted)}


def propensity_of(propensity: Propensity | str | None, columns: Sequence[str]) -> Propensity | str | None:
    """Return the propensity a caller meant: a method, the name of one of the `columns`, or None for the network's own head.

    Raises UnknownNameError for a name nobody knows, SettingError for one that is both and for what is no propensity at all.
    """
    if isinstance(propensity, str) and propensity in columns and propensity in PROPENSITIES:
        method = PROPENSITIES[propensity].__name__
        raise SettingError(f"{propensity!r} is a column and a method; hand in {method}() for the method, or rename the column")
    if not isinstance(propensity, str) or propensity in columns:
        check_kind(
            propensity, (Propensity, str, type(None)), "a propensity", "name a column that holds it, or hand in a method such as Logistic()"
        )
        return propensity
    if propensity not in PROPENSITIES:
        raise UnknownNameError(propensity, (*columns, *PROPENSITIES), what="propensity", where="the columns of the pairs and the methods")
    return PROPENSITIES[propensity]()
