"""Arithmetic that turns Gaussian moments into the maps of a layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meanfree.ensemble import Ensemble

    Array = NDArray[np.float64]


def next_length(ensemble: Ensemble, second: Array) -> Array:
    """Return V(q) from the moment ``second`` = E phi(sqrt(q) z)**2."""
    gain = ensemble.sigma_w**2
    # 0 * inf is no length
    with np.errstate(over="ignore"):
        grown = gain * second / ensemble.keep if gain > 0.0 else np.zeros_like(second)
    return grown + ensemble.sigma_b**2


def next_correlation(ensemble: Ensemble, product: Array, gap: Array) -> tuple[Array, Array]:
    """Return C(c) and 1 - C(c), the latter free of cancellation; nan where V(q) = 0.

    ``product`` is E phi(u1) phi(u2), ``gap`` is E phi**2 - E phi(u1) phi(u2).
    """
    sigma_w, sigma_b, keep = ensemble.sigma_w, ensemble.sigma_b, ensemble.keep
    second = product + gap
    # in units of sigma_w**2, so that nothing overflows
    with np.errstate(over="ignore", divide="ignore"):
        shift = np.square(np.float64(sigma_b) / sigma_w) if sigma_w > 0.0 else np.inf
    if np.isinf(shift):
        delta = np.full_like(gap, 0.0 if sigma_b > 0.0 else np.nan)
        return 1.0 - delta, delta
    total = second + keep * shift
    with np.errstate(invalid="ignore", divide="ignore"):
        delta = (keep * gap + (1.0 - keep) * second) / total
        c = keep * (product + shift) / total
    # one form is exact at c = 1, the other at c = 0
    return np.where(delta < 0.5, 1.0 - delta, c), delta
