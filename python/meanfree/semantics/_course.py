"""Extremes and crossings of sums of modes in time, found to rounding."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from meanfree.linear import _laws, learning_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_RESOLVED = 1e-12  # of the sum of all terms: smaller differences are rounding
_LOGIT_STEP, _LOGIT_END = 0.5, 27.0  # of the grid; 1 - u / s is 2e-12 at the end
_LOGIT_BEGIN = 700.0  # minus the lowest: a fraction below, of a strength, is no normal number
_LONGEST = 1e307  # times beyond are not looked at
_DECAY, _PER_DECADE = (1e-3, 40.0), 24  # from, to in time constants, and points
_BLOCK = 2**22  # numbers in a block of the search
_JUMP = 0.25  # of a mode in a step of the grid, whose own steps are half of that
_STEPS = 80  # eight are usual


class Course:
    """Time courses ``f(t) = sum_a c_a u_a(t)`` of modes that start at a0 and go to s_a.

    Between two points of a grid that follows every mode from its start to its end, f is taken to
    have at most one extreme.
    """

    def __init__(self, s: Array, a0: float, depth: int, tau: float) -> None:
        self.s, self.a0, self.depth, self.tau = s, a0, depth, tau
        self.t = self._grid()
        self.u = self.strength(self.t)

    def strength(self, t: Array) -> Array:
        """Return the strengths of the modes, t.shape + (n_modes,)."""
        lapse = _laws.lapse(t[..., None], self.tau)
        return _laws.strength(lapse, self.s, np.asarray(self.a0), float(self.depth))

    def maxima(self, c: Array) -> tuple[Array, Array]:
        """Return for each row of c (n, n_modes) the time and value of the largest f, t >= 0.

        inf where f stays below its limit; 0 where it never exceeds its start.
        """
        start, limit = c.sum(axis=1) * self.a0, c @ self.s
        noise = _RESOLVED * (np.abs(c) @ np.maximum(self.s, self.a0))
        late = limit > start + 1e-3 * noise
        times, values = np.where(late, np.inf, 0.0), np.where(late, limit, start)
        slopes, terms = self._slopes
        rows_at_once = max(1, _BLOCK // self.t.size)
        for first in range(0, c.shape[0], rows_at_once):
            part = c[first : first + rows_at_once]
            slope, floor = slopes @ part.T, terms @ np.abs(part.T)
            low, high, row = _sign_changes(np.where(np.abs(slope) > floor, -slope, 0.0))
            if self._jumps:
                f = part @ self.u.T
                k, own = f.argmax(axis=1), slice(first, first + rows_at_once)
                larger = f.max(axis=1) > np.where(late, limit, start)[own] + noise[own]
                times[own] = np.where(larger, self.t[k], times[own])
                values[own] = np.where(larger, f.max(axis=1), values[own])
            if not row.size:
                continue
            at, value = self._tops(part, row, self.t[low], self.t[high])
            for k in np.argsort(value):  # the largest is written last
                j = first + row[k]
                if value[k] > values[j] + (noise[j] if np.isinf(times[j]) else 0.0):
                    times[j], values[j] = at[k], value[k]
        return times, values

    def last_rise(self, c: Array, level: float) -> float:
        """Return the time from which on the one course c (n_modes,) is at least at the level.

        inf where that is beyond all times allowed.
        """
        above = self.u @ c - level
        if above[-1] < 0.0:
            return float("inf")
        low, high, _ = _sign_changes(np.where(above >= 0.0, 1.0, -1.0)[:, None])
        if not low.size:
            return 0.0
        ends = self.t[low[-1:]], self.t[high[-1:]]
        return float(_roots(lambda x: self.strength(x) @ c - level, *ends)[0])

    def _tops(
        self, c: Array, row: NDArray[np.intp], low: Array, high: Array
    ) -> tuple[Array, Array]:
        """Return time and value of the maximum of some rows of c between low and high."""
        at, value = np.empty(row.size), np.empty(row.size)
        at_once = max(1, _BLOCK // (8 * self.s.size))
        for first in range(0, row.size, at_once):
            part = slice(first, first + at_once)
            chosen = c[row[part]]

            def slope(t: Array, chosen: Array = chosen) -> Array:
                return np.asarray(np.sum(chosen * self._slope(self.strength(t)), axis=1))

            at[part] = _roots(slope, low[part], high[part])
            value[part] = np.sum(chosen * self.strength(at[part]), axis=1)
        return at, value

    @cached_property
    def _jumps(self) -> bool:
        """Tell whether a mode rises between two neighbouring numbers, so late is it learned."""
        return bool(np.any(np.abs(np.diff(self.u, axis=0)) > _JUMP * np.maximum(self.s, self.a0)))

    @cached_property
    def _slopes(self) -> tuple[Array, Array]:
        """Return du/dt on the grid, and the size of its rounding."""
        terms = self._slope(self.u, self.u + np.maximum(self.s, self.u))
        return self._slope(self.u), 4.0 * np.finfo(np.float64).eps * terms

    def _slope(self, u: Array, s: Array | None = None) -> Array:
        """Return du/dt times a positive number, the same for all modes at a time."""
        s, depth = self.s if s is None else s, float(self.depth)
        if depth == 1.0 or (2.0 - 2.0 / depth) * np.log10(self.a0) > -250.0:
            return _laws.slope(u, s, depth)
        part = u / u.max(axis=-1, keepdims=True, initial=self.a0)  # whose power is a number
        return np.asarray(part ** (2.0 - 2.0 / depth) * (s - u))

    def _grid(self) -> Array:
        """Return times that follow each mode in steps of half a unit of logit(u / s)."""
        times = [np.zeros(1)]
        if self.depth > 1:
            largest = np.log(self.s.max(initial=self.a0)) - np.log(self.a0)
            begin = -min(max(float(largest), np.log(2.0)), _LOGIT_BEGIN)
            for logit in np.arange(begin, _LOGIT_END, _LOGIT_STEP):
                target = float(1.0 / (1.0 + np.exp(-logit)))
                times.append(
                    learning_time(self.s, self.a0, target=target, depth=self.depth, tau=self.tau)
                )
        if self.s.size:  # decays, from the fastest to the slowest
            power = 2.0 - 2.0 / self.depth
            slow = self.tau / (self.depth * self.s.min() ** power)
            fast = self.tau / (self.depth * max(self.s.max(), self.a0) ** power)
            count = int(_PER_DECADE * np.log10(slow / fast * _DECAY[1] / _DECAY[0])) + 2
            times.append(np.geomspace(_DECAY[0] * fast, _DECAY[1] * slow, count))
        grid = np.unique(np.concatenate(times))
        return np.asarray(grid[grid <= _LONGEST])


def _roots(function: Callable[[Array], Array], low: Array, high: Array) -> Array:
    """Return a root in each [low, high], at whose ends the function has opposite signs.

    Chandrupatla's method: inverse quadratic steps where they are safe, otherwise halving.
    """
    x1, x2, f1, f2 = low, high, function(low), function(high)
    step = np.full(low.shape, 0.5)
    for _ in range(_STEPS):
        x = x1 + step * (x2 - x1)
        f = function(x)
        same = np.sign(f) == np.sign(f1)
        x3, f3 = np.where(same, x1, x2), np.where(same, f1, f2)
        x2, f2 = np.where(same, x2, x1), np.where(same, f2, f1)
        x1, f1 = x, f
        best = np.where(np.abs(f1) < np.abs(f2), x1, x2)
        with np.errstate(divide="ignore", invalid="ignore"):
            least = 2.0 * np.finfo(np.float64).eps * np.abs(best) / np.abs(x2 - x1)
            xi, phi = (x1 - x2) / (x3 - x2), (f1 - f2) / (f3 - f2)
            safe = (phi**2 < xi) & ((1.0 - phi) ** 2 < 1.0 - xi)
            quadratic = f1 / (f2 - f1) * f3 / (f2 - f3) + (x3 - x1) / (x2 - x1) * f1 / (
                f3 - f1
            ) * f2 / (f3 - f2)
            done = (f1 == 0.0) | ~(least <= 0.5)
        if done.all():
            break
        least = np.where(done, 0.5, least)
        step = np.clip(np.where(safe, quadratic, 0.5), least, 1.0 - least)
    return best


def _sign_changes(values: Array) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Return the grid points before and after each change from - to + and its column.

    Zeros between the two belong to neither.
    """
    n = values.shape[0]
    places = np.where(values != 0.0, np.arange(n)[:, None], 0)
    before = np.maximum.accumulate(places, axis=0)[:-1]
    negative = np.take_along_axis(values, before, axis=0) < 0.0
    high, column = np.nonzero(negative & (values[1:] > 0.0))
    return before[high, column], high + 1, column
