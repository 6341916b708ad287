"""Critical points of linear networks with one hidden layer, whose Hessians are known exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meanfree._check import integer, real_array, size
from meanfree._memory import require_memory
from meanfree.linear._checks import WEIGHT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LinearSaddle:
    """A critical point of a linear network; made by `linear_saddle`.

    Attributes
    ----------
    weights : tuple of (n_hidden, n_in) array and (n_out, n_hidden) array
        W1 and W2, balanced: ``W1 W1^T = W2^T W2``.
    loss : float
        Excess over the optimum of an unrestricted linear map.
    eigenvalues : (n_hidden (n_in + n_out),) array
        Of the Hessian in all weights, rising.
    index : int
        How many are negative.
    n_zero : int
        How many are 0.
    """

    weights: tuple[Array, Array]
    loss: float
    eigenvalues: Array
    index: int
    n_zero: int


def linear_saddle(sigma_yx: ArrayLike, n_hidden: int, modes: Iterable[int]) -> LinearSaddle:
    """Return the critical point at which a linear network has learned the modes that are named.

    The loss is ``|sigma_yx - W2 W1|**2 / 2``: white inputs, squared error in excess of that of the
    best linear map. With ``sigma_yx = sum_i s_i u_i v_i^T`` every critical point learns a set I of
    at most n_hidden modes exactly and leaves out the others, J (Baldi and Hornik, 1989); its loss
    is ``sum_J s_j**2 / 2``. With r modes in I, at the balanced point the Hessian has the
    eigenvalues ::

        0 and s_i + s_i'             for i, i' in I
        s_i - s_j and s_i + s_j      for i in I, j in J
        s_i, |n_out - n_in| times    for i in I
        -s_j and s_j                 for j in J, each of the n_hidden - r idle units
        0, 2 r + |n_out - n_in| times                for each idle unit

    so that all points but the best are saddles: their index is the number of pairs with ``s_j >
    s_i``, and that of the positive s_j times the number of idle units.

    Parameters
    ----------
    sigma_yx : (n_out, n_in) array_like
        Covariance of outputs and inputs, entries in [-1e100, 1e100].
    n_hidden : int
        Number of hidden units, at least 1.
    modes : iterable of int
        I, each in [0, min(n_out, n_in) - 1] and at most once, at most n_hidden: positions in the
        falling sequence of singular values. Hidden unit number a learns the mode named at place a.

    Returns
    -------
    LinearSaddle
        Singular values that differ by at most ``max(n_out, n_in)`` roundings of the largest count
        as equal, and those as small as 0, so that the index is exact.

    Raises
    ------
    ValueError
        If a value is out of its range, sigma_yx is no matrix, or there are more modes than units.
    TypeError
        If an argument is of the wrong kind.
    MemoryError
        If weights and eigenvalues do not fit, before they are allocated.

    Notes
    -----
    Unbalanced weights of the same product are critical too, with the same index and other
    eigenvalues.

    References
    ----------
    Baldi and Hornik (1989), "Neural networks and principal component analysis: learning from
    examples without local minima".

    Examples
    --------
    >>> from meanfree.landscape import linear_saddle
    >>> point = linear_saddle([[3.0, 0.0], [0.0, 1.0]], 1, [1])
    >>> point.eigenvalues.round(12).tolist(), point.index, point.loss
    ([-2.0, 0.0, 2.0, 4.0], 1, 4.5)
    """
    matrix = real_array("sigma_yx", sigma_yx, WEIGHT)
    if matrix.ndim != 2 or not matrix.size:
        msg = f"sigma_yx must have the shape (n_out, n_in), both >= 1, got shape {matrix.shape}"
        raise ValueError(msg)
    units = size("n_hidden", n_hidden)
    kept = _modes(modes, min(matrix.shape), units)
    count = units * sum(matrix.shape)
    require_memory(f"{count} weights and as many eigenvalues need", 40 * count, "take fewer units")
    u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    rounding = max(matrix.shape) * np.finfo(np.float64).eps * s[0]
    s[s <= rounding] = 0.0
    left = np.setdiff1d(np.arange(s.size), kept)
    learned, missing = s[kept], s[left]

    idle, r, extra = units - kept.size, kept.size, abs(matrix.shape[0] - matrix.shape[1])
    difference = learned[:, None] - missing
    difference[np.abs(difference) <= rounding] = 0.0
    eigenvalues = np.concatenate(
        [
            (learned[:, None] + learned).ravel(),
            difference.ravel(),
            (learned[:, None] + missing).ravel(),
            np.repeat(learned, extra),
            np.tile(missing, idle),
            -np.tile(missing, idle),
            np.zeros(r * r + idle * (2 * r + extra)),
        ]
    )
    root = np.sqrt(learned)
    first, second = np.zeros((units, matrix.shape[1])), np.zeros((matrix.shape[0], units))
    first[:r] = root[:, None] * vt[kept]
    second[:, :r] = u[:, kept] * root
    return LinearSaddle(
        weights=(first, second),
        loss=0.5 * float(missing @ missing),
        eigenvalues=np.sort(eigenvalues) + 0.0,  # no -0.0
        index=int(np.count_nonzero(eigenvalues < 0.0)),
        n_zero=int(np.count_nonzero(eigenvalues == 0.0)),
    )


def _modes(modes: Iterable[int], most: int, units: int) -> NDArray[np.intp]:
    try:
        listed = list(modes)
    except TypeError:
        msg = f"modes must be a sequence of integers, got {modes!r:.60}"
        raise TypeError(msg) from None
    kept = [integer("modes", mode, 0, most - 1) for mode in listed]
    if len(set(kept)) < len(kept):
        msg = f"modes must be different from each other, got {kept!r:.60}"
        raise ValueError(msg)
    if len(kept) > units:
        msg = f"modes must be at most n_hidden = {units}, got {len(kept)}"
        raise ValueError(msg)
    return np.array(kept, dtype=np.intp)
