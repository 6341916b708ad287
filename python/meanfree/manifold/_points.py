"""Curves as users give them: points, and derivatives where they are not given."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from meanfree._check import Range, real_array

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

_COORDINATE = Range("in [-1e100, 1e100]", -1e100, 1e100)
_NEIGHBOURS = 7
_SAME_POINT = 1e-12  # of the size of the curve


class Curve(NamedTuple):
    """Points, first and second derivatives (3, n_points, dimension); weights of integrals."""

    parts: Array
    weight: Array
    closed: bool


def as_points(points: ArrayLike, least: int) -> Array:
    """Check an array of points (n_points, dimension)."""
    array = real_array("points", points, _COORDINATE)
    if array.ndim != 2 or array.shape[0] < least or array.shape[1] == 0:
        msg = f"points must have shape (n_points >= {least}, n_in >= 1), got {array.shape}"
        raise ValueError(msg)
    return array


def as_curve(
    points: ArrayLike,
    velocity: ArrayLike | None,
    acceleration: ArrayLike | None,
    parameter: ArrayLike | None,
    closed: bool,
) -> Curve:
    """Check a user's curve and complete it."""
    if not isinstance(closed, bool | np.bool_):
        msg = f"closed must be True or False, got {closed!r:.60}"
        raise TypeError(msg)
    h = as_points(points, 3)
    if closed:
        _refuse_repeated_end(h)
    t = _parameter(parameter, h.shape[0], bool(closed))
    v = a = None
    if velocity is not None:
        v = _derivative("velocity", velocity, h.shape)
    if acceleration is not None:
        if v is None:
            msg = "velocity must be given where acceleration is"
            raise ValueError(msg)
        a = _derivative("acceleration", acceleration, h.shape)
    if v is None:
        v, a = _differentiate(h, t, bool(closed), (1, 2))
    elif a is None:
        (a,) = _differentiate(v, t, bool(closed), (1,))
    step = np.diff(t)
    if closed:
        weight = 0.5 * (step + np.roll(step, 1))
    else:
        weight = 0.5 * (np.append(step, 0.0) + np.append(0.0, step))
    parts = np.ascontiguousarray(np.stack([h, v, a]))
    if not np.isfinite(parts).all():
        msg = "points must have derivatives that are finite"
        raise ValueError(msg)
    return Curve(parts, weight, bool(closed))


def _refuse_repeated_end(h: Array) -> None:
    """Refuse a closed curve that names its first point twice: it goes back there by itself."""
    extent = float(np.max(np.abs(h - h[0])))
    gap = float(np.max(np.abs(h[-1] - h[0])))
    if gap <= _SAME_POINT * extent and extent > 0.0:
        msg = (
            "points of a closed curve must not end with the first point again (leave it out, or "
            f"give closed=False), got a last point {gap:g} from the first"
        )
        raise ValueError(msg)


def _derivative(name: str, values: ArrayLike, shape: tuple[int, ...]) -> Array:
    array = real_array(name, values, _COORDINATE)
    if array.shape != shape:
        msg = f"{name} must have the shape {shape} of the points, got {array.shape}"
        raise ValueError(msg)
    return array


def _parameter(parameter: ArrayLike | None, n_points: int, closed: bool) -> Array:
    """Return the parameter at the points, and where a closed curve comes back."""
    number = n_points + 1 if closed else n_points
    if parameter is None:
        return np.linspace(0.0, 2.0 * np.pi if closed else 1.0, number)
    t = real_array("parameter", parameter, _COORDINATE)
    if t.shape != (number,):
        last = "n_points + 1" if closed else "n_points"
        msg = f"parameter must have shape ({last},) = ({number},), got {t.shape}"
        raise ValueError(msg)
    if not (np.diff(t) > 0.0).all():
        i = int(np.argmin(np.diff(t) > 0.0))
        msg = f"parameter must increase, got {t[i]!r}, {t[i + 1]!r} at index {i}"
        raise ValueError(msg)
    return t


def _differentiate(
    values: Array, t: Array, closed: bool, orders: tuple[int, ...]
) -> tuple[Array, ...]:
    """Differentiate the polynomial through each point and its neighbours."""
    n = values.shape[0]
    width = min(_NEIGHBOURS, n if n % 2 else n - 1)
    if closed:
        index = np.arange(n)[:, np.newaxis] + np.arange(width) - width // 2
        period = t[-1] - t[0]
        nodes = t[:-1][index % n] + period * (index // n) - t[:-1, np.newaxis]
        index %= n
    else:
        width = min(_NEIGHBOURS, n)
        first = np.clip(np.arange(n) - width // 2, 0, n - width)
        index = first[:, np.newaxis] + np.arange(width)
        nodes = t[index] - t[:, np.newaxis]
    scale = np.max(np.abs(nodes), axis=1, keepdims=True)
    powers = (nodes / scale)[:, np.newaxis, :] ** np.arange(width)[:, np.newaxis]
    results = []
    for order in orders:
        wanted = np.zeros((n, width, 1))
        wanted[:, order] = 1.0 if order == 1 else 2.0
        weights = np.linalg.solve(powers, wanted)[..., 0] / scale**order
        with np.errstate(over="ignore", invalid="ignore"):
            results.append(np.einsum("nk,nkd->nd", weights, values[index]))
    return tuple(results)
