"""Lanczos vectors of many symmetric matrices at once, kept orthogonal by two passes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Product = Callable[[Array], Array]

_LOOK = 8  # steps after which it is asked whether they are enough


class Lanczos:
    """Krylov spaces of b starts at a time, shape (b, n), one dimension more with each step.

    Every new direction is made orthogonal to all before it, twice; a start of 0 stays 0.
    ``diagonal`` and ``beside`` are those of the tridiagonal matrices, (b, steps) and (b, steps):
    the last column of ``beside`` is the length of what the space does not yet hold. ``scale`` (b,)
    are the longest products so far, lower bounds of the largest absolute eigenvalues.
    """

    def __init__(self, multiply: Product, start: Array) -> None:
        b, n = start.shape
        self._multiply = multiply
        self._basis = np.empty((b, 16, n))
        self._basis[:, 0] = _directions(start, lengths(start))
        self._diagonal: list[Array] = []
        self._beside: list[Array] = []
        self.scale = np.zeros(b)

    @property
    def n_steps(self) -> int:
        """How many steps were made."""
        return len(self._diagonal)

    @property
    def diagonal(self) -> Array:
        """Diagonals of the tridiagonal matrices."""
        return np.stack(self._diagonal, axis=1)

    @property
    def beside(self) -> Array:
        """What is beside the diagonals."""
        return np.stack(self._beside, axis=1)

    @property
    def remainder(self) -> Array:
        """Lengths of what the spaces do not yet hold, (b,)."""
        return self._beside[-1]

    @property
    def matrix(self) -> Array:
        """The tridiagonal matrices with the remainder as another row, (b, steps + 1, steps)."""
        m = self.n_steps
        t = np.zeros((len(self.scale), m + 1, m))
        t[:, range(m), range(m)] = self.diagonal
        t[:, range(1, m + 1), range(m)] = self.beside
        t[:, range(m - 1), range(1, m)] = self.beside[:, :-1]
        return t

    @property
    def basis(self) -> Array:
        """The orthonormal rows, (b, steps, n)."""
        return self._basis[:, : self.n_steps]

    def step(self) -> None:
        """Add a dimension; where the space is invariant the new direction is 0."""
        m = self.n_steps
        if m + 1 == self._basis.shape[1]:
            self._basis = np.concatenate([self._basis, np.empty_like(self._basis)], axis=1)
        v = self._basis[:, m]
        w = self._multiply(v)
        self._diagonal.append(np.einsum("bn,bn->b", v, w))
        size = lengths(w)
        self.scale = np.maximum(self.scale, size)
        known = self._basis[:, : m + 1]
        for _ in range(2):
            w = w - np.matmul(np.matmul(known, w[..., None]).swapaxes(1, 2), known)[:, 0]
        beta = lengths(w)
        # what two passes leave of a direction that is in the space already is rounding
        beta[beta <= 16 * np.finfo(float).eps * self.scale] = 0.0
        self._beside.append(beta)
        self._basis[:, m + 1] = _directions(w, beta)

    def restart(self, direction: Array) -> None:
        """Leave what remains; go on from a direction made orthogonal to the space. b must be 1."""
        self._beside[-1][:] = 0.0
        known = self.basis
        for _ in range(2):
            direction = (
                direction
                - np.matmul(np.matmul(known, direction[..., None]).swapaxes(1, 2), known)[:, 0]
            )
        self._basis[:, self.n_steps] = direction / np.linalg.norm(direction)


def lanczos(
    product: Product,
    start: Array,
    steps: int,
    enough: Callable[[Lanczos], bool] | None = None,
) -> tuple[Array, Array]:
    """Return orthonormal rows V (m, k, n), from each start (m, n), and T (m, k + 1, k).

    ``H V^T = V^T T[:k] + (remainder) T[k]``: T[:k] is tridiagonal, T[k] ends with the norm of what
    lies outside. Where a Krylov space ends before k, the remaining rows of V and all of T that
    belongs to them are 0.
    """
    space = Lanczos(product, start)
    for done in range(1, min(steps, start.shape[1]) + 1):
        space.step()
        if not np.any(space.remainder > 0.0):
            break
        if enough and done % _LOOK == 0 and enough(space):
            break
    return space.basis, space.matrix


def lengths(vectors: Array) -> Array:
    """Return the lengths (b,) of vectors (b, n), also where their squares are not in range."""
    with np.errstate(over="ignore"):
        found: Array = np.linalg.norm(vectors, axis=1)
    odd = ~((found > 1e-140) & (found < np.inf))
    if odd.any():
        size = np.abs(vectors[odd]).max(axis=1)
        safe = np.where((size > 0.0) & (size < np.inf), size, 1.0)
        found[odd] = safe * np.linalg.norm(vectors[odd] / safe[:, None], axis=1)
    return found


def _directions(vectors: Array, size: Array) -> Array:
    """Return vectors (b, n) over their lengths (b,), 0 where the length is not positive."""
    safe = np.where(size > 0.0, size, 1.0)
    return np.asarray(np.where((size > 0.0)[:, None], vectors / safe[:, None], 0.0))
