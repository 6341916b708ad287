"""What a simulation of curves through random networks returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from meanfree._axes import axes, label_layers, right_axes
from meanfree._labels import data_set
from meanfree.manifold._theory import CURVATURE_LABEL, FIELDS, LABELS, STYLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray
    from xarray import Dataset

    from meanfree._check import Precision
    from meanfree.ensemble import Ensemble
    from meanfree.manifold._theory import Start

    Array = NDArray[np.float64]

Method = Literal["auto", "gram", "weights"]

SAMPLED = ("q", *FIELDS, "chord_length", "turning_angle")
"""Names of the simulated quantities, in the order of the core."""


@dataclass(frozen=True, eq=False, repr=False)
class CurveSample:
    """Geometry of a curve in each layer of simulated networks; made by `simulate_curve`.

    t is the parameter of the curve, N the width, and index l - 1 of an array belongs to h^l. Of
    each network the mean over t is taken, then of these the mean over networks, with one standard
    error beside it; ``<field>_samples``, (n_samples, depth), has the values of each network. Means
    are over the networks in which a field is defined, that is not nan; nan if there are fewer than
    two.

    Attributes
    ----------
    ensemble : Ensemble
    width, depth, n_points, n_samples, seed : int
    start : {"preactivation", "input"}
    method : {"auto", "gram", "weights"}
    dtype : {"float64", "float32"}
    q, q_error : (depth,) array
        Mean squared pre-activation ``|h|**2 / N``.
    metric, metric_error : (depth,) array
        Squared speed ``|dh/dt|**2 / N``.
    curvature_squared, curvature_squared_error : (depth,) array
        N kappa**2, where 1 / kappa is the radius of the circle that osculates the curve. In the
        chaotic phase it lies above its limit of infinite width by a fraction of order depth / N.
    gauss_metric, gauss_metric_error : (depth,) array
        Squared speed of the unit tangent, ``kappa**2 |dh/dt|**2``.
    euclidean_length, euclidean_length_error : (depth,) array
        Length of the curve over sqrt(N).
    grassmannian_length, grassmannian_length_error : (depth,) array
        Length of the curve of unit tangents: the angle through which the curve turns in total.
    chord_length, chord_length_error : (depth,) array
        Length of the polygon through the points over sqrt(N). nan where chords are lost in
        rounding of dtype: where that would make more than about 1 % of the length.
    turning_angle, turning_angle_error : (depth,) array
        Sum of the angles between successive chords of that polygon. nan where chords are lost in
        rounding of dtype: where that would make more than about 1 % of the sum (and 1e-6, which a
        straight line may turn by). Chords of a collapsed or very finely sampled curve are.
    ranks : (n_samples, depth) array of int
        Number of columns that made each layer: points and derivatives that the weights were
        multiplied by, Fourier coefficients, or the rank of the curve where its law was used.
    """

    ensemble: Ensemble
    width: int
    depth: int
    n_points: int
    n_samples: int
    seed: int
    start: Start
    method: Method
    dtype: Precision
    q: Array
    q_error: Array
    q_samples: Array
    metric: Array
    metric_error: Array
    metric_samples: Array
    curvature_squared: Array
    curvature_squared_error: Array
    curvature_squared_samples: Array
    gauss_metric: Array
    gauss_metric_error: Array
    gauss_metric_samples: Array
    euclidean_length: Array
    euclidean_length_error: Array
    euclidean_length_samples: Array
    grassmannian_length: Array
    grassmannian_length_error: Array
    grassmannian_length_samples: Array
    chord_length: Array
    chord_length_error: Array
    chord_length_samples: Array
    turning_angle: Array
    turning_angle_error: Array
    turning_angle_samples: Array
    ranks: NDArray[np.int64]

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw both lengths (left axis) and the curvature (right axis) with two standard errors.

        The scales are logarithmic; what is infinite is left out, and the turning angle is drawn
        where the Grassmannian length is infinite.
        """
        ax = axes(ax)
        right = right_axes(ax, CURVATURE_LABEL)
        layers = np.arange(1, self.depth + 1)
        bars = []
        for field, where, line in STYLES:
            name, label = field, LABELS[field]
            if name == "grassmannian_length" and np.isinf(self.grassmannian_length).any():
                name, label = "turning_angle", "turning angle"
            values, error = getattr(self, name), getattr(self, f"{name}_error")
            good = np.isfinite(values) & (values > 0.0)
            x, y, bar = layers[good], values[good], 2.0 * error[good]
            on = right if where == "right" else ax
            bars.append(on.errorbar(x, y, bar, fmt=f"{line[:2]}o", label=label))
        ax.set(ylabel="length", yscale="log")
        right.set_yscale("log")
        label_layers(ax, bars)
        return ax

    def to_xarray(self) -> Dataset:
        """Return an xarray.Dataset over (sample, layer); needs the extra "xarray"."""
        arrays = {name: getattr(self, f"{name}_samples") for name in SAMPLED}
        coords = {"sample": np.arange(self.n_samples), "layer": np.arange(1, self.depth + 1)}
        return data_set(self.ensemble, arrays, ("sample", "layer"), coords)

    def __repr__(self) -> str:
        lines = [
            f"{type(self).__name__} of {self.ensemble!r}",
            f"  {self.n_samples} networks of width {self.width}, depth {self.depth}, "
            f"{self.n_points} points, start {self.start!r}, method {self.method!r}, "
            f"{self.dtype}, seed {self.seed}",
        ]
        for name in SAMPLED:
            value, error = getattr(self, name)[-1], getattr(self, f"{name}_error")[-1]
            lines.append(f"  {name} in the last layer: {value:.6g} +- {error:.1g}")
        return "\n".join(lines)


class CircleSample(CurveSample):
    """Geometry of a circle in each layer of simulated networks; made by `simulate_circle`.

    The fields are those of `CurveSample`; the parameter is the angle.
    """

    @property
    def n_angles(self) -> int:
        """Number of points on the circle."""
        return self.n_points
