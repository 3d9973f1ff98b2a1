"""econml: generalised random forests and their single trees."""

from __future__ import annotations

from typing import Any

import numpy as np

from causalsem._values import FloatArray, IntArray
from causalsem.errors import NotInstalledError

TREES_PER_SUBFOREST = 4


def causal_forest(
    X: FloatArray, t_residual: FloatArray, y_residual: FloatArray, X_new: FloatArray, *, trees: int, smallest_leaf: int, seed: int
) -> FloatArray:
    """Return the effects (m,) at X_new of an honest causal forest grown on residuals; raises NotInstalledError."""
    try:
        from econml.grf import CausalForest
    except ImportError:
        raise NotInstalledError("econml", extra="cate", need="CausalForest") from None
    # econml grows trees in small subforests of one subsample each, so their number must divide evenly.
    count = -(-trees // TREES_PER_SUBFOREST) * TREES_PER_SUBFOREST
    forest: Any = CausalForest(n_estimators=count, min_samples_leaf=smallest_leaf, random_state=seed, n_jobs=1)
    forest.fit(X, t_residual, y_residual)
    return np.asarray(forest.predict(X_new), dtype=np.float64).reshape(-1)


def causal_tree(
    X: FloatArray, t_residual: FloatArray, y_residual: FloatArray, *, depth: int, smallest_leaf: int, seed: int
) -> tuple[IntArray, FloatArray, IntArray, IntArray]:
    """Return the splits of one causal tree grown on residuals: column (−1 in a leaf), threshold, left and right child, per node.

    A row goes left where its value is at most the threshold. Raises NotInstalledError.
    """
    try:
        from econml.grf import CausalForest
    except ImportError:
        raise NotInstalledError("econml", extra="cate", need="CausalTree") from None
    forest: Any = CausalForest(
        n_estimators=1, subforest_size=1, max_samples=1.0, honest=False, inference=False,
        max_depth=depth, min_samples_leaf=smallest_leaf, random_state=seed, n_jobs=1,
    )  # fmt: skip
    forest.fit(X, t_residual, y_residual)
    tree = forest.estimators_[0].tree_
    columns = np.where(tree.children_left < 0, -1, tree.feature).astype(np.int64)
    return columns, np.asarray(tree.threshold), tree.children_left.astype(np.int64), tree.children_right.astype(np.int64)
