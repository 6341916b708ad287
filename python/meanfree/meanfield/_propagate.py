"""Propagation of lengths and correlations forwards, and of gradients backwards, in depth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfree import _core
from meanfree._axes import axes, label_layers, right_axes
from meanfree._check import CORRELATION, DELTA, LENGTH, cores, real_array, size
from meanfree._labels import data_set
from meanfree._progress import progress_bar
from meanfree.ensemble import Ensemble, as_ensemble
from meanfree.meanfield._fixed_point import resting_length
from meanfree.meanfield._layer import next_correlation, next_length

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray
    from xarray import Dataset

    Array = NDArray[np.float64]
    Report = Callable[[int], None] | None

# Lengths beyond these are replaced by them in the map of correlations, which has reached its limit
# there, and lengths beyond the last count as infinite.
_TINY, _HUGE, _INFINITE = 1e-280, 1e20, 1e280


@dataclass(frozen=True, eq=False, repr=False)
class Trajectory:
    """Length and correlation of two inputs in each layer; made by `propagate`.

    Attributes
    ----------
    ensemble : Ensemble
    q : (depth, ...) array
        Mean squared pre-activation; ``q[l - 1]`` is that of layer l. Same shape as c.
    c : (depth, ...) array or None
        Correlation of the two inputs.
    delta : (depth, ...) array or None
        1 - c, free of cancellation.
    """

    ensemble: Ensemble
    q: Array
    c: Array | None
    delta: Array | None

    @property
    def depth(self) -> int:
        """Number of layers."""
        return len(self.q)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw q (left axis) and, where there is one, c (right axis) against the layer."""
        ax = axes(ax)
        layers = np.arange(1, self.depth + 1)
        lines = ax.plot(layers, self.q.reshape(self.depth, -1)[:, :1], "C0-", label=r"$q^l$")
        ax.set(ylabel=r"$q^l$")
        if self.c is not None:
            right = right_axes(ax, r"$c^l$")
            lines += right.plot(layers, self.c.reshape(self.depth, -1), "C1--", label=r"$c^l$")[:1]
        label_layers(ax, lines)
        return ax

    def to_xarray(self) -> Dataset:
        """Return an xarray.Dataset with the dimension "layer" first; needs the extra "xarray"."""
        names = ("q",) if self.c is None else ("q", "c", "delta")
        return _by_layer(self, names)

    def __repr__(self) -> str:
        lines = [f"Trajectory of {self.ensemble!r}, shape {self.q.shape}"]
        lines += [_ends("q", self.q)]
        if self.c is not None:
            lines += [_ends("c", self.c)]
        return "\n".join(lines)


