r"""Singular values of a noise matrix: quadrature that no aspect ratio makes hard.

For an n_out x n_in matrix with entries of variance 1 / n_in and ``A = n_out / n_in <= 1``, whose
transpose scaled by sqrt(A) covers the rest, the law of the singular values is (Marchenko and
Pastur) ::

    P(s) = sqrt((s_+**2 - s**2) (s**2 - s_-**2)) / (pi A s),    s_+- = 1 +- sqrt(A).

Both square roots, and the pole at 0 that nears the edge s_- where A nears 1, are uniformised by
Jacobi's functions of the parameter ``m = 1 - (s_- / s_+)**2``: with ``s = s_+ dn(v)``, ::

    P(s) ds = 16 sn(v)**2 cn(v)**2 / (pi (1 + sqrt(A))**2 dn(v)) dv,    0 < v < K(m),

is analytic in a strip whose width is at least pi / 2, while K grows only like a logarithm. In the
angle of ``s**2 = 1 + A + 2 sqrt(A) cos(theta)`` the amplitude of v is theta / 2. Near A = 1,
``dn(v) = c sum_n sech(c (v - 2 n K))`` with ``c = pi / (2 K(1 - m))``, and ``m sn cn`` is minus
its derivative.
"""

from __future__ import annotations

from functools import lru_cache
from math import atan2, cos, pi, sin, sqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_CLOSEST = 1e-32  # (s_- / s_+)**2 below this is treated as this: it moves a mass of 1e-16
_NARROW = 1e-3  # 1 - m below which the sum converges in five terms
_IMAGES = np.arange(-2.0, 3.0)
_SEMICIRCLE = 0.25  # below this aspect the closed distribution function cancels
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)
_FINE_NODES, _FINE_WEIGHTS = np.polynomial.legendre.leggauss(64)


class Bulk(NamedTuple):
    """The law for one aspect ratio, on the scale sigma = 1; `top_edge` is the largest value."""

    aspect: float
    root: float  # sqrt(A) of the flat orientation
    scale: float  # what its singular values are multiplied with
    rest: float  # 1 - m
    end: float  # K(m)
    rate: float  # pi / (2 K(1 - m))

    @property
    def top_edge(self) -> float:
        """Return s_+."""
        return 1.0 + sqrt(self.aspect)

    def point(self, v: Array) -> tuple[Array, Array]:
        """Return s, falling from the upper edge at v = 0 to the lower one, and -dF / dv."""
        from scipy.special import ellipj

        top = 1.0 + self.root
        if self.rest > _NARROW:
            sn, cn, dn, _ = ellipj(v, 1.0 - self.rest)
            product = sn * cn
        else:
            shifted = self.rate * (v[..., None] - 2.0 * self.end * _IMAGES)
            sech = 1.0 / np.cosh(shifted)
            dn = self.rate * sech.sum(axis=-1)
            product = self.rate**2 / (1.0 - self.rest) * (sech * np.tanh(shifted)).sum(axis=-1)
        mass = 16.0 / (pi * top * top) * product**2 / dn
        return self.scale * top * dn, mass

    def position(self, top_fraction: float) -> float:
        """Return the v above whose singular value lies this fraction of all."""
        from scipy.special import ellipkinc

        if top_fraction >= 1.0:
            return self.end
        return min(float(ellipkinc(0.5 * self.angle(top_fraction), 1.0 - self.rest)), self.end)

    def quantile(self, top_fraction: float) -> float:
        """Return the singular value above which this fraction of all lies."""
        a, half = self.root, 0.5 * self.angle(top_fraction)
        # s**2 as a sum of squares, which does not cancel near the lower edge
        return self.scale * sqrt(((1.0 + a) * cos(half)) ** 2 + ((1.0 - a) * sin(half)) ** 2)

    def angle(self, top_fraction: float) -> float:
        """Return the theta above whose singular value lies this fraction of all."""
        from scipy.optimize import brentq

        if top_fraction <= 0.0:
            return 0.0
        if top_fraction >= 1.0:
            return pi
        return float(brentq(lambda x: self._above(x) - top_fraction, 0.0, pi, xtol=1e-15))

    def _above(self, theta: float) -> float:
        """Return the fraction of singular values above that of theta."""
        a = self.root
        aspect = a * a
        if aspect >= _SEMICIRCLE:
            turn = atan2((1.0 - a) * sin(0.5 * theta), (1.0 + a) * cos(0.5 * theta))
            area = (1.0 + aspect) * theta - 2.0 * a * sin(theta) - 2.0 * (1.0 - aspect) * turn
            return area / (2.0 * pi * aspect)
        x = 0.5 * theta * (1.0 + _FINE_NODES)
        values = np.sin(x) ** 2 / (1.0 + aspect + 2.0 * a * np.cos(x))
        return float(theta / pi * (_FINE_WEIGHTS @ values))


@lru_cache(maxsize=4096)
def bulk(aspect: float) -> Bulk:
    """Return the law for n_out / n_in = aspect."""
    from scipy.special import ellipk, ellipkm1

    flat = min(aspect, 1.0 / aspect)
    root = sqrt(flat)
    rest = max(((1.0 - root) / (1.0 + root)) ** 2, _CLOSEST)
    end, rate = float(ellipkm1(rest)), 0.5 * pi / float(ellipk(rest))
    return Bulk(aspect, root, sqrt(max(aspect, 1.0)), rest, end, rate)


def rule(law: Bulk, breaks: Array) -> tuple[Array, Array]:
    """Return nodes s and weights of Gauss' rule on panels of v between consecutive breaks.

    Breaks run along the last axis, and so do the results; the weights add up to the mass.
    """
    half = 0.5 * np.diff(breaks, axis=-1)[..., None]
    v = breaks[..., :-1, None] + half * (1.0 + _NODES)
    s, mass = law.point(v)
    weights = mass * half * _WEIGHTS
    shape = (*breaks.shape[:-1], -1)
    return s.reshape(shape), weights.reshape(shape)
