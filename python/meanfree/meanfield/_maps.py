"""The maps of one layer: length, covariance, correlation and its slope."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

import numpy as np

from meanfree import _core
from meanfree._check import CORRELATION, LENGTH, cores, real_array, shaped, together
from meanfree._progress import progress_bar
from meanfree.ensemble import Ensemble, as_ensemble
from meanfree.meanfield._fixed_point import resting_length
from meanfree.meanfield._layer import next_correlation, next_length

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

# covariances may exceed the product of lengths by their own rounding
_ROUNDING = 16 * np.finfo(np.float64).eps


@overload
def length_map(
    ensemble: Ensemble, q: float, *, n_threads: int | None = None, progress: bool | None = None
) -> float: ...
@overload
def length_map(
    ensemble: Ensemble, q: ArrayLike, *, n_threads: int | None = None, progress: bool | None = None
) -> Array: ...
def length_map(
    ensemble: Ensemble, q: ArrayLike, *, n_threads: int | None = None, progress: bool | None = None
) -> float | Array:
    """Map the length of an input through one layer.

    ``V(q) = sigma_w**2 E[phi(sqrt(q) z)**2] / keep + sigma_b**2`` with z ~ N(0, 1)
    (Poole et al., 2016, length map; Schoenholz et al., 2017, dropout).

    Parameters
    ----------
    ensemble : Ensemble
    q : array_like
        Mean squared pre-activation of the layer, any shape; in [0, 1e20].
    n_threads : int, optional
        Default: the cores that this process may use.
    progress : bool, optional
        Progress bar; None draws one on a terminal if the call is long.

    Returns
    -------
    float or array of the shape of q
        Mean squared pre-activation of the next layer; inf where it overflows.

    Raises
    ------
    ValueError
        If a q is negative, infinite or nan.
    TypeError
        If an argument is of the wrong kind.

    Examples
    --------
    >>> import meanfree as mf
    >>> print(f"{mf.length_map(mf.Ensemble('relu', 1.0, 0.5), 2.0):.6f}")
    1.250000
    """
    e = as_ensemble(ensemble)
    lengths = real_array("q", q, LENGTH)
    threads = cores(n_threads)
    flat = lengths.reshape(-1)
    with progress_bar(progress, "length map", flat.size) as report:
        moments = _core.gaussian_moments(e.activation.core, flat, threads, report)
    result: float | Array = shaped(next_length(e, moments[2]), lengths.shape)
    return result


def covariance_map(
    ensemble: Ensemble,
    q_aa: ArrayLike,
    q_bb: ArrayLike,
    q_ab: ArrayLike,
    *,
    n_threads: int | None = None,
    progress: bool | None = None,
) -> Any:
    """Map the covariance of two inputs through one layer.

    ``q_ab' = sigma_w**2 E[phi(u1) phi(u2)] + sigma_b**2`` where (u1, u2) is Gaussian with
    variances q_aa, q_bb and covariance q_ab (Poole et al., 2016). Dropout does not change it: the
    masks of two inputs are independent.

    Parameters
    ----------
    ensemble : Ensemble
    q_aa, q_bb : array_like
        Mean squared pre-activations of the two inputs, in [0, 1e20].
    q_ab : array_like
        Their mean product, abs(q_ab) <= sqrt(q_aa q_bb). The three broadcast.
    n_threads, progress
        As in `length_map`.

    Returns
    -------
    float or array of the common shape
        Mean product of the pre-activations of the next layer.

    Raises
    ------
    ValueError
        If a value is out of its range, or the shapes do not broadcast.
    TypeError
        If an argument is of the wrong kind.

    Examples
    --------
    >>> import meanfree as mf
    >>> network = mf.Ensemble("erf", 1.0)
    >>> print(f"{mf.covariance_map(network, 1.0, 2.0, 0.5):.6f}")
    0.166258
    """
    e = as_ensemble(ensemble)
    (a, b, ab), shape = together(
        q_aa=real_array("q_aa", q_aa, LENGTH),
        q_bb=real_array("q_bb", q_bb, LENGTH),
        q_ab=real_array("q_ab", q_ab),
    )
    threads = cores(n_threads)
    scale = np.sqrt(a) * np.sqrt(b)
    wrong = np.abs(ab) > scale * (1.0 + _ROUNDING)
    if wrong.any():
        i = int(np.argmax(wrong))
        msg = (
            f"q_ab must be in [-sqrt(q_aa q_bb), sqrt(q_aa q_bb)] = "
            f"[{-scale[i]:g}, {scale[i]:g}], got {float(ab[i])!r}"
        )
        raise ValueError(msg)
    c = np.clip(ab / np.where(scale > 0.0, scale, 1.0), -1.0, 1.0)
    with progress_bar(progress, "covariance map", a.size) as report:
        product = _core.covariance(e.activation.core, a, b, c, threads, report)[0]
    return shaped(e.sigma_w**2 * product + e.sigma_b**2, shape)


def correlation_map(
    ensemble: Ensemble,
    c: ArrayLike,
    *,
    q: ArrayLike | None = None,
    n_threads: int | None = None,
    progress: bool | None = None,
) -> Any:
    """Map the correlation of two inputs of equal length through one layer.

    ``C(c) = (sigma_w**2 E[phi(u1) phi(u2)] + sigma_b**2) / V(q)`` where u1, u2 have variance q and
    correlation c, and V is the length map (Poole et al., 2016). So C(1) = 1 for keep = 1 at any q;
    dropout makes it less.

    Parameters
    ----------
    ensemble : Ensemble
    c : array_like
        Correlation coefficient, in [-1, 1].
    q : array_like, optional
        Mean squared pre-activation of both inputs, in [0, 1e20]; broadcasts with c. Default: q*.
    n_threads, progress
        As in `length_map`.

    Returns
    -------
    float or array of the common shape

    Raises
    ------
    ValueError
        If a value is out of its range; if no q is given and q* is 0 or infinite; if V(q) = 0, where
        the correlation is undefined.
    TypeError
        If an argument is of the wrong kind.

    Examples
    --------
    >>> import meanfree as mf
    >>> network = mf.Ensemble("tanh", 2.5, 0.3)
    >>> mf.correlation_map(network, 1.0)
    1.0
    >>> print(f"{mf.correlation_map(network, 0.5):.6f}")
    0.444241
    """
    e, delta, lengths, shape = _pair(ensemble, c, q)
    threads = cores(n_threads)
    with progress_bar(progress, "correlation map", delta.size) as report:
        product, gap, _ = _core.correlation(e.activation.core, lengths, delta, threads, report)
    result, _ = next_correlation(e, product, gap)
    if np.isnan(result).any():
        bad = float(lengths[int(np.argmax(np.isnan(result)))])
        msg = f"q must be such that the length map V(q) > 0, got {bad!r}, where V(q) = 0"
        raise ValueError(msg)
    return shaped(result, shape)


def correlation_slope(
    ensemble: Ensemble,
    c: ArrayLike,
    *,
    q: ArrayLike | None = None,
    n_threads: int | None = None,
    progress: bool | None = None,
) -> Any:
    """Return the factor by which a layer changes a small difference of correlation.

    ``chi(c) = sigma_w**2 E[phi'(u1) phi'(u2)]`` where u1, u2 have variance q and correlation c. It
    is the slope of the correlation map only at q = q* (Poole et al., 2016); it is also the factor
    of the covariance of two inputs' gradients (Schoenholz et al., 2017).

    Parameters
    ----------
    ensemble : Ensemble
    c : array_like
        Correlation coefficient, in [-1, 1].
    q : array_like, optional
        Mean squared pre-activation of both inputs, in [0, 1e20]; broadcasts with c. Default: q*.
    n_threads, progress
        As in `length_map`.

    Returns
    -------
    float or array of the common shape
        inf at c = 1 where phi jumps.

    Raises
    ------
    ValueError
        If a value is out of its range, or no q is given and q* is 0 or infinite.
    TypeError
        If an argument is of the wrong kind.

    Examples
    --------
    >>> import meanfree as mf
    >>> network = mf.Ensemble("tanh", 2.5, 0.3)
    >>> print(f"{mf.correlation_slope(network, 1.0):.6f}")  # chi_1
    1.585225
    """
    e, delta, lengths, shape = _pair(ensemble, c, q)
    threads = cores(n_threads)
    with progress_bar(progress, "correlation slope", delta.size) as report:
        slopes = _core.correlation(e.activation.core, lengths, delta, threads, report)[2]
    return shaped(e.sigma_w**2 * slopes, shape)


def _pair(
    ensemble: Ensemble, c: ArrayLike, q: ArrayLike | None
) -> tuple[Ensemble, Array, Array, tuple[int, ...]]:
    e = as_ensemble(ensemble)
    correlation = real_array("c", c, CORRELATION)
    lengths = np.asarray(resting_length(e)) if q is None else real_array("q", q, LENGTH)
    (flat, q_flat), shape = together(c=correlation, q=lengths)
    return e, 1.0 - flat, q_flat, shape
