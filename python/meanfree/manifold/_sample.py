"""Monte Carlo of curves through random networks of finite width."""

from __future__ import annotations

from math import pi, sqrt
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_args

import numpy as np

from meanfree import _core
from meanfree._check import LENGTH, PrecisionLike, choice, cores, integer, precision, real, size
from meanfree._check import seed as check_seed
from meanfree._progress import progress_bar
from meanfree.manifold._points import Curve, as_curve, as_points
from meanfree.manifold._result import SAMPLED, CircleSample, CurveSample, Method
from meanfree.manifold._theory import Start, first_radius, refuse_dropout
from meanfree.meanfield._fixed_point import resting_length
from meanfree.meanfield._simulate import mean_with_error

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from meanfree.ensemble import Ensemble

    Array = NDArray[np.float64]

_LARGEST = 2**31  # numbers in one array
_DEEPEST = 2**24 - 1

_Sample = TypeVar("_Sample", bound=CurveSample)


def simulate_circle(
    ensemble: Ensemble,
    width: int,
    depth: int,
    *,
    n_angles: int = 500,
    n_samples: int = 16,
    seed: int = 0,
    method: Method = "auto",
    q: float | None = None,
    start: Start = "preactivation",
    dtype: PrecisionLike = "float64",
    n_threads: int | None = None,
    progress: bool | None = None,
) -> CircleSample:
    """Simulate the length, curvature and Gauss map of a circle in each layer of random networks.

    ``h^{l+1} = W phi(h^l) + b`` with its first two derivatives after the angle, new weights and
    biases in every layer (Poole et al., 2016, the simulations of a circle). All layers have the
    same width N.

    Parameters
    ----------
    ensemble : Ensemble
        keep must be 1.
    width : int
        Units in a layer, at least 2.
    depth : int
        Layers, in [1, 2**24 - 1]; index 0 of the results is the circle itself.
    n_angles : int
        Equally spaced points, at least 3. A chaotic network of depth l needs about ``20 sqrt(g /
        q)`` for the last layer's turning angle to be that of the curve, g being its metric. Too
        few show as a grassmannian_length below turning_angle, or below the 2 pi of any closed
        curve: deep networks that are nearly linear make needles, whose tips lie between points.
    n_samples : int
        Independent networks, at least 2.
    seed : int
        In [0, 2**64 - 1]. The same seed gives the same bits for any number of threads.
    method : {"auto", "gram", "weights"}
        "weights" draws the weights and multiplies by them, a block of angles after another.
        "gram" draws the pre-activations of all angles from their law given the layer before: exact,
        and cheaper where the curve spans few dimensions. "auto" takes in each layer what costs
        less, and as long as the angles resolve the curve (its second derivative to 1e-8, in single
        precision to 1e-5) passes on its Fourier coefficients only, which is many times faster. The
        law is the same, the networks of one seed need not be.
    q : float, optional
        Mean squared pre-activation of layer 1, in [0, 1e20]; default q*.
    start : {"preactivation", "input"}
        "preactivation": h^1 is a circle of squared radius N q in a random plane. "input": the input
        is a circle, and h^1 what the first weights and biases make of it; with orthogonal weights
        that is a circle too, of squared radius N (q - sigma_b**2), moved by the biases. Then q must
        be at least sigma_b**2.
    dtype : {"float64", "float32"}
        Of the products of matrices, as a word or numpy's type; sums are taken in float64 anyway.
    n_threads, progress
        As in `length_map`.

    Returns
    -------
    CircleSample
        Arrays (depth,), with one standard error beside each. Where phi' jumps (relu, hard_tanh,
        selu, ...) the image of a circle has corners: curvature_squared, gauss_metric and
        grassmannian_length are inf from layer 2 on, as in `circle_theory`, and turning_angle
        measures what they add up to at this width. Where phi itself jumps (the sign), metric and
        euclidean_length are inf from layer 2 on too. Where the curve has shrunk to a point the
        curvature is inf and the Gauss map nan. chord_length and turning_angle are nan where chords
        are lost in rounding of dtype: in a curve that has shrunk to some 1e-14 (float32: 1e-5) of
        its distance from 0, or with very many points in single precision.

    Raises
    ------
    ValueError
        If a value is out of its range or keep is not 1; if no q is given and q* is 0 or infinite;
        if the start is "input" and q < sigma_b**2; if the curve overflows, with the layer; if
        "gram" would need arrays of more than 2**31 numbers.
    TypeError
        If an argument is of the wrong kind.

    Notes
    -----
    Fluctuations of the metric from unit to unit raise the mean of the curvature, which has the
    square of the metric below the line: at width N in layer l the chaotic phase shows a curvature
    above `circle_theory` by a fraction of order l / N. Ratios of means are less biased.

    Examples
    --------
    >>> import meanfree as mf
    >>> network = mf.Ensemble("tanh", 2.0, 0.3)
    >>> sample = mf.simulate_circle(network, 200, 4, n_angles=100)
    >>> theory = mf.circle_theory(network, 4)
    >>> bool(abs(sample.metric[-1] - theory.metric[-1]) < 5 * sample.metric_error[-1])
    True
    """
    e = refuse_dropout(ensemble)
    width, depth = size("width", width, 2), integer("depth", depth, 1, _DEEPEST)
    angles = 2.0 * pi * np.arange(size("n_angles", n_angles, 3)) / n_angles
    choice("start", start, get_args(Start))
    length = resting_length(e) if q is None else real("q", q, LENGTH)
    radius = first_radius(e, length, start)
    x, y = np.cos(angles), np.sin(angles)
    parts = [np.stack(pair, axis=1) for pair in ((x, y), (-y, x), (-x, -y))]
    curve = Curve(np.stack(parts), np.full(x.size, 2.0 * pi / x.size), closed=True)
    if start == "input" and e.weights == "gaussian":
        begin: _Begin = (0, sqrt(radius), e.sigma_b)
    else:
        begin = (width, sqrt(width * radius), e.sigma_b if start == "input" else 0.0)
    return _simulate(
        CircleSample, e, width, depth, curve, begin, n_samples, seed, method, start, dtype,
        n_threads, progress,
    )  # fmt: skip


