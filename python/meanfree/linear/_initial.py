"""Weights from which a deep linear network starts to learn."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from meanfree._check import choice, real, real_array, size
from meanfree._check import seed as check_seed
from meanfree.linear._checks import POSITIVE, WEIGHT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

Kind = Literal["gaussian", "orthogonal", "aligned", "balanced"]


def initial_weights(
    sizes: Sequence[int],
    kind: Kind,
    *,
    scale: float = 1.0,
    sigma_yx: ArrayLike | None = None,
    seed: int = 0,
    n_runs: int | None = None,
) -> tuple[Array, ...]:
    """Draw the weights of a deep linear network.

    Parameters
    ----------
    sizes : sequence of int
        Units of each layer n_0, ..., n_L, the inputs first: at least two, each at least 1.
    kind : {"gaussian", "orthogonal", "aligned", "balanced"}
        "gaussian": independent normals of variance ``scale**2 / fan_in``. "orthogonal": scale
        times uniformly distributed matrices with orthonormal rows or columns. "balanced": ``scale
        R_{l+1} R_l^T``, where R_l are min(sizes) orthonormal columns of n_l components, uniformly
        distributed, so that ``W_{l+1}^T W_{l+1} = W_l W_l^T`` whatever the shapes. "aligned": the
        same with the singular vectors of sigma_yx for the inputs and outputs, in the order of
        falling singular values: every mode then learns by itself, from the strength ``scale**L``.
    scale : float
        In (0, 1e100].
    sigma_yx : (n_L, n_0) array_like, optional
        What is to be learned; needed for "aligned".
    seed : int
        In [0, 2**64 - 1].
    n_runs : int, optional
        Number of independent networks; the weights then have a first axis for them. Each is the
        same whatever their number, and the first that of one without n_runs.

    Returns
    -------
    tuple of (n_l, n_{l-1}) array, or (n_runs, n_l, n_{l-1})
        W_1, ..., W_L.

    Raises
    ------
    ValueError
        If a value is out of its range, or sigma_yx is missing or does not fit the sizes.
    TypeError
        If an argument is of the wrong kind.

    Notes
    -----
    Along gradient flow balanced weights keep their rank, and with as many outputs as inputs and no
    narrower layer the sign of the determinant of the map. Where that of sigma_yx has the other
    sign, as for half of all draws of "balanced", the weakest mode is never learned: the flow ends
    at a saddle, which only rounding leaves.

    Examples
    --------
    >>> from meanfree.linear import initial_weights
    >>> w1, w2 = initial_weights((4, 3, 2), "balanced", scale=0.1, seed=1)
    >>> bool(abs(w2.T @ w2 - w1 @ w1.T).max() < 1e-15)
    True
    """
    chain = _sizes(sizes)
    word = choice("kind", kind, get_args(Kind))
    factor, key = real("scale", scale, POSITIVE), check_seed(seed)
    runs = None if n_runs is None else size("n_runs", n_runs)
    ends: tuple[Array, Array] | None = None
    if sigma_yx is not None:
        outputs = real_array("sigma_yx", sigma_yx, WEIGHT)
        if outputs.shape != (chain[-1], chain[0]):
            msg = (
                f"sigma_yx must have the shape (n_L, n_0) = {(chain[-1], chain[0])} of the sizes, "
                f"got {outputs.shape}"
            )
            raise ValueError(msg)
    if word == "aligned":
        if sigma_yx is None:
            msg = "sigma_yx must be given for aligned weights, got None"
            raise ValueError(msg)
        u, _, vt = np.linalg.svd(outputs, full_matrices=False)
        ends = vt[: min(chain)].T, u[:, : min(chain)]
    draws = [
        _draw(chain, word, factor, ends, np.random.default_rng([key, run]))
        for run in range(runs or 1)
    ]
    if runs is None:
        return tuple(draws[0])
    return tuple(np.stack(layer) for layer in zip(*draws, strict=True))


def _sizes(sizes: Any) -> tuple[int, ...]:
    try:
        chain = tuple(size("sizes", n) for n in sizes)
    except TypeError:
        msg = f"sizes must be a sequence of integers >= 1, got {sizes!r:.60}"
        raise TypeError(msg) from None
    if len(chain) < 2:
        msg = f"sizes must have at least two numbers, inputs and outputs, got {sizes!r:.60}"
        raise ValueError(msg)
    return chain


def _draw(
    sizes: tuple[int, ...],
    kind: str,
    scale: float,
    ends: tuple[Array, Array] | None,
    rng: np.random.Generator,
) -> list[Array]:
    shapes = list(zip(sizes[1:], sizes[:-1], strict=True))
    if kind == "gaussian":
        return [scale / np.sqrt(n) * rng.standard_normal((m, n)) for m, n in shapes]
    if kind == "orthogonal":
        frames = [_frame(max(m, n), min(m, n), rng) for m, n in shapes]
        return [scale * (q if m >= n else q.T) for q, (m, n) in zip(frames, shapes, strict=True)]
    frames = [_frame(n, min(sizes), rng) for n in sizes]
    if ends is not None:
        frames[0], frames[-1] = ends
    return [scale * after @ before.T for before, after in pairwise(frames)]


def _frame(n: int, k: int, rng: np.random.Generator) -> Array:
    """Draw k orthonormal vectors of n components, uniformly."""
    q, r = np.linalg.qr(rng.standard_normal((n, k)))
    return np.asarray(q * np.where(np.diag(r) < 0.0, -1.0, 1.0))
