"""Random matrices at finite size: exact densities, determinants and counts of critical points.

Symmetric Y of weight exp(-tr Y**2 / 2): off-diagonal variance 1/2, diagonal variance 1.
"""

from functools import cache

import numpy as np
from scipy.special import erf, gammaln

SIZES = (50, 100, 200, 400)


def hermite_functions(n, y):
    """Return phi_0 .. phi_n, n >= 1, orthonormal on the line."""
    phi = [np.pi**-0.25 * np.exp(-(y**2) / 2)]
    phi.append(np.sqrt(2.0) * y * phi[0])
    for k in range(1, n):
        phi.append(np.sqrt(2 / (k + 1)) * y * phi[k] - np.sqrt(k / (k + 1)) * phi[k - 1])
    return np.array(phi)


def density(n, y):
    """Return the density of all n <= 401 eigenvalues (Mehta, "Random Matrices")."""
    phi = hermite_functions(n, y)
    below = half_integral(n, phi, y)
    rho = (phi[:n] ** 2).sum(axis=0) + np.sqrt(n / 2) * phi[n - 1] * below
    if n % 2:  # phi_{n-1} over its integral, which is twice the half integral far out
        far = np.array([40.0])
        total = 2 * half_integral(n - 1, hermite_functions(max(n - 1, 1), far), far)
        rho += phi[n - 1] / total
    return rho


def half_integral(n, phi, y):
    """Return the integral of sgn(y - t) phi_n(t) / 2 over t, two steps of n at a time."""
    k = n % 2
    total = -np.sqrt(2.0) * phi[0] if k else np.pi**0.25 / np.sqrt(2) * erf(y / np.sqrt(2))
    while k < n:  # phi_{k+1}' = sqrt((k+1)/2) phi_k - sqrt((k+2)/2) phi_{k+2}
        total = (np.sqrt((k + 1) / 2) * total - phi[k + 1]) / np.sqrt((k + 2) / 2)
        k += 2
    return total


def log_mean_determinant(n, y):
    """Return log E |det(Y - y)| for Y of size n: the density at size n + 1, of which it is part."""
    return np.log(density(n + 1, y)) + y**2 / 2 + 0.5 * np.log(2.0) + gammaln((n + 1) / 2)


@cache
def shifts(n):
    """Return y that cover the eigenvalues of size n, their spacing, and the determinants there."""
    end = np.sqrt(2 * n) + 8.0
    y = np.linspace(-end, end, 2 * int(end / 0.03) + 1)
    return y, y[1] - y[0], log_mean_determinant(n, y)


def log_sum(terms, step):
    """Return log(step * sum(exp(terms)))."""
    top = terms.max()
    return top + np.log(np.exp(terms - top).sum() * step)


def log_field_density(field, n, y, log_determinant):
    """Return the log density of critical points per volume and shift y, in n dimensions.

    The Hessian is sqrt(8 C2 / n) (Y - y) with y of variance 1/2, the gradient has -2 C1.
    """
    scale = np.log(2 * field.curvature / (np.pi * -field.slope * n))
    return 0.5 * n * scale + log_determinant - y**2 - 0.5 * np.log(np.pi)


def spin_counts(p, n):
    """Return energies, their spacing, and the log density in energy of critical points of p-spin.

    In all, over the sphere in n dimensions. The Hessian at energy u is sqrt(2 p (p - 1) / n)
    (Y - y), of size n - 1, with y = u sqrt(p n / (2 (p - 1))); u has the variance 1 / n.
    """
    y, step, log_determinant = shifts(n - 1)
    per_energy = np.sqrt(p * n / (2 * (p - 1)))
    area = np.log(2) + 0.5 * n * np.log(np.pi) - gammaln(n / 2) + 0.5 * (n - 1) * np.log(n)
    scale = 0.5 * (n - 1) * np.log((p - 1) / (np.pi * n))
    u = y / per_energy
    law = 0.5 * np.log(n / (2 * np.pi)) - n * u**2 / 2
    return u, step / per_energy, area + scale + log_determinant + law


def spin_mean_count(p, n):
    """Return the mean number of critical points of the p-spin model on the sphere."""
    _, step, terms = spin_counts(p, n)
    return np.exp(log_sum(terms, step))


def spin_mean_square(p, n):
    """Return the mean sum of their squared energies."""
    u, step, terms = spin_counts(p, n)
    return (np.exp(terms) * u**2).sum() * step


def wrong_exponent(off):
    """Return d from values d n + a log n + b + c / n at the four `SIZES`."""
    bend = np.diff(np.array(off), 2, axis=0)  # d n + c / (4 n), and the same for 2 n
    return (2 * bend[1] - bend[0]) / (3 * SIZES[0])
