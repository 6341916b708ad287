"""Theory of a circle through a wide random network: its length, curvature and Gauss map."""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot, inf, isinf, nan, pi, sqrt
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from meanfree import _core
from meanfree._axes import axes, label_layers, right_axes
from meanfree._check import LENGTH, choice, cores, real_array, size
from meanfree._labels import data_set
from meanfree._progress import progress_bar
from meanfree.ensemble import Ensemble, as_ensemble
from meanfree.meanfield._propagate import layer_lengths, propagate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray
    from xarray import Dataset

    Array = NDArray[np.float64]

Start = Literal["preactivation", "input"]

FIELDS = (
    "metric",
    "curvature_squared",
    "gauss_metric",
    "euclidean_length",
    "grassmannian_length",
)
"""Names of the quantities of a circle in each layer."""

_ROUNDING = 16 * np.finfo(np.float64).eps  # of q* and sigma_b**2


@dataclass(frozen=True, eq=False, repr=False)
class CircleGeometry:
    """Geometry of a circle in each layer at infinite width; made by `circle_theory`.

    N is the width, theta the angle, and index l - 1 of an array belongs to ``h^l(theta)``.

    Attributes
    ----------
    ensemble : Ensemble
    depth : int
    start : {"preactivation", "input"}
    q : (depth,) array
        Mean squared pre-activation.
    metric : (depth,) array
        Squared speed ``|dh/dtheta|**2 / N``.
    curvature_squared : (depth,) array
        N kappa**2, where 1 / kappa is the radius of the circle that osculates the curve.
    gauss_metric : (depth,) array
        Squared speed of the unit tangent, ``kappa**2 |dh/dtheta|**2``.
    euclidean_length : (depth,) array
        Length of the curve over sqrt(N).
    grassmannian_length : (depth,) array
        Length of the curve of unit tangents: the angle through which the curve turns in total.
    log_metric, log_gauss_metric : (depth,) array
        Natural logarithms, finite where the plain ones overflow to inf or underflow to 0.
    corner_angle : (depth,) array
        Where phi' jumps: sum of the angles of all corners of the curve, over sqrt(N). 0 for smooth
        phi, inf where phi itself jumps.
    """

    ensemble: Ensemble
    depth: int
    start: Start
    q: Array
    metric: Array
    curvature_squared: Array
    gauss_metric: Array
    euclidean_length: Array
    grassmannian_length: Array
    log_metric: Array
    log_gauss_metric: Array
    corner_angle: Array

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw both lengths (left axis) and the curvature (right axis), on logarithmic scales.

        What is infinite is left out.
        """
        ax = axes(ax)
        right = right_axes(ax, CURVATURE_LABEL)
        layers = np.arange(1, self.depth + 1)
        lines = []
        for name, where, line in STYLES:
            values = getattr(self, name)
            shown = np.where(np.isinf(values) | (values == 0.0), np.nan, values)
            on = right if where == "right" else ax
            lines += on.plot(layers, shown, line, label=LABELS[name])
        ax.set(ylabel="length", yscale="log")
        right.set_yscale("log")
        label_layers(ax, lines)
        return ax

    def to_xarray(self) -> Dataset:
        """Return an xarray.Dataset with the dimension "layer"; needs the extra "xarray"."""
        names = ("q", *FIELDS, "log_metric", "log_gauss_metric", "corner_angle")
        arrays = {name: getattr(self, name) for name in names}
        return data_set(self.ensemble, arrays, ("layer",), {"layer": np.arange(1, self.depth + 1)})

    def __repr__(self) -> str:
        lines = [
            f"CircleGeometry of {self.ensemble!r}",
            f"  depth {self.depth}, start {self.start!r}",
        ]
        for name in FIELDS:
            values = getattr(self, name)
            lines.append(f"  {name}: {values[0]:.6g} in layer 1; {values[-1]:.6g} in the last")
        return "\n".join(lines)


LABELS = {
    "euclidean_length": r"$\mathcal{L}^E / \sqrt{N}$",
    "grassmannian_length": r"$\mathcal{L}^G$",
    "curvature_squared": r"$N \kappa^2$",
}
"""How the quantities that are drawn are written."""

CURVATURE_LABEL = r"squared curvature $N \kappa^2$"
STYLES = (
    ("euclidean_length", "left", "C0-"),
    ("grassmannian_length", "left", "C2-."),
    ("curvature_squared", "right", "C1--"),
)


def circle_theory(
    ensemble: Ensemble,
    depth: int,
    *,
    q: ArrayLike | None = None,
    start: Start = "preactivation",
    n_threads: int | None = None,
    progress: bool | None = None,
) -> CircleGeometry:
    """Predict the length, curvature and Gauss map of a circle in each layer of a wide network.

    With ``g = |dh/dtheta|**2 / N``, ``chi_1 = sigma_w**2 E phi'(h)**2`` and ``chi_2 = sigma_w**2
    E phi''(h)**2`` at the length q of the layer before, to all of which the width N is infinite::

        g^{l+1}           = chi_1 g^l
        N kappa^2_{l+1}   = 3 chi_2 / chi_1**2 + N kappa^2_l / chi_1
        gauss_metric^{l+1} = gauss_metric^l + 3 (chi_2 / chi_1) g^l

    (Poole et al., 2016, curvature recursion; the third follows from ``gauss_metric = N kappa**2
    g``). The lengths are ``2 pi sqrt(metric)`` and ``2 pi sqrt(gauss_metric)``.

    Parameters
    ----------
    ensemble : Ensemble
        keep must be 1. Gaussian and orthogonal weights have the same limit.
    depth : int
        Number of layers, at least 1; index 0 of the results is the circle itself.
    q : array_like, optional
        Mean squared pre-activation, in [0, 1e20]. None: q* in every layer. A number: that of
        layer 1, which the length map takes on. An array (depth,): one for each layer.
    start : {"preactivation", "input"}
        "preactivation": h^1 is a circle of squared radius N q, so that ``metric[0] = q``.
        "input": the input is a circle, and h^1 that circle moved by the bias, ``metric[0] = q -
        sigma_b**2``, for which q must be at least sigma_b**2 in layer 1.
    n_threads, progress
        As in `length_map`.

    Returns
    -------
    CircleGeometry
        Arrays (depth,). Where phi' jumps (relu, hard_tanh, selu, ...) the image of a circle has
        corners: curvature_squared, gauss_metric and grassmannian_length are inf from layer 2 on.
        The curve of a network of width N turns by about ``corner_angle * sqrt(N)`` then, which
        `turning_angle` measures.
        Values beyond the range of a float are inf or 0, without a warning; so is the curvature
        where the curve has shrunk to a point (sigma_w = 0 included). The Gauss map of a constant
        phi is undefined, and nan.

    Raises
    ------
    ValueError
        If a value is out of its range or keep is not 1; if no q is given and q* is 0 or infinite;
        if the start is "input" and q < sigma_b**2.
    TypeError
        If an argument is of the wrong kind.

    References
    ----------
    Poole, Lahiri, Raghu, Sohl-Dickstein and Ganguli (2016), "Exponential expressivity in deep
    neural networks through transient chaos", section on the Riemannian geometry of curves.

    Examples
    --------
    >>> import meanfree as mf
    >>> circle = mf.circle_theory(mf.Ensemble("tanh", 2.5, 0.3), 10)
    >>> print(f"{circle.grassmannian_length[0]:.4f} {circle.grassmannian_length[-1]:.4f}")
    6.2832 196.9508
    """
    e = refuse_dropout(ensemble)
    depth = size("depth", depth)
    threads = cores(n_threads)
    lengths, radius = _start(e, depth, q, start, threads)
    before, back = np.unique(np.minimum(lengths[:-1], LENGTH.high), return_inverse=True)
    with progress_bar(progress, "circle", before.size) as report:
        moments = _core.gaussian_moments(e.activation.core, before, threads, report)[:, back]
    corners = _corners(e, lengths, radius, moments[3], moments[4])
    return _geometry(e, start, lengths, radius, moments[3], moments[4], corners)


def circle_autocorrelation(
    ensemble: Ensemble,
    angle: ArrayLike,
    depth: int,
    *,
    q: ArrayLike | None = None,
    start: Start = "preactivation",
    n_threads: int | None = None,
    progress: bool | None = None,
) -> Array:
    """Return the correlation in each layer of two points of a circle, an angle apart.

    ``c^1 = cos(angle)`` for the start "preactivation" and ``(1 - sigma_b**2 / q) cos(angle) +
    sigma_b**2 / q`` for "input"; every layer applies the correlation map (Poole et al., 2016).

    Parameters
    ----------
    ensemble : Ensemble
        keep must be 1.
    angle : array_like
        Between the two points on the circle, in radians, any finite number and any shape.
    depth, q, start
        As in `circle_theory`.
    n_threads, progress
        As in `length_map`.

    Returns
    -------
    (depth, ...) array
        c^l(angle), followed by the axes of `angle`; `propagate` says what becomes of it where q
        vanishes or diverges.

    Raises
    ------
    ValueError, TypeError
        As `circle_theory`.

    Examples
    --------
    >>> import numpy as np
    >>> import meanfree as mf
    >>> c = mf.circle_autocorrelation(mf.Ensemble("tanh", 2.5, 0.3), [0.0, np.pi / 2], 6)
    >>> c[[0, 5]].round(4).tolist()
    [[1.0, 0.0], [1.0, 0.0769]]
    """
    e = refuse_dropout(ensemble)
    depth = size("depth", depth)
    half = 0.5 * real_array("angle", angle)
    lengths, radius = _start(e, depth, q, start, cores(n_threads))
    # 1 - c, which does not cancel at small angles
    share = radius / lengths[0] if lengths[0] > 0.0 else 1.0
    delta = np.clip(2.0 * share * np.sin(half) ** 2, 0.0, 2.0)
    given = np.minimum(lengths, LENGTH.high).reshape(depth, *[1] * delta.ndim)
    path = propagate(e, depth, q=given, delta=delta, n_threads=n_threads, progress=progress)
    assert path.c is not None
    return path.c


def refuse_dropout(ensemble: Ensemble) -> Ensemble:
    """Return the ensemble if it is one without dropout."""
    e = as_ensemble(ensemble)
    if e.keep != 1.0:
        msg = f"keep must be 1 for a manifold, got {e.keep!r}"
        raise ValueError(msg)
    return e


def first_radius(ensemble: Ensemble, q: float, start: str) -> float:
    """Return the squared radius over N of the circle in layer 1, whose points have length q."""
    if choice("start", start, get_args(Start)) == "preactivation":
        return q
    bias = ensemble.sigma_b**2
    if q < bias * (1.0 - _ROUNDING):
        msg = (
            f"q must be >= sigma_b**2 = {bias:g} in layer 1 where the circle is the input, "
            f"got {q!r}"
        )
        raise ValueError(msg)
    return max(q - bias, 0.0)


def _start(
    e: Ensemble, depth: int, q: ArrayLike | None, start: str, threads: int
) -> tuple[Array, float]:
    """Return the length in each layer, and the squared radius of the circle of layer 1."""
    if q is not None and real_array("q", q, LENGTH).ndim > 1:
        msg = f"q must be None, a number, or an array ({depth},), got shape {np.shape(q)}"
        raise ValueError(msg)
    choice("start", start, get_args(Start))
    lengths = layer_lengths(e, depth, q, (), threads)
    return lengths, first_radius(e, float(lengths[0]), start)


def _geometry(
    e: Ensemble,
    start: Start,
    q: Array,
    radius: float,
    slope: Array,
    curvature: Array,
    corners: Array,
) -> CircleGeometry:
    """Iterate the speeds, which overflow later than their squares, and the curvature.

    `slope` and `curvature` are E phi'**2 and E phi''**2 in all layers but the last. Python's
    floats overflow to inf in silence.
    """
    stretch = [e.sigma_w * sqrt(first) if e.sigma_w > 0.0 else 0.0 for first in slope.tolist()]
    speed, turn, bend = [sqrt(radius)], [1.0], [1.0 / radius if radius > 0.0 else inf]
    for factor, first, second in zip(stretch, slope.tolist(), curvature.tolist(), strict=True):
        ratio = inf if isinf(second) else second / first if first > 0.0 else nan
        here = speed[-1]
        speed.append(here * factor if here > 0.0 and factor > 0.0 else 0.0)
        turn.append(inf if isinf(ratio) else hypot(turn[-1], sqrt(3.0 * ratio) * here))
        straight = factor == 0.0 or isinf(ratio)
        bend.append(inf if straight else (3.0 * ratio + bend[-1]) / factor / factor)
    with np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore"):
        v, t, kappa = np.array(speed), np.array(turn), np.array(bend)
        steps = np.concatenate([[np.log(radius)], 2.0 * np.log(stretch)])
        log_metric = np.cumsum(steps) if radius > 0.0 else np.full(q.size, -inf)
        hidden = np.isinf(t) & np.isfinite(kappa)
        return CircleGeometry(
            ensemble=e,
            depth=q.size,
            start=start,
            q=q,
            metric=v * v,
            curvature_squared=kappa,
            gauss_metric=t * t,
            euclidean_length=2.0 * pi * v,
            grassmannian_length=2.0 * pi * t,
            log_metric=log_metric,
            log_gauss_metric=np.where(hidden, log_metric + np.log(kappa), 2.0 * np.log(t)),
            corner_angle=corners,
        )


def _corners(e: Ensemble, q: Array, radius: float, slope: Array, curvature: Array) -> Array:
    """Return the sum of the angles of the corners over sqrt(N) in each layer.

    A unit crosses the kink k, where phi' jumps by d, ``2 sqrt(g / q) exp(-k**2 / 2 q)`` times on
    the way around (Rice's formula), at the mean speed ``sqrt(pi g / 2)``. Then the tangent jumps by
    d times that speed times a column of weights, against a length ``sqrt(N g chi_1)`` of the
    tangent. Small angles between independent directions stay what they are in later layers.
    """
    angle = np.zeros(q.size)
    phi = e.activation
    if not np.isinf(curvature).any():
        return angle
    kinks = np.array(phi.kinks)
    step = 1e-7 * np.maximum(1.0, np.abs(kinks))
    ahead = 2.0 * phi.derivative(kinks + step) - phi.derivative(kinks + 2.0 * step)
    behind = 2.0 * phi.derivative(kinks - step) - phi.derivative(kinks - 2.0 * step)
    jumps = np.abs(ahead - behind)
    rate = sqrt(radius / q[0]) if q[0] > 0.0 else 0.0  # sqrt(g / q)
    for i, first in enumerate(slope):
        if np.isinf(first):
            angle[i + 1 :] = inf
            break
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            heights = np.where(kinks == 0.0, 1.0, np.exp(-0.5 * kinks**2 / q[i]))
            new = sqrt(2.0 * pi) * rate * float(jumps @ heights)
            angle[i + 1] = angle[i] + (new / sqrt(first) if new > 0.0 else 0.0)
            grown = rate * sqrt(q[i] / q[i + 1]) * e.sigma_w * sqrt(first)
        # beyond the range of a float lengths and speeds grow alike
        rate = grown if 0.0 < q[i + 1] < inf and q[i] < inf else rate
    return angle