@dataclass(frozen=True, eq=False, repr=False)
class GradientTrajectory:
    """Gradients in each layer relative to the last; made by `propagate_gradient`.

    Attributes
    ----------
    ensemble : Ensemble
    norm : (depth, ...) array
        Expected squared gradient with respect to h^l, divided by that at h^depth: ``norm[-1]`` is
        1; inf or 0 where a double overflows or underflows, see ``log_norm``.
    log_norm : (depth, ...) array
        Its natural logarithm, which does neither.
    correlation : (depth, ...) array or None
        Correlation coefficient of the gradients of two inputs, divided by that at h^depth.
    """

    ensemble: Ensemble
    norm: Array
    log_norm: Array
    correlation: Array | None

    @property
    def depth(self) -> int:
        """Number of layers."""
        return len(self.norm)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw log10 of the norm (left axis) and the correlation (right axis)."""
        ax = axes(ax)
        layers = np.arange(1, self.depth + 1)
        norms = self.log_norm.reshape(self.depth, -1) / np.log(10.0)
        lines = ax.plot(layers, norms[:, :1], "C0-", label="norm")
        ax.set(ylabel=r"$\log_{10}\,\tilde q^l / \tilde q^L$")
        if self.correlation is not None:
            right = right_axes(ax, "correlation of gradients")
            values = self.correlation.reshape(self.depth, -1)
            lines += right.plot(layers, values, "C1--", label="correlation")[:1]
        label_layers(ax, lines)
        return ax

    def to_xarray(self) -> Dataset:
        """Return an xarray.Dataset with the dimension "layer" first; needs the extra "xarray"."""
        names = ("norm", "log_norm") + (() if self.correlation is None else ("correlation",))
        return _by_layer(self, names)

    def __repr__(self) -> str:
        lines = [f"GradientTrajectory of {self.ensemble!r}, shape {self.norm.shape}"]
        lines += [_ends("log_norm", self.log_norm)]
        if self.correlation is not None:
            lines += [_ends("correlation", self.correlation)]
        return "\n".join(lines)


def propagate(
    ensemble: Ensemble,
    depth: int,
    *,
    q: ArrayLike | None = None,
    c: ArrayLike | None = None,
    delta: ArrayLike | None = None,
    n_threads: int | None = None,
    progress: bool | None = None,
) -> Trajectory:
    """Follow the length and the correlation of two inputs through the layers.

    ``q^{l+1} = V(q^l)``, ``c^{l+1} = C(c^l; q^l)`` (Poole et al., 2016). With delta = 1 - c,
    ``delta^{l+1} = (sigma_w**2 E[(phi(u1) - phi(u2))**2] / 2 + (1/keep - 1) sigma_w**2 E phi**2)
    / V(q^l)`` is what is iterated, so that correlations as close to 1 as 1 - 1e-300 keep their
    digits.

    Parameters
    ----------
    ensemble : Ensemble
    depth : int
        Number of layers, at least 1; index 0 of the results is the start, layer 1.
    q : array_like, optional
        Mean squared pre-activation of both inputs, in [0, 1e20]. None: q* in every layer. A
        number: that of layer 1, which the length map takes on. An array (depth, ...): one for each
        layer; trailing dimensions broadcast with those of c.
    c, delta : array_like, optional
        Correlation in [-1, 1] at layer 1, or 1 - c in [0, 2], any shape; at most one of them.
    n_threads, progress
        As in `length_map`.

    Returns
    -------
    Trajectory
        Arrays (depth, ...). c and delta are None if neither was given. Where q is 0 or underflows,
        or overflows to inf, c follows the limit of the map for small or large q: a phi with
        phi(0) = 0 and no kink there is straight for small q, and c stays as it is. c and delta
        are nan in layers after one in which sigma_w = sigma_b = 0, which has no directions left.

    Raises
    ------
    ValueError
        If a value is out of its range or the shapes do not fit; if no q is given and q* is 0 or
        infinite; if both c and delta are given.
    TypeError
        If an argument is of the wrong kind.

    Examples
    --------
    >>> import meanfree as mf
    >>> path = mf.propagate(mf.Ensemble("tanh", 2.5, 0.3), 30, delta=1e-12)
    >>> print(f"{path.delta[1]:.6e} {path.c[-1]:.4f}")
    1.585225e-12 1.0000
    """
    e = as_ensemble(ensemble)
    depth = size("depth", depth)
    start = _start(c, delta)
    threads = cores(n_threads)
    lengths = layer_lengths(e, depth, q, () if start is None else start[0].shape, threads)
    if start is None:
        return Trajectory(e, lengths, None, None)
    with progress_bar(progress, "layers", depth) as report:
        correlation, lost = _correlations(e, lengths, *start, threads, report)
    return Trajectory(e, lengths, correlation, lost)


def propagate_gradient(
    ensemble: Ensemble,
    depth: int,
    *,
    q: ArrayLike | None = None,
    c: ArrayLike | None = None,
    n_threads: int | None = None,
    progress: bool | None = None,
) -> GradientTrajectory:
    """Follow the squared gradient, and the angle between two inputs' gradients, backwards.

    The squared gradient at h^l is ``sigma_w**2 E phi'(h^l)**2 / keep`` times that at h^{l+1}
    (equal widths); the product of the gradients of two inputs takes the factor
    ``sigma_w**2 E phi'(u1) phi'(u2)`` (Schoenholz et al., 2017).

    Parameters
    ----------
    ensemble : Ensemble
    depth : int
        Number of layers, at least 1.
    q : array_like, optional
        As in `propagate`.
    c : array_like, optional
        Correlation of the two inputs at layer 1, in [-1, 1], any shape.
    n_threads, progress
        As in `length_map`.

    Returns
    -------
    GradientTrajectory
        Arrays (depth, ...); correlation is None if no c was given.

    Raises
    ------
    ValueError, TypeError
        As `propagate`.

    Examples
    --------
    >>> import meanfree as mf
    >>> path = mf.propagate_gradient(mf.Ensemble("relu", 2.0), 5, q=1.0)
    >>> path.norm.round(6).tolist()
    [16.0, 8.0, 4.0, 2.0, 1.0]
    """
    e = as_ensemble(ensemble)
    depth = size("depth", depth)
    start = _start(c, None)
    threads = cores(n_threads)
    lengths = layer_lengths(e, depth, q, () if start is None else start[0].shape, threads)
    shape, phi = lengths.shape, e.activation.core
    here = np.clip(lengths[:-1], 0.0, _HUGE).reshape(-1)
    unique, back = np.unique(here, return_inverse=True)
    slope_squared = _core.gaussian_moments(phi, unique, threads, None)[3][back]
    with np.errstate(divide="ignore"):
        gain = 2.0 * np.log(e.sigma_w) - np.log(e.keep)
        steps = np.log(slope_squared) + gain if e.sigma_w > 0.0 else np.full_like(here, gain)
    log_norm = _from_the_end(steps.reshape(depth - 1, *shape[1:]), shape)
    with np.errstate(over="ignore"):
        norm = np.exp(log_norm)
    if start is None:
        return GradientTrajectory(e, norm, log_norm, None)
    with progress_bar(progress, "layers", depth) as report:
        _, lost = _correlations(e, lengths, *start, threads, report)
    product = _pairs(e, here, lost[:-1].reshape(-1), threads)[2]
    return GradientTrajectory(e, norm, log_norm, _angles(e.keep * product, slope_squared, shape))


def _angles(product: Array, slope_squared: Array, shape: tuple[int, ...]) -> Array:
    """Multiply the factors of the correlation from the last layer back."""
    with np.errstate(invalid="ignore"):
        factor = np.where(np.isinf(slope_squared), np.where(np.isinf(product), 1.0, 0.0), product)
        factor = factor / np.where(np.isinf(slope_squared), 1.0, slope_squared)
    factors = np.clip(factor, -1.0, 1.0).reshape(shape[0] - 1, *shape[1:])
    correlation = np.ones(shape)
    correlation[:-1] = np.cumprod(factors[::-1], axis=0)[::-1]
    return correlation


def _from_the_end(steps: Array, shape: tuple[int, ...]) -> Array:
    total = np.zeros(shape)
    total[:-1] = np.cumsum(steps[::-1], axis=0)[::-1]
    return total


def _start(c: ArrayLike | None, delta: ArrayLike | None) -> tuple[Array, Array] | None:
    """Return the correlation at the start and 1 minus it, or None."""
    if c is not None and delta is not None:
        msg = "at most one of c and delta may be given, got both"
        raise ValueError(msg)
    if c is not None:
        correlation = real_array("c", c, CORRELATION)
        return correlation, 1.0 - correlation
    if delta is not None:
        lost = real_array("delta", delta, DELTA)
        return 1.0 - lost, lost
    return None


def layer_lengths(
    e: Ensemble, depth: int, q: ArrayLike | None, trailing: tuple[int, ...], threads: int
) -> Array:
    """Return q of each layer, shape (depth, ...), broadcast with the shape of the correlations."""
    given = np.asarray(resting_length(e)) if q is None else real_array("q", q, LENGTH)
    if given.ndim and given.shape[0] != depth:
        msg = (
            f"q must be None, a number, or an array with one length for each of {depth} layers, "
            f"got shape {given.shape}"
        )
        raise ValueError(msg)
    if given.ndim:
        per_layer = given.reshape(depth, *[1] * (len(trailing) - given.ndim + 1), *given.shape[1:])
    else:
        per_layer = np.full(depth, float(given))
        if q is not None:
            phi = e.activation.core
            for layer in range(1, depth):
                before = min(per_layer[layer - 1], _INFINITE)
                second = _core.gaussian_moments(phi, np.array([before]), threads, None)[2]
                grown = next_length(e, second)[0]
                per_layer[layer] = grown if grown <= _INFINITE else np.inf
        per_layer = per_layer.reshape(depth, *[1] * len(trailing))
    try:
        shape = np.broadcast_shapes(per_layer.shape[1:], trailing)
    except ValueError:
        msg = (
            f"q[0] and c (or delta) must have shapes that broadcast, got {given.shape[1:]} "
            f"and {trailing}"
        )
        raise ValueError(msg) from None
    return np.broadcast_to(per_layer, (depth, *shape)).copy()


def _correlations(
    e: Ensemble, lengths: Array, c: Array, delta: Array, threads: int, report: Report
) -> tuple[Array, Array]:
    """Iterate 1 - c through the layers, all inputs at once."""
    correlation, lost = np.empty_like(lengths), np.empty_like(lengths)
    correlation[0], lost[0] = c, delta
    for layer in range(1, lengths.shape[0]):
        before = np.clip(lengths[layer - 1].reshape(-1), 0.0, _HUGE)
        if e.sigma_b == 0.0:
            before = np.maximum(before, np.where(before < _TINY, _TINY, 0.0))
        product, gap, _ = _pairs(e, before, lost[layer - 1].reshape(-1), threads)
        new_c, new_delta = next_correlation(e, product, gap)
        correlation[layer] = np.clip(new_c, -1.0, 1.0).reshape(lengths.shape[1:])
        lost[layer] = np.clip(new_delta, 0.0, 2.0).reshape(lengths.shape[1:])
        if report is not None:
            report(layer + 1)
    return correlation, lost


def _pairs(e: Ensemble, q: Array, delta: Array, threads: int) -> Array:
    """Return the averages over two inputs; nan where delta is."""
    averages = np.full((3, q.size), np.nan)
    known = ~np.isnan(delta)
    averages[:, known] = _core.correlation(e.activation.core, q[known], delta[known], threads, None)
    return averages


def _ends(name: str, values: Array) -> str:
    rows = values.reshape(values.shape[0], -1)
    if not rows.shape[1]:
        return f"  {name}: empty"
    more = ", ..." if rows.shape[1] > 3 else ""
    first, last = (", ".join(f"{v:.6g}" for v in rows[i, :3]) + more for i in (0, -1))
    return f"  {name}: {first} in layer 1; {last} in layer {rows.shape[0]}"


def _by_layer(result: Any, names: tuple[str, ...]) -> Dataset:
    arrays = {name: getattr(result, name) for name in names}
    depth, *trailing = next(iter(arrays.values())).shape
    dims = ("layer", *(f"input_{i}" for i in range(len(trailing))))
    return data_set(result.ensemble, arrays, dims, {"layer": np.arange(1, depth + 1)})
