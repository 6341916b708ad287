"""The critical ensemble whose Jacobian has a wanted spread of singular values."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from meanfree import _core
from meanfree._check import Range, real, size
from meanfree._progress import progress_bar
from meanfree.activations import Activation, ActivationLike, as_activation
from meanfree.ensemble import Ensemble
from meanfree.meanfield._critical import critical, line_at_length
from meanfree.spectrum._spread import slope_spread

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[np.float64]

_SCAN = np.geomspace(1e-12, 1e4, 161)  # no fixed point further out is of any use
_VARIANCE = Range("finite and > 0", 0.0, open_low=True)
_CONSTANT = 1e-12  # up to here the scanned spread counts as the same for every length


def tune_critical(
    activation: ActivationLike,
    depth: int,
    *,
    relative_variance: float = 0.25,
    progress: bool | None = None,
) -> Ensemble:
    """Make the critical orthogonal ensemble whose squared singular values have a given variance.

    On the critical line, chi_1 = 1, the eigenvalues of J J^T have mean 1 and variance
    ``L (E phi'(h)**4 / (E phi'(h)**2)**2 - 1)``. This is solved for the length q of the fixed
    point, and q gives sigma_w and sigma_b, see `critical_line` (Pennington, Schoenholz and
    Ganguli, 2018). So the spectrum stays the same as the depth grows.

    Parameters
    ----------
    activation : str, Activation or callable
    depth : int
        Layers, at least 1.
    relative_variance : float
        Variance of the eigenvalues of J J^T, > 0. Of several ensembles that one with the smallest
        q is returned whose fixed point is stable.
    progress
        As in `length_map`; only a slow function of a user makes this a long call.

    Returns
    -------
    Ensemble
        With orthogonal weights.

    Raises
    ------
    ValueError
        If no stable fixed point on the critical line has that variance, as with relu, where the
        variance is the depth; if a value is out of its range.
    TypeError
        If an argument is of the wrong kind.

    Examples
    --------
    >>> import meanfree as mf
    >>> network = mf.tune_critical("tanh", 100)
    >>> print(f"{network.sigma_w:.6f} {network.sigma_b**2:.3e}")
    1.018613 8.603e-06
    >>> print(f"{mf.jacobian_spectrum(network, 100).relative_variance:.9f}")
    0.250000000
    """
    phi = as_activation(activation)
    depth = size("depth", depth)
    wanted = real("relative_variance", relative_variance, _VARIANCE)
    spreads = _scanned(phi, progress)
    lowest, highest = float(spreads.min()), float(spreads.max())
    if highest - lowest <= _CONSTANT * max(1.0, highest):
        if abs(depth * highest - wanted) <= 1e-9 * wanted:
            return critical(phi, weights="orthogonal")
        msg = (
            f"relative_variance must be {depth * highest:.6g} for {phi} at depth {depth}: it is "
            f"the same at every length q; got {wanted!r}"
        )
        raise ValueError(msg)
    above = depth * spreads > wanted
    crossings = np.flatnonzero(above[1:] != above[:-1])
    if not crossings.size:
        msg = (
            f"relative_variance must be in ({depth * lowest:.6g}, {depth * highest:.6g}) for {phi} "
            f"at depth {depth} and lengths q in [{_SCAN[0]:.0e}, {_SCAN[-1]:.0e}], got {wanted!r}"
        )
        raise ValueError(msg)
    for k in crossings:
        q = _solve(phi, wanted / depth, _SCAN[k], _SCAN[k + 1])
        sigma_w, sigma_b, stable = line_at_length(phi, q)
        if stable:
            return Ensemble(phi, sigma_w, sigma_b, weights="orthogonal")
    reason = (
        "no sigma_b >= 0 makes it critical"
        if np.isnan(sigma_b)
        else "its fixed point is not stable"
    )
    msg = (
        f"relative_variance must be that of a stable fixed point on the critical line: with {phi} "
        f"at depth {depth} the length is q = {q:.6g}, and {reason}; got {wanted!r}"
    )
    raise ValueError(msg)


def _scanned(phi: Activation, progress: bool | None) -> Array:
    """Return the spread at each of the scanned lengths."""
    spreads = np.empty(_SCAN.size)
    with progress_bar(progress, "lengths", _SCAN.size) as report:
        for i, q in enumerate(_SCAN):
            spreads[i] = _spread(phi, float(q))
            if report is not None:
                report(i + 1)
    return spreads


def _solve(phi: Activation, wanted: float, low: float, high: float) -> float:
    """Return the length between low and high at which the spread is as wanted."""
    from scipy.optimize import brentq

    def excess(log_q: float) -> float:
        spread = _spread(phi, float(np.exp(log_q)))
        return float(np.clip(np.log(spread / wanted), -700.0, 700.0)) if spread > 0.0 else -700.0

    root = brentq(excess, np.log(low), np.log(high), xtol=1e-15, rtol=1e-15)
    return float(np.exp(root))


def _spread(phi: Activation, q: float) -> float:
    """Return var(t) / (E t)**2 of t = phi'(sqrt(q) z)**2."""
    return slope_spread(phi, q, _core.slope_law(phi.core, q))
