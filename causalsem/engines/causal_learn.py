"""causal-learn: PC, FCI, GES and DirectLiNGAM carried out by the package of the CMU group."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from causalsem._values import BoolArray, FloatArray
from causalsem.behaviour import Moments
from causalsem.discovery.direct_lingam import DirectLiNGAM, dag_of_order
from causalsem.discovery.fci import FCI, as_pag
from causalsem.discovery.found import Conflict, Found, Rules
from causalsem.discovery.ges import GES
from causalsem.discovery.order import precedence
from causalsem.discovery.orient import Collider, orient
from causalsem.discovery.pc import PC
from causalsem.errors import CausalSEMError, NotInstalledError, SettingError
from causalsem.graph.causal_graph import ARROW, CIRCLE, TAIL, MarkArray
from causalsem.graph.pag import PAG

# causal-learn writes graph[i, j] = mark at i of the edge i – j: −1 tail, 1 arrow, 2 circle.
THEIR_MARKS = {0: 0, -1: TAIL, 1: ARROW, 2: CIRCLE}


def discover(data: Moments | FloatArray, settings: Any, rules: Rules) -> Found:
    """Return what causal-learn finds, within the rules; raises CausalSEMError when it breaks down."""
    adapters: dict[type, Callable[[Any, Any, Rules], Found]] = {PC: _pc, FCI: _fci, GES: _ges, DirectLiNGAM: _direct_lingam}
    carry_out = adapters.get(type(settings))
    if carry_out is None:
        raise SettingError(f"causal-learn does not carry out {type(settings).__name__}; use engine='causalsem'")
    try:
        import causallearn  # noqa: F401  # asked for here, so that its absence has our message
    except ImportError:
        raise NotInstalledError("causal-learn", need="engine='causal-learn'") from None
    with silenced():
        try:
            return carry_out(data, settings, rules)
        except (ValueError, IndexError, KeyError, TypeError, AssertionError, np.linalg.LinAlgError) as why:
            if isinstance(why, CausalSEMError):
                raise
            message = f"causal-learn could not carry out {type(settings).__name__}: {why}; check the data, or use engine='causalsem'"
            raise CausalSEMError(message) from why


def cd_nod(rows: FloatArray, alpha: float, kernel: bool, rules: Rules) -> Found:
    """Return what causal-learn's CD-NOD finds in rows whose last column is the context, within the rules."""
    try:
        from causallearn.search.ConstraintBased.CDNOD import cdnod
    except ImportError:
        raise NotInstalledError("causal-learn", need="CD-NOD") from None
    with silenced():
        graph = cdnod(rows[:, :-1], rows[:, -1:], alpha, "kci" if kernel else "fisherz", show_progress=False)
    return _within(_marks(graph.G.graph), Moments.from_rows(rows, [f"X{k}" for k in range(rows.shape[1])]), rules)


def kernel_test(rows: FloatArray) -> float:
    """Return the p-value of causal-learn's KCI for columns 0 and 1 of rows given the others."""
    try:
        from causallearn.utils.cit import CIT
    except ImportError:
        raise NotInstalledError("causal-learn", need="KCI") from None
    with silenced():
        return float(CIT(np.array(rows), "kci")(0, 1, tuple(range(2, rows.shape[1]))))


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Swallow what causal-learn prints and warns about."""
    nowhere = io.StringIO()
    with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _pc(data: Moments, settings: PC, rules: Rules) -> Found:
    """Take causal-learn's skeleton and colliders; where they contradict themselves or the rules, `orient` decides and says so."""
    from causallearn.search.ConstraintBased.PC import pc

    # causal-learn has no majority rule; max-p is its nearest, and the provenance says so.
    rule = {"majority": "max-p", "max-p": "max-p", "sepset": "sepset"}.get(settings.colliders)
    if rule is None:
        raise SettingError(f"causal-learn has no collider rule {settings.colliders!r}; use 'max-p', 'sepset' or engine='causalsem'")
    nodes, background = _background(rules)
    graph = pc(
        _no_rows(data),
        settings.alpha,
        _correlation_test(),
        stable=True,
        uc_rule={"sepset": 0, "max-p": 1}[rule],
        uc_priority=3,
        background_knowledge=background,
        show_progress=False,
        node_names=nodes,
        max_k=settings.max_conditioning,
        correlation=data.correlation,
    )
    found = _within(_marks(graph.G.graph), data, rules)
    return Found(found.marks, found.kind, found.conflicts, (("engine_colliders", rule),))


def _fci(data: Moments, settings: FCI, rules: Rules) -> Found:
    from causallearn.search.ConstraintBased.FCI import fci

    nodes, background = _background(rules)
    depth = -1 if settings.max_conditioning is None else settings.max_conditioning
    graph, _ = fci(
        _no_rows(data),
        _correlation_test(),
        settings.alpha,
        depth=depth,
        background_knowledge=background,
        show_progress=False,
        node_names=nodes,
        correlation=data.correlation,
    )
    return _as_pag(_marks(graph.graph), rules)


