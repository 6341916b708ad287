"""Linear regions of ReLU networks along a curve, counted exactly, and the saw-tooth network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from meanfree._check import cores, integer, real_array
from meanfree._progress import progress_bar
from meanfree.manifold._walk import NUMBER, Job, Walk, first_difference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

MAX_DEPTH = 53
"""Of `sawtooth`: beyond it the borders of the pieces are no doubles."""


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
    n_threads: int | None = None,
    progress: bool | None = None,
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
    n_threads : int, optional
        Threads to share the pieces of long curves; default: all cores. The result is the same for
        any number.
    progress : bool, optional
        Whether to draw a progress bar, of the share of the curve in percent; default: if stderr is
        a terminal and the call lasts.

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
    borders = region_borders(
        weights, biases, curve, closed=closed, n_threads=n_threads, progress=progress
    )
    n_borders = len(borders.place)
    return max(1, n_borders) if closed else n_borders + 1


def region_borders(
    weights: Sequence[ArrayLike],
    biases: Sequence[ArrayLike],
    curve: ArrayLike,
    *,
    closed: bool = False,
    n_threads: int | None = None,
    progress: bool | None = None,
) -> RegionBorders:
    """Return where along a curve the linear region of a ReLU network changes.

    Parameters
    ----------
    weights, biases, curve, closed, n_threads, progress
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
    threads = cores(n_threads)
    places = np.arange(len(points) + bool(closed), dtype=np.float64)
    if closed:
        points = np.concatenate([points, points[:1]])
    moves = np.concatenate([[True], np.any(points[1:] != points[:-1], axis=1)])
    with progress_bar(progress, "curve", 100) as report:
        job = Job(layers[:-1], places[-1], threads, report)
        walk = job.run(Walk(places[moves], points[moves]))
    place, layer = walk.places[walk.layer > 0], walk.layer[walk.layer > 0]
    if closed and (found := first_difference(walk.last, walk.first)):
        place, layer = np.concatenate([[0.0], place]), np.concatenate([[found], layer])
    return RegionBorders(place, layer)


def _network(weights: Any, biases: Any) -> list[tuple[Array, Array]]:
    """Check the layers."""
    for name, value in (("weights", weights), ("biases", biases)):
        if isinstance(value, str | bytes) or not np.iterable(value):
            msg = f"{name} must be a sequence of arrays, got {value!r:.60}"
            raise TypeError(msg)
    matrices = [_matrix(f"weights[{i}]", weight) for i, weight in enumerate(weights)]
    vectors = [real_array(f"biases[{i}]", bias, NUMBER) for i, bias in enumerate(biases)]
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
    matrix = real_array(name, value, NUMBER)
    if flat and matrix.ndim == 1:
        matrix = matrix[:, None]
    if matrix.ndim != 2 or matrix.size == 0:
        msg = f"{name} must be a matrix that is not empty, got shape {matrix.shape}"
        raise ValueError(msg)
    return matrix
