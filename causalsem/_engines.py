"""The lazy table of outside packages: no stage imports `causalsem.engines`, it asks here by step and name."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from causalsem.errors import SettingError, shown

# (step, engine) → "module:function"; the module is imported when the engine is first asked for.
ENGINES = {
    ("discover", "causal-learn"): "causalsem.engines.causal_learn:discover",
    ("independence", "causal-learn"): "causalsem.engines.causal_learn:kernel_test",
    ("discover", "flopsearch"): "causalsem.engines.flopsearch:discover",
    ("discover", "andrey"): "causalsem.engines.andrey:discover",
    ("cd_nod", "causal-learn"): "causalsem.engines.causal_learn:cd_nod",
    ("fit_sem", "semopy"): "causalsem.engines.semopy:fit",
    ("identify", "dowhy"): "causalsem.engines.dowhy:identify",
    ("estimate", "econml"): "causalsem.engines.econml:causal_forest",
    ("grow a tree", "econml"): "causalsem.engines.econml:causal_tree",
    ("boost", "scikit-learn"): "causalsem.engines.boosting:scikit_learn",
    ("boost", "lightgbm"): "causalsem.engines.boosting:lightgbm",
}


def load_engine(step: str, name: str) -> Callable[..., Any]:
    """Return the function of an engine; raises SettingError for a name nobody knows for this step."""
    target = ENGINES.get((step, name))
    if target is None:
        known = [engine for s, engine in ENGINES if s == step]
        raise SettingError(f"no engine {name!r} for {step}; use 'causalsem' or one of {shown(known)}")
    module, function = target.split(":")
    loaded: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return loaded
