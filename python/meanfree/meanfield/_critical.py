"""Critical line: the ensembles with chi_1 = 1 at the fixed point of the length map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meanfree import _core
from meanfree._axes import axes
from meanfree._check import KEEP, POSITIVE_LENGTH, SIGMA, cores, real, real_array, shaped
from meanfree._progress import progress_bar
from meanfree.activations import Activation, ActivationLike, as_activation
from meanfree.ensemble import Ensemble, Weights
from meanfree.meanfield._fixed_point import CRITICAL_BAND

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]
    Flags = NDArray[np.bool_]

# The search for the stable part of the line: fixed points beyond these are of no use.
_SCAN = np.geomspace(1e-8, 1e6, 400)


@dataclass(frozen=True, eq=False, repr=False)
class CriticalLine:
    """Points with chi_1 = 1; made by `critical_line`.

    Attributes
    ----------
    activation : Activation
    sigma_w, sigma_b, q : float or array, all of one shape
        nan in sigma_w and q where no weights make that sigma_b critical.
    stable : bool or array of bool
        Whether the length map settles at q: V'(q) < 1, or q is approached from above where
        V'(q) = 1.
    """

    activation: Activation
    sigma_w: float | Array
    sigma_b: float | Array
    q: float | Array
    stable: bool | Flags

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw sigma_b against sigma_w; dotted where the fixed point is unstable."""
        ax = axes(ax)
        sigma_w, sigma_b = (np.atleast_1d(a).reshape(-1) for a in (self.sigma_w, self.sigma_b))
        stable = np.atleast_1d(self.stable).reshape(-1)
        marker = "o" if sigma_w.size == 1 else ""
        label = f"{self.activation}, stable"
        ax.plot(np.where(stable, sigma_w, np.nan), sigma_b, "k-", marker=marker, label=label)
        if not stable.all():
            unstable = np.where(stable, np.nan, sigma_w)
            ax.plot(unstable, sigma_b, "k:", marker=marker, label="unstable")
        ax.set(xlabel=r"$\sigma_w$", ylabel=r"$\sigma_b$")
        ax.legend()
        return ax

    def __repr__(self) -> str:
        lines = [f"CriticalLine of {self.activation}"]
        if not np.ndim(self.sigma_w):
            lines[0] += "" if self.stable else ", not stable"
            lines += [f"  sigma_w = {self.sigma_w!r}, sigma_b = {self.sigma_b!r}, q = {self.q!r}"]
            return "\n".join(lines)
        lines[0] += f", {np.sum(self.stable)} of {np.size(self.stable)} points stable"
        for name in ("sigma_w", "sigma_b", "q"):
            text = np.array2string(np.ravel(getattr(self, name)), threshold=8, precision=6)
            lines.append(f"  {name}: {' '.join(text.split())}")
        return "\n".join(lines)


def critical_line(
    activation: ActivationLike,
    *,
    sigma_b: ArrayLike | None = None,
    q: ArrayLike | None = None,
    keep: float = 1.0,
    n_threads: int | None = None,
    progress: bool | None = None,
) -> CriticalLine:
    """Find the weights and biases at which small differences neither grow nor shrink.

    The line chi_1 = 1 is swept exactly by the length q of its fixed point:
    ``sigma_w**2 = 1 / E phi'**2``, ``sigma_b**2 = q - E phi**2 / E phi'**2`` over
    sqrt(q) z (from the definitions of Poole et al., 2016; Schoenholz et al., 2017).

    Parameters
    ----------
    activation : str, Activation or callable
    sigma_b : array_like, optional
        Standard deviations of the biases, in [0, 1e10], any shape. Of several points with this
        sigma_b the stable one is returned.
    q : array_like, optional
        Lengths of the fixed point, in (0, 1e20], any shape. Exactly one of the two is given.
    keep : float
        Only 1: under dropout two equal inputs part, so no ensemble is critical.
    n_threads, progress
        As in `length_map`.

    Returns
    -------
    CriticalLine
        Arrays of the shape given; floats for a scalar.

    Raises
    ------
    ValueError
        If none or both of sigma_b and q are given; if a value is out of its range; if no
        sigma_b makes the length q critical; if keep is not 1.
    TypeError
        If an argument is of the wrong kind.

    Examples
    --------
    >>> import meanfree as mf
    >>> line = mf.critical_line("tanh", sigma_b=[0.05, 0.5])
    >>> line.sigma_w.round(6).tolist()
    [1.122539, 1.549674]
    """
    phi = as_activation(activation)
    if (sigma_b is None) == (q is None):
        msg = f"exactly one of sigma_b and q must be given, got {'none' if q is None else 'both'}"
        raise ValueError(msg)
    if real("keep", keep, KEEP) != 1.0:
        msg = f"keep must be 1 for a critical line (dropout has none), got {keep!r}"
        raise ValueError(msg)
    threads = cores(n_threads)
    if q is not None:
        lengths = real_array("q", q, POSITIVE_LENGTH)
        shape, flat = lengths.shape, lengths.reshape(-1).copy()
        with progress_bar(progress, "critical line", flat.size) as report:
            moments = _core.gaussian_moments(phi.core, flat, threads, report)
        weights, biases, slopes = _on_the_line(phi, flat, moments)
        stable = _is_stable(phi, flat, weights, slopes)
        if np.isnan(biases).any():
            bad = float(flat[int(np.argmax(np.isnan(biases)))])
            msg = (
                f"q must be such that sigma_b**2 = q - E phi**2 / E phi'**2 >= 0 for {phi}, "
                f"got {bad!r}"
            )
            raise ValueError(msg)
    else:
        given = real_array("sigma_b", sigma_b, SIGMA)
        shape, biases = given.shape, given.reshape(-1).copy()
        found = _core.critical_points(phi.core, biases)
        weights, flat, stable = found["sigma_w"], found["q"], found["stable"]
    return CriticalLine(
        activation=phi,
        sigma_w=shaped(weights, shape),
        sigma_b=shaped(biases, shape),
        q=shaped(flat, shape),
        stable=stable.reshape(shape) if shape else bool(stable[0]),
    )


