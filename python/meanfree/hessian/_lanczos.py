"""Extreme eigenvalues of large matrices by Lanczos steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meanfree._krylov import Lanczos, lengths

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meanfree._krylov import Product

    Array = NDArray[np.float64]

_EVERY = 8  # steps between two looks at the Ritz values
_INVARIANT = 1e-10  # of the largest product: what is left of a space that ended, and rounding


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


def extreme(
    multiply: Product, n: int, k: int, *, which: str, tol: float, max_steps: int, seed: int
) -> Ritz:
    """Return k Ritz pairs of the symmetric matrix of size n that `multiply` applies."""
    from scipy.linalg import eigh_tridiagonal, eigvalsh_tridiagonal

    random = np.random.default_rng(seed)
    lanczos = Lanczos(multiply, random.standard_normal((1, n)))
    first = 0  # step of the last start
    while True:
        lanczos.step()
        m, beta = lanczos.n_steps, float(lanczos.remainder[0])
        ended = beta <= 0.5 * min(_INVARIANT, tol) * lanczos.scale[0]
        last = m >= max_steps or m == n
        if (m >= k and m % _EVERY == 0) or last or ended:
            theta, s = eigh_tridiagonal(lanczos.diagonal[0], lanczos.beside[0, :-1])
            chosen = _choose(theta, min(k, m), which)
            small = np.abs(beta * s[-1, chosen]) <= 0.5 * tol * np.abs(theta).max()
            if last or (m >= k and small.all() and not first):
                break
            if m >= k and first and ended:
                # what the spaces do not hold are further copies of the values of the last one
                values = eigvalsh_tridiagonal(
                    lanczos.diagonal[0, first:], lanczos.beside[0, first:-1]
                )
                best = _choose(values, 1, which)
                if _is_beyond(
                    theta[chosen], float(values[best][0]), which, tol * np.abs(theta).max()
                ):
                    break
        if ended:
            first = m
            lanczos.restart(random.standard_normal((1, n)))
    rows = s[:, chosen].T @ lanczos.basis[0]
    values = theta[chosen]
    residuals = lengths(multiply(rows) - values[:, None] * rows)
    converged = residuals <= tol * np.abs(theta).max()
    return Ritz(values, residuals, np.ascontiguousarray(rows.T), converged, m)


def _choose(theta: Array, k: int, which: str) -> NDArray[np.intp]:
    """Places of the values wanted among rising theta."""
    if which == "largest":
        return np.arange(theta.size - k, theta.size)
    if which == "smallest":
        return np.arange(k)
    return np.sort(np.argsort(-np.abs(theta), kind="stable")[:k])


def _is_beyond(chosen: Array, value: float, which: str, margin: float) -> bool:
    """Tell whether all that were chosen are as far out as this one."""
    if which == "largest":
        return bool(chosen.min() >= value - margin)
    if which == "smallest":
        return bool(chosen.max() <= value + margin)
    return bool(np.abs(chosen).min() >= abs(value) - margin)
