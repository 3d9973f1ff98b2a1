"""sensitivity(): the graphs that a method finds as its alpha or its penalty changes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from causalsem.discovery.auto import Auto, choose
from causalsem.discovery.budget import while_in_time
from causalsem.discovery.discover import Data, discover, told
from causalsem.discovery.methods import Method, as_method
from causalsem.discovery.stability import EdgeStability
from causalsem.errors import SettingError
from causalsem.graph import Knowledge
from causalsem.graph.causal_graph import Kind

# What each setting is tried at, from most edges to fewest.
VALUES = {"penalty_discount": (0.5, 1.0, 1.5, 2.0, 3.0, 4.0), "alpha": (0.1, 0.05, 0.02, 0.01, 0.005, 0.001)}


def sensitivity(
    data: Data,
    method: Method | str = "auto",
    *,
    setting: str | None = None,
    values: Iterable[float] | None = None,
    knowledge: Knowledge | None = None,
    names: Iterable[str] | None = None,
) -> EdgeStability:
    """Return the graphs that a method finds with one setting at each of several values; shares are of these values.

    `setting` is the method's penalty_discount, or its alpha, if not said; `values` stand in `provenance["values"]`, in the
    order of the graphs. An edge in all of them does not hang on the choice. Raises SettingError for a method
    without such a setting; otherwise as `discover`.
    """
    settings: Any = as_method(method)
    if isinstance(settings, Auto) and not hasattr(data, "require_regular"):
        # The representation is chosen once.
        choice = choose(data if names is None else _columns(data, names), settings)
        data, settings, names = choice.data, choice.method, None
    chosen = setting or next((name for name in VALUES if hasattr(settings, name)), None)
    if chosen is None or not hasattr(settings, chosen):
        raise SettingError(
            f"{type(settings).__name__} has no {chosen or 'penalty_discount or alpha'}; name one of its settings that is a number"
        )
    tried = tuple(VALUES.get(chosen, ()) if values is None else values)
    if not tried:
        raise SettingError(f"no values to try {chosen} at; hand in values=[…]")
    graphs = [
        discover(data, replace(settings, **{chosen: value}), knowledge=knowledge, names=names)
        for value in while_in_time(tried, f"sensitivity to {chosen}", total=len(tried))
    ]
    kinds = {graph.kind for graph in graphs}
    kind: Kind = kinds.pop() if len(kinds) == 1 else "MPDAG"
    facts = {"method": type(settings).__name__, "settings": told(settings), "setting": chosen, "values": list(tried[: len(graphs)])}
    return EdgeStability(graphs[0].nodes, np.stack([graph.marks for graph in graphs]), kind, facts)


def _columns(data: Any, names: Iterable[str]) -> Any:
    return data[list(names)] if hasattr(data, "iloc") else data.select(names)
