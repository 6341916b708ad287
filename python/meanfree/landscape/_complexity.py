"""Complexities of Gaussian fields from C(0), C'(0), C''(0), at energies in units of sqrt(C(0))."""

from __future__ import annotations

from math import log, pi, sqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from meanfree.landscape._semicircle import fraction_below, point_above

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_ON_LINE = 1e-12  # distance from the line of rho = 1
_ROUNDING = 1e-14  # of an index on the line


class Law(NamedTuple):
    """What the complexities depend on; root = sqrt(rho), spread = 1 - rho."""

    variance: float
    slope: float
    curvature: float
    root: float
    spread: float

    @property
    def total(self) -> float:
        """Complexity of all critical points."""
        return 0.5 * (log(self.curvature) - log(-self.slope) - log(pi) - 1.0)

    def at_energy(self, e: Array) -> Array:
        """Return the complexity of all critical points of an energy."""
        size, two = np.abs(e), 2.0 - self.spread
        outside = self.root * size > two
        far = np.where(outside, size, 2.0)
        w = 0.5 * (far + np.sqrt(far - 2.0) * np.sqrt(far + 2.0))
        start = 0.5 * (log(-self.slope) - log(self.variance) - log(pi)) - 1.0
        beyond = start + np.log(w) - 0.5 * w**2
        return np.where(outside, beyond, self.total - 0.5 * size**2 / two)

    def at_both(self, e: Array, alpha: Array) -> Array:
        """Return the complexity of the critical points of an energy and an index."""
        u = point_above(alpha)
        side = np.where(alpha == 1.0, 1.0, np.where(alpha == 0.0, -1.0, 0.0))
        # the minima of a low energy, whose shift is beyond -1, and likewise maxima
        typical = side * e * self.root >= 2.0 - self.spread
        if self.spread == 0.0:
            close = np.abs(e - 2.0 * u) <= _ON_LINE
            close |= np.abs(fraction_below(0.5 * e) - alpha) <= _ROUNDING * alpha
            near = np.where(close, self.total - u**2, -np.inf)
        else:
            off = (e - 2.0 * self.root * u) / sqrt(2.0 * self.spread)
            near = self.total - u**2 - off**2
        return np.where(typical, self.at_energy(e), near)
