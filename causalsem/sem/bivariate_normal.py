"""The standard bivariate normal distribution: density, distribution function and probabilities of rectangles, element by element."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, owens_t

from causalsem._values import FloatArray

# Beyond this limit a standard normal probability is 0 or 1 to all digits.
FAR = 37.0
# Up to this correlation 20 nodes give all digits (Genz 2004); closer to 1 the integrand is too steep for any fixed number.
STEEP = 0.9
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(20)


def density(h: FloatArray, k: FloatArray, rho: FloatArray | float) -> FloatArray:
    """Return φ₂(h, k; ρ)."""
    left = 1.0 - np.square(rho)
    return np.asarray(np.exp(-0.5 * (h * h - 2.0 * rho * h * k + k * k) / left) / (2.0 * np.pi * np.sqrt(left)))


def density_slope(h: FloatArray, k: FloatArray, rho: FloatArray | float) -> FloatArray:
    """Return ∂ log φ₂(h, k; ρ) / ∂ρ."""
    left = 1.0 - np.square(rho)
    return np.asarray(rho / left + (h * k * (1.0 + np.square(rho)) - rho * (h * h + k * k)) / left**2)


def distribution(h: FloatArray, k: FloatArray, rho: FloatArray | float) -> FloatArray:
    """Return Φ₂(h, k; ρ) = P(X ≤ h, Y ≤ k) by Owen's T function (Owen 1956); |ρ| < 1, finite limits."""
    root = np.sqrt(1.0 - np.square(rho))
    # T(0, ±∞) = ±1/4 is the limit at h = 0, where the slope below would be 0/0.
    h, k = np.where(h == 0.0, 1e-300, h), np.where(k == 0.0, 1e-300, k)
    with np.errstate(over="ignore"):
        both = owens_t(h, (k - rho * h) / (h * root)) + owens_t(k, (h - rho * k) / (k * root))
    apart = np.where((h < 0.0) != (k < 0.0), 0.5, 0.0)
    return np.asarray(np.clip(0.5 * (ndtr(h) + ndtr(k)) - both - apart, 0.0, 1.0))


def rectangle(a: FloatArray, b: FloatArray, c: FloatArray, d: FloatArray, rho: float) -> FloatArray:
    """Return P(a < X ≤ b, c < Y ≤ d) for one ρ and rows of limits."""
    if abs(rho) > STEEP:
        corners = [distribution(x, y, rho) for x in (b, a) for y in (d, c)]
        return np.asarray(np.maximum(corners[0] - corners[1] - corners[2] + corners[3], 0.0))
    # Φ₂ − ΦΦ is an integral over the correlation of the density (Drezner & Wesolowsky 1990).
    out = (ndtr(b) - ndtr(a)) * (ndtr(d) - ndtr(c))
    half = 0.5 * np.arcsin(rho)
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        s = np.sin(half * (node + 1.0))
        t = 1.0 / (2.0 * (1.0 - s * s))
        part = sum(sign * np.exp((2.0 * s * x * y - x * x - y * y) * t) for x, y, sign in ((b, d, 1), (a, d, -1), (b, c, -1), (a, c, 1)))
        out = out + (half * weight / (2.0 * np.pi)) * part
    return np.asarray(np.maximum(out, 0.0))
