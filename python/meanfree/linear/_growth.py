r"""The growth law ``dv / dtheta = v**(1 + c) (1 - v)``, in closed form both ways, 0 < c <= 1.

In ``y = ln(v / |1 - v|)``, which tells v from 1 where v itself no longer can, the law is ``dtheta =
v**-c dy``, so that time is K(y) - K(y_0) with

- below 1, ``v = 1 / (1 + e**-y)``:  ``K(y) = int (1 + e**-y)**c dy``, which is ``y - P(e**-y)`` to
  the right of -ln 2 and ``-e**(-c y) / c + c (e**((1 - c) y) - 1) / (1 - c) + e**((2 - c) y)
  Q(e**y)`` to its left;
- above 1, ``v = 1 / (1 - e**-y)``:  ``K(y) = int (1 - e**-y)**c dy``, which is ``y - P(-e**-y)``
  to the right of ln 2 and ``w**(1 + c) M(w)`` of ``w = 1 / v`` to its left.

P, Q and M are power series whose nearest singularity is at distance 1: their Chebyshev series on
[0, 2], [-1/2, 0] and [0, 1/2] need two dozen terms. K is concave below 1, so that Newton's method
from the left never overshoots.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.polynomial import chebyshev

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_LN_2 = float(np.log(2.0))
_TERMS = 64  # of power series at 1/2
_NODES = 32
_STEPS = 60  # of Newton's method; six are usual
_SETTLED = 4.0 * np.finfo(np.float64).eps


class Series(NamedTuple):
    """A Chebyshev series on [low, high]."""

    low: float
    high: float
    coefficients: Array

    def __call__(self, x: Array) -> Array:
        """Evaluate at x."""
        z = (2.0 * x - (self.low + self.high)) / (self.high - self.low)
        return np.asarray(chebyshev.chebval(z, self.coefficients))


class Growth:
    """K of both branches and its inverse, for one exponent c in (0, 1]."""

    def __init__(self, c: float) -> None:
        self.c = c
        self._p_right = self._integral(0.0, 2.0)
        self._p_left = self._integral(-0.5, 0.0)
        power = np.arange(_TERMS)
        binomial = np.cumprod(np.concatenate([[1.0], (c - power) / (power + 1.0)]))
        self._q = _sum_of(binomial[2:] / (np.arange(2, _TERMS + 1) - c))
        self._m = _sum_of(1.0 / (power + 1.0 + c))
        edge = np.array([_LN_2])
        # the constants that make the pieces continuous
        self._shift_below = float((self._right(-edge) - self._left(-edge))[0])
        self._shift_above = float((self._near(edge) - edge + self._p_left(-np.exp(-edge)))[0])

    def _integral(self, low: float, high: float) -> Series:
        """Return P, the integral from 0 of ((1 + x)**c - 1) / x."""

        def slope(z: Array) -> Array:
            x = low + 0.5 * (high - low) * (z + 1.0)
            return np.asarray(np.expm1(self.c * np.log1p(x)) / x)

        half = 0.5 * (high - low)
        zero = -1.0 if low == 0.0 else 1.0
        nodes = chebyshev.chebpts1(_NODES)
        fit = chebyshev.chebfit(nodes, slope(nodes), _NODES - 1)
        return Series(low, high, np.asarray(chebyshev.chebint(fit, lbnd=zero, scl=half), float))

    def _right(self, y: Array) -> Array:
        return np.asarray(y - self._p_right(np.exp(-y)))

    def _left(self, y: Array) -> Array:
        c = self.c
        linear = y if c == 1.0 else np.expm1((1.0 - c) * y) / (1.0 - c)
        rest = np.exp((2.0 - c) * y) * self._q(np.exp(y))
        return np.asarray(c * linear - np.exp(-c * y) / c + rest)

    def _near(self, y: Array) -> Array:
        w = -np.expm1(-y)
        return np.asarray(w ** (1.0 + self.c) * self._m(w))

    def below(self, y: Array) -> Array:
        """Return K(y) of the branch v < 1."""
        left = y < -_LN_2
        value = np.empty_like(y)
        value[~left] = self._right(y[~left])
        value[left] = self._left(y[left]) + self._shift_below
        return value

    def above(self, y: Array) -> Array:
        """Return K(y) of the branch v > 1, y > 0."""
        near = y < _LN_2
        value = np.empty_like(y)
        value[near] = self._near(y[near])
        value[~near] = y[~near] - self._p_left(-np.exp(-y[~near])) + self._shift_above
        return value

    def advance_below(self, y: Array, theta: Array) -> Array:
        """Return the y that is reached from y in the time theta, below 1."""
        goal = self.below(y) + theta
        # the leading terms on the far left and on the far right; Newton does the rest
        with np.errstate(invalid="ignore", divide="ignore"):
            early = -np.log(self.c * (self._shift_below - goal)) / self.c
        guess = np.where(goal < self._shift_below - 2.0 / self.c, early, goal)
        x = np.maximum(guess, y)
        for _ in range(_STEPS):
            step = (goal - self.below(x)) * np.exp(-self.c * np.logaddexp(0.0, -x))
            x = np.maximum(x + step, y)
            if np.all(np.abs(step) <= _SETTLED * np.maximum(1.0, np.abs(x))):
                break
        return np.where(np.isfinite(goal), x, y)  # so far left that no time moves it

    def advance_above(self, y: Array, theta: Array) -> Array:
        """Return the y that is reached from y > 0 in the time theta, above 1."""
        goal = self.above(y) + theta
        # K is convex here: from the right Newton's method does not overshoot
        power = 1.0 + self.c
        w = (power * goal) ** (1.0 / power)  # an upper bound of 1 / v, since M >= 1 / power
        guess = np.where(w < 0.5, -np.log1p(-np.minimum(w, 0.5)), goal - self._shift_above)
        x = np.maximum(guess, y)
        for _ in range(_STEPS):
            step = (goal - self.above(x)) * (-np.expm1(-x)) ** -self.c
            x = np.maximum(x + step, y)
            if np.all(np.abs(step) <= _SETTLED * x):
                break
        return x


@lru_cache(maxsize=64)
def growth(c: float) -> Growth:
    """Return the law for one exponent, whose series are then kept."""
    return Growth(c)


def _sum_of(coefficients: NDArray[np.floating]) -> Series:
    """Return a power series as a Chebyshev series on [0, 1/2]."""
    nodes = 0.25 * (1.0 + chebyshev.chebpts1(_NODES))
    values = np.polynomial.polynomial.polyval(nodes, coefficients)
    fit = chebyshev.chebfit(4.0 * nodes - 1.0, values, _NODES - 1)
    return Series(0.0, 0.5, np.asarray(fit, float))