def _as_pag(marks: MarkArray, rules: Rules) -> Found:
    """Return their marks as a PAG; arrows on a cycle, which contradictory tests leave in theirs, are weakened and told."""
    graph = PAG(marks != 0)
    for i, j in np.argwhere(marks == ARROW).tolist():
        graph.put_head(i, j)
    for i, j in np.argwhere(marks == TAIL).tolist():
        graph.put_tail(i, j)
    graph.settle()
    return as_pag(graph, rules, [])


def _ges(data: Moments, settings: GES, rules: Rules) -> Found:
    from causallearn.search.ScoreBased.GES import ges

    record = ges(cov=data.correlation, n=data.n, lambda_value=settings.penalty_discount / 2)
    found = _within(_marks(record["G"].graph), data, rules)
    # causal-learn minimises; ours counts gains over the empty graph.
    return Found(found.marks, found.kind, found.conflicts, (("engine_score", -float(np.asarray(record["score"]).ravel()[0])),))


def _direct_lingam(data: FloatArray, settings: DirectLiNGAM, rules: Rules) -> Found:
    """Take causal-learn's order, with tiers and required arrows as its prior knowledge, and choose parents as our own does."""
    from causallearn.search.FCMBased.lingam import DirectLiNGAM as TheirDirectLiNGAM

    before = precedence(rules)
    # Their prior[i, j]: 1 when j leads to i, 0 when it does not, −1 when nobody knows.
    prior = np.where(before.T, 1, np.where(before, 0, -1))
    model = TheirDirectLiNGAM(prior_knowledge=prior if before.any() else None)
    model.fit(np.array(data))
    return dag_of_order(data, model.causal_order_, settings.penalty_discount, rules)


def _within(marks: MarkArray, data: Moments, rules: Rules) -> Found:
    """Return the nearest valid class: causal-learn's own when it is one, else its skeleton and colliders made consistent."""
    adjacent = ((marks != 0) & ~rules.apart) | rules.joined
    conflicts = [Conflict("edge {0} - {1} dropped", (i, j), "knowledge allows none") for i, j in _pairs((marks != 0) & rules.apart)]
    conflicts += [Conflict("edge {0} - {1} added", (i, j), "knowledge requires it") for i, j in _pairs((marks == 0) & rules.joined)]
    into = marks == ARROW
    strength = np.abs(data.correlation)
    claims = [
        Collider(int(a), m, int(b), float(strength[a, m] + strength[b, m]))
        for m in range(len(marks))
        for a in np.flatnonzero(into[:, m])
        for b in np.flatnonzero(into[:, m])
        if a < b and not adjacent[a, b] and adjacent[a, m] and adjacent[b, m]
    ]
    return orient(adjacent, claims, rules, strength, conflicts)


def _pairs(matrix: BoolArray) -> list[tuple[int, int]]:
    return [(int(i), int(j)) for i, j in np.argwhere(np.triu(matrix))]


def _marks(theirs: npt.NDArray[Any]) -> MarkArray:
    """Return our marks of causal-learn's matrix: theirs[i, j] is the mark at i, ours the mark at j."""
    ours = np.zeros(theirs.shape, dtype=np.int8)
    for code, mark in THEIR_MARKS.items():
        ours[code == theirs.T] = mark
    return ours


def _background(rules: Rules) -> tuple[list[str], Any]:
    """Return safe node names and causal-learn's BackgroundKnowledge (None when there is nothing to say)."""
    from causallearn.graph.GraphNode import GraphNode
    from causallearn.utils.PCUtils.BackgroundKnowledge import BackgroundKnowledge

    names = [f"X{k + 1}" for k in range(len(rules.forbidden))]
    if rules.silent:
        return names, None
    nodes = [GraphNode(name) for name in names]
    background = BackgroundKnowledge()
    for i, j in np.argwhere(rules.forbidden):
        background.add_forbidden_by_node(nodes[i], nodes[j])
    for i, j in np.argwhere(rules.required):
        background.add_required_by_node(nodes[i], nodes[j])
    return names, background


def _no_rows(data: Moments) -> FloatArray:
    """Return an array of the right shape without memory behind it: the test reads the correlation instead."""
    return np.broadcast_to(np.float64(0.0), (data.n, len(data.names)))


def _correlation_test() -> str:
    """Register Fisher's z on a given correlation matrix with causal-learn and return its name."""
    from causallearn.utils.cit import NO_SPECIFIED_PARAMETERS_MSG, CIT_Base, FisherZ, register_ci_test

    name = "causalsem_fisherz"

    class CorrelationFisherZ(FisherZ):  # type: ignore[misc]  # causal-learn is untyped
        def __init__(self, data: FloatArray, correlation: FloatArray) -> None:
            CIT_Base.__init__(self, data)
            self.check_cache_method_consistent("fisherz", NO_SPECIFIED_PARAMETERS_MSG)
            self.correlation_matrix = correlation
            # causal-learn copies its tests, and a copy of the rows would no longer be without memory behind it.
            self.data = data[:2]

    register_ci_test(name, CorrelationFisherZ)
    return name
