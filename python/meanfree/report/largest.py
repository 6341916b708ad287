"""The largest eigenvalue of a finite random matrix: the Tracy-Widom law at a soft edge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from meanfree.spectrum import JacobianSpectrum

TRACY_WIDOM_MEAN = -1.2065335745820
"""Mean of the Tracy-Widom law of real symmetric matrices (beta = 1)."""


def edge_scale(spectrum: JacobianSpectrum) -> float:
    """Return A^{-2/3} where the density is (A / pi) sqrt(lambda_+ - lambda) at the upper edge.

    N eigenvalues have their largest one near lambda_+ + (A N)^{-2/3} t, t of the Tracy-Widom law.
    """
    top = spectrum.edges[1]
    gap = top * np.array([1e-5, 2e-5])
    strength = np.pi * spectrum.density(top - gap) / np.sqrt(gap)
    # the next term of the density is gap times smaller: extrapolate linearly
    a = 2 * strength[0] - strength[1]
    return float(a ** (-2.0 / 3.0))
