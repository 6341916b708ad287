"""Users' activation functions: checked once, completed with derivatives, guarded at each call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from meanfree._differentiate import best_radius, differentiate
from meanfree._kinks import SCAN, RoughFunctionError, find_kinks

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_LABELS = ("function", "derivative", "second_derivative")
# scattered points that hit no round number, for the checks at construction
_PROBES = np.sort(12.0 * np.sin(1.0 + 1.7 * np.arange(229)))


class UserFunctions:
    """phi, phi' and phi'' of a user, as the core calls them.

    Parameters
    ----------
    function, derivative, second_derivative : callable or None
        As given; what is None is computed from the one before.
    kinks : (k,) array
        As declared; those found in addition are merged in.
    """

    def __init__(
        self,
        function: Callable[[Array], Array],
        derivative: Callable[[Array], Array] | None,
        second_derivative: Callable[[Array], Array] | None,
        kinks: Array,
    ) -> None:
        self.functions = (function, derivative, second_derivative)
        given = [_Guard(f, label) for f, label in zip(self.functions, _LABELS, strict=True) if f]
        for guard in given:
            guard.check()
        self.kinks = _all_kinks(given, kinks)
        self._points = np.array(self.kinks, dtype=np.float64)
        self._table: list[Any] = [_Guard(function, "function"), None, None]
        for order, f in ((1, derivative), (2, second_derivative)):
            computed = self._computed(order)
            if f is None:
                self._table[order] = computed
            else:
                self._table[order] = _Guard(f, _LABELS[order])
                _compare(self._table[order], computed, _LABELS[order], self._points)

    @property
    def core(self) -> tuple[Any, ...]:
        """Three functions of one-dimensional arrays, and the kinks."""
        return (*self._table, self._points)

    def evaluate(self, order: int, x: Array) -> Array:
        """Return the derivative of the order 0, 1 or 2 at x (n,)."""
        values: Array = self._table[order](x)
        return values

    def _computed(self, order: int) -> _Computed:
        base = 0 if order == 1 or self.functions[1] is None else 1
        probes = _away_from(self._points, 1e-6)
        function = self._table[base]
        radius = best_radius(function, probes, order - base, self._points)
        return _Computed(function, order - base, self._points, radius)


class _Guard:
    """Calls a user's function with a copy and checks what comes back."""

    def __init__(self, function: Callable[[Array], Array], label: str) -> None:
        if not callable(function):
            msg = f"{label} must be callable, got {function!r:.60}"
            raise TypeError(msg)
        self.function, self.label = function, label

    def __call__(self, x: Array) -> Array:
        # overflow to infinity and underflow are the function's right; NaN is caught below
        with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
            values = np.asarray(self.function(x.copy()))
        if values.shape != x.shape:
            msg = (
                f"{self.label} must act elementwise and return the shape of its argument, "
                f"{x.shape}, got shape {values.shape}"
            )
            raise ValueError(msg)
        if values.dtype.kind not in "iuf" or (values.dtype.kind == "f" and values.itemsize < 8):
            msg = f"{self.label} must return real float64 values, got dtype {values.dtype}"
            raise TypeError(msg)
        values = np.ascontiguousarray(values, dtype=np.float64)
        if np.isnan(values).any():
            self._complain(x, values, np.isnan(values))
        return values

    def check(self) -> None:
        """Try the function on arrays of two orders and single points."""
        x = np.concatenate([_PROBES, [0.0, -SCAN, SCAN, 1.0, -1.0]])
        try:
            values = self(x)
        except (TypeError, ValueError) as error:
            if str(error).startswith(f"{self.label} must"):
                raise
            msg = (
                f"{self.label} must accept a one-dimensional float64 array "
                f"(is it vectorised?), but it raised {type(error).__name__}: {error}"
            )
            raise TypeError(msg) from error
        if not np.isfinite(values).all():
            self._complain(x, values, ~np.isfinite(values))
        tolerance = 1e-9 * (1.0 + np.abs(values))
        some = [0, 57, 180, 229]
        alone = np.array([self(x[i : i + 1])[0] for i in some])
        differs = np.abs(self(x[::-1])[::-1] - values) > tolerance
        if differs.any() or np.any(np.abs(alone - values[some]) > tolerance[some]):
            msg = (
                f"{self.label} must act elementwise: its value at one point changes with the "
                "other points of the array"
            )
            raise ValueError(msg)

    def _complain(self, x: Array, values: Array, bad: NDArray[np.bool_]) -> None:
        i = int(np.argmax(bad))
        msg = f"{self.label} must be finite, got {float(values[i])!r} at x = {float(x[i])!r}"
        raise ValueError(msg)


class _Computed:
    """A derivative that the user did not give."""

    def __init__(self, function: _Guard | _Computed, order: int, kinks: Array, radius: float):
        self.function, self.order, self.kinks, self.radius = function, order, kinks, radius

    def __call__(self, x: Array) -> Array:
        return differentiate(self.function, x, self.order, self.kinks, self.radius)


def _all_kinks(given: list[_Guard], declared: Array) -> tuple[float, ...]:
    """Merge the declared kinks with those found in any of the functions; the sharpest counts."""
    candidates = [(0.0, float(k)) for k in declared]
    for guard in given:
        try:
            candidates += [(error, k) for k, error in find_kinks(guard)]
        except RoughFunctionError as rough:
            msg = (
                f"{guard.label} must be piecewise smooth to 1e-7 relative (computed in float64), "
                f"but is rough near x = {rough.x:.3g}"
            )
            raise ValueError(msg) from None
    kinks: list[float] = []
    for error, k in sorted(candidates):
        if all(
            abs(k - other) > max(1e-5, error) or (error == 0.0 and k != other) for other in kinks
        ):
            kinks.append(k)
    return tuple(sorted(kinks))


def _compare(given: _Guard, computed: _Computed, label: str, kinks: Array) -> None:
    x = _away_from(kinks, 1e-3)
    a, b = given(x), computed(x)
    wrong = ~(np.abs(a - b) <= 1e-4 * (1.0 + np.abs(b) + float(np.max(np.abs(b[np.abs(x) < 4])))))
    if wrong.any():
        i = int(np.argmax(wrong))
        msg = (
            f"{label} must be the derivative of what it is given with, but it is {a[i]:.6g} where "
            f"differences give {b[i]:.6g}, at x = {x[i]:.6g}"
        )
        raise ValueError(msg)


def _away_from(kinks: Array, distance: float) -> Array:
    if not kinks.size:
        return _PROBES
    far: Array = _PROBES[np.abs(_PROBES[:, None] - kinks).min(axis=1) > distance]
    return far
