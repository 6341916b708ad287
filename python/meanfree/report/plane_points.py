"""Every critical point of random fields in the plane, and their exact densities.

Let a Hessian have the eigenvalues a + r and a - r, in units of ``sqrt(2 C''(0))``: a is normal of
variance 2 and r has the density ``r exp(-r**2 / 2)``. Weighted by ``|a**2 - r**2|``, the density of
a is its normal one times ``2 exp(-a**2 / 2)`` at saddles and ``a**2 - 2 + 2 exp(-a**2 / 2)`` at
minima (a > 0) and maxima (a < 0).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi, sqrt
from typing import TYPE_CHECKING

import numpy as np

from meanfree.landscape import critical_points
from meanfree.report.field_points import Points

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from meanfree.landscape import FieldSample, GaussianField

    Array = NDArray[np.float64]

_CELLS = (70, 100, 150, 220)  # along a side, in which both components may change sign
_SAME = 1e-4  # below a hundredth of the least distance of two critical points
_TURN = 1.0  # largest turn of the gradient from one point of the boundary to the next


@dataclass(frozen=True, eq=False)
class Plane:
    """The critical points of one field in a square.

    `turns` is how often the gradient turns round along the boundary: the number of extrema less the
    number of saddles (Poincare and Hopf).
    """

    w: Array
    index: NDArray[np.int64]
    energy: Array
    turns: int

    @property
    def surplus(self) -> int:
        """Extrema less saddles less turns: 0 where none is missed, and none found twice."""
        return int(((-1) ** self.index).sum()) - self.turns


def every_point(sample: FieldSample, side: float) -> Plane:
    """Search finer and finer grids until extrema and saddles match the turns of the gradient.

    A saddle and an extremum that are both missed would not show: 2 in 1,700 points.
    """
    turns = _turns(sample, side)
    table = np.empty((0, 4))
    for cells in _CELLS:
        starts = _starts(sample, side, cells)
        found = critical_points(sample, starts, method="newton", max_steps=10, progress=False)
        inside = found.accepted & np.all((found.w > 0.0) & (found.w < side), axis=1)
        new = np.column_stack([found.w, found.index, found.value / 2.0])[inside]
        table = np.concatenate([table, new])
        distance = np.linalg.norm(table[:, None, :2] - table[:, :2], axis=2)
        table = table[~np.any(np.tril(distance < _SAME, -1), axis=1)]
        plane = Plane(table[:, :2], table[:, 2].astype(int), table[:, 3], turns)
        if plane.surplus == 0:
            break
    return plane


def _starts(sample: FieldSample, side: float, cells: int) -> Array:
    """Return the middles of all cells where both components change sign."""
    ticks = np.linspace(0.0, side, cells + 1)
    grid = np.stack(np.meshgrid(ticks, ticks, indexing="ij"), axis=-1)
    positive = sample.gradient(grid) > 0.0
    corners = (positive[1:, 1:], positive[1:, :-1], positive[:-1, 1:], positive[:-1, :-1])
    total = np.sum(corners, axis=0)
    mixed = np.all((total > 0) & (total < 4), axis=-1)
    middle: Array = grid[:-1, :-1][mixed] + 0.5 * side / cells
    return middle


def _turns(sample: FieldSample, side: float) -> int:
    """Return how often the gradient turns round along the boundary."""
    corners = side * np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.0, 0.0]])

    def angle(t: Array) -> Array:
        edge = np.minimum(t.astype(int), 3)
        w = corners[edge] + (t - edge)[:, None] * (corners[edge + 1] - corners[edge])
        gradient = sample.gradient(w)
        return np.arctan2(gradient[:, 1], gradient[:, 0])

    t = np.linspace(0.0, 4.0, 801)
    at = angle(t)
    while True:
        step = np.remainder(np.diff(at) + pi, 2.0 * pi) - pi
        wide = np.flatnonzero(np.abs(step) > _TURN)
        if not wide.size:
            return round(float(step.sum()) / (2.0 * pi))
        new = 0.5 * (t[wide] + t[wide + 1])
        t, at = np.insert(t, wide + 1, new), np.insert(at, wide + 1, angle(new))


def together(planes: Sequence[Plane]) -> Points:
    """Return the points of all fields."""
    most = max(len(plane.index) for plane in planes)
    table = np.zeros((3, len(planes), most))
    for row, plane in enumerate(planes):
        for part, values in enumerate((plane.index, plane.energy, np.ones(len(plane.index)))):
            table[part, row, : len(values)] = values
    return Points(2, *table)


def density(field: GaussianField) -> float:
    """Return the mean number of critical points per unit area; half are saddles."""
    return 2.0 * field.curvature / (sqrt(3.0) * pi * -field.slope)


def mean_energy_of_minima(field: GaussianField) -> float:
    """Return the mean energy of minima, that of maxima with the other sign."""
    return -2.0 * sqrt(2.0 / (3.0 * pi)) * sqrt(field.rho * field.variance)


def energy_variance_of_saddles(field: GaussianField) -> float:
    """Return the variance of the energy of saddles, whose law is normal."""
    return field.variance * (0.5 - field.rho / 6.0)


def energy_densities(field: GaussianField, energy: Array) -> Array:
    """Return the densities of energies of critical points with index 0, 1 and 2, whose sum is 1."""
    a = np.linspace(-12.0, 12.0, 1201)
    bell = np.exp(-0.25 * a**2)
    saddles = 2.0 * np.exp(-0.5 * a**2) * bell
    extrema = (a**2 - 2.0 + 2.0 * np.exp(-0.5 * a**2)) * bell
    parts = np.array([np.where(a > 0.0, extrema, 0.0), saddles, np.where(a < 0.0, extrema, 0.0)])
    mean = -sqrt(field.rho * field.variance / 8.0) * a
    variance = 0.5 * field.variance * (1.0 - 0.5 * field.rho)
    normal = np.exp(-((energy[:, None] - mean) ** 2) / (2.0 * variance))
    values: Array = parts @ normal.T / (parts.sum() * sqrt(2.0 * pi * variance))
    return values
