"""Lanczos vectors of many symmetric matrices at once, kept orthogonal by two passes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_LOOK = 8  # steps after which it is asked whether they are enough
_EPS = float(np.finfo(np.float64).eps)


def lanczos(
    product: Callable[[Array], Array],
    start: Array,
    steps: int,
    enough: Callable[[Array], bool] | None = None,
) -> tuple[Array, Array]:
    """Return orthonormal rows V (m, k, n), from each start (m, n), and T (m, k + 1, k).

    ``H V^T = V^T T[:k] + (remainder) T[k]``: T[:k] is tridiagonal, T[k] ends with the norm of what
    lies outside. Each new vector is made orthogonal to all others twice. Where a Krylov space
    ends before k, the remaining rows of V and all of T that belongs to them are 0.
    """
    m, n = start.shape
    k = min(steps, n)
    basis, matrix = np.zeros((m, k, n)), np.zeros((m, k + 1, k))
    norm = np.linalg.norm(start, axis=1)
    vector = start * _reciprocal(norm, np.zeros(m))[:, None]
    size = np.zeros(m)
    for j in range(k):
        basis[:, j] = vector
        rest = product(vector)
        known = basis[:, : j + 1]
        along = np.zeros((m, j + 1))
        for _ in range(2):
            part = np.matmul(known, rest[..., None])[..., 0]
            rest = rest - np.matmul(part[:, None], known)[:, 0]
            along += part
        matrix[:, j, j] = along[:, j]
        norm = np.linalg.norm(rest, axis=1)
        size = np.maximum(size, np.linalg.norm(along, axis=1))
        over = _reciprocal(norm, 10.0 * _EPS * size)
        matrix[:, j + 1, j] = np.where(over > 0.0, norm, 0.0)
        if j + 1 < k:
            matrix[:, j, j + 1] = matrix[:, j + 1, j]
        else:
            break
        vector = rest * over[:, None]
        done = j + 1
        if not over.any() or (
            enough and done % _LOOK == 0 and enough(matrix[:, : done + 1, :done])
        ):
            return basis[:, :done], matrix[:, : done + 1, :done]
    return basis, matrix


def _reciprocal(norm: Array, limit: Array) -> Array:
    return np.divide(1.0, norm, out=np.zeros_like(norm), where=norm > limit)
