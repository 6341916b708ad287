"""What noise makes of the singular values and vectors of a matrix of low rank."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def seen_spikes(
    s_bar: Array, aspect: Array | float, sigma: Array | float
) -> tuple[Array, Array, Array]:
    """Return the singular value with noise, and the overlaps of left and right singular vectors.

    With b = (s_bar / sigma)**2, everything is written in 1 / b, which is finite where the signal is
    seen at all, and 0 without noise.
    """
    present = s_bar > 0.0
    with np.errstate(over="ignore"):
        inverse = (sigma / np.where(present, s_bar, 1.0)) ** 2
    root = np.sqrt(aspect)
    seen = present & (root * inverse < 1.0)
    inverse = np.where(seen, inverse, 0.0)
    out, into = 1.0 + aspect * inverse, 1.0 + inverse
    common = np.where(seen, (1.0 - root * inverse) * (1.0 + root * inverse), 0.0)
    s = np.where(seen, s_bar * np.sqrt(out * into), sigma * (1.0 + root))
    return s, np.sqrt(common / out), np.sqrt(common / into)
