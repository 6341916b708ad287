"""Relative variances, of phi'(h)**2 and of a product of layers, as sums that do not cancel."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from meanfree import _core

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meanfree._spectrum_equation import Layers
    from meanfree.activations import Activation

    Array: TypeAlias = NDArray[np.float64]
    Law: TypeAlias = tuple[Array, ...]

_NARROW = 1e-3  # of a law whose variance is below, the moments cancel


def slope_spread(phi: Activation, q: float, law: Law) -> float:
    """Return var(t) / (E t)**2 of t = phi'(sqrt(q) z)**2, whose law is given."""
    if law[0].shape[1] > 1 and not law[1].size and law[0][0].max() > 0.0:
        return _atom_spread(law)
    first, second = _core.slope_law_moments(law, 2)
    spread = float(second / first**2 - 1.0) if first > 0.0 else np.inf
    if not spread < _NARROW or phi.kinks:
        return spread
    # all but constant, so smooth at this step
    step = 0.25
    z = step * np.arange(-36, 37)
    w = step * np.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi)
    t = np.square(phi.derivative(np.sqrt(q) * z))
    if not phi.is_named:
        return float(w @ np.square(t - w @ t) / (w @ t) ** 2)
    # differences of t from its slope 2 phi' phi'', so that they keep their digits
    nodes, weights = np.polynomial.legendre.leggauss(10)
    h = np.sqrt(q) * (z[:-1, None] + 0.5 * step * (1.0 + nodes))
    slope = 2.0 * phi.derivative(h) * phi.second_derivative(h)
    rise = 0.5 * step * np.sqrt(q) * (slope @ weights)
    half = z.size // 2
    from_0 = np.zeros(z.size)
    from_0[half + 1 :] = np.cumsum(rise[half:])
    from_0[:half] = -np.cumsum(rise[half - 1 :: -1])[::-1]
    return float(w @ np.square(from_0 - w @ from_0) / (w @ t) ** 2)


def _atom_spread(law: Law) -> float:
    """Return that of a law of atoms alone, from pairs of them."""
    places, masses = law[0]
    gaps = np.square(np.subtract.outer(places, places))
    return float(0.5 * masses @ gaps @ masses / (masses @ places) ** 2)


def relative_variance_of(layers: Layers) -> float:
    """Return the variance of lambda over the square of its mean.

    With r_l = N_L / N_l: the sum over layers of r_l var(t) / (E t)**2, and r_{l-1} for Gaussian,
    max(0, r_{l-1} - r_l) for orthogonal weights.
    """
    last = layers.widths[-1]
    different = zip(layers.lengths, layers.laws, strict=True)
    spreads = [slope_spread(layers.phi, q, law) for q, law in different]
    total = 0.0
    for (law, width), n in Counter(
        zip(layers.law_of_layer, layers.widths[1:], strict=True)
    ).items():
        total += n * (last / width) * spreads[law]
    for (before, after), n in Counter(pairwise(layers.widths)).items():
        if not layers.orthogonal:
            total += n * (last / before)
        elif after > before:
            total += n * last * (after - before) / (before * after)
    return total
