"""confounding_bound: how far hidden confounding of a given strength could move an estimate, whatever its method's shape."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from causalsem._cards import mimebundle
from causalsem._values import FloatArray
from causalsem.effects.estimate import Estimate
from causalsem.errors import SettingError

SCALE = "confounding_scale"


@dataclass(frozen=True, slots=True)
class ConfoundingBound:
    """The bias a hidden confounder can bring: at most `scale` √(r_y r_t / (1 − r_t)) (Chernozhukov et al. 2022).

    r_y is the share of what the outcome model leaves that the confounder explains, r_t the share of the variance of the true
    weights (the Riesz representer; for a linear model the partial R² with treatment). A confounder with less than the share
    `point` of both cannot bring the estimate to zero, with less than `limit` not its interval's nearer end.
    """

    value: float
    se: float
    scale: float
    point: float
    limit: float

    def bias(self, with_treatment: float, with_outcome: float) -> float:
        """Return the largest bias of a confounder with these shares, r_t in [0, 1) and r_y in [0, 1]."""
        if not (0 <= with_treatment < 1 and 0 <= with_outcome <= 1):
            raise SettingError(f"shares are {with_treatment} and {with_outcome}; use numbers from 0 to 1, that of treatment below 1")
        return self.scale * math.sqrt(with_outcome * with_treatment / (1 - with_treatment))

    def interval(self, with_treatment: float, with_outcome: float, level: float = 0.95) -> tuple[float, float]:
        """Return the interval widened by that bias on either side; the scale's own error is left out."""
        if not 0 < level < 1:
            raise SettingError(f"level is {level}; use a number between 0 and 1, such as 0.95")
        half = self.bias(with_treatment, with_outcome) + float(norm.ppf((1 + level) / 2)) * self.se
        return self.value - half, self.value + half

    def __repr__(self) -> str:
        return (
            f"confounding bound: a confounder must explain {100 * self.point:.2g} % (interval {100 * self.limit:.2g} %) of what is left "
            f"of both treatment and outcome to bring {self.value:.4g} to zero"
        )

    _repr_mimebundle_ = mimebundle


def confounding_bound(estimate: Estimate, *, level: float = 0.95) -> ConfoundingBound:
    """Return how strong hidden confounding must be to take an estimate, or its interval, to zero.

    For every method with an outcome model, linear or not; raises SettingError for IPW and others without one.
    """
    scale = estimate.diagnostics.get(SCALE)
    if scale is None:
        raise SettingError(f"{estimate.method or 'this estimate'} has no outcome model to judge confounding by; use AIPW() or Regression()")
    low, high = estimate.confidence_interval(level)
    nearer = max(0.0, low, -high)
    return ConfoundingBound(estimate.value, estimate.se, scale, robustness(abs(estimate.value) / scale), robustness(nearer / scale))


def robustness(f: float) -> float:
    """Return the share r with √(r · r/(1 − r)) = f: ½(√(f⁴ + 4f²) − f²) (Cinelli & Hazlett 2020, eq. 14)."""
    return 0.5 * (math.sqrt(f**4 + 4 * f**2) - f**2)


def scale_of(residual: FloatArray, weight: FloatArray) -> dict[str, float]:
    """Return, as a diagnostic, √(E[residual²] E[weight²]) of the outcome's residuals and the estimator's weights on them (n,)."""
    return {SCALE: float(np.sqrt((residual**2).mean() * (weight**2).mean()))}
