"""The semicircle on [-1, 1]: which fraction of it lies below a point, and the inverse.

With ``u = -cos(x / 2)`` the fraction is ``(x - sin x) / (2 pi)``: Kepler's equation at
eccentricity 1, free of cancellation at both ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meanfree._check import Range

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_LARGE = 1e100
ENERGY = Range("finite and in [-1e100, 1e100]", -_LARGE, _LARGE)
INDEX = Range("in [0, 1]", 0.0, 1.0)


def fraction_below(u: Array) -> Array:
    """Return ``1/2 + (u sqrt(1 - u**2) + arcsin u) / pi``; 0 below -1 and 1 above 1.

    Relative error 1e-15 beside that of ``1 + u`` itself.
    """
    x = 2.0 * np.arccos(np.minimum(np.abs(u), 1.0))
    low = _lag(x) / (2.0 * np.pi)
    return np.where(u > 0.0, 1.0 - low, low)


def point_above(fraction: Array) -> Array:
    """Return the u in [-1, 1] below which a fraction of the semicircle lies, to 1e-15."""
    low = np.minimum(fraction, 1.0 - fraction)
    mean = 2.0 * np.pi * low
    z = np.cbrt(6.0 * mean)
    x = z * (1.0 + z**2 / 60.0 + z**4 / 1400.0)
    for _ in range(4):  # x - sin x is convex on [0, pi], and the start 2 % off at most
        slope = 2.0 * np.sin(0.5 * x) ** 2
        x = x - (_lag(x) - mean) / np.where(slope > 0.0, slope, 1.0)
    u = np.cos(0.5 * np.minimum(x, np.pi))
    return np.where(low == 0.5, 0.0, np.where(fraction < 0.5, -u, u))


def _lag(x: Array) -> Array:
    """Return x - sin x for x in [0, pi]."""
    small = np.minimum(x, 1.5)
    square, series = small**2, np.ones_like(small)
    for k in range(20, 3, -2):
        series = 1.0 - square / (k * (k + 1)) * series
    return np.where(x < 1.5, small**3 / 6.0 * series, x - np.sin(x))
