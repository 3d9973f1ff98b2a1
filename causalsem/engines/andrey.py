"""andrey: BOSS, GRaSP, GES and DirectLiNGAM carried out by andrey-core."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from causalsem._values import FloatArray
from causalsem.behaviour import Moments
from causalsem.discovery.boss import BOSS
from causalsem.discovery.direct_lingam import DirectLiNGAM, dag_of_order
from causalsem.discovery.found import Found, Rules
from causalsem.discovery.ges import GES
from causalsem.discovery.grasp import GRaSP
from causalsem.discovery.order import precedence
from causalsem.discovery.orient import class_of
from causalsem.engines.pseudo_rows import penalty_for, pseudo_rows
from causalsem.errors import CausalSEMError, NotInstalledError, SettingError
from causalsem.graph.pdag import PDAG

SEARCHES = {BOSS: "boss", GRaSP: "grasp", GES: "ges", DirectLiNGAM: "direct_lingam"}


def discover(data: Moments | FloatArray, settings: Any, rules: Rules) -> Found:
    """Return what andrey finds, within the rules; raises CausalSEMError when it breaks down."""
    if type(settings) not in SEARCHES:
        raise SettingError(f"andrey does not carry out {type(settings).__name__}; use engine='causalsem'")
    try:
        import andrey
    except ImportError:
        raise NotInstalledError("andrey-core", need="engine='andrey'") from None
    search = getattr(andrey, SEARCHES[type(settings)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if isinstance(data, Moments):
                rows = pseudo_rows(data)
                told = search(
                    rows, lambda_value=penalty_for(data, rows, settings.penalty_discount), knowledge=_knowledge(rules), **_seed(settings)
                )
                return _class_of(told.structure, rules)
            told = search(np.array(data), knowledge=_precedence(rules))
        except (ValueError, TypeError, NotImplementedError, RuntimeError) as why:
            if isinstance(why, CausalSEMError):
                raise
            message = f"andrey could not carry out {type(settings).__name__}: {why}; check the data, or use engine='causalsem'"
            raise CausalSEMError(message) from why
    return dag_of_order(data, [int(k) for k in told.ordering], settings.penalty_discount, rules)


def _seed(settings: Any) -> dict[str, int]:
    """Return the seed of the searches that take one."""
    return {"seed": settings.seed} if hasattr(settings, "seed") else {}


def _knowledge(rules: Rules) -> Any:
    from andrey import Knowledge

    if rules.silent:
        return None
    return Knowledge(required=np.argwhere(rules.required).tolist(), forbidden=np.argwhere(rules.forbidden).tolist())


def _precedence(rules: Rules) -> Any:
    """Return that what has to come later in a causal order may not cause what comes before."""
    from andrey import Knowledge

    before = precedence(rules)
    return Knowledge(forbidden=np.argwhere(before.T).tolist()) if before.any() else None


def _class_of(structure: Any, rules: Rules) -> Found:
    p = structure.n_nodes
    directed, line = np.zeros((p, p), dtype=bool), np.zeros((p, p), dtype=bool)
    for a, b, kind in structure.oriented_edges(index=True):
        if kind == "directed":
            directed[a, b] = True
        else:
            line[a, b] = line[b, a] = True
    dag = PDAG.from_matrices(directed, line).extension()
    if dag is None:
        raise CausalSEMError("andrey returned a graph of which no DAG is a member; use engine='causalsem'")
    return class_of(dag, rules)
