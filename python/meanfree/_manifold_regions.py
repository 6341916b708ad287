"""Linear regions of ReLU networks along a curve, counted exactly, and the saw-tooth network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from meanfree._check import Range, integer, real_array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]
    Layers = NDArray[np.int64]
    Patterns = list[NDArray[np.bool_]]

MAX_DEPTH = 53
"""Of `sawtooth`: beyond it the borders of the pieces are no doubles."""

_BLOCK = 2**18  # pre-activations of a layer held at once, 2 MiB: in the cache
_NUMBER = Range("in [-1e100, 1e100]", -1e100, 1e100)  # squares and products stay finite
_EPS = float(np.finfo(np.float64).eps)


class ReluNetwork(NamedTuple):
    """A fully connected ReLU network with a linear readout; ``network(x)`` evaluates it.

    Attributes
    ----------
    weights : tuple of (n_out, n_in) array
        One for each hidden layer, then the readout.
    biases : tuple of (n_out,) array
    """

    weights: tuple[Array, ...]
    biases: tuple[Array, ...]

    def __call__(self, x: ArrayLike) -> Array:
        """Return the outputs, (..., n_out), at inputs of shape (..., n_in)."""
        values = real_array("x", x)
        n_in = self.weights[0].shape[1]
        if values.ndim == 0 or values.shape[-1] != n_in:
            msg = f"x must have {n_in} numbers in its last axis, got shape {values.shape}"
            raise ValueError(msg)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            values = np.maximum(values @ weight.T + bias, 0.0)
        outputs: Array = values @ self.weights[-1].T + self.biases[-1]
        return outputs


@dataclass(frozen=True, eq=False)
class RegionBorders:
    """Where the linear region changes along a curve; made by `region_borders`.

    Attributes
    ----------
    place : (n_borders,) array
        Ascending; 2.25 is a quarter of the way from ``curve[2]`` to ``curve[3]``.
    layer : (n_borders,) array of int
        The first hidden layer, from 1 on, whose active units change there.
    """

    place: Array
    layer: NDArray[np.int64]


def sawtooth(depth: int) -> ReluNetwork:
    """Return a ReLU network from [0, 1] to [0, 1] with 2**depth linear pieces.

    The tent map ``T(x) = 2 relu(x) - 4 relu(x - 1/2)`` composed with itself `depth` times: two
    units in each hidden layer double the number of teeth (Telgarsky, 2015). The slopes are
    ``+- 2**depth``, the borders of the pieces multiples of ``2**-depth``. One hidden layer would
    need ``2**depth - 1`` units for an error below 1/2: that of a constant.

    Parameters
    ----------
    depth : int
        Hidden layers, in [1, 53]. Up to there every border is a double and all values at multiples
        of 2**-53 are exact.

    Returns
    -------
    ReluNetwork
        A named tuple ``(weights, biases)`` of depth + 1 layers, the last one the readout.

    Raises
    ------
    ValueError
        If depth is out of its range.
    TypeError
        If depth is not an integer.

    Examples
    --------
    >>> from meanfree.manifold import linear_regions, sawtooth
    >>> network = sawtooth(10)
    >>> linear_regions(*network, [[0.0], [1.0]])
    1024
    >>> network([[0.0], [2.0**-10], [2.0**-9]])[:, 0]
    array([0., 1., 0.])
    """
    depth = integer("depth", depth, 1, MAX_DEPTH)
    tent = np.array([[2.0, -4.0]])
    both = np.repeat(tent, 2, axis=0)
    hidden = [np.ones((2, 1)), *(both.copy() for _ in range(depth - 1))]
    biases = [np.array([0.0, -0.5]) for _ in range(depth)]
    return ReluNetwork((*hidden, tent), (*biases, np.zeros(1)))


def linear_regions(
    weights: Sequence[ArrayLike],
    biases: Sequence[ArrayLike],
    curve: ArrayLike,
    *,
    closed: bool = False,
) -> int:
    """Count the linear regions of a ReLU network that a curve passes through.

    A region is a set of inputs with the same active units in all hidden layers; in it the network
    is an affine map. The count is exact for the polygon through the points of the curve, however
    far apart they are: no sampling (see Notes).

    Parameters
    ----------
    weights : sequence of (n_out, n_in) array_like
        One matrix for each hidden layer and, last, the linear readout, which bends nothing but has
        to be there: with L hidden layers there are L + 1 matrices.
    biases : sequence of (n_out,) array_like
    curve : (n_points, n_in) array_like
        At least two points; (n_points,) is taken for n_in = 1.
    closed : bool
        Whether the last point is joined to the first one.

    Returns
    -------
    int
        Pieces along the curve, at least 1: one more than `region_borders` finds, or as many as
        these on a closed curve. A region visited twice counts twice. Corners of the polygon do not
        count, nor do points where a pre-activation touches 0 without changing its sign.

    Raises
    ------
    ValueError
        If the shapes do not fit, or a number or an activation is not in [-1e100, 1e100].
    TypeError
        If an argument is of the wrong kind.

    Notes
    -----
    The curve is kept as a sorted list of points between which every unit so far is linear. In the
    next layer the zeros of each pre-activation between two neighbours follow from its values at
    both; they are inserted into the list. A pre-activation below its own rounding error, 4 eps of
    ``|w| |x| + |b|``, counts as 0, and zeros that differ by 4 eps of the distance of the two
    points as one. The work is that of a forward pass over the final list.

    Random networks have about as many regions along a curve as neurons (Hanin and Rolnick, 2019),
    though 2**depth with two units a layer is possible: see `sawtooth`.

    Examples
    --------
    >>> import numpy as np
    >>> from meanfree.manifold import linear_regions
    >>> normal = np.random.default_rng(1).standard_normal
    >>> hidden, readout = normal((50, 2)), normal((1, 50))
    >>> circle = [[1, 0], [0, 1], [-1, 0], [0, -1]]  # a square serves as well
    >>> linear_regions([hidden, readout], [np.zeros(50), np.zeros(1)], circle, closed=True)
    100
    """
    n_borders = len(region_borders(weights, biases, curve, closed=closed).place)
    return max(1, n_borders) if closed else n_borders + 1


def region_borders(
    weights: Sequence[ArrayLike],
    biases: Sequence[ArrayLike],
    curve: ArrayLike,
    *,
    closed: bool = False,
) -> RegionBorders:
    """Return where along a curve the linear region of a ReLU network changes.

    Parameters
    ----------
    weights, biases, curve, closed
        As in `linear_regions`.

    Returns
    -------
    RegionBorders
        With arrays `place` and `layer`: one run tells how many regions the network of the first l
        layers has, for every l.

    Raises
    ------
    ValueError, TypeError
        As `linear_regions` does.

    Examples
    --------
    >>> from meanfree.manifold import region_borders, sawtooth
    >>> borders = region_borders(*sawtooth(2), [0.0, 0.5, 1.0])
    >>> print(borders.place, borders.layer)
    [0.5 1.  1.5] [2 1 2]
    """
    layers, points = _network(weights, biases), _matrix("curve", curve, flat=True)
    n_in = layers[0][0].shape[1]
    if len(points) < 2 or points.shape[1] != n_in:
        msg = f"curve must have shape (n_points, {n_in}) with n_points >= 2, got {np.shape(curve)}"
        raise ValueError(msg)
    if not isinstance(closed, bool | np.bool_):
        msg = f"closed must be True or False, got {closed!r:.60}"
        raise TypeError(msg)
    places = np.arange(len(points) + bool(closed), dtype=np.float64)
    if closed:
        points = np.concatenate([points, points[:1]])
    moves = np.concatenate([[True], np.any(points[1:] != points[:-1], axis=1)])
    walk = _walk(layers[:-1], _Walk(places[moves], points[moves]))
    place, layer = walk.places[walk.layer > 0], walk.layer[walk.layer > 0]
    if closed and (found := _first_difference(walk.last, walk.first)):
        place, layer = np.concatenate([[0.0], place]), np.concatenate([[found], layer])
    return RegionBorders(place, layer)


class _Walk:
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


def _walk(layers: list[tuple[Array, Array]], walk: _Walk, begin: int = 0) -> _Walk:
    """Carry a piece of the curve through `layers` from index `begin` on; long ones in halves."""
    if len(walk.places) < 2:  # a single point
        return walk
    for index in range(begin, len(layers)):
        weight, bias = layers[index]
        if walk.values.shape[0] * max(weight.shape) > _BLOCK and len(walk.places) > 64:
            middle = len(walk.places) // 2
            pieces = [slice(None, middle + 1), slice(middle, None)]
            halves = [
                _walk(layers, _Walk(walk.places[p], walk.values[p], walk.layer[p]), index)
                for p in pieces
            ]
            return _joined(walk, halves[0], halves[1], index)
        _bend(walk, weight, bias, index + 1)
    return walk


def _joined(walk: _Walk, left: _Walk, right: _Walk, begin: int) -> _Walk:
    """Put two halves of `walk` together; they share the point between them."""
    layer = np.concatenate([left.layer, right.layer[1:]])
    middle = len(left.layer) - 1
    if not layer[middle] and (found := _first_difference(left.last, right.first)):
        layer[middle] = begin + found
    joined = _Walk(np.concatenate([left.places, right.places[1:]]), np.empty((0, 0)), layer)
    joined.first, joined.last = walk.first + left.first, walk.last + right.last
    return joined


def _first_difference(one: Patterns, other: Patterns) -> int:
    """Return the number, from 1 on, of the first patterns that differ; 0 if all are equal."""
    for number, (a, b) in enumerate(zip(one, other, strict=True), 1):
        if not np.array_equal(a, b):
            return number
    return 0


def _bend(walk: _Walk, weight: Array, bias: Array, number: int) -> None:
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
    if not largest <= _NUMBER.high:
        msg = f"weights and biases must keep activations <= {_NUMBER.high:g}, got {largest:.6g}"
        raise ValueError(msg)


def _insert_zeros(walk: _Walk, h: Array, before: Any, unit: Any) -> Array:
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


def _network(weights: Any, biases: Any) -> list[tuple[Array, Array]]:
    """Check the layers."""
    for name, value in (("weights", weights), ("biases", biases)):
        if isinstance(value, str | bytes) or not np.iterable(value):
            msg = f"{name} must be a sequence of arrays, got {value!r:.60}"
            raise TypeError(msg)
    matrices = [_matrix(f"weights[{i}]", weight) for i, weight in enumerate(weights)]
    vectors = [real_array(f"biases[{i}]", bias, _NUMBER) for i, bias in enumerate(biases)]
    if not matrices or len(vectors) != len(matrices):
        msg = (
            "weights and biases must have as many layers, at least the readout; got "
            f"{len(matrices)} and {len(vectors)}"
        )
        raise ValueError(msg)
    for i, (matrix, vector) in enumerate(zip(matrices, vectors, strict=True)):
        if i and matrix.shape[1] != matrices[i - 1].shape[0]:
            msg = (
                f"weights[{i}] must have {matrices[i - 1].shape[0]} columns, as many as "
                f"weights[{i - 1}] has rows, got shape {matrix.shape}"
            )
            raise ValueError(msg)
        if vector.shape != matrix.shape[:1]:
            msg = f"biases[{i}] must have shape {matrix.shape[:1]}, got {vector.shape}"
            raise ValueError(msg)
    return list(zip(matrices, vectors, strict=True))


def _matrix(name: str, value: Any, *, flat: bool = False) -> Array:
    matrix = real_array(name, value, _NUMBER)
    if flat and matrix.ndim == 1:
        matrix = matrix[:, None]
    if matrix.ndim != 2 or matrix.size == 0:
        msg = f"{name} must be a matrix that is not empty, got shape {matrix.shape}"
        raise ValueError(msg)
    return matrix