def simulate_curve(
    ensemble: Ensemble,
    width: int,
    depth: int,
    points: ArrayLike,
    *,
    velocity: ArrayLike | None = None,
    acceleration: ArrayLike | None = None,
    parameter: ArrayLike | None = None,
    closed: bool = True,
    n_samples: int = 16,
    seed: int = 0,
    method: Method = "auto",
    start: Start = "input",
    dtype: PrecisionLike = "float64",
    n_threads: int | None = None,
    progress: bool | None = None,
) -> CurveSample:
    """Simulate the length, curvature and Gauss map of any curve in random networks.

    As `simulate_circle`, for a curve given by its points.

    Parameters
    ----------
    ensemble, width, depth
        As in `simulate_circle`.
    points : array_like, shape (n_points, n_in)
        At least 3 points in their order along the curve, coordinates in [-1e100, 1e100].
    velocity, acceleration : array_like, shape (n_points, n_in), optional
        First and second derivatives of the points after the parameter. What is not given is
        computed from what is, by the polynomial through 7 neighbours: right to about the sixth
        power of the distance in units of the curve's details.
    parameter : array_like, optional
        Increasing values of the parameter, (n_points,); for a closed curve (n_points + 1,), the
        last one being where the first point is reached again. Default: equal steps from 0, to 2 pi
        for a closed curve and to 1 for an open one. Averages and lengths are integrals over the
        parameter by the trapezoidal rule.
    closed : bool
        Whether the last point is joined to the first, smoothly; it must not be the first one again.
    n_samples, seed, method, dtype, n_threads, progress
        As in `simulate_circle`.
    start : {"input", "preactivation"}
        "input": the points are inputs, h^1 = W^1 x + b^1 with a fan-in of n_in. "preactivation":
        h^1 is the curve itself, turned at random into the N dimensions of layer 1; then n_in must
        not exceed the width.

    Returns
    -------
    CurveSample
        As `simulate_circle`.

    Raises
    ------
    ValueError, TypeError
        As `simulate_circle`, or if the shapes of the arrays do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> import meanfree as mf
    >>> from meanfree.manifold import simulate_curve
    >>> t = np.linspace(-1.0, 1.0, 101)
    >>> network = mf.Ensemble("tanh", 2.0, 0.3)
    >>> segment = np.stack([t, 0.0 * t, 1.0 + 0.0 * t], axis=1)
    >>> sample = simulate_curve(network, 100, 5, segment, closed=False)
    >>> print(sample.turning_angle[0] < 1e-6, sample.turning_angle[-1] > 0.5)
    True True
    """
    e = refuse_dropout(ensemble)
    width, depth = size("width", width, 2), integer("depth", depth, 1, _DEEPEST)
    curve = as_curve(points, velocity, acceleration, parameter, closed)
    begin = _begin(e, width, curve.parts.shape[2], start)
    return _simulate(
        CurveSample, e, width, depth, curve, begin, n_samples, seed, method, start, dtype,
        n_threads, progress,
    )  # fmt: skip


