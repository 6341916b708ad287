"""Exact means of determinants in the Gaussian orthogonal ensemble, which count critical points.

Symmetric n x n matrices Y of weight exp(-tr Y**2 / 2): off-diagonal variance 1/2, diagonal 1. As
the joint density of the eigenvalues at size n + 1 contains the determinant of the other n,

    E |det(Y - y)| = sqrt(2) Gamma((n + 1) / 2) exp(y**2 / 2) rho_{n+1}(y),

with rho_n the density of all n eigenvalues, which Hermite functions give (Mehta, Random Matrices).
"""

from __future__ import annotations

from math import lgamma, log, pi, sqrt
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

LARGEST = 400  # the first Hermite function is still above 1e-290 where the density ends
_STEP = 0.03  # a fifth of the shortest wave at the largest size, and the integrands are analytic


def density(n: int, y: Array) -> Array:
    """Return the density of all n eigenvalues, n <= LARGEST + 1, at |y| < 37."""
    phi = _hermite(n, y)
    rho: Array = np.square(phi[:n]).sum(axis=0) + sqrt(n / 2) * phi[n - 1] * _half(n, phi, y)
    if n % 2:
        far = np.array([37.0])
        whole = 2.0 * _half(n - 1, _hermite(n, far), far)  # the integral of phi_{n-1}
        rho = rho + phi[n - 1] / whole
    return rho


def log_mean_determinant(n: int, y: Array) -> Array:
    """Return log E |det(Y - y)| for Y of size n <= LARGEST."""
    log_density: Array = np.log(density(n + 1, y))
    return log_density + 0.5 * y**2 + 0.5 * log(2.0) + lgamma(0.5 * (n + 1))


def log_mean_shifted(n: int, variance: float) -> float:
    """Return log E |det(Y - y)| where y too is random, normal of a variance."""
    end = sqrt(2 * n) + 8.0
    y = np.linspace(-end, end, 2 * int(end / _STEP) + 1)
    terms = log_mean_determinant(n, y) - y**2 / (2.0 * variance)
    top = terms.max()
    total = float(np.exp(terms - top).sum()) * float(y[1] - y[0])
    return float(top) + log(total) - 0.5 * log(2.0 * pi * variance)


def _hermite(n: int, y: Array) -> Array:
    """Return phi_0 .. phi_n, orthonormal, phi_k a polynomial of degree k times exp(-y**2 / 2)."""
    phi = [np.exp(-0.5 * y**2) / pi**0.25]
    phi.append(sqrt(2.0) * y * phi[0])
    for k in range(1, n):
        phi.append(sqrt(2 / (k + 1)) * y * phi[k] - sqrt(k / (k + 1)) * phi[k - 1])
    return np.array(phi)


def _half(n: int, phi: Array, y: Array) -> Array:
    """Return the integral of sgn(y - t) phi_n(t) / 2 over t, two steps of n at a time."""
    from scipy.special import erf

    k = n % 2
    total: Array = -sqrt(2.0) * phi[0] if k else pi**0.25 / sqrt(2.0) * erf(y / sqrt(2.0))
    while k < n:  # phi_{k+1}' = sqrt((k+1)/2) phi_k - sqrt((k+2)/2) phi_{k+2}
        total = (sqrt((k + 1) / 2) * total - phi[k + 1]) / sqrt((k + 2) / 2)
        k += 2
    return total
