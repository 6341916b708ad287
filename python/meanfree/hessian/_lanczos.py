"""Lanczos steps with full re-orthogonalisation, and the extreme eigenvalues they give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Product = Callable[[Array], Array]

_EVERY = 8  # steps between two looks at the Ritz values


@dataclass(frozen=True, eq=False)
class Ritz:
    """Approximate eigenvalues and what they are worth; made by `MLP.extreme_eigenvalues`.

    Attributes
    ----------
    values : (k,) array
        Rising.
    residuals : (k,) array
        ``|H v - value v|``: within this distance of each value lies an eigenvalue of H.
    vectors : (n, k) array
        Orthonormal columns v.
    converged : (k,) bool array
        Which residuals are as small as was asked for. Do not use the others as eigenvalues.
    n_steps : int
        Lanczos steps that were made.
    """

    values: Array
    residuals: Array
    vectors: Array
    converged: NDArray[np.bool_]
    n_steps: int


class Lanczos:
    """Krylov spaces of b starts at a time, shape (b, n), one dimension more with each step.

    Every new direction is made orthogonal to all before it, twice. ``diagonal`` and ``beside`` are
    those of the tridiagonal matrices, (b, steps) and (b, steps): the last column of ``beside`` is
    the length of what the space does not yet hold.
    """

    def __init__(self, multiply: Product, start: Array) -> None:
        b, n = start.shape
        self._multiply = multiply
        self._basis = np.empty((b, 16, n))
        self._basis[:, 0] = start / np.linalg.norm(start, axis=1)[:, None]
        self._diagonal: list[Array] = []
        self._beside: list[Array] = []
        self._scale = np.zeros(b)

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
        size = np.linalg.norm(w, axis=1)
        self._scale = np.maximum(self._scale, size)
        known = self._basis[:, : m + 1]
        for _ in range(2):
            w = w - np.matmul(np.matmul(known, w[..., None]).swapaxes(1, 2), known)[:, 0]
        beta = np.linalg.norm(w, axis=1)
        # what two passes leave of a direction that is in the space already is rounding
        beta[beta <= 16 * np.finfo(float).eps * self._scale] = 0.0
        self._beside.append(beta)
        with np.errstate(divide="ignore", invalid="ignore"):
            self._basis[:, m + 1] = np.where(beta[:, None] > 0.0, w / beta[:, None], 0.0)

    def restart(self, direction: Array) -> None:
        """Go on from a direction that is made orthogonal to the space; b must be 1."""
        known = self.basis
        for _ in range(2):
            direction = (
                direction
                - np.matmul(np.matmul(known, direction[..., None]).swapaxes(1, 2), known)[:, 0]
            )
        self._basis[:, self.n_steps] = direction / np.linalg.norm(direction)


def extreme(
    multiply: Product, n: int, k: int, *, which: str, tol: float, max_steps: int, seed: int
) -> Ritz:
    """Return k Ritz pairs of the symmetric matrix of size n that `multiply` applies."""
    from scipy.linalg import eigh_tridiagonal

    random = np.random.default_rng(seed)
    lanczos = Lanczos(multiply, random.standard_normal((1, n)))
    while True:
        lanczos.step()
        m, beta = lanczos.n_steps, float(lanczos.beside[0, -1])
        last = m >= max_steps or m == n
        if (m >= k and m % _EVERY == 0) or last or beta == 0.0:
            theta, s = eigh_tridiagonal(lanczos.diagonal[0], lanczos.beside[0, :-1])
            chosen = _choose(theta, min(k, m), which)
            small = np.abs(beta * s[-1, chosen]) <= 0.5 * tol * np.abs(theta).max()
            if last or (m >= k and small.all()):
                break
        if beta == 0.0:
            lanczos.restart(random.standard_normal((1, n)))
    rows = s[:, chosen].T @ lanczos.basis[0]
    values = theta[chosen]
    residuals = np.linalg.norm(multiply(rows) - values[:, None] * rows, axis=1)
    converged = residuals <= tol * np.abs(theta).max()
    return Ritz(values, residuals, np.ascontiguousarray(rows.T), converged, m)


def _choose(theta: Array, k: int, which: str) -> NDArray[np.intp]:
    """Places of the values wanted among rising theta."""
    if which == "largest":
        return np.arange(theta.size - k, theta.size)
    if which == "smallest":
        return np.arange(k)
    return np.sort(np.argsort(-np.abs(theta), kind="stable")[:k])
