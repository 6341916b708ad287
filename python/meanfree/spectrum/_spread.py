"""Means and relative variances, of phi'(h)**2 and of a product of layers, without cancellation."""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import pairwise
from math import inf, nan, pi, sqrt
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from meanfree import _core

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from meanfree.activations import Activation
    from meanfree.spectrum._equation import Layers

    Array: TypeAlias = NDArray[np.float64]
    Law: TypeAlias = tuple[Array, ...]

_AGREED = 1e-9  # relative difference of the same mean by two quadratures
_AGREED_BY_USER = 1e-6  # of a function whose derivative may come from differences
_NARROW = 1e-3  # of a law whose variance is below, the moments cancel


def slope_spread(phi: Activation, q: float, law: Law) -> float:
    """Return var(t) / (E t)**2 of t = phi'(sqrt(q) z)**2, whose law is given."""
    if law[0].shape[1] > 1 and not law[1].size and law[0][0].max() > 0.0:
        return _atom_spread(law)
    first, second = _core.slope_law_moments(law, 2)
    spread = float(second / first**2 - 1.0) if first > 0.0 else np.inf
    if not spread < _NARROW:
        return spread
    if phi.kinks:
        t, w = _nodes(law)
        mean = w @ t / w.sum()
        return float(w @ np.square(t - mean) / mean**2)
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


def mean_error(phi: Activation, q: Sequence[float], laws: Sequence[Law]) -> float:
    """Return by how much E phi'(sqrt(q) z)**2 of laws differs from the mean-field average, at most.

    Relatively; nan where that is 0 or, as phi jumps, infinite.
    """
    averages = _core.gaussian_moments(phi.core, np.array(q), 1, None)[3].tolist()
    allowed = _AGREED if phi.is_named else _AGREED_BY_USER
    worst = 0.0
    for length, law, average in zip(q, laws, averages, strict=True):
        if not 0.0 < average < inf:
            return nan
        t, w = _nodes(law)
        mean = float(w @ t)
        error = abs(mean - average) / average
        if not error <= allowed:
            msg = (
                f"the law of phi'(h)**2 for {phi} at q = {length:.6g} is incomplete: its mean is "
                f"{mean:.12g}, the average {average:.12g}"
            )
            raise _core.ConvergenceError(msg)
        worst = max(worst, error)
    return worst


@cache
def _rule(order: int) -> tuple[Array, Array]:
    return np.polynomial.legendre.leggauss(order)


def _nodes(law: Law) -> tuple[Array, Array]:
    """Return places t and weights of a law, atoms first."""
    (places, masses), panels, slopes = law
    if not panels.size:
        return places, masses
    start, end, _, factor = panels.T
    half = 0.5 * (end - start)
    y, weights = _rule(slopes.shape[1])
    z = 0.5 * (end + start)[:, None] - half[:, None] * y  # the core's nodes descend
    w = (factor * half / sqrt(2.0 * pi))[:, None] * weights * np.exp(-0.5 * z * z)
    t = slopes * slopes
    if not places.size:
        return t.reshape(-1), w.reshape(-1)
    return np.append(places, t), np.append(masses, w)


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
