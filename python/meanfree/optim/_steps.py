"""One step of saddle-free Newton, from the whole Hessian or from products with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from meanfree._check import Range, real, real_array, size
from meanfree._krylov import lanczos
from meanfree._problem import check_symmetric, cut_off, inverse

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

DAMPING = Range("finite and >= 0", 0.0)


def saddle_free_step(hessian: ArrayLike, gradient: ArrayLike, *, damping: float) -> Array:
    """Return the step of saddle-free Newton, ``-(|H| + damping)**-1 g``.

    |H| has the eigenvectors of H and the sizes of its eigenvalues: the step is as long as Newton's
    in every direction, and always downhill, so that a saddle repels where it attracts Newton. It
    minimises the linear model of the function within the region where the quadratic one differs
    from it by no more than a bound (Dauphin et al., 2014).

    Parameters
    ----------
    hessian : (..., n, n) array_like
        Symmetric.
    gradient : (..., n) array_like
    damping : float
        At least 0, in units of the eigenvalues. At 0 the directions whose eigenvalues are as small
        as rounding (``max(n, 10)`` machine epsilons of the largest) are left out.

    Returns
    -------
    (..., n) array

    Raises
    ------
    ValueError
        If a value is out of its range or not finite, the shapes do not fit or the matrix is not
        symmetric.
    TypeError
        If an argument is of the wrong kind.

    References
    ----------
    Dauphin, Pascanu, Gulcehre, Cho, Ganguli and Bengio (2014), "Identifying and attacking the
    saddle point problem in high-dimensional non-convex optimization".

    Examples
    --------
    >>> from meanfree.optim import saddle_free_step
    >>> saddle_free_step([[2.0, 0.0], [0.0, -4.0]], [1.0, 1.0], damping=0.0).tolist()
    [-0.5, -0.25]
    """
    matrix, g = real_array("hessian", hessian), real_array("gradient", gradient)
    if g.ndim < 1 or g.shape[-1] < 1:
        msg = f"gradient must have the shape (..., n), n >= 1, got shape {g.shape}"
        raise ValueError(msg)
    if matrix.shape != (*g.shape, g.shape[-1]):
        wanted = (*g.shape, g.shape[-1])
        msg = f"hessian must have the shape {wanted}, as the gradient has, got {matrix.shape}"
        raise ValueError(msg)
    check_symmetric("hessian", matrix)
    shift = real("damping", damping, DAMPING)
    values, vectors = np.linalg.eigh(matrix)
    return saddle_free(values, vectors, g, np.asarray(shift))


def krylov_saddle_free_step(
    hvp: Callable[[Array], Any], gradient: ArrayLike, *, dimension: int, damping: float
) -> Array:
    """Return the step of saddle-free Newton in the space of the first Lanczos vectors.

    ``-V^T (|T| + damping)**-1 V g`` with ``T = V H V^T``, where the rows of V are an orthonormal
    basis of g, H g, H H g, ...: it takes `dimension` products with the Hessian, which itself is
    never made. New vectors are made orthogonal to all before in two passes.

    Parameters
    ----------
    hvp : callable
        Takes vectors of the shape of `gradient` and returns the Hessian times each.
    gradient : (..., n) array_like
    dimension : int
        Of the Krylov space, at least 1; n serves for all that are larger. With n this is
        `saddle_free_step`, if g has a component in every eigenspace; each space is used as far as
        it goes.
    damping : float
        As in `saddle_free_step`.

    Returns
    -------
    (..., n) array
        0 where g is.

    Raises
    ------
    ValueError
        If a value is out of its range or not finite, or what `hvp` returns is not finite or has
        the wrong shape.
    TypeError
        If an argument is of the wrong kind.

    Notes
    -----
    |T| is not |H| seen from the subspace, so that the step is not the full one projected.

    References
    ----------
    As `saddle_free_step`.

    Examples
    --------
    >>> import numpy as np
    >>> from meanfree.optim import krylov_saddle_free_step
    >>> curvature = np.array([2.0, -4.0, 1.0])
    >>> step = krylov_saddle_free_step(lambda v: curvature * v, [1, 1, 1], dimension=3, damping=0.0)
    >>> step.round(12).tolist()
    [-0.5, -0.25, -1.0]
    """
    g = real_array("gradient", gradient)
    if g.ndim < 1 or g.shape[-1] < 1:
        msg = f"gradient must have the shape (..., n), n >= 1, got shape {g.shape}"
        raise ValueError(msg)
    many, shift = size("dimension", dimension), real("damping", damping, DAMPING)
    if not callable(hvp):
        msg = f"hvp must be a function of a vector, got {hvp!r:.60} of type {type(hvp).__name__}"
        raise TypeError(msg)

    def product(v: Array) -> Array:
        result = real_array("what hvp returns", hvp(v.reshape(g.shape)))
        if result.shape != g.shape:
            msg = f"hvp must return the shape {g.shape} of the gradient, got {result.shape}"
            raise ValueError(msg)
        return result.reshape(v.shape)

    flat = g.reshape(-1, g.shape[-1])
    basis, matrix = lanczos(product, flat, many)
    values, vectors = np.linalg.eigh(matrix[:, :-1])
    first = np.zeros(values.shape)
    first[:, 0] = np.linalg.norm(flat, axis=1)
    step = saddle_free(values, vectors, first, np.asarray(shift))
    return np.asarray(np.matmul(step[:, None], basis)[:, 0].reshape(g.shape))


def saddle_free(values: Array, vectors: Array, g: Array, damping: Array) -> Array:
    """Return -(|H| + damping)^-1 g, given the eigenvalues and eigenvectors of H."""
    along = np.matmul(g[..., None, :], vectors)[..., 0, :]
    limit = np.where(damping > 0.0, 0.0, cut_off(values))
    step = -along * inverse(np.abs(values) + damping, limit)
    return np.asarray(np.matmul(vectors, step[..., None])[..., 0])