def propagate_curve(
    ensemble: Ensemble,
    points: ArrayLike,
    depth: int,
    *,
    width: int | None = None,
    seed: int = 0,
    start: Start = "input",
    method: Method = "weights",
    dtype: PrecisionLike = "float64",
) -> Array:
    """Return the images of points in each layer of one random network.

    With method "weights" it is the first of the networks of `simulate_curve`, where seed, start,
    method and dtype are the same.

    Parameters
    ----------
    ensemble : Ensemble
        keep must be 1.
    points : array_like, shape (n_points, n_in)
        At least 1 point, coordinates in [-1e100, 1e100].
    depth : int
        Layers, in [1, 2**24 - 1].
    width : int, optional
        Units in a layer, at least 2; default: n_in.
    seed, start, dtype
        As in `simulate_curve`.
    method : {"weights", "gram", "auto"}
        With "weights" the network depends on the seed only: other points, or more of them, pass
        through the same one. The other methods draw the pre-activations of these points from their
        law, which is faster for fewer points than units.

    Returns
    -------
    (depth, n_points, width) array
        h^1, ..., h^depth.

    Raises
    ------
    ValueError
        If a value is out of its range, keep is not 1, the points overflow (with the layer), or the
        result would have more than 2**31 numbers.
    TypeError
        If an argument is of the wrong kind.

    Examples
    --------
    >>> import numpy as np
    >>> import meanfree as mf
    >>> from meanfree.manifold import propagate_curve
    >>> angle = np.linspace(0.0, 2.0 * np.pi, 50, endpoint=False)
    >>> circle = 10.0 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    >>> propagate_curve(mf.Ensemble("tanh", 2.0), circle, 5, width=100).shape
    (5, 50, 100)
    """
    e = refuse_dropout(ensemble)
    where = as_points(points, 1)
    depth = integer("depth", depth, 1, _DEEPEST)
    n_points, n_in = where.shape
    width = size("width", n_in if width is None else width, 2)
    frame, scale, bias = _begin(e, width, n_in, start)
    key, number = check_seed(seed), _number(method)
    single = precision(dtype) == "float32"
    if depth * n_points * width > _LARGEST:
        msg = (
            f"depth must be such that depth * n_points * width <= 2**31, got {depth} with "
            f"{n_points} points and width {width}"
        )
        raise ValueError(msg)
    result = _core.propagate_curve(
        e.activation.core, e.sigma_w, e.sigma_b, int(e.weights == "orthogonal"), width, depth,
        where, frame, scale, bias, np.ones(n_points), False, 0, key, number, single,
    )  # fmt: skip
    images: Array = result[:, 0]
    return images


