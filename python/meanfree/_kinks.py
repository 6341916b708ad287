"""Find the points where a function, its slope or its curvature jumps.

Overlapping cells cover [-16, 16]; in each the function is compared with its interpolating
polynomial of degree 12. Cells in which they differ are halved. A smooth function, however steep,
passes after a few halvings; a jump stays in ever smaller cells until it is at rounding level.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meanfree._differentiate import NODES, weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Function = Callable[[Array], Array]

SCAN = 16.0  # kinks further out have to be declared
_WIDTH = 0.25
_START = -SCAN - 0.03162277  # keeps the usual places of kinks off the ends of cells
_TESTS = np.array([-0.98, -0.61, -0.23, 0.31, 0.67, 0.97])
_INTERPOLATE = weights(_TESTS, 0)
# Rough cells narrower than the first are kinks; wider ones are if the roughness of their halves is
# not far below their own: a polynomial of degree 12 gains 2**13 from halving where phi is smooth.
_SHARP, _WIDE, _GAIN = 2.0**-12, 2.0**-4, 2.0**-6
_MOST_CELLS = 8192
_MOST_KINKS = 256


class RoughFunctionError(ValueError):
    """The function is not piecewise smooth at the tolerance; ``x`` is a place where it is not."""

    def __init__(self, x: float) -> None:
        super().__init__(f"rough near {x}")
        self.x = x


def find_kinks(function: Function) -> list[tuple[float, float]]:
    """Return (kink, uncertainty) in ascending order.

    Tolerates noise up to 1e-7 relative: the tolerance is raised in steps until what is left are
    isolated points. Raises RoughFunctionError if they do not become isolated.
    """
    for tolerance in (1e-13, 1e-11, 1e-9):
        try:
            return _find(function, tolerance)
        except RoughFunctionError:
            pass
    return _find(function, 1e-7)


def _find(function: Function, tolerance: float) -> list[tuple[float, float]]:
    # cell number k of a level is [start + k width / 2, ... + width]: every point lies in two
    width = _WIDTH
    number = np.arange(int(4 * SCAN / width) + 1)
    # a function of tiny values is judged by its typical size, not by 1
    starts: Array = _START + 0.5 * width * number.astype(np.float64)
    typical = float(np.median(np.abs(function(starts))))
    judge = _Judge(function, tolerance, typical)
    roughness = judge(number, width)
    number, roughness = number[roughness > 1.0], roughness[roughness > 1.0]
    found: list[tuple[float, float]] = []
    while number.size:
        if number.size > _MOST_CELLS:
            raise RoughFunctionError(_START + 0.5 * width * float(number[number.size // 2]))
        children = 2 * number + np.arange(3)[:, None]  # left half, middle, right half
        after = judge(children.reshape(-1), 0.5 * width).reshape(3, -1)
        rough = after > 1.0
        low = _START + 0.5 * width * number
        if width < 32.0 * np.spacing(SCAN):
            rough[:] = False
        lasting = (width < _WIDE) & (after.max(axis=0) > _GAIN * roughness)
        kinks = low[~rough.any(axis=0) & ((width < _SHARP) | lasting)]
        found += [(float(a), float(a) + width) for a in kinks]
        number, first = np.unique(children[rough], return_index=True)
        roughness = after[rough][first]
        width *= 0.5
    return _merge(found)


class _Judge:
    """Measures how far the function is from smooth in cells, in units of what is tolerated."""

    def __init__(self, function: Function, tolerance: float, typical: float) -> None:
        self.function, self.tolerance, self.typical = function, tolerance, typical

    def __call__(self, number: NDArray[np.int64], width: float) -> Array:
        radius = 0.5 * width
        centre = _START + radius * (number + 1.0)
        x = centre[:, None] + radius * np.concatenate([NODES, _TESTS])
        values = self.function(x.reshape(-1)).reshape(x.shape)
        at_nodes, at_tests = values[:, : NODES.size], values[:, NODES.size :]
        residual = np.max(np.abs(at_tests - at_nodes @ _INTERPOLATE.T), axis=1)
        size = np.maximum(np.max(np.abs(values), axis=1), self.typical)
        # rounding of the abscissae counts where the function is steep
        blur = np.finfo(np.float64).eps * np.abs(centre) * np.ptp(values, axis=1) / radius
        roughness: Array = residual / (self.tolerance * size + 8.0 * blur + 1e-300)
        return roughness


def _merge(cells: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Take the narrowest cell around each kink and put it on the simplest number in there."""
    chosen: list[tuple[float, float]] = []
    for low, high in sorted(cells, key=lambda cell: cell[1] - cell[0]):
        slack = max(high - low, 1e-12)
        if all(low > b + slack or high < a - slack for a, b in chosen):
            chosen.append((low, high))
    if len(chosen) > _MOST_KINKS:
        raise RoughFunctionError(chosen[0][0])
    halves = [(low, high, 0.5 * (high - low)) for low, high in sorted(chosen)]
    return [(_simplest(low - half, high + half), 4.0 * half) for low, high, half in halves]


def _simplest(low: float, high: float) -> float:
    middle = 0.5 * (low + high)
    for digits in range(17):
        number = round(middle, digits)
        if low <= number <= high:
            return number + 0.0  # no -0.0
    return middle
