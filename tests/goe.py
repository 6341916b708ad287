"""Exact densities of critical points at finite size, and what their exponents are off by."""

from functools import cache

import numpy as np
from scipy.special import gammaln

from meanfree.landscape._goe import log_mean_determinant

SIZES = (50, 100, 200, 400)


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


def log_spin_density(p, n, u):
    """Return the log density in energy of critical points of p-spin on the sphere.

    The Hessian at energy u, of variance 1 / n, is sqrt(2 p (p - 1) / n) (Y - y), of size n - 1.
    """
    determinant = log_mean_determinant(n - 1, u * np.sqrt(p * n / (2 * (p - 1))))
    area = np.log(2) + 0.5 * n * np.log(np.pi) - gammaln(n / 2) + 0.5 * (n - 1) * np.log(n)
    scale = 0.5 * (n - 1) * np.log((p - 1) / (np.pi * n))
    return area + scale + determinant + 0.5 * np.log(n / (2 * np.pi)) - n * u**2 / 2


def wrong_exponent(off):
    """Return d from values d n + a log n + b + c / n at the four `SIZES`."""
    bend = np.diff(np.array(off), 2, axis=0)  # d n + c / (4 n), and the same for 2 n
    return (2 * bend[1] - bend[0]) / (3 * SIZES[0])
