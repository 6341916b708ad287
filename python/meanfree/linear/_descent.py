"""Gradient descent on one mode of a deep linear network, and the learning rates that it bears."""

from __future__ import annotations

import warnings
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfree._check import integer, real_array, shaped, together
from meanfree.linear._checks import POSITIVE, STRENGTH, WEIGHT

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

_DEEPEST = 2**31 - 1
_FEW = 16  # modes, below which Python's floats are faster than arrays
_LOOK = 64  # steps after which modes are looked through for those that still move


def gradient_descent_mode(
    steps: ArrayLike, s: ArrayLike, w0: ArrayLike, eta: ArrayLike, *, depth: int
) -> Any:
    """Return the strength of a mode after steps of gradient descent, exactly.

    From equal weights w0 in all layers a step is ``w <- w + eta w**(depth - 1) (s - w**depth)`` in
    each of them, and the strength is ``w**depth``. This is the map that full matrices follow from
    an aligned start, whereas gradient flow differs from it by O(eta). White inputs.

    Parameters
    ----------
    steps : array_like of int
        Numbers of steps, at least 0.
    s : array_like
        Singular value, in [0, 1e100].
    w0 : array_like
        Weight in each layer before the first step, finite.
    eta : array_like
        Size of a step, in (0, 1e100]. Beyond `max_learning_rate` a warning is given.
    depth : int
        Number of weight matrices, at least 1.

    Returns
    -------
    float or array
        Of the shape to which all arguments broadcast, that of `steps` for a single mode; inf where
        the iteration leaves the range of floats.

    Raises
    ------
    ValueError
        If a value is out of its range or the shapes do not broadcast.
    TypeError
        If an argument is of the wrong kind; steps must be integers.

    Warns
    -----
    UserWarning
        If eta is at or beyond the bound at which the learned mode is unstable.

    Examples
    --------
    >>> from meanfree.linear import gradient_descent_mode
    >>> gradient_descent_mode([0, 10, 100], 1.0, 0.1, 0.1, depth=2).round(6).tolist()
    [0.01, 0.064082, 1.0]
    """
    many = integer("depth", depth, 1, _DEEPEST)
    counts = np.asarray(steps)
    if counts.dtype.kind not in "iu" and not (counts.size == 0 and counts.dtype.kind == "f"):
        msg = f"steps must be an integer >= 0 or an array of such, got dtype {counts.dtype}"
        raise TypeError(msg)
    if counts.size and counts.min() < 0:
        msg = f"steps must be >= 0, got {counts.min()}"
        raise ValueError(msg)
    (count, value, w, rate), shape = together(
        steps=counts.astype(np.float64),
        s=real_array("s", s, STRENGTH),
        w0=real_array("w0", w0, WEIGHT),
        eta=real_array("eta", eta, POSITIVE),
    )
    bound = _largest_rate(value, many)
    if np.any(rate >= bound):
        worst = int(np.argmax(rate / bound))
        msg = (
            f"eta must be < {bound[worst]:.6g}, the bound of stability at depth {many} for s = "
            f"{value[worst]:.6g}, or the mode does not settle; got {rate[worst]:.6g}"
        )
        warnings.warn(msg, stacklevel=2)
    return shaped(_descend(count, value, w, rate, many), shape)


def max_learning_rate(s_max: ArrayLike, depth: int) -> Any:
    """Return the step of gradient descent beyond which the learned network is unstable.

    ``2 / (depth s_max**(2 - 2 / depth))``: at the balanced minimum the largest eigenvalue of the
    Hessian is the denominator, for the largest singular value. Smaller steps are necessary, not
    always sufficient: from unequal weights the path may pass a sharper place. White inputs.

    Parameters
    ----------
    s_max : array_like
        Largest singular value, in [0, 1e100].
    depth : int
        Number of weight matrices, at least 1.

    Returns
    -------
    float or array
        Of the shape of s_max; inf for ``s_max = 0`` beyond depth 1.

    Raises
    ------
    ValueError
        If a value is out of its range.
    TypeError
        If an argument is of the wrong kind.

    Examples
    --------
    >>> from meanfree.linear import max_learning_rate
    >>> [max_learning_rate(4.0, depth) for depth in (1, 2, 4)]
    [2.0, 0.25, 0.0625]
    """
    value = real_array("s_max", s_max, STRENGTH)
    bound = _largest_rate(value.reshape(-1), integer("depth", depth, 1, _DEEPEST))
    return shaped(bound, value.shape)


def optimal_learning_rate(s: ArrayLike, depth: int) -> Any:
    """Return the step of gradient descent that makes the end of learning fastest.

    ``1 / (depth s**(2 - 2 / depth))``, half of `max_learning_rate`. It falls like 1 / depth while
    the flow speeds up like depth, so that the number of steps need not grow with depth (Saxe et
    al., 2014). White inputs.

    Parameters
    ----------
    s : array_like
        Singular value, in [0, 1e100].
    depth : int
        Number of weight matrices, at least 1.

    Returns
    -------
    float or array
        Of the shape of s; inf for ``s = 0`` beyond depth 1.

    Raises
    ------
    ValueError
        If a value is out of its range.
    TypeError
        If an argument is of the wrong kind.

    Examples
    --------
    >>> from meanfree.linear import optimal_learning_rate
    >>> optimal_learning_rate(1.0, 5)
    0.2
    """
    value = real_array("s", s, STRENGTH)
    bound = _largest_rate(value.reshape(-1), integer("depth", depth, 1, _DEEPEST))
    return shaped(0.5 * bound, value.shape)


def _largest_rate(s: Array, depth: int) -> Array:
    with np.errstate(divide="ignore"):
        return np.asarray(2.0 / (depth * s ** (2.0 - 2.0 / depth)))


def _descend(count: Array, s: Array, w: Array, eta: Array, depth: int) -> Array:
    """Iterate all elements together and keep each at its own count."""
    result = np.empty_like(w)
    if not count.size:
        return result
    modes, back = np.unique(np.array([s, w, eta]), axis=1, return_inverse=True)
    s, w, eta = modes
    order, at, done = np.argsort(count, kind="stable"), 0, 0
    numbers, sizes = np.unique(count, return_counts=True)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        for number, size in zip(numbers.tolist(), sizes.tolist(), strict=True):
            w = _steps(w, s, eta, depth, int(number) - at)
            here = order[done : done + size]
            end = w[back.reshape(-1)[here]] ** depth
            result[here] = np.where(np.isfinite(end), end, inf)
            at, done = int(number), done + size
    return result


def _steps(w: Array, s: Array, eta: Array, depth: int, n: int) -> Array:
    """Return the weights after n steps; those that no longer move are left alone."""
    w = w.copy()
    moving = np.arange(w.size)
    while n > 0 and moving.size > _FEW:
        now, goal, rate = w[moving], s[moving], eta[moving]
        for _ in range(min(n, _LOOK)):
            before, slopes = now, now ** (depth - 1)
            now = now + rate * slopes * (goal - slopes * now)
        w[moving] = now
        moving = moving[(now != before) & np.isfinite(now)]
        n -= _LOOK
    if n > 0:
        for k in moving.tolist():
            w[k] = _steps_of_one(float(w[k]), float(s[k]), float(eta[k]), depth, n)
    return w


def _steps_of_one(w: float, s: float, eta: float, depth: int, n: int) -> float:
    """Return one weight after n steps, several times as fast as arrays of few elements do."""
    power = depth - 1
    try:
        for _ in range(n):
            slope = w**power
            before, w = w, w + eta * slope * (s - slope * w)
            if w == before:
                break
    except OverflowError:
        return inf
    return w
