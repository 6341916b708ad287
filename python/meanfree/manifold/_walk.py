"""A curve on its way through a ReLU network: the points between which every unit is linear."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Lock, Semaphore
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfree._check import Range

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Layers = NDArray[np.int64]
    Patterns = list[NDArray[np.bool_]]

NUMBER = Range("in [-1e100, 1e100]", -1e100, 1e100)  # squares and products stay finite

_BLOCK = 2**18  # pre-activations of a layer held at once, 2 MiB: in the cache
_EPS = float(np.finfo(np.float64).eps)


class Walk:
    """A piece of the curve: points with the activations of one layer.

    `layer` holds for each point the first hidden layer, from 1 on, whose active units change there;
    0 if none does. Of the two ends this is not known before the neighbours' patterns, `first` and
    `last`, one array for each layer, are compared.
    """

    def __init__(self, places: Array, values: Array, layer: Layers | None = None) -> None:
        self.places, self.values = places, values
        self.layer = np.zeros(len(places), dtype=np.int64) if layer is None else layer
        self.first: Patterns = []
        self.last: Patterns = []


class Job:
    """One call: the layers, the threads that share the curve, and how far they are.

    Where a piece is halved depends on its size alone, so that threads leave no trace. A thread that
    waits for its other half does no work, hence no more than `n_threads` ever do.
    """

    def __init__(
        self,
        layers: list[tuple[Array, Array]],
        length: float,
        n_threads: int,
        report: Callable[[int], None] | None,
    ) -> None:
        self._layers, self._length, self._report = layers, length, report
        self._helpers = n_threads - 1
        self._free = Semaphore(self._helpers)
        self._pool = ThreadPoolExecutor(max(1, self._helpers))
        self._lock, self._done, self._stopped = Lock(), 0.0, False

    def run(self, walk: Walk) -> Walk:
        """Carry the curve through all layers."""
        try:
            return self._carry(walk, 0)
        finally:
            self._stopped = True  # after Ctrl-C pieces end at their next layer
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _carry(self, walk: Walk, begin: int) -> Walk:
        """Carry a piece through the layers from index `begin` on; a long one in halves."""
        if len(walk.places) < 2:  # a single point
            return walk
        for index in range(begin, len(self._layers)):
            if self._stopped:
                break
            weight, bias = self._layers[index]
            if walk.values.shape[0] * max(weight.shape) > _BLOCK and len(walk.places) > 64:
                return self._halve(walk, index)
            _bend(walk, weight, bias, index + 1)
        self._count(walk)
        return walk

    def _halve(self, walk: Walk, index: int) -> Walk:
        middle = len(walk.places) // 2
        left, right = (
            Walk(walk.places[p], walk.values[p], walk.layer[p])
            for p in (slice(None, middle + 1), slice(middle, None))
        )
        if self._free.acquire(blocking=False):  # then a thread of the pool has nothing to do
            other = self._pool.submit(self._help, right, index)
            left = self._carry(left, index)
            right = other.result()
        else:
            left, right = self._carry(left, index), self._carry(right, index)
        return walk if self._stopped else _joined(walk, left, right, index)

    def _help(self, walk: Walk, index: int) -> Walk:
        try:
            return self._carry(walk, index)
        finally:
            self._free.release()

    def _count(self, walk: Walk) -> None:
        if self._report is None:
            return
        with self._lock:
            self._done += float(walk.places[-1] - walk.places[0])
            self._report(min(100, round(100.0 * self._done / self._length)))


def _joined(walk: Walk, left: Walk, right: Walk, begin: int) -> Walk:
    """Put two halves of `walk` together; they share the point between them."""
    layer = np.concatenate([left.layer, right.layer[1:]])
    middle = len(left.layer) - 1
    if not layer[middle] and (found := first_difference(left.last, right.first)):
        layer[middle] = begin + found
    joined = Walk(np.concatenate([left.places, right.places[1:]]), np.empty((0, 0)), layer)
    joined.first, joined.last = walk.first + left.first, walk.last + right.last
    return joined


def first_difference(one: Patterns, other: Patterns) -> int:
    """Return the number, from 1 on, of the first patterns that differ; 0 if all are equal."""
    for number, (a, b) in enumerate(zip(one, other, strict=True), 1):
        if not np.array_equal(a, b):
            return number
    return 0


def _bend(walk: Walk, weight: Array, bias: Array, number: int) -> None:
    """Carry `walk` through one hidden layer."""
    h = walk.values @ weight.T
    h += bias
    norms = np.linalg.norm(walk.values, axis=1), np.linalg.norm(weight, axis=1)
    rounding = np.multiply.outer(norms[0], 4 * _EPS * norms[1])
    rounding += 4 * _EPS * np.abs(bias)
    h[np.abs(h) <= rounding] = 0.0
    del rounding
    positive, negative = h > 0, h < 0
    changes = (positive[:-1] & negative[1:]) | (negative[:-1] & positive[1:])
    before, unit = np.nonzero(changes)
    if len(before):
        h = _insert_zeros(walk, h, before, unit)
        positive = h > 0
    active = positive[:-1] | positive[1:]  # between neighbours no sign changes any more
    walk.layer[1:-1][(walk.layer[1:-1] == 0) & np.any(active[:-1] != active[1:], axis=1)] = number
    walk.first.append(active[0].copy())
    walk.last.append(active[-1].copy())
    walk.values = np.maximum(h, 0.0, out=h)
    largest = float(walk.values.max())
    if not largest <= NUMBER.high:
        msg = f"weights and biases must keep activations <= {NUMBER.high:g}, got {largest:.6g}"
        raise ValueError(msg)


def _insert_zeros(walk: Walk, h: Array, before: Any, unit: Any) -> Array:
    """Insert the zeros of `unit` between the points `before` and `before + 1`."""
    left, right = h[before, unit], h[before + 1, unit]
    share = left / (left - right)
    order = np.lexsort((share, before))
    before, unit, share = before[order], unit[order], share[order]
    is_new = np.ones(len(before), dtype=bool)
    is_new[1:] = (np.diff(before) > 0) | (np.diff(share) > 4 * _EPS)
    group = np.cumsum(is_new) - 1
    start, share = before[is_new], share[is_new]
    # a convex sum of numbers of one sign keeps this sign
    inserted = (1 - share)[:, None] * h[start]
    inserted += share[:, None] * h[start + 1]
    inserted[group, unit] = 0.0
    places = (1 - share) * walk.places[start] + share * walk.places[start + 1]
    walk.places = np.insert(walk.places, start + 1, places)
    walk.layer = np.insert(walk.layer, start + 1, 0)
    return np.insert(h, start + 1, inserted, axis=0)
