"""Ranges and checks that the arguments of the deep linear networks share."""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np

from meanfree._check import Range, integer

_LARGE = 1e100  # squares and products of two are still floats
STRENGTH = Range("finite and >= 0", 0.0, _LARGE)
POSITIVE_STRENGTH = Range("finite and > 0", 0.0, _LARGE, open_low=True)
SIGNAL = Range("finite and >= 1e-150", 1e-150, _LARGE)  # has a square that is not 0
WEIGHT = Range("finite and in [-1e100, 1e100]", -_LARGE, _LARGE)
TIME = Range("finite and >= 0", 0.0, _LARGE)
POSITIVE = Range("finite and > 0", 0.0, _LARGE, open_low=True)
FRACTION = Range("in (0, 1)", 0.0, float(np.nextafter(1.0, 0.0)), open_low=True)
UNIT = Range("in [0, 1]", 0.0, 1.0)
ASPECT = Range("in [1e-12, 1e12]", 1e-12, 1e12)
TOLERANCE = Range("in [1e-13, 1]", 1e-13, 1.0)


def depth_or_inf(depth: Any) -> float:
    """Return a number of weight matrices: an integer >= 1, or inf."""
    if isinstance(depth, float) and depth == inf:
        return inf
    try:
        return float(integer("depth", depth, 1, 2**31 - 1))
    except (TypeError, ValueError) as error:
        msg = f"depth must be an integer >= 1 or inf, got {depth!r:.60}"
        raise type(error)(msg) from None
