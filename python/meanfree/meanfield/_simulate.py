"""Monte Carlo of lengths and correlations in networks of finite width."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args, overload

import numpy as np

from meanfree import _core
from meanfree._axes import axes, label_layers, right_axes
from meanfree._check import CORRELATION, POSITIVE_LENGTH, choice, cores, real, size
from meanfree._check import seed as check_seed
from meanfree._labels import data_set
from meanfree._progress import progress_bar
from meanfree.ensemble import Ensemble, as_ensemble
from meanfree.meanfield._fixed_point import resting_length

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray
    from xarray import Dataset

    Array = NDArray[np.float64]

Method = Literal["auto", "gram", "weights"]


@dataclass(frozen=True, eq=False, repr=False)
class PropagationSample:
    """Simulated length and correlation in each layer; made by `simulate_propagation`.

    Attributes
    ----------
    ensemble : Ensemble
    width, n_samples, seed : int
    method : {"gram", "weights"}
    q, q_error : (depth,) array
        Mean over networks of the mean squared pre-activation, itself the mean over both inputs,
        and one standard error of it.
    c, c_error : (depth,) array or None
        Mean of the correlation coefficient of the two inputs over the networks in which it is
        defined (neither input's length is 0), and one standard error; nan if there are fewer than
        two.
    delta, delta_error : (depth,) array or None
        The same of 1 - c, free of cancellation.
    q_samples, c_samples, delta_samples : (n_samples, depth) array or None
        The values in each network.
    """

    ensemble: Ensemble
    width: int
    n_samples: int
    seed: int
    method: Literal["gram", "weights"]
    q: Array
    q_error: Array
    c: Array | None
    c_error: Array | None
    delta: Array | None
    delta_error: Array | None
    q_samples: Array
    c_samples: Array | None
    delta_samples: Array | None

    @property
    def depth(self) -> int:
        """Number of layers."""
        return self.q.size

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw q (left axis) and, where there is one, c (right axis) with two standard errors."""
        ax = axes(ax)
        layers = np.arange(1, self.depth + 1)
        bars = [ax.errorbar(layers, self.q, 2 * self.q_error, fmt="C0o", label=r"$q^l$")]
        ax.set(ylabel=r"$q^l$")
        if self.c is not None and self.c_error is not None:
            right = right_axes(ax, r"$c^l$")
            bars += [right.errorbar(layers, self.c, 2 * self.c_error, fmt="C1s", label=r"$c^l$")]
        label_layers(ax, bars)
        return ax

    def to_xarray(self) -> Dataset:
        """Return an xarray.Dataset over (sample, layer); needs the extra "xarray"."""
        arrays = {"q": self.q_samples}
        if self.c_samples is not None and self.delta_samples is not None:
            arrays |= {"c": self.c_samples, "delta": self.delta_samples}
        coords = {"sample": np.arange(self.n_samples), "layer": np.arange(1, self.depth + 1)}
        return data_set(self.ensemble, arrays, ("sample", "layer"), coords)

    def __repr__(self) -> str:
        lines = [
            f"PropagationSample of {self.ensemble!r}",
            f"  {self.n_samples} networks of width {self.width}, depth {self.depth}, "
            f"method {self.method!r}, seed {self.seed}",
            f"  q in the last layer: {self.q[-1]:.6g} +- {self.q_error[-1]:.1g}",
        ]
        if self.c is not None and self.c_error is not None:
            lines.append(f"  c in the last layer: {self.c[-1]:.6g} +- {self.c_error[-1]:.1g}")
        return "\n".join(lines)


def simulate_propagation(
    ensemble: Ensemble,
    width: int,
    depth: int,
    *,
    q: float | None = None,
    c: float | None = None,
    n_samples: int = 16,
    seed: int = 0,
    method: Method = "auto",
    n_threads: int | None = None,
    progress: bool | None = None,
) -> PropagationSample:
    """Simulate the length and the correlation of two inputs in random networks.

    All layers have the same width. The pre-activations of layer 1 are Gaussian with variance q and
    correlation c, independent from unit to unit; every further layer draws new weights, biases and
    dropout masks (Poole et al., 2016, figures of the propagation).

    Parameters
    ----------
    ensemble : Ensemble
    width : int
        Units in a layer, at least 2.
    depth : int
        Layers, at least 1.
    q : float, optional
        Variance of both inputs' pre-activations in layer 1, in (0, 1e20]; default q*.
    c : float, optional
        Their correlation in layer 1, in [-1, 1]; default: a single input.
    n_samples : int
        Independent networks, at least 2.
    seed : int
        In [0, 2**64 - 1]. The same seed gives the same bits for any number of threads.
    method : {"auto", "gram", "weights"}
        "gram" draws the pre-activations from their law given the layer before, without any weights:
        exact, and faster by the width; "weights" draws the weights. "auto" is "gram".
    n_threads, progress
        As in `length_map`.

    Returns
    -------
    PropagationSample
        Arrays (depth,), with one standard error beside each.

    Raises
    ------
    ValueError
        If a value is out of its range, or no q is given and q* is 0 or infinite.
    TypeError
        If an argument is of the wrong kind.

    Examples
    --------
    >>> import meanfree as mf
    >>> network = mf.Ensemble("relu", 1.0, 0.5)
    >>> sample = mf.simulate_propagation(network, 500, 5, q=0.5, c=0.2, n_samples=40)
    >>> bool(abs(sample.q[-1] - 0.5) < 5 * sample.q_error[-1])
    True
    """
    e = as_ensemble(ensemble)
    width, depth = size("width", width, 2), size("depth", depth)
    length = resting_length(e) if q is None else real("q", q, POSITIVE_LENGTH)
    correlation = 1.0 if c is None else real("c", c, CORRELATION)
    n_samples, key = size("n_samples", n_samples, 2), check_seed(seed)
    by_weights = choice("method", method, get_args(Method)) == "weights"
    threads = cores(n_threads)
    with progress_bar(progress, "networks", n_samples) as report:
        q_samples, c_samples, delta_samples = _core.simulate_propagation(
            e.activation.core,
            e.sigma_w,
            e.sigma_b,
            e.keep,
            int(e.weights == "orthogonal"),
            width,
            depth,
            length,
            correlation,
            n_samples,
            key,
            int(by_weights),
            threads,
            report,
        )
    q_mean, q_error = mean_with_error(q_samples)
    if c is None:
        c_samples = delta_samples = None
    c_mean, c_error = mean_with_error(c_samples)
    delta_mean, delta_error = mean_with_error(delta_samples)
    return PropagationSample(
        ensemble=e,
        width=width,
        n_samples=n_samples,
        seed=key,
        method="weights" if by_weights else "gram",
        q=q_mean,
        q_error=q_error,
        c=c_mean,
        c_error=c_error,
        delta=delta_mean,
        delta_error=delta_error,
        q_samples=q_samples,
        c_samples=c_samples,
        delta_samples=delta_samples,
    )


@overload
def mean_with_error(samples: Array) -> tuple[Array, Array]: ...
@overload
def mean_with_error(samples: None) -> tuple[None, None]: ...
def mean_with_error(samples: Array | None) -> tuple[Array, Array] | tuple[None, None]:
    if samples is None:
        return None, None
    defined = ~np.isnan(samples)
    number = defined.sum(axis=0)
    values = np.where(defined, samples, 0.0)
    # lengths may be so large that their squares overflow
    size = np.max(np.abs(values), axis=0)
    values /= np.where((size > 0.0) & np.isfinite(size), size, 1.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(number > 1, values.sum(axis=0) / number, np.nan)
        variance = np.sum(np.where(defined, (values - mean) ** 2, 0.0), axis=0) / (number - 1)
        error = size * np.sqrt(variance / number)
    return size * mean, np.where(np.isinf(mean), np.inf, error)