_Begin = tuple[int, float, float]
"""Dimension of the frame or 0, scale, standard deviation of the biases of layer 1."""


def _begin(e: Ensemble, width: int, n_in: int, start: str) -> _Begin:
    if choice("start", start, get_args(Start)) == "preactivation":
        if n_in > width:
            msg = (
                f"points must have at most as many columns as the width {width} where they are "
                f"pre-activations, got {n_in}"
            )
            raise ValueError(msg)
        return width, 1.0, 0.0
    if e.weights == "orthogonal":
        return max(width, n_in), e.sigma_w * sqrt(max(1.0, width / n_in)), e.sigma_b
    return 0, e.sigma_w / sqrt(n_in), e.sigma_b


def _number(method: str) -> int:
    return get_args(Method).index(choice("method", method, get_args(Method)))


def _simulate(
    kind: type[_Sample],
    e: Ensemble,
    width: int,
    depth: int,
    curve: Curve,
    begin: _Begin,
    n_samples: int,
    seed: int,
    method: str,
    start: str,
    dtype: PrecisionLike,
    n_threads: int | None,
    progress: bool | None,
) -> _Sample:
    n_samples, key = size("n_samples", n_samples, 2), check_seed(seed)
    number = _number(method)
    word = precision(dtype)
    single = word == "float32"
    threads = cores(n_threads)
    n_points = curve.weight.size
    if method == "gram" and 3 * n_points * width > _LARGEST:
        msg = (
            f"width must be such that 3 * width * (number of points) <= 2**31 with method 'gram', "
            f"got {width} with {n_points} points"
        )
        raise ValueError(msg)

    def run(n_layers: int, n_parts: int, report: Any) -> Array:
        start_of_parts = curve.parts[:n_parts].reshape(n_parts * n_points, -1)
        return _core.simulate_curve(
            e.activation.core, e.sigma_w, e.sigma_b, int(e.weights == "orthogonal"), width,
            n_layers, start_of_parts, *begin, curve.weight, curve.closed, n_samples, key, number,
            single, threads, report,
        )  # fmt: skip

    value_jumps, slope_jumps = _jumps(e)
    with progress_bar(progress, "networks", n_samples) as report:
        fields = run(depth, 2 if slope_jumps else 3, report)
    if slope_jumps:  # corners, but in the curve itself
        names = ("curvature_squared", "gauss_metric", "grassmannian_length")
        curvatures = [SAMPLED.index(name) for name in names]
        fields[curvatures] = np.inf
        fields[curvatures, :, :1] = run(1, 3, None)[curvatures]
    if value_jumps:
        lengths = [SAMPLED.index(name) for name in ("metric", "euclidean_length")]
        fields[lengths, :, 1:] = np.inf
    result: dict[str, Any] = {}
    for name, samples in zip(SAMPLED, fields[:-1], strict=True):
        mean, error = mean_with_error(samples)
        result |= {name: mean, f"{name}_error": error, f"{name}_samples": samples}
    return kind(
        ensemble=e,
        width=width,
        depth=depth,
        n_points=n_points,
        n_samples=n_samples,
        seed=key,
        start=cast("Start", start),
        method=cast("Method", method),
        dtype=word,
        ranks=fields[-1].astype(np.int64),
        **result,
    )


def _jumps(e: Ensemble) -> tuple[bool, bool]:
    """Tell whether phi and whether phi' jumps somewhere: E phi'**2, E phi''**2 are infinite."""
    moments = _core.gaussian_moments(e.activation.core, np.ones(1), 1, None)
    value, slope = np.isinf(moments[3:5, 0]).tolist()
    return value, value or slope
