"""The largest illusory correlations of a model, without the exact search in most of its outputs.

Over a step of a grid in time a sum ``f = sum_a c_a u_a`` of monotone modes stays below ``(f_0 + f_1
+ sum_a |c_a| |u_a1 - u_a0|) / 2``. Grids of more and more points bound all outputs, and those that
cannot be among the largest any more are dropped; the exact maxima of the others are computed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from meanfree.semantics._course import Course

    Array = NDArray[np.float64]
    Indices = NDArray[np.intp]

_BLOCK = 2**21  # numbers in a block of courses or of their values on a grid
_FIRST, _FINER = 128, 4  # steps of the first grid, and factor to the next
_NOISE = 1e-12  # of the sum of all terms: smaller illusions are rounding


class Found(NamedTuple):
    """Illusions, the largest first: flat indices into the outputs, times, values and sizes."""

    place: Indices
    t: Array
    value: Array
    size: Array


class Search:
    """Find the n largest illusions of outputs (n_features, n_items) with the modes u, s, v."""

    def __init__(
        self, course: Course, final: Array, start: Array, u: Array, v: Array, n: int
    ) -> None:
        self.course, self.n, self._u, self._v = course, n, u, v
        self._sign = np.where(final > 0.0, -1.0, 1.0)  # the wrong side
        self._known = np.maximum(self._sign * final, self._sign * start).reshape(-1)
        reach = np.maximum(course.s, course.a0)
        self._noise = _NOISE * ((np.abs(u) * reach) @ np.abs(v).T).reshape(-1)
        self._noise += 4.0 * np.finfo(np.float64).eps * reach.sum()  # of the singular vectors

    def run(self, report: Callable[[int], None] | None) -> Found:
        """Search; report takes the share of the outputs that is done, in percent."""
        chosen = np.arange(self._known.size)
        steps, floor = _FIRST, 0.0
        while 0 < self.n < chosen.size and steps < self.course.t.size:
            low, high = self._bounds(chosen, self.course.u[self._places(steps)], report)
            if chosen.size > self.n:
                floor = max(floor, float(np.partition(low, -self.n)[-self.n]))
            kept = high >= floor
            few = kept.sum() > 0.7 * chosen.size  # a finer grid would not pay
            chosen = chosen[kept]
            if few and steps > _FIRST:
                break
            steps *= _FINER
        if self.n == 0:
            chosen = chosen[:0]
        times, values = np.zeros(chosen.size), np.zeros(chosen.size)
        rows = max(1, _BLOCK // max(1, self._v.shape[1]))
        for first in range(0, chosen.size, rows):
            part = slice(first, first + rows)
            times[part], values[part] = self.course.maxima(self._courses(chosen[part]))
            if report is not None:
                report(50 + int(50 * min(first + rows, chosen.size) / chosen.size))
        sizes = np.where(np.isfinite(times) & (times > 0.0), values - self._known[chosen], 0.0)
        sizes[sizes <= self._noise[chosen]] = 0.0
        order = np.argsort(-sizes, kind="stable")[: self.n]
        order = order[sizes[order] > 0.0]
        sign = self._sign.reshape(-1)[chosen[order]]
        return Found(chosen[order], times[order], values[order] * sign, sizes[order])

    def _courses(self, index: Indices) -> Array:
        """Return the coefficients of the modes in some outputs, (n, n_modes)."""
        feature, item = np.divmod(index, self._v.shape[0])
        sign = self._sign.reshape(-1)[index]
        return np.asarray(sign[:, None] * self._u[feature] * self._v[item])

    def _places(self, steps: int) -> Indices:
        """Return points of the grid between which the modes change about as much."""
        change = np.abs(np.diff(self.course.u, axis=0)).sum(axis=1)
        total = np.concatenate([[0.0], np.cumsum(change)])
        wanted = np.linspace(0.0, total[-1], steps + 1)
        places = np.searchsorted(total, wanted)
        return np.unique(np.concatenate([[0], places, [total.size - 1]]).clip(0, total.size - 1))

    def _bounds(
        self, chosen: Indices, u: Array, report: Callable[[int], None] | None
    ) -> tuple[Array, Array]:
        """Return bounds of the sizes of the chosen illusions from the strengths u at some times."""
        low, high = np.empty(chosen.size), np.empty(chosen.size)
        changes = np.abs(np.diff(u, axis=0)).T
        rows = max(1, _BLOCK // max(u.shape))
        for first in range(0, chosen.size, rows):
            part = slice(first, first + rows)
            c = self._courses(chosen[part])
            values = c @ u.T
            low[part] = values.max(axis=1)
            span = np.abs(c, out=c) @ changes
            span += values[:, 1:]
            span += values[:, :-1]
            high[part] = 0.5 * span.max(axis=1, initial=-np.inf)
            if report is not None:
                report(int(50 * min(first + rows, chosen.size) / self._known.size))
        known, noise = self._known[chosen], self._noise[chosen]
        return low - known - noise, high - known + noise
