"""Numerical derivatives of piecewise smooth functions, never taken across a kink.

The function is interpolated at 13 Chebyshev nodes of an interval around each point, pushed aside
where a kink is near, and the interpolating polynomial is differentiated. For a function that is
analytic within twice the interval's radius r the error is near rounding: about 13 eps |f| / r for
the first derivative away from kinks.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Function = Callable[[Array], Array]

N_NODES = 13
_ANGLES = (np.arange(N_NODES) + 0.5) * np.pi / N_NODES
NODES = np.cos(_ANGLES)  # of the first kind: no node on an end, where a kink may be
_K = np.arange(N_NODES)
# values at the nodes -> Chebyshev coefficients
_TO_COEFFICIENTS = np.where(_K > 0, 2.0, 1.0)[:, None] / N_NODES * np.cos(np.outer(_K, _ANGLES))
# coefficients of a series -> coefficients of its derivative
_AHEAD = _K - _K[:, None]
_SLOPE = np.where((_AHEAD > 0) & (_AHEAD % 2 == 1), 2.0 * _K, 0.0)
_SLOPE[0] /= 2.0
_RADII = 2.0 ** -np.arange(11)
_CHUNK = 16_384
_ROUNDING = 32.0 * np.finfo(np.float64).eps  # of nodes, weights and values, with room


def weights(s: Array, order: int) -> Array:
    """Return the weights (len(s), 13) of the values at NODES in the derivative at s in [-1, 1]."""
    series = np.linalg.matrix_power(_SLOPE, order) @ _TO_COEFFICIENTS
    result: Array = np.cos(np.outer(np.arccos(s), _K)) @ series
    return result


_CENTRAL = [weights(np.zeros(1), order)[0] for order in range(3)]


def differentiate(function: Function, x: Array, order: int, kinks: Array, radius: float) -> Array:
    """Return the derivative of ``order`` 1 or 2 at x (n,); on a kink, that of its right side."""
    result = np.empty_like(x)
    for start in range(0, x.size, _CHUNK):
        part = slice(start, start + _CHUNK)
        result[part] = _differentiate(function, x[part], order, kinks, radius)
    return result


def _differentiate(function: Function, x: Array, order: int, kinks: Array, radius: float) -> Array:
    ends = np.concatenate([[-np.inf], kinks, [np.inf]])
    piece = np.searchsorted(kinks, x, side="right")
    low, high = ends[piece], ends[piece + 1]
    # beyond 1e8 the numbers are too coarse for small intervals
    r = np.minimum(radius * np.maximum(1.0, np.abs(x) / 1e8), 0.5 * (high - low))
    centre = np.clip(x, low + r, high - r)
    values = function((centre[:, None] + r[:, None] * NODES).reshape(-1)).reshape(-1, N_NODES)
    aside = centre != x
    with np.errstate(invalid="ignore", over="ignore"):
        slope = values @ _CENTRAL[order]
        noise = np.abs(values) @ np.abs(_CENTRAL[order])
        if aside.any():
            s = np.clip((x[aside] - centre[aside]) / r[aside], -1.0, 1.0)
            beside = weights(s, order)
            slope[aside] = np.sum(values[aside] * beside, axis=1)
            noise[aside] = np.sum(np.abs(values[aside] * beside), axis=1)
        slope = _without_noise(slope / r**order, _ROUNDING * noise / r**order)
    # where the function itself overflows there is no derivative to speak of but infinity
    return np.where(np.isnan(slope) & ~np.isfinite(values).all(axis=1), np.inf, slope)


def _without_noise(slope: Array, noise: Array) -> Array:
    """Round to a power of two above the noise, so that a straight piece has one slope exactly."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        step = np.exp2(np.ceil(np.log2(noise)))
        rounded: Array = np.where(step > 0.0, np.round(slope / step) * step, slope)
    return np.where(np.isfinite(rounded), rounded, slope)


def best_radius(function: Function, x: Array, order: int, kinks: Array) -> float:
    """Choose the radius at which halving it changes the derivative at the points x least."""
    slopes = [differentiate(function, x, order, kinks, float(r)) for r in _RADII]
    scale = np.maximum(1.0, np.abs(slopes[-1]))
    changes = [np.max(np.abs(a - b) / scale) for a, b in pairwise(slopes)]
    return float(_RADII[int(np.nanargmin(changes))])
