"""The loss of a network as a function of its parameters, for optimisers and searches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from meanfree._check import shaped
from meanfree._memory import require_memory
from meanfree.hessian._samples import any_vector, parameter_vector

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from meanfree.hessian._point import Point

    Array = NDArray[np.float64]

_KEPT = 2**26  # bytes in what was computed at the last points


class NetworkProblem:
    """The loss of a network on given samples as a function of w; made by `MLP.problem`.

    Parameters w have the shape (..., n), ordered as in `MLP`: W1 (row-major), b1, W2, ... What was
    computed at the last w, one or as many as were asked for at once, is kept, in up to 64 MiB, so
    that many products with the Hessian at the same points cost little. Where the loss overflows, or
    w is not finite, the value is inf or nan and all derivatives are nan, as `landscape.Problem`
    wants it.

    Attributes
    ----------
    start : (n,) array
        The parameters of the network that the problem was made of.
    dimension : int
        n.

    Examples
    --------
    >>> import numpy as np
    >>> from meanfree.hessian import MLP
    >>> problem = MLP([[[2.0]]], [[1.0]]).problem([[3.0]], [[4.0]])
    >>> problem.value([2.0, 1.0]), problem.value([[2.0, 1.0], [1.0, 1.0]]).tolist()
    (4.5, [4.5, 0.0])
    >>> problem.hvp(problem.start, [1.0, 0.0]).tolist()
    [9.0, 3.0]
    """

    def __init__(self, start: Array, point: Callable[[Array], Point], *, full: bool) -> None:
        self.start = start
        self._full = full
        self.dimension = start.size
        self._make = point
        self._kept: dict[bytes, Point] = {}  # the newest last
        self._room = 1

    def value(self, w: ArrayLike) -> Any:
        """Return the loss, shape (...)."""
        flat, shape = self._points(w)
        values = np.array([self._make(row).value() for row in flat])
        return shaped(values, shape)

    def gradient(self, w: ArrayLike) -> Array:
        """Return the gradient, (..., n)."""
        flat, shape = self._points(w)
        rows = [self._gradient(self._at(row, k)) for k, row in enumerate(flat)]
        return np.array(rows).reshape(*shape, self.dimension)

    def hessian(self, w: ArrayLike) -> Array:
        """Return the Hessian, (..., n, n). Raises MemoryError where one does not fit."""
        flat, shape = self._points(w)
        n = self.dimension
        if not shape:
            return self._hessian(self._at(flat[0], 0))
        require_memory(
            f"{len(flat)} Hessians of {n} parameters want", 8 * len(flat) * n * n, "use hvp"
        )
        rows = [self._hessian(self._at(row, k)) for k, row in enumerate(flat)]
        return np.array(rows).reshape(*shape, n, n)

    def hvp(self, w: ArrayLike, v: ArrayLike) -> Array:
        """Return the product of the Hessian at w with v; w and v broadcast to (..., n)."""
        flat, shape = self._points(w)
        vectors = parameter_vector("v", v, self.dimension)
        if not shape:
            return self._product(self._at(flat[0], 0), vectors)
        try:
            full = np.broadcast_shapes((*shape, self.dimension), vectors.shape)
        except ValueError:
            msg = f"w and v must have shapes that broadcast, got {np.shape(w)} and {vectors.shape}"
            raise ValueError(msg) from None
        points = np.broadcast_to(flat.reshape(*shape, self.dimension), full)
        pairs = zip(
            points.reshape(-1, self.dimension),
            np.broadcast_to(vectors, full).reshape(-1, self.dimension),
            strict=True,
        )
        rows = [self._product(self._at(w, k), vector) for k, (w, vector) in enumerate(pairs)]
        return np.array(rows).reshape(full)

    @staticmethod
    def _gradient(point: Point) -> Array:
        return point.gradient if point.is_finite else np.full_like(point.parameters, np.nan)

    def _hessian(self, point: Point) -> Array:
        n = point.parameters.size
        return point.hessian(full=self._full) if point.is_finite else np.full((n, n), np.nan)

    def _product(self, point: Point, v: Array) -> Array:
        return point.hvp(v, full=self._full) if point.is_finite else np.full_like(v, np.nan)

    def _points(self, w: ArrayLike) -> tuple[Array, tuple[int, ...]]:
        array = any_vector("w", w, self.dimension)
        return array.reshape(-1, self.dimension), array.shape[:-1]

    def _at(self, w: Array, place: int) -> Point:
        """Return the point w, the one at this place among those that are asked for at once."""
        key = w.tobytes()
        point = self._kept.pop(key, None) or self._make(w.copy())
        most = max(1, _KEPT // point.n_bytes)
        self._room = min(max(self._room, place + 1), most)
        if place < most:  # of too many the first ones stay
            self._kept[key] = point
            kept = list(self._kept)
            for old in kept[: max(0, len(kept) - self._room)]:
                self._kept.pop(old, None)  # another thread may have dropped it
        return point
