"""Length and turning of sampled curves, and how long a single layer can make a curve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from meanfree._check import Range, integer, real, real_array, size

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

_COORDINATE = Range("in [-1e300, 1e300]", -1e300, 1e300)
_VALUE_RANGE = Range("finite and >= 0", 0.0)


def curve_length(points: ArrayLike, *, closed: bool = False) -> Any:
    """Return the length of the polygon through the points of a sampled curve.

    Parameters
    ----------
    points : array_like, shape (..., n, dimension)
        n >= 2 points in their order along the curve, coordinates in [-1e300, 1e300].
    closed : bool
        Whether the last point is joined to the first.

    Returns
    -------
    float or array (...)
        Sum of the lengths of the chords: at most that of the curve, and less by a fraction
        (angle of a step)**2 / 24 of it where the curve is smooth.

    Raises
    ------
    ValueError, TypeError
        If points is not such an array, or closed is not a bool.

    Examples
    --------
    >>> from meanfree.manifold import curve_length
    >>> curve_length([[0.0, 0.0], [3.0, 4.0], [3.0, 5.0]])
    6.0
    """
    chords, scale = _chords(points, closed)
    with np.errstate(over="ignore"):
        length = scale * np.sum(np.linalg.norm(chords, axis=-1), axis=-1)
    return length if length.ndim else float(length)


def turning_angle(points: ArrayLike, *, closed: bool = False) -> Any:
    """Return the sum of the angles between successive chords of a sampled curve.

    For a smooth curve sampled finely it is the length of the curve of its unit tangents, the
    Grassmannian length (Poole et al., 2016). For a curve with corners, the image of a circle
    under relu, say, it adds up the corners and stays finite, where the Grassmannian length of
    the limit of infinite width is inf.

    Parameters
    ----------
    points : array_like, shape (..., n, dimension)
        n >= 2 points in their order along the curve, coordinates in [-1e300, 1e300].
    closed : bool
        Whether the last point is joined to the first; the angles at both count then.

    Returns
    -------
    float or array (...)
        In radians. A point that repeats the one before does not count.

    Raises
    ------
    ValueError, TypeError
        If points is not such an array, or closed is not a bool.

    Examples
    --------
    >>> from meanfree.manifold import turning_angle
    >>> square = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]
    >>> print(f"{turning_angle(square):.6f} {turning_angle(square, closed=True):.6f}")
    3.141593 6.283185
    """
    chords, _ = _chords(points, closed)
    largest = np.max(np.abs(chords), axis=-1, keepdims=True, initial=0.0)
    chords = chords / np.where(largest > 0.0, largest, 1.0)
    lengths = np.linalg.norm(chords, axis=-1, keepdims=True)
    units = _without_repeats(chords / np.where(lengths > 0.0, lengths, 1.0), lengths[..., 0] > 0.0)
    after = np.roll(units, -1, axis=-2) if closed else units[..., 1:, :]
    before = units if closed else units[..., :-1, :]
    # right to rounding at every angle, which the arc cosine of the product is not
    angles = 2.0 * np.arctan2(
        np.linalg.norm(after - before, axis=-1), np.linalg.norm(after + before, axis=-1)
    )
    total = np.sum(angles, axis=-1)
    return total if total.ndim else float(total)


def shallow_length_bound(width: int, sign_changes: int, value_range: float) -> float:
    """Bound the length of a curve after a single layer, whatever its weights.

    If phi does not decrease (or does not increase) and its values span the range R, and if no
    projection of the tangent ``dx/dtheta`` of a curve onto a line changes sign more than s times,
    then the curve ``phi(W x(theta) + b)`` of width N_1 is no longer than ``N_1 (1 + s) R`` (Poole
    et al., 2016, theorem on shallow networks): each unit goes up and down at most 1 + s times, and
    the Euclidean length is at most the sum of what the units travel.

    Parameters
    ----------
    width : int
        Units N_1, at least 1.
    sign_changes : int
        s, at least 0: 0 for a straight segment, 2 for a circle from 0 to 2 pi.
    value_range : float
        R = sup phi - inf phi, finite and >= 0: 2 for tanh and erf, 1 for sigmoid.

    Returns
    -------
    float
        No weights reach it; segments come as near as one likes, when each unit has a threshold
        of its own and large weights.

    Raises
    ------
    ValueError
        If a value is out of its range.
    TypeError
        If an argument is of the wrong kind.

    Examples
    --------
    >>> from meanfree.manifold import shallow_length_bound
    >>> shallow_length_bound(100, 2, 2.0)
    600.0
    """
    n_1 = size("width", width)
    s = integer("sign_changes", sign_changes, 0)
    return n_1 * (1.0 + s) * real("value_range", value_range, _VALUE_RANGE)


def _chords(points: ArrayLike, closed: bool) -> tuple[Array, Array]:
    """Return the chords divided by the largest coordinate of their curve, and that, (...)."""
    if not isinstance(closed, bool | np.bool_):
        msg = f"closed must be True or False, got {closed!r:.60}"
        raise TypeError(msg)
    x = real_array("points", points, _COORDINATE)
    if x.ndim < 2 or x.shape[-2] < 2 or x.shape[-1] == 0:
        msg = f"points must have shape (..., n >= 2, dimension >= 1), got {x.shape}"
        raise ValueError(msg)
    scale = np.max(np.abs(x), axis=(-2, -1), keepdims=True, initial=0.0)
    x = x / np.where(scale > 0.0, scale, 1.0)
    chords = np.diff(x, axis=-2, append=x[..., :1, :]) if closed else np.diff(x, axis=-2)
    return chords, scale[..., 0, 0]


def _without_repeats(units: Array, moves: NDArray[np.bool_]) -> Array:
    """Give chords of length 0 the direction of the one before, the first ones of the one after."""
    if moves.all():
        return units
    index = np.where(moves, np.arange(moves.shape[-1]), -1)
    index = np.maximum.accumulate(index, axis=-1)
    first = np.argmax(moves, axis=-1)[..., np.newaxis]
    index = np.where(index < 0, first, index)
    filled: Array = np.take_along_axis(units, index[..., np.newaxis], axis=-2)
    return filled