def critical(
    activation: ActivationLike,
    sigma_b: float = 0.0,
    *,
    weights: Weights = "gaussian",
    keep: float = 1.0,
) -> Ensemble:
    """Make the ensemble on the critical line for a given scale of biases.

    There chi_1 = 1 at the stable fixed point of the length map: signals and gradients travel
    furthest (Schoenholz et al., 2017). See `critical_line`.

    Parameters
    ----------
    activation : str, Activation or callable
    sigma_b : float
        Standard deviation of the biases, in [0, 1e10].
    weights : {"gaussian", "orthogonal"}
        Law of the weights; the critical sigma_w is the same for both.
    keep : float
        Only 1: under dropout no ensemble is critical.

    Returns
    -------
    Ensemble

    Raises
    ------
    ValueError
        If there is no stable critical point at this sigma_b: the message says why, and from which
        sigma_b on there is one. If a value is out of its range.
    TypeError
        If an argument is of the wrong kind.

    Examples
    --------
    >>> import meanfree as mf
    >>> print(f"{mf.critical('relu').sigma_w:.12f}")
    1.414213562373
    """
    phi = as_activation(activation)
    b = real("sigma_b", sigma_b, SIGMA)
    line = critical_line(phi, sigma_b=b, keep=keep)
    if not line.stable:
        raise ValueError(_why_not(phi, b))
    return Ensemble(phi, float(line.sigma_w), b, weights=weights)


def line_at_length(phi: Activation, q: float) -> tuple[float, float, bool]:
    """Return sigma_w, sigma_b (nan if none is critical) and whether q is stable there."""
    lengths = np.array([q])
    moments = _core.gaussian_moments(phi.core, lengths, 1, None)
    weights, biases, slopes = _on_the_line(phi, lengths, moments)
    stable = bool(_is_stable(phi, lengths, weights, slopes)[0]) and not np.isnan(biases[0])
    return float(weights[0]), float(biases[0]), stable


def _on_the_line(phi: Activation, q: Array, moments: Array) -> tuple[Array, Array, Array]:
    """Return sigma_w, sigma_b (nan where its square is negative) and V' at the lengths q."""
    second, slope_squared, length_slope = moments[2], moments[3], moments[5]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        gain = 1.0 / slope_squared
        variance = q - second * gain
        rounding = 32.0 * np.finfo(np.float64).eps * (q + second * gain)
        # close to a linear phi the two terms cancel
        close = (np.abs(variance) < 1e-3 * q) & (not phi.kinks)
        if close.any():
            variance[close] = _small_variance(phi, q[close])
            rounding[close] = 0.0
        variance[np.abs(variance) <= rounding] = 0.0
        biases = np.sqrt(np.where(variance >= 0.0, variance, np.nan))
        return np.sqrt(gain), biases, gain * length_slope


_STEP = 0.25  # such a psi is analytic far beyond what the trapezoid rule needs for this step
_Z = _STEP * np.arange(-36, 37)
_WEIGHT = _STEP * np.exp(-0.5 * _Z**2) / np.sqrt(2.0 * np.pi)


