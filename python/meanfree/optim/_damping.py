"""The search for a damping: the best of a list of steps, and more damping where none is good."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meanfree._check import Range, real_array

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from meanfree.optim._path import Meter

    Array = NDArray[np.float64]

    Move = tuple[Array, float | None] | None

SHORT_LIST = (0.0, 1e-4, 1e-3, 1e-2, 0.1, 1.0)
"""Dampings that are tried, in units of the largest absolute eigenvalue."""

_DAMPINGS = Range("in [0, 1e10]", 0.0, 1e10)
_LAST_DAMPING = 1e16  # of the largest eigenvalue: steps below rounding


def listed_dampings(dampings: ArrayLike) -> Array:
    """Return the list that was given, checked."""
    listed = real_array("dampings", dampings, _DAMPINGS).reshape(-1)
    if not listed.size:
        msg = "dampings must be at least one number, got none"
        raise ValueError(msg)
    return listed


def decompose(matrix: Array) -> tuple[Array, Array] | None:
    """Return eigenvalues and eigenvectors, None where the matrix is not finite."""
    if not np.isfinite(matrix).all():
        return None
    values, vectors = np.linalg.eigh(matrix)
    return values, vectors


def damping_unit(values: Array, g: Array) -> float:
    """Return the unit of damping: where there is no curvature, that of steps of length 1."""
    return float(np.abs(values).max()) or float(np.linalg.norm(g))


def best_step(
    meter: Meter, w: Array, value: float, step: Callable[[Array], Array], dampings: Array
) -> Move:
    """Return the lowest of the points that the dampings lead to, if it is lower than w."""
    while True:
        points = w + step(dampings)
        found = meter.value(points)
        found = np.where(np.isnan(found) | ~np.isfinite(points).all(axis=1), np.inf, found)
        k = int(np.argmin(found))
        if found[k] < value:
            return points[k], float(found[k])
        largest = float(dampings.max())
        if largest >= _LAST_DAMPING:
            return None
        dampings = np.array([10.0 * largest if largest > 0.0 else 1e-3])
