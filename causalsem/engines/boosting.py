"""scikit-learn and LightGBM: gradient-boosted trees, stopped early on held-out rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from causalsem._values import FloatArray
from causalsem.errors import NotInstalledError

if TYPE_CHECKING:
    from causalsem.effects.nuisance import Boosted

HELD_OUT = 10
PATIENCE = 10


def scikit_learn(
    Z: FloatArray, y: FloatArray, Z_new: FloatArray, settings: Boosted, *, rounds: int, classes: bool, stop: bool, seed: int
) -> FloatArray:
    """Return E[y | Z_new] by histogram gradient boosting; raises NotInstalledError."""
    try:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    except ImportError:
        raise NotInstalledError("scikit-learn", need="gradient boosting") from None
    told: dict[str, Any] = {"max_iter": rounds, "early_stopping": stop, "random_state": seed}
    told |= {"learning_rate": settings.learning_rate, "max_leaf_nodes": settings.leaves, "min_samples_leaf": settings.smallest_leaf}
    model = HistGradientBoostingClassifier(**told) if classes else HistGradientBoostingRegressor(**told)
    model.fit(Z, y)
    return np.asarray(model.predict_proba(Z_new)[:, 1] if classes else model.predict(Z_new), dtype=np.float64)


def lightgbm(
    Z: FloatArray, y: FloatArray, Z_new: FloatArray, settings: Boosted, *, rounds: int, classes: bool, stop: bool, seed: int
) -> FloatArray:
    """Return E[y | Z_new] by LightGBM; raises NotInstalledError."""
    try:
        import lightgbm as lgb
    except ImportError:
        raise NotInstalledError("lightgbm", extra="cate", need="Boosted(engine='lightgbm')") from None
    told: dict[str, Any] = {"objective": "binary" if classes else "regression", "verbosity": -1, "num_threads": 1, "seed": seed}
    told |= {"learning_rate": settings.learning_rate, "num_leaves": settings.leaves, "min_data_in_leaf": settings.smallest_leaf}
    told |= {"deterministic": True, "force_row_wise": True}
    held = np.random.default_rng(seed).permutation(len(y)) % HELD_OUT == 0 if stop else np.zeros(len(y), dtype=bool)
    train = lgb.Dataset(Z[~held], y[~held])
    checks: dict[str, Any] = {
        "valid_sets": [lgb.Dataset(Z[held], y[held], reference=train)],
        "callbacks": [lgb.early_stopping(PATIENCE, verbose=False)],
    }
    model = lgb.train(told, train, num_boost_round=rounds, **checks)
    return np.asarray(model.predict(Z_new), dtype=np.float64)