def _small_variance(phi: Activation, q: Array) -> Array:
    """Return q - E phi**2 / E phi'**2 for phi that is smooth and all but linear at this q.

    With the Hermite coefficients a_k = E psi(z) He_k(z) / sqrt(k!) of psi(z) = phi(sqrt(q) z) the
    difference is (sum_{k >= 2} (k - 1) a_k**2 - a0**2) / E phi'**2.
    """
    root = np.sqrt(q)[:, None]
    slope = root * phi.derivative(root * _Z)
    exact = q < _FEW_TERMS_BELOW if phi.is_named else np.zeros(q.size, dtype=bool)
    excess = np.empty(q.size)
    excess[exact] = _by_curvature(phi, q[exact])
    excess[~exact] = _by_difference(phi, q[~exact])
    variance: Array = excess * q / (slope**2 @ _WEIGHT)
    return variance


def _by_difference(phi: Activation, q: Array) -> Array:
    """Return the sum as E (psi' - a1)**2 - E (psi - a0 - a1 z)**2 - a0**2; errs by 1e-16 / q."""
    root = np.sqrt(q)[:, None]
    psi, slope = phi(root * _Z), root * phi.derivative(root * _Z)
    a0, a1 = (psi @ _WEIGHT)[:, None], (slope @ _WEIGHT)[:, None]
    bend, rest = (slope - a1) ** 2 @ _WEIGHT, (psi - a0 - a1 * _Z) ** 2 @ _WEIGHT
    excess: Array = bend - rest - a0[:, 0] ** 2
    return excess


_FEW_TERMS_BELOW = 0.01  # twelve terms are enough for these q


def _by_curvature(phi: Activation, q: Array) -> Array:
    """Return the sum from psi'' = q phi'', which keeps its digits down to q = 0.

    a_k = E psi'' He_{k-2} / sqrt(k!), and a0 = phi(0) + (1/2) Int_0^q E phi''(sqrt(t) z) dt.
    """
    curvature = q[:, None] * phi.second_derivative(np.sqrt(q)[:, None] * _Z)
    before, now = np.zeros(_Z.size), np.ones(_Z.size)  # He_j / sqrt(j!)
    excess = np.zeros(q.size)
    for j in range(12):
        excess += (curvature @ (_WEIGHT * now)) ** 2 / (j + 2)
        before, now = now, (_Z * now - np.sqrt(j) * before) / np.sqrt(j + 1)
    a0 = np.full(q.size, phi(0.0))
    for x, w in zip(*np.polynomial.legendre.leggauss(8), strict=True):
        t = 0.5 * q * (1.0 + x)
        a0 += 0.25 * w * q * (phi.second_derivative(np.sqrt(t)[:, None] * _Z) @ _WEIGHT)
    excess -= a0**2
    return excess


def _is_stable(phi: Activation, q: Array, sigma_w: Array, slope: Array) -> Flags:
    """Tell where the length map settles at q; at V' = 1 what happens just above q decides."""
    stable: Flags = slope < 1.0 - CRITICAL_BAND
    marginal = np.abs(slope - 1.0) <= CRITICAL_BAND
    if marginal.any():
        above = 1.01 * q[marginal] + 1e-6
        moments = _core.gaussian_moments(phi.core, above, 1, None)
        stable[marginal] = sigma_w[marginal] ** 2 * moments[5] <= 1.0 + CRITICAL_BAND
    return stable


def _why_not(phi: Activation, sigma_b: float) -> str:
    """Say where the stable part of the line is, if there is one."""
    q = _SCAN
    for _ in range(12):  # narrow down on the lowest stable point
        weights, biases, slopes = _on_the_line(phi, q, _moments(phi, q))
        on_line = np.isfinite(biases) & np.isfinite(weights)
        stable = on_line & (slopes < 1.0 - CRITICAL_BAND)
        if not stable.any():
            break
        lowest = int(np.argmin(np.where(stable, biases, np.inf)))
        q = np.geomspace(q[max(lowest - 1, 0)], q[min(lowest + 1, q.size - 1)], 21)
    if stable.any():
        edge, at = float(biases[lowest]), float(weights[lowest])
        if sigma_b < edge:
            return (
                f"chi_1 = 1 is met at a stable fixed point only for sigma_b >= {edge:.5f} with "
                f"{phi} (sigma_w = {at:.6f} there), got {sigma_b!r}"
            )
    at_zero = _core.critical_points(phi.core, np.zeros(1))
    if sigma_b > 0.0 and at_zero["stable"][0] and at_zero["q"][0] == 1.0:
        return (
            f"chi_1 = 1 is met at a fixed point only for sigma_b = 0 with {phi}: with biases the "
            f"length grows in every layer, got {sigma_b!r}"
        )
    return f"chi_1 = 1 is met at no stable fixed point with {phi}, got sigma_b = {sigma_b!r}"


def _moments(phi: Activation, q: Array) -> Array:
    moments: Array = _core.gaussian_moments(phi.core, q, cores(None), None)
    return moments
