"""Singular values and vectors of a matrix of low rank that is seen through noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfree import _core
from meanfree._check import real, real_array, shaped, together
from meanfree.linear._bulk import bulk, rule
from meanfree.linear._checks import ASPECT, STRENGTH, TOLERANCE, UNIT
from meanfree.linear._spikes import seen_spikes

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

_MOST_PANELS = 8192


@dataclass(frozen=True, eq=False)
class Overlaps:
    """Cosines of the angles between singular vectors with and without noise; made by `overlaps`.

    Attributes
    ----------
    left : float or array
        On the output side, in [0, 1]; not squared.
    right : float or array
        On the input side.
    """

    left: Any
    right: Any


def singular_value(s_bar: ArrayLike, aspect: ArrayLike, *, sigma: ArrayLike = 1.0) -> Any:
    """Return the singular value that noise makes of the singular value s_bar.

    To an n_out x n_in matrix of low rank noise is added whose entries are independent and have
    variance ``sigma**2 / n_in``. In large matrices, with A = n_out / n_in and b = (s_bar /
    sigma)**2, ``sigma sqrt((1 + b) (A + b) / b)`` comes out where ``b > sqrt(A)``; a smaller one
    is lost in the noise, and the largest there is then at its edge, ``sigma (1 + sqrt(A))``
    (Benaych-Georges and Nadakuditi, 2012).

    Parameters
    ----------
    s_bar : array_like
        Singular value without noise, in [0, 1e100].
    aspect : array_like
        n_out / n_in, in [1e-12, 1e12].
    sigma : array_like
        Standard deviation of the noise times sqrt(n_in), in [0, 1e100].

    Returns
    -------
    float or array
        Of the shape to which the arguments broadcast; relative error 1e-15.

    Raises
    ------
    ValueError
        If a value is out of its range or the shapes do not broadcast.
    TypeError
        If an argument is of the wrong kind.

    References
    ----------
    Benaych-Georges and Nadakuditi (2012), "The singular values and vectors
    of low rank perturbations of large rectangular random matrices".

    Examples
    --------
    >>> from meanfree.linear import spiked
    >>> spiked.singular_value([0.5, 2.0], 1.0).tolist()
    [2.0, 2.5]
    """
    (value, a, noise), shape = _arguments("s_bar", s_bar, aspect, sigma)
    return shaped(seen_spikes(value, a, noise)[0], shape)


def overlaps(s_bar: ArrayLike, aspect: ArrayLike, *, sigma: ArrayLike = 1.0) -> Overlaps:
    """Return how far singular vectors seen through noise point along those without noise.

    With A and b as in `singular_value`, for ``b > sqrt(A)``, ::

        left**2 = (b**2 - A) / (b (A + b)),    right**2 = (b**2 - A) / (b (1 + b)),

    and 0 otherwise (Benaych-Georges and Nadakuditi, 2012). Exchanging outputs and inputs is ``A ->
    1 / A, sigma -> sigma sqrt(A)``, and exchanges left and right.

    Parameters
    ----------
    s_bar, aspect, sigma
        As in `singular_value`.

    Returns
    -------
    Overlaps
        Absolute values of the inner products of unit vectors, of the shape to which the arguments
        broadcast. Without noise 1, or 0 where s_bar is 0.

    Raises
    ------
    ValueError
        If a value is out of its range or the shapes do not broadcast.
    TypeError
        If an argument is of the wrong kind.

    Examples
    --------
    >>> from meanfree.linear import spiked
    >>> seen = spiked.overlaps(2.0, 1.0)
    >>> print(round(seen.left * seen.right, 12))  # 1 - 1 / s_bar**2
    0.75
    """
    (value, a, noise), shape = _arguments("s_bar", s_bar, aspect, sigma)
    _, left, right = seen_spikes(value, a, noise)
    return Overlaps(shaped(left, shape), shaped(right, shape))


def shrink(s_hat: ArrayLike, aspect: ArrayLike, *, sigma: ArrayLike = 1.0) -> Any:
    """Return the strength that a singular value seen through noise should be given.

    ``sqrt((y**2 - A - 1)**2 - 4 A) / y`` times sigma, with ``y = s_hat / sigma``, above the edge of
    the noise, and 0 below: of all functions of the singular values it leaves the smallest squared
    error, and it is ``s_bar * left * right`` of `overlaps` (Gavish and Donoho, 2017).

    Parameters
    ----------
    s_hat : array_like
        Singular value seen, in [0, 1e100].
    aspect, sigma
        As in `singular_value`.

    Returns
    -------
    float or array
        Of the shape to which the arguments broadcast.

    Raises
    ------
    ValueError
        If a value is out of its range or the shapes do not broadcast.
    TypeError
        If an argument is of the wrong kind.

    References
    ----------
    Gavish and Donoho (2017), "Optimal shrinkage of singular values".

    Examples
    --------
    >>> from meanfree.linear import spiked
    >>> print(spiked.shrink(2.5, 1.0))  # s_bar = 2, of which 3 / 4 point the right way
    1.5
    """
    (value, a, noise), shape = _arguments("s_hat", s_hat, aspect, sigma)
    high, low = noise * (1.0 + np.sqrt(a)), noise * np.abs(1.0 - np.sqrt(a))
    above = value > high
    y = np.where(above, value, 1.0)
    high, low = np.where(above, high / y, 0.0), np.where(above, low / y, 0.0)
    factor = np.sqrt((1.0 - high) * (1.0 + high)) * np.sqrt((1.0 - low) * (1.0 + low))
    return shaped(np.where(above, value * factor, 0.0), shape)


def bulk_mean(
    function: Callable[[Array], Any], aspect: float, *, sigma: float = 1.0, tol: float = 1e-11
) -> float:
    """Return the mean of a function over the singular values of the noise alone.

    With A = n_out / n_in, the min(n_out, n_in) singular values of a large matrix of noise have the
    density ``sqrt(4 A - (s**2 - 1 - A)**2) / (pi min(A, 1) s)`` between ``|1 - sqrt(A)|`` and ``1 +
    sqrt(A)``, in units of sigma (Marchenko and Pastur, 1967).

    Parameters
    ----------
    function : callable
        Takes an array of singular values, sigma included, and returns an array of the same shape,
        or a number. Smooth: split a mean at a kink, with the weights that `bulk_quantile` inverts.
    aspect : float
        n_out / n_in, in [1e-12, 1e12].
    sigma : float
        As in `singular_value`.
    tol : float
        Allowed error as a fraction of the mean of ``|function|``, in [1e-13, 1].

    Returns
    -------
    float

    Raises
    ------
    ConvergenceError
        If 131,072 nodes do not reach tol, as for a function with a jump.
    ValueError
        If a value is out of its range, or the function does not return finite numbers.
    TypeError
        If an argument is of the wrong kind.

    Examples
    --------
    >>> from meanfree.linear import spiked
    >>> print(round(spiked.bulk_mean(lambda s: s**2, 3.0), 10))
    3.0
    """
    if not callable(function):
        msg = f"function must be callable, got {function!r:.60}"
        raise TypeError(msg)
    a, noise = real("aspect", aspect, ASPECT), real("sigma", sigma, STRENGTH)
    tolerance = real("tol", tol, TOLERANCE)
    if noise == 0.0:
        return float(_values(function, np.zeros(1))[0])
    law = bulk(a)
    # panels that grow with v, since the mass falls like exp(-v)
    n = max(1, int(np.ceil(np.log2(law.end))))
    breaks = np.concatenate([[0.0], law.end * 2.0 ** np.arange(1 - n, 1)])
    before, error = np.inf, np.inf
    while breaks.size <= _MOST_PANELS + 1:
        s, weight = rule(law, breaks)
        values = _values(function, noise * s)
        mean, scale = float(weight @ values), float(weight @ np.abs(values))
        error = abs(mean - before)
        if error <= tolerance * scale:
            return mean
        before = mean
        middle = 0.5 * (breaks[1:] + breaks[:-1])
        breaks = np.sort(np.concatenate([breaks, middle]))
    msg = f"bulk_mean did not settle: the last error is {error:.2g}; is the function smooth?"
    raise _core.ConvergenceError(msg)


def bulk_quantile(top_fraction: ArrayLike, aspect: ArrayLike, *, sigma: ArrayLike = 1.0) -> Any:
    """Return the singular value of the noise above which a fraction of them lies.

    Parameters
    ----------
    top_fraction : array_like
        In [0, 1]: 0 gives the upper edge ``sigma (1 + sqrt(A))`` of the density of `bulk_mean`, 1
        the lower one.
    aspect, sigma
        As in `singular_value`.

    Returns
    -------
    float or array
        Of the shape to which the arguments broadcast; error 1e-12 of the upper edge for fractions
        above 1e-9.

    Raises
    ------
    ValueError
        If a value is out of its range or the shapes do not broadcast.
    TypeError
        If an argument is of the wrong kind.

    Examples
    --------
    >>> from meanfree.linear import spiked
    >>> spiked.bulk_quantile([0.0, 0.5, 1.0], 1.0).round(6).tolist()
    [2.0, 0.807946, 0.0]
    """
    (top, a, noise), shape = together(
        top_fraction=real_array("top_fraction", top_fraction, UNIT),
        aspect=real_array("aspect", aspect, ASPECT),
        sigma=real_array("sigma", sigma, STRENGTH),
    )
    pairs = zip(top.tolist(), a.tolist(), strict=True)
    values = np.array([bulk(ratio).quantile(part) for part, ratio in pairs], dtype=np.float64)
    return shaped(noise * values, shape)


def _arguments(
    name: str, value: ArrayLike, aspect: ArrayLike, sigma: ArrayLike
) -> tuple[list[Array], tuple[int, ...]]:
    return together(
        **{name: real_array(name, value, STRENGTH)},
        aspect=real_array("aspect", aspect, ASPECT),
        sigma=real_array("sigma", sigma, STRENGTH),
    )


def _values(function: Callable[[Array], Any], s: Array) -> Array:
    result = function(s)
    try:
        values = real_array("function", result)
    except TypeError:
        msg = f"function must return an array of real numbers, got dtype {np.asarray(result).dtype}"
        raise TypeError(msg) from None
    if values.shape not in {s.shape, ()}:
        msg = f"function must return the shape {s.shape} that it is given, got {values.shape}"
        raise ValueError(msg)
    return np.broadcast_to(values, s.shape)
